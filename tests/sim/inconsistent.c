/* SPDX-License-Identifier: MIT */
/* Locks whose owner ended inside, in many schedules: nobody is inside unaware, one who knows is
 * inside alone, and all who wait are told. */
#include "tests/sim/explore.h"

#include "primitives/lock.h"

TestSuite(inconsistent, .init = watchdog);

enum { TASKS = 3 };

static const lw_mutex mutex = LW_MUTEX_INIT("mutex");
static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");

enum { KINDS = 3 };
static const lw_lock *const kinds[KINDS] = {&mutex.lock, &rlock.lock, &priority_lock.lock};

static struct {
    lw_lock lock;
    bool half_done, dead;
    int inside, told, repaired, ended;
} it;

static void set_up(const void *kind)
{
    memset(&it, 0, sizeof it);
    it.lock = *(const lw_lock *)kind;
    it.lock.data = LW_DATA_ROBUST;
}

static void be_alone(void)
{
    LW_SIM_CHECK(it.inside++ == 0 && !it.dead);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
}

/* Leave what is half done: by the end of the task, or by a release that makes the lock dead. */
static int end_inside(bool release)
{
    it.half_done = true;
    it.ended++;
    it.dead = release;
    if (release)
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    return 0;
}

static int repair(unsigned how)
{
    LW_SIM_CHECK(it.half_done && lw_owned(&it.lock));
    be_alone();
    if (how != 0)
        return end_inside(how == 2);
    it.half_done = false;
    it.repaired++;
    LW_SIM_CHECK(lw_consistent(&it.lock) == 0);
    return lw_release(&it.lock);
}

/* Who comes unaware finds all whole; who is told may come back knowing. */
static int come(void *arg)
{
    lw_nsec deadline = sim_choose(3) == 0 ? lw_in(5 * LW_US) : LW_FOREVER;
    int err = sim_choose(2) == 0 ? lw_acquire(&it.lock, deadline) : -EOWNERDEAD;

    if (err == -EOWNERDEAD) {
        it.told++;
        err = lw_acquire_inconsistent(&it.lock, deadline);
    }
    if (err == 1)
        return repair(sim_choose(3));
    if (err < 0) {
        LW_SIM_CHECK(err == -ENOTRECOVERABLE ? it.dead
                     : err == -ETIMEDOUT     ? deadline != LW_FOREVER
                                             : err == -ECANCELED && arg != NULL);
        return 0;
    }
    LW_SIM_CHECK(!it.half_done);
    be_alone();
    return sim_choose(2) == 0 ? lw_release(&it.lock) : end_inside(false);
}

static int come_and_end(void *arg)
{
    lw_task tasks[TASKS];
    int err;

    set_up(arg);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(come, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    err = lw_acquire_inconsistent(&it.lock, LW_NOW);
    LW_SIM_CHECK(err == (it.dead ? -ENOTRECOVERABLE : it.half_done));
    LW_SIM_CHECK(it.lock._queue == NULL && it.inside == 0);
    return 0;
}

Test(inconsistent, nobody_is_inside_unaware)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(come_and_end, (void *)kinds[i], 2);
}

/* ---- without deadlines: nobody waits for one who has ended */

static int take_and_end(void *arg)
{
    int err = lw_acquire_inconsistent(&it.lock, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == it.half_done);
    be_alone();
    return end_inside(false);
}

static int end_one_by_one(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(take_and_end, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.ended == TASKS && nobody_waited());
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_NOW) == -EOWNERDEAD && it.lock._queue == NULL);
    return 0;
}

Test(inconsistent, nobody_waits_for_one_who_has_ended)
{
    for (int i = 0; i < KINDS; i++) {
        sim_some(end_one_by_one, (void *)kinds[i], 2);
        sim_every(end_one_by_one, (void *)kinds[i], 1, 200);
    }
}

/* ---- permits: the mark is of all */

static struct {
    lw_bounded_semaphore semaphore;
    int inside, left_half_done;
} permits;

static int come_for_a_permit(void *arg)
{
    lw_lock *lock = &permits.semaphore.lock;
    int err = lw_acquire_inconsistent(lock, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == 1);
    LW_SIM_CHECK(++permits.inside <= 2);
    lw_sim_point();
    permits.inside--;
    if (sim_choose(3) == 0) {
        permits.left_half_done++;
        return 0;
    }
    err = lw_consistent(lock);
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -EINVAL);
    if (err == 0)
        permits.left_half_done = 0;
    return lw_release(lock);
}

static int share_a_mark(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    memset(&permits, 0, sizeof permits);
    permits.semaphore = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("two", 2);
    permits.semaphore.lock.data = LW_DATA_ROBUST;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(come_for_a_permit, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_lock_is_marked(&permits.semaphore.lock) == (permits.left_half_done > 0));
    LW_SIM_CHECK(permits.semaphore.lock._number == 0 && nobody_waited());
    return 0;
}

Test(inconsistent, what_one_leaves_beside_another_stays_marked)
{
    sim_all(share_a_mark, NULL);
}
