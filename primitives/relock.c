/* SPDX-License-Identifier: MIT */
/* Waiting with a lock of any kind that is let go meanwhile.
 *
 * The wait is published, and its record queued, before the lock is released: who takes the lock
 * next finds the waiter.  Between the two the wait is ARMED: it can be granted already, but a
 * detector does not look at it before it has let go of what it held. */
#include "primitives/relock.h"

#include <errno.h>
#include <latchwork/semaphore.h>

#include "primitives/lock.h"
#include "runtime/worker.h"

/* How many permits of it the caller has; 0 of other locks. */
static uint32_t permits_of(const lw_lock *lock, struct lw_record *me)
{
    uint64_t units;

    if ((lw_load_rlx(&lock->_word._value) & LW_LOCK_SORT) != LW_LOCK_COUNT)
        return 0;
    if (lw_is_given(me))
        (void)lw_given_take(me);
    units = lw_hold_units_of(lw_record_cold(me), lock);
    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

bool lw_relock_has(const lw_lock *lock)
{
    struct lw_record *me = lw_current();

    return lw_owned(lock) || (me != NULL && permits_of(lock, me) > 0);
}

/* Release the lock until it is the caller's no more; *depth: how often.  0, or why it could not. */
static int release_wholly(lw_lock *lock, struct lw_record *me, uint32_t *depth)
{
    int err = 0;

    *depth = 0;
    if (lock->kind == &lw_bounded_semaphore_kind) {
        *depth = permits_of(lock, me);
        return lw_bounded_semaphore_release((lw_bounded_semaphore *)lock, *depth);
    }
    while (err == 0 && lw_relock_has(lock)) {
        err = lw_release(lock);
        if (err == 0)
            ++*depth;
    }
    return err > 0 ? -EPERM : err;
}

/* All permits at once: who has some and waits for others may wait for one who does the same. */
static int take_again(lw_lock *lock, uint32_t *depth, const void *site)
{
    uint32_t permits = lock->kind == &lw_bounded_semaphore_kind ? *depth : 1;

    *depth -= permits;
    return permits == 1 ? lw_lock_acquire_at(lock, LW_FOREVER, site)
                        : lw_bounded_semaphore_acquire_at(lock, permits, LW_FOREVER, site);
}

int lw_relock_take(lw_lock *lock, struct lw_record *me, uint32_t depth, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint16_t shields = lw_load_rlx(&cold->shields);
    int err = 0;

    lw_store_rlx(&cold->shields, (uint16_t)(shields + 1));
    while (err == 0 && depth > 0) {
        uint32_t before = depth;

        err = take_again(lock, &depth, site);
        if (err == -EDEADLK && lw_owned(lock)) /* it has just been handed to us */
            err = 0;
        if (err == -EPIPE) { /* sent away by a purge, which no re-acquire may heed: to the end */
            err = 0;
            depth = before;
        }
    }
    lw_store_rlx(&cold->shields, shields);
    return err;
}

int lw_relock_wait(lw_lock *lock, struct lw_record *me, const void *site,
                   void (*leave)(void *arg, struct lw_record *me), void *arg)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t sequence = lw_load_rlx(&cold->wait) >> LW_STATE_BITS;
    enum lw_outcome outcome;
    uint32_t depth;
    int err, refused, retaken;

    refused = release_wholly(lock, me, &depth);
    /* A record has one wait: a release that waits has wrecked ours, and our place in the queue. */
    lw_check(lw_load_rlx(&cold->wait) >> LW_STATE_BITS == sequence);
    lw_owner_hint(me); /* of what else it holds */
    outcome = refused < 0 && lw_wait_end_own(me, LW_CLOSED) ? LW_CLOSED : lw_wait_finish(me);
    if (outcome != LW_GRANTED)
        leave(arg, me);
    /* Notified is notified, though the lock could not be let go of all the same. */
    err = refused < 0 && outcome != LW_GRANTED ? refused : lw_wait_error(me, outcome);
    if (refused == 0 && depth > 0 && lw_owned(lock)) /* it has been handed to us (transfer.c) */
        depth--;
    retaken = lw_relock_take(lock, me, depth, site);
    if (retaken < 0)
        err = retaken;
    if (outcome != LW_GRANTED && err != lw_wait_error(me, outcome))
        lw_wait_restore(me, outcome); /* it is not what we say: due at the next wait */
    return err;
}
