/* SPDX-License-Identifier: MIT */
/* lw_locksmith_host(): the caller forces the lock and, having got it, hands it over to a task that
 * runs the function.  From the moment the owner has let go of it to the task's release it is never
 * free, so nobody who waits gets it in between.  The task is there, and waits for its word to go,
 * before it is handed the lock; it is a child of a group, so no way leads out of here before it has
 * ended. */
#include <errno.h>
#include <latchwork/cancel.h>
#include <latchwork/event.h>
#include <latchwork/group.h>

#include "locksmith/smith.h"
#include "primitives/lock.h"
#include "runtime/fork.h"

struct host {
    struct lw_forcing forcing;
    lw_fn *fn;
    void *arg;
    lw_nsec deadline;
    lw_group group;
    lw_event here; /* the task is; `guest` says who it is */
    lw_event told; /* to go, or not */
    lw_task guest;
    bool go;
    int status;
};

/* So long from now, but not beyond the deadline; at once: not to wait at all. */
static lw_nsec step(const struct host *host, lw_nsec duration)
{
    lw_nsec until = lw_in(duration);

    if (duration == 0)
        return LW_NOW;
    return until < host->deadline ? until : host->deadline;
}

/* ---- the task */

/* Of what nobody owns: it is still taken.  Permits that are nobody's are given back by who took
 * them here. */
static bool is_ours(const lw_lock *lock)
{
    return lw_owned(lock) || (lw_owner(lock).id == 0 && lw_locked(lock)) ||
           (lw_load_rlx(&lock->_word._value) & LW_LOCK_SORT) == LW_LOCK_COUNT;
}

/* Whatever is due to the task is so after it has let go of the lock. */
static int run_hosted(void *arg)
{
    struct host *host = arg;
    lw_lock *lock = host->forcing.lock;
    int err;

    (void)lw_shield_enter();
    host->guest = lw_self();
    lw_event_set(&host->here);
    do
        err = lw_event_wait(&host->told, LW_FOREVER);
    while (err < 0);
    (void)lw_shield_exit();
    if (!host->go)
        return 0;
    host->status = host->fn(host->arg);
    if (is_ours(lock)) {
        (void)lw_release(lock);
        while (lw_owned(lock) && lw_release(lock) == 0) /* the caller had nested it */
            continue;
    }
    return 0;
}

/* ---- the caller */

/* The lock is the caller's: from now on it is the task's.  Of one that nobody owns there is nothing
 * to hand over. */
static int hand_over(const struct host *host)
{
    lw_lock *lock = host->forcing.lock;

    LW_HOOK(host->forcing.smith, patch_owner)(host->forcing.smith, lock, host->guest);
    if (!lw_owned(lock) && lw_hold_units_of(lw_record_cold(lw_current()), lock) == 0)
        return 0;
    return lw_transfer(lock, host->guest);
}

static int start(struct host *host)
{
    int err = lw_group_spawn(&host->group, run_hosted, host, NULL);

    if (err < 0)
        return err;
    err = lw_event_wait(&host->here, host->deadline);
    if (err == 0)
        err = hand_over(host);
    host->go = err == 0;
    lw_event_set(&host->told);
    return err;
}

/* With the lock. */
static int run(struct host *host, lw_nsec run_max)
{
    int err = run_max == 0 ? -ETIMEDOUT : start(host);

    if (!host->go)
        (void)lw_release(host->forcing.lock);
    else if (err == 0)
        err = lw_group_wait(&host->group, step(host, run_max));
    (void)lw_group_end(&host->group, err); /* an error: it is cancelled; in any case it has ended */
    return err;
}

/* Force the lock, and have it. */
static int take(struct host *host, const lw_host_timeouts *timeouts, const void *site)
{
    lw_lock *lock = host->forcing.lock;
    struct lw_first first = {NULL};
    int result;

    host->forcing.keep = true;
    host->forcing.deadline = step(host, timeouts->force);
    result = lw_force_run(&host->forcing, site);
    if (host->forcing.kept) {
        if (result < 0)
            (void)lw_release(lock);
        return result < 0 ? result : 0;
    }
    if (result < 0)
        return result;
    if (host->forcing.expired)
        return -ETIMEDOUT;
    return lw_lock_acquire_first(
        lock, lw_force_ok(result) ? host->deadline : step(host, timeouts->acquire), site, &first);
}

static bool are_durations(const lw_host_timeouts *timeouts)
{
    return timeouts->force >= 0 && timeouts->acquire >= 0 && timeouts->run >= 0;
}

int lw_locksmith_host(lw_locksmith *smith, lw_lock *lock, lw_fn *fn, void *arg, int *status,
                      const lw_host_timeouts *timeouts, lw_nsec deadline)
{
    struct host host = {
        .forcing = {.smith = smith, .lock = lock},
        .fn = fn,
        .arg = arg,
        .deadline = deadline,
        .group = LW_GROUP_INIT(0),
    };
    lw_defaults defaults;
    int err;

    if (timeouts == NULL) {
        lw_get_defaults(&defaults);
        timeouts = &defaults.host;
    }
    if (fn == NULL || !are_durations(timeouts))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    lw_smith_keep(smith);
    err = take(&host, timeouts, __builtin_return_address(0));
    if (err >= 0)
        err = run(&host, timeouts->run);
    lw_smith_let_go(smith);
    if (err == 0 && status != NULL)
        *status = host.status;
    return err;
}
