/* SPDX-License-Identifier: MIT */
/* The registry is read without a pause while tasks, workers, runtimes and plain threads come and
 * go, and memory of records is given back.  What is read of one that waits must fit together: who
 * waits for the inner lock of a pair reads the outer one, and holds as many locks more as the
 * pair's number says; and whoever holds them comes on all the time, whatever the readers do. */
#include "locksmith/registry.h"
#include "tests/torture/torture.h"

enum { PAIRS = 8, MORE = 18, CHILDREN = 8 };
enum { LOOKS = 1, WAITERS, CHANGED, NESTED, LATE, STARTED };
enum { TASKS = 8, READERS = 2, GUESTS = READERS + 3 };

static struct pair {
    lw_rwlock outer;
    lw_mutex inner;
} pairs[PAIRS];

static void setup(void)
{
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = (struct pair){.outer = LW_RWLOCK_INIT("outer", 0)};
}

/* ---- those who wait */

static int more_of(int number)
{
    return number * MORE / PAIRS;
}

/* Locks of its own, which nobody else wants: holds beyond those in the record. */
static void nest(int number)
{
    struct pair *pair = &pairs[number];
    lw_mutex own[MORE] = {0};
    int taken = 0, err;

    if (lw_acquire(&pair->outer.read, LW_FOREVER) < 0)
        return;
    while (taken < more_of(number) && lw_mutex_acquire(&own[taken], LW_NOW) == 0)
        taken++;
    CHECK(taken == more_of(number), "%d locks of one's own were taken", taken);
    err = lw_mutex_acquire(&pair->inner, lw_in(500 * LW_US));
    if (err == 0) {
        give_way();
        err = lw_mutex_release(&pair->inner);
    }
    torture_add(err == 0 ? NESTED : LATE, 1);
    while (taken > 0)
        (void)lw_mutex_release(&own[--taken]);
    (void)lw_release(&pair->outer.read);
    torture_add(OPERATIONS, 1);
}

static int nest_and_end(void *arg)
{
    nest((int)(intptr_t)arg);
    return 0;
}

static void write_for_a_while(int number)
{
    if (lw_acquire(&pairs[number].outer.write, lw_in(500 * LW_US)) == 0) {
        give_way();
        (void)lw_release(&pairs[number].outer.write);
    }
}

/* Tasks that come and go, in a runtime that does. */
static void start_and_stop(uint64_t number)
{
    lw_options options = {.workers = 1 + (unsigned)(number % 3)};
    lw_task_options here = {0};
    int err = lw_start(&here.runtime, &options);

    CHECK(err == 0, "a start returned %d", err);
    for (uint64_t i = 0; i < CHILDREN; i++)
        CHECK(lw_spawn(NULL, nest_and_end, (void *)(intptr_t)((number >> i) % PAIRS), &here) == 0,
              "a spawn");
    CHECK(lw_stop(here.runtime, LW_FOREVER) == 0, "a stop");
    lw_trim();
    torture_add(STARTED, 1);
}

/* ---- those who read */

static int pair_of_inner(uint64_t object)
{
    for (int i = 0; i < PAIRS; i++)
        if (object == (uintptr_t)&pairs[i].inner.lock)
            return i;
    return -1;
}

/* Of those who wait for an outer lock there are some who read no pair yet. */
static void check_waiter(const struct lw_waiter *waiter)
{
    int number = pair_of_inner(waiter->object);
    uint32_t known = waiter->nheld < LW_REGISTRY_HOLDS ? waiter->nheld : LW_REGISTRY_HOLDS;
    bool fits = waiter->kind == LW_WAIT_LOCK && waiter->nheld == 1 + (uint32_t)more_of(number) &&
                waiter->held[0].lock ==
                    ((uint64_t)(uintptr_t)&pairs[number].outer.write | LW_HOLD_SHARED);

    for (uint32_t i = 1; i < known; i++)
        fits = fits && lw_hold_mode(&waiter->held[i]) == LW_HOLD_EXCLUSIVE &&
               lw_hold_lock(&waiter->held[i]) == lw_hold_lock(&waiter->held[1]) + (i - 1);
    CHECK(fits, "one that waits for inner lock %d does not fit together: kind %d, %u holds, %llx",
          number, waiter->kind, waiter->nheld, ull(waiter->held[0].lock));
}

static void read_once(struct actor *actor)
{
    uint32_t slots = lw_registry_slots();
    struct lw_waiter waiter;

    for (uint32_t slot = 0; slot < slots; slot++) {
        enum lw_registry_look look = lw_registry_look(slot, &waiter);

        count(actor, LOOKS, 1);
        count(actor, CHANGED, look == LW_REGISTRY_CHANGED);
        if (look == LW_REGISTRY_CHANGED && BROKEN(1, &actor->random, 2))
            look = LW_REGISTRY_WAITS;
        if (look != LW_REGISTRY_WAITS || pair_of_inner(waiter.object) < 0)
            continue;
        check_waiter(&waiter);
        count(actor, WAITERS, 1);
    }
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);

    if (actor->index >= TASKS && actor->index < TASKS + READERS)
        read_once(actor);
    else if (actor->index == TASKS + READERS)
        start_and_stop(number);
    else if (number % 8 == 0)
        write_for_a_while((int)((number >> 8) % PAIRS));
    else
        nest((int)((number >> 8) % PAIRS));
    return !torture_over();
}

static void check(void)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK(!lw_locked(&pairs[i].outer.write) && !lw_locked(&pairs[i].inner.lock),
              "pair %d is still held", i);
}

static void report(void)
{
    (void)printf("%llu waits of %llu read, %llu changed meanwhile; %llu nested, %llu too late, "
                 "%llu runtimes",
                 ull(torture_total(WAITERS)), ull(torture_total(LOOKS)),
                 ull(torture_total(CHANGED)), ull(torture_total(NESTED)),
                 ull(torture_total(LATE)), ull(torture_total(STARTED)));
}

const struct torture torture = {
    .name = "registry",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
