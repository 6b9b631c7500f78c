/* SPDX-License-Identifier: MIT */
/* lw_rlock: handed on first come first served; its owner may nest. */
#include <latchwork/rlock.h>

#include "primitives/handed.h"

#define IDLE LW_LOCK_HANDED

int lw_rlock_acquire(lw_rlock *lock, lw_nsec deadline)
{
    return lw_handed_acquire(&lock->lock, IDLE, deadline, __builtin_return_address(0), 0,
                             LW_NESTS);
}

int lw_rlock_release(lw_rlock *lock)
{
    return lw_handed_release(&lock->lock, IDLE, LW_NESTS);
}

bool lw_rlock_locked(const lw_rlock *lock)
{
    return lw_handed_locked(&lock->lock);
}

LW_HANDED_KIND(rlock, "reentrant lock", IDLE, 0, LW_NESTS);
