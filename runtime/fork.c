/* SPDX-License-Identifier: MIT */
/* fork(2): the child has the memory of all workers and none of their threads.
 *
 * The one thread of the child loses its struct lw_thread, so that each fast path finds none and
 * goes the slow way of a plain thread's first use; that way asks lw_forked() and says -ECHILD.
 * What wakes, cancels or trims asks first: it says -ECHILD, or does nothing where it has no error
 * to say.  exec works: descriptors are close-on-exec.  Nothing else is repaired in the child:
 * guards may be held by threads that it does not have, and who meets such a guard all the same is
 * told so (lw_spin), rather than left to spin.
 *
 * While the library has no threads of its own (a daemon that forks before lw_run(), or after it),
 * nothing is lost by a fork, and the child may do what its parent might have done.
 *
 * [F1] the handler is registered -> whoever needs it: watch (release) -> load (acquire). */
#include "runtime/fork.h"

#include <errno.h>

#include "runtime/courier.h"
#include "runtime/helpers.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { UNWATCHED, WATCHING, WATCHED };

static uint32_t watch;
bool lw_is_forked;
void (*lw_forked_hook)(void);

static bool has_threads(void)
{
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++)
        if (lw_load_rlx(&lw_runtimes[i]) != NULL)
            return true;
    return lw_helpers_exist() || lw_courier_exists();
}

static void in_child(void)
{
    lw_is_forked |= has_threads();
    if (lw_forked_hook != NULL)
        lw_forked_hook();
    if (lw_is_forked)
        lw_thread_tls = NULL;
    else if (lw_thread_tls != NULL)
        lw_thread_tls->tid = lw_sys.thread_number();
}

int lw_fork_init(void)
{
    for (unsigned rounds = 0;; lw_spin(&rounds)) {
        uint32_t seen = UNWATCHED;

        if (lw_load_acq(&watch) == WATCHED) /* [F1] */
            return 0;
        if (!lw_cas_acq(&watch, &seen, WATCHING))
            continue;
        if (lw_sys.atfork(NULL, NULL, in_child) != 0) {
            lw_store_rel(&watch, UNWATCHED);
            return -ENOMEM;
        }
        lw_store_rel(&watch, WATCHED); /* [F1] */
        return 0;
    }
}
