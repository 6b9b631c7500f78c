/* SPDX-License-Identifier: MIT */
/* lw_rwlock in many schedules with all that can be done to one: reads, writes, upgrades,
 * downgrades, selects of either face and of both, with deadlines and a cancel; and in some of them
 * transfers, purges, owners that end inside, or conditions on either face.  One at a time writes,
 * nobody reads meanwhile, nobody is left waiting, and nothing is left of it in the lock. */
#include <latchwork/condition.h>
#include <latchwork/select.h>

#include "tests/sim/explore.h"

TestSuite(rwlock_mix, .init = watchdog);

enum { TASKS = 4, ACTS = 3 };

enum extra { NO_EXTRA, TRANSFERS, PURGES, ROBUST, CONDITIONS, EXTRAS };

static const uint32_t modes[] = {LW_RWLOCK_PHASE_FAIR, LW_RWLOCK_PREFER_READERS,
                                 LW_RWLOCK_PREFER_WRITERS};

static struct {
    lw_rwlock rw;
    lw_condition condition;
    lw_task tasks[TASKS];
    enum extra extra;
    int writers, readers, done;
    bool patient;
} it;

static bool is_allowed(int err)
{
    return err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == -EDEADLK ||
           (it.extra == PURGES && err == -EPIPE) || (it.extra == ROBUST && err == -EOWNERDEAD);
}

static lw_nsec some_deadline(void)
{
    return it.patient ? LW_FOREVER : draw_deadline();
}

static void be_writer(void)
{
    LW_SIM_CHECK(it.writers++ == 0 && it.readers == 0);
    lw_sim_point();
    LW_SIM_CHECK(it.writers-- == 1 && it.readers == 0);
}

static void be_reader(void)
{
    it.readers++;
    LW_SIM_CHECK(it.writers == 0);
    lw_sim_point();
    LW_SIM_CHECK(it.writers == 0);
    it.readers--;
}

static void stop_reading(void)
{
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
}

/* To any of them, also to oneself; whether it went to another. */
static bool hand_over(void)
{
    lw_task to = it.tasks[sim_choose(TASKS)];
    int err = lw_transfer(&it.rw.write, to);

    LW_SIM_CHECK(err == 0 || err == -ESRCH || err == -EBUSY);
    return err == 0 && to.id != lw_self().id;
}

static void wait_with(lw_lock *face)
{
    int err = lw_condition_wait(&it.condition, face, lw_in(10 * LW_US));

    LW_SIM_CHECK(is_allowed(err));
}

static void stop_writing(void)
{
    unsigned how = sim_choose(4);

    if (how == 1) {
        LW_SIM_CHECK(lw_rwlock_downgrade(&it.rw) == 0);
        be_reader();
        stop_reading();
        return;
    }
    if (how == 2 && it.extra == TRANSFERS && hand_over())
        return;
    if (how == 3 && it.extra == CONDITIONS) {
        wait_with(&it.rw.write);
        be_writer();
    }
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
}

static void write_if(int err)
{
    LW_SIM_CHECK(is_allowed(err));
    if (err != 0)
        return;
    be_writer();
    stop_writing();
}

static void read_if(int err)
{
    LW_SIM_CHECK(is_allowed(err));
    if (err != 0)
        return;
    be_reader();
    stop_reading();
}

static void read_and_perhaps_more(void)
{
    int err = lw_acquire(&it.rw.read, some_deadline());

    LW_SIM_CHECK(is_allowed(err));
    if (err != 0)
        return;
    be_reader();
    if (sim_choose(3) == 0) {
        err = lw_rwlock_upgrade(&it.rw, some_deadline());
        write_if(err);
        if (err == 0)
            return;
    } else if (it.extra == CONDITIONS && sim_choose(2) == 0) {
        wait_with(&it.rw.read);
    }
    stop_reading();
}

static void select_of_it(void)
{
    bool both = sim_choose(2) == 0, write_first = sim_choose(2) == 0;
    lw_arm arms[] = {lw_arm_acquire(write_first ? &it.rw.write : &it.rw.read),
                     lw_arm_acquire(write_first ? &it.rw.read : &it.rw.write)};
    int which = lw_select(arms, both ? 2 : 1, some_deadline());

    if (which < 0)
        LW_SIM_CHECK(is_allowed(which));
    else if ((which == 0) == write_first)
        write_if(arms[which].result);
    else
        read_if(arms[which].result);
}

static void do_something_else(void)
{
    lw_lock *face = sim_choose(2) == 0 ? &it.rw.read : &it.rw.write;

    if (it.extra == PURGES)
        LW_SIM_CHECK(lw_purge_waiters(face) >= 0);
    else if (it.extra == CONDITIONS)
        (void)lw_condition_notify(&it.condition, 1);
    else
        lw_yield();
}

static void act(void)
{
    if (it.extra == TRANSFERS && lw_owned(&it.rw.write)) { /* it was handed over */
        write_if(0);
        return;
    }
    switch (sim_choose(7)) {
    case 0:
    case 1:
        write_if(lw_acquire(&it.rw.write, some_deadline()));
        break;
    case 2:
    case 3:
        read_and_perhaps_more();
        break;
    case 4:
    case 5:
        select_of_it();
        break;
    default:
        do_something_else();
    }
}

static void release_what_is_handed_over(void)
{
    if (lw_owned(&it.rw.write)) {
        be_writer();
        LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    }
}

static int play(void *arg)
{
    (void)arg;
    for (int i = 0; i < ACTS; i++)
        act();
    it.done++;
    if (it.extra == ROBUST && sim_choose(3) == 0 && lw_acquire(&it.rw.write, LW_NOW) == 0)
        return 0; /* inside */
    while (it.extra == TRANSFERS && it.done < TASKS) {
        release_what_is_handed_over();
        lw_yield();
    }
    if (it.extra == TRANSFERS) {
        sim_weak_flush_all(); /* who has handed it over has done so before it.done */
        release_what_is_handed_over();
    }
    return 0;
}

static void check_that_nothing_is_left(void)
{
    int err = lw_acquire_inconsistent(&it.rw.write, LW_NOW);

    LW_SIM_CHECK(err == 0 || (it.extra == ROBUST && err == 1));
    LW_SIM_CHECK(err == 0 || lw_consistent(&it.rw.write) == 0);
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    LW_SIM_CHECK(!lw_locked(&it.rw.write) && !lw_locked(&it.rw.read));
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL);
    LW_SIM_CHECK(it.rw._turns == 0 && it.rw.write._number == 0);
}

static int do_all(void *mode)
{
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("simulated", *(const uint32_t *)mode);
    it.extra = (enum extra)sim_choose(EXTRAS);
    it.patient = sim_choose(2) == 0;
    if (it.extra == ROBUST)
        it.rw.write.data = LW_DATA_ROBUST;
    for (int i = 0; i < TASKS; i++)
        it.tasks[i] = start(play, NULL);
    if (!it.patient)
        (void)lw_cancel(it.tasks[sim_choose(TASKS)]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(it.tasks[i]) == 0);
    check_that_nothing_is_left();
    if (it.patient && it.extra != CONDITIONS)
        LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(rwlock_mix, whatever_is_done_one_writes_or_some_read)
{
    for (int i = 0; i < 3; i++)
        sim_all(do_all, (void *)&modes[i]);
}
