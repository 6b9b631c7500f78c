/* SPDX-License-Identifier: MIT */
/* An lw_rlock is a reentrant lock: its owner may acquire it again, and it is free after as many
 * releases.
 *
 *     static lw_rlock lock = LW_RLOCK_INIT("tree");
 *
 *     LW_WITH(&lock.lock, LW_FOREVER, err)
 *         err = move(&tree, from, to);        // by insert() and remove(), which take it as well
 *
 * Waiters are served strictly in order: the last release makes the one who waits longest the owner,
 * and who comes by meanwhile queues behind it.  (An lw_mutex lets those who come by go first, which
 * is many times faster when it is contended.) */
#ifndef LATCHWORK_RLOCK_H
#define LATCHWORK_RLOCK_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_rlock { lw_lock lock; } lw_rlock;

LW_API extern const lw_lock_kind lw_rlock_kind;
#define LW_RLOCK_INIT(name) { LW_LOCK_INIT_(&lw_rlock_kind, name, 0, LW_LOCK_HANDED_) }

/* Take the lock; for its owner, one level more, at once, however many wait.
 * Returns 0; -EOVERFLOW: more than 2^32 levels; -EOWNERDEAD, -ENOTRECOVERABLE: its owner ended, see
 * lock.h; -EINVAL: a zeroed lock.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_rlock_acquire(lw_rlock *lock, lw_nsec deadline);

/* Give one level back.  Returns 0; -EPERM: the caller does not own it; -EINVAL as above.
 * Anyone.  Never switches. */
LW_API int lw_rlock_release(lw_rlock *lock);

/* Whether somebody owns it.  Anyone; a snapshot. */
LW_API bool lw_rlock_locked(const lw_rlock *lock);

#ifdef __cplusplus
}
#endif
#endif
