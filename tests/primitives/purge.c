/* SPDX-License-Identifier: MIT */
/* The laws of lw_purge_waiters(), for every kind of lock. */
#include "tests/primitives/kinds.h"

TestSuite(purge, .init = watchdog);

/* ---- who waits is told, who owns keeps */

enum { WAITERS = 5 };

static int purge_five(void *arg)
{
    lw_lock *lock = arg;
    lw_task waiters[WAITERS];

    cr_assert_eq(lw_purge_waiters(lock), 0, "R065: nobody waits");
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    cr_assert_eq(lw_purge_waiters(lock), 0, "R065");
    for (int i = 0; i < WAITERS; i++) {
        lw_task_options options = {.priority = i % 2};

        cr_assert_eq(lw_spawn(&waiters[i], acquire_and_release, lock, &options), 0);
        AWAIT(is_waiting(waiters[i]));
    }
    cr_assert_eq(lw_purge_waiters(lock), WAITERS);
    cr_assert_null(lock->_queue, "R063: the queue is empty");
    cr_assert_not(lw_load_acq(&lock->_word._value) & LW_LOCK_QUEUED);
    for (int i = 0; i < WAITERS; i++)
        cr_assert_eq(join_status(waiters[i]), -EPIPE, "R063");
    cr_assert(lw_locked(lock), "the owner keeps it");
    cr_assert_eq(lw_release(lock), 0);
    assert_as_made(lock);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0, "R066: who comes next is not concerned");
    cr_assert_eq(lw_release(lock), 0, "R066");
    assert_as_made(lock);
    return 0;
}

Test(purge, all_who_wait_are_told_and_the_owner_keeps_it)
{
    run_kinds(ALL_KINDS, purge_five);
}

static void *acquire_in_thread(void *arg)
{
    return (void *)(intptr_t)acquire_and_release(arg);
}

Test(purge, plain_threads_are_told_as_well)
{
    for (int i = 0; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];
        pthread_t thread;
        void *result;

        cr_assert_eq(lw_acquire(&lock, LW_FOREVER), 0);
        cr_assert_eq(pthread_create(&thread, NULL, acquire_in_thread, &lock), 0);
        AWAIT((lw_load_acq(&lock._word._value) & LW_LOCK_QUEUED) != 0);
        cr_assert_eq(lw_purge_waiters(&lock), 1);
        cr_assert_eq(pthread_join(thread, &result), 0);
        cr_assert_eq((intptr_t)result, -EPIPE);
        cr_assert_eq(lw_release(&lock), 0);
        assert_as_made(&lock);
    }
}

/* ---- who was granted it has it */

/* One worker: the heir does not run before the purge. */
static int purge_after_the_grant(void *arg)
{
    lw_lock *lock = arg;
    lw_task heir, next;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    heir = start_waiter(acquire_and_release, lock);
    next = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(lw_purge_waiters(lock), 1);
    cr_assert_eq(join_status(heir), 0, "R064");
    cr_assert_eq(join_status(next), -EPIPE);
    assert_as_made(lock);
    return 0;
}

Test(purge, one_to_whom_it_was_granted_keeps_it)
{
    for (int i = 0; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];

        run_with(1, purge_after_the_grant, &lock);
    }
}

/* A mutex's heir that was passed by somebody is on its way, and waits again, before others. */
static int purge_past_the_heir(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("passed");
    lw_task heir, next;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    heir = start_waiter(acquire_and_release, &mutex);
    next = start_waiter(acquire_and_release, &mutex);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0); /* past it */
    cr_assert_eq(lw_purge_waiters(&mutex.lock), 1);
    cr_assert_eq(join_status(next), -EPIPE);
    AWAIT(is_waiting(heir));
    cr_assert_eq(lw_purge_waiters(&mutex.lock), 1);
    cr_assert_eq(join_status(heir), -EPIPE);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    assert_as_made(&mutex.lock);
    return 0;
}

Test(purge, a_mutex_whose_heir_is_on_its_way_is_not_forgotten)
{
    run_with(1, purge_past_the_heir, NULL);
}

/* One that lost for long has asked that the mutex be handed to it; its purge takes that back. */
static int starve(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("starved");
    lw_task waiter;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    waiter = start_waiter(acquire_and_release, &mutex);
    while (!(lw_load_acq(&mutex.lock._word._value) & LW_LOCK_FAIR)) {
        cr_assert_eq(lw_sleep(lw_in(2 * LW_MS)), 0);
        cr_assert_eq(lw_mutex_release(&mutex), 0);
        cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
        lw_yield();
    }
    cr_assert_eq(lw_purge_waiters(&mutex.lock), 1);
    cr_assert_eq(join_status(waiter), -EPIPE);
    cr_assert_eq(lw_load_acq(&mutex.lock._word._value) & LW_LOCK_FLAGS, 0);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    assert_as_made(&mutex.lock);
    return 0;
}

Test(purge, a_mutex_that_was_to_be_handed_on_is_free_again)
{
    run_with(1, starve, NULL);
}

/* ---- permits */

static int acquire_three(void *arg)
{
    lw_bounded_semaphore *semaphore = arg;
    int err = lw_bounded_semaphore_acquire(semaphore, 3, LW_FOREVER);

    return err < 0 ? err : lw_bounded_semaphore_release(semaphore, 3);
}

static int purge_permits(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("three", 3);
    lw_task waiter;

    (void)arg;
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_NOW), 0);
    waiter = start_waiter(acquire_three, &semaphore);
    cr_assert(lw_bounded_semaphore_locked(&semaphore), "two are free, but somebody is in line");
    cr_assert_eq(lw_purge_waiters(&semaphore.lock), 1);
    cr_assert_eq(join_status(waiter), -EPIPE);
    cr_assert_not(lw_bounded_semaphore_locked(&semaphore));
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 2, LW_NOW), 0, "none was lost");
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 3), 0);
    cr_assert_eq(semaphore.lock._number, 0);
    return 0;
}

Test(purge, permits_that_were_free_are_free)
{
    run_all(purge_permits, NULL);
}

/* ---- kinds */

static int purges;

static int purge_of_my_own(lw_lock *lock)
{
    (void)lock;
    return ++purges;
}

static int purge_by_kind(void *arg)
{
    lw_lock_kind kind = lw_rlock_kind, incomplete = lw_rlock_kind;
    lw_rlock lock = LW_RLOCK_INIT("mine");

    (void)arg;
    purges = 0;
    kind.purge_waiters = purge_of_my_own;
    lock.lock.kind = &kind;
    cr_assert_eq(lw_purge_waiters(&lock.lock), 1);
    cr_assert_eq(lw_purge_waiters(&lock.lock), 2);
    incomplete.locked = NULL;
    lock.lock.kind = &incomplete;
    cr_assert_eq(lw_purge_waiters(&lock.lock), -EINVAL);
    return 0;
}

Test(purge, the_kinds_own_is_asked_first)
{
    run_with(1, purge_by_kind, NULL);
}

/* ---- crowds: each acquire has one end, and in the end the lock is as it was made */

static long granted, cut_short, purged, told;
static int inside;

static void act(struct member *member)
{
    lw_lock *lock = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        int err;

        if (member->index == 0) {
            (void)__atomic_add_fetch(&told, lw_purge_waiters(lock), __ATOMIC_RELAXED);
            lw_yield();
            continue;
        }
        err = lw_acquire(lock, random_deadline(member));
        (void)__atomic_add_fetch(err == 0        ? &granted
                                 : err == -EPIPE ? &purged
                                                 : &cut_short,
                                 1, __ATOMIC_RELAXED);
        if (err == 0) {
            cr_assert_eq(__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED), 0);
            maybe_yield(member);
            cr_assert_eq(__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED), 1);
            cr_assert_eq(lw_release(lock), 0);
        } else {
            cr_assert(err == -EPIPE || is_interruption(err), "%d", err);
        }
    }
}

static int crowds(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(15); seed++) {
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .cancels = true, .act = act, .object = arg, .seed = seed};

        granted = cut_short = purged = told = 0;
        crowd_run(&crowd);
        cr_assert_eq(granted + cut_short + purged, 9 * 60);
        cr_assert_eq(purged, told, "%ld were told, %ld were counted", purged, told);
        assert_as_made(arg);
    }
    return 0;
}

Test(purge, each_wait_that_is_counted_was_told)
{
    run_kinds(ALL_KINDS, crowds);
}
