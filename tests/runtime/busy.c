/* SPDX-License-Identifier: MIT */
/* Laws of workers that are busy: what waits for one of them is done by another, or by itself
 * between two tasks; who sleeps is fetched; a spare that is not needed stops.  Nothing here is
 * timed: where the law does not hold, a test does not end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/idle.h"
#include "runtime/worker.h"
#include "tests/support.h"

TestSuite(busy, .init = watchdog);

static uint32_t count, go;
static int ends[2];

static struct lw_worker *worker_number(unsigned index)
{
    struct lw_runtime *runtime = lw_worker_here()->runtime;

    return index < lw_load_acq(&runtime->worker_count) ? runtime->workers[index] : NULL;
}

/* ---- one hogs, the other has enough to do itself */

enum { WAITERS = 16 };

static uint32_t word;
static lw_event all_wait;

static void one_less(void)
{
    if (lw_sub_acq_rel(&count, 1) == 1)
        lw_store_rel(&go, 1);
}

static int wait_for_a_timer(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&all_wait, LW_FOREVER), 0);
    cr_assert_eq(lw_sleep(lw_in(30 * LW_MS)), 0);
    one_less();
    return 0;
}

static int wait_for_a_byte(void *arg)
{
    char byte;

    (void)arg;
    cr_assert_eq(lw_read(ends[0], &byte, 1, LW_FOREVER), 1);
    one_less();
    return 0;
}

static int wait_for_the_hog(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_futex_wait(&word, 0, LW_FOREVER), 0);
    one_less();
    return 0;
}

static uint32_t hogs, others;

static int hog(void *arg)
{
    (void)arg;
    lw_event_set(&all_wait);
    cr_assert_eq(lw_futex_wake(&word, LW_ALL), WAITERS);
    lw_store_rel(&hogs, 1);
    while (!lw_load_acq(&go))
        __asm__ volatile("");
    return 0;
}

static int go_on_and_on(void *arg)
{
    static const char bytes[WAITERS];

    (void)arg;
    while (!lw_load_acq(&hogs))
        lw_yield();
    cr_assert_eq(write(ends[1], bytes, sizeof bytes), (ssize_t)sizeof bytes);
    while (!lw_load_acq(&go)) {
        for (int i = 0; i < 1000; i++)
            __asm__ volatile("");
        lw_yield();
    }
    lw_store_rel(&others, 1);
    return 0;
}

static int hog_and_busy(void *arg)
{
    lw_fn *const waits[] = {wait_for_a_timer, wait_for_a_byte, wait_for_the_hog};
    lw_task tasks[3 * WAITERS], last[2];

    (void)arg;
    go = hogs = others = word = 0;
    count = 3 * WAITERS;
    all_wait = (lw_event)LW_EVENT_INIT(NULL);
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < 3 * WAITERS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], waits[i % 3], NULL, NULL), 0);
    for (int i = 0; i < 3 * WAITERS; i++)
        AWAIT(is_waiting(tasks[i]));
    cr_assert_eq(lw_spawn(&last[0], go_on_and_on, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&last[1], hog, NULL, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(last[i], NULL, LW_FOREVER), 0);
    for (int i = 0; i < 3 * WAITERS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_close(ends[0]), 0);
    return lw_close(ends[1]);
}

Test(busy, whoever_waits_behind_a_hog_is_served_by_one_who_has_work_of_its_own)
{
    for (long i = 0; i < rounds(8); i++)
        run_with(2, hog_and_busy, NULL);
}

/* ---- two that only yield, and a worker asleep */

static uint32_t places[2]; /* the worker each was seen on last, plus 1 */

static int work_and_yield(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;

    /* The other worker falls asleep meanwhile: for moments nothing is queued. */
    for (long i = 0; i < rounds(1000000); i++)
        lw_yield();
    lw_store_rel(&places[me], 0);
    while (!lw_load_acq(&go)) {
        lw_nsec until = lw_now() + LW_MS;
        uint32_t here = lw_worker_here()->index + 1, other;

        lw_store_rel(&places[me], here);
        while (lw_now() < until)
            continue;
        other = lw_load_acq(&places[1 - me]);
        if (other != 0 && other != here)
            lw_store_rel(&go, 1);
        lw_yield();
    }
    return 0;
}

static int two_yield(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    go = places[0] = places[1] = 0;
    for (uintptr_t i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], work_and_yield, (void *)i, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(busy, a_sleeper_is_fetched_for_tasks_that_only_yield)
{
    for (long i = 0; i < rounds(10); i++)
        run_with(2, two_yield, NULL);
}

/* ---- stuck in a system call, and not any more */

static int read_a_byte(void *arg)
{
    char byte;

    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    return read(ends[0], &byte, 1) == 1 ? 0 : -EIO;
}

static int write_a_byte(void *arg)
{
    (void)arg;
    AWAIT(lw_load_acq(&count) == 1); /* only a spare can run this */
    return write(ends[1], "x", 1) == 1 ? 0 : -EIO;
}

static bool sleeps(struct lw_worker *worker)
{
    return worker != NULL && lw_load_acq(&worker->asleep) != LW_AWAKE;
}

/* Only a spare lets this end. */
static void block_the_worker(const lw_task_options *where)
{
    lw_fn *const parts[] = {read_a_byte, write_a_byte};
    lw_task tasks[2];
    int status;

    count = 0;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], parts[i], NULL, where), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_join(tasks[i], &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
    }
}

static int yield_until_told(void *arg)
{
    (void)arg;
    while (!lw_load_acq(&go))
        lw_yield();
    return 0;
}

static int one_too_many(void *arg)
{
    lw_task tasks[4];

    (void)arg;
    go = 0;
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(lw_spawn(&tasks[i], yield_until_told, NULL, NULL), 0);
    block_the_worker(NULL);
    AWAIT(sleeps(worker_number(1))); /* though there is work */
    block_the_worker(NULL);          /* and it comes again */
    AWAIT(sleeps(worker_number(1)));
    lw_store_rel(&go, 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_close(ends[0]), 0);
    return lw_close(ends[1]);
}

Test(busy, a_spare_stops_when_the_stuck_one_is_back)
{
    for (long i = 0; i < rounds(4); i++)
        run_with(1, one_too_many, NULL);
}

static int without_descriptors(void *arg)
{
    struct rlimit few = {.rlim_cur = 256, .rlim_max = 256};
    int taken[256], used = 0;

    (void)arg;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    block_the_worker(NULL); /* the spare is made, and goes to sleep again */
    AWAIT(sleeps(worker_number(1)));
    while ((taken[used] = dup(ends[0])) >= 0)
        used++;
    cr_assert_eq(errno, EMFILE);
    block_the_worker(NULL);
    AWAIT(sleeps(worker_number(1)));
    block_the_worker(NULL);
    while (used > 0)
        (void)close(taken[--used]);
    return 0;
}

Test(busy, a_spare_comes_though_all_descriptors_are_used_up)
{
    run_with(1, without_descriptors, NULL);
}

Test(busy, a_second_runtime_is_watched_though_the_first_one_sleeps)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0};
    lw_runtime *first, *second;

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    cr_assert_eq(lw_start(&first, &options), 0);
    for (int i = 0; i < 3; i++) {
        AWAIT(lw_load_acq(&lw_tick_asleep) != 0);
        cr_assert_eq(lw_start(&second, &options), 0);
        here.runtime = second;
        block_the_worker(&here);
        cr_assert_eq(lw_stop(second, LW_FOREVER), 0);
    }
    cr_assert_eq(lw_stop(first, LW_FOREVER), 0);
}

static int end_when_cancelled(void *arg)
{
    int status;

    (void)arg;
    (void)lw_add_acq_rel(&others, 1);
    status = lw_sleep(LW_FOREVER);
    (void)lw_sub_acq_rel(&others, 1);
    return status;
}

static void *unblock_when_all_ended(void *arg)
{
    (void)arg;
    AWAIT(lw_load_acq(&others) == 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    return NULL;
}

Test(busy, who_is_innocent_ends_while_another_is_stuck_and_the_runtime_stops)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0};
    lw_runtime *runtime;
    pthread_t thread;

    count = others = 0;
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_spawn(NULL, end_when_cancelled, NULL, &here), 0);
    AWAIT(lw_load_acq(&others) == 5);
    cr_assert_eq(lw_spawn(NULL, read_a_byte, NULL, &here), 0);
    AWAIT(lw_load_acq(&count) == 1);
    cr_assert_eq(pthread_create(&thread, NULL, unblock_when_all_ended, NULL), 0);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    (void)pthread_join(thread, NULL);
}

/* ---- and who it is */

static int run_on(void *arg)
{
    (void)arg;
    while (!lw_load_acq(&go))
        __asm__ volatile("");
    return 0;
}

static int name_the_hog(void *arg)
{
    lw_task_options here = {.name = "the one who runs on"};
    FILE *file = tmpfile();
    char text[8192];
    lw_task task;
    ssize_t size;

    (void)arg;
    go = 0;
    cr_assert_not_null(file);
    cr_assert_eq(lw_spawn(&task, run_on, NULL, &here), 0);
    do {
        cr_assert_eq(ftruncate(fileno(file), 0), 0);
        cr_assert_eq(lseek(fileno(file), 0, SEEK_SET), 0);
        cr_assert_eq(lw_dump(fileno(file)), 0);
        size = pread(fileno(file), text, sizeof text - 1, 0);
        cr_assert_geq(size, 0);
        text[size] = '\0';
        cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    } while (strstr(text, "'the one who runs on': has run for") == NULL);
    lw_store_rel(&go, 1);
    (void)fclose(file);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(busy, a_dump_names_who_runs_on_and_on)
{
    run_with(2, name_the_hog, NULL);
}
