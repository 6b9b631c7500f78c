/* SPDX-License-Identifier: MIT */
/* An lw_breaker stands before something that may be down, and keeps calls away from it while it is
 * (the circuit breaker of Nygard, "Release It!").
 *
 *     lw_breaker_init(&breaker, "billing", NULL);           // 3 failures, 5 trials, 30 s
 *
 *     err = lw_breaker_call(&breaker, ask_billing, &request, &status);
 *     if (err == -EHOSTDOWN)
 *         ...                                               // it was not asked
 *
 * CLOSED: every call runs; failures_max failures without a success between them open it.  OPEN: no
 * call runs; the first one that comes after more than reset_after makes it HALF_OPEN, and is its
 * first trial.  HALF_OPEN: at most trials_max calls run at a time; the first that succeeds closes
 * it, the first that fails opens it again for a whole reset_after.
 *
 * What a call's status is taken for:
 *
 *     not negative                 a success
 *     -ECANCELED                   nothing: as if there had not been the call
 *     -ESHUTDOWN, -ENOTRECOVERABLE nothing about what was called: passed on as it is
 *     what `expected` says true to a failure
 *     any other                    nothing about what was called: -EREMOTEIO
 *
 * Trials that told nothing do not keep it HALF_OPEN for ever: after trials_max of these it is OPEN
 * again once none runs; a cancelled one does not count.  The status of a call that began before the
 * state last changed changes neither state nor counts.
 *
 * Any number of calls run at the same time; while CLOSED and nothing fails, none writes to the
 * breaker.  fn may call the same breaker, and others.  It has to come back: a thread that ends
 * inside, a longjmp or an exception out of it keeps a trial's place until the state changes.  (A
 * runtime that stops cancels its tasks and waits for them, so their calls come back.) */
#ifndef LATCHWORK_BREAKER_H
#define LATCHWORK_BREAKER_H

#include <latchwork/time.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether calls run: all, some on trial, or none. */
typedef enum lw_breaker_state {
    LW_BREAKER_CLOSED = 0,
    LW_BREAKER_HALF_OPEN = 1,
    LW_BREAKER_OPEN = 2,
} lw_breaker_state;

/* All zero, or NULL in place of the struct: what lw_get_defaults() says. */
typedef struct lw_breaker_options {
    uint32_t failures_max;        /* the failure with this number opens; 0: 3 */
    uint32_t trials_max;          /* 0: 5 */
    lw_nsec reset_after;          /* a duration; 0: 30 s */
    bool (*expected)(int status); /* NULL: every negative status but those above is a failure */
    const int *fallback;          /* the status given in place of a failure, which counts all the
                                   * same; read at init.  NULL: the failure's own */
    lw_nsec (*now)(void);         /* the clock of reset_after; NULL: lw_now() */
    uint64_t _reserved[2];
} lw_breaker_options;

typedef struct lw_breaker {
    const char *name;           /* NULL at init: "#1" and so on */
    lw_breaker_options options; /* as they are in force; not to be changed */
    lw_word64 _word, _opened;
    lw_word32 _failures, _trials, _told_nothing;
    int _fallback;
    char _number[12];
} lw_breaker;

/* Make a CLOSED breaker.  One without a name stays where it is in memory.
 * Returns 0; -EINVAL: reset_after is negative; -ECHILD: after fork.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_breaker_init(lw_breaker *breaker, const char *name,
                                         const lw_breaker_options *options);

/* Run fn(arg) in the caller, unless the breaker keeps it away.  *status is what it returned, or the
 * fallback; status may be NULL.  `expected` and `now` are called in the caller as well, and nothing
 * is held then.
 * Returns 0: fn ran, and succeeded or failed; -ECANCELED, -ESHUTDOWN, -ENOTRECOVERABLE: fn ran and
 * returned that; -EREMOTEIO: it ran and returned what is not expected, which is in *status.  Of the
 * others fn did not run, and *status is as it was: -EHOSTDOWN: OPEN; -EBUSY: HALF_OPEN, and all
 * trials are taken; -EINVAL: a zeroed breaker; -ECHILD: after fork.
 * Anyone.  Switches and is a cancellation point where fn is; never waits by itself. */
LW_API LW_MUST_CHECK int lw_breaker_call(lw_breaker *breaker, lw_fn *fn, void *arg, int *status);

/* The state.  Time alone does not change it: OPEN stays until a call comes.
 * Anyone; a snapshot. */
LW_API lw_breaker_state lw_breaker_read(const lw_breaker *breaker);

/* How many failures there were since the last success; 0 while it is not CLOSED.
 * Anyone; a snapshot. */
LW_API uint32_t lw_breaker_failures(const lw_breaker *breaker);

#ifdef __cplusplus
}
#endif
#endif
