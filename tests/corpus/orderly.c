/* SPDX-License-Identifier: MIT */
/* Clean programs that look as if they could deadlock, of locks and other things. */
#include "tests/corpus/stage.h"

/* ---- a condition: two pass a turn to each other */

static int pass_turn(struct player *me)
{
    int err = 0;

    TRY(take(me, B + me->index)); /* of its own */
    TRY(take(me, A));
    while (err == 0 && stage.count % 2 != me->index)
        err = wait_on(me, me->index, A);
    stage.count++;
    (void)lw_condition_notify(&stage.conditions[1 - me->index], 1);
    return err;
}

/* ---- nested monitors: the outer one is let go of before it waits in the inner one */

static int put_in_inner(struct player *me)
{
    TRY(take(me, A));
    TRY(take(me, B));
    stage.count++;
    (void)lw_condition_notify(&stage.conditions[0], 1);
    return 0;
}

static int get_from_inner(struct player *me)
{
    int err = 0;

    TRY(take(me, A));
    TRY(take(me, B));
    drop(me, A);
    while (err == 0 && stage.count == 0)
        err = wait_on(me, 0, B);
    stage.count -= err == 0;
    return err;
}

/* ---- a permit as a signal: who waits for it has a lock, and who gives it does not want that */

static int await_permit(struct player *me)
{
    TRY(take(me, A));
    return lw_semaphore_acquire(&stage.signal, 1, LW_FOREVER);
}

static int give_permit(struct player *me)
{
    TRY(take(me, B));
    lw_yield();
    return lw_semaphore_release(&stage.signal, 1);
}

static int want_lock_of_one_who_awaits(struct player *me)
{
    return take(me, A);
}

/* ---- a channel: both have a lock the other one does not want; and a pipeline */

static int send_with_lock(struct player *me)
{
    TRY(take(me, A));
    return send_to(0);
}

static int receive_with_lock(struct player *me)
{
    TRY(take(me, B));
    return receive_from(0);
}

static int want_both_in_turn(struct player *me)
{
    TRY(take(me, A));
    drop(me, A);
    return take(me, B);
}

static int feed(struct player *me)
{
    (void)me;
    return send_to(2);
}

static int pass_on(struct player *me)
{
    TRY(receive_from(2));
    TRY(take(me, A));
    return send_to(3);
}

static int consume(struct player *me)
{
    TRY(receive_from(3));
    return take(me, B);
}

/* ---- the end of a task is waited for with a lock that it does not want, or does not any more */

static int end_without_lock(void *arg)
{
    lw_mutex *mutex = arg;
    int err = lw_mutex_acquire(mutex, LW_FOREVER);

    return err < 0 ? err : lw_mutex_release(mutex);
}

static int join_under_lock(struct player *me)
{
    lw_task child;
    int status;

    TRY(take(me, A + me->index));
    TRY(lw_spawn(&child, end_without_lock, &stage.mutexes[D], NULL));
    TRY(lw_join(child, &status, LW_FOREVER));
    return status;
}

static int group_under_lock(struct player *me)
{
    lw_group group = LW_GROUP_INIT(0);
    int err = 0;

    TRY(take(me, A));
    for (int i = 0; i < 2 && err == 0; i++)
        err = lw_group_spawn(&group, end_without_lock, &stage.mutexes[D + i], NULL);
    if (err == 0)
        err = lw_group_wait(&group, LW_FOREVER);
    HOLDS(lw_group_end(&group, 0) == 0);
    return err;
}

static int have_what_children_want(struct player *me)
{
    TRY(take(me, D));
    lw_yield();
    return take(me, E);
}

static int call_under_lock(struct player *me)
{
    int status;

    TRY(take(me, A));
    TRY(lw_blocking(end_without_lock, &stage.mutexes[D], &status, LW_FOREVER));
    return status;
}

/* ---- what runs once takes a lock that others have who wait for it, but not then */

static int initialize(void *arg)
{
    struct player *me = arg;

    TRY(take(me, D));
    drop(me, D);
    return 0;
}

static int run_once(struct player *me)
{
    TRY(take(me, A + me->index));
    lw_yield();
    TRY(lw_once_run(&stage.once[0], initialize, me, LW_FOREVER));
    return take(me, D);
}

/* ---- a lock is handed to the one who waits for a word of it, and wants the giver's other one */

static int hand_over(struct player *me)
{
    TRY(take(me, A));
    TRY(take(me, B));
    note_dropped(me, B);
    TRY(lw_transfer(lock_of(B), stage.players[1].task));
    drop(me, A);
    return send_to(0);
}

static int take_over(struct player *me)
{
    TRY(receive_from(0));
    HOLDS(lw_owned(lock_of(B)));
    note_taken(me, B);
    lw_yield();
    drop(me, B);
    return take(me, A);
}

/* ---- a barrier of locks: each waits for all others with a lock of its own */

static int count_and_await(struct player *me)
{
    TRY(take(me, A + me->index));
    (void)lw_latch_count_down(&stage.latch, 1);
    TRY(lw_latch_wait(&stage.latch, LW_FOREVER));
    drop(me, A + me->index);
    return take(me, B - me->index);
}

enum { LAPS = 40 };

#define FINE(...) .kind = MIXED, .says = CLEAN, .laps = LAPS, .roles = {__VA_ARGS__}

const struct kernel corpus_orderly[] = {
    {.name = "turns", .what = "by a condition, each with a lock of its own",
     FINE(pass_turn, pass_turn)},
    {.name = "nested monitors", .what = "the outer one is let go of before the wait",
     FINE(put_in_inner, get_from_inner)},
    {.name = "permits as signals", .what = "awaited with a lock that the giver does not want",
     FINE(await_permit, give_permit, want_lock_of_one_who_awaits)},
    {.name = "rendezvous with locks", .what = "of which the partner wants none",
     FINE(send_with_lock, receive_with_lock, want_both_in_turn)},
    {.name = "pipeline", .what = "of channels with little room, and locks",
     FINE(feed, pass_on, consume)},
    {.name = "join under a lock", .what = "which the child does not want",
     FINE(join_under_lock, join_under_lock)},
    {.name = "group under a lock", .what = "which the children do not want",
     FINE(group_under_lock, have_what_children_want)},
    {.name = "call under a lock", .what = "which the helper does not want", .tasks = 1,
     FINE(call_under_lock, have_what_children_want)},
    {.name = "once under a lock", .what = "which it does not take", FINE(run_once, run_once)},
    {.name = "handed over", .what = "to one who wants, or waits for, the giver's other lock",
     .hands_over = true, FINE(hand_over, take_over)},
    {.name = "latch with locks", .what = "which are let go of before the others' are taken",
     FINE(count_and_await, count_and_await)},
    {0},
};
