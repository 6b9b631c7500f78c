/* SPDX-License-Identifier: MIT */
/* A rate limit as a lock: an acquire takes its default amount. */
#include <latchwork/rate_limit.h>

#include "primitives/lock.h"

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_rate_limit_acquire_default(lock, deadline, __builtin_return_address(0));
}

/* As much as a scope took. */
static int kind_release(lw_lock *lock)
{
    lw_rate_limit *limit = (lw_rate_limit *)(void *)lock;

    return lw_rate_limit_release(limit, limit->_default);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_rate_limit_locked((const lw_rate_limit *)(const void *)lock);
}

const lw_lock_kind lw_rate_limit_kind = {
    .name = "rate limit",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
    ._self = &lw_rate_limit_kind,
    ._acquire_at = lw_rate_limit_acquire_default,
};
