/* SPDX-License-Identifier: MIT */
/* Ends of tasks, groups, calls and what runs once, waited for with locks held; and permits. */
#include "tests/corpus/stage.h"

/* ---- cockroach#1055: who stops all tasks has a lock that one of them wants. */

static int stop_all(struct player *me)
{
    struct player *child = &stage.players[1];
    lw_group tasks = LW_GROUP_INIT(0);
    int err;

    TRY(take(me, A));
    HOLDS(lw_group_spawn(&tasks, play_child, child, NULL) == 0);
    err = note(me, lw_group_wait(&tasks, LW_FOREVER));
    if (err == -EDEADLK)
        drop(me, A);
    HOLDS(lw_group_end(&tasks, 0) == 0);
    return 0;
}

static int want_a(struct player *me)
{
    return take(me, A);
}

/* ---- a thread that is joined under the loader's lock, which it needs to end ("Dynamic-Link
 * Library Best Practices") */

static int unload(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return me->again ? 0 : join(me, 1);
}

static int detach_from_library(struct player *me)
{
    meet(me);
    return take(me, A);
}

/* ---- the same by way of a third, who has what the child wants */

static int unload_other(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    until_waits(me, 1);
    return me->again ? 0 : join(me, 1);
}

static int want_b(struct player *me)
{
    meet(me);
    return take(me, B);
}

static int have_b_want_a(struct player *me)
{
    TRY(take(me, B));
    meet(me);
    return take(me, A);
}

/* ---- aiologic#38: a task that waits for a thread of its own, which wants its lock */

static int call(struct player *me)
{
    int status;

    TRY(take(me, A));
    HOLDS(lw_blocking(play_child, &stage.players[1], &status, LW_FOREVER) == 0 && status == 0);
    return 0;
}

static int want_a_once(struct player *me)
{
    return take(me, A) == -EDEADLK ? 0 : -EINVAL;
}

/* ---- classes that need each other to be initialised (JLS 12.4.2) */

struct class {
    struct player *me;
    int number, err;
};

static int initialize(void *arg);

static int need(struct player *me, int number)
{
    struct class class = {me, number, 0};

    return lw_once_run(&stage.once[number], initialize, &class, LW_FOREVER);
}

static int initialize(void *arg)
{
    struct class *class = arg;
    struct player *me = class->me;
    int number = class->number;

    if (class->number != me->index)
        return 0; /* the other one's has nothing left to do */
    meet(me);
    class->err = note(me, need(me, 1 - number));
    return class->err == -EDEADLK ? -EAGAIN : class->err; /* which those who wait are told, too */
}

static int use_class(struct player *me)
{
    struct class class = {me, me->index, 0};
    int err = lw_once_run(&stage.once[me->index], initialize, &class, LW_FOREVER);

    if (err == -EAGAIN && class.err != -EDEADLK) { /* the other one gave way */
        me->again = true;
        return use_class(me);
    }
    return err == -EAGAIN ? -EDEADLK : err;
}

/* ---- a pool of connections, of which each thread needs two (HikariCP, "About Pool Sizing") */

static int use_two_connections(struct player *me)
{
    TRY(take(me, PERMITS));
    meet(me);
    return take(me, PERMITS);
}

/* One of them waits for a lock of who has the last one. */
static int use_connection_and_lock(struct player *me)
{
    TRY(take(me, PERMITS));
    meet(me);
    return take(me, A);
}

static int lock_and_use_connection(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return take(me, PERMITS);
}

const struct kernel corpus_joins[] = {
    {.name = "cockroach#1055", .what = "a group is waited for with a lock that one of it wants",
     .kind = MIXED, .says = DEADLOCK, .members = 3, .victims = PLAYER(1), .children = PLAYER(1),
     .roles = {stop_all, want_a}},
    {.name = "loader lock", .what = "a task is joined with a lock that it wants", .kind = MIXED,
     .says = DEADLOCK, .members = 3, .victims = PLAYER(1), .tasks = PLAYER(1),
     .roles = {unload, detach_from_library}},
    {.name = "loader lock, a third", .what = "the same, by way of a third", .kind = MIXED,
     .says = DEADLOCK, .members = 7, .victims = PLAYER(1), .tasks = PLAYER(1),
     .roles = {unload_other, want_b, have_b_want_a}},
    {.name = "aiologic#38", .what = "a call on another thread wants the caller's lock",
     .kind = MIXED, .says = DEADLOCK, .members = 3, .victims = PLAYER(1), .children = PLAYER(1),
     .tasks = PLAYER(0), .roles = {call, want_a_once}},
    {.name = "JLS 12.4.2", .what = "initialisers that need each other", .kind = MIXED,
     .says = DEADLOCK, .members = 3, .victims = 3, .roles = {use_class, use_class}},
    {.name = "HikariCP pool locking", .what = "each has one permit of three, and wants another",
     .kind = RESOURCE, .says = DEADLOCK, .members = 7, .victims = 7,
     .roles = {use_two_connections, use_two_connections, use_two_connections}},
    {.name = "HikariCP, a lock between", .what = "one of the holders wants a lock instead",
     .kind = RESOURCE, .says = DEADLOCK, .members = 15, .victims = PLAYER(3),
     .roles = {use_connection_and_lock, use_two_connections, use_two_connections,
               lock_and_use_connection}},
    {0},
};
