/* SPDX-License-Identifier: MIT */
/* What the kinds of locks share: the word, the owner's hint in the queue, acquire from a site.
 *
 * The word of a lock:  id of the owner:56 << 8 | flags:8.
 *
 *     flag           meaning                                                        changed
 *     GUARD 1        queue guard; while it is set nobody else writes the word       CAS; last store
 *     QUEUED 2       the queue is not empty                                         under GUARD
 *     WOKEN 4        mutex: a waiter was sent to try again and is not back yet      under GUARD
 *     FAIR 8         mutex: the next release hands over to the head                 under GUARD
 *     INCONSISTENT 16  its owner ended inside: an acquire gives -EOWNERDEAD         under GUARD
 *     DEAD 32        the same, for good: -ENOTRECOVERABLE; the id stays the last owner's
 *
 * Of a lock without an owner (a semaphore), and of events, conditions and channels, bit 0 is the
 * guard as well and the others are the file's own; their words are written under the guard only. */
#ifndef LW_PRIMITIVES_LOCK_H
#define LW_PRIMITIVES_LOCK_H

#include <latchwork/mutex.h>
#include <latchwork/semaphore.h>

#include "primitives/hold.h"
#include "runtime/wait.h"

#define LW_LOCK_GUARD UINT64_C(1)
#define LW_LOCK_QUEUED UINT64_C(2)
#define LW_LOCK_WOKEN UINT64_C(4)
#define LW_LOCK_FAIR UINT64_C(8)
#define LW_LOCK_INCONSISTENT UINT64_C(16)
#define LW_LOCK_DEAD UINT64_C(32)
#define LW_LOCK_FLAGS UINT64_C(255)
#define LW_LOCK_OWNER_SHIFT 8

/* lw_acquire(), from that site. */
int lw_lock_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site);

/* The kinds of the library, from that site. */
int lw_mutex_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site);
int lw_semaphore_acquire_at(lw_lock *lock, uint32_t permits, lw_nsec deadline, const void *site);

/* The owner ends (or ended) without having released: `flag` is INCONSISTENT or DEAD.  All who wait
 * are sent to look. */
void lw_mutex_mark(lw_lock *lock, uint64_t flag);

/* Give the mutex back for `me`, whatever its place among the holds; -EPERM: it is not the owner. */
int lw_mutex_release_of(lw_lock *lock, struct lw_record *me);

/* Exactly the head waiter says who owns the lock.  Ends each guard section that changed the head or
 * the owner; only a push at the front can leave an older head behind, in second place. */
LW_INLINE void lw_lock_hint(lw_lock *lock, uint64_t owner)
{
    struct lw_node *head = lw_queue_head(&lock->_queue);

    if (head == NULL)
        return;
    if (head->next != head)
        lw_store_rlx(&lw_record_cold(lw_node_record(head->next))->owner, 0);
    lw_store_rlx(&lw_record_cold(lw_node_record(head))->owner, owner);
}

/* The caller's record, if lw_wait_enter() had nothing to do but to count; else NULL, and it has to
 * be called.  For fast paths that call nothing: such a function saves no registers. */
LW_INLINE struct lw_record *lw_enter_quickly(lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();

    if (lw_unlikely(thread == NULL || lw_load_rlx(&thread->budget) <= 1))
        return NULL;
    (void)lw_thread_spend(thread, deadline != LW_NOW);
    return lw_load_rlx(&thread->current);
}

/* Take a guard that nobody has; *word: with the bit set. */
LW_INLINE bool lw_guard_try(uint64_t *guarded, uint64_t bit, uint64_t *word)
{
    uint64_t seen = lw_load_rlx(guarded);

    *word = seen | bit;
    return (seen & bit) == 0 && lw_cas_acq(guarded, &seen, seen | bit);
}

/* Wake what was collected: one is no batch. */
LW_INLINE void lw_wake_collected(struct lw_wake_batch *batch, enum lw_outcome outcome)
{
    if (batch->count == 1)
        lw_wake(batch->first, outcome, LW_WAKE_TAIL);
    else if (batch->count != 0)
        lw_wake_batch_run(batch, outcome);
}

#endif
