/* SPDX-License-Identifier: MIT */
/* After fork(2) the child has one thread and none of the workers: it may only exec or _exit.
 * Whatever would need another thread says -ECHILD there instead of waiting for ever.  See
 * fork.c. */
#ifndef LW_RUNTIME_FORK_H
#define LW_RUNTIME_FORK_H

#include <stdbool.h>

#include "runtime/atomic.h"

/* The calling process was forked from one in which the library had threads of its own.  Asked first
 * by all that takes a guard: a thread that the child does not have may have been holding it. */
extern bool lw_is_forked; /* written while the process has one thread */

/* Called in every child, while it has one thread, and when lw_is_forked says what it is; NULL:
 * there is none. */
extern void (*lw_forked_hook)(void);

LW_INLINE bool lw_forked(void)
{
    return lw_unlikely(lw_is_forked);
}

/* Watch for forks from now on.  0 or -ENOMEM.  Idempotent, any thread; called by whatever first
 * gives a thread its struct lw_thread. */
int lw_fork_init(void);

#endif
