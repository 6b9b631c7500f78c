/* SPDX-License-Identifier: MIT */
/* Waits that a locksmith claims, in many schedules: whatever becomes due meanwhile is done when it
 * lets go, a grant goes through, and who is forced out hears so, once. */
#include <pthread.h>

#include "locksmith/registry.h"
#include "tests/sim/explore.h"

TestSuite(claims, .init = watchdog);

enum { TASKS = 3, GUESTS = 1, USERS = TASKS + GUESTS };

static struct {
    lw_mutex mutex;
    lw_rwlock rw;
    lw_semaphore permits;
    lw_event event;
    int inside, readers, done, forced, refused, cancelled, entries;
    bool forces;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("simulated", 0);
    it.permits = (lw_semaphore)LW_SEMAPHORE_INIT("permits", 1);
}

/* ---- who waits */

static void note(int err, bool may_be_cancelled, lw_nsec deadline)
{
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT || err == -EDEADLK || err == -ECANCELED);
    LW_SIM_CHECK(err != -ETIMEDOUT || deadline != LW_FOREVER);
    LW_SIM_CHECK(err != -ECANCELED || may_be_cancelled);
    it.refused += err == -EDEADLK;
    it.cancelled += err == -ECANCELED;
}

static void visit(bool alone)
{
    LW_SIM_CHECK(it.inside == 0 && (!alone || it.readers == 0));
    *(alone ? &it.inside : &it.readers) += 1;
    lw_sim_point();
    *(alone ? &it.inside : &it.readers) -= 1;
    it.entries++;
}

static void use_a_lock(lw_lock *lock, bool alone, bool may_be_cancelled)
{
    lw_nsec deadline = draw_deadline();
    int err = lw_acquire(lock, deadline);

    note(err, may_be_cancelled, deadline);
    if (err == 0) {
        if (lock != &it.mutex.lock)
            visit(alone);
        else
            lw_sim_point();
        LW_SIM_CHECK(lw_release(lock) == 0);
    }
}

static void use_something(bool may_be_cancelled)
{
    lw_nsec deadline = draw_deadline();
    int err;

    switch (sim_choose(5)) {
    case 0:
        use_a_lock(&it.rw.write, true, may_be_cancelled);
        break;
    case 1:
        use_a_lock(&it.rw.read, false, may_be_cancelled);
        break;
    case 2:
        err = lw_acquire(&it.permits.lock, deadline);
        note(err, may_be_cancelled, deadline);
        if (err == 0) {
            lw_sim_point();
            LW_SIM_CHECK(lw_release(&it.permits.lock) == 0);
        }
        break;
    case 3:
        if (deadline == LW_FOREVER) {
            lw_event_set(&it.event);
            break;
        }
        note(lw_event_wait(&it.event, deadline), may_be_cancelled, deadline);
        lw_event_clear(&it.event);
        break;
    default:
        use_a_lock(&it.mutex.lock, false, may_be_cancelled);
    }
}

static int use_it(void *arg)
{
    for (int i = 0; i < 3; i++)
        use_something(arg != NULL);
    it.done++;
    return 0;
}

static void *use_it_as_guest(void *arg)
{
    (void)use_it(NULL);
    return arg;
}

/* ---- who claims */

static bool is_ours(uint64_t object)
{
    return object - (uintptr_t)&it < sizeof it;
}

static bool claim_one(const struct lw_waiter *waiter, void *arg)
{
    struct lw_record *record = lw_record_of(waiter->task.id);
    struct lw_cold *cold = lw_record_cold(record);
    struct lw_waiter again;

    (void)arg;
    if (sim_choose(2) == 0 || !lw_wait_claim(cold, waiter->wait))
        return true;
    for (unsigned i = sim_choose(4); i > 0; i--)
        lw_sim_point();
    /* What was read is still so, unless it has been granted. */
    if (lw_registry_look(lw_record_slot(record), &again) == LW_REGISTRY_WAITS &&
        again.wait >> LW_STATE_BITS == waiter->wait >> LW_STATE_BITS)
        LW_SIM_CHECK(again.object == waiter->object && again.nheld == waiter->nheld);
    if (it.forces && is_ours(waiter->object) && waiter->shields == 0 && sim_choose(2) == 0 &&
        lw_wait_force(record, waiter->wait, LW_FORCED))
        it.forced++;
    else
        lw_wait_let_go(record, waiter->wait);
    return true;
}

static int claim_all(void *arg)
{
    (void)arg;
    while (it.done < USERS) {
        (void)lw_registry_walk(claim_one, NULL);
        LW_SIM_CHECK(lw_sleep(lw_in(sim_choose(2) == 0 ? 5 * LW_US : 5 * LW_MS)) == 0);
    }
    return 0;
}

static int claim_waits(void *arg)
{
    lw_task tasks[TASKS], locksmith;
    pthread_t guest;

    set_up();
    it.forces = arg != NULL;
    locksmith = start(claim_all, NULL);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(use_it, (void *)(i % 2));
    LW_SIM_CHECK(pthread_create(&guest, NULL, use_it_as_guest, NULL) == 0);
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(locksmith) == 0);
    LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    LW_SIM_CHECK(it.refused == it.forced && it.cancelled <= 1);
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_NOW) == 0 && lw_release(&it.rw.write) == 0);
    LW_SIM_CHECK(lw_acquire(&it.permits.lock, LW_NOW) == 0);
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL);
    LW_SIM_CHECK(it.mutex.lock._queue == NULL && it.permits.lock._queue == NULL);
    return 0;
}

Test(claims, what_is_due_is_done_when_a_wait_is_let_go)
{
    sim_all(claim_waits, NULL);
}

Test(claims, who_is_forced_out_hears_it_once)
{
    sim_all(claim_waits, &it);
}

/* ---- one wait, one claim, in every order */

static int wait_once(void *arg)
{
    int err = lw_mutex_acquire(&it.mutex, arg != NULL ? lw_in(5 * LW_US) : LW_FOREVER);

    if (err == 0)
        return lw_mutex_release(&it.mutex);
    note(err, arg == NULL, arg != NULL ? 0 : LW_FOREVER);
    return 0;
}

static int claim_once(void *arg)
{
    struct lw_record *record = lw_record_of(((lw_task *)arg)->id);
    uint64_t seen = lw_load_acq(&lw_record_cold(record)->wait);

    if (!lw_wait_claim(lw_record_cold(record), seen))
        return 0;
    if (it.forces && lw_wait_force(record, seen, LW_FORCED))
        it.forced++;
    else
        lw_wait_let_go(record, seen);
    return 0;
}

static int claim_one_wait(bool expires)
{
    lw_task waiter, locksmith;

    set_up();
    it.forces = sim_choose(2) == 0;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    waiter = start(wait_once, expires ? &it : NULL);
    locksmith = start(claim_once, &waiter);
    if (!expires)
        (void)lw_cancel(waiter);
    if (sim_choose(2) == 0) {
        LW_SIM_CHECK(end_of(waiter) == 0); /* it is not granted */
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    } else {
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        LW_SIM_CHECK(end_of(waiter) == 0);
    }
    LW_SIM_CHECK(end_of(locksmith) == 0);
    LW_SIM_CHECK(it.refused == it.forced);
    LW_SIM_CHECK(it.mutex.lock._word._value == 0 && it.mutex.lock._queue == NULL);
    return 0;
}

static int claim_one_that_is_cancelled(void *arg)
{
    (void)arg;
    return claim_one_wait(false);
}

static int claim_one_that_expires(void *arg)
{
    (void)arg;
    return claim_one_wait(true);
}

Test(claims, one_wait_and_one_claim_in_every_order)
{
    sim_every(claim_one_that_is_cancelled, NULL, 1, 500);
    sim_every(claim_one_that_expires, NULL, 1, 500);
}

/* ---- a cycle of joins, whose waits are claimed for a moment */

static lw_task pair[2];

static int join_the_other(void *arg)
{
    int err;

    UNTIL(it.entries == 2);
    err = lw_join(pair[arg == NULL], NULL, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    it.refused += err == -EDEADLK;
    it.done++;
    return 0;
}

static int claim_joins(void *arg)
{
    (void)arg;
    for (int i = 0; i < 40 && it.done == 0; i++) {
        struct lw_record *record = lw_record_of(pair[sim_choose(2)].id);
        uint64_t seen = lw_load_acq(&lw_record_cold(record)->wait);

        if (lw_wait_claim(lw_record_cold(record), seen)) {
            lw_sim_point();
            lw_wait_let_go(record, seen);
        }
        lw_sim_point();
    }
    return 0;
}

static int join_in_a_cycle(void *arg)
{
    lw_task locksmith;

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < 2; i++)
        pair[i] = start(join_the_other, (void *)i);
    locksmith = start(claim_joins, NULL);
    it.entries = 2;
    for (int i = 0; i < 200 && it.done < 1; i++) {
        LW_SIM_CHECK(lw_sleep(lw_in(1 * LW_MS)) == 0);
        sim_weak_flush_all();
    }
    LW_SIM_CHECK(it.refused == 1); /* else both wait for ever */
    LW_SIM_CHECK(end_of(locksmith) == 0);
    UNTIL(it.done == 2);
    return 0;
}

Test(claims, a_cycle_of_joins_is_found)
{
    sim_all(join_in_a_cycle, NULL);
}
