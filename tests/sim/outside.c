/* SPDX-License-Identifier: MIT */
/* Plain threads see no half of the truth either: what they hand over to a runtime that is being
 * stopped is refused or done, what they are told they also see, and one that lives in a slot is not
 * taken for the task that lived there before.
 *
 * As in looking.c there is little between the two that anything else could order: no system call,
 * which in simulation lets all see what the caller has seen.  What a test waits for it reads
 * plainly: that tells no more than itself. */
#include "tests/sim/explore.h"

#include <pthread.h>

#include "runtime/worker.h"

TestSuite(outside, .init = watchdog);

enum { ROUNDS = 3, EACH = 3 };

static struct {
    uint32_t words[EACH + 1];
    lw_event never;
    lw_group group;
    lw_task old;
    lw_semaphore finished; /* threads */
    int given, ran;
    bool looking, reaped, done;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
    it.group = (lw_group)LW_GROUP_INIT(0);
}

static void linger(unsigned most)
{
    for (unsigned steps = sim_choose(most); steps > 0; steps--)
        lw_sim_point();
}

static lw_runtime *start_runtime(unsigned workers)
{
    lw_options options = {.name = "sim", .workers = workers};
    lw_runtime *runtime = NULL;

    LW_SIM_CHECK(lw_start(&runtime, &options) == 0);
    return runtime;
}

/* ---- who stops a runtime counts who lives: it has seen each spawn of whom it has seen ended */

static int outlast(void *arg)
{
    (void)arg;
    for (int i = 0; i < 128; i++)
        lw_sim_point();
    LW_SIM_CHECK(lw_shield_enter() == 0);
    LW_SIM_CHECK(lw_event_wait(&it.never, lw_in(5 * LW_US)) == -ETIMEDOUT);
    LW_SIM_CHECK(lw_shield_exit() == 0);
    it.ran++;
    return 0;
}

static int hand_on(void *arg)
{
    int err = lw_spawn(NULL, outlast, arg, NULL);

    LW_SIM_CHECK(err == 0 || err == -ESHUTDOWN);
    it.given += err == 0;
    return 0;
}

static int stop_meanwhile(void *arg)
{
    (void)arg;
    set_up();
    for (int round = 0; round < ROUNDS; round++) {
        lw_task_options options = {.runtime = start_runtime(1)};
        const uint64_t *ended = &options.runtime->workers[0]->ended;

        LW_SIM_CHECK(lw_spawn(NULL, hand_on, NULL, &options) == 0);
        for (unsigned n = 16 * sim_choose(16); n > 0 && *ended == 0; n--)
            lw_sim_point();
        LW_SIM_CHECK(lw_stop(options.runtime, LW_FOREVER) == 0);
        LW_SIM_CHECK(it.ran == it.given);
    }
    return 0;
}

Test(outside, a_stop_waits_for_whom_an_ended_task_has_spawned)
{
    sim_plain(stop_meanwhile, NULL);
}

/* ---- what is handed over to a runtime that is being stopped */

static int run_once(void *arg)
{
    (void)arg;
    it.ran++;
    return 0;
}

static void *give_meanwhile(void *arg)
{
    uint32_t phase = lw_runtimes_phase; /* changes when a stop waits for those who give */

    for (unsigned n = 32 * sim_choose(8); n > 0 && lw_runtimes_phase == phase; n--)
        lw_sim_point();
    for (int i = 0; i < 3; i++) {
        int err = lw_spawn(NULL, run_once, NULL, NULL); /* wherever: it may be gone */

        LW_SIM_CHECK(err == 0 || err == -ESHUTDOWN || err == -EINVAL);
        it.given += err == 0;
        linger(8);
    }
    return arg;
}

static int stop_under_givers(void *arg)
{
    set_up();
    for (int round = 0; round < 2 * ROUNDS; round++) {
        lw_runtime *runtime = start_runtime(1 + sim_choose(2));
        pthread_t threads[2];

        for (int i = 0; i < 2; i++)
            LW_SIM_CHECK(pthread_create(&threads[i], NULL, give_meanwhile, arg) == 0);
        linger(64);
        LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
        for (int i = 0; i < 2; i++)
            LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
        LW_SIM_CHECK(it.ran == it.given);
    }
    return 0;
}

Test(outside, what_is_given_while_a_runtime_stops_is_refused_or_runs)
{
    sim_plain(stop_under_givers, NULL);
}

/* ---- without memory for a record a thread does not wait for a group, it looks */

static int child(void *arg)
{
    linger(8);
    lw_store_rlx(&it.words[(uintptr_t)arg], 1);
    return 0;
}

static int end_without_memory(void *arg)
{
    lw_task_options options = {.runtime = start_runtime(1 + sim_choose(2))};

    (void)arg;
    set_up();
    for (int round = 0; round < ROUNDS; round++) {
        memset(it.words, 0, sizeof it.words);
        for (uintptr_t i = 0; i < EACH; i++)
            LW_SIM_CHECK(lw_group_spawn(&it.group, child, (void *)i, &options) == 0);
        linger(64);
        sim_settings->fault_kinds = 1u << SIM_FAULT_MEMORY;
        sim_settings->fault_at = 1;
        sim_settings->fault_for_good = true;
        LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
        sim_settings->fault_kinds = 0;
        sim_settings->fault_at = 0;
        sim_settings->fault_for_good = false;
        for (int i = 0; i < EACH; i++)
            LW_SIM_CHECK(lw_load_rlx(&it.words[i]) == 1);
    }
    return lw_stop(options.runtime, LW_FOREVER);
}

Test(outside, who_looks_for_the_end_of_a_group_sees_what_was_done)
{
    sim_plain(end_without_memory, NULL);
}

/* ---- a slot's next life is a thread's */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Hereby the record is for threads; by another one than who gets it, whose system calls would let
 * all see it. */
static void *reap(void *arg)
{
    LW_SIM_CHECK(lw_detach(it.old) == 0);
    it.reaped = true;
    for (int i = 0; i < 256 && !it.done; i++)
        lw_sim_point();
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
    return arg;
}

static void *live_in_its_place(void *arg)
{
    for (int i = 0; i < 256 && !it.reaped; i++)
        lw_sim_point();
    LW_SIM_CHECK(lw_event_wait(&it.never, LW_NOW) == -ETIMEDOUT);
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
    return arg;
}

static int cancel_the_old_one(void *arg)
{
    const struct lw_record *record = lw_record_of(it.old.id);

    (void)arg;
    it.looking = true;
    for (int i = 0; i < 512 && (record->place & LW_PLACE_GUEST) == 0; i++)
        lw_sim_point();
    if (it.reaped)
        LW_SIM_CHECK(lw_cancel(it.old) == -ESRCH);
    it.done = true;
    return 0;
}

static int follow(void *arg)
{
    set_up();
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[2];
        lw_task looks;

        it.looking = it.reaped = it.done = false;
        it.old = start(nothing, NULL);
        UNTIL(lw_cancel(it.old) == -ESRCH);
        looks = start(cancel_the_old_one, arg);
        for (int i = 0; i < 64 && !it.looking; i++)
            lw_sim_point();
        LW_SIM_CHECK(pthread_create(&threads[0], NULL, live_in_its_place, arg) == 0);
        LW_SIM_CHECK(pthread_create(&threads[1], NULL, reap, arg) == 0);
        LW_SIM_CHECK(lw_semaphore_acquire(&it.finished, 2, LW_FOREVER) == 0);
        LW_SIM_CHECK(pthread_join(threads[0], NULL) == 0);
        LW_SIM_CHECK(pthread_join(threads[1], NULL) == 0);
        LW_SIM_CHECK(end_of(looks) == 0);
    }
    return 0;
}

Test(outside, a_thread_in_a_slot_is_not_taken_for_the_task_before)
{
    sim_all(follow, NULL);
}
