/* SPDX-License-Identifier: MIT */
/* Locks that are taken in different orders, and locks that are taken twice. */
#include "tests/corpus/stage.h"

/* One lock, and when all have theirs another. */
static int take_both(struct player *me, int first, int second)
{
    TRY(take(me, first));
    meet(me);
    return take(me, second);
}

/* ---- cockroach#10214: A guards the heartbeats that are kept back, B and C a replica. */

static int send_heartbeats(struct player *me)
{
    return take_both(me, A, B);
}

static int tick(struct player *me)
{
    TRY(take(me, B));
    TRY(take(me, C));
    meet(me);
    return take(me, A);
}

/* ---- cockroach#7504: A is a lease, B the cache of names in which it is found. */

static int release_lease(struct player *me)
{
    return take_both(me, A, B);
}

static int find_lease(struct player *me)
{
    return take_both(me, B, A);
}

/* ---- kubernetes#13135: A is a cache of watches, B what it watches; each calls the other. */

static int fill_cache(struct player *me)
{
    TRY(take(me, A));
    TRY(take(me, B)); /* for the first time, without harm */
    drop(me, B);
    meet(me);
    return take(me, B);
}

static int pass_event(struct player *me)
{
    if (!me->again)
        AWAIT(__atomic_load_n(&stage.meeting[0], __ATOMIC_ACQUIRE) == 1);
    return take_both(me, B, A);
}

/* ---- kubernetes#30872: B is a queue that calls back with its lock held, A the informer's. */

static int pop_and_call_back(struct player *me)
{
    return take_both(me, B, A);
}

static int stop_informer(struct player *me)
{
    return take_both(me, A, B);
}

/* ---- moby#4951: A is all devices, B one; who deletes one has a third. */

static int delete_device(struct player *me)
{
    TRY(take(me, C));
    TRY(take(me, B));
    meet(me);
    return take(me, A);
}

static int mount_device(struct player *me)
{
    return take_both(me, A, B);
}

/* ---- glibc BZ#19431: A is an arena of malloc, B the list of streams, C a stream.  No pair of them
 * is ever taken in both orders. */

static int fork_process(struct player *me)
{
    return take_both(me, A, B);
}

static int flush_all(struct player *me)
{
    return take_both(me, B, C);
}

static int read_line(struct player *me)
{
    return take_both(me, C, A);
}

/* ---- MySQL#37080 (as Dimmunix, OSDI 2008, has it): a statement that fills a table and one that
 * empties it.  One of them takes its locks by priority. */

static int fill_table(struct player *me)
{
    return take_both(me, A, RANKED);
}

static int empty_table(struct player *me)
{
    return take_both(me, RANKED, A);
}

/* ---- HawkNL (the same): A is all sockets, B one of them. */

static int close_socket(struct player *me)
{
    return take_both(me, B, A);
}

static int close_all_sockets(struct player *me)
{
    return take_both(me, A, B);
}

/* ---- CPython bpo-9260: modules that import each other, each under a lock that nests. */

static int import(struct player *me, int module, int other)
{
    TRY(take(me, module));
    TRY(take(me, module));
    meet(me);
    return take(me, other);
}

static int import_one(struct player *me)
{
    return import(me, NESTED, NESTED_2);
}

static int import_other(struct player *me)
{
    return import(me, NESTED_2, NESTED);
}

/* ---- PostgreSQL, isolation test deadlock-hard: eight sessions in a ring. */

static int lock_next_table(struct player *me)
{
    return take_both(me, A + me->index, A + (me->index + 1) % 8);
}

/* ---- taken twice: by a call that does not know that its caller has it.  The one who comes after
 * it is not kept. */

static int take_twice(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return be_refused(me, A);
}

static int come_after(struct player *me)
{
    meet(me);
    return take(me, A);
}

/* By a loop that is left with it. */
static int leave_a_loop_and_go_on(struct player *me)
{
    for (int round = 0; round < 3; round++) {
        TRY(take(me, A));
        if (round == 2)
            break;
        drop(me, A);
    }
    meet(me);
    return be_refused(me, A);
}

#define AB_BA(a, b) \
    .kind = RESOURCE, .says = DEADLOCK, .members = 3, .victims = 3, .roles = {(a), (b)}

const struct kernel corpus_mutexes[] = {
    {.name = "cockroach#10214", .what = "two orders; who has a lock more does not give way",
     .kind = RESOURCE, .says = DEADLOCK, .members = 3, .victims = PLAYER(0),
     .roles = {send_heartbeats, tick}},
    {.name = "cockroach#7504", .what = "two orders", AB_BA(release_lease, find_lease)},
    {.name = "kubernetes#13135", .what = "two orders, the second time round",
     AB_BA(fill_cache, pass_event)},
    {.name = "kubernetes#30872", .what = "a callback under the caller's lock",
     AB_BA(pop_and_call_back, stop_informer)},
    {.name = "moby#4951", .what = "all devices, one device", .kind = RESOURCE, .says = DEADLOCK,
     .members = 3, .victims = PLAYER(1), .roles = {delete_device, mount_device}},
    {.name = "glibc BZ#19431", .what = "three locks, of which no two are inverted",
     .kind = RESOURCE, .says = DEADLOCK, .members = 7, .victims = 7,
     .roles = {fork_process, flush_all, read_line}},
    {.name = "MySQL#37080", .what = "two orders, of a lock that goes by priority",
     AB_BA(fill_table, empty_table)},
    {.name = "HawkNL shutdown", .what = "all sockets, one socket",
     AB_BA(close_socket, close_all_sockets)},
    {.name = "CPython bpo-9260", .what = "modules that import each other, by locks that nest",
     AB_BA(import_one, import_other)},
    {.name = "PostgreSQL deadlock-hard", .what = "a ring of eight", .kind = RESOURCE,
     .says = DEADLOCK, .members = 255, .victims = 255,
     .roles = {lock_next_table, lock_next_table, lock_next_table, lock_next_table, lock_next_table,
               lock_next_table, lock_next_table, lock_next_table}},
    {.name = "cockroach#9935", .what = "taken twice", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {take_twice, come_after}},
    {.name = "hugo#5379", .what = "taken twice", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {take_twice}},
    {.name = "moby#36114", .what = "taken twice", .kind = RESOURCE, .says = AT_ONCE,
     .roles = {take_twice, come_after}},
    {.name = "cockroach#584", .what = "a loop that is left with the lock", .kind = RESOURCE,
     .says = AT_ONCE, .roles = {leave_a_loop_and_go_on, come_after}},
    {0},
};
