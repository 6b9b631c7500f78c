/* SPDX-License-Identifier: MIT */
/* What may be asked of lw_sim_run(), and what it refuses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <string.h>

#include "runtime/sim/settings.h"
#include "tests/support.h"

TestSuite(options, .init = watchdog);

/* ---- faults */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static const uint64_t rates[] = {1, 2, 3, 5, 10, 30, 100, 1000, UINT64_MAX};

Test(options, faults_spare_the_runtime_around_the_test)
{
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++)
        for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
            lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                      .schedules = (uint64_t)rounds(300),
                                      .faults = rates[i]};

            cr_assert_eq(lw_sim_run(&options, do_nothing, NULL, NULL), LW_SIM_PASSED);
        }
}

/* How often a call gave that. */
static struct {
    unsigned long done, no_memory, no_thread, no_file, reset, other;
} seen;

static void note(int err)
{
    unsigned long *count = err >= 0                           ? &seen.done
                           : err == -ENOMEM                   ? &seen.no_memory
                           : err == -EAGAIN                   ? &seen.no_thread
                           : err == -EMFILE || err == -ENFILE ? &seen.no_file
                           : err == -ECONNRESET               ? &seen.reset
                                                              : &seen.other;

    ++*count;
}

static int answer(void *arg)
{
    char byte;
    int fd = lw_accept(*(int *)arg, NULL, NULL, lw_in(LW_SEC));

    note(fd);
    if (fd < 0)
        return 0;
    note(lw_read_all(fd, &byte, 1, lw_in(LW_SEC)));
    return lw_close(fd);
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* Whatever fails is noted; that it did is no failure of the test. */
static int try_all(void *arg)
{
    int listener = lw_listen_tcp("127.0.0.1", "7000", lw_in(LW_SEC));
    int status, spawned, made, fd;
    pthread_t thread;
    lw_task task;

    (void)arg;
    note(listener);
    spawned = lw_spawn(&task, answer, &listener, NULL);
    note(spawned);
    fd = lw_connect_tcp("127.0.0.1", "7000", lw_in(LW_SEC));
    note(fd);
    if (fd >= 0) {
        note(lw_write_all(fd, "x", 1, lw_in(LW_SEC)));
        LW_SIM_CHECK(lw_close(fd) == 0);
    }
    note(lw_blocking(do_nothing, NULL, &status, LW_FOREVER));
    made = pthread_create(&thread, NULL, end_at_once, NULL);
    note(-made);
    if (made == 0)
        LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    if (spawned == 0)
        LW_SIM_CHECK(lw_join(task, NULL, LW_FOREVER) == 0);
    return listener >= 0 ? lw_close(listener) : 0;
}

Test(options, faults_make_the_tests_own_calls_fail)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {
            .strategy = (lw_sim_strategy)strategy, .schedules = 500, .faults = 20};

        memset(&seen, 0, sizeof seen);
        cr_assert_eq(lw_sim_run(&options, try_all, NULL, NULL), LW_SIM_PASSED);
        cr_expect_gt(seen.done, 0u);
        cr_expect_gt(seen.no_memory, 0u);
        cr_expect_gt(seen.no_thread, 0u);
        cr_expect_gt(seen.no_file, 0u);
        cr_expect_gt(seen.reset, 0u);
        cr_log_info(
            "done %lu, ENOMEM %lu, EAGAIN %lu, EMFILE, ENFILE %lu, ECONNRESET %lu, "
            "others %lu",
            seen.done, seen.no_memory, seen.no_thread, seen.no_file, seen.reset, seen.other);
    }
}

Test(options, without_them_no_call_fails)
{
    lw_sim_options faulty = {.schedules = 1, .faults = 1}, plain = {.schedules = 500};

    cr_assert_eq(lw_sim_run(&faulty, try_all, NULL, NULL), LW_SIM_PASSED);
    memset(&seen, 0, sizeof seen);
    cr_assert_eq(lw_sim_run(&plain, try_all, NULL, NULL), LW_SIM_PASSED);
    cr_assert_eq(seen.no_memory + seen.no_thread + seen.no_file + seen.reset, 0u);
}

static int fail_with_it(void *arg)
{
    pthread_t thread;
    int err = pthread_create(&thread, NULL, end_at_once, NULL);

    (void)arg;
    return err != 0 ? -err : -pthread_join(thread, NULL);
}

Test(options, a_failure_by_a_fault_comes_back_by_seed_and_by_choices)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {
            .strategy = (lw_sim_strategy)strategy, .quiet = true, .faults = 20};
        lw_sim_result first, again;

        cr_assert_eq(lw_sim_run(&options, fail_with_it, NULL, &first), LW_SIM_FAILED_STATUS);
        cr_assert_eq(first.status, -EAGAIN);
        options.seed = first.seed;
        options.schedules = 1;
        cr_assert_eq(lw_sim_run(&options, fail_with_it, NULL, &again), LW_SIM_FAILED_STATUS);
        cr_assert_eq(again.hash, first.hash);
        options.replay = first.choices;
        cr_assert_eq(lw_sim_run(&options, fail_with_it, NULL, &again), LW_SIM_FAILED_STATUS);
        cr_assert_eq(again.status, -EAGAIN);
    }
}
