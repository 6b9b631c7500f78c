/* SPDX-License-Identifier: MIT */
/* The futex in many schedules: comparing and waiting are one step, and each wake that is counted
 * ends one wait. */
#include "tests/sim/explore.h"

TestSuite(futex, .init = watchdog);

enum { TASKS = 3 };

static struct {
    uint32_t word, sleepers;
    int inside, entries, woken, granted, cut_short, ended;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* ---- a lock made of it: 0 free, 1 taken, 2 taken and waited for */

static bool lock_word(lw_nsec deadline)
{
    uint32_t taken = 1;

    lw_sim_point();
    if (it.word == 0) {
        it.word = 1;
        return true;
    }
    taken = 2;
    for (;;) {
        int err;

        lw_sim_point();
        uint32_t seen = it.word;
        it.word = taken;
        if (seen == 0)
            return true;
        err = lw_futex_wait(&it.word, taken, deadline);
        LW_SIM_CHECK(err == 0 || err == -EAGAIN || is_cut_short(err));
        if (is_cut_short(err)) {
            it.cut_short++;
            return false;
        }
    }
}

static void unlock_word(void)
{
    uint32_t seen;

    lw_sim_point();
    seen = it.word;
    it.word = 0;
    if (seen == 2)
        (void)lw_futex_wake(&it.word, 1);
}

static int lock_twice(void *arg)
{
    for (int i = 0; i < 2; i++) {
        if (!lock_word(arg != NULL ? draw_deadline() : LW_FOREVER))
            continue;
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        LW_SIM_CHECK(--it.inside == 0);
        it.entries++;
        unlock_word();
    }
    return 0;
}

static int all_lock(void *arg)
{
    lw_task tasks[TASKS];

    set_up();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(lock_twice, arg);
    if (arg != NULL)
        (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 * TASKS);
    LW_SIM_CHECK(it.word == 0);
    LW_SIM_CHECK(arg != NULL || nobody_waited());
    return 0;
}

Test(futex, a_lock_made_of_it_forgets_nobody)
{
    sim_all(all_lock, NULL);
}

Test(futex, a_lock_made_of_it_with_waits_cut_short)
{
    sim_all(all_lock, &it);
}

/* ---- each wake that is counted ended a wait */

static int wait_once(void *arg)
{
    lw_nsec deadline = draw_deadline();
    int err = lw_futex_wait(&it.word, 0, deadline);

    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL) ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    it.granted += err == 0;
    it.ended++;
    return 0;
}

static int count_wakes(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(wait_once, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    while (it.ended < TASKS) {
        it.woken += (int)lw_futex_wake(&it.word, 1 + sim_choose(2));
        lw_yield();
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted == it.woken);
    return 0;
}

Test(futex, each_wake_that_is_counted_ended_a_wait)
{
    sim_all(count_wakes, NULL);
}

/* ---- comparing and waiting are one step */

static int wait_while_zero(void *arg)
{
    int err = lw_futex_wait(&it.word, 0, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -EAGAIN);
    LW_SIM_CHECK(it.word == 1);
    return 0;
}

static int change_and_wake(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        tasks[i] = start(wait_while_zero, NULL);
    it.word = 1;
    LW_SIM_CHECK(lw_futex_wake(&it.word, LW_ALL) <= 2);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(futex, no_wake_after_the_comparison_is_missed)
{
    sim_all(change_and_wake, NULL);
    sim_every(change_and_wake, NULL, 1, 100);
}
