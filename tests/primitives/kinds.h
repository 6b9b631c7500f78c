/* SPDX-License-Identifier: MIT */
/* Every kind of lock that lets one in at a time, for the suites of what all of them have. */
#ifndef LW_TESTS_PRIMITIVES_KINDS_H
#define LW_TESTS_PRIMITIVES_KINDS_H

#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

static const lw_mutex a_mutex = LW_MUTEX_INIT("mutex");
static const lw_rlock an_rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock a_priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_priority_rlock a_priority_rlock = LW_PRIORITY_RLOCK_INIT("priority rlock");
static const lw_bounded_semaphore a_bounded = LW_BOUNDED_SEMAPHORE_INIT("bounded", 1);
static const lw_semaphore a_semaphore = LW_SEMAPHORE_INIT("semaphore", 1);
static const lw_priority_semaphore a_ranked = LW_PRIORITY_SEMAPHORE_INIT("ranked", 1);

/* The first ones have an owner; the permits of the next belong to somebody. */
enum { OWNED_KINDS = 4, HELD_KINDS = 5, ALL_KINDS = 7 };
static const lw_lock *const kinds[ALL_KINDS] = {
    &a_mutex.lock,   &an_rlock.lock,    &a_priority_lock.lock, &a_priority_rlock.lock,
    &a_bounded.lock, &a_semaphore.lock, &a_ranked.lock,
};

/* fn(lock) with a new one of each of the first `count` kinds, on 1, 2 and 4 workers. */
static inline void run_kinds(int count, lw_fn *fn)
{
    for (int i = 0; i < count; i++)
        for (unsigned workers = 1; workers <= 4; workers *= 2) {
            lw_lock lock = *kinds[i];

            run_with(workers, fn, &lock);
        }
}

/* It is as it was made. */
static inline void assert_as_made(const lw_lock *lock)
{
    const lw_lock *made = NULL;

    for (int i = 0; i < ALL_KINDS; i++)
        if (kinds[i]->kind == lock->kind)
            made = kinds[i];
    cr_assert_eq(lw_load_acq(&lock->_word._value), made->_word._value, "%s", made->name);
    cr_assert_eq(lock->_number, made->_number, "%s", made->name);
    cr_assert_null(lock->_queue);
}

static inline uint32_t holds_of_caller(void)
{
    return lw_record_cold(lw_current())->nheld;
}

static inline int acquire_and_release(void *arg)
{
    lw_lock *lock = arg;
    int err = lw_acquire(lock, LW_FOREVER);

    return err < 0 ? err : lw_release(lock);
}

#endif
