/* SPDX-License-Identifier: MIT */
/* Which schedules are stuck, and which go on though nobody can run for long: plain threads and
 * tasks wait for each other while the library's watcher looks at the worker that they keep. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "runtime/sim/settings.h"
#include "tests/support.h"

TestSuite(stuck, .init = watchdog);

enum { SEEDS = 200, DAY = 86400, MONTH = 30 * DAY };

static void ends(int verdict, lw_fn *test, void *arg)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {
            .strategy = (lw_sim_strategy)strategy, .quiet = verdict != 0, .schedules = 1};

        options.schedules = verdict == LW_SIM_PASSED ? (uint64_t)rounds(SEEDS) : 1;
        for (uint64_t left = (uint64_t)rounds(SEEDS); left > 0; left -= options.schedules) {
            options.seed++;
            cr_assert_eq(lw_sim_run(&options, test, arg, NULL), verdict, "strategy %d, seed %u",
                         strategy, (unsigned)options.seed);
        }
    }
}

/* ---- for ever */

static pthread_mutex_t never_free;

static void *keep(void *arg)
{
    return pthread_mutex_lock(&never_free) == 0 ? arg : NULL;
}

static void begin_keepers(pthread_t threads[2])
{
    never_free = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, keep, NULL) == 0);
}

static int join_keepers(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    begin_keepers(threads);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

Test(stuck, are_plain_threads_that_a_task_waits_for)
{
    ends(LW_SIM_STUCK, join_keepers, NULL);
}

/* On a helper of the runtime's, while the tasks wait as tasks do. */
static int join_from_a_helper(void *arg)
{
    int status;

    (void)arg;
    return lw_blocking(join_keepers, NULL, &status, LW_FOREVER);
}

Test(stuck, are_plain_threads_that_a_helper_waits_for)
{
    ends(LW_SIM_STUCK, join_from_a_helper, NULL);
}

/* As many as there may be workers, and more, each of which gets a spare one. */
static int wait_plainly(void *arg)
{
    sem_t never;

    (void)arg;
    (void)sem_init(&never, 0, 0);
    return sem_wait(&never);
}

static int block_all_workers(void *arg)
{
    lw_task tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_spawn(&tasks[i], wait_plainly, NULL, NULL) == 0);
    return lw_join(tasks[0], NULL, LW_FOREVER);
}

Test(stuck, are_workers_of_which_each_is_blocked)
{
    ends(LW_SIM_STUCK, block_all_workers, NULL);
}

/* ---- for long */

static lw_event word;

static void *hear_word(void *arg)
{
    LW_SIM_CHECK(lw_event_wait(&word, LW_FOREVER) == 0);
    return arg;
}

static int say_word(void *seconds)
{
    LW_SIM_CHECK(lw_sleep(lw_in(*(int *)seconds * LW_SEC)) == 0);
    lw_event_set(&word);
    return 0;
}

/* The task that sleeps may have its timer with the very worker that is blocked. */
static int join_who_waits_for_a_sleeper(void *seconds)
{
    pthread_t thread;
    lw_task task;

    word = (lw_event){0};
    LW_SIM_CHECK(lw_spawn(&task, say_word, seconds, NULL) == 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, hear_word, NULL) == 0);
    for (unsigned i = sim_choose(3); i > 0; i--)
        lw_yield();
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(stuck, is_nobody_while_a_task_sleeps)
{
    static int seconds[] = {0, 1, 5, DAY, MONTH};

    for (unsigned i = 0; i < sizeof seconds / sizeof *seconds; i++)
        ends(LW_SIM_PASSED, join_who_waits_for_a_sleeper, &seconds[i]);
}

static void *sleep_plainly(void *seconds)
{
    struct timespec time = {.tv_sec = *(int *)seconds};

    return nanosleep(&time, NULL) == 0 ? NULL : seconds;
}

static int join_a_sleeper(void *seconds)
{
    lw_nsec from = lw_now(), whole = *(int *)seconds * LW_SEC;
    pthread_t thread;
    void *result;

    LW_SIM_CHECK(pthread_create(&thread, NULL, sleep_plainly, seconds) == 0);
    LW_SIM_CHECK(pthread_join(thread, &result) == 0 && result == NULL);
    LW_SIM_CHECK(lw_now() - from >= whole && lw_now() - from < whole + 60 * LW_SEC);
    return 0;
}

Test(stuck, is_nobody_while_a_plain_thread_sleeps)
{
    static int seconds[] = {0, 1, 5, DAY, MONTH};

    for (unsigned i = 0; i < sizeof seconds / sizeof *seconds; i++)
        ends(LW_SIM_PASSED, join_a_sleeper, &seconds[i]);
}

/* Spare workers do what is left by those that are blocked. */
static sem_t posted;

static int await_post(void *arg)
{
    (void)arg;
    return sem_wait(&posted);
}

static int post(void *arg)
{
    (void)arg;
    return sem_post(&posted);
}

static int await_posts(void *arg)
{
    lw_task waiting[3], posting[3];

    (void)arg;
    (void)sem_init(&posted, 0, 0);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_spawn(&waiting[i], await_post, NULL, NULL) == 0);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_spawn(&posting[i], post, NULL, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        LW_SIM_CHECK(lw_join(waiting[i], NULL, LW_FOREVER) == 0);
        LW_SIM_CHECK(lw_join(posting[i], NULL, LW_FOREVER) == 0);
    }
    return 0;
}

Test(stuck, is_nobody_whom_a_spare_worker_frees)
{
    ends(LW_SIM_PASSED, await_posts, NULL);
}
