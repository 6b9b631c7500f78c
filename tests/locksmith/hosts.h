/* SPDX-License-Identifier: MIT */
/* What the suites of lw_locksmith_host() share: a function that is hosted, and a host. */
#ifndef LW_TESTS_LOCKSMITH_HOSTS_H
#define LW_TESTS_LOCKSMITH_HOSTS_H

#include "tests/locksmith/smiths.h"

/* All steps may take as long as they like. */
static const lw_host_timeouts patient = {LW_FOREVER, LW_FOREVER, LW_FOREVER};

/* What the hosted function does, and has seen. */
struct hosted {
    lw_lock *lock;
    int (*act)(struct hosted *hosted);
    lw_event runs;
    lw_task task;
    int ran, status;
    bool owned;
};

static inline int run_hosted(void *arg)
{
    struct hosted *hosted = arg;

    hosted->ran++;
    hosted->task = lw_self();
    hosted->owned = lw_owned(hosted->lock);
    lw_event_set(&hosted->runs);
    return hosted->act != NULL ? hosted->act(hosted) : hosted->status;
}

/* A host in a task of its own. */
struct call {
    lw_locksmith *smith;
    struct hosted *hosted;
    const lw_host_timeouts *timeouts;
    lw_task task;
    int err, status;
};

static inline int host_it(void *arg)
{
    struct call *call = arg;

    call->err = lw_locksmith_host(call->smith, call->hosted->lock, run_hosted, call->hosted,
                                  &call->status, call->timeouts, LW_FOREVER);
    return 0;
}

static inline int host(lw_locksmith *smith, struct hosted *hosted, const lw_host_timeouts *timeouts)
{
    struct call call = {smith, hosted, timeouts, {0}, 0, -1};

    (void)host_it(&call);
    if (call.err == 0)
        cr_assert_eq(call.status, hosted->status);
    else
        cr_assert_eq(call.status, -1, "it is not said");
    return call.err;
}

static inline int wait_for_the_end(struct hosted *hosted)
{
    int err = lw_sleep(LW_FOREVER);

    cr_assert_eq(err, -ECANCELED);
    cr_assert(lw_owned(hosted->lock));
    hosted->status = err;
    return err;
}

static inline int release_and_try_again(struct owner *owner)
{
    cr_assert_eq(lw_release(owner->lock), 0);
    cr_assert_eq(lw_release(owner->lock), -EPERM, "R056");
    return 0;
}

#endif
