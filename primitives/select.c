/* SPDX-License-Identifier: MIT */
/* lw_select(): first each arm is tried, in an order that is drawn, by the very call that it stands
 * for, with LW_NOW.  If none happens, one wait is begun and each arm is put into the queue of its
 * object (arm.h); the wait ends as any other does, by whoever claims it first, and all arms leave
 * their queues.  Then either the one that was claimed has happened, or all are tried again.
 *
 *     try all -> begin -> watch each -> finish -> leave each -> it happened, it is over, or again
 *
 * Exactly one: an effect takes place in a try, which returns, or after a claim of the one wait.  An
 * arm that finds, on being queued, that its object has something for it now, has no effect there:
 * the wait may have been claimed through another.  It is ended, and if it was not claimed until
 * then, all are tried again.
 *
 * No event is lost: an object is looked at, and the arm queued, in one section of its guard, with
 * the wait begun already; who has something for it later finds the arm, or the wait that is over,
 * and then serves the next one.
 *
 * A join and a poll have no queue in which who wakes would note the arm: a wait that was granted
 * without a note is that of an arm whose task has ended, and what was woken by a poll is tried
 * again.
 *
 * Ordering.
 * - an arm, and the wait it is of -> who serves the queue: the guard of its object ([H1], [E2],
 *   [L2], [S1]), or the joiner's word ([J1])
 * - which arm was claimed, and what it was given -> here: the wait word ([W2])
 * - the last look of others at an arm -> its memory may end: the guard, taken once more to leave */
#include <latchwork/select.h>

#include <errno.h>
#include <latchwork/io.h>
#include <limits.h>

#include "primitives/arm.h"
#ifdef LW_SIMULATED
#include "runtime/sim/engine.h"
#endif

enum operation { NEVER, SEND, RECEIVE, EVENT, JOIN, ACQUIRE, POLL, AWAIT };

/* How often a plain thread, which cannot wait for a descriptor and something else at once, looks at
 * it.  It waits on meanwhile: its other arms would lose their places. */
#define GUEST_LOOKS_AFTER (10 * LW_MS)

#define NOT_NOW INT_MIN /* no result of a call */

struct call {
    lw_arm *arms;
    int count;
    bool polls; /* some arm does */
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
};

enum { NONE = -EAGAIN }; /* in the place of an index */

_Static_assert(sizeof ((lw_arm *)0)->_wait == LW_ARM_BYTES, "what is said of a wait");

/* ---- one arm */

static struct lw_cold *cold_of(lw_arm *arm)
{
    return (struct lw_cold *)(uintptr_t)arm->_wait;
}

static lw_task task_of(const lw_arm *arm)
{
    return (lw_task){(uint64_t)arm->_number};
}

static int try_event(lw_event *event, void **value)
{
    void *found;
    int err = lw_event_get(event, &found);

    if (err == 0 && value != NULL)
        *value = found;
    return err == -ENODATA ? NOT_NOW : err;
}

static int try_await(lw_awaitable *awaitable, void *value)
{
    int err = awaitable->kind->poll(awaitable, value);

    return err == -EAGAIN ? NOT_NOW : err;
}

static int descriptor_of(const lw_arm *arm)
{
    return (int)(arm->_number >> 16);
}

/* The result of the call it stands for, or NOT_NOW. */
static int try(lw_arm *arm)
{
    int result = -ETIMEDOUT;

    switch ((enum operation)arm->_operation) {
    case NEVER:
        break;
    case SEND:
        result = lw_channel_send(arm->_object, arm->_value, LW_NOW);
        break;
    case RECEIVE:
        result = lw_channel_receive(arm->_object, arm->_value, LW_NOW);
        break;
    case EVENT:
        return try_event(arm->_object, arm->_value);
    case JOIN:
        result = lw_join(task_of(arm), arm->_value, LW_NOW);
        break;
    case ACQUIRE:
        result = lw_acquire(arm->_object, LW_NOW);
        break;
    case POLL:
        result = lw_poll(descriptor_of(arm), (short)arm->_number, LW_NOW);
        break;
    case AWAIT:
        return try_await(arm->_object, arm->_value); /* a timeout is an error of its own */
    }
    return result == -ETIMEDOUT ? NOT_NOW : result;
}

/* Armed once in a call: see readiness.c. */
static int watch_poll(lw_arm *arm, struct lw_record *me)
{
    bool armed = arm->_object != NULL;
    int err = lw_poll_watch(descriptor_of(arm), (short)arm->_number, &armed, me,
                            &cold_of(arm)->node);

    arm->_object = armed ? arm : NULL;
    return err;
}

static int watch_await(lw_arm *arm)
{
    lw_event *event = (lw_event *)(uintptr_t)arm->_number;

    if (event == NULL)
        return -EINVAL;
    cold_of(arm)->data = NULL;
    return lw_event_watch(event, cold_of(arm));
}

static int watch(lw_arm *arm, struct lw_record *me)
{
    struct lw_cold *cold = cold_of(arm);

    cold->node = (struct lw_node){0};
    cold->data = arm->_value;
    lw_store_rlx(&cold->wait, (uint64_t)(uintptr_t)me);
    lw_store_rlx(&cold->owner, 0);
    switch ((enum operation)arm->_operation) {
    case NEVER:
        break;
    case SEND:
    case RECEIVE:
        return lw_channel_watch(arm->_object, arm->_operation == SEND, cold, me);
    case EVENT:
        return lw_event_watch(arm->_object, cold);
    case JOIN:
        return lw_join_watch(task_of(arm), me);
    case ACQUIRE:
        return lw_lock_watch(arm->_object, cold, me);
    case POLL:
        return lw_record_is_guest(me) ? 0 : watch_poll(arm, me);
    case AWAIT:
        return watch_await(arm);
    }
    return 0;
}

/* won: the wait was granted, and nothing has said by which arm; the result is then whether it was
 * this one. */
static bool leave(lw_arm *arm, struct lw_record *me, bool won)
{
    struct lw_cold *cold = cold_of(arm);

    switch ((enum operation)arm->_operation) {
    case NEVER:
        break;
    case SEND:
    case RECEIVE:
        lw_channel_leave(arm->_object, arm->_operation == SEND, cold);
        break;
    case EVENT:
        lw_event_leave(arm->_object, cold);
        break;
    case JOIN:
        return lw_join_leave(task_of(arm), me, won) && won;
    case ACQUIRE:
        lw_lock_leave(arm->_object, cold);
        break;
    case POLL:
        if (!lw_record_is_guest(me))
            lw_poll_leave(descriptor_of(arm), &cold->node);
        break;
    case AWAIT:
        lw_event_leave((lw_event *)(uintptr_t)arm->_number, cold);
        break;
    }
    return false;
}

/* ---- all of them */

static int draw(int count)
{
    struct lw_thread *thread = lw_thread_self();
    uint32_t drawn = lw_load_rlx(&thread->draws) * 1664525 + 1013904223;

#ifdef LW_SIMULATED
    if (lw_sim_on)
        return (int)sim_choose((uint32_t)count);
#endif
    lw_store_rlx(&thread->draws, drawn);
    return (int)((uint64_t)drawn * (uint32_t)count >> 32);
}

/* Of those that are left, the next one to try: each order is as likely as any other (Fisher and
 * Yates, 1938), so of those that can happen each is drawn as often.  The places are in the arms. */
static int draw_next(const struct call *call, int tried)
{
    lw_arm *here = &call->arms[tried], *there = here + draw(call->count - tried);
    int index = (int)there->_wait[0];

    there->_wait[0] = here->_wait[0];
    return index;
}

/* The arm that has happened, or NONE. */
static int try_all(const struct call *call)
{
    for (int i = 0; i < call->count; i++)
        call->arms[i]._wait[0] = (uint64_t)i;
    for (int i = 0; i < call->count; i++) {
        int index = draw_next(call, i), result = try(&call->arms[index]);

        if (result != NOT_NOW) {
            call->arms[index].result = result;
            return index;
        }
    }
    return NONE;
}

/* Queue the arms, up to one that is worth trying now, or cannot wait, as its result says.  How many
 * are queued. */
static int watch_all(const struct call *call)
{
    for (int i = 0; i < call->count; i++) {
        int err = watch(&call->arms[i], call->me);

        if (err != 0) {
            call->arms[i].result = err;
            return i;
        }
    }
    return call->count;
}

/* The arm that was served; NONE: none, or none that is known. */
static int leave_all(const struct call *call, int watched, enum lw_outcome outcome)
{
    struct lw_cold *noted = lw_record_cold(call->me)->child;
    bool served = outcome == LW_GRANTED || outcome == LW_CLOSED;
    int winner = NONE;

    for (int i = 0; i < watched; i++) {
        bool unnoted = outcome == LW_GRANTED && noted == NULL && winner == NONE;

        if (leave(&call->arms[i], call->me, unnoted) ||
            (served && noted == cold_of(&call->arms[i])))
            winner = i;
    }
    return winner;
}

/* What is left to do for the arm that was served; NONE: it is only worth a try. */
static int happen(const struct call *call, int index, enum lw_outcome outcome)
{
    lw_arm *arm = &call->arms[index];

    if (arm->_operation == POLL || arm->_operation == AWAIT)
        return NONE;
    arm->result = outcome == LW_CLOSED ? -EPIPE : 0;
    if (arm->_operation == JOIN)
        arm->result = lw_join_take(task_of(arm), arm->_value);
    else if (arm->_operation == ACQUIRE && arm->result == 0)
        lw_lock_take_over(arm->_object, call->me, call->site);
    return index;
}

/* By a plain thread that waits. */
static bool is_some_ready(void *arg)
{
    const struct call *call = arg;

    for (int i = 0; i < call->count; i++)
        if (call->arms[i]._operation == POLL &&
            lw_poll_look(descriptor_of(&call->arms[i]), (short)call->arms[i]._number))
            return true;
    return false;
}

static enum lw_outcome finish(struct call *call)
{
    if (lw_unlikely(call->polls && lw_record_is_guest(call->me)))
        return lw_wait_finish_looking(call->me, GUEST_LOOKS_AFTER, is_some_ready, call);
    return lw_wait_finish(call->me);
}

/* Before the wait is begun: what the program does there may wait. */
static void ask_awaitables(const struct call *call)
{
    for (int i = 0; i < call->count; i++) {
        lw_awaitable *awaitable = call->arms[i]._object;

        if (call->arms[i]._operation == AWAIT)
            call->arms[i]._number = (int64_t)(uintptr_t)awaitable->kind->changed(awaitable);
    }
}

/* One wait: the arm that has happened; NONE: try again; or how it ended. */
static int wait_once(struct call *call)
{
    struct lw_cold *cold = lw_record_cold(call->me);
    enum lw_outcome outcome;
    int watched, index;

    ask_awaitables(call);
    if (lw_is_given(call->me)) /* before there is room for one hold more (arm_lock.c) */
        (void)lw_given_take(call->me);
    cold->child = NULL;
    lw_wait_begin(call->me, LW_WAIT_SELECT, call->arms, NULL, call->deadline,
                  call->site);
    watched = watch_all(call);
    lw_owner_hint_held(cold);
    outcome = LW_RETRY;
    if (watched == call->count || !lw_wait_end_own(call->me, LW_RETRY))
        outcome = finish(call);
    index = leave_all(call, watched, outcome);
    if (index != NONE)
        index = happen(call, index, outcome);
    lw_hold_unreserve(cold);
    if (index != NONE)
        return index;
    if (outcome == LW_GRANTED || outcome == LW_CLOSED)
        return NONE;
    if (outcome == LW_RETRY && watched < call->count && call->arms[watched].result < 0)
        return watched;
    return lw_wait_error(call->me, outcome); /* of a retry NONE */
}

/* Nothing came of a wait.  However often that is so, others get to run, and the select ends. */
static int go_on(struct call *call)
{
    int index = lw_wait_enter(&call->me, call->deadline);

    if (index == 0)
        index = try_all(call);
    if (index == NONE && call->deadline != LW_FOREVER && call->deadline <= lw_now())
        index = lw_timeout_error(call->deadline);
    if (index == NONE && lw_deliver_cancel(call->me) < 0)
        index = -ECANCELED;
    return index;
}

static int select_from(lw_arm *arms, size_t count, lw_nsec deadline, const void *site)
{
    struct call call = {.arms = arms, .count = (int)count, .deadline = deadline, .site = site};
    int index;

    if (count > INT_MAX)
        return -EINVAL;
    for (int i = 0; i < call.count; i++) {
        if (arms[i]._operation == POLL) {
            call.polls = true;
            arms[i]._object = NULL; /* not armed yet by this call */
        }
    }
    index = lw_wait_enter(&call.me, deadline);
    if (index == 0)
        index = try_all(&call);
    if (index == NONE && deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    while (index == NONE) {
        index = wait_once(&call);
        if (index == NONE)
            index = go_on(&call);
    }
    return index;
}

int lw_select(lw_arm *arms, size_t count, lw_nsec deadline)
{
    return select_from(arms, count, deadline, __builtin_return_address(0));
}

int lw_await(lw_awaitable *awaitable, void *value, lw_nsec deadline)
{
    lw_arm arm = lw_arm_await(awaitable, value);
    int err = select_from(&arm, 1, deadline, __builtin_return_address(0));

    return err < 0 ? err : arm.result;
}

/* ---- arms */

static lw_arm arm_of(enum operation operation, const void *object, const void *value,
                     int64_t number)
{
    return (lw_arm){._operation = operation,
                    ._object = (void *)(uintptr_t)object,
                    ._value = (void *)(uintptr_t)value,
                    ._number = number};
}

lw_arm lw_arm_send(lw_channel *channel, const void *item)
{
    return arm_of(SEND, channel, item, 0);
}

lw_arm lw_arm_receive(lw_channel *channel, void *item)
{
    return arm_of(RECEIVE, channel, item, 0);
}

lw_arm lw_arm_event(lw_event *event, void **value)
{
    return arm_of(EVENT, event, value, 0);
}

lw_arm lw_arm_join(lw_task task, int *status)
{
    return arm_of(JOIN, NULL, status, (int64_t)task.id);
}

lw_arm lw_arm_acquire(lw_lock *lock)
{
    return arm_of(ACQUIRE, lock, NULL, 0);
}

lw_arm lw_arm_poll(int fd, short events)
{
    return arm_of(POLL, NULL, NULL, (int64_t)fd << 16 | (uint16_t)events);
}

lw_arm lw_arm_await(lw_awaitable *awaitable, void *value)
{
    return arm_of(AWAIT, awaitable, value, 0);
}
