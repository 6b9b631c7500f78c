/* SPDX-License-Identifier: MIT */
/* Readers and writers.  READ_3 and WRITE_3 are of a lock that prefers writers, as Go's. */
#include "tests/corpus/stage.h"

/* ---- hugo#3251: WRITE guards the table of locks, of which A is one. */

static int lock_url(struct player *me)
{
    TRY(take(me, WRITE));
    meet(me);
    return take(me, A);
}

static int unlock_url(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return take(me, READ);
}

/* ---- PostgreSQL, isolation test deadlock-simple: both share a table, and both want it alone. */

static int share_then_own(struct player *me)
{
    int err, first;

    TRY(take(me, READ));
    meet(me);
    err = lw_rwlock_upgrade(&stage.rw[0], LW_FOREVER);
    if (err < 0) { /* the second of them, at once */
        HOLDS(err == -EDEADLK && lw_owned(lock_of(READ)));
        first = __atomic_add_fetch(&stage.count, 1, __ATOMIC_RELAXED);
        HOLDS(first == 1);
        return 0;
    }
    note_dropped(me, READ);
    note_taken(me, WRITE);
    return 0;
}

/* ---- PostgreSQL, isolation test deadlock-soft: each reads one, and wants to read the other, for
 * which a writer waits before it.  The queues are the circle. */

static int read_first(struct player *me)
{
    TRY(take(me, READ_3));
    meet(me);
    until_waits(me, 2);
    until_waits(me, 3);
    return take(me, READ_4);
}

static int read_second(struct player *me)
{
    TRY(take(me, READ_4));
    meet(me);
    until_waits(me, 2);
    until_waits(me, 3);
    return take(me, READ_3);
}

static int write_first(struct player *me)
{
    meet(me);
    return take(me, WRITE_3);
}

static int write_second(struct player *me)
{
    meet(me);
    return take(me, WRITE_4);
}

/* ---- a reader, a writer behind it, a reader behind that one, for whose lock the first one waits
 * (kubernetes#58107, with a lock where that has a condition) */

static int read_and_want(struct player *me)
{
    TRY(take(me, READ_3));
    meet(me);
    until_waits(me, 1);
    until_waits(me, 2);
    return take(me, A);
}

static int write_between(struct player *me)
{
    meet(me);
    return take(me, WRITE_3);
}

static int have_and_read(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    until_waits(me, 1);
    return take(me, READ_3);
}

/* ---- a reader that reads again, past a writer that waits: cockroach#16167, #3710, #6181,
 * kubernetes#62464 */

static int read_twice(struct player *me)
{
    TRY(take(me, READ_3));
    meet(me);
    until_waits(me, 1);
    return take(me, READ_3);
}

static int read_twice_of_another(struct player *me)
{
    TRY(take(me, READ));
    meet(me);
    until_waits(me, 1);
    return take(me, READ);
}

static int write_of_another(struct player *me)
{
    meet(me);
    return take(me, WRITE);
}

/* Several that look it up, print it, and put what they found. */
static int look_up(struct player *me)
{
    for (int i = 0; i < 3; i++) {
        TRY(take(me, READ_3));
        TRY(take(me, READ_3));
        drop(me, READ_3);
        drop(me, READ_3);
        TRY(take(me, WRITE_3));
        drop(me, WRITE_3);
    }
    return 0;
}

/* ---- the example of InnoDB's manual: one shares a row, one waits to have it alone, and the first
 * one wants it alone, too: which goes before who waits. */

static int share_and_delete(struct player *me)
{
    TRY(take(me, READ));
    meet(me);
    until_waits(me, 1);
    HOLDS(lw_rwlock_upgrade(&stage.rw[0], LW_FOREVER) == 0);
    note_dropped(me, READ);
    note_taken(me, WRITE);
    return 0;
}

/* ---- taken twice */

static int write_then_read(struct player *me)
{
    TRY(take(me, WRITE));
    meet(me);
    return be_refused(me, READ);
}

static int write_twice(struct player *me)
{
    TRY(take(me, WRITE));
    meet(me);
    return be_refused(me, WRITE);
}

static int read_then_write(struct player *me)
{
    TRY(take(me, READ));
    meet(me);
    return be_refused(me, WRITE);
}

static int read_after(struct player *me)
{
    meet(me);
    return take(me, READ);
}

/* etcd#5509: a reader ends without a release. */
static int fail_as_reader(struct player *me)
{
    HOLDS(lw_acquire(lock_of(READ), LW_FOREVER) == 0);
    meet(me);
    return 0;
}

const struct kernel corpus_rwlocks[] = {
    {.name = "hugo#3251", .what = "a writer, and a reader that has what it wants",
     .kind = RESOURCE, .says = DEADLOCK, .members = 3, .victims = 3,
     .roles = {lock_url, unlock_url}},
    {.name = "PostgreSQL deadlock-simple", .what = "two readers upgrade", .kind = RESOURCE,
     .says = AT_ONCE, .roles = {share_then_own, share_then_own}},
    {.name = "PostgreSQL deadlock-soft", .what = "two readers, each behind a writer",
     .kind = RESOURCE, .says = REORDERED, .members = 15,
     .roles = {read_first, read_second, write_first, write_second}},
    {.name = "kubernetes#58107 with a lock", .what = "a reader, a writer, a reader",
     .kind = RESOURCE, .says = REORDERED, .members = 7,
     .roles = {read_and_want, write_between, have_and_read}},
    {.name = "cockroach#16167", .what = "reads twice, a writer between", .kind = RESOURCE,
     .says = CANNOT, .roles = {read_twice_of_another, write_of_another}},
    {.name = "cockroach#3710", .what = "reads twice, a writer between", .kind = RESOURCE,
     .says = CANNOT, .roles = {read_twice, write_between}},
    {.name = "kubernetes#62464", .what = "reads twice, a writer between, another reader",
     .kind = RESOURCE, .says = CANNOT, .roles = {read_twice, write_between, read_after}},
    {.name = "cockroach#6181", .what = "several read twice, and write", .kind = RESOURCE,
     .says = CANNOT, .roles = {look_up, look_up, look_up}},
    {.name = "InnoDB manual, example", .what = "shares, and wants it alone before one who waits",
     .kind = RESOURCE, .says = CANNOT, .roles = {share_and_delete, write_of_another}},
    {.name = "syncthing#4829", .what = "a writer reads", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {write_then_read, read_after}},
    {.name = "etcd#10492", .what = "writes twice", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {write_twice}},
    {.name = "etcd#6708", .what = "a writer reads", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {write_then_read}},
    {.name = "etcd#5509", .what = "a reader that was left, by the same task", .kind = RESOURCE,
     .says = AT_ONCE, .roles = {read_then_write, read_after}},
    {.name = "etcd#5509, ended", .what = "a reader that ended is out", .kind = RESOURCE,
     .says = CANNOT, .abandons = true, .roles = {fail_as_reader, write_of_another}},
    {0},
};
