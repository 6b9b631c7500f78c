/* SPDX-License-Identifier: MIT */
/* What a simulation says: of a failure, who waits for what and what brings it back; of a search,
 * how far it went.  It is said in a child process, and heard. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/sim/hear.h"
#include "tests/sim/lost_update.h"

TestSuite(reports, .init = watchdog);

/* ---- who waits for what */

static lw_mutex mutex;
static lw_semaphore semaphore;
static lw_event event;
static lw_condition condition;
static lw_channel channel;

static int acquire(void *arg)
{
    (void)arg;
    return lw_mutex_acquire(&mutex, LW_FOREVER);
}

static int get_unit(void *arg)
{
    (void)arg;
    return lw_semaphore_acquire(&semaphore, 1, LW_FOREVER);
}

static int await_event(void *arg)
{
    (void)arg;
    return lw_event_wait(&event, LW_FOREVER);
}

static int await_condition(void *arg)
{
    lw_mutex own = LW_MUTEX_INIT(NULL);
    int err = lw_mutex_acquire(&own, LW_FOREVER);

    (void)arg;
    return err < 0 ? err : lw_condition_wait(&condition, &own.lock, LW_FOREVER);
}

static int receive(void *arg)
{
    int item;

    (void)arg;
    return lw_channel_receive(&channel, &item, LW_FOREVER);
}

static const struct waiter {
    const char *name;
    lw_fn *fn;
    const char *wait;
} waiters[] = {
    {"locker", acquire, "lock 'ledger'"},
    {"taker", get_unit, "semaphore 'seats'"},
    {"listener", await_event, "event 'dawn'"},
    {"sleeper", await_condition, "condition 'change'"},
    {"receiver", receive, "channel to receive 'post'"},
};
enum { WAITERS = sizeof waiters / sizeof *waiters };

static int join_waiters(void *arg)
{
    static int items[1];
    lw_task tasks[WAITERS];

    (void)arg;
    mutex = (lw_mutex)LW_MUTEX_INIT("ledger");
    semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("seats", 0);
    event = (lw_event)LW_EVENT_INIT("dawn");
    condition = (lw_condition)LW_CONDITION_INIT("change");
    lw_channel_init(&channel, "post", items, sizeof *items, 1);
    LW_SIM_CHECK(lw_mutex_acquire(&mutex, LW_FOREVER) == 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        lw_task_options options = {.name = waiters[i].name};

        LW_SIM_CHECK(lw_spawn(&tasks[i], waiters[i].fn, NULL, &options) == 0);
    }
    return lw_join(tasks[1], NULL, LW_FOREVER); /* tasks[0] waits for us: a circle */
}

Test(reports, of_who_is_stuck_say_which_task_waits_for_what)
{
    struct simulation simulation = {.test = join_waiters};

    hear(&simulation, LW_SIM_STUCK);
    is_said("the schedule of seed 1 is stuck: nobody can run, and not all are done\n");
    for (unsigned i = 0; i < WAITERS; i++)
        is_said_so("'%s': waits for %s since ", waiters[i].name, waiters[i].wait);
    is_said("task 1 'main': waits for join since ");
    is_said("thread 0 main: waits for futex\n");
    is_said("LW_SIM=1 brings it back (hash ");
}

static pthread_mutex_t plain_mutex;

static void *lock(void *arg)
{
    return pthread_mutex_lock(&plain_mutex) == 0 ? arg : NULL;
}

static void *wait_plainly(void *arg)
{
    sem_t never;

    (void)sem_init(&never, 0, 0);
    return sem_wait(&never) == 0 ? arg : NULL;
}

static int join_threads(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    (void)pthread_mutex_init(&plain_mutex, NULL);
    (void)pthread_mutex_lock(&plain_mutex);
    LW_SIM_CHECK(pthread_create(&threads[0], NULL, lock, NULL) == 0);
    LW_SIM_CHECK(pthread_setname_np(threads[0], "locker") == 0);
    LW_SIM_CHECK(pthread_create(&threads[1], NULL, wait_plainly, NULL) == 0);
    LW_SIM_CHECK(pthread_setname_np(threads[1], "waiter") == 0);
    return pthread_join(threads[0], NULL);
}

Test(reports, of_who_is_stuck_say_what_plain_threads_wait_for)
{
    struct simulation simulation = {.test = join_threads};

    hear(&simulation, LW_SIM_STUCK);
    is_said(" locker: waits for a pthread mutex\n");
    is_said(" waiter: waits for a POSIX semaphore\n");
    is_said(": waits for a thread's end\n");
    is_said("task 1 'main': has run for ");
}

static int spin(void *arg)
{
    (void)arg;
    for (;;)
        lw_yield();
    return 0;
}

/* It is not shortened: what of it is needed nobody knows. */
Test(reports, of_what_does_not_end_say_who_runs_and_not_what_is_needed)
{
    struct simulation simulation = {.options = {.steps_max = 5000}, .test = spin};

    hear(&simulation, LW_SIM_ENDLESS);
    is_said("the schedule of seed 1 does not end: 5000 steps, and no end\n");
    is_said("task 1 'main': ");
    is_said(": runs\n");
    is_said("LW_SIM=1 brings it back (hash ");
    is_not_said("needed");
}

/* ---- why */

static int give_status(void *arg)
{
    (void)arg;
    return -EIO;
}

static int crash(void *arg)
{
    (void)arg;
    abort();
}

Test(reports, of_other_failures_say_which)
{
    struct simulation status = {.test = give_status}, crashing = {.test = crash};

    hear(&status, LW_SIM_FAILED_STATUS);
    is_said_so("seed 1 failed with a status: status %d (%s)\n", -EIO, strerror(EIO));
    hear(&crashing, LW_SIM_CRASHED);
    is_said_so("seed 1 crashed: signal %d (%s) ", SIGABRT, strsignal(SIGABRT));
}

/* ---- what brings it back */

static int add_both(void *arg)
{
    (void)arg;
    return add_twice(CARELESSLY);
}

static int add_once(void *arg)
{
    counter = 0;
    return add_carelessly(arg);
}

Test(reports, name_the_seed_of_what_was_drawn)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        struct simulation simulation = {
            .options = {.strategy = (lw_sim_strategy)strategy, .schedules = 10000, .seed = 100},
            .test = add_both};
        lw_sim_result result = result_of(&simulation);
        unsigned long long seed = result.seed, hash = result.hash;
        char only[32];

        (void)snprintf(only, sizeof only, "%llu", seed);
        for (int again = 0; again < 2; again++) { /* of thousands; and that one alone */
            simulation.only = again != 0 ? only : NULL;
            hear(&simulation, LW_SIM_FAILED_CHECK);
            is_said_so("the schedule of seed %llu failed a check: counter == 2: %s:", seed,
                       lost_update_file);
            is_said_so("LW_SIM=%llu brings it back (hash %llx); of its ", seed, hash);
            is_said_so(" are needed: %s\n", result.choices);
        }
    }
}

/* A schedule of a search has no seed, nor has one that is replayed. */
Test(reports, name_the_choices_of_what_was_not_drawn)
{
    struct simulation simulation = {.options = {.strategy = LW_SIM_EXHAUSTIVE}, .test = add_both};
    lw_sim_result result = result_of(&simulation);
    const char *found;
    char replay[sizeof result.choices];

    cr_assert_eq(result.seed, 0u);
    hear(&simulation, LW_SIM_FAILED_CHECK);
    is_said_so("simulation: schedule %llu of the search failed a check: counter == 2: ",
               (unsigned long long)result.schedules);
    is_said_so("simulation: replay = \"%s\" brings it back (hash %llx); of its ", result.choices,
               (unsigned long long)result.hash);
    is_not_said("seed");
    is_not_said("LW_SIM");
    found = strstr(text, "replay = \"");
    cr_assert_eq(sscanf(found, "replay = \"%255[^\"]\"", replay), 1);
    for (int again = 0; again < 2; again++) {
        simulation.options.strategy = again != 0 ? LW_SIM_EXHAUSTIVE : LW_SIM_RANDOM;
        simulation.options.replay = replay;
        simulation.only = "5"; /* is of no meaning here */
        hear(&simulation, LW_SIM_FAILED_CHECK);
        is_said("simulation: the schedule of the choices failed a check: counter == 2: ");
        is_said_so("simulation: replay = \"%s\" brings it back (hash ", replay);
        is_not_said("seed");
        is_not_said("LW_SIM");
    }
}

/* ---- searches */

Test(reports, tell_how_many_schedules_a_search_had)
{
    struct simulation simulation = {.options = {.strategy = LW_SIM_EXHAUSTIVE}, .test = add_once};
    lw_sim_result result = result_of(&simulation);

    cr_assert_gt(result.schedules, 1u);
    simulation.only = "5"; /* not one of its seeds: it has none */
    hear(&simulation, LW_SIM_PASSED);
    is_said_so("%llu schedules with at most 1 preemption passed, which are all there are\n",
               (unsigned long long)result.schedules);
    simulation.options.depth = 2;
    simulation.options.schedules = 10;
    hear(&simulation, LW_SIM_PASSED);
    is_said("10 schedules with at most 2 preemptions passed, and there are more\n");
}

Test(reports, are_left_out_where_it_is_to_be_quiet)
{
    struct simulation simulation = {.options = {.quiet = true}, .test = add_once};

    hear(&simulation, LW_SIM_PASSED);
    cr_assert_str_empty(text);
    simulation.options.strategy = LW_SIM_EXHAUSTIVE;
    hear(&simulation, LW_SIM_PASSED);
    cr_assert_str_empty(text);
    simulation.test = add_both;
    hear(&simulation, LW_SIM_FAILED_CHECK);
    cr_assert_str_empty(text);
    simulation.options.strategy = LW_SIM_RANDOM;
    simulation.test = join_waiters;
    hear(&simulation, LW_SIM_STUCK);
    cr_assert_str_empty(text);
}
