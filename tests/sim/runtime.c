/* SPDX-License-Identifier: MIT */
/* Starting and stopping runtimes from plain threads in many schedules: every function that was
 * given runs once and to its end, a stop that is cut short can be repeated, and nothing is left. */
#include "tests/sim/explore.h"

#include <pthread.h>
#include <sched.h>

TestSuite(runtime, .init = watchdog);

static struct {
    lw_runtime *runtime;
    lw_event gate, open;
    int given, ran, refused, cancelled;
    bool ready;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

static int run_once(void *arg)
{
    (void)arg;
    it.ran++;
    return 0;
}

static void give(lw_fn *fn, lw_runtime *runtime)
{
    lw_task_options options = {.runtime = runtime};
    int err = lw_spawn(NULL, fn, NULL, &options);

    LW_SIM_CHECK(err == 0 || err == -ESHUTDOWN);
    it.given += err == 0;
    it.refused += err == -ESHUTDOWN;
}

static lw_runtime *start_runtime(void)
{
    lw_options options = {.name = "sim", .workers = 1 + sim_choose(2)};
    lw_runtime *runtime = NULL;

    LW_SIM_CHECK(lw_start(&runtime, &options) == 0);
    return runtime;
}

/* ---- what was given runs */

static int spawn_more(void *arg)
{
    it.ran++;
    (void)arg;
    for (int i = 0; i < 2; i++)
        give(run_once, NULL);
    return 0;
}

static int stop_while_spawning(void *arg)
{
    lw_runtime *runtime;

    (void)arg;
    set_up();
    for (int round = 0; round < 2; round++) {
        runtime = start_runtime();
        give(spawn_more, runtime);
        give(run_once, runtime);
        LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
        LW_SIM_CHECK(it.ran == it.given);
    }
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(runtime, what_was_given_runs_before_a_stop_ends)
{
    sim_plain(stop_while_spawning, NULL);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    it.ran++;
    LW_SIM_CHECK(lw_sleep(LW_FOREVER) == -ECANCELED);
    it.cancelled++;
    return 0;
}

static int spawn_sleepers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        give(sleep_for_ever, NULL);
    return 0;
}

/* Some spawns see that it stops, others are under way and missed by its first look. */
static int stop_while_sleepers_are_spawned(void *arg)
{
    lw_runtime *runtime;

    (void)arg;
    set_up();
    runtime = start_runtime();
    for (int i = 0; i < 3; i++)
        give(spawn_sleepers, runtime);
    LW_SIM_CHECK(lw_stop(runtime, lw_in(LW_SEC)) == 0);
    LW_SIM_CHECK(it.cancelled == it.ran);
    return 0;
}

Test(runtime, a_stop_cancels_what_was_being_spawned)
{
    sim_plain(stop_while_sleepers_are_spawned, NULL);
}

/* One that finds the injection stack held by a taker which was preempted lets it go on, instead of
 * looking again and again for as long as the engine lets it: that would be 30,000 steps. */
Test(runtime, nobody_spins_on_what_another_is_about_to_take)
{
    lw_sim_options options = {.strategy = LW_SIM_PCT,
                              .schedules = (uint64_t)rounds(6000),
                              .steps_max = 20000};

    sim_settings->plain = true;
    cr_assert_eq(lw_sim_run(&options, stop_while_spawning, NULL, NULL), LW_SIM_PASSED);
    sim_settings->plain = false;
}

/* ---- survivors */

static int wait_in_a_shield(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_shield_enter() == 0);
    LW_SIM_CHECK(lw_event_wait(&it.gate, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_shield_exit() == 0);
    it.ran++;
    return 0;
}

static int wait_until_stopped(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.open, LW_FOREVER) == -ECANCELED);
    it.cancelled++;
    it.ran++;
    return 0;
}

static int stop_again(void *arg)
{
    lw_runtime *runtime;
    int left, before;

    (void)arg;
    set_up();
    runtime = start_runtime();
    give(wait_in_a_shield, runtime);
    give(wait_until_stopped, runtime);
    give(run_once, runtime);
    left = lw_stop(runtime, LW_NOW);
    LW_SIM_CHECK(left >= 1 && left <= 3); /* the shielded one at least */
    before = it.given;
    give(run_once, runtime);
    LW_SIM_CHECK(it.given == before); /* it stops */
    left = lw_stop(runtime, lw_in(2 * LW_MS));
    LW_SIM_CHECK(left >= 1 && left <= 3);
    lw_event_set(&it.gate);
    LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
    LW_SIM_CHECK(it.ran == 3 && it.cancelled == 1);
    return 0;
}

Test(runtime, a_stop_that_was_cut_short_can_be_repeated)
{
    sim_plain(stop_again, NULL);
}

/* ---- several plain threads, each with a runtime of its own */

static void *start_and_stop(void *arg)
{
    lw_runtime *runtime = start_runtime();

    give(spawn_more, runtime);
    LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
    return arg;
}

static int side_by_side(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, start_and_stop, NULL) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(it.ran == it.given && it.given + it.refused == 6);
    return 0;
}

Test(runtime, two_start_and_stop_side_by_side)
{
    sim_plain(side_by_side, NULL);
}

/* ---- threads that give tasks and wait for them, while one of them stops it */

static void *give_and_join(void *arg)
{
    lw_task_options options = {.runtime = it.runtime};
    lw_task task;
    int status, err = lw_spawn(&task, run_once, NULL, &options);

    LW_SIM_CHECK(err == 0 || err == -ESHUTDOWN);
    it.given += err == 0;
    if (err == 0)
        LW_SIM_CHECK(lw_join(task, &status, LW_FOREVER) == 0 && status == 0);
    it.refused += err != 0;
    if (it.given + it.refused == 2)
        lw_event_set(&it.gate);
    return arg;
}

static int give_from_threads(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    set_up();
    it.runtime = start_runtime();
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, give_and_join, NULL) == 0);
    /* The runtime may not go while they may still give: only afterwards. */
    LW_SIM_CHECK(lw_event_wait(&it.gate, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_stop(it.runtime, LW_FOREVER) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(it.ran == it.given);
    return 0;
}

Test(runtime, threads_give_tasks_and_join_them)
{
    sim_plain(give_from_threads, NULL);
}

/* ---- what a thread gives is begun at once, though workers nap after doorbells in vain */

static int spawn_in_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        give(run_once, NULL);
        lw_yield();
    }
    return 0;
}

static int give_to_nappers(void *arg)
{
    lw_task_options options = {0};

    (void)arg;
    set_up();
    options.runtime = it.runtime = start_runtime();
    for (int i = 0; i < 4; i++) {
        int64_t idle;
        lw_task task;

        give(spawn_in_turns, it.runtime);
        for (unsigned n = sim_choose(4); n > 0; n--) /* the workers get on meanwhile */
            (void)sched_yield();
        idle = sim_idle();
        LW_SIM_CHECK(lw_spawn(&task, run_once, NULL, &options) == 0);
        LW_SIM_CHECK(lw_join(task, NULL, LW_FOREVER) == 0);
        LW_SIM_CHECK(sim_idle() == idle);
    }
    return lw_stop(it.runtime, LW_FOREVER);
}

Test(runtime, what_a_thread_gives_waits_for_no_nap)
{
    sim_plain(give_to_nappers, NULL);
}

/* ---- records change hands between runtimes */

enum { RECORDS = 3 };

static int sleep_unharmed(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_sleep(lw_in((1 + sim_choose(3)) * LW_US)) == 0);
    return run_once(NULL);
}

static void *stop_it(void *arg)
{
    LW_SIM_CHECK(lw_stop(arg, LW_FOREVER) == 0);
    return NULL;
}

/* What tasks of one runtime had is had by those of another while the first one stops. */
static int stop_one_of_two(void *arg)
{
    lw_runtime *first, *second;
    lw_task_options options = {0};
    lw_task tasks[RECORDS];
    pthread_t stopper;

    (void)arg;
    set_up();
    first = start_runtime();
    second = start_runtime();
    options.runtime = first;
    for (int i = 0; i < RECORDS; i++)
        LW_SIM_CHECK(lw_spawn(&tasks[i], run_once, NULL, &options) == 0);
    for (int i = 0; i < RECORDS; i++)
        LW_SIM_CHECK(lw_join(tasks[i], NULL, LW_FOREVER) == 0);
    LW_SIM_CHECK(pthread_create(&stopper, NULL, stop_it, first) == 0);
    options.runtime = second;
    for (int i = 0; i < RECORDS; i++) {
        lw_sim_point();
        LW_SIM_CHECK(lw_spawn(&tasks[i], sleep_unharmed, NULL, &options) == 0);
    }
    for (int i = 0; i < RECORDS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(pthread_join(stopper, NULL) == 0);
    LW_SIM_CHECK(it.ran == 2 * RECORDS);
    return lw_stop(second, LW_FOREVER);
}

Test(runtime, a_stop_cancels_nobody_of_another_one)
{
    sim_plain(stop_one_of_two, NULL);
}
