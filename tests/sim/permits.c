/* SPDX-License-Identifier: MIT */
/* Semaphores whose permits are owned, or go by priority, in many schedules: permits are neither
 * made nor lost, nobody is forgotten, whatever happens to the bound meanwhile. */
#include "tests/sim/explore.h"

TestSuite(permits, .init = watchdog);

enum { TASKS = 3, PERMITS = 2, MOST = 3 };

static struct {
    lw_bounded_semaphore bounded;
    lw_priority_semaphore ranked;
    int inside, granted, cut_short, refused, order[TASKS], count;
} it;

static void set_up(uint32_t permits)
{
    memset(&it, 0, sizeof it);
    it.bounded = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("bounded", permits);
    it.ranked = (lw_priority_semaphore)LW_PRIORITY_SEMAPHORE_INIT("ranked", permits);
}

static void note_end(int err, lw_nsec deadline, const void *cancelled)
{
    LW_SIM_CHECK(err == -ECANCELED ? cancelled != NULL && deadline != LW_NOW
                                   : err == -ETIMEDOUT && deadline != LW_FOREVER);
    it.cut_short++;
    it.refused += err == -ECANCELED;
}

static void run_three(lw_fn *fn, lw_task tasks[TASKS])
{
    for (uintptr_t i = 0; i < TASKS; i++) {
        lw_task_options options = {.priority = (int)sim_choose(2)};

        LW_SIM_CHECK(lw_spawn(&tasks[i], fn, (void *)(i % 2), &options) == 0);
    }
    (void)lw_cancel(tasks[1]);
}

static void end_three(lw_task tasks[TASKS])
{
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short == 2 * TASKS && it.refused <= 1 && it.inside == 0);
}

/* ---- bounded */

static int take_bounded(void *arg)
{
    for (int i = 0; i < 2; i++) {
        uint32_t permits = 1 + sim_choose(2);
        lw_nsec deadline = draw_deadline();
        int err = lw_bounded_semaphore_acquire(&it.bounded, permits, deadline);

        if (err < 0) {
            note_end(err, deadline, arg);
            continue;
        }
        it.granted++;
        it.inside += (int)permits;
        LW_SIM_CHECK(it.inside <= MOST);
        lw_sim_point();
        it.inside -= (int)permits;
        LW_SIM_CHECK(lw_bounded_semaphore_release(&it.bounded, permits + 1) == -EPERM);
        LW_SIM_CHECK(lw_bounded_semaphore_release(&it.bounded, permits) == 0);
    }
    return 0;
}

static int move_the_bound(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(PERMITS);
    run_three(take_bounded, tasks);
    for (int i = 0; i < 3; i++) {
        LW_SIM_CHECK(lw_bounded_semaphore_set_bound(&it.bounded, sim_choose(MOST + 1)) == 0);
        lw_sim_point();
    }
    LW_SIM_CHECK(lw_bounded_semaphore_set_bound(&it.bounded, MOST) == 0);
    end_three(tasks);
    LW_SIM_CHECK(lw_bounded_semaphore_acquire(&it.bounded, MOST, LW_NOW) == 0);
    LW_SIM_CHECK(lw_bounded_semaphore_acquire(&it.bounded, 1, LW_NOW) == -ETIMEDOUT);
    LW_SIM_CHECK(lw_bounded_semaphore_release(&it.bounded, MOST) == 0);
    LW_SIM_CHECK(it.bounded.lock._queue == NULL);
    return 0;
}

Test(permits, the_bound_holds_while_it_moves)
{
    sim_all(move_the_bound, NULL);
}

static int take_and_give(void *arg)
{
    for (uint32_t permits = 2; permits > 0; permits--) {
        LW_SIM_CHECK(lw_bounded_semaphore_acquire(&it.bounded, permits, LW_FOREVER) == 0);
        lw_sim_point();
        LW_SIM_CHECK(lw_bounded_semaphore_release(&it.bounded, permits) == 0);
    }
    (void)arg;
    return 0;
}

static int all_take(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(0);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(take_and_give, NULL);
    LW_SIM_CHECK(lw_bounded_semaphore_set_bound(&it.bounded, PERMITS) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(permits, nobody_waits_for_permits_that_are_free)
{
    sim_all(all_take, NULL);
    sim_every(all_take, NULL, 1, 300);
}

static int end_with_a_permit(void *arg)
{
    (void)arg;
    return lw_bounded_semaphore_acquire(&it.bounded, 1, LW_FOREVER);
}

static int lose_permits(void *arg)
{
    lw_task tasks[TASKS];
    int expected, entered = 0;

    (void)arg;
    set_up(1);
    it.bounded.lock.data = sim_choose(2) == 0 ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
    expected = it.bounded.lock.data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(end_with_a_permit, NULL);
    for (int i = 0; i < TASKS; i++) {
        int status = end_of(tasks[i]);

        LW_SIM_CHECK(status == 0 || status == expected);
        entered += status == 0;
    }
    LW_SIM_CHECK(entered == 1 && it.bounded.lock._number == 0);
    LW_SIM_CHECK(lw_bounded_semaphore_acquire(&it.bounded, 1, LW_FOREVER) == expected);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(permits, all_hear_that_a_holder_has_ended)
{
    sim_all(lose_permits, NULL);
}

/* ---- by priority */

static int take_ranked(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int err = lw_priority_semaphore_acquire(&it.ranked, (int)sim_choose(2), deadline);

        if (err < 0) {
            note_end(err, deadline, arg);
            continue;
        }
        it.granted++;
        LW_SIM_CHECK(++it.inside <= PERMITS);
        lw_sim_point();
        it.inside--;
        LW_SIM_CHECK(lw_priority_semaphore_release(&it.ranked, LW_STRICT) == 0);
    }
    return 0;
}

static int conserve_ranked(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(PERMITS);
    run_three(take_ranked, tasks);
    end_three(tasks);
    LW_SIM_CHECK(it.ranked.lock._number == PERMITS && it.ranked.lock._queue == NULL);
    LW_SIM_CHECK(lw_priority_semaphore_release(&it.ranked, LW_STRICT) == -EOVERFLOW);
    return 0;
}

Test(permits, those_by_priority_are_neither_made_nor_lost)
{
    sim_all(conserve_ranked, NULL);
}

static int take_and_note(void *arg)
{
    int err = lw_acquire(&it.ranked.lock, LW_FOREVER);

    if (err == 0)
        it.order[it.count++] = (int)(uintptr_t)arg;
    return err;
}

/* The first by priority is cancelled, and permits come meanwhile. */
static int serve_by_priority(void *arg)
{
    lw_task tasks[TASKS];
    int status;

    (void)arg;
    set_up(0);
    for (int i = 0; i < TASKS; i++) {
        lw_task_options options = {.priority = -i};

        LW_SIM_CHECK(lw_spawn(&tasks[i], take_and_note, (void *)(uintptr_t)i, &options) == 0);
        UNTIL(is_waiting(tasks[i]));
    }
    LW_SIM_CHECK(lw_priority_semaphore_release(&it.ranked, 0) == 0);
    (void)lw_cancel(tasks[2]);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_priority_semaphore_release(&it.ranked, 0) == 0);
    status = end_of(tasks[2]);
    LW_SIM_CHECK(status == 0); /* it had it before the cancel */
    LW_SIM_CHECK(end_of(tasks[1]) == 0 && end_of(tasks[0]) == 0);
    LW_SIM_CHECK(it.count == 3 && it.ranked.lock._number == 0);
    return 0;
}

Test(permits, a_grant_stays_though_a_cancel_follows)
{
    sim_all(serve_by_priority, NULL);
    sim_every(serve_by_priority, NULL, 1, 100);
}
