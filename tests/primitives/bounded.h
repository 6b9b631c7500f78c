/* SPDX-License-Identifier: MIT */
/* What the suites of lw_bounded_semaphore share. */
#ifndef LW_TESTS_PRIMITIVES_BOUNDED_H
#define LW_TESTS_PRIMITIVES_BOUNDED_H

#include "tests/primitives/crowd.h"

#include "primitives/hold.h"
#include "primitives/lock.h"

static inline uint32_t held(lw_bounded_semaphore *semaphore)
{
    return lw_load_rlx(&semaphore->lock._number);
}

static inline void assert_idle(lw_bounded_semaphore *semaphore, int64_t bound)
{
    cr_assert_eq(held(semaphore), 0);
    cr_assert_eq(lw_bounded_semaphore_bound(semaphore), bound);
    cr_assert_null(semaphore->lock._queue);
    cr_assert_eq(lw_bounded_semaphore_locked(semaphore), bound == 0);
}

static inline uint32_t holds_of_caller(void)
{
    return lw_record_cold(lw_current())->nheld;
}

#endif
