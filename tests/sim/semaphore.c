/* SPDX-License-Identifier: MIT */
/* The semaphore in many schedules: permits are neither made nor lost, waiters are served in order,
 * and who leaves the line lets those behind it through. */
#include "tests/sim/explore.h"

TestSuite(semaphore, .init = watchdog);

enum { TASKS = 3, PERMITS = 3 };

static struct {
    lw_semaphore semaphore;
    uint32_t taken;
    int granted, cut_short, refused;
    int order[TASKS], count;
    int users;
} it;

static void set_up(uint32_t permits)
{
    memset(&it, 0, sizeof it);
    it.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("permits", permits);
}

/* ---- conservation */

static int take_by_drawn_deadlines(void *arg)
{
    for (int i = 0; i < 2; i++) {
        uint32_t permits = 1 + sim_choose(PERMITS);
        lw_nsec deadline = draw_deadline();
        int err = lw_semaphore_acquire(&it.semaphore, permits, deadline);

        if (err == 0) {
            it.taken += permits;
            it.granted++;
            LW_SIM_CHECK(it.taken <= PERMITS);
            lw_sim_point();
            it.taken -= permits;
            LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, permits) == 0);
        } else {
            LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                           : err == -ETIMEDOUT && deadline != LW_FOREVER);
            it.cut_short++;
            it.refused += err == -ECANCELED;
        }
    }
    return 0;
}

static int conserve(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(PERMITS);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(take_by_drawn_deadlines, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short == 2 * TASKS && it.refused <= 1);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == PERMITS);
    LW_SIM_CHECK(it.semaphore.lock._queue == NULL);
    return 0;
}

Test(semaphore, permits_are_neither_made_nor_lost)
{
    sim_all(conserve, NULL);
}

/* ---- nobody is forgotten */

static int take_two_then_one(void *arg)
{
    (void)arg;
    for (uint32_t permits = 2; permits > 0; permits--) {
        LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, permits, LW_FOREVER) == 0);
        lw_sim_point();
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, permits) == 0);
    }
    return 0;
}

static int all_take(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(2);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(take_two_then_one, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == 2);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(semaphore, nobody_waits_for_permits_that_are_free)
{
    sim_all(all_take, NULL);
}

/* ---- order */

static int take_and_note(void *arg)
{
    uint32_t wants = (uint32_t)(uintptr_t)arg;

    LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, wants, LW_FOREVER) == 0);
    it.order[it.count++] = (int)wants;
    return 0;
}

/* 3 wait behind 2 behind 1; permits come one at a time, from two sides. */
static int give_one(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
    return 0;
}

static int serve_in_line(void *arg)
{
    lw_task waiters[TASKS], giver;
    uint32_t left = 6;

    (void)arg;
    set_up(0);
    for (uintptr_t i = 0; i < TASKS; i++)
        waiters[i] = start_waiting(take_and_note, (void *)(TASKS - i));
    giver = start(give_one, NULL);
    for (; left > 3; left--) {
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
        LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, 1, LW_NOW) == -ETIMEDOUT ||
                     it.semaphore.lock._queue == NULL);
    }
    LW_SIM_CHECK(end_of(giver) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(waiters[i]) == 0);
    LW_SIM_CHECK(it.count == TASKS);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(semaphore, waiters_are_served_in_line)
{
    sim_all(serve_in_line, NULL);
}

/* ---- who leaves the line */

static int want_many(void *arg)
{
    lw_nsec deadline = arg != NULL ? lw_in(30 * LW_US) : LW_FOREVER;
    int err = lw_semaphore_acquire(&it.semaphore, 2, deadline);

    LW_SIM_CHECK(err == (arg != NULL ? -ETIMEDOUT : -ECANCELED));
    return 0;
}

/* The head wants two and gets none; behind it are two that want the one that is there. */
static int leave_the_line(void *arg)
{
    lw_task head, behind[2];
    bool by_time = sim_choose(2) == 1;

    (void)arg;
    set_up(1);
    head = start(want_many, by_time ? &it : NULL);
    if (!by_time)
        UNTIL(is_waiting(head));
    for (int i = 0; i < 2; i++)
        behind[i] = start(take_and_note, (void *)1);
    if (!by_time)
        LW_SIM_CHECK(lw_cancel(head) == 0);
    UNTIL(it.count >= 1);
    LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(behind[i]) == 0);
    LW_SIM_CHECK(end_of(head) == 0);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == 0);
    LW_SIM_CHECK(by_time || nobody_waited());
    return 0;
}

Test(semaphore, who_leaves_the_line_lets_others_through)
{
    sim_all(leave_the_line, NULL);
}

/* ---- memory */

static int use_and_burn(void *arg)
{
    LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, 1, LW_FOREVER) == 0);
    (void)arg;
    lw_sim_point();
    LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
    if (--it.users == 0)
        BURN(&it.semaphore);
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(1);
    it.users = TASKS;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(use_and_burn, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.semaphore; i++)
        LW_SIM_CHECK(((unsigned char *)&it.semaphore)[i] == 0xdb);
    return 0;
}

Test(semaphore, the_last_user_may_free_it)
{
    sim_all(burn_after_use, NULL);
}

/* ---- all there are */

static int two_take(void *arg)
{
    lw_task other;

    (void)arg;
    set_up(2);
    other = start(take_and_note, (void *)1);
    LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
    LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, 2, LW_FOREVER) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(semaphore, two_tasks_in_every_order)
{
    sim_every(two_take, NULL, 1, 100);
}
