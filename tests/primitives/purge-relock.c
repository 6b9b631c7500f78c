/* SPDX-License-Identifier: MIT */
/* Who gets a lock back that it had let go of for a while is not sent away: not by a purge either.
 * It comes back with the lock, whatever kind it is. */
#include "tests/primitives/crowd.h"

TestSuite(purge_relock, .init = watchdog);

static lw_mutex mutex;
static lw_rlock rlock;
static lw_priority_lock priority_lock;
static lw_rwlock rw;

static lw_lock *const locks[] = {&mutex.lock, &rlock.lock, &priority_lock.lock, &rw.write};
enum { LOCKS = sizeof locks / sizeof *locks };

struct waiter {
    lw_lock *lock;
    lw_condition condition;
    lw_keyed_condition keyed;
    lw_event released;
    int (*wait)(struct waiter *waiter);
    void (*notify)(struct waiter *waiter);
};

static int wait_for_condition(struct waiter *waiter)
{
    return lw_condition_wait(&waiter->condition, waiter->lock, LW_FOREVER);
}

static void notify_condition(struct waiter *waiter)
{
    cr_assert_eq(lw_condition_notify(&waiter->condition, 1), 1);
}

static int wait_for_key(struct waiter *waiter)
{
    return lw_keyed_condition_wait(&waiter->keyed, 7, LW_FOREVER);
}

static void notify_key(struct waiter *waiter)
{
    cr_assert_eq(lw_keyed_condition_notify(&waiter->keyed, 7, 1, 0), 1);
}

static int release_meanwhile(struct waiter *waiter)
{
    int err = 0;

    LW_RELEASING(waiter->lock, err)
        err = lw_event_wait(&waiter->released, LW_FOREVER);
    return err;
}

static void end_release(struct waiter *waiter)
{
    lw_event_set(&waiter->released);
}

static int wait_with_it(void *arg)
{
    struct waiter *waiter = arg;

    cr_assert_eq(lw_acquire(waiter->lock, LW_FOREVER), 0);
    cr_assert_eq(waiter->wait(waiter), 0);
    cr_assert(lw_owned(waiter->lock));
    return lw_release(waiter->lock);
}

static void send_away(lw_lock *lock, int (*wait)(struct waiter *waiter),
                      void (*notify)(struct waiter *waiter))
{
    struct waiter waiter = {.lock = lock, .wait = wait, .notify = notify};
    lw_task task;

    waiter.condition = (lw_condition)LW_CONDITION_INIT("condition");
    lw_keyed_condition_init(&waiter.keyed, "keyed", lock);
    task = start_waiter(wait_with_it, &waiter);
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    waiter.notify(&waiter);
    for (int times = 0; times < 3; times++)
        AWAIT(lw_purge_waiters(lock) == 1);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(task), 0);
}

static int send_all_away(void *arg)
{
    (void)arg;
    mutex = (lw_mutex)LW_MUTEX_INIT("mutex");
    rlock = (lw_rlock)LW_RLOCK_INIT("rlock");
    priority_lock = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("priority lock");
    rw = (lw_rwlock)LW_RWLOCK_INIT("rwlock", LW_RWLOCK_PHASE_FAIR);
    for (int i = 0; i < LOCKS; i++) {
        send_away(locks[i], wait_for_condition, notify_condition);
        send_away(locks[i], wait_for_key, notify_key);
        send_away(locks[i], release_meanwhile, end_release);
    }
    return 0;
}

Test(purge_relock, r169_r290_a_purge_does_not_keep_the_lock_from_who_gets_it_back)
{
    run_all(send_all_away, NULL);
}
