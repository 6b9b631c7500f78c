/* SPDX-License-Identifier: MIT */
/* Waiting with a lock that is let go meanwhile: what conditions of all kinds share. */
#ifndef LW_PRIMITIVES_RELOCK_H
#define LW_PRIMITIVES_RELOCK_H

#include <latchwork/lock.h>

#include "runtime/record.h"

/* The caller owns the lock, or has permits of it that are its own. */
bool lw_relock_has(const lw_lock *lock);

/* The caller, who owns the lock, has begun a wait and queued: release the lock wholly, wait, and
 * take it again as often.  leave(arg, me) is called before that if no waker has taken the caller
 * out of its queue.  0: it was granted; else as lw_wait_error() has it, or why the lock could not
 * be released, or not be taken again: then it is not held.  [S] */
int lw_relock_wait(lw_lock *lock, struct lw_record *me, const void *site,
                   void (*leave)(void *arg, struct lw_record *me), void *arg);

/* Take the lock so often, or so many permits of a bounded semaphore, at once: no cancel, force or
 * purge ends it, and what came meanwhile is kept for the next wait.  0; -EOWNERDEAD,
 * -ENOTRECOVERABLE: not held; -ENOMEM: permits cannot be noted, and are not held.  [S] */
int lw_relock_take(lw_lock *lock, struct lw_record *me, uint32_t depth, const void *site);

#endif
