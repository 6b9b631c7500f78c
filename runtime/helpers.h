/* SPDX-License-Identifier: MIT */
/* Bounded sets of threads that run what would block a worker: one set per runtime for
 * lw_blocking(), and one in the process for name lookups, whose callers may leave before they end.
 * See helpers.c. */
#ifndef LW_RUNTIME_HELPERS_H
#define LW_RUNTIME_HELPERS_H

#include <latchwork/time.h>

#include "runtime/atomic.h"

struct lw_helpers;
struct lw_record;
struct lw_runtime;

enum {
    LW_HELPERS_DEFAULT = 64,
    LW_LOOKUP_HELPERS = 8,
};

/* Work for a helper: embed it, first or not, in what the work needs. */
struct lw_job {
    void (*work)(struct lw_job *job); /* runs on a helper thread; may block as long as it likes */
    void (*drop)(
        struct lw_job *job); /* frees the job and all it owns; on any thread; never waits */
    /* private, under the set's guard */
    struct lw_job *next;      /* in the queue of those that no helper has begun */
    struct lw_record *waiter; /* who waits for it now; NULL: nobody */
    uint32_t state;           /* enum lw_job_state */
};

enum lw_job_state { LW_JOB_QUEUED, LW_JOB_STARTED, LW_JOB_ENDED, LW_JOB_REFUSED, LW_JOB_ABANDONED };

/* Run job->work on one of the lookup helpers and wait for its end.  The job lies on the heap and
 * owns everything that the work uses, since the caller may be gone before it ends.  Fill in work
 * and drop, zero the rest; site is the caller's __builtin_return_address(0).
 * Returns 0: the work has ended, and the job is the caller's again, results and all.  Or an error
 * (-ETIMEDOUT, -ECANCELED, -EAGAIN: no thread, -ENOMEM, -ECHILD): the job is not the caller's any
 * more; drop has been or will be called: after the work if that had begun, else without it.
 * Anyone.  May switch task.  Cancellation point.  LW_NOW: -ETIMEDOUT. */
int lw_job_run(struct lw_job *job, lw_nsec deadline, const void *site);

/* The runtime's own set, sized by helpers_max: -ENOMEM.  fini, when no task of the runtime is
 * left, so that no helper works any more: blocks the thread for as long as threads take to end. */
int lw_helpers_init(struct lw_runtime *runtime);
void lw_helpers_fini(struct lw_runtime *runtime);

/* There are threads for lookups.  For the child of a fork: takes no guard. */
bool lw_helpers_exist(void);

/* ---- what lw_blocking() is made of: jobs with drop == NULL, which lie on their waiter's stack */

/* Begin me's wait for the job and hand it to a helper, or queue it.  0, or -EAGAIN: there is no
 * helper and none can be made (then no wait was begun).  *started: a helper has it; the wait of a
 * job without drop is then a shielded one, and its end is the job's. */
int lw_helpers_submit(struct lw_helpers *set, struct lw_job *job, struct lw_record *me,
                      lw_nsec deadline, const void *site, bool *started);

/* After a wait that was not granted: out of the queue with it.  False: it has been started; it now
 * belongs to the helper. */
bool lw_helpers_unqueue(struct lw_helpers *set, struct lw_job *job);

/* After a wait in the queue that was granted, and not refused: wait until the work has ended. */
void lw_helpers_await(struct lw_helpers *set, struct lw_job *job, struct lw_record *me,
                      const void *site);

#endif
