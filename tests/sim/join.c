/* SPDX-License-Identifier: MIT */
/* Joining and detaching in many schedules: a status is given once, a handle is dead afterwards,
 * and records come back whoever is late. */
#include "tests/sim/explore.h"

TestSuite(join, .init = watchdog);

static struct {
    lw_task tasks[3];
    lw_event go, never;
    int joined, busy, gone, detached, ran, deadlocks, ended;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

static int say(void *arg)
{
    it.ran++;
    return (int)(uintptr_t)arg;
}

/* ---- a status is given once */

static int join_it(void *arg)
{
    lw_nsec deadline = arg != NULL ? draw_deadline() : LW_FOREVER;
    int status = -1, err;

    do {
        err = lw_join(it.tasks[0], &status, deadline);
        if (err == -ETIMEDOUT) {
            LW_SIM_CHECK(deadline != LW_FOREVER && status == -1);
            deadline = lw_in(10 * LW_US);
        }
        if (err == -EBUSY)
            lw_yield();
    } while (is_cut_short(err) || err == -EBUSY);
    LW_SIM_CHECK(status == (err == 0 ? 17 : -1));
    it.joined += err == 0;
    it.gone += err == -ESRCH;
    it.detached += err == -EINVAL;
    return 0;
}

static int two_join(void *arg)
{
    (void)arg;
    set_up();
    it.tasks[0] = start(say, (void *)17);
    it.tasks[1] = start(join_it, &it);
    it.tasks[2] = start(join_it, NULL);
    (void)lw_cancel(it.tasks[1]);
    LW_SIM_CHECK(end_of(it.tasks[1]) == 0);
    LW_SIM_CHECK(end_of(it.tasks[2]) == 0);
    LW_SIM_CHECK(it.joined == 1 && it.gone == 1 && it.ran == 1);
    LW_SIM_CHECK(lw_join(it.tasks[0], NULL, LW_NOW) == -ESRCH);
    LW_SIM_CHECK(lw_cancel(it.tasks[0]) == -ESRCH);
    return 0;
}

Test(join, a_status_is_given_once)
{
    sim_all(two_join, NULL);
}

/* ---- joined or detached, never both */

static int detach_it(void *arg)
{
    int err;

    (void)arg;
    do
        err = lw_detach(it.tasks[0]);
    while (err == -EBUSY && (lw_yield(), true));
    LW_SIM_CHECK(err == 0 || err == -ESRCH);
    it.ended += err == 0;
    return 0;
}

static int join_or_detach(void *arg)
{
    (void)arg;
    set_up();
    it.tasks[0] = start(say, (void *)17);
    it.tasks[1] = start(join_it, &it);
    it.tasks[2] = start(detach_it, NULL);
    LW_SIM_CHECK(end_of(it.tasks[1]) == 0);
    LW_SIM_CHECK(end_of(it.tasks[2]) == 0);
    LW_SIM_CHECK(it.joined + it.ended == 1);
    LW_SIM_CHECK(it.joined + it.gone + it.detached == 1);
    UNTIL(it.ran == 1);
    return 0;
}

Test(join, a_task_is_joined_or_detached)
{
    sim_all(join_or_detach, NULL);
}

/* ---- nobody is forgotten, and handles stay dead while records are used again */

static int join_and_go_on(void *arg)
{
    lw_task old[3];

    (void)arg;
    set_up();
    for (int round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < 3; i++)
            it.tasks[i] = start(say, (void *)(i + 1));
        for (int i = 0; i < 3; i++) {
            if (round > 0)
                LW_SIM_CHECK(lw_cancel(old[i]) == -ESRCH && lw_detach(old[i]) == -ESRCH);
            LW_SIM_CHECK(end_of(it.tasks[i]) == i + 1);
            LW_SIM_CHECK(lw_join(it.tasks[i], NULL, LW_FOREVER) == -ESRCH);
            old[i] = it.tasks[i];
        }
    }
    LW_SIM_CHECK(it.ran == 6);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(join, a_handle_is_dead_for_ever)
{
    sim_all(join_and_go_on, NULL);
}

/* ---- a task that has ended is not found running in its slot's next life */

static int look_at_the_old_one(void *arg)
{
    int err;

    (void)arg;
    while (!it.ended) {
        err = lw_detach(it.tasks[0]);
        LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -ESRCH ||
                     (err == -EINVAL && it.detached > 0)); /* it is about to be gone */
        it.detached += err == 0;
        lw_yield();
    }
    return 0;
}

static int live_again(void *arg)
{
    int err;

    (void)arg;
    set_up();
    it.tasks[0] = start(say, NULL);
    UNTIL(lw_cancel(it.tasks[0]) == -ESRCH);
    it.tasks[1] = start(look_at_the_old_one, NULL);
    err = lw_join(it.tasks[0], NULL, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -ESRCH || err == -EINVAL);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_spawn(NULL, say, NULL, NULL) == 0);
    UNTIL(it.ran == 4);
    it.ended = 1;
    return end_of(it.tasks[1]);
}

Test(join, a_task_that_has_ended_is_not_found_in_a_later_life)
{
    sim_all(live_again, NULL);
}

/* ---- cycles */

static int join_the_next(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    int err;

    LW_SIM_CHECK(lw_event_wait(&it.go, LW_FOREVER) == 0);
    err = lw_join(it.tasks[(i + 1) % 3], NULL, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    it.deadlocks += err == -EDEADLK;
    it.joined += err == 0;
    return 0;
}

static void join_in_a_ring(void)
{
    set_up();
    for (uintptr_t i = 0; i < 3; i++)
        it.tasks[i] = start(join_the_next, (void *)i);
    lw_event_set(&it.go);
    UNTIL(it.joined + it.deadlocks == 3);
    LW_SIM_CHECK(it.deadlocks == 1); /* where one gives way, the others need not */
    for (int i = 0; i < 3; i++) {
        int err = lw_join(it.tasks[i], NULL, LW_FOREVER);

        LW_SIM_CHECK(err == 0 || err == -ESRCH);
        it.gone += err == 0;
    }
    LW_SIM_CHECK(it.gone == it.deadlocks);
}

static int join_in_rings(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        join_in_a_ring();
    return 0;
}

Test(join, a_ring_of_joins_is_broken)
{
    sim_all(join_in_rings, NULL);
}

/* ---- all there are */

static int join_one(void *arg)
{
    (void)arg;
    set_up();
    it.tasks[0] = start(say, (void *)17);
    LW_SIM_CHECK(end_of(it.tasks[0]) == 17);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(join, one_joins_another_in_every_order)
{
    sim_every(join_one, NULL, 1, 50);
    sim_every(join_one, NULL, 2, 10000);
}

/* ---- no ring where a join has a deadline, whatever its task waits for after it */

static int join_for_a_while(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_join(it.tasks[1], NULL, lw_in((1 + sim_choose(4)) * LW_US)) == -ETIMEDOUT);
    return lw_event_wait(&it.go, LW_FOREVER);
}

static int join_who_gave_up(void *arg)
{
    (void)arg;
    UNTIL(it.tasks[0].id != 0);
    for (unsigned steps = 4 * sim_choose(64); steps > 0; steps--)
        lw_sim_point();
    LW_SIM_CHECK(lw_join(it.tasks[0], NULL, LW_FOREVER) == 0);
    it.ended++;
    return 0;
}

static int give_up_joining(void *arg)
{
    (void)arg;
    set_up();
    it.tasks[1] = start(join_who_gave_up, NULL);
    it.tasks[0] = start(join_for_a_while, NULL);
    LW_SIM_CHECK(lw_event_wait(&it.never, lw_in(20 * LW_US)) == -ETIMEDOUT);
    lw_event_set(&it.go);
    UNTIL(it.ended == 1); /* one may join it at a time */
    return end_of(it.tasks[1]);
}

Test(join, no_ring_is_seen_where_a_join_gave_up)
{
    sim_all(give_up_joining, NULL);
}
