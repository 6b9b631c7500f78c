/* SPDX-License-Identifier: MIT */
/* An lw_priority_lock is a lock that one task at a time owns, and that goes to the most important
 * one of those who wait; an lw_priority_rlock is one that its owner may acquire again.
 *
 *     static lw_priority_lock lock = LW_PRIORITY_LOCK_INIT("disk");
 *
 *     err = lw_priority_lock_acquire(&lock, -10, LW_FOREVER);     // before those of 0
 *
 * Smaller numbers are more important, negative ones too; of equal ones whoever came first is first.
 * A release with waiters makes the first of them the owner: who comes by meanwhile queues, however
 * important it is.  So one that is not important waits as long as more important ones keep coming.
 *
 * As locks of the protocol (lw_acquire(), LW_WITH), and when a condition takes them again, they
 * take the task's own priority, that of its lw_task_options: 0 unless it was said.  Queueing costs
 * O(log n) of n waiters. */
#ifndef LATCHWORK_PRIORITY_LOCK_H
#define LATCHWORK_PRIORITY_LOCK_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_priority_lock { lw_lock lock; } lw_priority_lock;
typedef struct lw_priority_rlock { lw_lock lock; } lw_priority_rlock;

LW_API extern const lw_lock_kind lw_priority_lock_kind;
LW_API extern const lw_lock_kind lw_priority_rlock_kind;

#define LW_PRIORITY_LOCK_INIT(name) \
    { LW_LOCK_INIT_(&lw_priority_lock_kind, name, 0, LW_LOCK_HEAP_) }
#define LW_PRIORITY_RLOCK_INIT(name) \
    { LW_LOCK_INIT_(&lw_priority_rlock_kind, name, 0, LW_LOCK_HEAP_) }

/* Take the lock.
 * Returns 0; -EDEADLK: the caller owns it already (with LW_NOW: -ETIMEDOUT); -EOWNERDEAD,
 * -ENOTRECOVERABLE: its owner ended, see lock.h; -EINVAL: a zeroed lock.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_priority_lock_acquire(lw_priority_lock *lock, int priority,
                                                  lw_nsec deadline);

/* Give the lock back.  Returns 0; -EPERM: the caller does not own it; -EINVAL as above.
 * Anyone.  Never switches. */
LW_API int lw_priority_lock_release(lw_priority_lock *lock);

/* Whether somebody owns it.  Anyone; a snapshot. */
LW_API bool lw_priority_lock_locked(const lw_priority_lock *lock);

/* Take the lock; for its owner, one level more, at once, whatever the priority.
 * Returns 0; -EOVERFLOW: more than 2^32 levels; -EOWNERDEAD, -ENOTRECOVERABLE, -EINVAL as above.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_priority_rlock_acquire(lw_priority_rlock *lock, int priority,
                                                   lw_nsec deadline);

/* Give one level back.  Returns 0; -EPERM: the caller does not own it; -EINVAL as above.
 * Anyone.  Never switches. */
LW_API int lw_priority_rlock_release(lw_priority_rlock *lock);

/* Whether somebody owns it.  Anyone; a snapshot. */
LW_API bool lw_priority_rlock_locked(const lw_priority_rlock *lock);

#ifdef __cplusplus
}
#endif
#endif
