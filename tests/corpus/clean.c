/* SPDX-License-Identifier: MIT */
/* Clean programs that look as if they could deadlock, of locks only. */
#include "tests/corpus/stage.h"

/* ---- two orders, under a gate */

static int gate(struct player *me)
{
    int first = A + me->index % 2, second = B - me->index % 2;

    TRY(take(me, C));
    TRY(take(me, first));
    lw_yield();
    return take(me, second);
}

/* ---- a list of locks, hand over hand; two go the whole way, one begins in the middle */

static int walk_list(struct player *me)
{
    int first = me->index == 2 ? D : A;

    TRY(take(me, first));
    for (int node = first + 1; node <= H; node++) {
        TRY(take(me, node));
        drop(me, node - 1);
        if (node % 3 == 0)
            lw_yield();
    }
    return 0;
}

/* ---- philosophers: the lower fork first; one fork less than would do, by permits */

static int eat_in_order(struct player *me)
{
    int left = me->index, right = (me->index + 1) % 5;

    TRY(take(me, left < right ? left : right));
    lw_yield();
    return take(me, left < right ? right : left);
}

static int eat_with_permit(struct player *me)
{
    TRY(take(me, PERMITS)); /* 3, for 4 at the table */
    TRY(take(me, me->index));
    lw_yield();
    return take(me, (me->index + 1) % 4);
}

/* ---- two orders: the second lock is tried, or waited for until a moment, or all are taken at
 * once */

static int try_and_back_off(struct player *me)
{
    for (;;) {
        int err;

        TRY(take(me, A + me->index % 2));
        lw_yield();
        err = take_by(me, B - me->index % 2, LW_NOW);
        if (err != -ETIMEDOUT)
            return err;
        drop(me, A + me->index % 2);
        lw_yield();
    }
}

static int time_out(struct player *me)
{
    int err;

    TRY(take(me, A + me->index % 2));
    lw_yield();
    err = take_by(me, B - me->index % 2, lw_in(300 * LW_US));
    return err == -ETIMEDOUT ? 0 : err;
}

/* Only one of them minds. */
static int one_times_out(struct player *me)
{
    int err;

    TRY(take(me, A + me->index % 2));
    lw_yield();
    err = take_by(me, B - me->index % 2, me->index == 0 ? lw_in(300 * LW_US) : LW_FOREVER);
    return err == -ETIMEDOUT ? 0 : err;
}

static int take_all(struct player *me)
{
    lw_lock *locks[] = {lock_of(A), lock_of(NESTED), lock_of(RANKED), lock_of(WRITE)};
    lw_lock *other[] = {locks[3], locks[2], locks[1], locks[0]};

    TRY(lw_acquire_all(me->index % 2 == 0 ? locks : other, 4, LW_FOREVER));
    lw_yield();
    return lw_release_all(locks, 4);
}

/* ---- two orders of readers, without a writer; and with one who writes one at a time */

static int read_both(struct player *me)
{
    TRY(take(me, me->index % 2 == 0 ? READ : READ_2));
    lw_yield();
    return take(me, me->index % 2 == 0 ? READ_2 : READ);
}

static int read_again(struct player *me)
{
    TRY(take(me, READ_3));
    lw_yield();
    TRY(take(me, READ_3));
    lw_yield();
    return take(me, READ_3);
}

static int write_alone(struct player *me)
{
    return take(me, WRITE_3);
}

/* Readers in one order, a writer in it, too. */
static int read_in_order(struct player *me)
{
    TRY(take(me, READ_3));
    lw_yield();
    return take(me, READ_4);
}

static int write_in_order(struct player *me)
{
    TRY(take(me, WRITE_3));
    return take(me, WRITE_4);
}

/* ---- a reader that would write: the second who upgrades lets go, and waits to write */

static int upgrade_or_back_off(struct player *me)
{
    int err;

    TRY(take(me, READ));
    lw_yield();
    err = lw_rwlock_upgrade(&stage.rw[0], LW_FOREVER);
    if (err == -EDEADLK) {
        drop(me, READ);
        return take(me, WRITE);
    }
    TRY(err);
    note_dropped(me, READ);
    note_taken(me, WRITE);
    return 0;
}

static int write_and_downgrade(struct player *me)
{
    TRY(take(me, WRITE));
    lw_yield();
    note_dropped(me, WRITE);
    note_taken(me, READ);
    TRY(lw_rwlock_downgrade(&stage.rw[0]));
    lw_yield();
    return take(me, READ_2);
}

/* ---- a lock that nests, in two orders that are one */

static int nest(struct player *me)
{
    TRY(take(me, NESTED));
    TRY(take(me, A));
    lw_yield();
    TRY(take(me, NESTED));
    TRY(take(me, B));
    return take(me, NESTED);
}

/* ---- a lock that is made anew where the last one was, and means another one each time */

static int make_anew(struct player *me)
{
    lw_mutex *mutex = &stage.mutexes[D + me->index];

    for (int i = 0; i < 4; i++) {
        TRY(take(me, i % 2 == 0 ? D + me->index : A));
        lw_yield();
        TRY(take(me, i % 2 == 0 ? A : D + me->index));
        drop(me, A);
        drop(me, D + me->index);
        *mutex = (lw_mutex)LW_MUTEX_INIT("another");
    }
    return 0;
}

/* ---- let go of in the middle, so that who has the other one gets by */

static int let_go_meanwhile(struct player *me)
{
    int first = A + me->index % 2, second = B - me->index % 2;

    TRY(take(me, first));
    note_dropped(me, first);
    TRY(lw_releasing_enter(lock_of(first)));
    TRY(take(me, second));
    drop(me, second);
    TRY(lw_releasing_exit(lock_of(first)));
    note_taken(me, first);
    return 0;
}

enum { LAPS = 40 };

#define FINE(...) .kind = RESOURCE, .says = CLEAN, .laps = LAPS, .roles = {__VA_ARGS__}

const struct kernel corpus_clean[] = {
    {.name = "gate", .what = "two orders, under a third lock", FINE(gate, gate, gate)},
    {.name = "list", .what = "hand over hand", FINE(walk_list, walk_list, walk_list)},
    {.name = "ordered philosophers", .what = "the lower fork first",
     FINE(eat_in_order, eat_in_order, eat_in_order, eat_in_order, eat_in_order)},
    {.name = "doorman", .what = "four philosophers, three of whom sit",
     FINE(eat_with_permit, eat_with_permit, eat_with_permit, eat_with_permit)},
    {.name = "try and back off", .what = "two orders; the second lock is tried",
     FINE(try_and_back_off, try_and_back_off)},
    {.name = "deadlines", .what = "two orders; the second wait has a deadline", .timed = true,
     FINE(time_out, time_out)},
    {.name = "one deadline", .what = "the same, but only one of them", .timed = true,
     FINE(one_times_out, one_times_out)},
    {.name = "all at once", .what = "four kinds of locks by lw_acquire_all(), in two orders",
     FINE(take_all, take_all, take_all)},
    {.name = "read-read", .what = "two readers, two orders", FINE(read_both, read_both, read_both)},
    {.name = "reads again", .what = "past a writer that waits",
     FINE(read_again, write_alone, read_again)},
    {.name = "readers and writers in order", .what = "two locks that prefer writers",
     FINE(read_in_order, write_in_order, read_in_order)},
    {.name = "upgrade", .what = "the second lets go, and waits to write",
     FINE(upgrade_or_back_off, upgrade_or_back_off)},
    {.name = "downgrade", .what = "and reads another one, as others do",
     FINE(write_and_downgrade, read_both, write_and_downgrade)},
    {.name = "nested", .what = "taken three times, with others between", FINE(nest, nest)},
    {.name = "made anew", .what = "a lock at the address of one that is gone",
     FINE(make_anew, make_anew)},
    {.name = "let go meanwhile", .what = "two orders, without the first one",
     FINE(let_go_meanwhile, let_go_meanwhile)},
    {0},
};
