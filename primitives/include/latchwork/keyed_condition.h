/* SPDX-License-Identifier: MIT */
/* An lw_keyed_condition is a condition whose waiters each wait for a key: one notify wakes those of
 * one key, and disturbs no other.  For many requests that are answered in any order.
 *
 *     LW_WITH(pending.lock, LW_FOREVER, err) {
 *         send_request(id);
 *         err = lw_keyed_condition_wait(&pending, id, lw_in(5 * LW_SEC));
 *     }
 *
 *     LW_WITH(pending.lock, LW_FOREVER, err)                      // by whoever has the answer
 *         err = lw_keyed_condition_notify(&pending, id, 1, 0);
 *
 * Waits release the lock, wholly, and always return holding it again, as lw_condition_wait() does.
 * Waiters of one key are woken in order.  A wait or a notify takes about log n steps of n keys,
 * unless somebody picks the keys so that it does not; and one for each
 * lw_keyed_condition_wait_all() under way. */
#ifndef LATCHWORK_KEYED_CONDITION_H
#define LATCHWORK_KEYED_CONDITION_H

#include <latchwork/condition.h>
#include <latchwork/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_keyed_condition {
    lw_waitable wait;
    lw_lock *lock; /* which it uses; constant */
    lw_mutex _mutex;
    void *_observers;
    uint32_t _waiting;
    uint64_t _epoch;
} lw_keyed_condition;

/* Make a condition that uses that lock; NULL: a mutex of its own, of that name.  It must not be
 * moved afterwards.  Anyone.  Never switches. */
LW_API void lw_keyed_condition_init(lw_keyed_condition *condition, const char *name,
                                    lw_lock *lock);

/* Wait until the key is notified.
 * Returns 0; -EPERM: the caller does not hold the lock, or it could not be released; -EINVAL: a
 * zeroed condition; -EOWNERDEAD, -ENOTRECOVERABLE: the lock was not taken again, see lock.h.  Who
 * held the lock holds it again in all other cases.
 * Anyone who holds the lock.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_keyed_condition_wait(lw_keyed_condition *condition, uint64_t key,
                                                 lw_nsec deadline);

/* Wait until predicate(arg), which is called with the lock held, is true: at once if it is.  Each
 * wait for a notify takes wait_max (a duration) at most, and all of them end at the deadline.
 * Returns 0: it is true; -ETIMEDOUT: it was not when one of them was over; else as a wait.
 * Anyone who holds the lock.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_keyed_condition_wait_for(lw_keyed_condition *condition, uint64_t key,
                                                     lw_predicate *predicate, void *arg,
                                                     lw_nsec wait_max, lw_nsec deadline);

/* Wait until all who wait now, for any key, were notified, or have given up; with nobody there, not
 * at all.  Nobody is disturbed by it, nor by its end.  If the caller holds the lock, it is released
 * and taken again as by a wait, with the results of one; it need not.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_keyed_condition_wait_all(lw_keyed_condition *condition,
                                                     lw_nsec deadline);

/* Wake up to `count` (LW_ALL: all) of those who wait for the key, in order.
 * Returns how many; -EPERM: the caller does not hold the lock; with LW_STRICT -ENOENT: nobody waits
 * for the key; -EAGAIN: there were fewer, who were woken; -EINVAL: count is 0; -EINVAL, too: other
 * flags.
 * Anyone who holds the lock.  Never switches. */
LW_API int lw_keyed_condition_notify(lw_keyed_condition *condition, uint64_t key, uint32_t count,
                                     uint32_t flags);

/* Wake all who wait, whatever their keys.  Returns how many; -EPERM: the caller does not hold the
 * lock.  Anyone who holds the lock.  Never switches. */
LW_API int lw_keyed_condition_notify_all(lw_keyed_condition *condition);

#ifdef __cplusplus
}
#endif
#endif
