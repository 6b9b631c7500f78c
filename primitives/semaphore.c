/* SPDX-License-Identifier: MIT */
/* lw_semaphore: a number of permits that are nobody's (permits.h). */
#include <latchwork/semaphore.h>

#include "primitives/permits.h"
#include "runtime/fork.h"

#define GUARD LW_LOCK_GUARD
#define QUEUED LW_LOCK_QUEUED

static LW_NOINLINE int acquire_slow(lw_lock *lock, struct lw_record *me, uint32_t permits,
                                    lw_nsec deadline, const void *site)
{
    struct lw_permits_call call = {me, deadline, site, permits, 0, false};

    return permits == 0 || lock->kind == NULL ? -EINVAL
                                              : lw_permits_acquire(LW_PERMITS_FREE, lock, &call);
}

LW_INLINE int acquire(lw_lock *lock, uint32_t permits, lw_nsec deadline, const void *site)
{
    uint64_t idle = 0;
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (lw_unlikely(err < 0))
        return err;
    if (lw_likely(permits != 0 && lw_cas_acq(&lock->_word._value, &idle, GUARD))) { /* [S1] */
        uint32_t free = lw_load_rlx(&lock->_number);
        bool enough = free >= permits;

        if (lw_likely(enough))
            lw_store_rlx(&lock->_number, free - permits);
        lw_store_rel(&lock->_word._value, 0); /* [S1] */
        if (lw_likely(enough))
            return 0;
    }
    return acquire_slow(lock, me, permits, deadline, site);
}

int lw_semaphore_acquire(lw_semaphore *semaphore, uint32_t permits, lw_nsec deadline)
{
    return acquire(&semaphore->lock, permits, deadline, __builtin_return_address(0));
}

int lw_semaphore_release(lw_semaphore *semaphore, uint32_t permits)
{
    lw_lock *lock = &semaphore->lock;
    struct lw_wake_batch served = {0};
    int err = -EOVERFLOW;
    uint64_t word;
    uint32_t free;

    if (lw_unlikely(permits == 0 || lock->kind == NULL))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    word = lw_permits_take_guard(lock);
    free = lw_load_rlx(&lock->_number);
    if (lw_likely(free <= UINT32_MAX - permits)) {
        lw_store_rlx(&lock->_number, free + permits);
        if (lock->_queue != NULL)
            lw_permits_serve(LW_PERMITS_FREE, lock, word, &served);
        err = 0;
    }
    lw_permits_drop_guard(LW_PERMITS_FREE, lock, word);
    lw_wake_collected(&served, LW_GRANTED);
    return err;
}

bool lw_semaphore_locked(const lw_semaphore *semaphore)
{
    const lw_lock *lock = &semaphore->lock;

    return lw_load_rlx(&lock->_number) == 0 || (lw_load_rlx(&lock->_word._value) & QUEUED) != 0;
}

int64_t lw_semaphore_available(const lw_semaphore *semaphore)
{
    return lw_load_rlx(&semaphore->lock._number);
}

static int kind_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    return acquire(lock, 1, deadline, site);
}

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return acquire(lock, 1, deadline, __builtin_return_address(0));
}

static int kind_release(lw_lock *lock)
{
    return lw_semaphore_release((lw_semaphore *)lock, 1);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_semaphore_locked((const lw_semaphore *)lock);
}

/* Permits are nobody's. */
static lw_task kind_owner(const lw_lock *lock)
{
    (void)lock;
    return (lw_task){0};
}

const lw_lock_kind lw_semaphore_kind = {
    .name = "semaphore",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
    .owner = kind_owner,
    ._self = &lw_semaphore_kind,
    ._acquire_at = kind_acquire_at,
};
