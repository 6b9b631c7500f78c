/* SPDX-License-Identifier: MIT */
/* Laws of starting and stopping: nothing is left of what failed or was stopped; a stop cancels all
 * and says who stays; several runtimes; who is stuck in a call or hogs a CPU stops nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/worker.h"
#include "tests/support.h"

TestSuite(runtime, .init = watchdog);

static uint32_t count, go;

static int give_back(void *arg)
{
    (void)lw_add_acq_rel(&count, 1);
    return (int)(intptr_t)arg;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    return lw_sleep(LW_FOREVER);
}

/* ---- lw_run */

static int run_inside(void *arg)
{
    lw_runtime *runtime = NULL;

    (void)arg;
    cr_assert_eq(lw_run(NULL, give_back, NULL), -EPERM);
    cr_assert_eq(lw_start(NULL, NULL), -EINVAL);
    cr_assert_eq(lw_start(&runtime, NULL), 0, "a second one, from a task of the first");
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    return 77;
}

Test(runtime, run_gives_the_status_and_is_not_for_tasks)
{
    lw_options bad = {.stack_bytes = SIZE_MAX};

    cr_assert_eq(lw_run(NULL, run_inside, NULL), 77);
    cr_assert_eq(lw_run(NULL, give_back, (void *)-5), -5);
    cr_assert_eq(lw_run(NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(lw_run(&bad, give_back, NULL), -EINVAL);
    bad = (lw_options){.workers = 1000000};
    cr_assert_eq(lw_run(&bad, give_back, NULL), -EINVAL);
    bad = (lw_options){.stop_within = -1};
    cr_assert_eq(lw_run(&bad, give_back, NULL), -EINVAL);
    assert_no_leaks();
}

static int leave_others(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        cr_assert_eq(lw_spawn(NULL, sleep_for_ever, NULL, NULL), 0);
    return 3;
}

Test(runtime, run_cancels_who_is_left)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers};

        count = 0;
        cr_assert_eq(lw_run(&options, leave_others, NULL), 3);
        cr_assert_eq(count, 50, "who never ran before runs all the same");
    }
}

/* ---- start and stop */

Test(runtime, start_after_stop_many_times_leaves_nothing)
{
    struct resources first = {0}, now;
    lw_task task;

    sys_watch();
    for (int lap = 0; lap < 100; lap++) {
        lw_options options = {.workers = 1 + (unsigned)lap % 3};
        lw_runtime *runtime;

        cr_assert_eq(lw_start(&runtime, &options), 0);
        for (int i = 0; i < 10; i++)
            cr_assert_eq(lw_spawn(NULL, sleep_for_ever, NULL, NULL), 0);
        cr_assert_eq(lw_spawn(&task, give_back, (void *)8, NULL), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
        now = count_resources();
        if (lap == 0)
            first = now;
        cr_assert_eq(now.blocks, first.blocks, "lap %d: %ld blocks, then %ld", lap, first.blocks,
                     now.blocks);
        cr_assert_eq(now.descriptors, first.descriptors, "lap %d: descriptors", lap);
        /* A joined thread may be seen a moment longer, now or when we counted first. */
        AWAIT(count_resources().threads <= first.threads);
    }
    assert_no_leaks();
}

/* Runtimes of several threads come and go at the same time. */
static void *come_and_go(void *arg)
{
    lw_options options = {.workers = 1, .name = "brief"};

    for (long i = 0; i < rounds(300); i++) {
        lw_task_options here = {0};
        lw_runtime *runtime;
        lw_task task;
        int status;

        cr_assert_eq(lw_start(&runtime, &options), 0);
        here.runtime = runtime;
        cr_assert_eq(lw_spawn(&task, give_back, (void *)7, &here), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 7);
        cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    }
    return arg;
}

Test(runtime, several_come_and_go_at_once)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    assert_no_leaks();
}

Test(runtime, failing_start_leaves_nothing)
{
    static const struct {
        enum sys_call call;
        int err;
    } kinds[] = {{SYS_CALLOC, -ENOMEM}, {SYS_THREAD_CREATE, -EAGAIN}, {SYS_EPOLL_CREATE, -EMFILE},
                 {SYS_EVENTFD, -EMFILE}, {SYS_EPOLL_CTL, -ENOSPC},    {SYS_MMAP, -ENOMEM}};
    lw_options options = {.workers = 3};
    lw_runtime *runtime;
    struct resources before, now;

    sys_watch();
    sys_fail(SYS_MMAP, 1, false); /* before anything was reserved */
    cr_assert_eq(lw_start(&runtime, &options), -ENOMEM);
    cr_assert_eq(count_resources().blocks, 0);
    cr_assert_eq(lw_start(&runtime, &options), 0);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    before = count_resources();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (long nth = 1;; nth++) {
            int err;

            sys_fail(kinds[k].call, nth, false);
            err = lw_start(&runtime, &options);
            if (!sys_failed()) {
                sys_fail(kinds[k].call, 0, false);
                cr_assert_eq(err, 0);
                cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
                break; /* it makes fewer than n such calls */
            }
            sys_fail(kinds[k].call, 0, false);
            if (err ==
                0) /* it can do without, or the call came from a thread that was just started */
                cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
            else
                cr_assert_eq(err, kinds[k].err, "call %d, the %ld.: %d", kinds[k].call, nth, err);
            now = count_resources();
            cr_assert_eq(now.blocks, before.blocks, "call %d, the %ld.: blocks", kinds[k].call,
                         nth);
            cr_assert_eq(now.descriptors, before.descriptors, "call %d, the %ld.: descriptors",
                         kinds[k].call, nth);
            AWAIT(count_resources().threads <= before.threads);
        }
    }
    assert_no_leaks();
}

/* ---- who stays */

static int stay(void *arg)
{
    int refusals = 0;

    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    while (!lw_load_acq(&go))
        if (lw_sleep(lw_in(LW_MS)) == -ECANCELED)
            refusals++;
    return refusals;
}

/* Run fn with the standard error in a file; what was written there. */
static int stop_and_read(lw_runtime *runtime, lw_nsec deadline, char *text, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO), left;
    ssize_t got;

    cr_assert_not_null(file);
    (void)dup2(fileno(file), STDERR_FILENO);
    left = lw_stop(runtime, deadline);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    got = pread(fileno(file), text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    (void)fclose(file);
    return left;
}

Test(runtime, stop_says_who_is_left_and_may_be_repeated)
{
    lw_options options = {.workers = 2, .name = "stubborn"};
    lw_task_options here = {.name = "the one who stays"};
    lw_runtime *runtime;
    lw_task task, idle;
    char text[4096];
    int status, left;

    count = go = 0;
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    cr_assert_eq(lw_spawn(&task, stay, NULL, &here), 0);
    here.name = "the one who goes";
    cr_assert_eq(lw_spawn(&idle, sleep_for_ever, NULL, &here), 0);
    AWAIT(lw_load_acq(&count) == 2);
    do { /* nobody promises that the other one gets to end within the time */
        left = stop_and_read(runtime, lw_in(30 * LW_MS), text, sizeof text);
    } while (left == 2);
    cr_assert_eq(left, 1);
    cr_assert_not_null(strstr(text, "'stubborn'"), "%s", text);
    cr_assert_not_null(strstr(text, "'the one who stays'"), "%s", text);
    cr_assert_null(strstr(text, "'the one who goes'"), "ended, not joined: %s", text);
    cr_assert_eq(lw_spawn(NULL, give_back, NULL, &here), -ESHUTDOWN);
    cr_assert_eq(stop_and_read(runtime, LW_NOW, text, sizeof text), 1);
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0, "who ended unjoined can be joined later");
    cr_assert_geq(status, 1, "it was not cancelled");
    cr_assert_eq(lw_join(idle, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
}

Test(runtime, stop_that_waits_for_nobody_cancels_all_the_same)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0};
    lw_runtime *runtime;
    char text[4096];
    lw_task task;
    int status;

    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    cr_assert_eq(lw_spawn(&task, sleep_for_ever, NULL, &here), 0);
    AWAIT(is_waiting(task));
    (void)stop_and_read(runtime, LW_NOW, text, sizeof text);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
}

/* A cancel that was delivered before the stop does not stand for the stop's. */
static int cancelled_twice(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    (void)lw_add_acq_rel(&count, 1);
    return lw_sleep(LW_FOREVER);
}

Test(runtime, stop_cancels_also_who_was_cancelled_before)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0};
    lw_runtime *runtime;
    lw_task task;

    count = 0;
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    cr_assert_eq(lw_spawn(&task, cancelled_twice, NULL, &here), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    AWAIT(lw_load_acq(&count) == 1 && is_waiting(task));
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
}

/* Two who each swallow the first cancel of a stop: the second stop cancels again. */
static int swallow_one(void *arg)
{
    int status;

    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    (void)lw_add_acq_rel((uint32_t *)arg, 1);
    status = lw_sleep(LW_FOREVER);
    (void)lw_add_acq_rel(&count, 1);
    return status;
}

Test(runtime, each_stop_cancels_once)
{
    lw_options options = {.workers = 2};
    lw_task_options here = {0};
    lw_runtime *runtime;
    uint32_t swallowed = 0;
    char text[4096];

    count = 0;
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(NULL, swallow_one, &swallowed, &here), 0);
    cr_assert_eq(stop_and_read(runtime, lw_in(60 * LW_MS), text, sizeof text), 2);
    AWAIT(lw_load_acq(&swallowed) == 2); /* else the second cancel is one with the first */
    cr_assert_eq(lw_load_acq(&count), 0, "one stop, two cancels");
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    cr_assert_eq(count, 2);
}

static int stop_own(void *arg)
{
    return lw_stop(*(lw_runtime **)arg, LW_FOREVER);
}

Test(runtime, stop_is_not_for_its_own_tasks)
{
    lw_runtime *runtime;
    lw_task task;
    int status;

    cr_assert_eq(lw_start(&runtime, NULL), 0);
    cr_assert_eq(lw_spawn(&task, stop_own, &runtime, NULL), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -EDEADLK);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    cr_assert_eq(lw_stop(NULL, LW_NOW), 0);
}

/* ---- several */

static int in_which(void *arg)
{
    lw_task task;
    int status;

    if (arg != NULL) /* children stay in the runtime of their parent (R240) */
        return lw_spawn(&task, in_which, NULL, NULL) | lw_join(task, &status, LW_FOREVER) | status;
    return 0;
}

Test(runtime, r240_two_in_one_process_share_nothing_but_waits)
{
    lw_options options = {.workers = 2};
    lw_task_options here = {0}, there = {0};
    lw_task a, b;
    int status;

    cr_assert_eq(lw_start(&here.runtime, &options), 0);
    cr_assert_eq(lw_start(&there.runtime, &options), 0);
    cr_assert_eq(lw_spawn(&a, in_which, NULL, NULL), -EINVAL, "which?");
    for (long i = 0; i < rounds(2000); i++) {
        cr_assert_eq(lw_spawn(&a, in_which, &options, i % 2 != 0 ? &here : &there), 0);
        cr_assert_eq(lw_spawn(&b, in_which, &options, i % 2 != 0 ? &there : &here), 0);
        cr_assert_eq(lw_join(a, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
        cr_assert_eq(lw_join(b, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
    }
    cr_assert_eq(lw_stop(here.runtime, LW_FOREVER), 0);
    cr_assert_eq(lw_spawn(&a, in_which, &options, NULL), 0, "now it is plain which one is meant");
    cr_assert_eq(lw_join(a, &status, LW_FOREVER), 0);
    cr_assert_eq(lw_stop(there.runtime, LW_FOREVER), 0);
}

/* Tasks of one wait for, wake, cancel and join tasks of the other. */
static uint32_t word;

static int wait_there(void *arg)
{
    (void)arg;
    return lw_futex_wait(&word, 0, LW_FOREVER);
}

static int across(void *arg)
{
    lw_task task;
    int status;

    for (long i = 0; i < rounds(2000); i++) {
        cr_assert_eq(lw_spawn(&task, wait_there, NULL, arg), 0);
        if (i % 2 != 0) {
            AWAIT(lw_futex_wake(&word, 1) == 1);
        } else {
            cr_assert_eq(lw_cancel(task), 0);
        }
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, i % 2 != 0 ? 0 : -ECANCELED);
    }
    return 0;
}

Test(runtime, tasks_of_two_runtimes_wake_cancel_and_join_each_other)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0}, there = {0};
    lw_task task;
    int status;

    cr_assert_eq(lw_start(&here.runtime, &options), 0);
    cr_assert_eq(lw_start(&there.runtime, &options), 0);
    cr_assert_eq(lw_spawn(&task, across, &there, &here), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(lw_stop(here.runtime, LW_FOREVER), 0);
    cr_assert_eq(lw_stop(there.runtime, LW_FOREVER), 0);
}

/* ---- one runtime stops another */

struct stopping {
    lw_runtime *other;
    lw_event begun, may_end;
    int ran;
};

/* Of the other runtime: takes as long to end as the stopper's neighbour likes. */
static int reluctant(void *arg)
{
    struct stopping *all = arg;

    cr_assert_eq(lw_shield_enter(), 0);
    lw_event_set(&all->begun);
    cr_assert_eq(lw_event_wait(&all->may_end, LW_FOREVER), 0);
    return lw_shield_exit();
}

/* On the stopper's only worker, which the stop must leave free. */
static int neighbour(void *arg)
{
    struct stopping *all = arg;

    AWAIT(lw_spawn(NULL, reluctant, all, &(lw_task_options){.runtime = all->other}) == -ESHUTDOWN);
    /* Not on a spare worker that has joined because this one is stuck. */
    all->ran = lw_load_acq(&lw_worker_here()->runtime->worker_count) == 1;
    lw_event_set(&all->may_end);
    return 0;
}

static int stop_another(void *arg)
{
    struct stopping *all = arg;
    lw_task task;

    cr_assert_eq(lw_event_wait(&all->begun, LW_FOREVER), 0);
    cr_assert_eq(lw_spawn(&task, neighbour, all, NULL), 0);
    cr_assert_eq(lw_stop(all->other, LW_FOREVER), 0);
    cr_assert_eq(all->ran, 1);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(runtime, a_task_may_stop_another_runtime)
{
    struct stopping all = {0};
    lw_options one = {.workers = 1};

    cr_assert_eq(lw_start(&all.other, &one), 0);
    cr_assert_eq(lw_spawn(NULL, reluctant, &all, &(lw_task_options){.runtime = all.other}), 0);
    run_with(1, stop_another, &all);
}
