/* SPDX-License-Identifier: MIT */
/* lw_rwlock: one word, that of `write`, and two queues, of writers in `write` and of readers in
 * `read`.
 *
 *     sort    FACES  above the flags      the lock is
 *     HANDED    1    0                    free
 *     HANDED    1    id                   written
 *     COUNT     1    number of readers    read
 *
 *     GUARD, QUEUED, INCONSISTENT, DEAD   as in lock.h; QUEUED: of either queue
 *     WOKEN                               as of a mutex: somebody was sent to try again and is not
 *                                         back yet
 *
 * The word of `read` is COUNT | FACES, always.  What is held, and waited for, is known by the
 * address of `write`, and by its mode; so whether a task reads, which lets it in again past writers
 * that wait, is found among its holds.  The caller's holds have room for one more before it reads,
 * for nothing but a hold says who does.
 *
 * Like a mutex it barges: who leaves it free sends those whose turn it is to try again, and goes
 * on; and readers join others though a writer waits.  Else each turn would cost switches of tasks,
 * and while heirs that do not run yet have the lock, all that do run queue up behind them.
 * _turns, under the guard, says why it is handed on, in turn, instead, and bars who comes by
 * (rwlock_turn.c):
 *
 *     WRITER_STARVES, READERS_STARVE    it is a millisecond since the first writer, or one of the
 *                                       readers that came back and lost, queued first
 *     UPGRADING                         the first of the writers is one of the readers
 *     ARM_IS_FIRST                      or selects, and so would not come back to try again
 *     (the mode PREFER_WRITERS)
 *
 * It stays so until they are served, or nobody of them waits.  A writer need not even come back for
 * it: whoever leaves looks since when it waits (`ticket` in its record).  A lock that is always
 * read by somebody is never free: so any reader that leaves sends the first writer to try again.
 *
 * _number of `write` is how many were sent and are not back.
 *
 * Invariants.
 * - QUEUED exactly if a queue is not empty, whenever GUARD is not set.
 * - Free: nobody waits, or WOKEN.  So no waiter sleeps on a free lock.
 * - Read: readers wait only for writers that do, while it is handed on, and not in the mode
 *   PREFER_READERS; or WOKEN: who is on his way looks after them.
 * - While it is handed on: not WOKEN.  So all but those for whom nobody waits take the guard.
 * - UPGRADING: the lock is read, and not by that one alone.
 * - The store that gives the lock away is the last touch of it: who gets it may free it.
 *
 * Ordering: [L1], [L2] and [L3] as in mutex.c.  A writer comes after all readers before it: each of
 * their releases is a read-modify-write of the word, or a guard section. */
#ifndef LW_PRIMITIVES_RWLOCK_H
#define LW_PRIMITIVES_RWLOCK_H

#include <errno.h>
#include <latchwork/rwlock.h>
#include <stddef.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"

#define LW_RW_FREE (LW_LOCK_HANDED | LW_LOCK_FACES)
#define LW_RW_READ (LW_LOCK_COUNT | LW_LOCK_FACES)
#define LW_RW_READER (UINT64_C(1) << LW_LOCK_OWNER_SHIFT)
#define LW_RW_BARGING (LW_LOCK_QUEUED | LW_LOCK_WOKEN)

enum lw_rw_face { LW_RW_TO_WRITE, LW_RW_TO_READ };

/* Of _turns. */
enum {
    LW_RW_WRITER_STARVES = 1,
    LW_RW_READERS_STARVE = 2,
    LW_RW_UPGRADING = 4,
    LW_RW_ARM_IS_FIRST = 8,
};

/* An acquire, beside its lock. */
struct lw_rw_call {
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
    enum lw_rw_face face;
    bool reads;     /* the caller does already */
    bool back;      /* it was sent to try again: WOKEN is its own */
    bool overtakes; /* a detector has sent it past the writers that wait */
    uint32_t since; /* lw_rw_moment(): when it queued first */
};

/* lw_rw_look(): beside 0 and negative codes.  GIVEN: lw_transfer() has made it the caller's while
 * that was on its way; the hold is noted there. */
enum { LW_RW_QUEUE_FOR_IT = 1, LW_RW_ORPHANED = 2, LW_RW_GIVEN = 3 };

LW_INLINE lw_rwlock *lw_rw_of_write(const lw_lock *lock)
{
    return (lw_rwlock *)(uintptr_t)lock;
}

LW_INLINE lw_rwlock *lw_rw_of_read(const lw_lock *lock)
{
    return (lw_rwlock *)((uintptr_t)lock - offsetof(lw_rwlock, read));
}

LW_INLINE void **lw_rw_queue(lw_rwlock *rw, enum lw_rw_face face)
{
    return face == LW_RW_TO_READ ? &rw->read._queue : &rw->write._queue;
}

LW_INLINE bool lw_rw_is_read(uint64_t word)
{
    return (word & LW_LOCK_SORT) == LW_LOCK_COUNT;
}

LW_INLINE uint64_t lw_rw_readers(uint64_t word)
{
    return word >> LW_LOCK_OWNER_SHIFT;
}

LW_INLINE bool lw_rw_is_written_by(uint64_t word, uint64_t owner)
{
    return (word & ~(LW_LOCK_GUARD | LW_RW_BARGING | LW_LOCK_INCONSISTENT)) ==
           (owner | LW_RW_FREE);
}

/* Nobody waits, or somebody is on his way who sees to the others: who comes and who leaves need not
 * take the guard. */
LW_INLINE bool lw_rw_needs_no_guard(uint64_t word)
{
    uint64_t barging = word & LW_RW_BARGING;

    return !(word & LW_LOCK_GUARD) && barging != LW_LOCK_QUEUED;
}

LW_INLINE void lw_rw_begin(lw_rwlock *rw, enum lw_wait_kind kind, const struct lw_rw_call *call)
{
    lw_wait_begin(call->me, kind, rw, rw->write.name, call->deadline, call->site);
    lw_store_rlx(&lw_record_cold(call->me)->owner, 0);
}

/* ---- guard sections.  Inside, a word is without GUARD and QUEUED. */

LW_INLINE uint64_t lw_rw_take_guard(lw_rwlock *rw)
{
    return lw_lock_take(&rw->write) & ~(LW_LOCK_GUARD | LW_LOCK_QUEUED); /* [L2] */
}

/* Now, in units of 2^18 ns, a quarter of a millisecond; it wraps after 13 days. */
enum { LW_RW_MOMENT_SHIFT = 18 };

LW_INLINE uint32_t lw_rw_moment(void)
{
    return (uint32_t)(lw_sys.now() >> LW_RW_MOMENT_SHIFT);
}

LW_INLINE bool lw_rw_is_long_ago(uint32_t moment)
{
    return lw_rw_moment() - moment > LW_LOCK_FAIR_AFTER >> LW_RW_MOMENT_SHIFT;
}

LW_INLINE uint32_t lw_rw_turns(const lw_rwlock *rw)
{
    return lw_load_rlx(&rw->_turns);
}

LW_INLINE void lw_rw_set_turns(lw_rwlock *rw, uint32_t turns)
{
    lw_store_rlx(&rw->_turns, turns); /* lw_locked() looks at it */
}

/* Those who are not there do not starve.  An arm is no reason while the lock is free: who is on his
 * way may take that one. */
LW_INLINE void lw_rw_look_at_queues(lw_rwlock *rw, uint64_t word)
{
    struct lw_node *head = lw_queue_head(&rw->write._queue);
    uint32_t turns = lw_rw_turns(rw) & ~(uint32_t)LW_RW_ARM_IS_FIRST;

    if (rw->read._queue == NULL)
        turns &= ~(uint32_t)LW_RW_READERS_STARVE;
    if (head == NULL)
        turns &= ~(uint32_t)LW_RW_WRITER_STARVES;
    else if (lw_unlikely((word & ~LW_LOCK_FLAGS) != 0 && lw_node_is_arm(head)))
        turns |= LW_RW_ARM_IS_FIRST;
    lw_rw_set_turns(rw, turns);
}

/* It is handed on in turn; else whoever comes by may be faster. */
LW_INLINE bool lw_rw_is_handed_on(const lw_rwlock *rw)
{
    return rw->flags == LW_RWLOCK_PREFER_WRITERS || lw_rw_turns(rw) != 0;
}

/* What must hold of the word and the queues whenever nobody has the guard. */
LW_INLINE bool lw_rw_is_sound(const lw_rwlock *rw, uint64_t word)
{
    bool writers = rw->write._queue != NULL, readers = rw->read._queue != NULL;
    bool upgrading = (lw_rw_turns(rw) & LW_RW_UPGRADING) != 0;
    bool woken = (word & LW_LOCK_WOKEN) != 0, handed_on = lw_rw_is_handed_on(rw);

    if (woken && handed_on)
        return false;
    if (!lw_rw_is_read(word))
        return !upgrading && ((word & ~LW_LOCK_FLAGS) != 0 || (!writers && !readers) || woken);
    return lw_rw_readers(word) > (upgrading ? 1 : 0) && (writers || !upgrading) &&
           (!readers || woken ||
            (writers && handed_on && rw->flags != LW_RWLOCK_PREFER_READERS));
}

/* Exactly the heads of the queues say who writes. */
LW_INLINE void lw_rw_hint(lw_rwlock *rw, uint64_t word)
{
    uint64_t owner = lw_rw_is_read(word) ? 0 : word >> LW_LOCK_OWNER_SHIFT;
    struct lw_node *heads[] = {lw_queue_head(&rw->write._queue), lw_queue_head(&rw->read._queue)};

    for (int i = 0; i < 2; i++)
        if (heads[i] != NULL)
            lw_store_rlx(&lw_node_cold(heads[i])->owner, owner);
}

/* The last touch. */
LW_INLINE void lw_rw_drop_guard(lw_rwlock *rw, uint64_t word)
{
    bool queued = rw->write._queue != NULL || rw->read._queue != NULL;

    lw_rw_look_at_queues(rw, word);
    if (lw_rw_is_handed_on(rw))
        word &= ~LW_LOCK_WOKEN;
    lw_debug_check(lw_rw_is_sound(rw, word));
    lw_rw_hint(rw, word);
    lw_store_rel(&rw->write._word._value, queued ? word | LW_LOCK_QUEUED : word); /* [L1] [L2] */
}

/* ---- whose turn it is; all under the guard */

LW_INLINE uint64_t lw_rw_first_reader(uint64_t free)
{
    return (free ^ LW_RW_FREE) | LW_RW_READ | LW_RW_READER;
}

LW_INLINE uint64_t lw_rw_with_reader(uint64_t word)
{
    return lw_rw_is_read(word) ? word + LW_RW_READER : lw_rw_first_reader(word);
}

/* The same without the writer, or that one reader. */
LW_INLINE uint64_t lw_rw_without(uint64_t word)
{
    if (lw_rw_is_read(word) && lw_rw_readers(word) > 1)
        return word - LW_RW_READER;
    return LW_RW_FREE | (word & LW_RW_BARGING);
}

/* A reader who comes to a lock that is read need not wait. */
LW_INLINE bool lw_rw_may_join(const lw_rwlock *rw)
{
    return rw->flags == LW_RWLOCK_PREFER_READERS || rw->write._queue == NULL ||
           !lw_rw_is_handed_on(rw);
}

/* What the word says to one who comes; 0: it is the caller's, by the word that is given back.
 * Under the guard. */
int lw_rw_look(const lw_rwlock *rw, uint64_t *word, const struct lw_rw_call *call);

/* A wait that has ended without the lock leaves its queue; who waited for that one only goes on. */
void lw_rw_leave_queue(lw_rwlock *rw, enum lw_rw_face face, struct lw_node *node);

/* Under the guard: somebody was claimed, and is sent to try again, or to look; an arm does not come
 * back. */
LW_INLINE void lw_rw_send(lw_rwlock *rw, struct lw_node *node, struct lw_wake_batch *batch)
{
    lw_wake_batch_add(batch, lw_node_record(node));
    if (!lw_node_is_arm(node))
        lw_store_rlx(&rw->write._number, rw->write._number + 1);
}

/* The caller wrote, or read and has no hold of that any more. */
int lw_rw_write_release(lw_lock *lock, struct lw_cold *cold);
int lw_rw_leave_readers(lw_rwlock *rw);

bool lw_rw_reads(const lw_rwlock *rw); /* the caller does */

/* End a section in which somebody has left the lock, or a queue: who may go on now does.  first:
 * who goes first if the lock is free. */
void lw_rw_settle(lw_rwlock *rw, uint64_t word, enum lw_rw_face first);

/* End any other section.  Readers may wait for nobody by now: the writer they waited for has gone,
 * or one who came by reads. */
LW_INLINE void lw_rw_look_after(lw_rwlock *rw, uint64_t word)
{
    if (lw_needed(rw->read._queue != NULL))
        lw_rw_settle(rw, word, LW_RW_TO_WRITE);
    else
        lw_rw_drop_guard(rw, word);
}

#endif
