/* SPDX-License-Identifier: MIT */
/* The laws of lw_condition. */
#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

TestSuite(condition, .init = watchdog);

struct shared {
    lw_mutex mutex;
    lw_condition condition;
    long stock, taken, woken, notified;
    int order[16], count;
    lw_task waiter;
};

/* One notify after the other is one wake each: conservation, under cancels and short deadlines. */
static void act_waiting(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 40; i++) {
        int err = lw_mutex_acquire(&shared->mutex, LW_FOREVER);

        if (err < 0)
            continue;
        if (member->index % 2 == 0) {
            shared->notified += lw_condition_notify(&shared->condition, 1);
        } else {
            err = lw_condition_wait(&shared->condition, &shared->mutex.lock,
                                    lw_in((lw_nsec)(random_draw(&member->random) % 300) * LW_US));
            cr_assert(err == 0 || is_interruption(err), "%d", err);
            shared->woken += err == 0;
        }
        cr_assert(lw_owned(&shared->mutex.lock)); /* always */
        maybe_yield(member);
        cr_assert_eq(lw_mutex_release(&shared->mutex), 0);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        struct shared shared = {0};
        struct crowd crowd = {.tasks = 10,
                              .threads = 2,
                              .cancels = true,
                              .act = act_waiting,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.woken, shared.notified);
        cr_assert_eq(lw_load_acq(&shared.condition.wait._word._value), 0);
        cr_assert_null(shared.condition.wait._queue);
        cr_assert_eq(lw_load_acq(&shared.mutex.lock._word._value), 0);
    }
    return 0;
}

Test(condition, each_notify_that_counts_is_a_wait_that_succeeds)
{
    run_all(crowds, NULL);
}

/* ---- a queue of things, the usual way */

static bool is_stocked(void *arg)
{
    struct shared *shared = arg;

    cr_assert(lw_owned(&shared->mutex.lock));
    return shared->stock > 0;
}

static void act_trading(struct member *member)
{
    struct shared *shared = member->crowd->object;
    int err;

    for (int i = 0; i < 50; i++) {
        LW_WITH(&shared->mutex.lock, LW_FOREVER, err) {
            if (member->index % 2 == 0) {
                shared->stock++;
                (void)lw_condition_notify(&shared->condition, 1);
            } else {
                err = lw_condition_wait_for(&shared->condition, &shared->mutex.lock, is_stocked,
                                            shared, LW_FOREVER);
                cr_assert_eq(err, 0);
                cr_assert_gt(shared->stock--, 0);
                shared->taken++;
            }
        }
        cr_assert_eq(err, 0);
        maybe_yield(member);
    }
}

static int trade(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct shared shared = {0};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .act = act_trading, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.taken, 5 * 50);
        cr_assert_eq(shared.stock, 0);
    }
    return 0;
}

Test(condition, what_is_notified_after_a_change_is_never_missed)
{
    run_all(trade, NULL);
}

/* ---- order and number */

struct waiter {
    struct shared *shared;
    int number;
};

static int wait_once(void *arg)
{
    struct waiter *waiter = arg;
    struct shared *shared = waiter->shared;
    int err, result;

    err = lw_mutex_acquire(&shared->mutex, LW_FOREVER);
    cr_assert_eq(err, 0);
    result = lw_condition_wait(&shared->condition, &shared->mutex.lock, LW_FOREVER);
    cr_assert(lw_owned(&shared->mutex.lock));
    if (result == 0)
        shared->order[shared->count++] = waiter->number;
    cr_assert_eq(lw_mutex_release(&shared->mutex), 0);
    return result;
}

static int notify_in_order(void *arg)
{
    struct shared shared = {0};
    struct waiter waiters[6];
    lw_task tasks[6];

    (void)arg;
    cr_assert_eq(lw_condition_notify(&shared.condition, LW_ALL), 0); /* not kept */
    for (int i = 0; i < 6; i++) {
        waiters[i] = (struct waiter){&shared, i};
        tasks[i] = start_waiter(wait_once, &waiters[i]);
    }
    cr_assert_eq(lw_condition_notify(&shared.condition, 0), 0);
    cr_assert_eq(lw_condition_notify(&shared.condition, 1), 1);
    cr_assert_eq(join_status(tasks[0]), 0);
    cr_assert_eq(lw_cancel(tasks[1]), 0);
    cr_assert_eq(join_status(tasks[1]), -ECANCELED);
    cr_assert_eq(lw_condition_notify(&shared.condition, 2), 2); /* 1 is not counted */
    cr_assert_eq(join_status(tasks[2]), 0);
    cr_assert_eq(join_status(tasks[3]), 0);
    cr_assert_eq(lw_condition_notify(&shared.condition, LW_ALL), 2);
    cr_assert_eq(join_status(tasks[4]), 0);
    cr_assert_eq(join_status(tasks[5]), 0);
    cr_assert_eq(shared.count, 5);
    cr_assert_eq(shared.order[0], 0);
    for (int i = 1; i < 5; i += 2) { /* two who are notified together may come either way round */
        cr_assert_eq(shared.order[i] + shared.order[i + 1], 2 * i + 3);
        cr_assert_leq(abs(shared.order[i] - shared.order[i + 1]), 1);
    }
    cr_assert_eq(lw_condition_notify(&shared.condition, LW_ALL), 0);
    return 0;
}

Test(condition, the_longest_waiting_are_notified_and_counted)
{
    run_all(notify_in_order, NULL);
}

/* ---- results */

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

/* Asked before the wait, and after it. */
static bool second_time(void *arg)
{
    return ++*(int *)arg == 2;
}

static int use_codes(void *arg)
{
    struct shared shared = {0};
    lw_lock *lock = &shared.mutex.lock;
    lw_semaphore semaphore = LW_SEMAPHORE_INIT(NULL, 1);
    lw_nsec deadline;
    int asked = 0;

    (void)arg;
    cr_assert_eq(lw_condition_wait(&shared.condition, lock, LW_FOREVER), -EPERM);
    cr_assert_eq(lw_condition_wait_for(&shared.condition, lock, always, NULL, LW_FOREVER), -EPERM);
    cr_assert_eq(lw_acquire(&semaphore.lock, LW_NOW), 0);
    cr_assert_eq(lw_condition_wait(&shared.condition, &semaphore.lock, LW_FOREVER), -EPERM);

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_condition_wait(&shared.condition, lock, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_condition_wait(&shared.condition, lock, 7), -EINVAL); /* a duration */
    deadline = lw_in(2 * LW_MS);
    cr_assert_eq(lw_condition_wait(&shared.condition, lock, deadline), -ETIMEDOUT);
    cr_assert_geq(lw_now(), deadline);
    cr_assert_eq(lw_condition_wait_for(&shared.condition, lock, never, NULL, lw_in(LW_MS)),
                 -ETIMEDOUT);
    cr_assert_eq(lw_condition_wait_for(&shared.condition, lock, always, NULL, LW_NOW), 0);
    cr_assert_eq(lw_condition_wait_for(&shared.condition, lock, second_time, &asked, lw_in(LW_MS)),
                 0);
    cr_assert(lw_owned(lock));
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(lw_load_acq(&lock->_word._value), 0);
    return 0;
}

Test(condition, results_are_as_documented_and_the_lock_is_held_after)
{
    run_all(use_codes, NULL);
    (void)use_codes(NULL);
}

/* A cancel comes while the lock is being taken again: the wait was notified, the cancel is kept. */
static int notified_then_cancelled(void *arg)
{
    struct waiter *waiter = arg;
    int err = wait_once(waiter);

    cr_assert_eq(err, 0);
    return lw_checkpoint();
}

static int cancel_during_reacquire(void *arg)
{
    struct shared shared = {0};
    struct waiter waiter = {&shared, 0};
    lw_task task = start_waiter(notified_then_cancelled, &waiter);
    struct lw_cold *cold = lw_record_cold(lw_record_of(task.id));

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&shared.mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_condition_notify(&shared.condition, 1), 1);
    AWAIT(lw_load_rlx(&cold->kind) == LW_WAIT_LOCK && is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    lw_yield();
    cr_assert(is_waiting(task));
    cr_assert_eq(lw_mutex_release(&shared.mutex), 0);
    cr_assert_eq(join_status(task), -ECANCELED);
    return 0;
}

Test(condition, the_lock_is_taken_again_under_a_shield)
{
    run_all(cancel_during_reacquire, NULL);
}

/* ---- the lock's owner ends: the one wait that returns without the lock */

static int notify_and_end(void *arg)
{
    struct shared *shared = arg;

    cr_assert_eq(lw_mutex_acquire(&shared->mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_condition_notify(&shared->condition, 1), 1);
    return 0;
}

static int wait_for_dead(void *arg)
{
    struct shared *shared = arg;
    lw_lock *lock = &shared->mutex.lock;
    int err;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    err = lw_condition_wait_for(&shared->condition, lock, never, NULL, LW_FOREVER);
    cr_assert_not(lw_owned(lock));
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
    return err;
}

static int end_owner(void *arg)
{
    static const struct {
        uint32_t data;
        int expected;
    } cases[] = {{LW_DATA_OPAQUE, -ENOTRECOVERABLE}, {LW_DATA_ROBUST, -EOWNERDEAD}};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct shared shared = {.mutex.lock.data = cases[i].data};
        lw_task waiter = start_waiter(wait_for_dead, &shared), owner;

        cr_assert_eq(lw_spawn(&owner, notify_and_end, &shared, NULL), 0);
        cr_assert_eq(join_status(waiter), cases[i].expected);
        cr_assert_eq(join_status(owner), 0);
    }
    return 0;
}

Test(condition, a_lock_whose_owner_ended_is_not_taken_again)
{
    run_all(end_owner, NULL);
}

/* The wait was cancelled, and has something else to say: the cancel is due at the next wait. */
static int cancel_and_end(void *arg)
{
    struct shared *shared = arg;

    cr_assert_eq(lw_mutex_acquire(&shared->mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_cancel(shared->waiter), 0);
    return 0;
}

static int wait_then_look(void *arg)
{
    int err = wait_for_dead(arg);

    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return err;
}

static int cancelled_and_dead(void *arg)
{
    struct shared shared = {0};
    lw_task owner;

    (void)arg;
    shared.waiter = start_waiter(wait_then_look, &shared);
    cr_assert_eq(lw_spawn(&owner, cancel_and_end, &shared, NULL), 0);
    cr_assert_eq(join_status(shared.waiter), -ENOTRECOVERABLE);
    cr_assert_eq(join_status(owner), 0);
    return 0;
}

Test(condition, a_cancel_that_is_not_reported_is_not_lost)
{
    run_all(cancelled_and_dead, NULL);
}

/* ---- other kinds: all of the depth, and a release that is refused */

struct nesting {
    lw_mutex mutex;
    int depth;
    bool refuses;
};

static int nest(lw_lock *lock, lw_nsec deadline)
{
    struct nesting *nesting = (struct nesting *)lock;
    int err = lw_mutex_locked(&nesting->mutex) && lw_owner(lock).id == lw_self().id
                  ? 0
                  : lw_mutex_acquire(&nesting->mutex, deadline);

    nesting->depth += err == 0;
    return err;
}

static int unnest(lw_lock *lock)
{
    struct nesting *nesting = (struct nesting *)lock;

    if (nesting->refuses)
        return 1;
    return --nesting->depth > 0 ? 0 : lw_mutex_release(&nesting->mutex);
}

static bool is_nested(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)lock);
}

static const lw_lock_kind nesting_kind = {
    .name = "nesting", .acquire = nest, .release = unnest, .locked = is_nested};

struct nested_wait {
    struct nesting nesting;
    lw_condition condition;
};

static int wait_nested(void *arg)
{
    struct nested_wait *wait = arg;
    lw_lock *lock = &wait->nesting.mutex.lock;
    int err;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    err = lw_condition_wait(&wait->condition, lock, LW_FOREVER);
    cr_assert(lw_owned(lock));
    cr_assert_eq(wait->nesting.depth, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_release(lock), 0);
    return err;
}

static int wait_with_depth(void *arg)
{
    struct nested_wait wait = {.nesting.mutex.lock.kind = &nesting_kind};
    lw_task task = start_waiter(wait_nested, &wait);
    lw_lock *lock = &wait.nesting.mutex.lock;

    (void)arg;
    cr_assert_not(lw_locked(lock)); /* wholly released */
    cr_assert_eq(lw_condition_notify(&wait.condition, 1), 1);
    cr_assert_eq(join_status(task), 0);

    wait.nesting.refuses = true;
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    cr_assert_eq(lw_condition_wait(&wait.condition, lock, LW_FOREVER), -EPERM);
    cr_assert_null(wait.condition.wait._queue);
    cr_assert(lw_owned(lock));
    wait.nesting.refuses = false;
    cr_assert_eq(lw_release(lock), 0);
    return 0;
}

Test(condition, a_lock_that_nests_is_released_at_all_its_depth)
{
    run_all(wait_with_depth, NULL);
}
