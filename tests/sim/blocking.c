/* SPDX-License-Identifier: MIT */
/* lw_blocking() in many schedules: a call runs once and is waited for, or does not run at all. */
#include "tests/sim/explore.h"

#include <pthread.h>

TestSuite(blocking, .init = watchdog);

enum { TASKS = 3 };

static struct {
    int calls, done, refused, running, most;
    pthread_mutex_t mutex;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

struct call {
    bool cancelled;
    int ran;
};

static int block(void *arg)
{
    struct call *call = arg;

    it.running++;
    it.most = it.running > it.most ? it.running : it.most;
    (void)pthread_mutex_lock(&it.mutex);
    lw_sim_point();
    call->ran++;
    (void)pthread_mutex_unlock(&it.mutex);
    it.running--;
    return 23;
}

static int call_by_drawn_deadline(void *arg)
{
    struct call *call = arg;

    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int status = -1, err;

        call->ran = 0;
        err = lw_blocking(block, call, &status, deadline);
        it.calls++;
        if (err == 0) {
            LW_SIM_CHECK(call->ran == 1 && status == 23);
            it.done++;
        } else {
            LW_SIM_CHECK(call->ran == 0 && status == -1);
            LW_SIM_CHECK(err == -ECANCELED ? call->cancelled
                                           : err == -ETIMEDOUT && deadline != LW_FOREVER);
            it.refused++;
        }
    }
    return 0;
}

static int call_and_cancel(void *arg)
{
    struct call calls[TASKS] = {{0}};
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (int i = 0; i < TASKS; i++) {
        calls[i].cancelled = i == 1;
        tasks[i] = start(call_by_drawn_deadline, &calls[i]);
    }
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.calls == 2 * TASKS && it.done + it.refused == it.calls);
    LW_SIM_CHECK(it.running == 0);
    return 0;
}

Test(blocking, a_call_runs_once_or_not_at_all)
{
    sim_all(call_and_cancel, NULL);
}

/* ---- one helper for all: who waits for it is not forgotten */

static int call_for_ever(void *arg)
{
    struct call call = {0};
    int status = -1;

    (void)arg;
    LW_SIM_CHECK(lw_blocking(block, &call, &status, LW_FOREVER) == 0);
    LW_SIM_CHECK(call.ran == 1 && status == 23);
    return 0;
}

static int give_up_soon(void *arg)
{
    struct call call = {0};
    int err = lw_blocking(block, &call, NULL, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 ? call.ran == 1 : err == -ECANCELED && call.ran == 0);
    return 0;
}

static int root(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(i == 1 ? give_up_soon : call_for_ever, NULL);
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.most == 1);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

static int one_helper(void *arg)
{
    lw_options options = {.workers = 1 + sim_choose(2), .helpers = 1};

    set_up();
    return lw_run(&options, root, arg);
}

Test(blocking, one_helper_serves_all)
{
    sim_plain(one_helper, NULL);
}
