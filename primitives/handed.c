/* SPDX-License-Identifier: MIT */
/* Locks that are handed on: a release with waiters makes the first of them the owner, before it has
 * run; who comes by meanwhile queues behind.
 *
 *     owner  QUEUED
 *       0      0     free
 *      id      0     owned; the release is one CAS
 *      id      1     owned; the release makes the head the owner
 *
 * Beside these the word says, from INIT on, that it is HANDED, or has a HEAP (lock.h); so a lock
 * that was zeroed, and not initialised, gets nobody past the fast path.  _number is how often the
 * owner has nested its acquire, less one; only the owner writes it.
 *
 * Invariants.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - No owner: no waiters.  From the first grant until a release that finds nobody the lock is owned
 *   without a gap.
 * - No owner: _number is 0.
 * - The store that gives the lock away is the last touch of it: who gets it may free it.
 *
 * Ordering: [L1], [L2] and [L3] as in mutex.c. */
#include "primitives/handed.h"

#include "primitives/heap.h"

#define QUEUED LW_LOCK_QUEUED
#define DEAD LW_LOCK_DEAD
#define HANDED LW_LOCK_HANDED

/* An acquire, beside its lock. */
struct call {
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
    int priority;
    enum lw_nesting nests;
};

/* try_under_guard(): beside 0 and negative codes.  GIVEN: lw_transfer() has made it the caller's
 * while that was sent to look; the hold is noted there. */
enum { QUEUE_FOR_IT = 1, ORPHANED = 2, GIVEN = 3 };

/* ---- the queue, of either sort */

/* The waiter's record says all but where it is. */
static void enqueue(lw_lock *lock, uint64_t word, struct lw_record *me, int priority)
{
    struct lw_cold *cold = lw_record_cold(me);
    bool first = lw_goes_first(me);

    if (!lw_lock_has_heap(word) && !first) {
        lw_queue_push(&lock->_queue, &cold->node);
    } else if (!lw_lock_has_heap(word)) {
        lw_lock_unhint(lw_queue_head(&lock->_queue));
        lw_queue_push_front(&lock->_queue, &cold->node);
    } else {
        if (first)
            lw_heap_arrive_first(cold);
        else
            lw_heap_arrive(cold, priority);
        lw_lock_unhint((struct lw_node *)lock->_queue);
        lw_heap_push(&lock->_queue, &cold->node);
    }
}

static void dequeue(lw_lock *lock, uint64_t word, struct lw_node *node)
{
    if (lw_lock_has_heap(word))
        lw_heap_remove(&lock->_queue, node);
    else
        lw_queue_remove(&lock->_queue, node);
}

static struct lw_record *claim(lw_lock *lock, uint64_t word)
{
    return lw_lock_has_heap(word) ? lw_heap_claim(&lock->_queue) : lw_queue_claim(&lock->_queue);
}

/* ---- acquire */

/* The caller owns it. */
static int nest(lw_lock *lock, const struct call *call)
{
    uint32_t depth = lw_load_rlx(&lock->_number);

    if (call->nests == LW_NESTS_NOT)
        return call->deadline == LW_NOW ? lw_timeout_error(LW_NOW) : -EDEADLK;
    if (depth == UINT32_MAX)
        return -EOVERFLOW;
    lw_store_rlx(&lock->_number, depth + 1);
    return 0;
}

/* Take it, or fail, or queue for it: one guard section. */
static int try_under_guard(lw_lock *lock, const struct call *call)
{
    uint64_t word = lw_lock_take(lock); /* [L2] */
    uint64_t owner = word & ~LW_LOCK_FLAGS;
    int err = lw_lock_end_error(word);

    if (lw_unlikely(err < 0)) {
        lw_lock_drop(lock, word);
        return err;
    }
    if (lw_unlikely(lw_recheck(owner != 0 && lw_owner_is_gone(owner)))) {
        err = ORPHANED; /* unseen, nobody would ever release it */
    } else if (lw_recheck(owner == 0)) { /* else we sleep on a lock that nobody will release */
        word |= lw_owner_word(call->me);
    } else if (call->deadline == LW_NOW) {
        err = lw_timeout_error(LW_NOW);
    } else if (owner == lw_owner_word(call->me)) {
        err = GIVEN;
    } else {
        lw_wait_begin(call->me, LW_WAIT_LOCK, lock, lock->name, call->deadline, call->site);
        lw_store_rlx(&lw_record_cold(call->me)->owner, 0);
        enqueue(lock, word, call->me, call->priority);
        lw_lock_hint(lock, word);
        err = QUEUE_FOR_IT;
    }
    lw_lock_drop(lock, word);
    return err;
}

/* The wait ended without the lock: leave the queue, if no release has met the dead wait yet. */
static void leave_queue(lw_lock *lock, struct lw_record *me)
{
    uint64_t word = lw_lock_take(lock); /* [L2] */

    dequeue(lock, word, &lw_record_cold(me)->node);
    lw_lock_hint(lock, word);
    lw_lock_drop(lock, word);
}

static int wait_for_it(lw_lock *lock, const struct call *call)
{
    enum lw_outcome outcome;

    lw_owner_hint(call->me);
    outcome = lw_wait_finish(call->me);
    if (outcome == LW_GRANTED)
        return 0;
    if (outcome == LW_RETRY) /* its owner has ended: see what it is now */
        return QUEUE_FOR_IT;
    leave_queue(lock, call->me);
    return lw_wait_error(call->me, outcome);
}

static int contend(lw_lock *lock, const struct call *call)
{
    int err;

    do {
        err = try_under_guard(lock, call);
        if (err == QUEUE_FOR_IT)
            err = wait_for_it(lock, call);
    } while (err == QUEUE_FOR_IT);
    if (err == 0)
        return lw_hold_push(lw_record_cold(call->me), lock, call->site);
    if (err != ORPHANED)
        return err == GIVEN ? 0 : err;
    lw_lock_mark(lock, DEAD);
    return -ENOTRECOVERABLE;
}

LW_NOINLINE int lw_handed_acquire_slow(lw_lock *lock, struct lw_record *me, lw_nsec deadline,
                                       const void *site, int priority, enum lw_nesting nests)
{
    struct call call = {me, deadline, site, priority, nests};
    uint64_t seen = lw_load_acq(&lock->_word._value); /* [G2] */

    if ((seen & HANDED) == 0) /* zeroed */
        return -EINVAL;
    if ((seen & ~LW_LOCK_FLAGS) == lw_owner_word(me) && !(seen & DEAD))
        return nest(lock, &call);
    return contend(lock, &call);
}

LW_NOINLINE int lw_handed_acquire_entering(lw_lock *lock, lw_nsec deadline, const void *site,
                                           int priority, enum lw_nesting nests)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    lw_owner_note(me);
    return lw_handed_acquire_slow(lock, me, deadline, site, priority, nests);
}

/* ---- release */

/* Give a lock away whose guard and whose owner's leave the caller has. */
static void hand_on(lw_lock *lock, uint64_t word)
{
    struct lw_record *heir = claim(lock, word);

    word = (word & LW_LOCK_SORT) | (heir != NULL ? lw_owner_word(heir) : 0);
    lw_lock_hint(lock, word);
    lw_lock_drop(lock, word);
    if (heir != NULL)
        lw_wake(heir, LW_GRANTED, LW_WAKE_NEXT);
}

/* The caller owns it, once. */
static int release_last(lw_lock *lock, struct lw_cold *cold, uint64_t word)
{
    uint64_t idle = word & LW_LOCK_SORT;

    (void)lw_owner_forget(cold, lock);
    if (lw_unlikely((word & LW_LOCK_INCONSISTENT) != 0)) /* only the owner clears it */
        lw_lock_mark(lock, LW_LOCK_INCONSISTENT | DEAD);
    else if ((word & (QUEUED | LW_LOCK_GUARD)) != 0 ||
             !lw_cas_acq_rel(&lock->_word._value, &word, idle)) /* [L1] */
        hand_on(lock, lw_lock_take(lock));                      /* [L2] */
    return 0;
}

LW_NOINLINE int lw_handed_release_slow(lw_lock *lock, struct lw_cold *cold)
{
    uint64_t mine = lw_load_rlx(&cold->id) << LW_LOCK_OWNER_SHIFT;
    uint64_t word = lw_load_acq(&lock->_word._value); /* [G2] */
    uint32_t depth;

    if ((word & HANDED) == 0)
        return -EINVAL;
    if ((word & ~LW_LOCK_FLAGS) != mine || (word & DEAD) != 0)
        return -EPERM;
    depth = lw_load_rlx(&lock->_number);
    if (depth == 0)
        return release_last(lock, cold, word);
    lw_store_rlx(&lock->_number, depth - 1);
    return 0;
}

LW_NOINLINE int lw_handed_release_entering(lw_lock *lock)
{
    struct lw_record *me = lw_current();

    if (me == NULL)
        return -EPERM;
    lw_owner_note(me);
    return lw_handed_release_slow(lock, lw_record_cold(me));
}

int lw_handed_release_of(lw_lock *lock, struct lw_record *me)
{
    if ((lw_load_rlx(&lock->_word._value) & ~LW_LOCK_FLAGS) != lw_owner_word(me))
        return -EPERM;
    lw_store_rlx(&lock->_number, 0);
    return lw_handed_release_slow(lock, lw_record_cold(me));
}

bool lw_handed_locked(const lw_lock *lock)
{
    uint64_t word = lw_load_rlx(&lock->_word._value);

    return (word & ~LW_LOCK_FLAGS) != 0 && !(word & DEAD);
}
