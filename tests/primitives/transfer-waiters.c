/* SPDX-License-Identifier: MIT */
/* The laws of lw_transfer() to one that asked for the lock itself, and is on its way. */
#include "tests/primitives/kinds.h"

#include "primitives/rwlock.h"
#include "runtime/os/os.h"

#include <latchwork/condition.h>

TestSuite(transfer_waiters, .init = watchdog);

static int acquire_look_and_release(void *arg)
{
    lw_lock *lock = arg;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    cr_assert(lw_owned(lock));
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(lw_release(lock), -EPERM, "it has it once");
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

static int64_t no_time_passes(void)
{
    return 1000000000;
}

/* It is woken to try again, and has not run yet.  On a slow machine it would be handed the lock,
 * having waited for a millisecond. */
static int hand_to_one_on_its_way(void *arg)
{
    lw_lock *lock = arg;
    lw_task waiter;

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    waiter = start_waiter(acquire_look_and_release, lock);
    cr_assert_eq(lw_transfer(lock, waiter), -EBUSY, "it waits");
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_transfer(lock, waiter), 0);
    cr_assert_eq(lw_owner(lock).id, waiter.id);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_not(lw_locked(lock));
    cr_assert_null(lock->_queue);
    return 0;
}

Test(transfer_waiters, one_that_is_on_its_way_has_it_when_it_is_back)
{
    lw_mutex mutex = LW_MUTEX_INIT("mutex");
    lw_rwlock rw = LW_RWLOCK_INIT("rwlock", 0);

    lw_sys.now = no_time_passes;
    run_with(1, hand_to_one_on_its_way, &mutex.lock);
    run_with(1, hand_to_one_on_its_way, &rw.write);
    cr_assert_eq(rw.write._word._value, LW_RW_FREE);
}

struct meeting {
    lw_lock *lock;
    lw_condition condition;
};

static int wait_look_and_release(void *arg)
{
    struct meeting *meeting = arg;

    cr_assert_eq(lw_acquire(meeting->lock, LW_FOREVER), 0);
    cr_assert_eq(lw_condition_wait(&meeting->condition, meeting->lock, LW_FOREVER), 0);
    cr_assert(lw_owned(meeting->lock));
    cr_assert_eq(lw_release(meeting->lock), 0);
    cr_assert_eq(lw_release(meeting->lock), -EPERM, "it has it once");
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

static int hand_to_one_that_waits_to_be_told(void *arg)
{
    struct meeting meeting = {.lock = arg};
    lw_task waiter = start_waiter(wait_look_and_release, &meeting);

    cr_assert_eq(lw_acquire(meeting.lock, LW_NOW), 0);
    cr_assert_eq(lw_transfer(meeting.lock, waiter), 0);
    cr_assert_eq(lw_owner(meeting.lock).id, waiter.id);
    cr_assert_eq(lw_condition_notify(&meeting.condition, 1), 1);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_not(lw_locked(meeting.lock));
    cr_assert_null(meeting.lock->_queue);
    return 0;
}

/* What it would take again it has already. */
Test(transfer_waiters, one_in_a_wait_with_the_lock_has_it_once)
{
    lw_mutex mutex = LW_MUTEX_INIT("mutex");
    lw_rlock rlock = LW_RLOCK_INIT("rlock");
    lw_priority_lock ranked = LW_PRIORITY_LOCK_INIT("priority lock");
    lw_rwlock rw = LW_RWLOCK_INIT("rwlock", 0);
    lw_lock *locks[] = {&mutex.lock, &rlock.lock, &ranked.lock, &rw.write};

    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        run_with(1, hand_to_one_that_waits_to_be_told, locks[i]);
}
