/* SPDX-License-Identifier: MIT */
/* Laws of lw_blocking(): a function either ran to its end or never will, and the caller knows
 * which; what blocks a helper blocks no worker; helpers are as many as were asked for, and end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "tests/runtime/gate.h"

TestSuite(blocking, .init = watchdog);

static int tid(void)
{
    return (int)syscall(SYS_gettid);
}

/* ---- what it does */

static int say_tid(void *arg)
{
    *(int *)arg = tid();
    return -42;
}

static int check_other_thread(void *arg)
{
    int there = 0, status = 0;

    (void)arg;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(lw_blocking(say_tid, &there, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -42);
        cr_assert(there != 0 && there != tid());
        cr_assert_eq(lw_blocking(say_tid, &there, NULL, lw_in(LW_SEC)), 0);
    }
    return 0;
}

Test(blocking, gives_the_status_of_a_function_that_ran_on_another_thread)
{
    run_all(check_other_thread, NULL);
    assert_no_leaks();
}

Test(blocking, runs_the_function_in_place_on_a_plain_thread)
{
    int there = 0, status = 0;

    cr_assert_eq(lw_blocking(say_tid, &there, &status, LW_FOREVER), 0);
    cr_assert_eq(there, tid());
    cr_assert_eq(status, -42);
}

static int check_progress(void *arg)
{
    struct gate gate;
    struct caller caller;

    (void)arg;
    gate_init(&gate);
    start(&caller, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    for (int i = 0; i < 100; i++)
        lw_yield();
    cr_assert_eq(lw_load_acq(&gate.ended), 0);
    (void)sem_post(&gate.open); /* only a task that runs meanwhile lets it end */
    finish(&caller);
    cr_assert_eq(caller.err, 0);
    cr_assert_eq(caller.status, 5);
    return 0;
}

Test(blocking, blocks_no_worker)
{
    run_all(check_progress, NULL);
}

static int check_now(void *arg)
{
    uint32_t count = 0;

    (void)arg;
    cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&count), 0);
    return 0;
}

Test(blocking, does_not_wait_with_lw_now)
{
    run_all(check_now, NULL);
}

/* ---- the bound */

enum { HELPERS = 3, CALLS = 40 };

struct crowd {
    uint32_t inside, most, calls;
    struct gate gate;
};

static int be_inside(void *arg)
{
    struct crowd *crowd = arg;
    uint32_t now = lw_add_acq_rel(&crowd->inside, 1) + 1, most = lw_load_acq(&crowd->most);

    while (most < now && !lw_cas_acq_rel(&crowd->most, &most, now))
        continue;
    while (lw_load_acq(&crowd->most) < HELPERS) /* so many come in at once, or this never ends */
        lw_sys.yield();
    (void)lw_sub_acq_rel(&crowd->inside, 1);
    return 0;
}

static int call_inside(void *arg)
{
    struct crowd *crowd = arg;

    cr_assert_eq(lw_blocking(be_inside, crowd, NULL, LW_FOREVER), 0);
    (void)lw_add_acq_rel(&crowd->calls, 1);
    return 0;
}

static int spawn_crowd(void *arg)
{
    lw_task tasks[CALLS];

    for (int i = 0; i < CALLS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], call_inside, arg, NULL), 0);
    for (int i = 0; i < CALLS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking, uses_all_helpers_and_not_one_more)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = HELPERS};
        struct crowd crowd = {0};

        cr_assert_eq(lw_run(&options, spawn_crowd, &crowd), 0);
        cr_assert_eq(crowd.most, HELPERS);
        cr_assert_eq(crowd.calls, CALLS);
    }
    assert_no_leaks();
}

#ifdef LW_TINY
enum { LEAVING = 1 }; /* it stays for so short a time that the next call may meet it at the door */
#else
enum { LEAVING = 0 };
#endif

/* By their names: who counts all threads counts a spare worker, too, if a call here takes long. */
static int count_helpers(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;

    cr_assert_not_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char name[32] = "";
        FILE *file;

        (void)snprintf(name, sizeof name, "%.15s/comm", entry->d_name);
        file = fdopen(openat(dirfd(directory), name, O_RDONLY), "r");
        if (file == NULL) /* it is gone, or no thread */
            continue;
        if (fgets(name, sizeof name, file) != NULL)
            count += strcmp(name, "lw-helper\n") == 0;
        (void)fclose(file);
    }
    (void)closedir(directory);
    return count;
}

static int check_threads(void *arg)
{
    uint32_t count = 0;
    int helpers;

    (void)arg;
    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_FOREVER), 0);
    helpers = count_helpers();
    cr_assert_geq(helpers, 1 - LEAVING);
    cr_assert_leq(helpers, 1 + LEAVING, "one call at a time needs one helper");
    return 0;
}

Test(blocking, leaves_no_threads_behind)
{
    long before;

    run_with(1, check_progress, NULL); /* sanitizers make a thread of their own */
    before = count_resources().threads;
    run_with(1, check_threads, NULL);
    run_all(check_other_thread, NULL);
    AWAIT(count_resources().threads <= before); /* a joined thread may be seen a moment longer */
}

/* ---- what the function may do */

static int empty(void *arg)
{
    (void)arg;
    return 3;
}

static int use_library(void *arg)
{
    lw_semaphore *semaphore = arg;
    int here = tid(), there = 0, status = 0;

    cr_assert_eq(lw_semaphore_acquire(semaphore, 1, LW_FOREVER), 0);
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    cr_assert_eq(lw_blocking(say_tid, &there, NULL, LW_FOREVER), 0);
    cr_assert_eq(there, here);
    lw_task task;
    cr_assert_eq(lw_spawn(&task, empty, NULL, NULL), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 3);
    return 0;
}

static int check_guest(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("s", 0);

    (void)arg;
    cr_assert_eq(lw_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(lw_blocking(use_library, &semaphore, NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking, function_may_use_the_library)
{
    run_all(check_guest, NULL);
    assert_no_leaks();
}

/* ---- the end of the runtime */

static struct gate last_gate;

static int leave_caller(void *arg)
{
    struct caller *caller = arg;

    start(caller, &last_gate, LW_FOREVER);
    cr_assert_eq(lw_detach(caller->task), 0);
    await(&last_gate.entered, 1);
    return 0;
}

static void *open_later(void *arg)
{
    (void)arg;
    (void)usleep(20000);
    (void)sem_post(&last_gate.open);
    return NULL;
}

Test(blocking, is_waited_for_when_the_runtime_stops)
{
    struct caller caller;
    pthread_t thread;

    gate_init(&last_gate);
    cr_assert_eq(pthread_create(&thread, NULL, open_later, NULL), 0);
    cr_assert_eq(lw_run(NULL, leave_caller, &caller), 0);
    cr_assert_eq(lw_load_acq(&last_gate.ended), 1);
    cr_assert_eq(caller.err, 0);
    (void)pthread_join(thread, NULL);
    assert_no_leaks();
}

Test(blocking, of_a_task_that_was_given_up_still_ends)
{
    static struct caller caller; /* its task outlives lw_run() */
    lw_options options = {.workers = 2, .stop_within = 30 * LW_MS};

    gate_init(&last_gate);
    caller.err = 1;
    cr_assert_eq(lw_run(&options, leave_caller, &caller), 0);
    cr_assert_eq(lw_load_acq(&last_gate.ended), 0);
    run_with(1, check_other_thread, NULL); /* as if nothing had been */
    (void)sem_post(&last_gate.open);
    while (lw_load_acq(&caller.err) == 1)
        lw_sys.yield();
    cr_assert_eq(lw_load_acq(&caller.err), 0);
    run_with(1, check_other_thread, NULL);
}
