/* SPDX-License-Identifier: MIT */
/* The scheduler's queues, in every order of their steps: whatever owner and thieves do, each task
 * is taken exactly once, and those that one taker gets from a FIFO come in order. */
#include "tests/models/explore.h"

#include <string.h>

#include "runtime/deque.h"
#include "runtime/inject.h"
#include "runtime/ring.h"

enum { TASKS = 16 };

static struct lw_record tasks[TASKS];
static int taken[TASKS], pushed;
static bool in_order;

static int number(const struct lw_record *task)
{
    return (int)(task - tasks);
}

static void take(const struct lw_record *task)
{
    if (task != NULL)
        taken[number(task)]++;
}

/* Several that came together from a FIFO. */
static void take_batch(struct lw_record *const *batch, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        in_order &= i == 0 || number(batch[i - 1]) < number(batch[i]);
        take(batch[i]);
    }
}

static void begin(void)
{
    memset(taken, 0, sizeof taken);
    pushed = 0;
    in_order = true;
}

static bool each_once(void)
{
    for (int i = 0; i < TASKS; i++)
        if (taken[i] != (i < pushed))
            return false;
    return in_order;
}

/* ---- the deque */

static struct lw_deque deque;

static void deque_push(void)
{
    lw_check(lw_deque_push(&deque, &tasks[pushed++]));
}

static void deque_begin(int count)
{
    begin();
    lw_deque_fini(&deque);
    memset(&deque, 0, sizeof deque);
    lw_check(lw_deque_init(&deque) == 0);
    while (count-- > 0)
        deque_push();
}

static void deque_begin_one(void)
{
    deque_begin(1);
}

static void deque_begin_two(void)
{
    deque_begin(2);
}

static void deque_begin_full(void)
{
    deque_begin(4); /* of the tiny build */
}

static void deque_pop_once(void)
{
    take(lw_deque_pop(&deque));
}

static void deque_pop_push_pop(void)
{
    take(lw_deque_pop(&deque));
    deque_push();
    take(lw_deque_pop(&deque));
}

static void deque_push_two(void)
{
    deque_push(); /* grows */
    deque_push();
    take(lw_deque_pop(&deque));
}

static void deque_steal_once(void)
{
    bool lost;

    take(lw_deque_steal(&deque, &lost));
}

static void deque_steal_two(void)
{
    deque_steal_once();
    deque_steal_once();
}

static bool deque_is_well(void)
{
    struct lw_record *task;

    while ((task = lw_deque_pop(&deque)) != NULL)
        take(task);
    return each_once();
}

/* ---- the ring */

static struct lw_ring ring;

static void ring_push(void)
{
    if (lw_ring_push(&ring, &tasks[pushed]))
        pushed++;
}

/* Stand before the wrap, with a full ring but for one. */
static void ring_begin(void)
{
    begin();
    memset(&ring, 0, sizeof ring);
    ring.head = ring.tail = ring.head_seen = LW_RING_SIZE - 2;
    for (int i = 0; i < LW_RING_SIZE - 1; i++)
        ring_push();
}

static void ring_begin_two(void)
{
    begin();
    memset(&ring, 0, sizeof ring);
    ring_push();
    ring_push();
}

static void ring_push_two(void)
{
    ring_push();
    ring_push(); /* full, unless a thief came */
    take(lw_ring_pop(&ring));
}

static void ring_pop_push_pop(void)
{
    take(lw_ring_pop(&ring));
    ring_push();
    take(lw_ring_pop(&ring));
}

static void ring_steal(void)
{
    struct lw_record *loot[4];

    take_batch(loot, lw_ring_steal(&ring, loot, 4));
}

static bool ring_is_well(void)
{
    struct lw_record *task, *last = NULL;

    while ((task = lw_ring_pop(&ring)) != NULL) {
        in_order &= last == NULL || number(last) < number(task);
        last = task;
        take(task);
    }
    return each_once();
}

/* ---- the injection stack */

static struct lw_inject inject;

static void inject_begin(int count)
{
    begin();
    memset(&inject, 0, sizeof inject);
    pushed = count;
    lw_inject_push(&inject, &tasks[0], &tasks[0]);
}

static void inject_begin_three(void)
{
    inject_begin(3);
}

static void inject_begin_five(void)
{
    inject_begin(5);
}

static void inject_push_one(void)
{
    lw_inject_push(&inject, &tasks[1], &tasks[1]);
    lw_inject_push(&inject, &tasks[2], &tasks[2]);
}

static void inject_push_chain(void)
{
    tasks[4].next = &tasks[3];
    lw_inject_push(&inject, &tasks[4], &tasks[3]);
}

/* Of one pusher, in order. */
static void inject_take(unsigned max)
{
    struct lw_record *batch[8];
    unsigned count = lw_inject_take(&inject, batch, max);
    int last_of[2] = {0, 0};

    for (unsigned i = 0; i < count; i++) {
        int one = number(batch[i]), pusher = one >= 3;

        in_order &= one == 0 || last_of[pusher] < one;
        last_of[pusher] = one;
        take(batch[i]);
    }
}

static void inject_take_one(void)
{
    inject_take(1);
}

static void inject_take_all(void)
{
    inject_take(8);
}

static bool inject_is_well(void)
{
    while (!lw_inject_is_empty(&inject))
        inject_take(8);
    return each_once();
}

static const struct scenario scenarios[] = {
    {"deque, one task for an owner and two thieves",
     deque_begin_one,
     {deque_pop_once, deque_steal_once, deque_steal_once},
     deque_is_well,
     6},
    {"deque, emptied and filled under a thief",
     deque_begin_two,
     {deque_pop_push_pop, deque_steal_two},
     deque_is_well,
     8},
    {"deque, grown under two thieves",
     deque_begin_full,
     {deque_push_two, deque_steal_two, deque_steal_once},
     deque_is_well,
     3},
    {"ring, full and wrapping under a thief",
     ring_begin,
     {ring_push_two, ring_steal},
     ring_is_well,
     0},
    {"ring, two thieves",
     ring_begin_two,
     {ring_pop_push_pop, ring_steal, ring_steal},
     ring_is_well,
     4},
    {"injection, a pusher and two takers",
     inject_begin_three,
     {inject_push_one, inject_take_one, inject_take_all},
     inject_is_well,
     5},
    {"injection, two pushers and a taker",
     inject_begin_five,
     {inject_push_one, inject_push_chain, inject_take_one},
     inject_is_well,
     5},
};

/* Of the broken build each scenario has to notice. */
int main(void)
{
    unsigned count = sizeof scenarios / sizeof scenarios[0], well = 0;

    for (unsigned i = 0; i < count; i++)
        well += explore(&scenarios[i]);
#ifdef BROKEN
    return well == 0 ? 0 : 1;
#else
    return well == count ? 0 : 1;
#endif
}
