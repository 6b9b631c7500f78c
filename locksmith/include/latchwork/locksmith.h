/* SPDX-License-Identifier: MIT */
/* An lw_locksmith makes others let go of locks: of those that it was told about, and as its hooks
 * say.
 *
 *     static lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
 *
 *     err = lw_locksmith_recognize(&smith, &table->lock, deadline);      // once
 *
 *     result = lw_locksmith_force(&smith, &table->lock, NULL, 0, lw_in(LW_SEC));
 *     if (lw_force_ok(result))
 *         err = lw_acquire(&table->lock, deadline);
 *
 * No task is made to let go in the middle of its work.  Its owner is asked (force.h), and the
 * locksmith waits, in front of all who wait for the lock, until it is released, or answered, or the
 * owner ends, or the deadline passes.  A lock without an owner, of a semaphore one permit, is
 * released by the one who forces it: who gave it such a lock has agreed to that.
 *
 * This is the locksmith of the program's own.  What looks for deadlocks by itself is the detector
 * (detector.h); what they share is the owner's side.
 *
 * A locksmith may be static, or on a stack; several may be used by any task at any time.  A lock
 * that one has recognised has to be forgotten before its memory ends, which lw_lock_fini() does for
 * all locksmiths. */
#ifndef LATCHWORK_LOCKSMITH_H
#define LATCHWORK_LOCKSMITH_H

#include <latchwork/defaults.h>
#include <latchwork/force.h>
#include <latchwork/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a force.  `Hook`: what the hook of that name returns by default. */
typedef enum lw_force_result {
    LW_FORCE_UNFORCEABLE = 1,          /* not recognised, or free; nothing was touched */
    LW_FORCE_NO_CURRENT_TASK = 2,      /* nobody to ask, and nobody asks: hook throw_fallback */
    LW_FORCE_OWNER_COMPLETED = 3,      /* the owner has ended: hook eager_fallback */
    LW_FORCE_ALREADY_BEING_FORCED = 4, /* by another force: hook already_forcing */
    LW_FORCE_FAILURE = 5,              /* its owner has it as before */
    LW_FORCE_RELEASED_WITH_FALSE = 6,  /* it refused the release: hook release_returned_false */
    LW_FORCE_SUCCESS = 7,              /* its owner, or whoever had it, has it no more */
    LW_FORCE_RELEASED = 8              /* it was released by the caller */
} lw_force_result;

/* What came of a recognition. */
typedef enum lw_recognition {
    LW_RECOGNITION_FAILED_PRELIM = 1, /* its kind lacks a function */
    LW_RECOGNITION_FAILED_ACK = 2,    /* its kind does not agree */
    LW_RECOGNITION_ALREADY_RECOGNIZED = 3,
    LW_RECOGNITION_SUCCESS = 4
} lw_recognition;

/* Whether a force has had its way: SUCCESS or RELEASED.
 * Anyone.  Never switches. */
LW_API bool lw_force_ok(int result);

/* Whether the lock is recognised: SUCCESS or ALREADY_RECOGNIZED.
 * Anyone.  Never switches. */
LW_API bool lw_recognition_ok(int result);

/* The name of a result, as "SUCCESS"; "?" for what is none, an error for instance.
 * Anyone.  Never switches. */
LW_API const char *lw_force_name(int result);
LW_API const char *lw_recognition_name(int result);

/* Whether the error passes through whatever layer it meets, and nobody makes another result of it:
 * -ESHUTDOWN, -ENOTRECOVERABLE.
 * Anyone.  Never switches. */
LW_API bool lw_critical(int err);

/* What is done about a lock of a kind that was not, or not only, released: the data behind it, for
 * instance.  After the owner was asked, if there is one to ask.  Negative: what the force
 * returns. */
typedef int lw_lock_handler(lw_locksmith *smith, lw_lock *lock, void *arg);

/* Handlers by kind; all zero is an empty table.  One of the program's own has to be emptied before
 * its memory ends. */
typedef struct lw_handlers {
    lw_word64 _word;
    void *_first;
    uint64_t _reserved[2];
} lw_handlers;

#define LW_REPLACE 2u /* a flag: instead of the one that is there */

/* Register a handler for locks of exactly that kind, for a lock of NULL kind lw_mutex_kind; in the
 * table that all locksmiths use who have none of their own (NULL), or in one.  handler NULL, with
 * LW_REPLACE: none from now on.
 * Returns 0, also when that very handler with that arg is there; -EEXIST: another is, and stays;
 * -EINVAL: a kind that lacks a function, or no handler; -ENOMEM; -ECHILD.
 * Anyone.  Never switches. */
LW_API int lw_handlers_register(lw_handlers *handlers, const lw_lock_kind *kind,
                                lw_lock_handler *handler, void *arg, uint32_t flags);

/* What a locksmith does its own way; NULL, all of them or any: the default, which is said here.
 * They are called by the task that forces, and may wait unless it says otherwise; not under the
 * locksmith's mutex, but for can_force.  Those that return an int of which nothing else is said
 * return the result of the force: an lw_force_result, or an error; 0: go on, as if the owner could
 * not be asked. */
typedef struct lw_locksmith_hooks {
    /* Handlers by kind; the process's. */
    lw_handlers *handlers;
    /* Whether a lock is fit to be recognised: its kind has acquire, release and locked. */
    bool (*preliminary_check)(lw_locksmith *smith, lw_lock *lock);
    /* Whether it may be forced now: it is recognised and somebody has it.  With the locksmith's
     * mutex held: may not wait, nor call the locksmith (-EDEADLK). */
    bool (*can_force)(lw_locksmith *smith, lw_lock *lock);
    /* Why, for the owner, when the caller did not say; *err negative: the force ends with it,
     * before anything was done.  A text with the kind, name and address of the lock. */
    const void *(*get_info)(lw_locksmith *smith, lw_lock *lock, int *err);
    /* Whom to ask: lw_owner(). */
    lw_task (*find_owner)(lw_locksmith *smith, lw_lock *lock);
    /* The lock is a hosted task's now: the kind's set_owner, if it has one. */
    void (*patch_owner)(lw_locksmith *smith, lw_lock *lock, lw_task owner);
    /* First of all; negative: the force ends with it.  0. */
    int (*audit)(lw_locksmith *smith, lw_lock *lock);
    /* There is no owner to ask, and the caller is a plain thread; the owner has ended; the lock is
     * being forced by this very locksmith, or its owner asked by it for another.  0: what handlers
     * do, and whether the lock is free then, decides. */
    int (*throw_fallback)(lw_locksmith *smith, lw_lock *lock);
    int (*eager_fallback)(lw_locksmith *smith, lw_lock *lock);
    int (*already_forcing)(lw_locksmith *smith, lw_lock *lock);
    /* The kind's release returned a positive number.  Its value is the result, also a 0. */
    int (*release_returned_false)(lw_locksmith *smith, lw_lock *lock);
    /* The owner has answered, or has just let go (LW_ANSWER_RELEASED, 0).  Once for each answer.
     * Nothing. */
    void (*answer_received)(lw_locksmith *smith, lw_lock *lock, lw_answer answer, intptr_t value);
    /* Another locksmith, or the detector (NULL), is forcing it, or asking its owner.  To tell that
     * one: lw_locksmith_tell_busy().  Nothing. */
    void (*lock_busy)(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth);
    /* The owner was asked, and has ended with the lock, without an answer: with -EDEADLK, so it
     * passed on what its wait returned; with what lw_critical() says, which may not wait; with
     * another error.  A line on standard error; err, which is negative; such a line, but for
     * -EINVAL and -EPERM. */
    void (*task_propagated_request)(lw_locksmith *smith, lw_lock *lock);
    int (*task_raised_critical)(lw_locksmith *smith, lw_lock *lock, int err);
    void (*task_raised_other)(lw_locksmith *smith, lw_lock *lock, int err);
    /* Last, when it was asked for: lw_purge_waiters().  Negative: what the force returns, if it
     * does not return an error anyway. */
    int (*purge_waiters)(lw_locksmith *smith, lw_lock *lock);
    void (*_reserved[4])(void);
} lw_locksmith_hooks;

struct lw_locksmith {
    const lw_locksmith_hooks *hooks; /* NULL: all defaults; constant, outlives the locksmith */
    void *data;                      /* the program's own */
    lw_mutex _mutex;
    lw_word64 _busy;
    uint64_t _reserved[2];
};

#define LW_LOCKSMITH_INIT(hooks, data) \
    { (hooks), (data), LW_MUTEX_INIT("locksmith"), { 0 }, { 0, 0 } }

/* Tell the locksmith of a lock, so that it may force it.  It knows its own mutex from the
 * beginning.  The kind's acknowledge is asked, outside of that mutex.
 * Returns an lw_recognition; negative, and it is not recognised: -ETIMEDOUT, -ECANCELED, also out
 * of acknowledge, as is what lw_critical() says; -EDEADLK; -ENOMEM; -ECHILD.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_locksmith_recognize(lw_locksmith *smith, lw_lock *lock,
                                                lw_nsec deadline);

/* Know a lock no more.
 * Returns 0; -ENOENT: it was not recognised, or is the locksmith's own mutex; -ECHILD.
 * Anyone.  Never switches. */
LW_API int lw_locksmith_forget(lw_locksmith *smith, lw_lock *lock);

/* The locks it knows now, its own mutex first: as many as fit into locks[], and how many there are.
 * Anyone; a snapshot.  Never switches. */
LW_API size_t lw_locksmith_recognized(lw_locksmith *smith, lw_lock **locks, size_t locks_max);

#define LW_PURGE_WAITERS 4u /* a flag: and nobody is to wait for it: their waits end with -EPIPE */
#define LW_INFO_GIVEN 8u    /* a flag: info is what the owner is shown, also NULL */

/* Make whoever has the lock let go of it.  If it has an owner, that is asked, and has until the
 * deadline (LW_NOW: nobody is asked).  Then the handler of its kind is run.  info is what the owner
 * is shown; it outlives the deadline, or the answer.
 * Returns an lw_force_result, or what a hook made of it; negative: -ETIMEDOUT, before anybody was
 * asked; -ECANCELED; -EDEADLK: the caller is itself to let go of something; -EPIPE: the caller's
 * wait was purged; -EAGAIN: 64 locks are being forced; what a hook or handler, or the kind's
 * release or acquire, returned that is no refusal; -EINVAL; -ENOMEM; -ECHILD.  Waiters are purged
 * all the same, once it was tried to release it.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_locksmith_force(lw_locksmith *smith, lw_lock *lock, const void *info,
                                            uint32_t flags, lw_nsec deadline);

/* Force the lock, and then run fn(arg) as a task that owns it, before anybody who waits for it.  It
 * is released after that, unless fn has done so.  A lock that is free, or that cannot be forced, is
 * acquired in front of all others.  timeouts: how long each step may take at most; NULL: the
 * defaults'; none of it lasts beyond the deadline.
 *
 *     err = lw_locksmith_host(&smith, &table->lock, mend, table, &status, NULL, LW_FOREVER);
 *
 * Returns 0: fn has run, and *status (may be NULL) is its status; -ETIMEDOUT: a step took too long;
 * negative as lw_locksmith_force(), lw_acquire(), lw_transfer(), lw_spawn().  Then fn has not run,
 * or, when that was what took too long or the caller's wait was ended (-ECANCELED; -EDEADLK: it is
 * asked for a lock, or gives way), was cancelled and has ended: whatever comes, fn does not run any
 * more when this returns.
 * In either case the lock is not the caller's, and nobody waits for it on his behalf.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_locksmith_host(lw_locksmith *smith, lw_lock *lock, lw_fn *fn,
                                           void *arg, int *status, const lw_host_timeouts *timeouts,
                                           lw_nsec deadline);

#define LW_BUSY_DEPTH_MAX 8 /* so often locksmiths tell each other */

/* For a lock_busy hook: call that of another locksmith, with one step more of depth; so two that
 * tell each other end.
 * Returns 0; -EOVERFLOW: it was told often enough; -EINVAL: the detector, or negative.
 * Anyone.  May switch task if its hook does. */
LW_API int lw_locksmith_tell_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester,
                                  int depth);

/* It forgets all locks.
 * Returns 0; -EBUSY: it is forcing one, or recognising; -ECHILD.
 * Anyone.  Never switches. */
LW_API int lw_locksmith_fini(lw_locksmith *smith);

#ifdef __cplusplus
}
#endif
#endif
