/* SPDX-License-Identifier: MIT */
/* Purges of the waiters of locks, in many schedules: each wait ends in one way, nobody is both told
 * and granted, no permit and no wake is lost.  Each law for each kind. */
#include "tests/sim/explore.h"

TestSuite(purge, .init = watchdog);

enum { TASKS = 3 };

static const lw_mutex mutex = LW_MUTEX_INIT("mutex");
static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_bounded_semaphore bounded = LW_BOUNDED_SEMAPHORE_INIT("bounded", 1);
static const lw_semaphore semaphore = LW_SEMAPHORE_INIT("semaphore", 1);
static const lw_priority_semaphore ranked = LW_PRIORITY_SEMAPHORE_INIT("ranked", 1);

enum { KINDS = 6 };
static const lw_lock *const kinds[KINDS] = {
    &mutex.lock, &rlock.lock, &priority_lock.lock, &bounded.lock, &semaphore.lock, &ranked.lock};

static struct {
    lw_lock lock;
    const lw_lock *made;
    int inside, granted, cut_short, purged, told;
} it;

static void set_up(const void *made)
{
    memset(&it, 0, sizeof it);
    it.made = made;
    it.lock = *it.made;
}

static int enter(void *arg)
{
    lw_nsec deadline = arg != NULL ? draw_deadline() : LW_FOREVER;
    int err = lw_acquire(&it.lock, deadline);

    if (err == 0) {
        it.granted++;
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        LW_SIM_CHECK(--it.inside == 0);
        return lw_release(&it.lock);
    }
    it.purged += err == -EPIPE;
    it.cut_short += err != -EPIPE;
    LW_SIM_CHECK(err == -EPIPE || err == -ECANCELED ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    return 0;
}

static void check_as_made(void)
{
    LW_SIM_CHECK(it.lock._word._value == it.made->_word._value);
    LW_SIM_CHECK(it.lock._number == it.made->_number && it.lock._queue == NULL);
}

/* Grants, timeouts, a cancel and two purges at once. */
static int purge_among_all(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    for (uintptr_t i = 0; i < TASKS; i++) {
        lw_task_options options = {.priority = (int)sim_choose(2)};

        LW_SIM_CHECK(lw_spawn(&tasks[i], enter, (void *)(i % 2), &options) == 0);
    }
    it.told += lw_purge_waiters(&it.lock);
    (void)lw_cancel(tasks[1]);
    lw_yield();
    it.told += lw_purge_waiters(&it.lock);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short + it.purged == TASKS && it.purged == it.told);
    check_as_made();
    return 0;
}

/* The lock is released, and a waiter gives up, while the others are purged; who comes then gets it,
 * and nobody was forgotten. */
static int purge_at_the_release(void *arg)
{
    lw_task first, second, late;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    first = start_waiting(enter, NULL);
    second = start(enter, NULL);
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    (void)lw_cancel(first);
    it.told += lw_purge_waiters(&it.lock);
    late = start(enter, NULL);
    LW_SIM_CHECK(end_of(first) == 0 && end_of(second) == 0 && end_of(late) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short + it.purged == TASKS && it.purged == it.told);
    LW_SIM_CHECK(it.granted >= 1 && it.cut_short <= 1);
    LW_SIM_CHECK(nobody_waited());
    check_as_made();
    return 0;
}

Test(purge, each_wait_ends_in_one_way)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(purge_among_all, (void *)kinds[i], 4);
}

Test(purge, nobody_is_forgotten_beside_those_who_are_told)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(purge_at_the_release, (void *)kinds[i], 4);
}

Test(purge, small_instances_in_every_order)
{
    for (int i = 0; i < KINDS; i++)
        sim_every(purge_at_the_release, (void *)kinds[i], 1, 200);
}
