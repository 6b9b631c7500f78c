/* SPDX-License-Identifier: MIT */
/* lw_rwlock in many schedules: readers share and writers do not, each wait ends in one way, nobody
 * is forgotten, turns are kept, and the memory may go with the last user.  Each law in each
 * mode. */
#include <pthread.h>

#include "tests/sim/explore.h"

TestSuite(rwlock, .init = watchdog);

enum { TASKS = 3, USERS = 4 };

static const uint32_t modes[] = {LW_RWLOCK_PHASE_FAIR, LW_RWLOCK_PREFER_READERS,
                                 LW_RWLOCK_PREFER_WRITERS};

static struct {
    lw_rwlock rw;
    int readers, writers, entries, cut_short, refused, users, version;
    bool burned;
} it;

static void set_up(const void *mode)
{
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("simulated", *(const uint32_t *)mode);
}

static void all_modes(lw_fn *law)
{
    for (int i = 0; i < 3; i++)
        sim_some(law, (void *)&modes[i], 2);
}

static void every_mode(lw_fn *law, unsigned preemptions, uint64_t at_least)
{
    for (int i = 0; i < 3; i++)
        sim_every(law, (void *)&modes[i], preemptions, at_least);
}

static void look(void)
{
    it.readers++;
    LW_SIM_CHECK(it.writers == 0);
    lw_sim_point();
    LW_SIM_CHECK(it.writers == 0);
    it.readers--;
    it.entries++;
}

static void change(void)
{
    LW_SIM_CHECK(it.writers++ == 0 && it.readers == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.writers == 0 && it.readers == 0);
    it.entries++;
    it.version++;
}

static void check_free(void)
{
    LW_SIM_CHECK(!lw_locked(&it.rw.write) && !lw_locked(&it.rw.read));
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL);
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_NOW) == 0);
    LW_SIM_CHECK(lw_release(&it.rw.write) == 0);
}

/* ---- whatever one does, and however its waits end */

static int upgrade_and_back(void)
{
    int version = it.version;
    int err = lw_rwlock_upgrade(&it.rw, draw_deadline());

    LW_SIM_CHECK(it.version == version);
    if (err < 0) {
        LW_SIM_CHECK(lw_owned(&it.rw.read) && (is_cut_short(err) || err == -EDEADLK));
        it.refused += err == -ECANCELED;
        look();
        return 0;
    }
    change();
    LW_SIM_CHECK(lw_owned(&it.rw.write));
    if (sim_choose(2) == 0)
        return 1;
    LW_SIM_CHECK(lw_rwlock_downgrade(&it.rw) == 0);
    LW_SIM_CHECK(it.version == version + 1);
    look();
    return 0;
}

static int read_somehow(lw_nsec deadline)
{
    int err = lw_acquire(&it.rw.read, deadline), writes = 0;

    if (err < 0)
        return err;
    look();
    if (sim_choose(2) == 0) {
        LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_NOW) == 0);
        look();
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    } else {
        writes = upgrade_and_back();
    }
    LW_SIM_CHECK(lw_release(writes ? &it.rw.write : &it.rw.read) == 0);
    return 0;
}

static int write_somehow(lw_nsec deadline)
{
    int err = lw_acquire(&it.rw.write, deadline);

    if (err < 0)
        return err;
    change();
    if (sim_choose(2) == 0)
        return lw_release(&it.rw.write);
    LW_SIM_CHECK(lw_rwlock_downgrade(&it.rw) == 0);
    look();
    return lw_release(&it.rw.read);
}

static int use_somehow(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int err = sim_choose(2) == 0 ? read_somehow(deadline) : write_somehow(deadline);

        if (err == 0)
            continue;
        LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                       : err == -ETIMEDOUT && deadline != LW_FOREVER);
        LW_SIM_CHECK(!lw_owned(&it.rw.read) && !lw_owned(&it.rw.write));
        it.refused += err == -ECANCELED;
    }
    return 0;
}

/* One inside, one that is sent to try again, one that waits behind it, and one that comes by. */
static int use_it(void *arg)
{
    lw_task tasks[USERS];

    set_up(arg);
    for (uintptr_t i = 0; i < USERS; i++)
        tasks[i] = start(use_somehow, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < USERS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.refused <= 1);
    check_free();
    return 0;
}

Test(rwlock, one_writes_or_many_read_however_waits_end)
{
    all_modes(use_it);
}

/* ---- nobody is forgotten */

static int read_and_write(void *arg)
{
    for (uintptr_t i = 0; i < 2; i++) {
        lw_lock *face = ((uintptr_t)arg + i) % 2 == 0 ? &it.rw.read : &it.rw.write;

        LW_SIM_CHECK(lw_acquire(face, LW_FOREVER) == 0);
        if (face == &it.rw.read)
            look();
        else
            change();
        LW_SIM_CHECK(lw_release(face) == 0);
    }
    return 0;
}

static int all_enter(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(read_and_write, (void *)i);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries == 2 * TASKS);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

Test(rwlock, nobody_waits_for_a_lock_that_is_free)
{
    all_modes(all_enter);
}

/* ---- readers that wait for a writer, which gives up just when it is let in, or not */

static int write_or_give_up(void *arg)
{
    int err = lw_acquire(&it.rw.write, arg != NULL ? lw_in(5 * LW_US) : LW_FOREVER);

    if (err == 0) {
        change();
        return lw_release(&it.rw.write);
    }
    LW_SIM_CHECK(is_cut_short(err));
    it.cut_short++;
    return 0;
}

static int read_at_last(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    look();
    return lw_release(&it.rw.read);
}

static int cancel_the_writer(void *arg)
{
    lw_task writer, reader;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    writer = start_waiting(write_or_give_up, NULL);
    reader = start(read_at_last, NULL);
    if (sim_choose(2) == 0) { /* while the lock is read, or while it is handed on */
        LW_SIM_CHECK(lw_cancel(writer) == 0);
        LW_SIM_CHECK(end_of(reader) == 0);
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    } else {
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
        (void)lw_cancel(writer);
        LW_SIM_CHECK(end_of(reader) == 0);
    }
    LW_SIM_CHECK(end_of(writer) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

static int expire_the_writer(void *arg)
{
    lw_task writer, reader;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    writer = start(write_or_give_up, &it); /* its deadline is soon */
    reader = start(read_at_last, NULL);
    (void)lw_cancel(writer);
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    LW_SIM_CHECK(end_of(reader) == 0);
    LW_SIM_CHECK(end_of(writer) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2);
    check_free();
    return 0;
}

/* ---- one who upgrades, which gives up just when the last other reader leaves, or not */

static int upgrade_or_give_up(void *arg)
{
    int err;

    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    err = lw_rwlock_upgrade(&it.rw, arg != NULL ? lw_in(5 * LW_US) : LW_FOREVER);
    if (err == 0) {
        LW_SIM_CHECK(it.version == 0);
        change();
        return lw_release(&it.rw.write);
    }
    LW_SIM_CHECK(is_cut_short(err));
    look();
    return lw_release(&it.rw.read);
}

static int cancel_the_upgrade(void *arg)
{
    lw_task upgrader, writer;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    upgrader = start_waiting(upgrade_or_give_up, NULL);
    writer = start(write_or_give_up, NULL);
    if (sim_choose(2) == 0) {
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
        (void)lw_cancel(upgrader);
    } else {
        LW_SIM_CHECK(lw_cancel(upgrader) == 0);
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    }
    LW_SIM_CHECK(end_of(upgrader) == 0);
    LW_SIM_CHECK(end_of(writer) == 0);
    LW_SIM_CHECK(it.entries == 2);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

static int expire_the_upgrade(void *arg)
{
    lw_task upgrader;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    upgrader = start(upgrade_or_give_up, &it);
    (void)lw_cancel(upgrader);
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    LW_SIM_CHECK(end_of(upgrader) == 0 || it.version == 0);
    check_free();
    return 0;
}

/* Another begins when the one that was cancelled has not gone yet. */
static int upgrade_after_one_that_was_cancelled(void *arg)
{
    lw_task upgrader;
    int err;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    upgrader = start_waiting(upgrade_or_give_up, NULL);
    LW_SIM_CHECK(lw_cancel(upgrader) == 0);
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    err = lw_rwlock_upgrade(&it.rw, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    LW_SIM_CHECK(lw_release(err == 0 ? &it.rw.write : &it.rw.read) == 0);
    LW_SIM_CHECK(end_of(upgrader) == 0);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

/* Two at once: one of them gets it. */
static int upgrade_or_be_refused(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    it.users++;
    UNTIL(it.users == 2);
    err = lw_rwlock_upgrade(&it.rw, LW_FOREVER);
    if (err == 0) {
        change();
        return lw_release(&it.rw.write);
    }
    LW_SIM_CHECK(err == -EDEADLK);
    it.refused++;
    return lw_release(&it.rw.read);
}

static int upgrade_two(void *arg)
{
    lw_task tasks[2];

    set_up(arg);
    for (int i = 0; i < 2; i++)
        tasks[i] = start(upgrade_or_be_refused, NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.version == 1 && it.refused == 1);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

Test(rwlock, waits_that_end_take_nobody_with_them)
{
    all_modes(cancel_the_writer);
    all_modes(expire_the_writer);
    all_modes(cancel_the_upgrade);
    all_modes(expire_the_upgrade);
    all_modes(upgrade_after_one_that_was_cancelled);
    all_modes(upgrade_two);
}

Test(rwlock, small_instances_in_every_order)
{
    every_mode(cancel_the_writer, 1, 300);
    every_mode(cancel_the_upgrade, 1, 300);
    every_mode(expire_the_upgrade, 1, 300);
    every_mode(upgrade_after_one_that_was_cancelled, 1, 300);
    every_mode(upgrade_two, 1, 300);
}

/* ---- memory */

static int leave_and_burn(void *arg)
{
    lw_lock *face = arg != NULL ? &it.rw.write : &it.rw.read;
    int err = lw_acquire(face, LW_FOREVER);
    bool last;

    if (err == -ECANCELED) /* its use counts all the same */
        err = lw_acquire(face, LW_FOREVER);
    LW_SIM_CHECK(err == 0 && !it.burned);
    last = --it.users == 0;
    lw_sim_point();
    if (last && face == &it.rw.read) /* the others may still be inside */
        LW_SIM_CHECK(lw_rwlock_upgrade(&it.rw, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_release(last ? &it.rw.write : face) == 0);
    if (last) {
        it.burned = true;
        BURN(&it.rw);
    }
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    it.users = TASKS;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(leave_and_burn, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.rw; i++)
        LW_SIM_CHECK(((unsigned char *)&it.rw)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(rwlock, the_last_user_may_free_it)
{
    all_modes(burn_after_use);
}

/* ---- tasks that end inside */

static int end_inside(void *arg)
{
    return lw_acquire(arg != NULL ? &it.rw.write : &it.rw.read, LW_FOREVER);
}

static int lose_one(void *arg)
{
    lw_task tasks[TASKS];
    int expected, wrote = 0;

    set_up(arg);
    it.rw.write.data = sim_choose(2) == 0 ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
    expected = it.rw.write.data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(end_inside, (void *)(i % 2));
    for (int i = 0; i < TASKS; i++) {
        int status = end_of(tasks[i]);

        LW_SIM_CHECK(status == 0 || (status == expected && i % 2 == 0));
        wrote += status == 0 && i % 2 != 0;
    }
    LW_SIM_CHECK(wrote == 1); /* readers that end hold nobody up */
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == expected);
    LW_SIM_CHECK(lw_acquire(&it.rw.write, LW_FOREVER) == expected);
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL && nobody_waited());
    return 0;
}

Test(rwlock, all_hear_that_a_writer_has_ended)
{
    all_modes(lose_one);
}

/* ---- who leaves waits for nobody who stays */

enum { ONE_IS_IN = 1, TWO_ARE_IN, ONE_HAS_LEFT };

/* Whoever comes second makes the guess of the first one wrong, and whoever comes third what that
 * one saw then, if it comes just then. */
static void *be_reader(void *arg)
{
    int number = (int)(intptr_t)arg;

    LW_AWAIT(lw_load_acq(&it.users) >= number);
    LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    if (number < 2)
        lw_store_rel(&it.users, ONE_IS_IN + number);
    LW_AWAIT(lw_load_acq(&it.users) >= (number == 0 ? TWO_ARE_IN : ONE_HAS_LEFT));
    LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    if (number == 0)
        lw_store_rel(&it.users, ONE_HAS_LEFT);
    return arg;
}

static int leave_while_others_come(void *mode)
{
    pthread_t threads[2];

    set_up(mode);
    for (intptr_t i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, be_reader, (void *)(i + 1)) == 0);
    (void)be_reader(NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    check_free();
    return 0;
}

Test(rwlock, who_leaves_waits_for_nobody_who_stays)
{
    sim_plain_every(leave_while_others_come, (void *)&modes[0], 1, 100);
}
