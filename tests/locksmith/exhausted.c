/* SPDX-License-Identifier: MIT */
/* The laws of workers that are all blocked in calls that the runtime knows nothing of, while tasks
 * are ready that could end these calls. */
#include "locksmith/detector.h"
#include "runtime/worker.h"
#include "tests/locksmith/heard.h"

#include <pthread.h>
#include <unistd.h>

static void hear_all(void)
{
    hear();
    hears_exhaustion = true;
}

TestSuite(exhausted, .init = hear_all);

enum { BLOCKED_MAX = 4 };

static struct {
    int pipe[2], blocked, ended;
    lw_task tasks[BLOCKED_MAX];
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    cr_assert_eq(pipe(it.pipe), 0);
    forget_heard();
}

static int block_the_worker(void *arg)
{
    char byte;

    (void)arg;
    (void)__atomic_add_fetch(&it.blocked, 1, __ATOMIC_RELEASE);
    cr_assert_eq(read(it.pipe[0], &byte, 1), 1);
    (void)__atomic_add_fetch(&it.ended, 1, __ATOMIC_RELEASE);
    return 0;
}

static void release_all(int workers)
{
    for (int i = 0; i < workers; i++)
        cr_assert_eq(write(it.pipe[1], "!", 1), 1);
}

/* As many tasks as there are workers block; the caller is ready, and nobody runs it. */
static void block_all(int workers)
{
    lw_task_options options = {.name = "blocked"};

    for (int i = 0; i < workers; i++)
        cr_assert_eq(lw_spawn(&it.tasks[i], block_the_worker, NULL, &options), 0);
    AWAIT(__atomic_load_n(&it.blocked, __ATOMIC_ACQUIRE) == workers);
}

static void is_told(int workers)
{
    cr_assert_eq(heard.of[LW_VERDICT_WORKER_EXHAUSTION], 1);
    cr_assert_eq(told(), 1);
    cr_assert_eq(heard.members, (size_t)workers);
    cr_assert_eq(heard.victim, heard.members);
    cr_assert_str_eq(heard.task_name, "blocked");
    for (int i = 0; i < workers; i++) {
        bool there = false;

        for (int j = 0; j < workers; j++)
            there |= heard.member[i].task.id == it.tasks[j].id;
        cr_assert(there);
        cr_assert_null(heard.member[i].kind);
    }
}

static int block_some_time(void *arg)
{
    const int workers = 1; /* of several one may block long before the others, and get a spare */

    (void)arg;
    block_all(workers);
    AWAIT(told() != 0); /* by a spare one, which may have come before it was told */
    release_all(workers);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(join_status(it.tasks[i]), 0);
    is_told(workers);
    cr_assert_not_null(strstr(heard.outcome, "a spare one has joined"), "%s", heard.outcome);
    return close(it.pipe[0]) + close(it.pipe[1]);
}

Test(exhausted, s55_is_told_of_and_a_spare_worker_joins)
{
    set_up();
    run_with(1, block_some_time, NULL);
}

/* ---- without threads */

static void *release_when_told(void *arg)
{
    while (told() == 0)
        (void)sched_yield();
    release_all(*(const int *)arg);
    return arg;
}

static int block_without_threads(void *arg)
{
    int workers = *(const int *)arg;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, release_when_told, arg), 0);
    sys_fail(SYS_THREAD_CREATE, 1, true);
    block_all(workers);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(join_status(it.tasks[i]), 0);
    sys_fail(SYS_THREAD_CREATE, 0, false);
    is_told(workers);
    cr_assert_not_null(strstr(heard.outcome, "no spare one could be had"), "%s", heard.outcome);
    return pthread_join(thread, NULL);
}

Test(exhausted, s55_is_told_of_where_no_worker_can_join)
{
    sys_watch();
    for (int workers = 1; workers <= BLOCKED_MAX; workers *= 2) {
        set_up();
        run_with((unsigned)workers, block_without_threads, &workers);
    }
}

/* ---- nobody is told */

static int run_long(void *arg)
{
    lw_detector_counts before, after;
    lw_nsec begun = lw_now();

    (void)arg;
    lw_detector_read(&before);
    do /* the CPU is in use, for a hundred looks at the workers */
        lw_detector_read(&after);
    while (after.scans < before.scans + 5 || lw_now() - begun < LW_SEC);
    return 0;
}

static int yield_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        lw_yield();
    return 0;
}

static void *release_later(void *arg)
{
    (void)usleep(150000);
    release_all(1);
    return arg;
}

static int be_busy_or_idle(void *arg)
{
    lw_detector_options options;
    lw_task busy, other;
    pthread_t thread;

    (void)arg;
    set_up();
    lw_detector_get(&options);
    options.period_max = 200 * LW_MS; /* else five scans would take seconds */
    cr_assert_eq(lw_detector_set(&options), 0);
    cr_assert_eq(lw_spawn(&busy, run_long, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&other, yield_some, NULL, NULL), 0);
    cr_assert_eq(join_status(busy), 0);
    cr_assert_eq(join_status(other), 0);
    /* Blocked, but nothing is ready: the caller waits for that very one. */
    cr_assert_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
    cr_assert_eq(lw_spawn(&busy, block_the_worker, NULL, NULL), 0);
    cr_assert_eq(join_status(busy), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(heard.of[LW_VERDICT_WORKER_EXHAUSTION], 0);
    return close(it.pipe[0]) + close(it.pipe[1]);
}

Test(exhausted, is_no_worker_that_computes_and_none_that_nobody_needs)
{
    run_all(be_busy_or_idle, NULL);
}

/* ---- found by one, told by another: one thread that watches may leave while the next one looks */

enum { FOUND = 2000, TELLERS = 2 };

static bool all_found;

/* What is told is of one find. */
static void check_told(const lw_report *report, void *arg)
{
    unsigned name, blocked;

    (void)arg;
    cr_assert_eq(report->verdict, LW_VERDICT_WORKER_EXHAUSTION);
    cr_assert_eq(sscanf(report->steps[0].outcome, "runtime '%u': %u workers", &name, &blocked), 2);
    cr_assert_eq(name, blocked);
    (void)__atomic_add_fetch(&heard.told, 1, __ATOMIC_RELEASE);
}

static void *tell_on(void *arg)
{
    while (!__atomic_load_n(&all_found, __ATOMIC_ACQUIRE))
        lw_exhausted_tell();
    return arg;
}

Test(exhausted, each_find_is_told_once_by_whoever_tells)
{
    lw_detector_options options;
    pthread_t tellers[TELLERS];

    lw_detector_get(&options);
    options.on_report = check_told;
    cr_assert_eq(lw_detector_set(&options), 0);
    forget_heard();
    for (int i = 0; i < TELLERS; i++)
        cr_assert_eq(pthread_create(&tellers[i], NULL, tell_on, NULL), 0);
    for (unsigned i = 1; i <= FOUND; i++) {
        char name[16];
        struct lw_exhausted found = {.runtime = name, .blocked = i};

        (void)snprintf(name, sizeof name, "%u", i);
        AWAIT(lw_tick_exhausted(&found));
    }
    AWAIT(told() >= FOUND);
    __atomic_store_n(&all_found, true, __ATOMIC_RELEASE);
    for (int i = 0; i < TELLERS; i++)
        cr_assert_eq(pthread_join(tellers[i], NULL), 0);
    lw_exhausted_tell();
    cr_assert_eq(told(), FOUND);
}
