/* SPDX-License-Identifier: MIT */
/* A lock on one side, a channel or an event on the other: the detector sees the waits for the
 * lock, and not who would end the other ones. */
#include "tests/corpus/stage.h"

/* ---- it sends with the lock that who receives wants first: etcd#7443, etcd#7492, grpc#1353,
 * istio#16224, kubernetes#10182, #1321, #26980, #6632, moby#28462 */

static int send_under_lock(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return send_to(0);
}

static int lock_and_receive(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    TRY(take(me, A));
    return receive_from(0);
}

/* The first item goes well. */
static int send_twice_under_lock(struct player *me)
{
    TRY(take(me, A));
    TRY(send_to(0));
    drop(me, A);
    meet(me);
    TRY(take(me, A));
    return send_to(0);
}

static int receive_and_lock(struct player *me)
{
    TRY(receive_from(0));
    meet(me);
    until_waits(me, 0);
    TRY(take(me, A));
    return receive_from(0);
}

/* A channel that is full, where only who has the lock may empty it. */
static int fill_under_lock(struct player *me)
{
    TRY(take(me, A));
    TRY(send_to(2));
    meet(me);
    return send_to(2);
}

static int lock_and_empty(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    TRY(take(me, A));
    TRY(receive_from(2));
    return receive_from(2);
}

/* ---- it waits for an event with the lock that who sets it wants first: etcd#6873, etcd#7902,
 * grpc#1460 */

static int await_event_under_lock(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

static int lock_and_set(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    TRY(take(me, A));
    lw_event_set(&stage.events[0]);
    return 0;
}

/* The leader is one of three, all of whom take turns with the lock. */
static int follow(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    return take(me, A);
}

/* ---- serving#2137: permits, a lock and an answer */

static int await_answer_with_lock(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

static int have_permits_and_want_lock(struct player *me)
{
    for (int i = 0; i < 3; i++)
        TRY(take(me, PERMITS));
    meet(me);
    return take(me, A);
}

static int want_permit_to_answer(struct player *me)
{
    meet(me);
    until_waits(me, 1);
    TRY(take(me, PERMITS));
    lw_event_set(&stage.events[0]);
    return 0;
}

/* ---- cockroach#2448: two loops, each of which sends to the other one's full channel. */

static int send_to_full(struct player *me)
{
    TRY(send_to(2 + me->index));
    if (me->index == 1)
        TRY(send_to(3));
    meet(me);
    return send_to(3 - me->index);
}

/* ---- cockroach#1462: a latch that who counts it cannot reach: it sends to nobody. */

static int stop_and_wait(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return lw_latch_wait(&stage.latch, LW_FOREVER);
}

static int send_and_count(struct player *me)
{
    meet(me);
    TRY(send_to(0));
    return lw_latch_count_down(&stage.latch, 2);
}

#define STUCK(stay, ...) \
    .kind = MIXED, .says = NOT_SEEN, .members = (stay), .tasks = 15, .roles = {__VA_ARGS__}

const struct kernel corpus_mixed[] = {
    {.name = "cockroach#1462", .what = "a latch, and one who sends to nobody",
     STUCK(3, stop_and_wait, send_and_count)},
    {.name = "cockroach#2448", .what = "two loops that fill each other's channel",
     STUCK(3, send_to_full, send_to_full)},
    {.name = "etcd#6873", .what = "an event, under the lock of who sets it",
     STUCK(3, await_event_under_lock, lock_and_set)},
    {.name = "etcd#7492", .what = "sends, under the lock of who receives; not the first time",
     STUCK(3, send_twice_under_lock, receive_and_lock)},
    {.name = "etcd#7902", .what = "the same, and the leader is one of three",
     STUCK(7, await_event_under_lock, lock_and_set, follow)},
    {.name = "grpc#1353", .what = "sends, under the lock of who receives",
     STUCK(3, send_under_lock, lock_and_receive)},
    {.name = "grpc#1460", .what = "an event, under the lock of who sets it",
     STUCK(3, await_event_under_lock, lock_and_set)},
    {.name = "istio#16224", .what = "fills, under the lock of who empties",
     STUCK(3, fill_under_lock, lock_and_empty)},
    {.name = "kubernetes#10182", .what = "sends, under the lock of who receives; one more waits",
     STUCK(7, send_under_lock, lock_and_receive, follow)},
    {.name = "kubernetes#1321", .what = "sends, under the lock of who would stop it",
     STUCK(3, send_under_lock, lock_and_receive)},
    {.name = "kubernetes#6632", .what = "fills, under the lock of who empties",
     STUCK(3, fill_under_lock, lock_and_empty)},
    {.name = "moby#28462", .what = "sends, under the lock of who receives",
     STUCK(3, send_under_lock, lock_and_receive)},
    {.name = "serving#2137", .what = "permits, a lock, an answer",
     STUCK(7, await_answer_with_lock, have_permits_and_want_lock, want_permit_to_answer)},
    {0},
};
