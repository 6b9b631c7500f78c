/* SPDX-License-Identifier: MIT */
/* The numbers that stand for those a program does not give.
 *
 *     lw_defaults defaults;
 *
 *     lw_get_defaults(&defaults);
 *     defaults.breaker.failures_max = 10;
 *     err = lw_set_defaults(&defaults);
 *
 * A runtime has the process's until one of its tasks sets them: from then on it has its own, and
 * what happens to the process's does not matter to it.  They are read when something is made (but
 * see rate_limit_tokens), so what is there already stays as it is.  Static initialisers do not read
 * them: they have numbers of their own. */
#ifndef LATCHWORK_DEFAULTS_H
#define LATCHWORK_DEFAULTS_H

#include <latchwork/breaker.h>
#include <latchwork/throttle.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How long each step of hosting a task may take, durations; 0: at once. */
typedef struct lw_host_timeouts {
    lw_nsec force;   /* to make the owner let go; 1 s */
    lw_nsec acquire; /* to get the lock; 0.1 s */
    lw_nsec run;     /* for the task itself; LW_FOREVER */
} lw_host_timeouts;

/* Here each number stands for itself, also a 0. */
typedef struct lw_defaults {
    lw_breaker_options breaker;
    lw_throttle_options throttle;
    double rate_limit_tokens;           /* 1.0; read at each acquire and release */
    /* For who has to give a number and has none of his own: */
    int64_t bounded_semaphore_bound;    /* 1 */
    int64_t priority_semaphore_permits; /* 1 */
    int priority;                       /* 0 */
    lw_host_timeouts host;
    uint64_t _reserved[8];
} lw_defaults;

/* The defaults of the caller's runtime; in a thread the process's; after fork the library's.
 * Anyone.  Never switches. */
LW_API void lw_get_defaults(lw_defaults *defaults);

/* Set the defaults of the caller's runtime; in a thread the process's.  Names, functions and the
 * fallback are kept, not copied.
 * Returns 0; -EINVAL: what cannot be made of them; -ENOMEM: the first set of a runtime; -ECHILD.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_set_defaults(const lw_defaults *defaults);

#ifdef __cplusplus
}
#endif
#endif
