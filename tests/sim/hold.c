/* SPDX-License-Identifier: MIT */
/* Locks whose owner ended, in many schedules: each that waits and each that comes is told, nobody
 * is inside unaware, and nobody waits for ever. */
#include "tests/sim/explore.h"

TestSuite(hold, .init = watchdog);

enum { TASKS = 3, MANY = 20, ROUNDS = 6 };

static struct {
    lw_mutex mutex, other;
    int inside, granted, dead, inconsistent, cut_short, ended, repaired;
} it;

static void set_up(uint32_t data)
{
    memset(&it, 0, sizeof it);
    it.mutex.lock.data = data;
}

/* It ends and holds both. */
static int end_with_locks(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&it.other, LW_FOREVER) == 0);
    if (lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0) {
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        it.inside--;
    }
    return 0;
}

static int come_by(void *arg)
{
    lw_nsec deadline = arg != NULL ? draw_deadline() : LW_FOREVER;
    int err = lw_mutex_acquire(&it.mutex, deadline);

    switch (err) {
    case 0: /* before it */
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        LW_SIM_CHECK(--it.inside == 0);
        it.granted++;
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        break;
    case -ENOTRECOVERABLE:
        it.dead++;
        break;
    case -EOWNERDEAD:
        it.inconsistent++;
        break;
    default:
        LW_SIM_CHECK(arg != NULL && is_cut_short(err));
        it.cut_short++;
    }
    LW_SIM_CHECK(!lw_owned(&it.mutex.lock));
    it.ended++;
    return 0;
}

static int end_and_see(void *arg)
{
    uint32_t data = *(uint32_t *)arg;
    lw_task tasks[TASKS], holder;
    int err = data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE;

    set_up(data);
    holder = start(end_with_locks, NULL);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(come_by, i == 1 ? &it : NULL);
    (void)lw_cancel(tasks[1]);
    LW_SIM_CHECK(end_of(holder) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.dead + it.inconsistent + it.cut_short == TASKS);
    LW_SIM_CHECK(data == LW_DATA_ROBUST ? it.dead == 0 : it.inconsistent == 0);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == err);
    LW_SIM_CHECK(lw_mutex_acquire(&it.other, LW_NOW) == -ENOTRECOVERABLE);
    return 0;
}

Test(hold, a_lock_whose_owner_ended_is_dead_to_all)
{
    uint32_t data = LW_DATA_OPAQUE;

    sim_all(end_and_see, &data);
}

Test(hold, a_robust_lock_says_that_its_owner_ended)
{
    uint32_t data = LW_DATA_ROBUST;

    sim_all(end_and_see, &data);
}

/* ---- one that is repaired goes on */

static int repair(lw_lock *lock)
{
    (void)lock;
    LW_SIM_CHECK(it.inside == 0);
    it.repaired++;
    return 0;
}

static int mutex_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_mutex_acquire((lw_mutex *)lock, deadline);
}

static int mutex_release(lw_lock *lock)
{
    return lw_mutex_release((lw_mutex *)lock);
}

static bool mutex_locked(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)lock);
}

static const lw_lock_kind repairable = {.name = "repairable",
                                        .acquire = mutex_acquire,
                                        .release = mutex_release,
                                        .locked = mutex_locked,
                                        .repair = repair};

static int repair_and_go_on(void *arg)
{
    lw_task tasks[TASKS], holder;

    (void)arg;
    set_up(LW_DATA_REPAIRABLE);
    it.mutex.lock.kind = &repairable;
    holder = start(end_with_locks, NULL);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(come_by, NULL);
    LW_SIM_CHECK(end_of(holder) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted == TASKS && it.repaired == 1);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(hold, a_lock_that_was_repaired_goes_on)
{
    sim_all(repair_and_go_on, NULL);
}

/* ---- where the fourth and later holds are noted goes from task to task */

static int hold_many(void *arg)
{
    static lw_mutex mutexes[TASKS][MANY];
    lw_mutex *mine = mutexes[(uintptr_t)arg];

    memset(mine, 0, sizeof mutexes[0]);
    for (int round = 0; round < ROUNDS; round++) {
        int count = sim_choose(2) == 1 ? MANY : 4;

        for (int i = 0; i < count; i++)
            LW_SIM_CHECK(lw_mutex_acquire(&mine[i], LW_FOREVER) == 0);
        if (sim_choose(2) == 1)
            lw_yield();
        for (int i = 0; i < count; i++) /* each is found, by a walk */
            LW_SIM_CHECK(lw_mutex_release(&mine[i]) == 0);
        LW_SIM_CHECK(lw_mutex_acquire(&mine[0], LW_FOREVER) == 0);
        LW_SIM_CHECK(lw_mutex_release(&mine[0]) == 0);
    }
    return 0;
}

static int hold_many_at_once(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(0);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(hold_many, (void *)i);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

Test(hold, each_task_finds_its_own)
{
    sim_all(hold_many_at_once, NULL);
}
