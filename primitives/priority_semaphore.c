/* SPDX-License-Identifier: MIT */
/* lw_priority_semaphore: permits that are nobody's, and go by priority (permits.h, sort RANKED).
 * _number is how many are free, above the flags is how many there were at the beginning.  A waiter
 * wants one: so while somebody waits, none is free. */
#include <latchwork/semaphore.h>

#include "primitives/permits.h"
#include "runtime/fork.h"

#define SORT LW_PERMITS_RANKED

static LW_NOINLINE int acquire_slow(lw_lock *lock, int priority, lw_nsec deadline,
                                    const void *site)
{
    struct lw_permits_call call = {NULL, deadline, site, 1, priority, false};
    int err = lw_wait_enter(&call.me, deadline);

    if (err < 0)
        return err;
    return lw_permits_are_made(lock) ? lw_permits_acquire(SORT, lock, &call) : -EINVAL;
}

/* A zeroed semaphore has no permits. */
LW_INLINE int acquire(lw_lock *lock, int priority, lw_nsec deadline, const void *site)
{
    if (lw_unlikely(lw_enter_quickly(deadline) == NULL ||
                    !lw_permits_acquire_quickly(SORT, lock, 1)))
        return acquire_slow(lock, priority, deadline, site);
    return 0;
}

int lw_priority_semaphore_acquire(lw_priority_semaphore *semaphore, int priority,
                                  lw_nsec deadline)
{
    return acquire(&semaphore->lock, priority, deadline, __builtin_return_address(0));
}

/* Make the number of free permits what it would be if nobody waited, and serve; if more than `most`
 * are free then, one of them is too many, and goes: false. */
static bool set_free(lw_lock *lock, uint64_t word, uint32_t free, uint64_t most)
{
    struct lw_wake_batch served = {0};
    bool fits;

    lw_store_rlx(&lock->_number, free);
    lw_permits_serve(SORT, lock, word, &served);
    fits = lw_load_rlx(&lock->_number) <= most;
    if (!fits)
        lw_store_rlx(&lock->_number, lw_load_rlx(&lock->_number) - 1);
    lw_permits_drop_guard(SORT, lock, word);
    lw_wake_collected(&served, LW_GRANTED);
    return fits;
}

int lw_priority_semaphore_release(lw_priority_semaphore *semaphore, uint32_t flags)
{
    lw_lock *lock = &semaphore->lock;
    uint64_t word, most;
    uint32_t free;

    if ((flags & ~LW_STRICT) != 0 || !lw_permits_are_made(lock))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    word = lw_permits_take_guard(lock);
    free = lw_load_rlx(&lock->_number);
    most = (flags & LW_STRICT) != 0 ? word >> LW_LOCK_OWNER_SHIFT : UINT32_MAX;
    if (free == UINT32_MAX) {
        lw_permits_drop_guard(SORT, lock, word);
        return -EOVERFLOW;
    }
    return set_free(lock, word, free + 1, most) ? 0 : -EOVERFLOW;
}

bool lw_priority_semaphore_locked(const lw_priority_semaphore *semaphore)
{
    return lw_load_rlx(&semaphore->lock._number) == 0;
}

void lw_priority_semaphore_reset(lw_priority_semaphore *semaphore)
{
    lw_lock *lock = &semaphore->lock;
    uint64_t word;

    if (!lw_permits_are_made(lock) || lw_forked())
        return;
    word = lw_permits_take_guard(lock);
    (void)set_free(lock, word, (uint32_t)(word >> LW_LOCK_OWNER_SHIFT), UINT32_MAX);
}

static int kind_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    return acquire(lock, lw_lock_priority(), deadline, site);
}

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return kind_acquire_at(lock, deadline, __builtin_return_address(0));
}

/* As much as a scope took. */
static int kind_release(lw_lock *lock)
{
    return lw_priority_semaphore_release((lw_priority_semaphore *)lock, 0);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_priority_semaphore_locked((const lw_priority_semaphore *)lock);
}

const lw_lock_kind lw_priority_semaphore_kind = {
    .name = "priority semaphore",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
    ._self = &lw_priority_semaphore_kind,
    ._acquire_at = kind_acquire_at,
};
