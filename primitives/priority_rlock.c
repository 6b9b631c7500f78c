/* SPDX-License-Identifier: MIT */
/* lw_priority_rlock: handed on by priority; its owner may nest. */
#include <latchwork/priority_lock.h>

#include "primitives/handed.h"

#define IDLE LW_LOCK_HEAP

int lw_priority_rlock_acquire(lw_priority_rlock *lock, int priority, lw_nsec deadline)
{
    return lw_handed_acquire(&lock->lock, IDLE, deadline, __builtin_return_address(0), priority,
                             LW_NESTS);
}

int lw_priority_rlock_release(lw_priority_rlock *lock)
{
    return lw_handed_release(&lock->lock, IDLE, LW_NESTS);
}

bool lw_priority_rlock_locked(const lw_priority_rlock *lock)
{
    return lw_handed_locked(&lock->lock);
}

LW_HANDED_KIND(priority_rlock, "reentrant priority lock", IDLE, lw_lock_priority(), LW_NESTS);
