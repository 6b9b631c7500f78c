/* SPDX-License-Identifier: MIT */
/* The event in many schedules: a set ends all waits, a value that was put is not missed, and who
 * was woken may free the event at once. */
#include "tests/sim/explore.h"

TestSuite(event, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_event event;
    int granted, cut_short, refused, ended;
    int values[4];
    void *seen[TASKS];
    bool set, done; /* from just before the call, from just after it */
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* ---- each wait ends in one way */

static int wait_by_drawn_deadline(void *arg)
{
    lw_nsec deadline = draw_deadline();
    bool was_set = it.done;
    int err = lw_event_wait(&it.event, deadline);

    if (err == 0) {
        LW_SIM_CHECK(it.set);
        it.granted++;
    } else {
        LW_SIM_CHECK(!was_set);
        LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                       : err == -ETIMEDOUT && deadline != LW_FOREVER);
        it.cut_short++;
    }
    it.ended++;
    return 0;
}

static int set_once(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(wait_by_drawn_deadline, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    it.set = true;
    lw_event_set(&it.event);
    it.done = true;
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short == TASKS);
    LW_SIM_CHECK(it.event.wait._queue == NULL && lw_event_is_set(&it.event));
    return 0;
}

Test(event, a_wait_ends_in_one_way)
{
    sim_all(set_once, NULL);
}

/* ---- nobody is forgotten */

static int wait_for_ever(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.event, LW_FOREVER) == 0);
    it.granted++;
    return 0;
}

static int wake_all(void *arg)
{
    lw_task tasks[TASKS], given_up;

    (void)arg;
    set_up();
    given_up = start(wait_by_drawn_deadline, &it);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(wait_for_ever, NULL);
    (void)lw_cancel(given_up);
    it.set = true;
    lw_event_set(&it.event);
    it.done = true;
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(nobody_waited()); /* the fourth has a deadline, and is not waited for before */
    return end_of(given_up);
}

Test(event, a_set_wakes_all)
{
    sim_all(wake_all, NULL);
}

/* ---- memory: by the waiter, while the set that woke it still runs */

static int wait_and_burn(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.event, LW_FOREVER) == 0);
    if (++it.ended == 2)
        BURN(&it.event);
    return 0;
}

static int burn_after_wait(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        tasks[i] = start(wait_and_burn, NULL);
    lw_event_set(&it.event);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.event; i++)
        LW_SIM_CHECK(((unsigned char *)&it.event)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(event, who_was_woken_may_free_it)
{
    sim_all(burn_after_wait, NULL);
    sim_every(burn_after_wait, NULL, 1, 100);
}

/* ---- values */

static int wait_for_the_second(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait_for(&it.event, &it.values[1], LW_FOREVER) == 0);
    it.granted++;
    return 0;
}

static int wait_for_the_next(void *arg)
{
    void **seen = arg;

    LW_SIM_CHECK(lw_event_wait_next(&it.event, seen, LW_FOREVER) == 0);
    LW_SIM_CHECK(*seen >= (void *)&it.values[0] && *seen <= (void *)&it.values[3]);
    return 0;
}

static int wait_for_a_value(void *arg)
{
    void **seen = arg;

    LW_SIM_CHECK(lw_event_wait_value(&it.event, seen, LW_FOREVER) == 0);
    LW_SIM_CHECK(*seen >= (void *)&it.values[0] && *seen <= (void *)&it.values[3]);
    return 0;
}

static int put_values(void *arg)
{
    lw_task second, next, value;

    (void)arg;
    set_up();
    second = start_waiting(wait_for_the_second, NULL);
    next = start_waiting(wait_for_the_next, &it.seen[0]);
    value = start(wait_for_a_value, &it.seen[1]);
    for (int i = 0; i < 3; i++) {
        lw_event_put(&it.event, &it.values[i]);
        if (i < 2 && sim_choose(2) == 1)
            lw_event_clear(&it.event);
    }
    LW_SIM_CHECK(end_of(second) == 0);
    LW_SIM_CHECK(end_of(next) == 0);
    LW_SIM_CHECK(end_of(value) == 0);
    LW_SIM_CHECK(it.seen[0] == &it.values[0]); /* it waited before the first */
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(event, a_value_that_was_replaced_is_not_missed)
{
    sim_all(put_values, NULL);
}

/* ---- value and bit are one */

static int get_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 6; i++) {
        void *value = NULL;
        int err = lw_event_get(&it.event, &value);

        LW_SIM_CHECK(err == -ENODATA || err == 0);
        LW_SIM_CHECK(value == (err == 0 ? &it.values[0] : NULL) ||
                     (err == 0 && value == &it.values[1]));
        lw_sim_point();
    }
    return 0;
}

static int put_and_clear(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    task = start(get_some, NULL);
    for (unsigned n = sim_choose(8); n > 0; n--)
        lw_sim_point();
    for (int i = 0; i < 4; i++) {
        lw_event_put(&it.event, &it.values[i % 2]);
        lw_event_clear(&it.event);
    }
    return end_of(task);
}

Test(event, that_is_set_has_its_value)
{
    sim_all(put_and_clear, NULL);
}

/* ---- set, clear and set again: each wait that began before a set ends */

static int wait_in_turn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_event_wait(&it.event, LW_FOREVER) == 0);
    it.ended++;
    return 0;
}

static int set_and_clear(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        tasks[i] = start(wait_in_turn, NULL);
    while (it.ended < 2) {
        lw_event_set(&it.event);
        lw_event_clear(&it.event);
        lw_yield();
    }
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.event.wait._queue == NULL);
    return 0;
}

Test(event, set_and_clear_forget_nobody)
{
    sim_all(set_and_clear, NULL);
}
