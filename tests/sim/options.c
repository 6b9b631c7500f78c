/* SPDX-License-Identifier: MIT */
/* What may be asked of lw_sim_run(), and what it refuses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
    unsigned long done, no_memory, no_thread, no_file, no_name, reset, other;
} seen;

static void note(int err)
{
    unsigned long *count = err >= 0                           ? &seen.done
                           : err == -ENOMEM                   ? &seen.no_memory
                           : err == -EAGAIN                   ? &seen.no_thread
                           : err == -EMFILE || err == -ENFILE ? &seen.no_file
                           : err == -EADDRINUSE               ? &seen.no_name
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
        cr_expect_gt(seen.no_name, 0u);
        cr_expect_gt(seen.reset, 0u);
        cr_log_info(
            "done %lu, ENOMEM %lu, EAGAIN %lu, EMFILE, ENFILE %lu, EADDRINUSE %lu, ECONNRESET %lu, "
            "others %lu",
            seen.done, seen.no_memory, seen.no_thread, seen.no_file, seen.no_name, seen.reset,
            seen.other);
    }
}

Test(options, without_them_no_call_fails)
{
    lw_sim_options faulty = {.schedules = 1, .faults = 1}, plain = {.schedules = 500};

    cr_assert_eq(lw_sim_run(&faulty, try_all, NULL, NULL), LW_SIM_PASSED);
    memset(&seen, 0, sizeof seen);
    cr_assert_eq(lw_sim_run(&plain, try_all, NULL, NULL), LW_SIM_PASSED);
    cr_assert_eq(seen.no_memory + seen.no_thread + seen.no_file + seen.no_name + seen.reset, 0u);
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
        lw_sim_result first = {0}, again;

        /* Of a schedule that happens to be long there are too many choices to say. */
        for (int tries = 0; tries < 5 && first.choices[0] == '\0'; tries++) {
            options.seed = first.seed + 1;
            cr_assert_eq(lw_sim_run(&options, fail_with_it, NULL, &first), LW_SIM_FAILED_STATUS);
        }
        cr_assert_neq(first.choices[0], '\0');
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

/* ---- lists */

/* All that the process has from malloc(); under ASan nothing, but that sees leaks itself. */
static size_t bytes_got(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

Test(options, a_list_that_is_none_is_refused_and_leaves_nothing)
{
    static const char *const bad[] = {"", "?", "0:1", "0:1.", "0:1.1 !", "0:1.1,2.2", "zzzz:1.1"};
    char text[4096] = "0:";
    lw_sim_options options = {.replay = text};
    size_t length = 2, before;

    while (length < sizeof text - 8)
        length += (size_t)snprintf(text + length, sizeof text - length, "1.1 ");
    (void)strcpy(text + length, "!");
    cr_assert_eq(lw_sim_run(&options, do_nothing, NULL, NULL), -EINVAL);
    before = bytes_got();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(lw_sim_run(&options, do_nothing, NULL, NULL), -EINVAL);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.replay = bad[i];
        cr_assert_eq(lw_sim_run(&options, do_nothing, NULL, NULL), -EINVAL, "%s", bad[i]);
    }
    cr_assert_eq(bytes_got(), before);
    assert_no_leaks();
}

/* ---- memory */

/* So many bytes more of addresses than now, and no more. */
static void allow_addresses(size_t more)
{
    FILE *file = fopen("/proc/self/statm", "r");
    struct rlimit limit;
    unsigned long pages;

    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu", &pages), 1);
    (void)fclose(file);
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = more == 0 ? limit.rlim_max : pages * (size_t)sysconf(_SC_PAGESIZE) + more;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* Enough for none, one or two of the ranges that a simulation lives in. */
Test(options, without_memory_it_says_so_until_there_is_some)
{
    static const size_t enough[] = {(size_t)1 << 30, (size_t)5 << 30, ((size_t)260 << 30) + 4096};

    for (unsigned i = 0; i < sizeof enough / sizeof *enough; i++) {
        allow_addresses(enough[i]);
        for (int again = 0; again < 3; again++)
            cr_assert_eq(lw_sim_run(NULL, do_nothing, NULL, NULL), -ENOMEM);
    }
    allow_addresses(0);
    cr_assert_eq(lw_sim_run(NULL, do_nothing, NULL, NULL), LW_SIM_PASSED);
}

/* ---- one at a time.  These threads are real. */

static uint32_t is_inside, has_ended;

static void let_know(uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

static void await(const uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        ;
}

static int stay_inside(void *arg)
{
    (void)arg;
    let_know(&is_inside);
    for (int i = 0; i < 100; i++)
        lw_yield();
    return 0;
}

static void *run_it(void *arg)
{
    *(int *)arg = lw_sim_run(NULL, stay_inside, NULL, NULL);
    let_know(&has_ended);
    return NULL;
}

/* And is outside, though it was in one before. */
Test(options, a_second_thread_is_refused)
{
    lw_sim_options options = {.schedules = 1};
    unsigned long refused = 0;
    pthread_t thread;
    int verdict = -1, mine = -EPERM;

    cr_assert_eq(lw_sim_run(&options, do_nothing, NULL, NULL), LW_SIM_PASSED);
    cr_assert_eq(pthread_create(&thread, NULL, run_it, &verdict), 0);
    await(&is_inside);
    for (; mine == -EPERM; refused++) {
        cr_assert_not(lw_sim_active());
        mine = lw_sim_run(&options, do_nothing, NULL, NULL);
    }
    cr_assert_eq(mine, LW_SIM_PASSED);
    cr_assert_gt(refused, 1u);
    await(&has_ended);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(verdict, LW_SIM_PASSED);
}

enum { ROUNDS = 300 };
static uint32_t rounds_begun[2];
static unsigned passed[2];

/* The two begin each round at the same time. */
static void *run_each_round(void *arg)
{
    lw_sim_options options = {.schedules = 1};
    unsigned me = (unsigned)(uintptr_t)arg;

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        int verdict;

        __atomic_store_n(&rounds_begun[me], i, __ATOMIC_RELEASE);
        while (__atomic_load_n(&rounds_begun[!me], __ATOMIC_ACQUIRE) < i)
            ;
        verdict = lw_sim_run(&options, do_nothing, NULL, NULL);
        cr_assert(verdict == LW_SIM_PASSED || verdict == -EPERM, "%d", verdict);
        passed[me] += verdict == LW_SIM_PASSED;
    }
    return NULL;
}

Test(options, of_two_threads_at_once_one_goes_on)
{
    pthread_t threads[2];

    for (uintptr_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_each_round, (void *)i), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_geq(passed[0] + passed[1], (unsigned)ROUNDS);
}
