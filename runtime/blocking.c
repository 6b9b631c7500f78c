/* SPDX-License-Identifier: MIT */
/* lw_blocking(): a job for the runtime's helpers that lies on the caller's stack.
 *
 * If a helper is idle the job is its own at once, and there is one wait, shielded, until the
 * function has ended.  Else the task first waits in the queue, as long as deadline and cancel let
 * it; the helper that takes the job out ends that wait, and while the function runs already the
 * task begins the second, shielded one (or finds that it has ended).  So the deadline and a cancel
 * end nothing but the wait for a helper, and the job stays where it is for as long as a helper may
 * touch it.
 *
 * No ordering of its own: see helpers.c. */
#include "runtime/helpers.h"

#include <errno.h>
#include <latchwork/blocking.h>
#include <latchwork/cancel.h>

#include "runtime/fork.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

struct call {
    struct lw_job job; /* first */
    lw_fn *fn;
    void *arg;
    int status;
};

static void call_work(struct lw_job *job)
{
    struct call *call = (struct call *)(void *)job;

    call->status = call->fn(call->arg);
}

static int task_blocking(struct call *call, lw_nsec deadline, const void *site)
{
    struct lw_helpers *set;
    struct lw_record *me;
    enum lw_outcome outcome;
    bool started;
    int err = lw_wait_enter(&me, deadline);

    if (err == 0)
        err = lw_checkpoint(); /* not lw_deliver_cancel: a child may have to enrol first */
    if (err < 0)
        return err;
    set = lw_thread_self()->worker->runtime->helpers;
    err = lw_helpers_submit(set, &call->job, me, deadline, site, &started);
    if (err < 0)
        return err;
    if (started) {
        (void)lw_wait_finish_shielded(me);
        return 0;
    }
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED) {
        bool mine = lw_helpers_unqueue(set, &call->job);

        lw_check(mine);
        return lw_wait_error(me, outcome);
    }
    if (lw_load_rlx(&call->job.state) == LW_JOB_REFUSED) /* its helper may be ending it */
        return -EAGAIN;
    lw_helpers_await(set, &call->job, me, site);
    return 0;
}

int lw_blocking(lw_fn *fn, void *arg, int *status, lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();
    struct call call = {.job = {.work = call_work}, .fn = fn, .arg = arg};
    int err = 0;

    if (lw_forked())
        return -ECHILD;
    if (thread == NULL || thread->worker == NULL) /* a plain thread blocks by itself */
        call.status = fn(arg);
    else if (deadline == LW_NOW)
        err = -ETIMEDOUT;
    else
        err = task_blocking(&call, deadline, __builtin_return_address(0));
    if (err == 0 && status != NULL)
        *status = call.status;
    return err;
}
