/* SPDX-License-Identifier: MIT */
/* lw_keyed_condition: waiters by key (key_tree.h), a queue of observers who wait for the end of all
 * who were there before them, and a lock of any kind that is let go meanwhile (relock.h).
 *
 * An observer counts those who wait when it comes, and begins an epoch; each waiter has the epoch
 * in which it came.  Whoever goes is taken off the count of each observer of a later one.
 *
 * Invariants, whenever GUARD is not set.
 * - _waiting is how many are in the tree.
 * - An observer that is queued counts those of them who came before it; there is one at least.
 *
 * [K1] section to section: GUARD dropped by a release store -> taken by CAS acquire. */
#include <latchwork/keyed_condition.h>

#include <errno.h>

#include "primitives/key_tree.h"
#include "primitives/lock.h"
#include "primitives/relock.h"
#include "runtime/fork.h"

enum { GUARD = 1 };

/* On the observer's stack; its record points to it. */
struct observer {
    uint64_t epoch;
    uint32_t left;
};

/* 48 bits of it are kept with a waiter, and compared: enough for years of observers in a row. */
enum { EPOCH_HIGH = 32, EPOCH_UNUSED = 16 };

static void set_epoch(struct lw_cold *cold, uint64_t epoch)
{
    lw_store_rlx(&cold->ticket, (uint32_t)epoch);
    lw_store_rlx(&cold->units, (uint16_t)(epoch >> EPOCH_HIGH));
}

static uint64_t epoch_of(struct lw_cold *cold)
{
    return (uint64_t)lw_load_rlx(&cold->units) << EPOCH_HIGH | lw_load_rlx(&cold->ticket);
}

static bool is_later(uint64_t epoch, uint64_t than)
{
    return (int64_t)((epoch - than) << EPOCH_UNUSED) > 0;
}

static void take_guard(lw_keyed_condition *condition)
{
    (void)lw_guard_take(&condition->wait._word._value, GUARD); /* [K1] */
}

static void drop_guard(lw_keyed_condition *condition)
{
    lw_debug_check((condition->_waiting == 0) == (condition->wait._queue == NULL));
    lw_debug_check(condition->_waiting != 0 || condition->_observers == NULL);
    lw_store_rel(&condition->wait._word._value, 0); /* [K1] */
}

void lw_keyed_condition_init(lw_keyed_condition *condition, const char *name, lw_lock *lock)
{
    *condition = (lw_keyed_condition){.wait = LW_WAITABLE_INIT_(name),
                                      .lock = lock,
                                      ._mutex = LW_MUTEX_INIT(name)};
    if (lock == NULL)
        condition->lock = &condition->_mutex.lock;
}

/* ---- who goes; under the guard */

static void tell_observers(lw_keyed_condition *condition, uint64_t epoch,
                           struct lw_wake_batch *satisfied)
{
    struct lw_node *last = condition->_observers, *node, *next;
    bool more;

    if (last == NULL)
        return;
    node = last->next;
    do {
        struct observer *observer = lw_node_cold(node)->data;

        next = node->next;
        more = node != last;
        if (is_later(observer->epoch, epoch) && --observer->left == 0) {
            lw_queue_remove(&condition->_observers, node);
            if (lw_wake_claim(lw_node_record(node)))
                lw_wake_batch_add(satisfied, lw_node_record(node));
        }
        node = next;
    } while (more);
}

/* It was removed from the tree. */
static void gone(lw_keyed_condition *condition, struct lw_node *node,
                 struct lw_wake_batch *satisfied)
{
    condition->_waiting--;
    tell_observers(condition, epoch_of(lw_node_cold(node)), satisfied);
}

/* Of one key, whose first waiter is `first`.  How many were claimed. */
static uint32_t take_out(lw_keyed_condition *condition, struct lw_node *first, uint32_t count,
                         struct lw_wake_batch *notified, struct lw_wake_batch *satisfied)
{
    uint64_t key = lw_key_of(first);
    uint32_t found = 0;

    while (found < count && first != NULL) {
        bool claimed = lw_wake_claim(lw_node_record(first));

        lw_key_remove_first(&condition->wait._queue, first);
        gone(condition, first, satisfied);
        if (claimed)
            lw_wake_batch_add(notified, lw_node_record(first));
        found += claimed;
        first = found < count ? lw_key_find(condition->wait._queue, key) : NULL;
    }
    return found;
}

static void leave(void *arg, struct lw_record *me)
{
    lw_keyed_condition *condition = arg;
    struct lw_node *node = &lw_record_cold(me)->node;
    struct lw_wake_batch satisfied = {0};

    take_guard(condition);
    if (node->prev != NULL) {
        lw_key_remove(&condition->wait._queue, node);
        gone(condition, node, &satisfied);
    }
    drop_guard(condition);
    lw_wake_collected(&satisfied, LW_GRANTED);
}

/* ---- waiting */

static int wait_at(lw_keyed_condition *condition, uint64_t key, lw_nsec deadline, const void *site)
{
    struct lw_record *me = lw_current();
    struct lw_cold *cold;

    if (condition->lock == NULL)
        return -EINVAL;
    if (me == NULL || !lw_relock_has(condition->lock))
        return -EPERM;
    if (deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    cold = lw_record_cold(me);
    take_guard(condition);
    lw_wait_begin(me, LW_WAIT_CONDITION, condition, condition->wait.name, deadline, site);
    lw_store_rlx(&cold->key, key);
    set_epoch(cold, condition->_epoch);
    lw_key_push(&condition->wait._queue, &cold->node);
    condition->_waiting++;
    drop_guard(condition);
    return lw_relock_wait(condition->lock, me, site, leave, condition);
}

int lw_keyed_condition_wait(lw_keyed_condition *condition, uint64_t key, lw_nsec deadline)
{
    return wait_at(condition, key, deadline, __builtin_return_address(0));
}

int lw_keyed_condition_wait_for(lw_keyed_condition *condition, uint64_t key,
                                lw_predicate *predicate, void *arg, lw_nsec wait_max,
                                lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);
    int err = 0;

    if (condition->lock == NULL)
        return -EINVAL;
    if (!lw_relock_has(condition->lock))
        return -EPERM;
    while (err == 0 && !predicate(arg)) {
        lw_nsec until = wait_max > 0 ? lw_in(wait_max) : LW_NOW;

        err = wait_at(condition, key, until < deadline ? until : deadline, site);
    }
    if (err == -ETIMEDOUT && predicate(arg))
        err = 0;
    return err;
}

/* ---- observing */

static void stop_observing(void *arg, struct lw_record *me)
{
    lw_keyed_condition *condition = arg;

    take_guard(condition);
    lw_queue_remove(&condition->_observers, &lw_record_cold(me)->node);
    drop_guard(condition);
}

int lw_keyed_condition_wait_all(lw_keyed_condition *condition, lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);
    struct observer mine;
    struct lw_record *me;
    enum lw_outcome outcome;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    if (condition->lock == NULL)
        return -EINVAL;
    take_guard(condition);
    mine.left = condition->_waiting;
    err = mine.left == 0 ? 0 : deadline == LW_NOW ? lw_timeout_error(LW_NOW) : 1;
    if (err > 0) {
        mine.epoch = ++condition->_epoch;
        lw_wait_begin(me, LW_WAIT_CONDITION, condition, condition->wait.name, deadline, site);
        lw_record_cold(me)->data = &mine;
        lw_queue_push(&condition->_observers, &lw_record_cold(me)->node);
    }
    drop_guard(condition);
    if (err <= 0)
        return err;
    if (lw_relock_has(condition->lock))
        return lw_relock_wait(condition->lock, me, site, stop_observing, condition);
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED)
        stop_observing(condition, me);
    return lw_wait_error(me, outcome);
}

/* ---- notifying */

static int may_notify(const lw_keyed_condition *condition)
{
    if (lw_forked())
        return -ECHILD;
    if (condition->lock == NULL)
        return -EINVAL;
    return lw_relock_has(condition->lock) ? 0 : -EPERM;
}

/* Under the guard, which it drops.  The number of those who were notified, as a result. */
static int wake_notified(lw_keyed_condition *condition, struct lw_wake_batch *notified,
                         struct lw_wake_batch *satisfied, uint32_t found)
{
    drop_guard(condition);
    lw_wake_collected(notified, LW_GRANTED);
    lw_wake_collected(satisfied, LW_GRANTED);
    return found <= INT32_MAX ? (int)found : INT32_MAX;
}

int lw_keyed_condition_notify(lw_keyed_condition *condition, uint64_t key, uint32_t count,
                              uint32_t flags)
{
    struct lw_wake_batch notified = {0}, satisfied = {0};
    bool strict = (flags & LW_STRICT) != 0;
    struct lw_node *first;
    uint32_t found = 0;
    int err;

    if ((flags & ~LW_STRICT) != 0 || (strict && count == 0))
        return -EINVAL;
    if (count == 0)
        return 0;
    err = may_notify(condition);
    if (err < 0)
        return err;
    take_guard(condition);
    first = lw_key_find(condition->wait._queue, key);
    if (first != NULL)
        found = take_out(condition, first, count, &notified, &satisfied);
    err = wake_notified(condition, &notified, &satisfied, found);
    if (strict && (found == 0 || (found < count && count != LW_ALL)))
        return found == 0 ? -ENOENT : -EAGAIN;
    return err;
}

int lw_keyed_condition_notify_all(lw_keyed_condition *condition)
{
    struct lw_wake_batch notified = {0}, satisfied = {0};
    uint32_t found = 0;
    int err;

    err = may_notify(condition);
    if (err < 0)
        return err;
    take_guard(condition);
    while (condition->wait._queue != NULL)
        found += take_out(condition, condition->wait._queue, LW_ALL, &notified, &satisfied);
    return wake_notified(condition, &notified, &satisfied, found);
}
