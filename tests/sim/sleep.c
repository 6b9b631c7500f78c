/* SPDX-License-Identifier: MIT */
/* Time in many schedules: nobody wakes early, deadlines come in their order, and the timer that is
 * cancelled and the one that fires end a wait once. */
#include "tests/sim/explore.h"

TestSuite(sleep, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_event never;
    lw_nsec due[TASKS], woke[TASKS];
    int ended, cancelled;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* ---- never early */

static int sleep_drawn(void *arg)
{
    static const lw_nsec distances[] = {1, 40 * LW_US, 1 * LW_MS, 70 * LW_MS, 3 * LW_SEC};
    uintptr_t i = (uintptr_t)arg;
    int err;

    it.due[i] = lw_in(distances[sim_choose(5)]);
    err = lw_sleep(it.due[i]);
    it.woke[i] = lw_now();
    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && i == 1));
    LW_SIM_CHECK(err != 0 || it.woke[i] >= it.due[i]);
    it.cancelled += err != 0;
    it.ended++;
    return 0;
}

static int all_sleep(void *arg)
{
    lw_task tasks[TASKS];
    lw_nsec begun = lw_now(), last = 0;

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(sleep_drawn, (void *)i);
    if (sim_choose(2) == 1)
        (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++) {
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
        last = it.due[i] > last ? it.due[i] : last;
    }
    LW_SIM_CHECK(it.ended == TASKS && it.cancelled <= 1);
    /* Nor much too late: what stands between a moment and its sleeper is no period of the tick. */
    LW_SIM_CHECK(sim_idle() <= last - begun + NAPS);
    return 0;
}

Test(sleep, nobody_wakes_early)
{
    sim_all(all_sleep, NULL);
}

/* ---- in their order */

static int sleep_until(void *arg)
{
    LW_SIM_CHECK(lw_sleep(*(lw_nsec *)arg) == 0);
    LW_SIM_CHECK(lw_now() >= *(lw_nsec *)arg);
    it.ended++;
    return 0;
}

static int sleep_in_order(void *arg)
{
    lw_task tasks[TASKS];
    lw_nsec from = lw_in(100 * LW_MS);

    (void)arg;
    set_up();
    for (int i = 0; i < TASKS; i++) {
        it.due[i] = from + (TASKS - i) * LW_SEC;
        tasks[i] = start(sleep_until, &it.due[i]);
    }
    for (int i = TASKS; i > 0; i--) {
        LW_SIM_CHECK(end_of(tasks[i - 1]) == 0);
        LW_SIM_CHECK(it.ended == TASKS - i + 1); /* a second apart */
    }
    LW_SIM_CHECK(sim_idle() <= TASKS * LW_SEC + 100 * LW_MS + NAPS);
    return 0;
}

/* With one worker: the plan may let seconds pass while another is on its way with a wake. */
Test(sleep, sleepers_wake_in_the_order_of_their_deadlines)
{
    sim_settings->workers = 1;
    sim_all(sleep_in_order, NULL);
}

/* ---- a timer and a set, or a cancel, at the same moment */

static int wait_a_little(void *arg)
{
    lw_nsec deadline = lw_in((1 + sim_choose(4)) * 10 * LW_US);
    int err = lw_event_wait(&it.never, deadline);

    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT || (err == -ECANCELED && arg != NULL));
    LW_SIM_CHECK(err != -ETIMEDOUT || lw_now() >= deadline);
    err = lw_sleep(lw_in(10 * LW_US)); /* the old timer does not end it */
    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL));
    it.ended++;
    return 0;
}

static int at_the_same_moment(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(wait_a_little, (void *)(i % 2));
    LW_SIM_CHECK(lw_sleep(lw_in((1 + sim_choose(4)) * 10 * LW_US)) == 0);
    (void)lw_cancel(tasks[1]);
    lw_event_set(&it.never);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.ended == TASKS);
    LW_SIM_CHECK(it.never.wait._queue == NULL);
    LW_SIM_CHECK(sim_idle() < NAPS); /* none waited for the tick */
    return 0;
}

Test(sleep, a_timer_and_a_wake_end_one_wait)
{
    sim_all(at_the_same_moment, NULL);
}
