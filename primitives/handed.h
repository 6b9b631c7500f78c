/* SPDX-License-Identifier: MIT */
/* Locks that are handed on: lw_rlock, lw_priority_lock, lw_priority_rlock.  The protocol is in
 * handed.c; here are their fast paths.  Each is compiled once per kind, `idle` (the word of a free
 * one) and `nests` being constants of the kind. */
#ifndef LW_PRIMITIVES_HANDED_H
#define LW_PRIMITIVES_HANDED_H

#include <errno.h>

#include "primitives/lock.h"

enum lw_nesting { LW_NESTS_NOT, LW_NESTS };

/* Not free, or the first use since the task was switched to, or a budget that is spent.  priority:
 * of a kind with a heap. */
int lw_handed_acquire_slow(lw_lock *lock, struct lw_record *me, lw_nsec deadline, const void *site,
                           int priority, enum lw_nesting nests);
int lw_handed_acquire_entering(lw_lock *lock, lw_nsec deadline, const void *site, int priority,
                               enum lw_nesting nests);
int lw_handed_release_slow(lw_lock *lock, struct lw_cold *cold);
int lw_handed_release_entering(lw_lock *lock);

/* Somebody owns it; of a dead one nobody does any more. */
bool lw_handed_locked(const lw_lock *lock);

/* All calls are in tail position, so that the fast path saves no register. */
LW_INLINE int lw_handed_acquire(lw_lock *lock, uint64_t idle, lw_nsec deadline, const void *site,
                                int priority, enum lw_nesting nests)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t seen = idle, mine;

    if (lw_unlikely(thread == NULL || (mine = lw_owner_noted(thread)) == 0 ||
                    lw_load_rlx(&thread->budget) <= 1))
        return lw_handed_acquire_entering(lock, deadline, site, priority, nests);
    (void)lw_thread_spend(thread, deadline != LW_NOW);
    if (lw_unlikely(!lw_cas_acq_rel(&lock->_word._value, &seen, mine | idle))) /* [L1] [L3] */
        return lw_handed_acquire_slow(lock, lw_load_rlx(&thread->current), deadline, site, priority,
                                      nests);
    return lw_hold_push(lw_load_rlx(&thread->cold), lock, site);
}

/* It is owned by the caller, whose word is `mine`, and not nested: both have to be known before the
 * compare-and-swap, which of an owner who has nested would give the lock away.  First who owns it:
 * the depth that another finds, to whom it is then transferred, is not that owner's. */
LW_INLINE bool lw_handed_is_plain(const lw_lock *lock, uint64_t mine)
{
    return lw_load_acq(&lock->_word._value) == mine && /* [G2] of transfer.c */
           lw_load_rlx(&lock->_number) == 0;
}

LW_INLINE int lw_handed_release(lw_lock *lock, uint64_t idle, enum lw_nesting nests)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine;

    if (lw_unlikely(thread == NULL || (mine = lw_owner_noted(thread)) == 0))
        return lw_handed_release_entering(lock);
    mine |= idle;
    if (lw_unlikely((nests == LW_NESTS && !lw_handed_is_plain(lock, mine)) ||
                    !lw_cas_acq_rel(&lock->_word._value, &mine, idle))) /* [L1] */
        return lw_handed_release_slow(lock, lw_load_rlx(&thread->cold));
    if (lw_unlikely(!lw_hold_pop(lw_load_rlx(&thread->cold), lock)))
        return lw_owner_forget(lw_load_rlx(&thread->cold), lock);
    return 0;
}

/* The table of a kind, lw_<kind>_kind; priority: an expression. */
#define LW_HANDED_KIND(kind, words, idle, priority, nests)                                         \
    static int kind_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)                  \
    {                                                                                              \
        return lw_handed_acquire(lock, idle, deadline, site, priority, nests);                     \
    }                                                                                              \
                                                                                                   \
    static int kind_acquire(lw_lock *lock, lw_nsec deadline)                                       \
    {                                                                                              \
        return kind_acquire_at(lock, deadline, __builtin_return_address(0));                       \
    }                                                                                              \
                                                                                                   \
    static int kind_release(lw_lock *lock)                                                         \
    {                                                                                              \
        return lw_handed_release(lock, idle, nests);                                               \
    }                                                                                              \
                                                                                                   \
    const lw_lock_kind lw_##kind##_kind = {                                                        \
        .name = words,                                                                             \
        .acquire = kind_acquire,                                                                   \
        .release = kind_release,                                                                   \
        .locked = lw_handed_locked,                                                                \
        ._self = &lw_##kind##_kind,                                                                \
        ._acquire_at = kind_acquire_at,                                                            \
    }

#endif
