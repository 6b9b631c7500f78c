/* SPDX-License-Identifier: MIT */
/* The side of the one who is asked to let go of a lock.
 *
 * Whoever wants a lock that another task owns, a locksmith (locksmith.h) or the deadlock detector,
 * cannot take it: only its owner lets go of it.  What he can do is to ask.  The owner hears it at a
 * wait, which ends with -EDEADLK, or by asking, and then releases the lock, or answers, or does
 * neither, in which case the grace passes and nothing happens.
 *
 *     int err = lw_sleep(lw_in(LW_SEC));         // or any wait, with the lock held
 *
 *     if (err == -EDEADLK && lw_force_pending(&asked)) {
 *         undo_what_is_half_done(asked.lock);
 *         lw_release(asked.lock);                // releasing it answers
 *     }
 *
 * A locksmith's request ends one wait of the owner, the present one or the next, of any kind; not
 * inside of a shield, where it is kept for the next wait after that.  What need not wait is not
 * concerned: uncontended locks, lw_yield(), lw_checkpoint(), a plain thread's I/O.  A detector's
 * request ends no wait, unless the task was spawned with LW_TASK_FORCIBLE.  A task is asked for one
 * lock at a time.  One that has let go of the lock just then may still hear it at its next wait:
 * then it starts over, as after any -EDEADLK. */
#ifndef LATCHWORK_FORCE_H
#define LATCHWORK_FORCE_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is asked: a copy. */
typedef struct lw_force_request {
    lw_lock *lock;
    lw_locksmith *requester; /* NULL: the detector */
    const void *info;        /* as the requester said; there until the deadline, or the answer */
    lw_nsec deadline;        /* the end of the grace */
    uint64_t _ticket;
} lw_force_request;

/* Whether the caller is asked to let go of a lock now; then *request says of which, and why.  Until
 * it has let go or has answered for good, or the grace is over.  While nobody has ever asked the
 * caller it costs one load.
 * Anyone.  Never switches. */
LW_API bool lw_force_pending(lw_force_request *request);

/* What an owner may answer. */
typedef enum lw_answer {
    LW_ANSWER_RELEASED,   /* the caller lets go of it, or just has; until then it is waited for */
    LW_ANSWER_LATER,      /* in `value` nanoseconds at the latest; may be said again */
    LW_ANSWER_DOWNGRADED, /* it lets others read, or gave part of it back */
    LW_ANSWER_REFUSED,    /* it does not let go */
    LW_ANSWER_VALUE       /* something else that both know */
} lw_answer;

/* Answer a request; `value` is a duration for LW_ANSWER_LATER, and else what one likes.  Each but
 * LATER is the last one.  Nobody need answer who lets go; who wants to say more does so before the
 * release, after which the request is over.  LATER moves the end of the grace, but never beyond
 * what the requester has set.
 * Returns 0; -ESTALE: the grace is over, or the lock was released; -EALREADY: it was answered;
 * -EPERM: it is not the caller who is asked; -EINVAL; -ECHILD.
 * Anyone who is asked.  Never switches. */
LW_API int lw_force_answer(const lw_force_request *request, lw_answer answer, intptr_t value);

#ifdef __cplusplus
}
#endif
#endif
