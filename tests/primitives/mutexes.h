/* SPDX-License-Identifier: MIT */
/* What the suites of the mutex and of what is held share. */
#ifndef LW_TESTS_PRIMITIVES_MUTEXES_H
#define LW_TESTS_PRIMITIVES_MUTEXES_H

#include "tests/primitives/crowd.h"

static inline uint64_t word_of(lw_mutex *mutex)
{
    return lw_load_acq(&mutex->lock._word._value);
}

static inline void assert_free(lw_mutex *mutex)
{
    cr_assert_eq(word_of(mutex), 0);
    cr_assert_null(mutex->lock._queue);
    cr_assert_not(lw_mutex_locked(mutex));
    cr_assert_eq(lw_owner(&mutex->lock).id, 0);
}

static inline int acquire_forever(void *arg)
{
    lw_mutex *mutex = arg;
    int err = lw_mutex_acquire(mutex, LW_FOREVER);

    return err < 0 ? err : lw_mutex_release(mutex);
}

#endif
