/* SPDX-License-Identifier: MIT */
/* lw_priority_lock: handed on by priority. */
#include <latchwork/priority_lock.h>

#include "primitives/handed.h"

#define IDLE LW_LOCK_HEAP

int lw_priority_lock_acquire(lw_priority_lock *lock, int priority, lw_nsec deadline)
{
    return lw_handed_acquire(&lock->lock, IDLE, deadline, __builtin_return_address(0), priority,
                             LW_NESTS_NOT);
}

int lw_priority_lock_release(lw_priority_lock *lock)
{
    return lw_handed_release(&lock->lock, IDLE, LW_NESTS_NOT);
}

bool lw_priority_lock_locked(const lw_priority_lock *lock)
{
    return lw_handed_locked(&lock->lock);
}

LW_HANDED_KIND(priority_lock, "priority lock", IDLE, lw_lock_priority(), LW_NESTS_NOT);
