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
 *     UPGRADING 4                         the first of the writers is one of the readers
 *
 * The word of `read` is COUNT | FACES, always.  What is held, and waited for, is known by the
 * address of `write`, and by its mode; so whether a task reads, which lets it in again past writers
 * that wait, is found among its holds.
 *
 * It is handed on, to whoever's turn it is (rwlock_turn.c).  The caller's holds have room for one
 * more before it reads, for nothing but a hold says who does.
 *
 * Invariants.
 * - QUEUED exactly if a queue is not empty, whenever GUARD is not set.
 * - Free: nobody waits.  Read: readers wait only for writers that do, and not in the mode
 *   PREFER_READERS.
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

#define LW_RW_UPGRADING LW_LOCK_WOKEN
#define LW_RW_FREE (LW_LOCK_HANDED | LW_LOCK_FACES)
#define LW_RW_READ (LW_LOCK_COUNT | LW_LOCK_FACES)
#define LW_RW_READER (UINT64_C(1) << LW_LOCK_OWNER_SHIFT)

enum lw_rw_face { LW_RW_TO_WRITE, LW_RW_TO_READ };

/* An acquire, beside its lock. */
struct lw_rw_call {
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
    enum lw_rw_face face;
    bool reads; /* the caller does already */
};

/* lw_rw_look(): beside 0 and negative codes. */
enum { LW_RW_QUEUE_FOR_IT = 1, LW_RW_ORPHANED = 2 };

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
    return (word & ~(LW_LOCK_GUARD | LW_LOCK_QUEUED | LW_LOCK_INCONSISTENT)) ==
           (owner | LW_RW_FREE);
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

/* What must hold of the word and the queues whenever nobody has the guard. */
LW_INLINE bool lw_rw_is_sound(const lw_rwlock *rw, uint64_t word)
{
    bool writers = rw->write._queue != NULL, readers = rw->read._queue != NULL;
    bool upgrading = (word & LW_RW_UPGRADING) != 0;

    if (!lw_rw_is_read(word))
        return !upgrading && ((word & ~LW_LOCK_FLAGS) != 0 || (!writers && !readers));
    return lw_rw_readers(word) > (upgrading ? 1 : 0) && (writers || !upgrading) &&
           (!readers || (writers && rw->flags != LW_RWLOCK_PREFER_READERS));
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

    lw_debug_check(lw_rw_is_sound(rw, word));
    lw_rw_hint(rw, word);
    lw_store_rel(&rw->write._word._value, queued ? word | LW_LOCK_QUEUED : word); /* [L1] [L2] */
}

/* ---- whose turn it is; all under the guard */

LW_INLINE uint64_t lw_rw_with_reader(uint64_t word)
{
    return lw_rw_is_read(word) ? word + LW_RW_READER : LW_RW_READ | LW_RW_READER;
}

/* A reader who comes to a lock that is read need not wait. */
LW_INLINE bool lw_rw_may_join(const lw_rwlock *rw)
{
    return rw->flags == LW_RWLOCK_PREFER_READERS || rw->write._queue == NULL;
}

/* What the word says to one who comes; 0: it is the caller's, by the word that is given back.
 * Under the guard. */
int lw_rw_look(const lw_rwlock *rw, uint64_t *word, const struct lw_rw_call *call);

/* A wait that has ended without the lock leaves its queue; who waited for that one only goes on. */
void lw_rw_leave_queue(lw_rwlock *rw, enum lw_rw_face face, struct lw_node *node);

/* The caller wrote, or read and has no hold of that any more. */
int lw_rw_write_release(lw_lock *lock, struct lw_cold *cold);
int lw_rw_leave_readers(lw_rwlock *rw);

bool lw_rw_reads(const lw_rwlock *rw); /* the caller does */

/* All readers that wait. */
uint64_t lw_rw_admit_readers(lw_rwlock *rw, uint64_t word, struct lw_wake_batch *in);

/* End a section in which somebody has left the lock, or a queue: who may go on now does.  first:
 * who goes first if the lock is free. */
void lw_rw_settle(lw_rwlock *rw, uint64_t word, enum lw_rw_face first);

#endif
