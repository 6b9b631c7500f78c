/* SPDX-License-Identifier: MIT */
/* Deadlocks all the time: tasks and threads take locks of all kinds in any order, without deadlines
 * as a rule, among cancels, and the detector is all that lets them go on.  What must hold: the
 * number that each lock guards; nobody is refused but by a verdict; and nobody is left (the
 * tortures' own watch).  And those who take their locks in one order only are never refused. */
#include "tests/torture/detecting.h"

enum { REFUSED = 1, SECTIONS, LATE, ORDERLY };
enum { LOCKS = 6, DEPTH = 3, TASKS = 6, GUESTS = 4 };

static lw_mutex mutexes[2];
static lw_rlock rlock;
static lw_priority_lock priority;
static lw_rwlock rws[2];
static lw_mutex orderly[2];
static long sections[LOCKS + 2]; /* plain: each guarded by its lock */

static void setup(void)
{
    for (int i = 0; i < 2; i++) {
        mutexes[i] = orderly[i] = (lw_mutex)LW_MUTEX_INIT("mutex");
        rws[i] = (lw_rwlock)LW_RWLOCK_INIT("rw", i == 0 ? 0 : LW_RWLOCK_PREFER_WRITERS);
    }
    rlock = (lw_rlock)LW_RLOCK_INIT("rlock");
    priority = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("priority");
    for (int i = 0; i < LOCKS + 2; i++)
        sections[i] = 0;
    begin_to_detect();
}

static lw_lock *lock_number(int number, bool reads)
{
    switch (number) {
    case 0:
    case 1:
        return &mutexes[number].lock;
    case 2:
        return &rlock.lock;
    case 3:
        return &priority.lock;
    default:
        return reads ? &rws[number - 4].read : &rws[number - 4].write;
    }
}

/* One more, and the rest of them inside. */
static int nest(struct actor *actor, unsigned taken, int depth)
{
    uint64_t number = draw(&actor->random);
    int which = (int)(number % LOCKS), err;
    bool reads = which >= 4 && number >> 8 & 1;
    lw_lock *lock = lock_number(which, reads);
    lw_nsec deadline = (number >> 16) % 8 == 0 ? lw_in((lw_nsec)(number >> 46)) : LW_FOREVER;

    if (depth == 0 || (taken >> which & 1) != 0)
        return 0;
    err = lw_acquire(lock, deadline);
    CHECK(err == 0 || err == -EDEADLK || err == -ETIMEDOUT || err == -ECANCELED, "%d", err);
    count(actor, REFUSED, err == -EDEADLK || BROKEN(1, &actor->random, 1000));
    count(actor, LATE, err == -ETIMEDOUT);
    if (err < 0)
        return err;
    if (!reads) {
        sections[which]++;
        count(actor, SECTIONS, !BROKEN(2, &actor->random, 1000));
    }
    if (number >> 24 & 1)
        give_way();
    err = nest(actor, taken | 1u << which, depth - 1);
    CHECK(lw_release(lock) == 0, "a release");
    return err;
}

static void take_in_order(struct actor *actor)
{
    int err = lw_mutex_acquire(&orderly[0], LW_FOREVER);

    if (err == 0) {
        sections[LOCKS]++;
        give_way();
        err = lw_mutex_acquire(&orderly[1], LW_FOREVER);
        if (err == 0) {
            sections[LOCKS + 1]++;
            CHECK(lw_mutex_release(&orderly[1]) == 0, "a release");
        }
        CHECK(lw_mutex_release(&orderly[0]) == 0, "a release");
        count(actor, ORDERLY, 1);
    }
    CHECK(err == 0 || err == -ECANCELED, "one that takes them in order was told %d", err);
}

static bool act(struct actor *actor)
{
    int err;

    if (draw(&actor->random) % 64 == 0)
        (void)lw_detector_scan();
    if (draw(&actor->random) % 4 == 0) {
        take_in_order(actor);
    } else {
        err = nest(actor, 0, DEPTH);
        if (err == -EDEADLK)
            (void)!lw_backoff(LW_FOREVER);
    }
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void check(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < LOCKS; i++)
        sum += (uint64_t)sections[i];
    CHECK(sum == torture_sum(SECTIONS), "%llu sections, counted to %llu",
          ull(torture_sum(SECTIONS)), ull(sum));
    CHECK((uint64_t)sections[LOCKS] == torture_sum(ORDERLY), "counted to %ld", sections[LOCKS]);
    check_refused(torture_sum(REFUSED));
}

static void report(void)
{
    (void)printf("%llu refused = verdicts, %llu sections, %llu too late, %llu in order",
                 ull(torture_total(REFUSED)), ull(torture_total(SECTIONS)),
                 ull(torture_total(LATE)), ull(torture_total(ORDERLY)));
}

const struct torture torture = {
    .name = "deadlock",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
