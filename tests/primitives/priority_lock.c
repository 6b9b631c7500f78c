/* SPDX-License-Identifier: MIT */
/* The laws of lw_priority_lock and lw_priority_rlock that others do not have: the order.  Rows R319
 * to R338; those that they share with lw_rlock are in handed.c. */
#include "tests/primitives/handed.h"

TestSuite(priority_lock, .init = watchdog);

static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_priority_rlock priority_rlock = LW_PRIORITY_RLOCK_INIT("priority rlock");

static void run_both(lw_fn *law)
{
    lw_lock lock = priority_lock.lock;

    run_all(law, &lock);
    assert_free(&lock);
    lock = priority_rlock.lock;
    run_all(law, &lock);
    assert_free(&lock);
}

/* ---- the order */

static const struct {
    int priority, place;
} wishes[] = {{0, 3},  {5, 6},  {-5, 0}, {0, 4},      {-1, 2},
              {5, 7},  {-5, 1}, {1, 5},  {100000, 9}, {9, 8}};

enum { WISHES = sizeof wishes / sizeof *wishes };

static int serve_by_priority(void *arg)
{
    struct line line = {.lock = arg};
    struct place places[WISHES];
    lw_task tasks[WISHES];

    cr_assert_eq(lw_acquire(arg, LW_FOREVER), 0);
    for (int i = 0; i < WISHES; i++) {
        places[i] = (struct place){&line, wishes[i].place, wishes[i].priority};
        tasks[i] = queue_up(&places[i]);
    }
    cr_assert_eq(lw_release(arg), 0);
    for (int i = 0; i < WISHES; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    for (int i = 0; i < WISHES; i++)
        cr_assert_eq(line.order[i], i, "R321, R322, R335");
    return 0;
}

Test(priority_lock, waiters_enter_by_priority_and_then_as_they_came)
{
    run_both(serve_by_priority);
}

/* Beyond what a task's own priority can say. */
struct wish {
    lw_lock *lock;
    int priority;
    int *served; /* guarded by the lock */
    int place;
};

static int wish(void *arg)
{
    struct wish *wish = arg;
    bool nests = wish->lock->kind == &lw_priority_rlock_kind;
    int err = nests ? lw_priority_rlock_acquire((lw_priority_rlock *)wish->lock, wish->priority,
                                                LW_FOREVER)
                    : lw_priority_lock_acquire((lw_priority_lock *)wish->lock, wish->priority,
                                               LW_FOREVER);

    if (err < 0)
        return err;
    wish->place = (*wish->served)++;
    return lw_release(wish->lock);
}

static int serve_extremes(void *arg)
{
    static const int order[] = {INT32_MIN, -70000, -1, 0, 70000, INT32_MAX};
    enum { COUNT = sizeof order / sizeof *order };
    struct wish mine[COUNT];
    lw_task tasks[COUNT];
    int served = 0;

    cr_assert_eq(lw_acquire(arg, LW_FOREVER), 0);
    for (int i = COUNT - 1; i >= 0; i--) {
        mine[i] = (struct wish){arg, order[i], &served, -1};
        tasks[i] = start_waiter(wish, &mine[i]);
    }
    cr_assert_eq(lw_release(arg), 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(join_status(tasks[i]), 0);
        cr_assert_eq(mine[i].place, i, "R321");
    }
    return 0;
}

Test(priority_lock, any_int_is_a_priority)
{
    run_both(serve_extremes);
}

enum { MANY = 60 };

/* Some give up; the rest are served in order. */
static int serve_many(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        uint64_t random = 2 * seed + 1;
        struct wish mine[MANY];
        lw_task tasks[MANY];
        bool gone[MANY];
        int served = 0;

        cr_assert_eq(lw_acquire(arg, LW_FOREVER), 0);
        for (int i = 0; i < MANY; i++) {
            mine[i] = (struct wish){arg, (int)(random_draw(&random) % 7) - 3, &served, -1};
            tasks[i] = start_waiter(wish, &mine[i]);
        }
        for (int i = 0; i < MANY; i++) {
            gone[i] = random_draw(&random) % 4 == 0;
            if (gone[i])
                cr_assert_eq(lw_cancel(tasks[i]), 0);
        }
        for (int i = 0; i < MANY; i++)
            if (gone[i])
                cr_assert_eq(join_status(tasks[i]), -ECANCELED);
        cr_assert_eq(lw_release(arg), 0);
        for (int i = 0; i < MANY; i++)
            if (!gone[i])
                cr_assert_eq(join_status(tasks[i]), 0);
        for (int i = 0; i < MANY; i++)
            for (int j = 0; j < i; j++)
                if (!gone[i] && !gone[j])
                    cr_assert_eq(mine[i].place < mine[j].place, mine[i].priority < mine[j].priority,
                                 "R321, R322, R324");
    }
    return 0;
}

Test(priority_lock, who_gives_up_changes_nothing_for_the_others)
{
    run_both(serve_many);
}

/* ---- one's own */

static int take_twice(void *arg)
{
    lw_priority_lock lock = LW_PRIORITY_LOCK_INIT(NULL);

    (void)arg;
    cr_assert_eq(lw_priority_lock_acquire(&lock, 1, LW_FOREVER), 0);
    cr_assert_eq(lw_priority_lock_acquire(&lock, 0, lw_in(LW_MS)), -EDEADLK, "R326");
    cr_assert_eq(lw_priority_lock_acquire(&lock, 0, LW_NOW), -ETIMEDOUT, "R326");
    cr_assert(lw_priority_lock_locked(&lock) && lw_owned(&lock.lock));
    cr_assert_eq(lw_priority_lock_release(&lock), 0);
    cr_assert_eq(lw_priority_lock_release(&lock), -EPERM, "R329");
    assert_free(&lock.lock);
    return 0;
}

Test(priority_lock, it_does_not_nest)
{
    run_all(take_twice, NULL);
}

static int nest(void *arg)
{
    lw_priority_rlock lock = LW_PRIORITY_RLOCK_INIT(NULL);
    struct line line = {.lock = &lock.lock};
    struct place place = {&line, 0, -100};
    lw_task waiter;

    (void)arg;
    cr_assert_eq(lw_priority_rlock_acquire(&lock, 7, LW_FOREVER), 0, "R333");
    waiter = queue_up(&place);
    cr_assert_eq(lw_priority_rlock_acquire(&lock, INT32_MAX, LW_NOW), 0, "R334, R337");
    cr_assert_eq(lw_priority_rlock_release(&lock), 0);
    cr_assert(lw_priority_rlock_locked(&lock) && lw_owned(&lock.lock), "R334");
    cr_assert(is_waiting(waiter));
    cr_assert_eq(lw_priority_rlock_release(&lock), 0, "R334: as many releases");
    cr_assert_eq(join_status(waiter), 0);
    assert_free(&lock.lock);
    return 0;
}

Test(priority_lock, the_reentrant_one_nests_at_any_priority)
{
    run_all(nest, NULL);
}
