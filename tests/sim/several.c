/* SPDX-License-Identifier: MIT */
/* Several locks at a time, in many schedules: three tasks that name theirs in opposed orders end
 * without a deadlock, and have all or none. */
#include "tests/sim/explore.h"

TestSuite(several, .init = watchdog);

enum { TASKS = 3, LOCKS = 3 };

static struct {
    lw_mutex mutexes[2];
    lw_rlock rlock;
    lw_lock *locks[LOCKS];
    int inside[LOCKS], taken, cut_short;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.rlock = (lw_rlock)LW_RLOCK_INIT("rlock");
    it.locks[0] = &it.mutexes[0].lock;
    it.locks[1] = &it.rlock.lock;
    it.locks[2] = &it.mutexes[1].lock;
}

/* Two of the three, each task another two; or all, from another one on. */
static int take(uintptr_t number, size_t count, lw_nsec deadline)
{
    lw_lock *mine[LOCKS] = {NULL};
    int err;

    for (size_t i = 0; i < count; i++)
        mine[i] = it.locks[(number + i) % LOCKS];
    err = lw_acquire_all(mine, count, deadline);
    for (size_t i = 0; i < count; i++)
        LW_SIM_CHECK(lw_owned(mine[i]) == (err == 0));
    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++)
        LW_SIM_CHECK(it.inside[(number + i) % LOCKS]++ == 0);
    lw_sim_point();
    for (size_t i = 0; i < count; i++)
        LW_SIM_CHECK(--it.inside[(number + i) % LOCKS] == 0);
    it.taken++;
    return lw_release_all(mine, count);
}

static int take_for_ever(void *arg)
{
    for (size_t count = 2; count <= 3; count++)
        LW_SIM_CHECK(take((uintptr_t)arg, count, LW_FOREVER) == 0);
    return 0;
}

static int oppose(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(take_for_ever, (void *)i);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.taken == 2 * TASKS && nobody_waited());
    return 0;
}

Test(several, opposed_orders_end)
{
    sim_all(oppose, NULL);
}

static int take_or_give_up(void *arg)
{
    lw_nsec deadline = draw_deadline();
    int err = take((uintptr_t)arg, 2 + sim_choose(2), deadline);

    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL) ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    it.cut_short += err < 0;
    return 0;
}

static int all_or_none(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(take_or_give_up, (void *)i);
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.taken + it.cut_short == TASKS);
    for (int i = 0; i < LOCKS; i++)
        LW_SIM_CHECK(!lw_locked(it.locks[i]) && it.locks[i]->_queue == NULL);
    return 0;
}

Test(several, all_or_none_however_the_waits_end)
{
    sim_all(all_or_none, NULL);
}

static int take_two(void *arg)
{
    return take((uintptr_t)arg, 2, LW_FOREVER);
}

static int two_tasks(void *arg)
{
    lw_task other;

    (void)arg;
    set_up();
    other = start(take_two, (void *)2);
    LW_SIM_CHECK(take(0, 3, LW_FOREVER) == 0 && end_of(other) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(several, two_tasks_in_every_order)
{
    sim_every(two_tasks, NULL, 1, 100);
}
