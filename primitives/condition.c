/* SPDX-License-Identifier: MIT */
/* lw_condition: a queue, and a lock of any kind that is let go meanwhile.
 *
 * A waiter queues first, then releases the lock, then waits (relock.c): so a notify by whoever
 * takes the lock next finds it.  A notify wins or loses a waiter by one compare-and-swap against
 * its deadline and its cancel; one that loses takes the next waiter.  So no notify is lost on one
 * who gave up, and none who was notified reports that it gave up.
 *
 * The word has two bits, GUARD and QUEUED (exactly if the queue is not empty), and is written under
 * the guard only.
 *
 * [C1] section to section: GUARD dropped by a release store -> taken by CAS acquire.  A notify that
 *      sees no QUEUED needs no order: who waits has queued before the lock was released. */
#include <latchwork/condition.h>

#include <errno.h>

#include "primitives/lock.h"
#include "primitives/relock.h"
#include "runtime/fork.h"

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

static void leave(void *arg, struct lw_record *me)
{
    lw_condition *condition = arg;

    take_guard(condition);
    lw_queue_remove(&condition->wait._queue, &lw_record_cold(me)->node);
    drop_guard(condition);
}

static int wait_at(lw_condition *condition, lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_record *me = lw_current();

    if (me == NULL || !lw_relock_has(lock))
        return -EPERM;
    if (deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    take_guard(condition);
    lw_wait_begin(me, LW_WAIT_CONDITION, condition, condition->wait.name, deadline, site);
    lw_queue_push(&condition->wait._queue, &lw_record_cold(me)->node);
    drop_guard(condition);
    return lw_relock_wait(lock, me, site, leave, condition);
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

    if (!lw_relock_has(lock))
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
