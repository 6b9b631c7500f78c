/* SPDX-License-Identifier: MIT */
/* What the semaphores share: permits under a guard, and a queue that is served strictly in order.
 *
 * The word has two bits, GUARD and QUEUED (and with a COUNT what lock.h says), and is written under
 * the guard only, so a section is one compare-and-swap and one store.  A waiter's record says how
 * many permits it wants; those that a release brings are taken off for the head before the head
 * knows.
 *
 *     sort      _number          above the flags    the queue
 *     FREE      free permits     0                  first come, first served
 *     HELD      held permits     the bound          first come, first served
 *     RANKED    free permits     at the beginning   by priority; each wants one; the word says so
 *
 * HELD: who waits behind one whose permits never come, and need not, since there are enough for it,
 * is told so by the detector (LW_OVERTAKE), and queues anew in front of that one.  What it knows it
 * by is in the record of each waiter: `arrival`, its place, and `owner`, the bound.
 *
 * Invariants.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - A head that still waits wants more permits than there are: each section that adds permits, or
 *   takes a head away, serves before it ends.
 * - HELD: places rise from the head to the tail; nobody's changes while it waits.
 *
 * [S1] section to section: GUARD dropped by a release store -> taken by CAS acquire.  A waiter that
 *      was served comes through its wait word (wait.h, W2).
 * [S2] HELD: place and bound -> the detector: written before the wait is WAITING, read between the
 *      load of that word and the claim of it (wait_word.h, W6).  A bound that is changed is stored
 *      over it, relaxed: of several the detector believes the largest.
 * [S3] HELD: whom to pass -> who overtakes: written before the wait is ended, read after (W2).
 *
 * The sort is a constant wherever it is said, and what it decides is decided by the compiler. */
#ifndef LW_PRIMITIVES_PERMITS_H
#define LW_PRIMITIVES_PERMITS_H

#include <errno.h>

#include "primitives/heap.h"
#include "primitives/lock.h"

enum lw_permits { LW_PERMITS_FREE, LW_PERMITS_HELD, LW_PERMITS_RANKED };

/* Places in a queue: of the first one that comes when nobody waits, and from one to the next.  In a
 * queue that is never empty they last for 2^47 waits. */
#define LW_PERMITS_FIRST (UINT64_C(1) << 63)
#ifdef LW_TINY
#define LW_PERMITS_APART UINT64_C(4)
#else
#define LW_PERMITS_APART (UINT64_C(1) << 16)
#endif

/* An acquire, beside its lock. */
struct lw_permits_call {
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
    uint32_t permits;
    int priority; /* RANKED */
    bool knowing; /* HELD: also one that is marked */
};

LW_INLINE uint64_t lw_permits_take_guard(lw_lock *lock)
{
    return lw_guard_take(&lock->_word._value, LW_LOCK_GUARD); /* [S1] */
}

/* HELD, RANKED: it was initialised, not zeroed. */
LW_INLINE bool lw_permits_are_made(const lw_lock *lock)
{
    return (lw_load_rlx(&lock->_word._value) & LW_LOCK_SORT) == LW_LOCK_COUNT;
}

LW_INLINE uint32_t lw_permits_wanted(enum lw_permits sort, struct lw_node *waiter)
{
    return sort == LW_PERMITS_RANKED ? 1 : (uint32_t)(uintptr_t)lw_node_cold(waiter)->data;
}

/* There are so many. */
LW_INLINE bool lw_permits_are_there(enum lw_permits sort, const lw_lock *lock, uint64_t word,
                                    uint32_t permits)
{
    uint64_t number = lw_load_rlx(&lock->_number);

    return sort == LW_PERMITS_HELD ? number + permits <= word >> LW_LOCK_OWNER_SHIFT
                                   : permits <= number;
}

LW_INLINE void lw_permits_take(enum lw_permits sort, lw_lock *lock, uint32_t permits)
{
    uint32_t number = lw_load_rlx(&lock->_number);

    lw_store_rlx(&lock->_number, sort == LW_PERMITS_HELD ? number + permits : number - permits);
}

LW_INLINE struct lw_node *lw_permits_head(enum lw_permits sort, const lw_lock *lock)
{
    return sort == LW_PERMITS_RANKED ? (struct lw_node *)lock->_queue
                                     : lw_queue_head(&lock->_queue);
}

LW_INLINE uint64_t lw_permits_arrival(struct lw_node *waiter)
{
    return lw_load_rlx(&lw_node_cold(waiter)->arrival);
}

/* HELD: in front of whom the caller has been told to queue; if that one is not there any more,
 * where it was itself. */
LW_INLINE struct lw_node *lw_permits_overtaken(const lw_lock *lock, const struct lw_cold *mine)
{
    struct lw_node *head = lw_queue_head(&lock->_queue), *waiter = head, *after = NULL;
    uint32_t overtaken = lw_load_rlx(&mine->overtaken);

    do {
        if (waiter == NULL || (uint32_t)lw_permits_arrival(waiter) == overtaken)
            return waiter;
        if (after == NULL && lw_permits_arrival(waiter) > lw_load_rlx(&mine->arrival))
            after = waiter;
        waiter = waiter->next;
    } while (waiter != head);
    return after;
}

LW_INLINE void lw_permits_unlink(enum lw_permits sort, lw_lock *lock, struct lw_node *waiter)
{
    if (sort == LW_PERMITS_RANKED)
        lw_heap_remove(&lock->_queue, waiter);
    else
        lw_queue_remove(&lock->_queue, waiter);
}

LW_INLINE void lw_permits_drop_guard(enum lw_permits sort, lw_lock *lock, uint64_t word)
{
    struct lw_node *head = lw_permits_head(sort, lock);

    lw_debug_check(head == NULL || !lw_permits_are_there(sort, lock, word,
                                                         lw_permits_wanted(sort, head)));
    word &= ~(LW_LOCK_GUARD | LW_LOCK_QUEUED);
    lw_store_rel(&lock->_word._value, head != NULL ? word | LW_LOCK_QUEUED : word); /* [S1] */
}

/* ---- fast paths: one section each, without a call, while nobody waits; false: the long way */

LW_INLINE bool lw_permits_acquire_quickly(enum lw_permits sort, lw_lock *lock, uint32_t permits)
{
    uint64_t word;
    bool enough;

    if (!lw_guard_try(&lock->_word._value, LW_LOCK_GUARD, &word)) /* [S1] */
        return false;
    enough = lock->_queue == NULL && lw_permits_are_there(sort, lock, word, permits) &&
             (sort != LW_PERMITS_HELD || lw_lock_end_error(word & LW_LOCK_FLAGS) == 0);
    if (lw_likely(enough))
        lw_permits_take(sort, lock, permits);
    lw_store_rel(&lock->_word._value, word & ~LW_LOCK_GUARD); /* [S1] */
    return enough;
}

/* HELD: they are the caller's to give back. */
LW_INLINE bool lw_permits_give_quickly(lw_lock *lock, uint32_t permits)
{
    uint64_t word;
    bool alone;

    if (!lw_guard_try(&lock->_word._value, LW_LOCK_GUARD, &word)) /* [S1] */
        return false;
    alone = lock->_queue == NULL;
    if (lw_likely(alone))
        lw_store_rlx(&lock->_number, lw_load_rlx(&lock->_number) - permits);
    lw_store_rel(&lock->_word._value, word & ~LW_LOCK_GUARD); /* [S1] */
    return alone;
}

/* ---- sections of any length */

/* Under the guard: give the head its permits as long as there are enough. */
LW_INLINE void lw_permits_serve(enum lw_permits sort, lw_lock *lock, uint64_t word,
                                struct lw_wake_batch *served)
{
    struct lw_node *head;

    while ((head = lw_permits_head(sort, lock)) != NULL) {
        uint32_t permits = lw_permits_wanted(sort, head);

        if (!lw_permits_are_there(sort, lock, word, permits))
            break;
        lw_permits_unlink(sort, lock, head);
        if (!lw_node_claim(head))
            continue;
        lw_permits_take(sort, lock, permits);
        lw_wake_batch_add(served, lw_node_record(head));
    }
}

/* The wait ended without permits.  Those behind a head that wanted many may be admissible now. */
LW_INLINE void lw_permits_leave(enum lw_permits sort, lw_lock *lock, struct lw_node *node)
{
    struct lw_wake_batch served = {0};
    uint64_t word = lw_permits_take_guard(lock);

    lw_permits_unlink(sort, lock, node);
    if (lw_needed(lock->_queue != NULL))
        lw_permits_serve(sort, lock, word, &served);
    lw_permits_drop_guard(sort, lock, word);
    lw_wake_collected(&served, LW_GRANTED);
}

/* HELD: the place before `next`, or at the end.  Places stay as they are for as long as a wait
 * lasts, so there is room between them for those who overtake (lw_permits_with_room()). */
LW_INLINE uint64_t lw_permits_place(const lw_lock *lock, struct lw_node *next)
{
    struct lw_node *head = lw_queue_head(&lock->_queue);
    uint64_t before, after;

    if (head == NULL)
        return LW_PERMITS_FIRST;
    if (next == NULL)
        return lw_permits_arrival(head->prev) + LW_PERMITS_APART;
    if (next == head)
        return lw_permits_arrival(head) - LW_PERMITS_APART;
    before = lw_permits_arrival(next->prev);
    after = lw_permits_arrival(next);
    lw_debug_check(after > before && after - before > 1);
    return before + (after - before) / 2;
}

LW_INLINE void lw_permits_line_up(enum lw_permits sort, lw_lock *lock, uint64_t word,
                                  struct lw_cold *cold, struct lw_node *next)
{
    if (sort == LW_PERMITS_HELD) {
        lw_store_rlx(&cold->arrival, lw_permits_place(lock, next));
        lw_store_rlx(&cold->owner, word >> LW_LOCK_OWNER_SHIFT);
    }
    if (next == NULL)
        lw_queue_push(&lock->_queue, &cold->node);
    else if (next == lw_queue_head(&lock->_queue))
        lw_queue_push_front(&lock->_queue, &cold->node);
    else
        lw_queue_push_before(next, &cold->node);
}

LW_INLINE void lw_permits_queue(enum lw_permits sort, lw_lock *lock, uint64_t word,
                                const struct lw_permits_call *call, struct lw_node *next)
{
    struct lw_cold *cold = lw_record_cold(call->me);
    uint32_t permits = call->permits;

    lw_wait_begin(call->me, LW_WAIT_UNITS, lock, lock->name, call->deadline, call->site);
    lw_store_rlx(&cold->units, (uint16_t)(permits < UINT16_MAX ? permits : UINT16_MAX));
    lw_store_rlx(&cold->owner, 0); /* whose they are is not known */
    if (sort == LW_PERMITS_RANKED) {
        if (lw_goes_first(call->me))
            lw_heap_arrive_first(cold);
        else
            lw_heap_arrive(cold, call->priority);
        lw_heap_push(&lock->_queue, &cold->node);
    } else {
        cold->data = (void *)(uintptr_t)permits;
        lw_permits_line_up(sort, lock, word, cold, next);
    }
}

/* Where there is no place left before that one it goes to the front: which is to be known before it
 * is seen whether there are enough permits, for at the front it is who would have them. */
LW_INLINE struct lw_node *lw_permits_with_room(const lw_lock *lock, struct lw_node *next)
{
    struct lw_node *head = lw_queue_head(&lock->_queue);

    if (next == NULL || next == head ||
        lw_permits_arrival(next) - lw_permits_arrival(next->prev) > 1)
        return next;
    return head;
}

/* In front of whom it queues; NULL: at the end. */
LW_INLINE struct lw_node *lw_permits_next(enum lw_permits sort, const lw_lock *lock,
                                          const struct lw_record *me, bool overtakes)
{
    if (lw_goes_first(me))
        return lw_permits_head(sort, lock);
    if (sort == LW_PERMITS_HELD && lw_unlikely(overtakes))
        return lw_permits_with_room(lock, lw_permits_overtaken(lock, lw_record_cold(me)));
    return NULL;
}

/* Take them, fail, or queue: one section.  1: it is queued. */
LW_INLINE int lw_permits_try(enum lw_permits sort, lw_lock *lock,
                             const struct lw_permits_call *call, bool overtakes)
{
    uint64_t word = lw_permits_take_guard(lock);
    struct lw_node *head = lw_permits_head(sort, lock);
    struct lw_node *next = lw_permits_next(sort, lock, call->me, overtakes);
    /* Without the look the permits of a release that came before the guard was ours are missed. */
    bool enough =
        lw_recheck(head == next && lw_permits_are_there(sort, lock, word, call->permits));
    int err = sort == LW_PERMITS_HELD ? lw_lock_end_error(word & LW_LOCK_FLAGS) : 0;

    if (err == -EOWNERDEAD && call->knowing)
        err = 0;
    if (err == 0 && !enough)
        err = call->deadline == LW_NOW ? lw_timeout_error(LW_NOW) : 1;
    if (err == 0)
        lw_permits_take(sort, lock, call->permits);
    else if (err > 0)
        lw_permits_queue(sort, lock, word, call, next);
    lw_permits_drop_guard(sort, lock, word);
    return err;
}

/* RETRY: whoever held some has ended. */
LW_INLINE int lw_permits_acquire(enum lw_permits sort, lw_lock *lock,
                                 const struct lw_permits_call *call)
{
    enum lw_outcome outcome = LW_RETRY;

    do {
        int err = lw_permits_try(sort, lock, call, outcome == LW_OVERTAKE);

        if (err <= 0)
            return err;
        if (sort == LW_PERMITS_HELD) { /* the room for new holds is reserved */
            lw_first_has_queued(call->me);
            lw_owner_hint_held(lw_record_cold(call->me));
        } else {
            lw_owner_hint(call->me);
        }
        outcome = lw_wait_finish(call->me);
        if (outcome != LW_GRANTED && (sort != LW_PERMITS_HELD || outcome != LW_RETRY))
            lw_permits_leave(sort, lock, &lw_record_cold(call->me)->node);
    } while (sort == LW_PERMITS_HELD && (outcome == LW_RETRY || outcome == LW_OVERTAKE));
    return lw_wait_error(call->me, outcome);
}

#endif
