/* SPDX-License-Identifier: MIT */
/* lw_rwlock in many schedules: phases alternate, and nobody loses for ever against those who come
 * by, though they are always faster, or always inside. */
#include "tests/sim/explore.h"

TestSuite(rwlock_turns, .init = watchdog);

enum { TASKS = 3 };

static const uint32_t modes[] = {LW_RWLOCK_PHASE_FAIR, LW_RWLOCK_PREFER_READERS,
                                 LW_RWLOCK_PREFER_WRITERS};

static struct {
    lw_rwlock rw;
    int writers, readers, written, rounds;
    lw_nsec patience;
    bool selects, got;
} it;

static void set_up(const void *mode)
{
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("simulated", *(const uint32_t *)mode);
}

static void check_free(void)
{
    LW_SIM_CHECK(!lw_locked(&it.rw.write) && !lw_locked(&it.rw.read));
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL);
    LW_SIM_CHECK(it.rw._turns == 0);
}

/* ---- phases */

static int count_phases(void *arg)
{
    lw_lock *face = arg != NULL ? &it.rw.read : &it.rw.write;

    LW_SIM_CHECK(lw_acquire(face, LW_FOREVER) == 0);
    if (arg != NULL) {
        LW_SIM_CHECK(it.writers == 0);
        LW_SIM_CHECK(it.written == 1); /* though two writers have waited */
    } else {
        LW_SIM_CHECK(it.writers++ == 0);
        lw_sim_point();
        it.written++;
        it.writers--;
    }
    return lw_release(face);
}

/* Nobody comes by.  The mode is PHASE_FAIR, or for writers in their order PREFER_WRITERS. */
static int take_turns(void *arg)
{
    lw_task tasks[TASKS];
    uintptr_t reader;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    it.written = 1;
    reader = sim_choose(TASKS);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start_waiting(count_phases, i == reader ? &it : NULL);
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.written == TASKS);
    check_free();
    return 0;
}

Test(rwlock_turns, readers_that_wait_come_after_a_writer)
{
    sim_all(take_turns, (void *)&modes[0]);
    sim_all(take_turns, (void *)&modes[1]);
}

/* ---- nobody starves */

static int get_it(lw_lock *face)
{
    lw_arm arm = lw_arm_acquire(face);

    if (!it.selects)
        return lw_acquire(face, LW_FOREVER);
    return lw_select(&arm, 1, LW_FOREVER) == 0 ? arm.result : -1;
}

static int get_it_once(void *arg)
{
    LW_SIM_CHECK(get_it(arg) == 0);
    it.got = true;
    return lw_release(arg);
}

/* Always there first: it acquires again before the woken waiter has run.  A waiter loses for a
 * millisecond; then it is handed the lock. */
static int hog(lw_lock *face)
{
    lw_task waiter;

    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    waiter = start_waiting(get_it_once, face);
    while (!it.got) {
        LW_SIM_CHECK(it.rounds++ < 6);
        LW_SIM_CHECK(lw_sleep(lw_in(2 * LW_MS)) == 0);
        LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
        LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    LW_SIM_CHECK(end_of(waiter) == 0);
    check_free();
    return 0;
}

static int hog_a_writer(void *arg)
{
    set_up(arg);
    it.selects = sim_choose(3) == 0;
    return hog(&it.rw.write);
}

static int hog_a_reader(void *arg)
{
    set_up(arg);
    it.selects = sim_choose(3) == 0;
    return hog(&it.rw.read);
}

/* A patient one among readers that ask again and again, never for so long that it is their turn. */
static int ask_again_and_again(void *arg)
{
    (void)arg;
    while (!it.got) {
        int err = lw_acquire(&it.rw.read, lw_in(it.patience));

        LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
        LW_SIM_CHECK(err < 0 || lw_release(&it.rw.read) == 0);
    }
    return 0;
}

static int hog_among_impatient_ones(lw_lock *face, lw_nsec patience, lw_nsec inside)
{
    lw_task readers[2], waiter;

    it.patience = patience;
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    waiter = start_waiting(get_it_once, face);
    for (int i = 0; i < 2; i++) {
        readers[i] = start(ask_again_and_again, NULL);
        LW_SIM_CHECK(lw_sleep(lw_in(350 * LW_US)) == 0);
    }
    while (!it.got) {
        LW_SIM_CHECK(it.rounds++ < (it.selects ? 6 : 16));
        LW_SIM_CHECK(lw_sleep(lw_in(inside)) == 0);
        LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
        LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(readers[i]) == 0);
    LW_SIM_CHECK(end_of(waiter) == 0);
    check_free();
    return 0;
}

static int write_among_impatient_ones(void *arg)
{
    set_up(arg);
    it.selects = sim_choose(2) == 0;
    return hog_among_impatient_ones(&it.rw.write, 700 * LW_US, 150 * LW_US);
}

static int read_among_impatient_ones(void *arg)
{
    set_up(arg);
    return hog_among_impatient_ones(&it.rw.read, 2 * LW_MS, 2 * LW_MS);
}

/* One of two, of which one always reads. */
static int keep_reading(void *arg)
{
    if (arg != NULL)
        LW_SIM_CHECK(lw_sleep(lw_in(1 * LW_MS)) == 0);
    while (!it.got) {
        LW_SIM_CHECK(it.rounds++ < 12);
        LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
        it.readers++;
        LW_SIM_CHECK(lw_sleep(lw_in(2 * LW_MS)) == 0);
        it.readers--;
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    }
    return 0;
}

static int write_among_readers(void *arg)
{
    lw_task readers[2];

    set_up(arg);
    it.selects = sim_choose(3) == 0;
    for (uintptr_t i = 0; i < 2; i++)
        readers[i] = start(keep_reading, (void *)i);
    LW_SIM_CHECK(lw_sleep(lw_in(1500 * LW_US)) == 0);
    LW_SIM_CHECK(get_it(&it.rw.write) == 0);
    LW_SIM_CHECK(it.readers == 0);
    it.got = true;
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(readers[i]) == 0);
    check_free();
    return 0;
}

Test(rwlock_turns, nobody_starves)
{
    for (int i = 0; i < 3; i++) {
        sim_some(hog_a_writer, (void *)&modes[i], 2);
        sim_some(write_among_impatient_ones, (void *)&modes[i], 4);
        if (modes[i] != LW_RWLOCK_PREFER_WRITERS)
            sim_some(read_among_impatient_ones, (void *)&modes[i], 4);
        if (modes[i] != LW_RWLOCK_PREFER_WRITERS)
            sim_some(hog_a_reader, (void *)&modes[i], 2);
        if (modes[i] != LW_RWLOCK_PREFER_READERS)
            sim_some(write_among_readers, (void *)&modes[i], 2);
    }
}

/* One that starves gives up just when it asks, or is handed the lock, and leaves no trace. */
static int starve_or_give_up(void *arg)
{
    int err = lw_acquire(arg, lw_in(sim_choose(2) == 0 ? 2 * LW_MS : 4 * LW_MS));

    if (err == 0)
        return lw_release(arg);
    LW_SIM_CHECK(is_cut_short(err));
    return 0;
}

static int give_up_starving(void *arg)
{
    lw_task tasks[2];

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    tasks[0] = start(starve_or_give_up, &it.rw.write);
    tasks[1] = start(starve_or_give_up, sim_choose(2) == 0 ? &it.rw.write : &it.rw.read);
    for (int i = 0; i < 3; i++) {
        LW_SIM_CHECK(lw_sleep(lw_in(1 * LW_MS)) == 0);
        LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
        if (i == 1)
            (void)lw_cancel(tasks[1]);
        LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_rwlock_downgrade(&it.rw) == 0);
    lw_sim_point();
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    check_free();
    return 0;
}

Test(rwlock_turns, who_starves_and_gives_up_leaves_no_trace)
{
    for (int i = 0; i < 3; i++)
        sim_all(give_up_starving, (void *)&modes[i]);
}

static int get_or_be_sent_away(void *arg)
{
    int err = get_it(arg);

    LW_SIM_CHECK(err == 0 || err == -EPIPE);
    return err == 0 ? lw_release(arg) : 0;
}

/* ---- the end of its memory, while one that was sent has not come back */

static int read_and_be_done(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    it.got = true;
    return lw_release(&it.rw.read);
}

static int finish_early(void *arg)
{
    lw_task reader, writer;

    set_up(arg);
    it.selects = true;
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == 0);
    reader = start_waiting(read_and_be_done, NULL);
    writer = start(get_or_be_sent_away, &it.rw.write);
    lw_yield();
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    if (lw_acquire(&it.rw.write, LW_NOW) == 0) {
        (void)lw_purge_waiters(&it.rw.write);
        LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
    }
    if (!it.got) {
        int err = lw_lock_fini(&it.rw.write);

        sim_weak_flush_all();
        LW_SIM_CHECK(err == -EBUSY || it.got);
    }
    LW_SIM_CHECK(end_of(reader) == 0 && end_of(writer) == 0);
    LW_SIM_CHECK(lw_lock_fini(&it.rw.write) == 0);
    return 0;
}

Test(rwlock_turns, it_does_not_end_before_all_are_back)
{
    sim_all(finish_early, (void *)&modes[0]);
}

/* ---- all there are */

static int enter(void *arg)
{
    lw_lock *face = arg;

    LW_SIM_CHECK(lw_acquire(face, LW_FOREVER) == 0);
    if (face == &it.rw.write) {
        LW_SIM_CHECK(it.writers++ == 0 && it.readers == 0);
        lw_sim_point();
        LW_SIM_CHECK(it.writers-- == 1 && it.readers == 0);
    } else {
        it.readers++;
        LW_SIM_CHECK(it.writers == 0);
        lw_sim_point();
        it.readers--;
    }
    return lw_release(face);
}

static int two_enter(void *arg)
{
    lw_task other;

    set_up(arg);
    other = start(enter, sim_choose(2) == 0 ? &it.rw.read : &it.rw.write);
    LW_SIM_CHECK(enter(&it.rw.write) == 0);
    LW_SIM_CHECK(enter(&it.rw.read) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

Test(rwlock_turns, two_tasks_in_every_order)
{
    for (int i = 0; i < 3; i++)
        sim_every(two_enter, (void *)&modes[i], 1, 500);
    sim_every(two_enter, (void *)&modes[0], 2, 100000);
}
