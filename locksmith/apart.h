/* SPDX-License-Identifier: MIT */
/* Threads for work that nobody who decides may wait for. */
#ifndef LW_LOCKSMITH_APART_H
#define LW_LOCKSMITH_APART_H

#include <signal.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"

/* Start one that takes no signals: those are for the program's own threads.  0, or an error
 * number. */
LW_INLINE int lw_start_apart(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
    sigset_t all, before;
    int err;

    (void)sigfillset(&all);
    (void)lw_sys.thread_sigmask(SIG_BLOCK, &all, &before);
    err = lw_sys.thread_create(thread, NULL, main, arg);
    (void)lw_sys.thread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

#endif
