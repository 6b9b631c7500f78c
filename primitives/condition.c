/* SPDX-License-Identifier: MIT */
/* lw_condition: a queue, and a lock of any kind that is let go meanwhile.
 *
 * A waiter queues first, then releases the lock, then waits: so a notify by whoever takes the lock
 * next finds it.  Between the two its wait is ARMED: it can be notified already, but a detector
 * does not look at it before it has let go of what it held.  A notify wins or loses a waiter by one
 * compare-and-swap against its deadline and its cancel; one that loses takes the next waiter.  So
 * no notify is lost on one who gave up, and none who was notified reports that it gave up.
 *
 * The word has two bits, GUARD and QUEUED (exactly if the queue is not empty), and is written under
 * the guard only.
 *
 * [C1] section to section: GUARD dropped by a release store -> taken by CAS acquire.  A notify that
 *      sees no QUEUED needs no order: who waits has queued before the lock was released. */
#include <latchwork/condition.h>

#include <errno.h>

#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/worker.h"

enum { GUARD = 1, QUEUED = 2 };

static void take_guard(lw_condition *condition)
{
    (void)lw_guard_take(&condition->wait._word._value, GUARD); /* [C1] */
}

static void drop_guard(lw_condition *condition)
{
    uint64_t word = condition->wait._queue != NULL ? QUEUED : 0;

    lw_store_rel(&condition->wait._word._value, word); /* [C1] */
}

/* Release the lock until it is the caller's no more; *depth: how often.  0, or why it could not. */
static int release_wholly(lw_lock *lock, uint32_t *depth)
{
    int err = 0;

    *depth = 0;
    while (err == 0 && lw_owned(lock)) {
        err = lw_release(lock);
        if (err == 0)
            ++*depth;
    }
    return err > 0 ? -EPERM : err;
}

/* Shielded: the cancel that came meanwhile is kept for the next wait. */
static int take_again(lw_lock *lock, struct lw_cold *cold, uint32_t depth, const void *site)
{
    uint16_t shields = lw_load_rlx(&cold->shields);
    int err = 0;

    lw_store_rlx(&cold->shields, (uint16_t)(shields + 1));
    while (err == 0 && depth-- > 0)
        err = lw_lock_acquire_at(lock, LW_FOREVER, site);
    lw_store_rlx(&cold->shields, shields);
    return err;
}

static int wait_at(lw_condition *condition, lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_record *me = lw_current();
    struct lw_cold *cold;
    enum lw_outcome outcome;
    uint32_t depth;
    int err, refused, retaken;
    uint64_t sequence;

    if (me == NULL || !lw_owned(lock))
        return -EPERM;
    if (deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    cold = lw_record_cold(me);
    take_guard(condition);
    lw_wait_begin(me, LW_WAIT_CONDITION, condition, condition->wait.name, deadline, site);
    lw_queue_push(&condition->wait._queue, &cold->node);
    drop_guard(condition);

    sequence = lw_load_rlx(&cold->wait) >> LW_STATE_BITS;
    refused = release_wholly(lock, &depth);
    /* A record has one wait: a release that waits has wrecked ours, and our place in the queue. */
    lw_check(lw_load_rlx(&cold->wait) >> LW_STATE_BITS == sequence);
    outcome = refused < 0 && lw_wait_end_own(me, LW_CLOSED) ? LW_CLOSED : lw_wait_finish(me);
    if (outcome != LW_GRANTED) {
        take_guard(condition);
        lw_queue_remove(&condition->wait._queue, &cold->node);
        drop_guard(condition);
    }
    /* Notified is notified, though the lock could not be let go of all the same. */
    err = refused < 0 && outcome != LW_GRANTED ? refused : lw_wait_error(me, outcome);
    retaken = take_again(lock, cold, depth, site);
    if (retaken < 0)
        err = retaken;
    if (outcome == LW_CANCELLED && err != -ECANCELED)
        lw_cancel_restore(me); /* it is not what we say: due at the next wait */
    return err;
}

int lw_condition_wait(lw_condition *condition, lw_lock *lock, lw_nsec deadline)
{
    return wait_at(condition, lock, deadline, __builtin_return_address(0));
}

int lw_condition_wait_for(lw_condition *condition, lw_lock *lock, lw_predicate *predicate,
                          void *arg, lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);
    int err = 0;

    if (!lw_owned(lock))
        return -EPERM;
    while (err == 0 && !predicate(arg))
        err = wait_at(condition, lock, deadline, site);
    if (err == -ETIMEDOUT && predicate(arg))
        err = 0;
    return err;
}

uint32_t lw_condition_notify(lw_condition *condition, uint32_t count)
{
    struct lw_wake_batch woken = {0};
    struct lw_record *record;
    uint64_t word;
    uint32_t found;

    if (count == 0 || lw_forked())
        return 0;
    word = lw_load_rlx(&condition->wait._word._value); /* [C1] */
    if (!(word & QUEUED) && !lw_needed((word & GUARD) != 0))
        return 0;
    take_guard(condition);
    while (woken.count < count && (record = lw_queue_claim(&condition->wait._queue)) != NULL)
        lw_wake_batch_add(&woken, record);
    drop_guard(condition);
    found = woken.count;
    lw_wake_collected(&woken, LW_GRANTED);
    return found;
}
