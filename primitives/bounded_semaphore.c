/* SPDX-License-Identifier: MIT */
/* lw_bounded_semaphore: permits that belong to who acquired them (permits.h, sort HELD).
 *
 * _number is how many are held, above the flags is the bound; what is free is their difference, and
 * nothing is while the bound is below what is held.  A task's permits are holds of its record
 * (hold.h): there a release finds whether it has them.
 *
 * INCONSISTENT and DEAD as of a lock: a task has ended, and still held some.  But a release leaves
 * the mark: who had permits before it came cannot be told from who took them knowing of it. */
#include <latchwork/semaphore.h>

#include "primitives/permits.h"
#include "runtime/fork.h"

#define SORT LW_PERMITS_HELD

static LW_NOINLINE int acquire_slow(lw_lock *lock, uint32_t permits, lw_nsec deadline,
                                    const void *site, bool knowing)
{
    struct lw_permits_call call = {NULL, deadline, site, permits, 0, knowing};
    int err = lw_wait_enter(&call.me, deadline);

    if (err < 0)
        return err;
    if (permits == 0 || !lw_permits_are_made(lock))
        return -EINVAL;
    if (lw_is_given(call.me))
        (void)lw_given_take(call.me);
    err = lw_hold_reserve_units(lw_record_cold(call.me), permits);
    if (err < 0)
        return err;
    err = lw_permits_acquire(SORT, lock, &call);
    if (err == 0)
        lw_hold_push_units(lw_record_cold(call.me), lock, site, permits);
    else
        lw_hold_unreserve(lw_record_cold(call.me));
    return err;
}

int lw_bounded_semaphore_acquire_marked(lw_lock *lock, lw_nsec deadline, const void *site)
{
    int err = acquire_slow(lock, 1, deadline, site, true);

    return err < 0 ? err : lw_lock_is_marked(lock);
}

/* A zeroed semaphore, whose bound is 0, gets nobody past the first look. */
LW_INLINE int acquire(lw_lock *lock, uint32_t permits, lw_nsec deadline, const void *site)
{
    struct lw_record *me = lw_enter_quickly(deadline);

    if (lw_unlikely(me == NULL || !lw_hold_has_room_for_units(lw_record_cold(me), permits) ||
                    !lw_permits_acquire_quickly(SORT, lock, permits)))
        return acquire_slow(lock, permits, deadline, site, false);
    return lw_hold_push_few(lw_record_cold(me), lock, site, permits);
}

int lw_bounded_semaphore_acquire_at(lw_lock *lock, uint32_t permits, lw_nsec deadline,
                                    const void *site)
{
    return acquire(lock, permits, deadline, site);
}

int lw_bounded_semaphore_acquire(lw_bounded_semaphore *semaphore, uint32_t permits,
                                 lw_nsec deadline)
{
    return acquire(&semaphore->lock, permits, deadline, __builtin_return_address(0));
}

void lw_bounded_semaphore_give(lw_lock *lock, uint32_t permits, uint64_t flag)
{
    struct lw_wake_batch woken = {0};
    uint64_t word = lw_permits_take_guard(lock) | flag;

    lw_store_rlx(&lock->_number, lw_load_rlx(&lock->_number) - permits);
    if (flag == 0)
        lw_permits_serve(SORT, lock, word, &woken);
    else
        lw_queue_claim_all(&lock->_queue, &woken);
    lw_permits_drop_guard(SORT, lock, word);
    lw_wake_collected(&woken, flag == 0 ? LW_GRANTED : LW_RETRY);
}

int lw_bounded_semaphore_release(lw_bounded_semaphore *semaphore, uint32_t permits)
{
    lw_lock *lock = &semaphore->lock;
    struct lw_record *me = lw_current();
    int err = -EPERM;

    if (permits == 0 || !lw_permits_are_made(lock))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    if (me != NULL && lw_is_given(me) && lw_given_take(me) < 0)
        err = -ENOMEM;
    if (me == NULL || lw_load_rlx(&lock->_number) < permits ||
        (!lw_hold_pop_units(lw_record_cold(me), lock, permits) &&
         !lw_hold_drop_units(lw_record_cold(me), lock, permits)))
        return err;
    if (lw_unlikely(!lw_permits_give_quickly(lock, permits)))
        lw_bounded_semaphore_give(lock, permits, 0);
    return 0;
}

bool lw_bounded_semaphore_locked(const lw_bounded_semaphore *semaphore)
{
    const lw_lock *lock = &semaphore->lock;
    uint64_t word = lw_load_rlx(&lock->_word._value);

    return (word & LW_LOCK_QUEUED) != 0 || !lw_permits_are_there(SORT, lock, word, 1);
}

int64_t lw_bounded_semaphore_bound(const lw_bounded_semaphore *semaphore)
{
    return (int64_t)(lw_load_rlx(&semaphore->lock._word._value) >> LW_LOCK_OWNER_SHIFT);
}

/* Under the guard: how many permits there are in all.  The detector takes the largest number that
 * one of them says: for a moment some may say one that is too large, and nobody is accused. */
static bool tell_waiters(lw_lock *lock, uint64_t bound)
{
    struct lw_node *head = lw_queue_head(&lock->_queue), *waiter = head;

    while (waiter != NULL) {
        lw_store_rlx(&lw_node_cold(waiter)->owner, bound);
        waiter = waiter->next != head ? waiter->next : NULL;
    }
    return head != NULL;
}

int lw_bounded_semaphore_set_bound(lw_bounded_semaphore *semaphore, int64_t bound)
{
    lw_lock *lock = &semaphore->lock;
    struct lw_wake_batch served = {0};
    uint64_t word, before;
    bool waits, changed;

    if (bound < 0 || bound > UINT32_MAX || !lw_permits_are_made(lock))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    before = lw_permits_take_guard(lock);
    word = (before & LW_LOCK_FLAGS) | (uint64_t)bound << LW_LOCK_OWNER_SHIFT;
    lw_permits_serve(SORT, lock, word, &served);
    waits = tell_waiters(lock, (uint64_t)bound);
    lw_permits_drop_guard(SORT, lock, word);
    changed = (waits && word < before) || served.count != 0;
    lw_wake_collected(&served, LW_GRANTED);
    if (changed) /* and who is served may have been in a set that has hidden another one */
        lw_owner_has_changed();
    return 0;
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
    return lw_bounded_semaphore_release((lw_bounded_semaphore *)lock, 1);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_bounded_semaphore_locked((const lw_bounded_semaphore *)lock);
}

const lw_lock_kind lw_bounded_semaphore_kind = {
    .name = "bounded semaphore",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
    ._self = &lw_bounded_semaphore_kind,
    ._acquire_at = kind_acquire_at,
};
