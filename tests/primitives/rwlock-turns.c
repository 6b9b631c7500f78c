/* SPDX-License-Identifier: MIT */
/* The laws of lw_rwlock about who goes first: the modes, upgrades, downgrades, waits that end. */
#include "tests/primitives/faces.h"

TestSuite(rwlock_turns, .init = watchdog);

/* ---- the modes */

struct line {
    lw_rwlock rw;
    int order[8], count; /* appended to under the guard of who comes one by one */
    int together;
};

struct place {
    struct line *line;
    int number;
    bool reads;
};

static int take_turn(void *arg)
{
    struct place *place = arg;
    struct line *line = place->line;
    lw_lock *face = place->reads ? &line->rw.read : &line->rw.write;

    cr_assert_eq(lw_acquire(face, LW_FOREVER), 0);
    line->order[__atomic_fetch_add(&line->count, 1, __ATOMIC_SEQ_CST)] = place->number;
    if (place->reads) { /* all who are let in together meet inside */
        (void)__atomic_add_fetch(&line->together, 1, __ATOMIC_SEQ_CST);
        AWAIT(__atomic_load_n(&line->together, __ATOMIC_SEQ_CST) >= 2);
    }
    return lw_release(face);
}

/* w0 r1 w2 r3 queue behind a writer. */
static int form_a_line(void *arg)
{
    static const int expected[3][4] = {{1, 3, 0, 2}, {1, 3, 0, 2}, {0, 2, 1, 3}};
    uint32_t mode = *(const uint32_t *)arg;
    struct line line = {.rw = LW_RWLOCK_INIT("line", mode)};
    struct place places[4];
    lw_task tasks[4];

    cr_assert_eq(lw_acquire(&line.rw.write, LW_NOW), 0);
    for (int i = 0; i < 4; i++) {
        places[i] = (struct place){&line, i, i % 2 == 1};
        tasks[i] = start_waiter(take_turn, &places[i]);
    }
    cr_assert_eq(lw_release(&line.rw.write), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    if (line.order[0] == 3 || line.order[2] == 3) { /* readers have no order among themselves */
        int at = line.order[0] == 3 ? 0 : 2;

        line.order[at] = line.order[at + 1];
        line.order[at + 1] = 3;
    }
    for (int i = 0; i < 4; i++)
        cr_assert_eq(line.order[i], expected[mode][i], "mode %u, place %d", mode, i);
    assert_free(&line.rw);
    return 0;
}

Test(rwlock_turns, after_a_writer_comes_whose_turn_it_is)
{
    for (int i = 0; i < 3; i++)
        run_all(form_a_line, (void *)&modes[i]);
}

static int come_by(void *arg)
{
    lw_rwlock *rw = arg;
    int err = lw_acquire(&rw->read, LW_NOW);

    cr_assert_eq(err == 0, !lw_locked(&rw->read) || lw_owned(&rw->read));
    return err == 0 ? lw_release(&rw->read) : err;
}

static int others_come_by(lw_rwlock *rw)
{
    lw_task other;

    cr_assert_eq(lw_spawn(&other, come_by, rw, NULL), 0);
    return join_status(other);
}

/* Writers wait for a reader, the first of them starving perhaps; others come to read. */
static void come_by_writers_that_wait(uint32_t mode, bool starving)
{
    struct line line = {.rw = LW_RWLOCK_INIT("passed by", mode)};
    struct place places[3] = {{&line, 0, false}, {&line, 1, false}, {&line, 2, true}};
    bool barred = mode == LW_RWLOCK_PREFER_WRITERS || (starving && mode == LW_RWLOCK_PHASE_FAIR);
    /* where the reader comes in */
    int expected = !barred ? 0 : mode == LW_RWLOCK_PHASE_FAIR ? 1 : 2;
    lw_task writers[2], reader;

    line.together = 1; /* the reader comes alone */
    cr_assert_eq(lw_acquire(&line.rw.read, LW_NOW), 0);
    for (int i = 0; i < 2; i++)
        writers[i] = start_waiter(take_turn, &places[i]);
    if (starving)
        let_starve_for_reader(&line.rw);
    cr_assert_eq(others_come_by(&line.rw), barred ? -ETIMEDOUT : 0);
    cr_assert_eq(lw_spawn(&reader, take_turn, &places[2], NULL), 0);
    if (barred)
        AWAIT(is_waiting(reader))
    else if (mode == LW_RWLOCK_PREFER_READERS)
        AWAIT(__atomic_load_n(&line.count, __ATOMIC_SEQ_CST) == 1)
    cr_assert_eq(lw_release(&line.rw.read), 0);
    if (starving) /* it has the lock, and has not run yet */
        cr_assert_eq(lw_owner(&line.rw.write).id, writers[0].id);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(writers[i]), 0);
    cr_assert_eq(join_status(reader), 0);
    if (barred || mode == LW_RWLOCK_PREFER_READERS) /* else it depends on when that was */
        cr_assert_eq(line.order[expected], 2, "mode %u, starving %d", mode, starving);
    cr_assert_eq(lw_rw_turns(&line.rw), 0, "it is over with those that starved");
    assert_free(&line.rw);
}

static int let_them_wait(void *arg)
{
    come_by_writers_that_wait(*(const uint32_t *)arg, false);
    return 0;
}

static int let_them_starve(void *arg)
{
    come_by_writers_that_wait(*(const uint32_t *)arg, true);
    return 0;
}

Test(rwlock_turns, a_writer_that_waits_bars_readers_by_the_mode)
{
    for (int i = 0; i < 3; i++)
        run_all(let_them_wait, (void *)&modes[i]);
    for (int i = 0; i < 2; i++)
        run_with(1, let_them_starve, (void *)&modes[i]);
}

/* Readers and a writer wait for a writer. */
static int readers_starve(void *arg)
{
    uint32_t mode = *(const uint32_t *)arg;
    struct line line = {.rw = LW_RWLOCK_INIT("starved for", mode)};
    struct place places[3] = {{&line, 0, false}, {&line, 1, true}, {&line, 2, true}};
    lw_task tasks[3];

    cr_assert_eq(lw_acquire(&line.rw.write, LW_NOW), 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiter(take_turn, &places[i]);
    let_starve();
    cr_assert_eq(lw_release(&line.rw.write), 0);
    cr_assert_eq(readers_inside(&line.rw), 2, "they have it, and have not run yet");
    cr_assert_eq(lw_rw_turns(&line.rw), (uint32_t)LW_RW_WRITER_STARVES, "its turn is next");
    cr_assert_eq(lw_acquire(&line.rw.write, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(line.order[2], 0);
    assert_free(&line.rw);
    return 0;
}

Test(rwlock_turns, who_has_waited_for_a_millisecond_is_handed_the_lock)
{
    for (int i = 0; i < 2; i++)
        run_with(1, readers_starve, (void *)&modes[i]);
}

/* ---- waits that end otherwise */

static int write_for_a_while(void *arg)
{
    lw_rwlock *rw = arg;
    int err = lw_acquire(&rw->write, lw_in(50 * LW_US));

    return err < 0 ? err : lw_release(&rw->write);
}

static int cancel_writing(void *arg)
{
    uint32_t mode = *(const uint32_t *)arg;
    lw_rwlock rw = LW_RWLOCK_INIT("given up", mode);
    lw_task writer, readers[3];

    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    writer = start_waiter(pass, &rw.write);
    if (mode == LW_RWLOCK_PHASE_FAIR)
        let_starve_for_reader(&rw);
    for (int i = 0; i < 3; i++)
        readers[i] = start_waiter(pass, &rw.read);
    cr_assert_eq(lw_cancel(writer), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(readers[i]), 0, "they go on though it is still being read");
    cr_assert_eq(join_status(writer), -ECANCELED);
    cr_assert_eq(lw_rw_turns(&rw), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    assert_free(&rw);
    return 0;
}

static int expire_writing(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("given up", *(const uint32_t *)arg);
    lw_task writer, readers[3];

    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    cr_assert_eq(lw_spawn(&writer, write_for_a_while, &rw, NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&readers[i], pass, &rw.read, NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(readers[i]), 0, "they go on though it is still being read");
    cr_assert_eq(join_status(writer), -ETIMEDOUT);
    cr_assert_eq(lw_release(&rw.read), 0);
    assert_free(&rw);
    return 0;
}

Test(rwlock_turns, readers_go_on_when_the_writer_they_waited_for_gives_up)
{
    run_with(1, cancel_writing, (void *)&modes[0]);
    run_all(cancel_writing, (void *)&modes[2]);
    run_all(expire_writing, (void *)&modes[0]);
    run_all(expire_writing, (void *)&modes[2]);
}

/* ---- upgrade */

struct both {
    lw_rwlock rw;
    bool reading, go;
    lw_nsec deadline;
    int status, order, wrote;
};

static int read_and_upgrade(void *arg)
{
    struct both *both = arg;

    cr_assert_eq(lw_acquire(&both->rw.read, LW_FOREVER), 0);
    both->status = lw_rwlock_upgrade(&both->rw, both->deadline);
    if (both->status == 0) {
        cr_assert(lw_owned(&both->rw.write) && !lw_owned(&both->rw.read));
        cr_assert(holds(&both->rw, LW_HOLD_EXCLUSIVE));
        both->order = ++both->wrote == 1;
        return lw_release(&both->rw.write);
    }
    cr_assert(lw_owned(&both->rw.read));
    cr_assert(holds(&both->rw, LW_HOLD_SHARED));
    return lw_release(&both->rw.read);
}

static int write_after(void *arg)
{
    struct both *both = arg;
    int err = lw_acquire(&both->rw.write, LW_FOREVER);

    if (err < 0)
        return err;
    both->wrote++;
    return lw_release(&both->rw.write);
}

static int upgrade_alone(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("alone", *(const uint32_t *)arg);

    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    cr_assert_eq(lw_rwlock_upgrade(&rw, LW_NOW), 0);
    cr_assert(holds(&rw, LW_HOLD_EXCLUSIVE));
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    cr_assert(holds(&rw, LW_HOLD_SHARED));
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    cr_assert_eq(lw_rwlock_upgrade(&rw, LW_FOREVER), -EDEADLK, "it reads more than once");
    cr_assert_eq(lw_rwlock_upgrade(&rw, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(readers_inside(&rw), 2);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    assert_free(&rw);
    cr_assert_eq(caller()->nheld, 0);
    return 0;
}

static int upgrade_before_others(void *arg)
{
    struct both both = {.rw = LW_RWLOCK_INIT("upgraded", *(const uint32_t *)arg),
                        .deadline = LW_FOREVER};
    lw_task writer, upgrader;

    cr_assert_eq(lw_acquire(&both.rw.read, LW_NOW), 0);
    upgrader = start_waiter(read_and_upgrade, &both);
    writer = start_waiter(write_after, &both);
    cr_assert_eq(lw_rwlock_upgrade(&both.rw, LW_FOREVER), -EDEADLK, "the second one");
    cr_assert_eq(lw_rwlock_upgrade(&both.rw, LW_NOW), -ETIMEDOUT);
    cr_assert(lw_owned(&both.rw.read));
    cr_assert(is_waiting(upgrader) && is_waiting(writer));
    cr_assert_eq(lw_release(&both.rw.read), 0);
    cr_assert_eq(join_status(upgrader), 0);
    cr_assert_eq(join_status(writer), 0);
    cr_assert_eq(both.status, 0);
    cr_assert_eq(both.order, 1, "it went before a writer");
    assert_free(&both.rw);
    return 0;
}

/* The same with the writer queued first. */
static int upgrade_past_a_writer(void *arg)
{
    struct both both = {.rw = LW_RWLOCK_INIT("upgraded", *(const uint32_t *)arg),
                        .deadline = LW_FOREVER};
    lw_task writer;

    cr_assert_eq(lw_acquire(&both.rw.read, LW_NOW), 0);
    writer = start_waiter(write_after, &both);
    cr_assert_eq(lw_rwlock_upgrade(&both.rw, LW_FOREVER), 0);
    cr_assert_eq(both.wrote, 0);
    cr_assert_eq(lw_release(&both.rw.write), 0);
    cr_assert_eq(join_status(writer), 0);
    assert_free(&both.rw);
    return 0;
}

/* One that gives up just reads, and can be the next one to try. */
static int give_up_upgrading(void *arg)
{
    struct both both = {.rw = LW_RWLOCK_INIT("given up", *(const uint32_t *)arg),
                        .deadline = LW_FOREVER};
    lw_task upgrader;

    cr_assert_eq(lw_acquire(&both.rw.read, LW_NOW), 0);
    upgrader = start_waiter(read_and_upgrade, &both);
    cr_assert_eq(lw_cancel(upgrader), 0);
    cr_assert_eq(join_status(upgrader), 0);
    cr_assert_eq(both.status, -ECANCELED);
    both.deadline = lw_in(50 * LW_US);
    cr_assert_eq(lw_spawn(&upgrader, read_and_upgrade, &both, NULL), 0);
    cr_assert_eq(join_status(upgrader), 0);
    cr_assert_eq(both.status, -ETIMEDOUT);
    cr_assert_eq(readers_inside(&both.rw), 1);
    cr_assert_eq(lw_rwlock_upgrade(&both.rw, LW_FOREVER), 0);
    cr_assert_eq(lw_release(&both.rw.write), 0);
    assert_free(&both.rw);
    return 0;
}

/* Readers that wait for nobody else go on with it. */
static int give_up_upgrading_before_readers(void *arg)
{
    struct both both = {.rw = LW_RWLOCK_INIT("given up", *(const uint32_t *)arg),
                        .deadline = LW_FOREVER};
    lw_task upgrader, reader;

    cr_assert_eq(lw_acquire(&both.rw.read, LW_NOW), 0);
    upgrader = start_waiter(read_and_upgrade, &both);
    cr_assert_eq(lw_spawn(&reader, pass, &both.rw.read, NULL), 0);
    if (*(const uint32_t *)arg != LW_RWLOCK_PREFER_READERS)
        AWAIT(is_waiting(reader));
    cr_assert_eq(lw_cancel(upgrader), 0);
    cr_assert_eq(join_status(reader), 0);
    cr_assert_eq(join_status(upgrader), 0);
    cr_assert_eq(lw_release(&both.rw.read), 0);
    assert_free(&both.rw);
    return 0;
}

Test(rwlock_turns, an_upgrade_lets_nobody_write_between)
{
    for (int i = 0; i < 3; i++) {
        run_all(upgrade_alone, (void *)&modes[i]);
        run_all(upgrade_before_others, (void *)&modes[i]);
        run_all(upgrade_past_a_writer, (void *)&modes[i]);
        run_all(give_up_upgrading, (void *)&modes[i]);
        run_all(give_up_upgrading_before_readers, (void *)&modes[i]);
    }
}

/* ---- downgrade */

static int downgrade_before_others(void *arg)
{
    uint32_t mode = *(const uint32_t *)arg;
    lw_rwlock rw = LW_RWLOCK_INIT("downgraded", mode);
    lw_task readers[2], writer;

    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    for (int i = 0; i < 2; i++)
        readers[i] = start_waiter(pass, &rw.read);
    writer = start_waiter(pass, &rw.write);
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    if (mode == LW_RWLOCK_PREFER_WRITERS) {
        for (int i = 0; i < 20; i++)
            lw_yield();
        cr_assert(is_waiting(readers[0]) && is_waiting(readers[1]), "a writer waits");
        cr_assert_eq(lw_release(&rw.read), 0);
    } else {
        for (int i = 0; i < 2; i++)
            cr_assert_eq(join_status(readers[i]), 0, "beside the one that wrote");
        AWAIT(is_waiting(writer)); /* perhaps after a look */
        cr_assert_eq(lw_release(&rw.read), 0);
    }
    cr_assert_eq(join_status(writer), 0);
    if (mode == LW_RWLOCK_PREFER_WRITERS)
        for (int i = 0; i < 2; i++)
            cr_assert_eq(join_status(readers[i]), 0);
    assert_free(&rw);
    return 0;
}

static int downgrade_to_readers(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("downgraded", *(const uint32_t *)arg);
    lw_task reader;

    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    reader = start_waiter(pass, &rw.read);
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    cr_assert_eq(join_status(reader), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    assert_free(&rw);
    return 0;
}

Test(rwlock_turns, a_downgrade_lets_readers_in_beside_it)
{
    for (int i = 0; i < 3; i++) {
        run_all(downgrade_before_others, (void *)&modes[i]);
        run_all(downgrade_to_readers, (void *)&modes[i]);
    }
}
