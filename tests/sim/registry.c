/* SPDX-License-Identifier: MIT */
/* The registry in many schedules: what is read of a task that waits is of one instant, be it about
 * to be woken, or its memory old. */
#include "locksmith/registry.h"
#include "tests/sim/explore.h"

TestSuite(registry, .init = watchdog);

enum { PAIRS = 2, TASKS = 3 };

static struct {
    lw_mutex outer[PAIRS], inner[PAIRS];
    lw_rwlock rw;
    int done, seen;
} it;

static int number_of(const lw_mutex *locks, uint64_t object)
{
    for (int i = 0; i < PAIRS; i++)
        if (object == (uintptr_t)&locks[i].lock)
            return i;
    return -1;
}

static bool holds(const struct lw_waiter *waiter, const lw_lock *lock, enum lw_hold_mode mode)
{
    return waiter->nheld == 1 && lw_hold_lock(&waiter->held[0]) == lock &&
           lw_hold_mode(&waiter->held[0]) == mode;
}

/* Who waits for an inner lock holds the outer one of the same pair, and nothing else; who waits for
 * an outer one holds nothing, or reads, as its deadline says. */
static bool check_waiter(const struct lw_waiter *waiter, void *arg)
{
    int inner = number_of(it.inner, waiter->object), outer = number_of(it.outer, waiter->object);

    (void)arg;
    if (waiter->kind != LW_WAIT_LOCK)
        return true;
    LW_SIM_CHECK(inner >= 0 || outer >= 0);
    if (inner >= 0)
        LW_SIM_CHECK(holds(waiter, &it.outer[inner].lock, LW_HOLD_EXCLUSIVE) &&
                     waiter->deadline != LW_FOREVER);
    else if (waiter->deadline == LW_FOREVER)
        LW_SIM_CHECK(waiter->nheld == 0);
    else
        LW_SIM_CHECK(holds(waiter, &it.rw.write, LW_HOLD_SHARED));
    it.seen++;
    return true;
}

static int read_all(void *arg)
{
    (void)arg;
    do
        (void)lw_registry_walk(check_waiter, NULL);
    while (it.done < TASKS && (lw_sim_point(), lw_yield(), true));
    return 0;
}

static void nest(int pair)
{
    int err;

    LW_SIM_CHECK(lw_mutex_acquire(&it.outer[pair], LW_FOREVER) == 0);
    err = lw_mutex_acquire(&it.inner[pair], lw_in(20 * LW_US));
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    lw_sim_point();
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&it.inner[pair]) == 0);
    LW_SIM_CHECK(lw_mutex_release(&it.outer[pair]) == 0);
}

static void read_and_lock(int pair)
{
    int err;

    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    err = lw_mutex_acquire(&it.outer[pair], lw_in(20 * LW_US));
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&it.outer[pair]) == 0);
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
}

static int wait_somehow(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int pair = (int)sim_choose(PAIRS);

        if (sim_choose(2) == 0)
            nest(pair);
        else
            read_and_lock(pair);
    }
    it.done++;
    return 0;
}

static int look_while_they_wait(void *arg)
{
    lw_task tasks[TASKS], reader;

    (void)arg;
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("read", 0);
    for (int i = 0; i < PAIRS; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&it.inner[i], LW_NOW) == 0);
    reader = start(read_all, NULL);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(wait_somehow, NULL);
    lw_yield();
    for (int i = 0; i < PAIRS; i++)
        LW_SIM_CHECK(lw_mutex_release(&it.inner[i]) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(reader) == 0);
    return 0;
}

Test(registry, what_is_read_is_of_one_instant)
{
    sim_all(look_while_they_wait, NULL);
}
