/* SPDX-License-Identifier: MIT */
/* The laws of lw_channel. */
#include "tests/primitives/crowd.h"

TestSuite(channel, .init = watchdog);

static void assert_idle(lw_channel *channel, uint64_t word)
{
    cr_assert_eq(lw_channel_count(channel), 0);
    cr_assert_eq(lw_load_acq(&channel->wait._word._value), word);
    cr_assert_null(channel->wait._queue);
    cr_assert_null(channel->_senders);
}

/* ---- what is sent is received, once, also when waits end early */

struct trade {
    lw_channel channel;
    uint64_t sent, received, sent_sum, received_sum;
    int senders;
};

static void act_sending(struct member *member, struct trade *trade)
{
    for (int i = 0; i < 60; i++) {
        uint64_t item = random_draw(&member->random);
        int err = lw_channel_send(&trade->channel, &item, random_deadline(member));

        cr_assert(err == 0 || is_interruption(err), "%d", err);
        if (err == 0) {
            (void)__atomic_add_fetch(&trade->sent, 1, __ATOMIC_RELAXED);
            (void)__atomic_add_fetch(&trade->sent_sum, item, __ATOMIC_RELAXED);
        }
        maybe_yield(member);
    }
    if (__atomic_sub_fetch(&trade->senders, 1, __ATOMIC_ACQ_REL) == 0)
        lw_channel_close(&trade->channel);
}

static void act_trading(struct member *member)
{
    struct trade *trade = member->crowd->object;
    int err;

    if (member->index % 2 == 0) {
        act_sending(member, trade);
        return;
    }
    do {
        uint64_t item = 0;

        err = lw_channel_receive(&trade->channel, &item, random_deadline(member));
        cr_assert(err == 0 || err == -EPIPE || is_interruption(err), "%d", err);
        if (err == 0) {
            (void)__atomic_add_fetch(&trade->received, 1, __ATOMIC_RELAXED);
            (void)__atomic_add_fetch(&trade->received_sum, item, __ATOMIC_RELAXED);
        } else {
            maybe_yield(member);
        }
    } while (err != -EPIPE);
}

static int crowds(void *arg)
{
    size_t capacity = *(size_t *)arg;
    uint64_t items[8];

    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        struct trade trade = {.senders = 7};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_trading,
                              .object = &trade,
                              .seed = seed};

        lw_channel_init(&trade.channel, "trade", items, sizeof items[0], capacity);
        crowd_run(&crowd);
        cr_assert_eq(trade.sent, trade.received);
        cr_assert_eq(trade.sent_sum, trade.received_sum);
        cr_assert(lw_channel_closed(&trade.channel));
        assert_idle(&trade.channel, 8);
    }
    return 0;
}

Test(channel, items_are_conserved_without_room)
{
    size_t capacity = 0;
    run_all(crowds, &capacity);
}

Test(channel, items_are_conserved_with_room_for_one)
{
    size_t capacity = 1;
    run_all(crowds, &capacity);
}

Test(channel, items_are_conserved_with_room)
{
    size_t capacity = 8;
    run_all(crowds, &capacity);
}

/* ---- order */

struct stream {
    lw_channel channel;
    int count;
};

static int send_numbers(void *arg)
{
    struct stream *stream = arg;

    for (int i = 0; i < stream->count; i++)
        cr_assert_eq(lw_channel_send(&stream->channel, &i, LW_FOREVER), 0);
    lw_channel_close(&stream->channel);
    return 0;
}

static int receive_numbers(void *arg)
{
    int items[3], got;

    (void)arg;
    for (size_t capacity = 0; capacity <= 3; capacity++) { /* across the wrap, many times */
        struct stream stream = {.count = 1000};
        lw_task sender;

        lw_channel_init(&stream.channel, "numbers", items, sizeof items[0], capacity);
        cr_assert_eq(lw_spawn(&sender, send_numbers, &stream, NULL), 0);
        for (int i = 0; i < stream.count; i++) {
            cr_assert_eq(lw_channel_receive(&stream.channel, &got, LW_FOREVER), 0);
            cr_assert_eq(got, i);
            cr_assert_leq(lw_channel_count(&stream.channel), capacity);
        }
        cr_assert_eq(lw_channel_receive(&stream.channel, &got, LW_FOREVER), -EPIPE);
        cr_assert_eq(join_status(sender), 0);
    }
    return 0;
}

Test(channel, items_come_in_the_order_they_were_sent)
{
    run_all(receive_numbers, NULL);
}

struct end {
    lw_channel *channel;
    int item, err;
};

static int send_one(void *arg)
{
    struct end *end = arg;

    return lw_channel_send(end->channel, &end->item, LW_FOREVER);
}

static int receive_one(void *arg)
{
    struct end *end = arg;

    return lw_channel_receive(end->channel, &end->item, LW_FOREVER);
}

static int serve_in_order(void *arg)
{
    int items[2], got;
    lw_channel channel = LW_CHANNEL_INIT("order", items);
    struct end ends[5];
    lw_task tasks[5];

    (void)arg;
    for (int i = 0; i < 5; i++) { /* three of them wait */
        ends[i] = (struct end){&channel, i, 0};
        if (i >= 2)
            tasks[i] = start_waiter(send_one, &ends[i]);
        else
            cr_assert_eq(lw_channel_send(&channel, &i, LW_NOW), 0);
    }
    cr_assert_eq(lw_channel_send(&channel, &got, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_cancel(tasks[3]), 0);
    cr_assert_eq(join_status(tasks[3]), -ECANCELED);
    for (int i = 0; i < 5; i++) {
        if (i == 3)
            continue;
        cr_assert_eq(lw_channel_receive(&channel, &got, LW_NOW), 0);
        cr_assert_eq(got, i);
    }
    cr_assert_eq(join_status(tasks[2]), 0);
    cr_assert_eq(join_status(tasks[4]), 0);
    assert_idle(&channel, 0);

    for (int i = 0; i < 5; i++) {
        ends[i] = (struct end){&channel, -1, 0};
        tasks[i] = start_waiter(receive_one, &ends[i]);
    }
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_channel_send(&channel, &i, LW_NOW), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(join_status(tasks[i]), 0);
        cr_assert_eq(ends[i].item, i);
    }
    assert_idle(&channel, 0);
    return 0;
}

Test(channel, both_sides_are_served_in_order)
{
    run_all(serve_in_order, NULL);
}

static int meet(void *arg)
{
    lw_channel channel = LW_RENDEZVOUS_INIT("meet", int);
    struct end sender = {&channel, 77, 0};
    int got = 0;
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_channel_send(&channel, &got, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_channel_receive(&channel, &got, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_channel_receive(&channel, &got, lw_in(LW_MS)), -ETIMEDOUT);
    task = start_waiter(send_one, &sender);
    cr_assert_eq(lw_channel_count(&channel), 0);
    cr_assert_eq(lw_channel_receive(&channel, &got, LW_NOW), 0);
    cr_assert_eq(got, 77);
    cr_assert_eq(join_status(task), 0);
    assert_idle(&channel, 0);
    return 0;
}

Test(channel, a_rendezvous_holds_nothing)
{
    run_all(meet, NULL);
}

/* ---- sizes */

static int pass_sizes(void *arg)
{
    static const size_t sizes[] = {1, 2, 3, 4, 7, 8, 12, 16, 17, 200};
    unsigned char items[3 * 200 + 1], in[201], out[201];

    (void)arg;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        lw_channel channel;

        items[3 * sizes[s]] = 0xa5;
        lw_channel_init(&channel, "sizes", items, sizes[s], 3);
        for (unsigned i = 0; i < 10; i++) {
            memset(in, (int)i + 1, sizeof in);
            memset(out, 0, sizeof out);
            cr_assert_eq(lw_channel_send(&channel, in, LW_NOW), 0);
            cr_assert_eq(lw_channel_receive(&channel, out, LW_NOW), 0);
            cr_assert_arr_eq(in, out, sizes[s]);
            cr_assert_eq(out[sizes[s]], 0);
        }
        cr_assert_eq(items[3 * sizes[s]], 0xa5);
    }
    return 0;
}

Test(channel, items_of_any_size_arrive_whole)
{
    run_with(1, pass_sizes, NULL);
}

/* ---- the end */

static int close_both_sides(void *arg)
{
    int items[2], got;
    lw_channel channel = LW_CHANNEL_INIT("closed", items);
    struct end ends[4];
    lw_task tasks[4];

    (void)arg;
    for (int i = 0; i < 4; i++) {
        ends[i] = (struct end){&channel, i, 0};
        if (i >= 2)
            tasks[i] = start_waiter(send_one, &ends[i]);
        else
            cr_assert_eq(lw_channel_send(&channel, &i, LW_NOW), 0);
    }
    cr_assert_not(lw_channel_closed(&channel));
    lw_channel_close(&channel);
    lw_channel_close(&channel);
    cr_assert(lw_channel_closed(&channel));
    cr_assert_eq(join_status(tasks[2]), -EPIPE);
    cr_assert_eq(join_status(tasks[3]), -EPIPE);
    cr_assert_eq(lw_channel_send(&channel, &got, LW_FOREVER), -EPIPE);
    for (int i = 0; i < 2; i++) { /* what was sent is not lost */
        cr_assert_eq(lw_channel_receive(&channel, &got, LW_FOREVER), 0);
        cr_assert_eq(got, i);
    }
    cr_assert_eq(lw_channel_receive(&channel, &got, LW_FOREVER), -EPIPE);
    cr_assert_eq(lw_channel_receive(&channel, &got, LW_NOW), -EPIPE);
    assert_idle(&channel, 8);

    channel = (lw_channel)LW_CHANNEL_INIT("again", items);
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(receive_one, &ends[i]);
    lw_channel_close(&channel);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), -EPIPE);
    assert_idle(&channel, 8);
    return 0;
}

Test(channel, close_ends_all_waits_and_loses_nothing)
{
    run_all(close_both_sides, NULL);
}

static int broadcast_to_some(void *arg)
{
    int items[2], item = 9;
    lw_channel channel = LW_CHANNEL_INIT("broadcast", items);
    struct end ends[4];
    lw_task tasks[4];

    (void)arg;
    cr_assert_eq(lw_channel_broadcast(&channel, &item), 0);
    assert_idle(&channel, 0);
    for (int i = 0; i < 4; i++) {
        ends[i] = (struct end){&channel, -1, 0};
        tasks[i] = start_waiter(receive_one, &ends[i]);
    }
    cr_assert_eq(lw_cancel(tasks[1]), 0);
    cr_assert_eq(join_status(tasks[1]), -ECANCELED);
    cr_assert_eq(lw_channel_broadcast(&channel, &item), 3);
    for (int i = 0; i < 4; i++) {
        if (i != 1)
            cr_assert_eq(join_status(tasks[i]), 0);
        cr_assert_eq(ends[i].item, i == 1 ? -1 : 9);
    }
    assert_idle(&channel, 0);
    return 0;
}

Test(channel, a_broadcast_reaches_those_who_wait_and_is_not_kept)
{
    run_all(broadcast_to_some, NULL);
}

static int receive_and_free(void *arg)
{
    lw_channel *channel = arg;
    int item = 0, err = lw_channel_receive(channel, &item, LW_FOREVER);

    free(channel);
    return err < 0 ? err : item;
}

static int send_and_forget(void *arg)
{
    int items[1], item = 5;

    (void)arg;
    for (long round = 0; round < rounds(500); round++) {
        lw_channel *channel = malloc(sizeof *channel);
        lw_task task;

        lw_channel_init(channel, "once", items, sizeof items[0], round % 2 == 0);
        cr_assert_eq(lw_spawn(&task, receive_and_free, channel, NULL), 0);
        if (round % 3 == 0)
            AWAIT(is_waiting(task));
        cr_assert_eq(lw_channel_send(channel, &item, LW_FOREVER), 0);
        cr_assert_eq(join_status(task), 5);
    }
    return 0;
}

Test(channel, who_received_the_last_may_free_it)
{
    run_all(send_and_forget, NULL);
}

static int use_zeroed(void *arg)
{
    lw_channel channel = {0};
    int item = 0;

    (void)arg;
    cr_assert_eq(lw_channel_send(&channel, &item, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_channel_receive(&channel, &item, LW_FOREVER), -EINVAL);
    return 0;
}

Test(channel, a_zeroed_one_is_refused)
{
    run_with(1, use_zeroed, NULL);
}
