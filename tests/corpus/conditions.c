/* SPDX-License-Identifier: MIT */
/* Conditions that nobody notifies any more, latches and signals that nobody gives. */
#include "tests/corpus/stage.h"

/* ---- moby#30408, moby#29733: to wait for a condition comes after all has been notified, or who
 * should have done so went another way. */

static int notify_too_early(struct player *me)
{
    TRY(take(me, A));
    (void)lw_condition_notify(&stage.conditions[0], UINT32_MAX);
    drop(me, A);
    meet(me);
    return 0;
}

static int wait_too_late(struct player *me)
{
    meet(me);
    TRY(take(me, A));
    return wait_on(me, 0, A);
}

static int fail_and_notify_nobody(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return 0;
}

/* ---- kubernetes#11298: who would notify wants a lock first that the one who waits has. */

static int wait_with_lock(struct player *me)
{
    TRY(take(me, B));
    meet(me);
    TRY(take(me, A));
    return wait_on(me, 0, A);
}

static int come_with_what_it_wants(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    return take(me, B);
}

/* ---- moby#27782: who would notify wants first to hand over an event to the one who waits. */

static int remove_watch(struct player *me)
{
    meet(me);
    TRY(take(me, A));
    return wait_on(me, 0, A);
}

static int hand_over_event(struct player *me)
{
    meet(me);
    TRY(send_to(0));
    TRY(take(me, A));
    (void)lw_condition_notify(&stage.conditions[0], UINT32_MAX);
    return 0;
}

/* ---- kubernetes#58107: it waits for work and reads; a writer waits for it, and who brings the
 * work to read waits behind that one. */

static int await_work_and_read(struct player *me)
{
    TRY(take(me, READ_3));
    meet(me);
    TRY(take(me, A));
    return wait_on(me, 0, A);
}

static int write_now_and_then(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    return take(me, WRITE_3);
}

static int bring_work(struct player *me)
{
    meet(me);
    until_waits(me, 1);
    TRY(take(me, READ_3));
    TRY(take(me, A));
    (void)lw_condition_notify(&stage.conditions[0], 1);
    return 0;
}

/* ---- moby#25384: a latch of as many as there are is waited for in each round, in which one of
 * them counts. */

static int wait_in_each_round(struct player *me)
{
    meet(me);
    return lw_latch_wait(&stage.latch, LW_FOREVER);
}

static int count_once(struct player *me)
{
    meet(me);
    return lw_latch_count_down(&stage.latch, 1);
}

/* ---- a permit that is given by whoever has something, and never is (cockroach#13755 and its
 * like, with a semaphore) */

static int await_permit_with_lock(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return lw_semaphore_acquire(&stage.signal, 1, LW_FOREVER);
}

static int give_permit_under_lock(struct player *me)
{
    meet(me);
    until_waits(me, 0);
    TRY(take(me, A));
    return lw_semaphore_release(&stage.signal, 1);
}

const struct kernel corpus_conditions[] = {
    {.name = "moby#30408", .what = "notified before it waits", .kind = COMMUNICATION,
     .says = NOT_SEEN, .members = PLAYER(1), .tasks = 3,
     .roles = {notify_too_early, wait_too_late}},
    {.name = "moby#29733", .what = "who should notify fails", .kind = COMMUNICATION,
     .says = NOT_SEEN, .members = PLAYER(1), .tasks = 3,
     .roles = {fail_and_notify_nobody, wait_too_late}},
    {.name = "kubernetes#11298", .what = "waits with a lock that its waker wants", .kind = MIXED,
     .says = NOT_SEEN, .members = 3, .tasks = 3,
     .roles = {wait_with_lock, come_with_what_it_wants}},
    {.name = "moby#27782", .what = "its waker wants to send to it first", .kind = COMMUNICATION,
     .says = NOT_SEEN, .members = 3, .tasks = 3, .roles = {remove_watch, hand_over_event}},
    {.name = "kubernetes#58107", .what = "its waker waits to read, behind a writer", .kind = MIXED,
     .says = NOT_SEEN, .members = 7, .tasks = 7,
     .roles = {await_work_and_read, write_now_and_then, bring_work}},
    {.name = "moby#25384", .what = "counts too seldom", .kind = COMMUNICATION, .says = NOT_SEEN,
     .members = PLAYER(0), .tasks = 3, .roles = {wait_in_each_round, count_once}},
    {.name = "permit under a lock", .what = "whose giver wants that lock", .kind = MIXED,
     .says = NOT_SEEN, .members = 3, .tasks = 3,
     .roles = {await_permit_with_lock, give_permit_under_lock}},
    {0},
};
