/* SPDX-License-Identifier: MIT */
/* The simulator: what a seed means, what it finds, what it says of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "runtime/sim/settings.h"
#include "tests/sim/lost_update.h"
#include "tests/support.h"

TestSuite(simulator, .init = watchdog);

static lw_mutex mutex;

static int add_carefully(void *arg)
{
    int err = lw_mutex_acquire(&mutex, LW_FOREVER);

    (void)add_carelessly(arg);
    return err < 0 ? err : lw_mutex_release(&mutex);
}

static int add_twice_carefully(void *arg)
{
    (void)arg;
    mutex = (lw_mutex){0};
    return add_twice((void *)(uintptr_t)add_carefully);
}

Test(simulator, finds_a_lost_update_with_each_strategy)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_EXHAUSTIVE; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .quiet = true,
                                  .depth = strategy == LW_SIM_EXHAUSTIVE ? 1 : 0,
                                  .schedules = 10000};
        lw_sim_result result = {0};

        /* Of a schedule that happens to be long there are too many choices to say. */
        for (int tries = 0; tries < 5 && result.choices[0] == '\0'; tries++) {
            options.seed = result.seed + 1;
            cr_assert_eq(lw_sim_run(&options, add_twice, CARELESSLY, &result), LW_SIM_FAILED_CHECK,
                         "strategy %d", strategy);
        }
        cr_assert_gt(strlen(result.choices), 0u, "strategy %d", strategy);
    }
}

Test(simulator, finds_nothing_where_nothing_is)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .schedules = is_slow() ? 50 : 0}; /* 0: a thousand */
        uint64_t schedules = is_slow() ? 50 : 1000;
        lw_sim_result result;

        cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &result), LW_SIM_PASSED);
        cr_assert_eq(result.schedules, schedules);
        cr_assert_eq(result.seed, schedules);
    }
}

Test(simulator, a_seed_gives_the_same_run_again)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {
            .strategy = (lw_sim_strategy)strategy, .quiet = true, .schedules = 10000};
        lw_sim_result first, again;

        cr_assert_eq(lw_sim_run(&options, add_twice, CARELESSLY, &first), LW_SIM_FAILED_CHECK);
        options.seed = first.seed;
        options.schedules = 1;
        cr_assert_eq(lw_sim_run(&options, add_twice, CARELESSLY, &again), LW_SIM_FAILED_CHECK);
        cr_assert_eq(again.seed, first.seed);
        cr_assert_eq(again.hash, first.hash);
        cr_assert_str_eq(again.choices, first.choices);
    }
}

Test(simulator, the_choices_of_a_failure_bring_it_back)
{
    lw_sim_options options = {.quiet = true, .strategy = LW_SIM_PCT, .schedules = 10000};
    lw_sim_result first, again;
    char replay[sizeof first.choices];

    cr_assert_eq(lw_sim_run(&options, add_twice, CARELESSLY, &first), LW_SIM_FAILED_CHECK);
    memcpy(replay, first.choices, sizeof replay);
    options.replay = replay;
    cr_assert_eq(lw_sim_run(&options, add_twice, CARELESSLY, &again), LW_SIM_FAILED_CHECK);
    cr_assert_eq(again.schedules, 1u);
    cr_assert_str_eq(again.choices, replay, "it was the shortest already");
    cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &again), LW_SIM_PASSED);
    options.replay = "1.2";
    cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &again), LW_SIM_PASSED);
    options.replay = "no list";
    cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &again), -EINVAL);
}

Test(simulator, an_exhaustive_search_ends_and_counts_the_same_each_time)
{
    lw_sim_options options = {.strategy = LW_SIM_EXHAUSTIVE, .depth = 1};
    lw_sim_result first, again;

    sim_settings->workers = 1;
    cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &first), LW_SIM_PASSED);
    cr_assert_gt(first.schedules, 100u);
    cr_assert_eq(lw_sim_run(&options, add_twice_carefully, NULL, &again), LW_SIM_PASSED);
    cr_assert_eq(again.schedules, first.schedules);
}

/* ---- verdicts */

static int give_status(void *arg)
{
    return *(int *)arg;
}

Test(simulator, a_negative_status_is_a_failure)
{
    lw_sim_options options = {.quiet = true, .schedules = 3};
    lw_sim_result result;
    int status = -EIO;

    cr_assert_eq(lw_sim_run(&options, give_status, &status, &result), LW_SIM_FAILED_STATUS);
    cr_assert_eq(result.status, -EIO);
    cr_assert_eq(result.schedules, 1u);
    status = 7;
    cr_assert_eq(lw_sim_run(&options, give_status, &status, &result), LW_SIM_PASSED);
    cr_assert_eq(result.status, 7);
    cr_assert_eq(result.schedules, 3u);
}

static int crash(void *arg)
{
    volatile uintptr_t nowhere = 16; /* the compiler may not know it */

    if (*(int *)arg == SIGSEGV)
        *(volatile int *)nowhere = 1;
    if (*(int *)arg == SIGABRT)
        abort();
    return 0;
}

Test(simulator, a_crash_is_a_verdict_and_not_the_end)
{
    static const int signals[] = {SIGSEGV, SIGABRT, SIGSEGV};
    lw_sim_options options = {.quiet = true};
    int none = 0;

    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        int number = signals[i];

        cr_assert_eq(lw_sim_run(&options, crash, &number, NULL), LW_SIM_CRASHED);
        cr_assert_eq(lw_sim_run(&options, crash, &none, NULL), LW_SIM_PASSED);
    }
}

static int wait_for_ever(void *arg)
{
    lw_event never = {0};

    (void)arg;
    return lw_event_wait(&never, LW_FOREVER);
}

Test(simulator, nobody_who_can_run_is_stuck)
{
    lw_sim_options options = {.quiet = true};
    lw_sim_result result;

    cr_assert_eq(lw_sim_run(&options, wait_for_ever, NULL, &result), LW_SIM_STUCK);
    cr_assert_eq(result.schedules, 1u);
}

static int spin(void *arg)
{
    (void)arg;
    for (;;)
        lw_yield();
    return 0;
}

Test(simulator, what_never_ends_is_ended_at_the_bound)
{
    lw_sim_options options = {.quiet = true, .steps_max = 20000};

    cr_assert_eq(lw_sim_run(&options, spin, NULL, NULL), LW_SIM_ENDLESS);
}

/* ---- time */

static int sleep_for_a_month(void *arg)
{
    lw_nsec from = lw_now(), month = 30 * INT64_C(86400) * LW_SEC;

    (void)arg;
    LW_SIM_CHECK(lw_sleep(lw_in(month)) == 0);
    LW_SIM_CHECK(lw_now() - from >= month);
    LW_SIM_CHECK(lw_now() - from < month + LW_SEC);
    return 0;
}

Test(simulator, a_month_is_over_at_once)
{
    lw_sim_options options = {.schedules = 100};

    cr_assert_eq(lw_sim_run(&options, sleep_for_a_month, NULL, NULL), LW_SIM_PASSED);
}

/* All the program's clocks, in seconds. */
static void look_at_clocks(long long seconds[3])
{
    struct timespec precise;
    struct timeval day;

    LW_SIM_CHECK(clock_gettime(CLOCK_MONOTONIC, &precise) == 0);
    LW_SIM_CHECK(gettimeofday(&day, NULL) == 0);
    seconds[0] = precise.tv_sec;
    seconds[1] = day.tv_sec;
    seconds[2] = time(NULL);
}

static int sleep_by_each_clock(void *arg)
{
    long long from[3], to[3], month = 30 * 86400;

    (void)arg;
    look_at_clocks(from);
    LW_SIM_CHECK(lw_sleep(lw_in(month * LW_SEC)) == 0);
    look_at_clocks(to);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(to[i] - from[i] >= month - 1 && to[i] - from[i] <= month + 1);
    return 0;
}

Test(simulator, a_month_is_over_by_each_clock)
{
    lw_sim_options options = {.schedules = 10};

    cr_assert_eq(lw_sim_run(&options, sleep_by_each_clock, NULL, NULL), LW_SIM_PASSED);
}

/* Virtual time has nothing to do with when the library was loaded. */
static int sleep_for_a_moment(void *arg)
{
    (void)arg;
    return lw_sleep(lw_in(1 * LW_US));
}

Test(simulator, a_moment_is_no_duration)
{
    cr_assert_eq(lw_sim_run(NULL, sleep_for_a_moment, NULL, NULL), LW_SIM_PASSED);
}

/* A machine that is busy keeps who is ready from running past a deadline, but not for an hour. */
static bool was_late;
static sem_t ended;

static void *end_now(void *arg)
{
    (void)sem_post(&ended);
    return arg;
}

static int await_end(void *arg)
{
    long seconds = *(long *)arg;
    struct timespec until;
    pthread_t thread;
    int err;

    (void)sem_init(&ended, 0, 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, end_now, NULL) == 0);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += seconds == 0 ? LW_MS : 0;
    until.tv_sec += seconds + until.tv_nsec / LW_SEC;
    until.tv_nsec %= LW_SEC;
    err = sem_timedwait(&ended, &until);
    LW_SIM_CHECK(err == 0 || seconds == 0);
    was_late |= err != 0;
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

Test(simulator, whoever_can_run_does_so_within_the_hour)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy};
        long seconds = 3600;

        was_late = false;
        cr_assert_eq(lw_sim_run(&options, await_end, &seconds, NULL), LW_SIM_PASSED);
        seconds = 0;
        options.schedules = 500; /* at random one in some hundreds is late */
        for (options.seed = 1; !was_late && options.seed < 10000; options.seed += 500)
            cr_assert_eq(lw_sim_run(&options, await_end, &seconds, NULL), LW_SIM_PASSED);
        cr_assert(was_late);
    }
}

/* ---- where it runs */

static int is_active(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_sim_active());
    LW_SIM_CHECK(lw_sim_run(NULL, is_active, NULL, NULL) == -EPERM);
    return 0;
}

static int is_not_active(void *arg)
{
    (void)arg;
    cr_assert_not(lw_sim_active());
    lw_sim_point();
    LW_SIM_CHECK(true);
    return lw_sim_run(NULL, is_active, NULL, NULL);
}

Test(simulator, beside_simulations_the_library_is_real)
{
    cr_assert_eq(lw_run(NULL, is_not_active, NULL), -EPERM);
    cr_assert_eq(lw_sim_run(NULL, is_active, NULL, NULL), LW_SIM_PASSED);
    cr_assert_eq(lw_run(NULL, is_not_active, NULL), -EPERM);
    cr_assert_eq(lw_sim_run(NULL, NULL, NULL, NULL), -EINVAL);
}

Test(simulator, a_seed_is_a_whole_number)
{
    static const char *const none[] = {"4x", "x", " 4", "-4", "99999999999999999999"};
    lw_sim_result result;

    for (unsigned i = 0; i < sizeof none / sizeof *none; i++) {
        (void)setenv("LW_SIM", none[i], 1);
        cr_assert_eq(lw_sim_run(NULL, is_active, NULL, NULL), -EINVAL, "%s", none[i]);
    }
    (void)setenv("LW_SIM", "0x10", 1);
    cr_assert_eq(lw_sim_run(NULL, is_active, NULL, &result), LW_SIM_PASSED);
    cr_assert_eq(result.seed, 16u);
    (void)unsetenv("LW_SIM");
}

Test(simulator, outside_of_one_a_check_aborts, .signal = SIGABRT)
{
    LW_SIM_CHECK(counter == 1);
}

/* ---- guests */

static lw_event event;
static int guests_told;
static pthread_mutex_t plain_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *wait_as_guest(void *arg)
{
    LW_SIM_CHECK(lw_event_wait(&event, LW_FOREVER) == 0);
    (void)pthread_mutex_lock(&plain_mutex);
    int seen = guests_told;
    lw_sim_point();
    guests_told = seen + 1;
    (void)pthread_mutex_unlock(&plain_mutex);
    return arg;
}

static int tell_guests(void *arg)
{
    pthread_t threads[3];
    void *result;

    event = (lw_event){0};
    guests_told = 0;
    for (uintptr_t i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, wait_as_guest, (void *)i) == 0);
    lw_event_set(&event);
    for (uintptr_t i = 0; i < 3; i++) {
        LW_SIM_CHECK(pthread_join(threads[i], &result) == 0);
        LW_SIM_CHECK(result == (void *)i);
    }
    LW_SIM_CHECK(guests_told == 3);
    return *(int *)arg;
}

Test(simulator, plain_threads_are_simulated)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .schedules = (uint64_t)rounds(1000)};
        int status = 0;

        cr_assert_eq(lw_sim_run(&options, tell_guests, &status, NULL), LW_SIM_PASSED);
    }
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* Far more than there may be at a time; each second one is detached. */
static int start_thousands(void *arg)
{
    pthread_t thread;
    void *result;

    for (uintptr_t i = 0; i < 2000; i++) {
        LW_SIM_CHECK(pthread_create(&thread, NULL, end_at_once, (void *)i) == 0);
        if (i % 2 == 0) {
            LW_SIM_CHECK(pthread_detach(thread) == 0);
            (void)sched_yield();
            continue;
        }
        LW_SIM_CHECK(pthread_join(thread, &result) == 0);
        LW_SIM_CHECK(result == (void *)i);
    }
    return *(int *)arg;
}

Test(simulator, threads_that_have_ended_leave_room_for_others)
{
    lw_sim_options options = {.schedules = (uint64_t)rounds(20)};
    lw_sim_result result;
    int status = 0;

    cr_assert_eq(lw_sim_run(&options, start_thousands, &status, NULL), LW_SIM_PASSED);
    options.quiet = true;
    options.schedules = 1;
    status = -EIO; /* a list finds its way through threads that follow each other, too */
    cr_assert_eq(lw_sim_run(&options, start_thousands, &status, &result), LW_SIM_FAILED_STATUS);
    cr_assert_neq(result.choices[0], '\0');
}

/* ---- fairness */

/* Two that wake each other and wait, for as long as a third has not said the word. */
static sem_t turns[2];
static bool word;

static void *hand_over(void *arg)
{
    int me = (int)(uintptr_t)arg;

    do {
        (void)sem_wait(&turns[me]);
        (void)sem_post(&turns[!me]);
    } while (!word);
    return NULL;
}

static void *say_the_word(void *arg)
{
    lw_sim_point();
    word = true;
    return arg;
}

static int keep_busy(void *arg)
{
    pthread_t threads[3];

    word = false;
    (void)sem_init(&turns[0], 0, 1);
    (void)sem_init(&turns[1], 0, 0);
    for (uintptr_t i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, i < 2 ? hand_over : say_the_word,
                                    (void *)i) == 0);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    return *(int *)arg;
}

Test(simulator, who_can_run_does_so_though_others_wake_each_other_for_ever)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy, .depth = 1};
        int status = 0;

        cr_assert_eq(lw_sim_run(&options, keep_busy, &status, NULL), LW_SIM_PASSED);
    }
}
