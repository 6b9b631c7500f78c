/* SPDX-License-Identifier: MIT */
/* What the kinds of locks share: the word, the owner's hint in the queue, acquire from a site; and
 * of those that have an owner, what becomes of it (owner.c).
 *
 * The word of a lock:  id of the owner:56 << 8 | flags:8.
 *
 *     flag           meaning                                                        changed
 *     GUARD 1        queue guard; while it is set nobody else writes the word       CAS; last store
 *     QUEUED 2       the queue is not empty                                         under GUARD
 *     WOKEN 4        mutex, lw_rwlock: a waiter was sent to try again and is not    under GUARD
 *                    back yet
 *     FAIR 8         mutex: the next release hands over to the head                 under GUARD
 *     INCONSISTENT 16  an owner ended inside: free, an acquire gives -EOWNERDEAD    under GUARD
 *                    but one who knows has it; released so, it is DEAD (inconsistent.c)
 *     DEAD 32        the same, for good: -ENOTRECOVERABLE; the id stays the last owner's
 *     SORT 192       what algorithm the lock goes by, whatever its kind says        never
 *         0          that of a mutex (or an lw_semaphore)
 *         HANDED 64  it is handed on, first come first served (handed.c)
 *         HEAP 192   it is handed on by priority (handed.c, heap.h)
 *         COUNT 128  it has permits, and no owner: above the flags is a number of theirs; RANKED 4
 *                    (the place of WOKEN): they go by priority
 *     FACES 8        with HANDED or COUNT: of an lw_rwlock, whose word is rwlock.h's
 *     TIMED bit 63   with COUNT: of an lw_rate_limit, whose queue is its own
 *
 * Of events, conditions and channels bit 0 is the guard as well and the others are the file's own;
 * their words, and those of permits, are written under the guard only. */
#ifndef LW_PRIMITIVES_LOCK_H
#define LW_PRIMITIVES_LOCK_H

#include <errno.h>
#include <latchwork/mutex.h>
#include <latchwork/semaphore.h>

#include "primitives/hold.h"
#include "runtime/queue.h"
#include "runtime/wait.h"

#define LW_LOCK_GUARD UINT64_C(1)
#define LW_LOCK_QUEUED UINT64_C(2)
#define LW_LOCK_WOKEN UINT64_C(4)
#define LW_LOCK_FAIR UINT64_C(8)
#define LW_LOCK_INCONSISTENT UINT64_C(16)
#define LW_LOCK_DEAD UINT64_C(32)
#define LW_LOCK_HANDED ((uint64_t)LW_LOCK_HANDED_)
#define LW_LOCK_COUNT ((uint64_t)LW_LOCK_COUNT_)
#define LW_LOCK_RANKED ((uint64_t)LW_LOCK_RANKED_)
#define LW_LOCK_HEAP ((uint64_t)LW_LOCK_HEAP_)
#define LW_LOCK_FACES ((uint64_t)LW_LOCK_FACES_)
#define LW_LOCK_SORT LW_LOCK_HEAP
#define LW_LOCK_TIMED (UINT64_C(1) << 63)
#define LW_LOCK_FLAGS UINT64_C(255)
#define LW_LOCK_OWNER_SHIFT 8

/* How long one may lose against those who come by, where they may. */
#define LW_LOCK_FAIR_AFTER (1 * LW_MS)

/* lw_acquire(), from that site. */
int lw_lock_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site);

/* lw_acquire() in front of all who wait; of several the last one to come is in front.  When it has
 * queued, and before it blocks, perhaps several times, first->queued(first) is called, unless that
 * is NULL: it may not wait, nor queue for anything. */
struct lw_first {
    void (*queued)(struct lw_first *first);
};
int lw_lock_acquire_first(lw_lock *lock, lw_nsec deadline, const void *site,
                          struct lw_first *first);

/* The caller's acquire is such a one: asked where it queues. */
LW_INLINE bool lw_goes_first(const struct lw_record *me)
{
    return lw_unlikely((lw_load_rlx(&me->ctl) & LW_FIRST) != 0);
}

/* A lock whose memory ends, for those who know it otherwise than as a task that waits for it or
 * holds it; NULL: there are none. */
extern void (*lw_lock_forgotten)(lw_lock *lock);

/* The mutex, from that site; to lw_lock_acquire_at() others are known by their kinds. */
int lw_mutex_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site);

/* Give the lock back for `me`, at whatever depth and whatever its place among the holds; -EPERM: it
 * is not the owner. */
int lw_mutex_release_of(lw_lock *lock, struct lw_record *me);
int lw_handed_release_of(lw_lock *lock, struct lw_record *me);

/* An lw_rwlock, which holds know by its face `write`: the same; it is read once less; who waits
 * knows who writes; as lw_lock_mark().  rwlock_face.c. */
int lw_rwlock_release_of(lw_lock *write, struct lw_record *me);
void lw_rwlock_leave(lw_lock *write);
void lw_rwlock_hint(lw_lock *write);
void lw_rwlock_mark(lw_lock *write, uint64_t flag);

/* The same of what the functions of all locks do with a word: by either face; the last two by
 * `write` only. */
bool lw_rwlock_reads(const lw_lock *read);
int lw_rwlock_purge(lw_lock *face);
bool lw_rwlock_is_in_use(lw_lock *face);
bool lw_rwlock_take_marked(lw_lock *write, struct lw_record *me);
int lw_rwlock_rewrite(lw_lock *write, int (*change)(uint64_t *word, void *arg), void *arg);

/* An lw_rate_limit: its default amount, and lw_purge_waiters(). */
int lw_rate_limit_acquire_default(lw_lock *lock, lw_nsec deadline, const void *site);
int lw_rate_limit_purge(lw_lock *lock);

/* A permit of a bounded semaphore though it is marked: 1, or 0 when it is not any more. */
int lw_bounded_semaphore_acquire_at(lw_lock *lock, uint32_t permits, lw_nsec deadline,
                                    const void *site);
int lw_bounded_semaphore_acquire_marked(lw_lock *lock, lw_nsec deadline, const void *site);

/* Permits of a bounded semaphore are nobody's any more, which serves those who wait; flag: or,
 * since their owner has ended, sends them to look, as lw_lock_mark(). */
void lw_bounded_semaphore_give(lw_lock *lock, uint32_t permits, uint64_t flag);

/* Whoever runs it ends inside: it was not done, and those who wait are sent to look. */
void lw_once_abandon(void *once, struct lw_record *me);

/* Who is told of what a task leaves behind that ends, before it is anybody else's; and then, hold
 * NULL, that this was all; NULL: nobody.  By the task. */
enum lw_left { LW_LEFT_RELEASED, LW_LEFT_REPAIRED, LW_LEFT_INCONSISTENT, LW_LEFT_DEAD };
extern void (*lw_left_behind)(struct lw_record *me, const struct lw_hold *hold, const char *name,
                              enum lw_left how);

/* The priority of the caller, for kinds that are not told one. */
LW_INLINE int lw_lock_priority(void)
{
    struct lw_record *me = lw_current();
    bool said = me != NULL && (lw_load_rlx(&me->place) & LW_PLACE_OPTIONS) != 0;

    return said ? lw_load_rlx(&lw_record_cold(me)->priority) : 0;
}

/* What an acquire of a lock gives whose word says that its owner ended inside; 0: it does not, or
 * somebody has it who knows, and may be waited for. */
LW_INLINE int lw_lock_end_error(uint64_t word)
{
    if (lw_likely((word & (LW_LOCK_DEAD | LW_LOCK_INCONSISTENT)) == 0))
        return 0;
    if ((word & LW_LOCK_DEAD) != 0)
        return -ENOTRECOVERABLE;
    return (word & ~LW_LOCK_FLAGS) != 0 ? 0 : -EOWNERDEAD;
}

/* An owner ended inside, and nobody has said since that the data is whole. */
LW_INLINE bool lw_lock_is_marked(const lw_lock *lock)
{
    return (lw_load_rlx(&lock->_word._value) & LW_LOCK_INCONSISTENT) != 0;
}

/* Whoever wrote it has said all that the protocol needs. */
LW_INLINE bool lw_kind_is_complete(const lw_lock_kind *kind)
{
    return kind->acquire != NULL && kind->release != NULL && kind->locked != NULL;
}

/* ---- locks that others have handed to a task (transfer.c) */

/* Some may have: asked after the word that names the task as the owner was read with acquire. */
LW_INLINE bool lw_is_given(const struct lw_record *me)
{
    return lw_unlikely((lw_load_rlx(&me->ctl) & LW_GIVEN) != 0);
}

/* It holds something, as far as anyone can tell. */
LW_INLINE bool lw_has_any(const struct lw_record *record)
{
    return lw_load_rlx(&lw_record_cold(record)->nheld) != 0 || lw_is_given(record);
}

/* Make holds of them.  0; -ENOMEM: not of all. */
int lw_given_take(struct lw_record *me);

/* For others: the index-th one of a task; false: there are no more. */
bool lw_given_look(const struct lw_cold *cold, uint32_t index, struct lw_hold *hold);

/* A lock was handed to one who is blocked, or there are fewer permits than there were: that may
 * close a circle, and nobody begins a wait after it.  NULL: nobody is to know. */
extern void (*lw_owner_changed)(void);

LW_INLINE void lw_owner_has_changed(void)
{
    void (*tell)(void) = lw_load_rlx(&lw_owner_changed);

    if (tell != NULL)
        tell();
}

/* The lock that is released was handed to the caller, who has not made a hold of it. */
bool lw_given_forget(struct lw_record *me, const lw_lock *lock);

/* ---- locks with an owner (owner.c) */

LW_INLINE uint64_t lw_owner_word(const struct lw_record *record)
{
    return lw_load_rlx(&lw_record_cold(record)->id) << LW_LOCK_OWNER_SHIFT;
}

/* The task is what the thread runs: what fast paths need of it is found there with two loads, since
 * what lies between two locked operations is not overlapped with them. */
LW_INLINE void lw_owner_note(struct lw_record *me)
{
    struct lw_thread *thread = lw_thread_self();

    lw_store_rlx(&thread->owner, lw_owner_word(me));
    lw_store_rlx(&thread->cold, lw_record_cold(me));
}

/* What lw_owner_note() has noted, without the flags; 0: nothing. */
LW_INLINE uint64_t lw_owner_noted(const struct lw_thread *thread)
{
    return lw_load_rlx(&thread->owner) & ~LW_LOCK_FLAGS;
}

/* What the flags of a lock's word were is what the caller's next acquire and release guess at
 * first: when tasks contend for it, nearly always somebody is on his way. */
LW_INLINE void lw_owner_guess(struct lw_thread *thread, uint64_t flags)
{
    lw_store_rlx(&thread->owner, lw_owner_noted(thread) | flags);
}

/* The owner in a word's life is over.  It marks what it holds (lock.c), but of a hold that was lost
 * for want of memory it does not know.  Under the guard, so that the owner cannot be just letting
 * go. */
bool lw_owner_is_gone(uint64_t word);

/* Before the task blocks: its own locks say who owns them, also those it took by barging.  Then the
 * hint is right whenever the owner it names is blocked.  And what it was handed becomes holds. */
void lw_owner_hint_all(struct lw_cold *cold);

LW_INLINE void lw_owner_hint_held(struct lw_cold *cold)
{
    if (lw_load_rlx(&cold->nheld) != 0)
        lw_owner_hint_all(cold);
}

/* One that goes first has queued. */
LW_INLINE void lw_first_has_queued(struct lw_record *me)
{
    struct lw_first *first = lw_goes_first(me) ? lw_record_cold(me)->first : NULL;

    if (first != NULL && first->queued != NULL)
        first->queued(first);
}

LW_INLINE void lw_owner_hint(struct lw_record *me)
{
    if (lw_unlikely((lw_load_rlx(&me->ctl) & (LW_GIVEN | LW_FIRST)) != 0)) {
        if (lw_is_given(me))
            (void)lw_given_take(me);
        lw_first_has_queued(me);
    }
    lw_owner_hint_held(lw_record_cold(me));
}

/* The lock was the caller's, and is perhaps gone by now.  Returns 0, the result of a release. */
int lw_owner_forget(struct lw_cold *cold, const lw_lock *lock);

/* The owner ends (or ended) without having released: `flag` is INCONSISTENT or DEAD.  Or it
 * releases what it has not repaired: both, and then it is the owner no more.  All who wait are sent
 * to look.  Of a mutex more than one may then be on his way: the first to be back clears WOKEN, and
 * a wake too many is the worst that follows. */
void lw_lock_mark(lw_lock *lock, uint64_t flag);

/* ---- waits that were ended by force
 *
 *     cold->denied    what was waited for:48 | generation:16, since records are not wiped
 *     cold->forces    how often in a row:7 | not asked about since:1 (RECENTLY)
 *     cold->forced_at when it last was; a second later it is none in a row any more
 *
 * Written by the task itself, when its wait has ended so, and read by others while it waits.  A
 * request counts as a force that is none in a row. */
enum { LW_FORCES_MAX = 127, LW_FORCED_RECENTLY = 128, LW_FORCES_LAST_MS = 1000 };

LW_INLINE uint64_t lw_denial(const struct lw_record *record, uint64_t object)
{
    return object << 16 | (LW_CTL_GENERATION(lw_load_rlx(&record->ctl)) & 0xffff);
}

/* `forces`, if it is of this life; *object: which it was denied. */
LW_INLINE unsigned lw_forces_of(const struct lw_record *record, uint64_t *object)
{
    const struct lw_cold *cold = lw_record_cold(record);
    uint64_t denied = lw_load_rlx(&cold->denied);

    *object = denied >> 16;
    if (denied != lw_denial(record, *object))
        return 0;
    if (lw_load_rlx(&lw_coarse_ms) - lw_load_rlx(&cold->forced_at) >= LW_FORCES_LAST_MS)
        return lw_load_rlx(&cold->forces) & LW_FORCED_RECENTLY;
    return lw_load_rlx(&cold->forces);
}

/* ---- all who wait for one */

/* Under the guard: all who wait, to be woken after it.  The one place that tells the sorts of
 * queues apart. */
void lw_lock_claim_all(lw_lock *lock, uint64_t word, struct lw_wake_batch *batch);

/* ---- the guard section of one */

LW_INLINE uint64_t lw_lock_take(lw_lock *lock)
{
    return lw_guard_take(&lock->_word._value, LW_LOCK_GUARD); /* [L2] */
}

LW_INLINE bool lw_lock_has_heap(uint64_t word)
{
    return (word & LW_LOCK_SORT) == LW_LOCK_HEAP;
}

/* It is one of the two faces of an lw_rwlock. */
LW_INLINE bool lw_lock_has_faces(uint64_t word)
{
    return (word & LW_LOCK_FACES) != 0 && (word & LW_LOCK_SORT) != 0;
}

/* It is the face `read` of one, whose word is always this. */
LW_INLINE bool lw_lock_is_to_read(uint64_t word)
{
    return word == (LW_LOCK_COUNT | LW_LOCK_FACES);
}

LW_INLINE bool lw_lock_is_timed(uint64_t word)
{
    return (word & (LW_LOCK_SORT | LW_LOCK_TIMED)) == (LW_LOCK_COUNT | LW_LOCK_TIMED);
}

/* What must hold of a word whenever nobody has the guard. */
LW_INLINE bool lw_lock_is_sound(uint64_t word)
{
    bool owned = (word & ~LW_LOCK_FLAGS) != 0, queued = (word & LW_LOCK_QUEUED) != 0;
    uint64_t barging = word & (LW_LOCK_WOKEN | LW_LOCK_FAIR);

    if ((word & LW_LOCK_SORT) == LW_LOCK_COUNT)
        return (barging & LW_LOCK_FAIR) == 0;
    if ((word & LW_LOCK_HANDED) != 0)
        return (owned || !queued) && barging == 0;
    return (owned || !queued || (barging & LW_LOCK_WOKEN)) &&
           (!(barging & LW_LOCK_FAIR) || (queued && barging == LW_LOCK_FAIR));
}

/* Store the word without the guard, as the last touch: who gets the lock may free it. */
LW_INLINE void lw_lock_drop(lw_lock *lock, uint64_t word)
{
    word = lock->_queue != NULL ? word | LW_LOCK_QUEUED : word & ~LW_LOCK_QUEUED;
    lw_debug_check(lw_lock_is_sound(word));
    /* Nobody else had it. */
    lw_debug_check((lw_load_rlx(&lock->_word._value) & LW_LOCK_GUARD) != 0);
    lw_store_rel(&lock->_word._value, word & ~LW_LOCK_GUARD); /* [L1] [L2] */
}

/* Exactly the head waiter says who owns the lock.  Ends each guard section that changed the head or
 * the owner; a waiter that came before the head has not said so since it was pushed. */
LW_INLINE void lw_lock_hint(lw_lock *lock, uint64_t word)
{
    struct lw_node *head = lw_lock_has_heap(word) ? (struct lw_node *)lock->_queue
                                                  : lw_queue_head(&lock->_queue);

    if (head != NULL)
        lw_store_rlx(&lw_node_cold(head)->owner, word >> LW_LOCK_OWNER_SHIFT);
}

/* A waiter is pushed in front of the head. */
LW_INLINE void lw_lock_unhint(struct lw_node *head)
{
    if (head != NULL)
        lw_store_rlx(&lw_node_cold(head)->owner, 0);
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
