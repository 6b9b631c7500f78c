/* SPDX-License-Identifier: MIT */
/* Laws of workers: who is stuck in a system call or hogs a CPU stops nobody else; threads that
 * spawn while a runtime stops are told so, or what they spawned runs; a dump has a line for each
 * task. */
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

TestSuite(worker, .init = watchdog);

static uint32_t count, go;

/* ---- stuck, and hogs */

/* A blocking read that no poller sees. */
static int read_a_byte(void *arg)
{
    char byte;

    (void)lw_add_acq_rel(&count, 1);
    return read(((int *)arg)[0], &byte, 1) == 1 ? 0 : -EIO;
}

static int unblock(void *arg)
{
    AWAIT(lw_load_acq(&count) == 2); /* both workers are in it: only a spare can run this */
    return write(((int *)arg)[1], "xy", 2) == 2 ? 0 : -EIO;
}

static int block_all_workers(void *arg)
{
    lw_task tasks[3];
    int ends[2], status;

    (void)arg;
    count = 0;
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], read_a_byte, ends, NULL), 0);
    cr_assert_eq(lw_spawn(&tasks[2], unblock, ends, NULL), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(lw_join(tasks[i], &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

Test(worker, spare_runs_the_others_when_all_are_stuck_in_calls)
{
    for (int i = 0; i < 3; i++)
        run_with(2, block_all_workers, NULL);
    assert_no_leaks();
}

static int hog(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    while (!lw_load_acq(&go))
        __asm__ volatile("");
    return 0;
}

static int say_go(void *arg)
{
    (void)arg;
    AWAIT(lw_load_acq(&count) == 1);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_sleep(lw_in(200 * LW_US)),
                     0); /* timers go on too, wherever they were armed */
    lw_store_rel(&go, 1);
    return 0;
}

static int beside_a_hog(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    count = go = 0;
    cr_assert_eq(lw_spawn(&tasks[0], say_go, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&tasks[1], hog, NULL, NULL),
                 0); /* newest first: it is run before the other */
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(worker, hog_of_one_cpu_does_not_stop_the_others)
{
    for (long i = 0; i < rounds(40); i++)
        run_with(2, beside_a_hog, NULL);
}

/* The hog woke somebody into the slot for the task woken last, and never dispatches. */
static uint32_t word;

static int wait_on_word(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_futex_wait(&word, 0, LW_FOREVER), 0);
    lw_store_rel(&go, 1);
    return 0;
}

static int end_quickly(void *arg)
{
    (void)arg;
    return 0;
}

static int joiner_of(void *arg)
{
    cr_assert_eq(lw_join(*(lw_task *)arg, NULL, LW_FOREVER), 0);
    lw_store_rel(&go, 1);
    return 0;
}

static int wake_and_hog(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    cr_assert_eq(lw_futex_wake(&word, 1), 1);
    while (!lw_load_acq(&go))
        __asm__ volatile("");
    return 0;
}

static int woken_by_a_hog(void *arg)
{
    lw_task waiter, waker, quick, joiner;

    (void)arg;
    count = go = 0;
    cr_assert_eq(lw_spawn(&waiter, wait_on_word, NULL, NULL), 0);
    AWAIT(is_waiting(waiter));
    cr_assert_eq(lw_spawn(&waker, wake_and_hog, NULL, NULL), 0);
    cr_assert_eq(lw_join(waiter, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_join(waker, NULL, LW_FOREVER), 0);
    go = 0;
    cr_assert_eq(lw_spawn(&quick, end_quickly, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&joiner, joiner_of, &quick, NULL), 0);
    cr_assert_eq(lw_join(joiner, NULL, LW_FOREVER), 0);
    return 0;
}

Test(worker, task_woken_by_a_hog_runs_elsewhere)
{
    for (long i = 0; i < rounds(40); i++)
        run_with(2, woken_by_a_hog, NULL);
}

/* ---- spawns while it stops */

static struct {
    lw_runtime *runtime;
    uint32_t spawned, ran, stopped;
} closing;

static int note_run(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&closing.ran, 1);
    return 0;
}

/* Implicitly, so that the handle of a runtime that is gone is never used. */
static void *spawn_until_refused(void *arg)
{
    while (!lw_load_acq(&closing.stopped)) {
        int err = lw_spawn(NULL, note_run, NULL, NULL);

        cr_assert(err == 0 || err == -ESHUTDOWN || err == -EINVAL, "a spawn returned %d", err);
        if (err == 0)
            (void)lw_add_acq_rel(&closing.spawned, 1);
    }
    return arg;
}

static int spawn_inside(void *arg)
{
    lw_task task;
    int err;

    while ((err = lw_spawn(&task, note_run, NULL, NULL)) == 0) {
        (void)lw_add_acq_rel(&closing.spawned, 1);
        cr_assert_eq(lw_detach(task), 0);
        lw_yield();
    }
    cr_assert_eq(err, -ESHUTDOWN);
    return arg == NULL ? 0 : 1;
}

Test(worker, what_is_spawned_while_a_runtime_stops_runs_or_is_refused)
{
    for (long lap = 0; lap < rounds(40); lap++) {
        lw_options options = {.workers = 1 + (unsigned)lap % 2};
        pthread_t threads[2];

        memset(&closing, 0, sizeof closing);
        cr_assert_eq(lw_start(&closing.runtime, &options), 0);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, spawn_until_refused, NULL), 0);
        cr_assert_eq(lw_spawn(NULL, spawn_inside, NULL, NULL), 0);
        AWAIT(lw_load_acq(&closing.ran) > 10);
        cr_assert_eq(lw_stop(closing.runtime, LW_FOREVER), 0);
        lw_store_rel(&closing.stopped, 1);
        for (int i = 0; i < 2; i++)
            (void)pthread_join(threads[i], NULL);
        cr_assert_eq(closing.ran, closing.spawned, "%u were spawned, %u ran", closing.spawned,
                     closing.ran);
    }
    assert_no_leaks();
}

/* Threads that wake the last tasks of a runtime that stops at the same moment. */
static void *wake_all_the_time(void *arg)
{
    while (!lw_load_acq(&closing.stopped))
        (void)lw_futex_wake(&word, LW_ALL);
    return arg;
}

static int wait_a_few_times(void *arg)
{
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_futex_wait(&word, 0, LW_FOREVER), 0);
    return arg == NULL ? 0 : 1;
}

Test(worker, threads_may_wake_the_last_tasks_while_their_runtime_stops)
{
    pthread_t thread;

    memset(&closing, 0, sizeof closing);
    cr_assert_eq(pthread_create(&thread, NULL, wake_all_the_time, NULL), 0);
    for (long lap = 0; lap < rounds(500); lap++) {
        lw_options options = {.workers = 1};
        lw_task tasks[3];

        cr_assert_eq(lw_start(&closing.runtime, &options), 0);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(lw_spawn(&tasks[i], wait_a_few_times, NULL, NULL), 0);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_stop(closing.runtime, LW_FOREVER), 0);
    }
    lw_store_rel(&closing.stopped, 1);
    (void)pthread_join(thread, NULL);
    assert_no_leaks();
}

/* ---- the dump */

static void dump_into(char *text, size_t size)
{
    FILE *file = tmpfile();
    ssize_t got;

    cr_assert_not_null(file);
    cr_assert_eq(lw_dump(fileno(file)), 0);
    got = pread(fileno(file), text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    (void)fclose(file);
}

static int wait_for_ever(void *arg)
{
    return arg == NULL ? lw_sleep(LW_FOREVER) : lw_futex_wait(arg, 0, LW_FOREVER);
}

static int dump_inside(void *arg)
{
    static char text[16384];
    lw_task_options named = {.name = "a sleeper"};
    lw_task tasks[4];
    uint32_t here = 0;
    int fd, ends[2];

    (void)arg;
    cr_assert_eq(lw_spawn(&tasks[0], wait_for_ever, NULL, &named), 0);
    named.name = "a waiter";
    cr_assert_eq(lw_spawn(&tasks[1], wait_for_ever, &here, &named), 0);
    AWAIT(is_waiting(tasks[0]) && is_waiting(tasks[1]));
    named.name = "one that ended";
    cr_assert_eq(lw_spawn(&tasks[2], end_quickly, NULL, &named), 0);
    AWAIT(lw_cancel(tasks[2]) == -ESRCH);
    named.name = "one that never ran";
    cr_assert_eq(lw_spawn(&tasks[3], end_quickly, NULL, &named), 0);
    dump_into(text, sizeof text);
    /* The latter if the tick thread has looked twice meanwhile. */
    cr_assert(strstr(text, "'main': ready or running") != NULL ||
                  strstr(text, "'main': has run for ") != NULL,
              "%s", text);
    cr_assert_not_null(strstr(text, "'a sleeper': waits for sleep since 0."), "%s", text);
    cr_assert_not_null(strstr(text, "'a waiter': waits for futex since 0."), "%s", text);
    cr_assert_not_null(strstr(text, "'one that ended': ended, not joined"), "%s", text);
    cr_assert_not_null(strstr(text, "'one that never ran': not started"), "%s", text);
    cr_assert_eq(lw_dump(-1), -EBADF);
    cr_assert_eq(pipe(ends), 0);
    fd = ends[1];
    (void)close(ends[0]);
    (void)close(fd);
    cr_assert_eq(lw_dump(fd), -EBADF, "the error of write(2)");
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(lw_futex_wake(&here, 1), 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    dump_into(text, sizeof text);
    cr_assert_null(strstr(text, "'a sleeper'"), "%s", text);
    return 0;
}

Test(worker, dump_has_a_true_line_for_each_task)
{
    run_with(1, dump_inside, NULL);
}

/* As the dump has it, from a clock that is looked at now and then: also for the first tasks, which
 * may wait before the tick thread has looked. */
static int look_at_wait(void *arg)
{
    lw_task task;
    uint32_t since;

    cr_assert_eq(lw_spawn(&task, wait_for_ever, NULL, NULL), 0);
    AWAIT(is_waiting(task));
    since = lw_load_rlx(&lw_record_cold(lw_record_of(task.id))->since);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_geq((int32_t)(since - *(uint32_t *)arg), 0, "since %u", since);
    return 0;
}

Test(worker, no_wait_is_older_than_the_runtime)
{
    lw_nsec begun = lw_now();
    uint32_t started;

    AWAIT(lw_now() - begun > 2 * LW_MS); /* so that the library was loaded before */
    started = (uint32_t)(lw_now() / LW_MS);
    run_with(1, look_at_wait, &started);
}
