/* SPDX-License-Identifier: MIT */
/* The laws of lw_rwlock: one writer or many readers, and who goes first.  Its other suite is
 * rwlock-turns.c. */
#include "tests/primitives/faces.h"

TestSuite(rwlock, .init = watchdog);

/* ---- one writer or many readers */

static int try_both(void *arg)
{
    lw_rwlock *rw = arg;
    bool read = lw_acquire(&rw->read, LW_NOW) == 0;
    bool written;

    if (read)
        cr_assert_eq(lw_release(&rw->read), 0);
    written = lw_acquire(&rw->write, LW_NOW) == 0;
    if (written)
        cr_assert_eq(lw_release(&rw->write), 0);
    return (read ? 1 : 0) | (written ? 2 : 0);
}

static int others_can(lw_rwlock *rw)
{
    lw_task task;

    cr_assert_eq(lw_spawn(&task, try_both, rw, NULL), 0);
    return join_status(task);
}

static int share(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("shared", *(const uint32_t *)arg);
    int err;

    cr_assert_eq(sizeof rw, 88);
    assert_free(&rw);
    cr_assert_eq(others_can(&rw), 3);
    LW_WITH(&rw.read, LW_FOREVER, err) {
        cr_assert(holds(&rw, LW_HOLD_SHARED));
        cr_assert(lw_owned(&rw.read));
        cr_assert_not(lw_owned(&rw.write));
        cr_assert_eq(lw_owner(&rw.read).id, 0);
        cr_assert_eq(lw_owner(&rw.write).id, 0, "readers are no owners");
        cr_assert(lw_locked(&rw.write));
        cr_assert_not(lw_locked(&rw.read));
        cr_assert_eq(others_can(&rw), 1);
    }
    cr_assert_eq(err, 0);
    assert_free(&rw);
    LW_WITH(&rw.write, LW_FOREVER, err) {
        cr_assert(holds(&rw, LW_HOLD_EXCLUSIVE));
        cr_assert(lw_owned(&rw.write));
        cr_assert_not(lw_owned(&rw.read));
        cr_assert_eq(lw_owner(&rw.write).id, lw_self().id);
        cr_assert_eq(lw_owner(&rw.read).id, 0);
        cr_assert(lw_locked(&rw.write) && lw_locked(&rw.read));
        cr_assert_eq(others_can(&rw), 0);
    }
    cr_assert_eq(err, 0);
    assert_free(&rw);
    cr_assert_eq(caller()->nheld, 0);
    return 0;
}

Test(rwlock, one_writes_or_many_read)
{
    for (int i = 0; i < 3; i++)
        run_all(share, (void *)&modes[i]);
}

/* ---- a crowd: tasks, plain threads, deadlines, cancels */

struct table {
    lw_rwlock rw;
    long first, second; /* equal, but while somebody writes */
    int readers, writers;
};

static void look_at(struct table *table)
{
    (void)__atomic_add_fetch(&table->readers, 1, __ATOMIC_RELAXED);
    cr_assert_eq(__atomic_load_n(&table->writers, __ATOMIC_RELAXED), 0);
    cr_assert_eq(table->first, table->second);
    (void)__atomic_sub_fetch(&table->readers, 1, __ATOMIC_RELAXED);
}

static void change(struct table *table, struct member *member)
{
    cr_assert_eq(__atomic_add_fetch(&table->writers, 1, __ATOMIC_RELAXED), 1);
    cr_assert_eq(__atomic_load_n(&table->readers, __ATOMIC_RELAXED), 0);
    table->first++;
    maybe_yield(member);
    table->second++;
    (void)__atomic_sub_fetch(&table->writers, 1, __ATOMIC_RELAXED);
}

static void read_and_perhaps_write(struct table *table, struct member *member)
{
    int err = lw_acquire(&table->rw.read, random_deadline(member));

    if (err < 0) {
        cr_assert(is_interruption(err));
        return;
    }
    look_at(table);
    maybe_yield(member);
    if (random_draw(&member->random) % 4 == 0) {
        long seen = table->first;

        err = lw_rwlock_upgrade(&table->rw, random_deadline(member));
        if (err == 0) {
            cr_assert_eq(table->first, seen, "nothing changes between");
            change(table, member);
            cr_assert_eq(lw_rwlock_downgrade(&table->rw), 0);
            cr_assert_eq(table->first, seen + 1, "nothing changes between");
        } else {
            cr_assert(is_interruption(err) || err == -EDEADLK);
        }
        look_at(table);
    }
    cr_assert_eq(lw_release(&table->rw.read), 0);
}

static void use(struct member *member)
{
    struct table *table = member->crowd->object;
    long count = rounds(400);

    for (long i = 0; i < count; i++) {
        int err;

        if (random_draw(&member->random) % 4 != 0) {
            read_and_perhaps_write(table, member);
            continue;
        }
        err = lw_acquire(&table->rw.write, random_deadline(member));
        if (err == 0) {
            change(table, member);
            err = lw_release(&table->rw.write);
        }
        cr_assert(err == 0 || is_interruption(err));
    }
}

static int crowd_at(void *arg)
{
    for (int i = 0; i < 3; i++) {
        struct table table = {.rw = LW_RWLOCK_INIT("crowded", modes[i])};
        struct crowd crowd = {.tasks = 6, .threads = 2, .cancels = true, .act = use,
                              .object = &table, .seed = *(uint64_t *)arg + (uint64_t)i};

        crowd_run(&crowd);
        assert_free(&table.rw);
        cr_assert_eq(table.first, table.second);
    }
    return 0;
}

Test(rwlock, no_reader_sees_half_of_a_change)
{
    run_all(crowd_at, &(uint64_t){1});
}

/* ---- one who reads may read again */

static int read_again(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("nested", *(const uint32_t *)arg);
    lw_task writer;

    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    writer = start_waiter(pass, &rw.write);
    for (int i = 0; i < 20; i++) {
        cr_assert_not(lw_locked(&rw.read), "for one who reads");
        cr_assert_eq(lw_acquire(&rw.read, i % 2 == 0 ? LW_NOW : LW_FOREVER), 0);
    }
    cr_assert_eq(readers_inside(&rw), 21);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(lw_release(&rw.read), 0);
        AWAIT(is_waiting(writer)); /* perhaps after a look */
        cr_assert(lw_owned(&rw.read));
    }
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(join_status(writer), 0);
    assert_free(&rw);
    return 0;
}

Test(rwlock, a_reader_reads_again_past_a_writer_that_waits)
{
    for (int i = 0; i < 3; i++)
        run_all(read_again, (void *)&modes[i]);
}

/* ---- misuse */

static int let_go_of_others(void *arg)
{
    lw_rwlock *rw = arg;

    cr_assert_eq(lw_release(&rw->read), -EPERM, "R388");
    cr_assert_eq(lw_release(&rw->write), -EPERM, "R388");
    cr_assert_eq(lw_rwlock_downgrade(rw), -EPERM);
    cr_assert_eq(lw_rwlock_upgrade(rw, LW_FOREVER), -EPERM);
    return 0;
}

static void *let_go_in_a_thread(void *arg)
{
    (void)let_go_of_others(arg);
    return NULL;
}

/* By tasks, and by a plain thread that has no record. */
static void others_let_go(lw_rwlock *rw)
{
    uint64_t before = rw->write._word._value;
    pthread_t thread;
    lw_task task;

    cr_assert_eq(lw_spawn(&task, let_go_of_others, rw, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(pthread_create(&thread, NULL, let_go_in_a_thread, rw), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(rw->write._word._value, before);
}

static int misuse(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("misused", 0), zeroed = {0};

    (void)arg;
    others_let_go(&rw);
    (void)let_go_of_others(&rw);
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    others_let_go(&rw);
    cr_assert_eq(lw_release(&rw.write), -EPERM);
    cr_assert_eq(lw_rwlock_downgrade(&rw), -EPERM);
    cr_assert_eq(lw_acquire(&rw.write, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_release(&rw.read), 0);
    assert_free(&rw);
    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    others_let_go(&rw);
    cr_assert_eq(lw_release(&rw.read), -EPERM);
    cr_assert_eq(lw_rwlock_upgrade(&rw, LW_NOW), -EPERM);
    cr_assert_eq(lw_acquire(&rw.read, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_acquire(&rw.write, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_release(&rw.write), 0);
    assert_free(&rw);
    zeroed.write.kind = &lw_rwlock_write_kind;
    zeroed.read.kind = &lw_rwlock_read_kind;
    cr_assert_eq(lw_acquire(&zeroed.write, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_acquire(&zeroed.read, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_release(&zeroed.write), -EINVAL);
    cr_assert_eq(lw_release(&zeroed.read), -EINVAL);
    cr_assert_eq(lw_rwlock_upgrade(&zeroed, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_rwlock_downgrade(&zeroed), -EINVAL);
    cr_assert_eq(zeroed.write._word._value, 0);
    return 0;
}

Test(rwlock, misuse_is_refused_and_changes_nothing)
{
    run_all(misuse, NULL);
}

/* ---- holds beyond the first three need memory */

static int read_without_memory(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("fourth", 0);
    lw_mutex others[3] = {0};

    (void)arg;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_acquire(&others[i], LW_NOW), 0);
    sys_fail(SYS_MMAP, 1, true);
    cr_assert_eq(lw_acquire(&rw.read, LW_FOREVER), -ENOMEM);
    assert_free(&rw);
    LW_SHIELD()
        cr_assert_eq(lw_acquire(&rw.read, LW_FOREVER), 0);
    cr_assert_eq(caller()->holds_lost, 1);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(lw_acquire(&rw.write, LW_FOREVER), 0);
    cr_assert_eq(lw_release(&rw.write), 0);
    cr_assert_eq(caller()->holds_lost, 0);
    cr_assert_eq(lw_release(&rw.read), -EPERM);
    sys_fail(SYS_MMAP, 0, false);
    cr_assert_eq(lw_acquire(&rw.read, LW_FOREVER), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_release(&others[i]), 0);
    assert_free(&rw);
    return 0;
}

Test(rwlock, no_reader_is_let_in_whom_nobody_could_name)
{
    sys_watch();
    run_with(1, read_without_memory, NULL);
}

/* ---- tasks that end inside */

static int end_inside(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static int accept_repair(lw_lock *lock)
{
    cr_assert(lw_owned(lock));
    return 0;
}

static int leave_it_written(void *arg)
{
    lw_lock_kind repairable = lw_rwlock_write_kind;
    lw_rwlock rw = LW_RWLOCK_INIT("left written", LW_RWLOCK_PREFER_WRITERS);
    int expected = *(int *)arg;
    lw_task ending, reader, writer;

    repairable.repair = accept_repair;
    if (expected == 0)
        rw.write.kind = &repairable;
    else if (expected == -EOWNERDEAD)
        rw.write.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    ending = start_waiter(end_inside, &rw.write);
    writer = start_waiter(pass, &rw.write);
    reader = start_waiter(pass, &rw.read);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(join_status(writer), expected);
    cr_assert_eq(join_status(reader), expected);
    cr_assert_eq(pass(&rw.read), expected);
    cr_assert_eq(pass(&rw.write), expected);
    cr_assert_null(rw.write._queue);
    cr_assert_null(rw.read._queue);
    return 0;
}

Test(rwlock, nobody_enters_unaware_that_a_writer_ended)
{
    static int expected[] = {-ENOTRECOVERABLE, -EOWNERDEAD, 0};

    for (int i = 0; i < 3; i++)
        run_all(leave_it_written, &expected[i]);
}

static int leave_it_read(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("left read", *(const uint32_t *)arg);
    lw_task ending, writer;

    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    ending = start_waiter(end_inside, &rw.read);
    writer = start_waiter(pass, &rw.write);
    cr_assert_eq(lw_release(&rw.write), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(join_status(writer), 0);
    assert_free(&rw);
    return 0;
}

Test(rwlock, a_reader_that_ends_is_just_out)
{
    for (int i = 0; i < 3; i++)
        run_all(leave_it_read, (void *)&modes[i]);
}

/* ---- conditions */

struct met {
    lw_rwlock rw;
    lw_lock *face;
    lw_condition condition;
    bool told;
};

static int wait_until_told(void *arg)
{
    struct met *met = arg;
    int err = 0;

    cr_assert_eq(lw_acquire(met->face, LW_FOREVER), 0);
    if (met->face == &met->rw.read)
        cr_assert_eq(lw_acquire(met->face, LW_FOREVER), 0); /* all its depth is let go */
    while (err == 0 && !met->told)
        err = lw_condition_wait(&met->condition, met->face, LW_FOREVER);
    cr_assert_eq(err, 0);
    cr_assert(lw_owned(met->face));
    if (met->face == &met->rw.read)
        cr_assert_eq(lw_release(met->face), 0);
    return lw_release(met->face);
}

static int meet(void *arg)
{
    bool reading = *(bool *)arg;
    struct met met = {.rw = LW_RWLOCK_INIT("met", 0)};
    lw_task waiters[2];

    met.face = reading ? &met.rw.read : &met.rw.write;
    for (int i = 0; i < 2; i++)
        waiters[i] = start_waiter(wait_until_told, &met);
    cr_assert_eq(lw_acquire(&met.rw.write, LW_FOREVER), 0);
    met.told = true;
    cr_assert_eq(lw_condition_notify(&met.condition, LW_ALL), 2);
    cr_assert_eq(lw_release(&met.rw.write), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(waiters[i]), 0);
    cr_assert_eq(lw_condition_wait(&met.condition, met.face, LW_FOREVER), -EPERM);
    assert_free(&met.rw);
    return 0;
}

Test(rwlock, a_condition_waits_with_either_face)
{
    run_all(meet, &(bool){false});
    run_all(meet, &(bool){true});
}
