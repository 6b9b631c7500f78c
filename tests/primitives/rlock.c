/* SPDX-License-Identifier: MIT */
/* The laws of lw_rlock that others do not have: it nests, and it is served in order.  Rows R351 to
 * R360 and R385 to R393; those that it shares are in handed.c. */
#include "tests/primitives/handed.h"

TestSuite(rlock, .init = watchdog);

/* ---- nesting */

enum { DEPTH = 5 };

static int nest(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT("nested");

    (void)arg;
    for (int i = 0; i < DEPTH; i++) {
        cr_assert_eq(lw_rlock_acquire(&lock, i % 2 == 0 ? LW_NOW : LW_FOREVER), 0, "R351");
        cr_assert_eq(holds_of_caller(), 1, "one hold, however deep");
    }
    for (int i = 0; i < DEPTH; i++) {
        cr_assert(lw_rlock_locked(&lock), "R358, R386: while the depth is positive");
        cr_assert(lw_owned(&lock.lock), "R359");
        cr_assert_eq(lw_rlock_release(&lock), 0);
    }
    assert_free(&lock.lock);
    cr_assert_eq(lw_rlock_release(&lock), -EPERM, "R356");
    cr_assert_eq(lw_rlock_acquire(&lock, LW_NOW), 0, "R356: it is usable");
    cr_assert_eq(lw_rlock_release(&lock), 0);
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

Test(rlock, it_is_free_after_as_many_releases)
{
    run_all(nest, NULL);
    (void)nest(NULL); /* a plain thread */
}

static int nest_by_scopes(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT(NULL);
    int outer, inner = 1;

    (void)arg;
    LW_WITH(&lock.lock, LW_FOREVER, outer) {
        LW_WITH(&lock.lock, LW_FOREVER, inner) {
            cr_assert_eq(lock.lock._number, 1);
        }
        cr_assert(lw_owned(&lock.lock), "R352: a scope releases one level");
        cr_assert_eq(lock.lock._number, 0);
    }
    cr_assert_eq(outer | inner, 0);
    assert_free(&lock.lock);
    return 0;
}

Test(rlock, a_scope_releases_one_level)
{
    run_all(nest_by_scopes, NULL);
}

static int overflow(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT(NULL);

    (void)arg;
    cr_assert_eq(lw_rlock_acquire(&lock, LW_NOW), 0);
    lock.lock._number = UINT32_MAX;
    cr_assert_eq(lw_rlock_acquire(&lock, LW_FOREVER), -EOVERFLOW);
    cr_assert_eq(lock.lock._number, UINT32_MAX);
    lock.lock._number = 0;
    return lw_rlock_release(&lock);
}

Test(rlock, too_many_levels_are_refused)
{
    run_all(overflow, NULL);
}

/* ---- others meanwhile */

static int pass_through(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT("passed through");
    struct line line = {.lock = &lock.lock};
    struct place places[6];
    lw_task tasks[6];

    (void)arg;
    for (int depth = 0; depth < 3; depth++)
        cr_assert_eq(lw_rlock_acquire(&lock, LW_FOREVER), 0);
    for (int i = 0; i < 6; i++) {
        places[i] = (struct place){&line, i, -i}; /* priorities are nothing to it */
        tasks[i] = queue_up(&places[i]);
    }
    cr_assert_eq(lw_rlock_acquire(&lock, LW_NOW), 0, "R385: at once, though others are queued");
    for (int depth = 0; depth < 3; depth++) {
        cr_assert_eq(lw_rlock_release(&lock), 0);
        cr_assert(lw_owned(&lock.lock), "R386");
        cr_assert(is_waiting(tasks[0]), "R386");
    }
    cr_assert_eq(lw_rlock_release(&lock), 0);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(line.order[i], i, "R354, R387");
    assert_free(&lock.lock);
    return 0;
}

Test(rlock, waiters_enter_in_order_after_the_last_release)
{
    run_all(pass_through, NULL);
}

/* Two workers.  Behind one that stays on the owner's worker the owner is stolen by the other one;
 * if that has stolen the hog instead, the next one may do better: the test goes on until the owner
 * has moved. */
struct journey {
    lw_rlock lock;
    const void *from;
    uint32_t moved;
};

static const void *worker_of_caller(void)
{
    return lw_thread_self()->worker;
}

static int stay_in_the_way(void *arg)
{
    struct journey *journey = arg;

    if (worker_of_caller() == journey->from)
        while (!lw_load_acq(&journey->moved))
            (void)sched_yield();
    return 0;
}

/* It moves, and is the owner there, before it waits: that might bring it back. */
static void move(struct journey *journey, int (*as_owner)(lw_rlock *lock))
{
    bool away;

    journey->from = worker_of_caller();
    do {
        lw_task hog;

        journey->moved = 0;
        cr_assert_eq(lw_spawn(&hog, stay_in_the_way, journey, NULL), 0);
        lw_yield();
        away = worker_of_caller() != journey->from;
        if (away)
            cr_assert_eq(as_owner(&journey->lock), 0, "R360");
        lw_store_rel(&journey->moved, 1);
        cr_assert_eq(join_status(hog), 0);
        journey->from = worker_of_caller();
    } while (!away);
}

static int acquire_as_owner(lw_rlock *lock)
{
    cr_assert(lw_owned(&lock->lock), "R360");
    cr_assert_eq(lw_owner(&lock->lock).id, lw_self().id, "R360");
    return lw_rlock_acquire(lock, LW_NOW);
}

static int wander(void *arg)
{
    struct journey *journey = arg;

    cr_assert_eq(lw_rlock_acquire(&journey->lock, LW_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        move(journey, acquire_as_owner);
    for (int i = 0; i < 4; i++) {
        cr_assert(lw_owned(&journey->lock.lock), "R360");
        cr_assert_eq(holds_of_caller(), 1);
        move(journey, lw_rlock_release);
    }
    assert_free(&journey->lock.lock);
    return 0;
}

static int wander_alone(void *arg)
{
    struct journey journey = {.lock = LW_RLOCK_INIT("carried along")};
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, wander, &journey, NULL), 0);
    return join_status(task);
}

Test(rlock, r360_the_owner_is_the_task_wherever_it_runs)
{
    run_with(2, wander_alone, NULL);
}

/* ---- conditions */

struct met {
    lw_rlock lock;
    lw_condition condition;
    bool there, told;
};

static int wait_at_depth(void *arg)
{
    struct met *met = arg;
    int err = 0;

    for (int depth = 0; depth < 3; depth++)
        cr_assert_eq(lw_rlock_acquire(&met->lock, LW_FOREVER), 0);
    met->there = true;
    while (err == 0 && !met->told)
        err = lw_condition_wait(&met->condition, &met->lock.lock, LW_FOREVER);
    cr_assert_eq(met->lock.lock._number, 2, "R391, R392: at the depth it had");
    for (int depth = 0; depth < 3; depth++)
        cr_assert_eq(lw_rlock_release(&met->lock), 0);
    return err;
}

static int meet_at_depth(void *arg)
{
    struct met met = {.lock = LW_RLOCK_INIT("met")};
    bool cancelled = *(bool *)arg;
    lw_task waiter = start_waiter(wait_at_depth, &met);

    cr_assert_eq(lw_rlock_acquire(&met.lock, LW_FOREVER), 0, "R391: it was released fully");
    cr_assert(met.there);
    if (cancelled) {
        cr_assert_eq(lw_cancel(waiter), 0);
        for (int i = 0; i < 20; i++)
            lw_yield();
        cr_assert(lw_owned(&met.lock.lock), "R392: it comes back when it has the lock");
    } else {
        met.told = true;
        cr_assert_eq(lw_condition_notify(&met.condition, 1), 1);
    }
    cr_assert_eq(lw_rlock_release(&met.lock), 0);
    cr_assert_eq(join_status(waiter), cancelled ? -ECANCELED : 0);
    assert_free(&met.lock.lock);
    return 0;
}

Test(rlock, a_condition_releases_all_levels_and_takes_them_again)
{
    run_all(meet_at_depth, &(bool){false});
    run_all(meet_at_depth, &(bool){true});
}
