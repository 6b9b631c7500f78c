/* SPDX-License-Identifier: MIT */
/* LW_RELEASING is LW_WITH the other way round: a lock that the caller owns is released for the time
 * of the body, and taken again after it.
 *
 *     LW_WITH(&table->mutex.lock, LW_FOREVER, err) {
 *         ...
 *         LW_RELEASING(&table->mutex.lock, err) {
 *             err = ask_the_disk();            // others may use the table meanwhile
 *         }
 *         if (err < 0)
 *             break;
 *     }
 *
 * One level of a reentrant lock is released: held more than once, it stays held; and one permit of
 * a bounded semaphore.  Several who keep other permits of it meanwhile may wait for each other to
 * take that one again, for ever, for no force ends these waits: keep none. */
#ifndef LATCHWORK_RELEASING_H
#define LATCHWORK_RELEASING_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Release the lock, to take it again by lw_releasing_exit().
 * Returns 0; -EPERM: the caller does not own it, or its kind refused.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_releasing_enter(lw_lock *lock);

/* Take it again, in one's turn.  Neither a cancel nor a force ends this wait; what came meanwhile
 * is kept for the next one.  One whom a purge sends away begins anew, at the end of the line.  No
 * enter is noted anywhere: without one this is an acquire; or nothing, of a lock that the caller
 * has, for it may have been handed to it meanwhile.
 * Returns 0; -EOWNERDEAD, -ENOTRECOVERABLE: its owner has ended meanwhile, and it is not held, see
 * lock.h; -ENOMEM: a permit cannot be noted, and is not held.
 * Anyone.  May switch task.  No cancellation point. */
LW_API int lw_releasing_exit(lw_lock *lock);

/* Release, run the body, take again once however the body is left (return, goto, break; not
 * longjmp, and no goto into it).  status is an int variable of the caller: it gets what
 * lw_releasing_enter() returned, and when that is negative the body is skipped; the body may store
 * its own outcome there, which stands unless the lock could not be taken again.  break and continue
 * in the body leave this scope, not a loop around it.  May be followed by else, for "was not
 * released". */
#define LW_RELEASING(lock, status) LW_RELEASING_NAMED_(LW_UNIQUE_(lw_without_), lock, status)
#define LW_RELEASING_NAMED_(var, lock, status) LW_RELEASING_(var, lock, status)
#define LW_RELEASING_(var, lock, status)                                                       \
    for (lw_without_ var LW_CLEANUP_(lw_without_leave_) = { (lock), &(status), false },        \
         *var##_ = lw_without_took_(&var, (status) = lw_releasing_enter(var._lock));           \
         var##_ != NULL; var##_ = NULL)                                                        \
        if (var._released)

typedef struct lw_without_ { lw_lock *_lock; int *_status; bool _released; } lw_without_;

static inline lw_without_ *lw_without_took_(lw_without_ *without, int status)
{
    without->_released = status >= 0;
    return without;
}

static inline void lw_without_leave_(lw_without_ *without)
{
    int err = without->_released ? lw_releasing_exit(without->_lock) : 0;

    if (err < 0)
        *without->_status = err;
}

#ifdef __cplusplus
}
#endif
#endif
