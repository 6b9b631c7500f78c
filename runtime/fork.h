/* SPDX-License-Identifier: MIT */
/* After fork(2) the child has one thread and none of the workers: it may only exec or _exit.
 * Whatever would need another thread says -ECHILD there instead of waiting for ever.  See
 * fork.c. */
#ifndef LW_RUNTIME_FORK_H
#define LW_RUNTIME_FORK_H

#include <stdbool.h>

/* The calling process was forked from one in which the library had threads of its own. */
bool lw_forked(void);

/* Watch for forks from now on.  0 or -ENOMEM.  Idempotent, any thread; called by whatever first
 * gives a thread its struct lw_thread. */
int lw_fork_init(void);

#endif
