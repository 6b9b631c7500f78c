/* SPDX-License-Identifier: MIT */
/* [S1] The switch: a task is queued before it has left its stack (lw_record_take_sp()).
 *
 * One worker runs the task, which puts itself into its run queue and leaves: the switch stores sp
 * last.  Another steals it and runs it as soon as there is an sp.  Holds: nobody runs on a stack
 * that another has not left, as no race on `stack`; the one sp is taken once.
 *
 * holds:
 * fails: -DWEAK_LOAD
 * fails: -DWEAK_STORE
 */
#include "runtime/ring.h"

static struct lw_ring ring;
static int stack; /* plain: what lies on the task's stack */
static int frame; /* its address is the saved stack pointer */
static uint32_t taken;

static void run(struct lw_record *record)
{
    void *sp = NULL;

    await((sp = lw_record_take_sp(record)) != NULL);
    assert(sp == &frame);
    stack++;
}

static void *leaver(void *arg)
{
    stack++;
    assert(lw_ring_push(&ring, &hot_[0]));
    stack++; /* lw_switch pushes registers */
    lw_store_rel(&hot_[0].sp, &frame);
    return arg;
}

static void *thief(void *arg)
{
    struct lw_record *loot[1];

    if (lw_ring_steal(&ring, loot, 1) == 1) {
        (void)__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
        run(loot[0]);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[3];

    begin();
    start(&threads[0], leaver);
    start(&threads[1], thief);
    start(&threads[2], thief);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    assert(taken <= 1);
    assert(stack == 2 + (int)taken);
    return 0;
}
