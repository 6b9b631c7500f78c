/* SPDX-License-Identifier: MIT */
/* The laws of lw_select(): one arm happens, once, and the others have no effect.  Arms that acquire
 * locks, poll, or await what a program makes itself: select-locks.c, select-poll.c,
 * select-await.c. */
#include "tests/primitives/crowd.h"

TestSuite(select, .init = watchdog);

static void *as_thread(void *fn)
{
    return (void *)(intptr_t)((lw_fn *)(intptr_t)fn)(NULL);
}

/* In tasks, and in a plain thread. */
static void run_everywhere(lw_fn *fn)
{
    pthread_t thread;
    void *status = NULL;

    run_all(fn, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, as_thread, (void *)(intptr_t)fn), 0);
    cr_assert_eq(pthread_join(thread, &status), 0);
    cr_assert_null(status);
}

/* ---- what can happen at once */

static int nothing(void *arg)
{
    lw_arm arms[2] = {{0}, {0}};

    (void)arg;
    cr_assert_eq(lw_select(NULL, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_select(NULL, 0, lw_in(50 * LW_US)), -ETIMEDOUT);
    cr_assert_eq(lw_select(arms, 2, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_select(arms, 2, lw_in(50 * LW_US)), -ETIMEDOUT);
    cr_assert_eq(lw_select(arms, 2, 5 * LW_MS), -EINVAL, "a duration is no deadline");
    return 0;
}

Test(select, without_arms_that_can_happen_it_is_a_sleep)
{
    run_everywhere(nothing);
}

static int ready_channels(void *arg)
{
    long room[2], got = 0, sent = 7;
    lw_channel full = LW_CHANNEL_INIT("full", room), empty = LW_CHANNEL_INIT("empty", room);
    lw_channel meeting = LW_RENDEZVOUS_INIT("meeting", long);
    lw_arm arms[3] = {lw_arm_receive(&empty, &got), lw_arm_send(&meeting, &sent),
                      lw_arm_send(&full, &sent)};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_select(arms, 3, LW_FOREVER), 2);
        cr_assert_eq(arms[2].result, 0);
        cr_assert_eq(lw_channel_count(&full), (size_t)i + 1);
    }
    cr_assert_eq(lw_select(arms, 3, LW_NOW), -ETIMEDOUT);
    arms[1] = lw_arm_receive(&full, &got);
    cr_assert_eq(lw_select(arms, 3, LW_NOW), 1);
    cr_assert_eq(got, 7);
    lw_channel_close(&empty);
    cr_assert_eq(lw_select(arms, 1, LW_FOREVER), 0);
    cr_assert_eq(arms[0].result, -EPIPE, "what its call would return");
    cr_assert_eq(lw_channel_count(&full), 1);
    return 0;
}

Test(select, an_arm_that_can_happen_does)
{
    run_everywhere(ready_channels);
}

enum { DRAWS = 3000 };

enum { DRAWS_AMONG_MANY = 4000, MANY_ARMS = 10 };

/* Two side by side among many, and one apart: a third each, within 9 standard deviations. */
static int draw_among_many(void *arg)
{
    static const int ready[] = {0, 1, 7};
    lw_event event = LW_EVENT_INIT("event");
    lw_arm arms[MANY_ARMS] = {0};
    long drawn[MANY_ARMS] = {0}, draws = rounds(DRAWS_AMONG_MANY);

    (void)arg;
    lw_event_set(&event);
    for (int i = 0; i < 3; i++)
        arms[ready[i]] = lw_arm_event(&event, NULL);
    for (long i = 0; i < draws; i++)
        drawn[lw_select(arms, MANY_ARMS, LW_FOREVER)]++;
    for (int i = 0; i < 3; i++)
        cr_assert(draws < 100 || labs(drawn[ready[i]] - draws / 3) < draws / 3 / 4 + 20,
                  "%ld of %ld", drawn[ready[i]], draws);
    return 0;
}

Test(select, of_those_that_can_happen_each_is_drawn_as_often)
{
    run_all(draw_among_many, NULL);
}

static int draw_fairly(void *arg)
{
    lw_event set[3] = {LW_EVENT_INIT("a"), LW_EVENT_INIT("b"), LW_EVENT_INIT("c")};
    int drawn[3] = {0};

    (void)arg;
    for (int i = 0; i < 3; i++)
        lw_event_set(&set[i]);
    for (int i = 0; i < DRAWS; i++) {
        lw_arm arms[3] = {lw_arm_event(&set[0], NULL), lw_arm_event(&set[1], NULL),
                          lw_arm_event(&set[2], NULL)};
        int index = lw_select(arms, 3, LW_NOW);

        cr_assert(index >= 0 && index < 3);
        drawn[index]++;
    }
    for (int i = 0; i < 3; i++)
        cr_assert(drawn[i] > DRAWS / 4, "%d of %d", drawn[i], DRAWS);
    return 0;
}

Test(select, of_several_one_is_drawn)
{
    run_everywhere(draw_fairly);
}

/* ---- waiting: each sort of arm, beside one that does not happen */

struct selecting {
    lw_arm arms[2]; /* the second is what never happens here, and is looked at afterwards */
    int index;
};

static int select_two(void *arg)
{
    struct selecting *selecting = arg;

    selecting->index = lw_select(selecting->arms, 2, LW_FOREVER);
    return 0;
}

static int wait_for_channels(void *arg)
{
    long got = 0, sent = 5, other = 0;
    lw_channel meeting = LW_RENDEZVOUS_INIT("meeting", long);
    lw_channel idle = LW_RENDEZVOUS_INIT("idle", long);
    struct selecting selecting = {{lw_arm_receive(&meeting, &got), lw_arm_receive(&idle, &other)},
                                  -1};
    lw_task task = start_waiter(select_two, &selecting);

    (void)arg;
    cr_assert_eq(lw_channel_send(&meeting, &sent, LW_FOREVER), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(selecting.index, 0);
    cr_assert_eq(selecting.arms[0].result, 0);
    cr_assert_eq(got, 5);
    cr_assert_eq(lw_channel_send(&idle, &sent, LW_NOW), -ETIMEDOUT, "nobody waits there now");
    selecting = (struct selecting){{lw_arm_send(&meeting, &sent), lw_arm_send(&idle, &sent)}, -1};
    task = start_waiter(select_two, &selecting);
    cr_assert_eq(lw_channel_receive(&meeting, &other, LW_FOREVER), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(other, 5);
    cr_assert_eq(lw_channel_receive(&idle, &other, LW_NOW), -ETIMEDOUT);
    selecting = (struct selecting){{lw_arm_receive(&meeting, &got), lw_arm_send(&idle, &sent)}, -1};
    task = start_waiter(select_two, &selecting);
    sent = 9;
    cr_assert_eq(lw_channel_broadcast(&meeting, &sent), 1);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(got, 9);
    task = start_waiter(select_two, &selecting);
    lw_channel_close(&idle);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(selecting.index, 1);
    cr_assert_eq(selecting.arms[1].result, -EPIPE);
    return 0;
}

static int wait_for_an_event(void *arg)
{
    lw_event event = LW_EVENT_INIT("put"), idle = LW_EVENT_INIT("idle");
    void *value = NULL, *other = NULL;
    struct selecting selecting = {{lw_arm_event(&event, &value), lw_arm_event(&idle, &other)}, -1};
    lw_task task = start_waiter(select_two, &selecting);

    (void)arg;
    lw_event_put(&event, &event);
    lw_event_clear(&event);
    lw_event_put(&idle, &idle);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(selecting.index, 0);
    cr_assert_eq(selecting.arms[0].result, 0);
    cr_assert_eq(value, &event, "the value that ended the wait");
    cr_assert_null(other);
    return 0;
}

static int end_with(void *arg)
{
    struct selecting *told = arg;

    return lw_event_wait(told->arms[0]._object, LW_FOREVER) < 0 ? -1 : 42;
}

static int wait_for_an_end(void *arg)
{
    lw_event go = LW_EVENT_INIT("go"), never = LW_EVENT_INIT("never");
    struct selecting told = {{lw_arm_event(&go, NULL)}, 0};
    struct selecting waits = {{lw_arm_event(&never, NULL)}, 0};
    lw_task ending = start_waiter(end_with, &told), staying = start_waiter(end_with, &waits);
    int status = 0, other = 0;
    struct selecting selecting = {{lw_arm_join(ending, &status), lw_arm_join(staying, &other)}, -1};
    lw_task task = start_waiter(select_two, &selecting);

    (void)arg;
    cr_assert_eq(lw_join(staying, NULL, LW_NOW), -EBUSY, "somebody waits for it");
    lw_event_set(&go);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(selecting.index, 0);
    cr_assert_eq(selecting.arms[0].result, 0);
    cr_assert_eq(status, 42);
    cr_assert_eq(other, 0);
    cr_assert_eq(lw_join(ending, NULL, LW_NOW), -ESRCH, "it was joined");
    lw_event_set(&never);
    cr_assert_eq(join_status(staying), 42, "it is joined as if nobody had waited");
    return 0;
}

/* Both have ended by the time the select runs: one is joined, the other is still to be. */
static int wait_for_two_ends(void *arg)
{
    lw_event go = LW_EVENT_INIT("go");
    struct selecting told = {{lw_arm_event(&go, NULL)}, 0};
    lw_task ending[2] = {start_waiter(end_with, &told), start_waiter(end_with, &told)};
    int status[2] = {0};
    struct selecting selecting = {
        {lw_arm_join(ending[0], &status[0]), lw_arm_join(ending[1], &status[1])}, -1};
    lw_task task = start_waiter(select_two, &selecting);
    int index;

    (void)arg;
    lw_event_set(&go);
    cr_assert_eq(join_status(task), 0);
    index = selecting.index;
    cr_assert(index == 0 || index == 1);
    cr_assert_eq(status[index], 42);
    cr_assert_eq(status[1 - index], 0);
    cr_assert_eq(lw_join(ending[index], NULL, LW_NOW), -ESRCH);
    cr_assert_eq(join_status(ending[1 - index]), 42);
    return 0;
}

Test(select, an_arm_that_is_served_ends_the_wait)
{
    run_all(wait_for_channels, NULL);
    run_all(wait_for_an_event, NULL);
    run_all(wait_for_an_end, NULL);
    run_all(wait_for_two_ends, NULL);
}

static int misuse_joins(void *arg)
{
    lw_event go = LW_EVENT_INIT("go");
    struct selecting told = {{lw_arm_event(&go, NULL)}, 0};
    lw_task ending = start_waiter(end_with, &told), detached;
    lw_arm arms[2] = {lw_arm_join(ending, NULL), lw_arm_join(ending, NULL)};
    lw_arm arm = lw_arm_join(lw_self(), NULL);

    (void)arg;
    cr_assert_eq(lw_select(arms, 2, LW_FOREVER), 1, "the same task twice");
    cr_assert_eq(arms[1].result, -EINVAL);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EDEADLK);
    arm = lw_arm_join((lw_task){0}, NULL);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -ESRCH);
    detached = start_waiter(end_with, &told);
    cr_assert_eq(lw_detach(detached), 0);
    arm = lw_arm_join(detached, NULL);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EINVAL);
    lw_event_set(&go);
    return join_status(ending) == 42 ? 0 : -1;
}

Test(select, an_arm_that_can_only_fail_happens_with_its_error)
{
    run_all(misuse_joins, NULL);
}

/* ---- cancel, timeout: nothing has happened, and nobody waits any more */

static int wait_in_vain(void *arg)
{
    struct selecting *selecting = arg;

    selecting->index = lw_select(selecting->arms, 2, lw_in(100 * LW_US));
    return 0;
}

static int end_without(void *arg)
{
    bool cancelled = *(bool *)arg;
    long item = 1;
    lw_channel meeting = LW_RENDEZVOUS_INIT("meeting", long);
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct selecting selecting = {{lw_arm_send(&meeting, &item), lw_arm_acquire(&mutex.lock)}, -1};
    lw_task task;

    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    if (cancelled) {
        task = start_waiter(select_two, &selecting);
        cr_assert_eq(lw_cancel(task), 0);
    } else {
        cr_assert_eq(lw_spawn(&task, wait_in_vain, &selecting, NULL), 0);
    }
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(selecting.index, cancelled ? -ECANCELED : -ETIMEDOUT);
    cr_assert_eq(lw_channel_receive(&meeting, &item, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(mutex.lock._word._value, 0);
    return 0;
}

Test(select, a_wait_that_is_cut_short_has_no_effect)
{
    run_all(end_without, &(bool){true});
    run_all(end_without, &(bool){false});
}

/* ---- a crowd that sends and receives through selects: every item arrives, once */

enum { CHANNELS = 3 };

struct exchange {
    lw_channel channels[CHANNELS];
    long room[2][2];
    long sent, received;
};

static void exchange_item(struct member *member)
{
    struct exchange *exchange = member->crowd->object;
    int first = (int)(random_draw(&member->random) % CHANNELS);
    int second = (int)(random_draw(&member->random) % CHANNELS);
    long out = (long)(random_draw(&member->random) % 1000 + 1), in[2] = {0};
    lw_arm arms[3] = {lw_arm_send(&exchange->channels[first], &out),
                      lw_arm_receive(&exchange->channels[second], &in[0]),
                      lw_arm_receive(&exchange->channels[first], &in[1])};
    int index = lw_select(arms, 3, random_deadline(member));

    if (index < 0) {
        cr_assert(is_interruption(index));
        cr_assert(in[0] == 0 && in[1] == 0);
        return;
    }
    cr_assert_eq(arms[index].result, 0);
    if (index == 0)
        __atomic_add_fetch(&exchange->sent, out, __ATOMIC_SEQ_CST);
    else
        __atomic_add_fetch(&exchange->received, in[index - 1], __ATOMIC_SEQ_CST);
    cr_assert(index == 1 || in[0] == 0);
    cr_assert(index == 2 || in[1] == 0);
}

static void exchange_items(struct member *member)
{
    for (long i = rounds(300); i > 0; i--)
        exchange_item(member);
}

static int crowd_exchanges(void *arg)
{
    struct exchange exchange = {.channels = {LW_RENDEZVOUS_INIT("meeting", long)}};
    struct crowd crowd = {.tasks = 6, .threads = 2, .cancels = true, .act = exchange_items,
                          .object = &exchange, .seed = *(uint64_t *)arg};
    long rest = 0, item;

    lw_channel_init(&exchange.channels[1], "one", exchange.room[0], sizeof(long), 1);
    lw_channel_init(&exchange.channels[2], "two", exchange.room[1], sizeof(long), 2);
    crowd.threads = 0; /* one that waits for ever could be the last */
    for (int i = 0; i < CHANNELS; i++)
        cr_assert_eq(lw_channel_count(&exchange.channels[i]), 0);
    crowd_run(&crowd);
    for (int i = 0; i < CHANNELS; i++)
        while (lw_channel_receive(&exchange.channels[i], &item, LW_NOW) == 0)
            rest += item;
    cr_assert_eq(exchange.sent, exchange.received + rest);
    for (int i = 0; i < CHANNELS; i++) {
        cr_assert_null(exchange.channels[i]._senders);
        cr_assert_null(exchange.channels[i].wait._queue);
    }
    return 0;
}

Test(select, every_item_arrives_once)
{
    run_all(crowd_exchanges, &(uint64_t){1});
}
