/* SPDX-License-Identifier: MIT */
/* Channels that nobody receives from any more, or sends to.  Channel 0 and 1 are rendezvous, 2 has
 * room for one item. */
#include "tests/corpus/stage.h"

/* ---- one that sends, or receives, and whose partner went another way */

static int send_result(struct player *me)
{
    meet(me);
    return send_to(0);
}

static int receive_end(struct player *me)
{
    meet(me);
    return receive_from(0);
}

static int time_out(struct player *me)
{
    meet(me);
    return 0;
}

/* With what it got before: a failed start, an error that was received instead. */
static int receive_one_and_leave(struct player *me)
{
    meet(me);
    return receive_from(0);
}

static int send_two(struct player *me)
{
    meet(me);
    TRY(send_to(0));
    return send_to(0);
}

/* ---- cockroach#24808: what is full already is sent to by who would receive. */

static int fill_and_start(struct player *me)
{
    meet(me);
    TRY(send_to(2));
    return send_to(2);
}

/* ---- cockroach#25456: it asks whether an end has begun by waiting for it. */

static int ask_for_end(struct player *me)
{
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

/* ---- etcd#6857: asked after it has stopped. */

static int stop_node(struct player *me)
{
    meet(me);
    TRY(send_to(0));
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

static int run_node(struct player *me)
{
    meet(me);
    TRY(receive_from(0));
    lw_event_set(&stage.events[0]);
    return 0;
}

static int ask_for_status(struct player *me)
{
    meet(me);
    TRY(lw_event_wait(&stage.events[0], LW_FOREVER));
    return send_to(1);
}

/* ---- cockroach#35931: one of two streams is full, and the other one is read. */

static int cancel_streams(struct player *me)
{
    TRY(send_to(2));
    meet(me);
    TRY(send_to(2));
    return send_to(0);
}

static int read_other_stream(struct player *me)
{
    meet(me);
    return receive_from(0);
}

/* ---- syncthing#5795: a loop that closes a connection waits for its own end. */

static int dispatch_and_close(struct player *me)
{
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

static int close_connection(struct player *me)
{
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

/* ---- grpc#1275: it waits for a stream to end, whose reader waits for something to read. */

static int read_stream(struct player *me)
{
    meet(me);
    TRY(receive_from(0));
    lw_event_set(&stage.events[0]);
    return 0;
}

static int await_stream(struct player *me)
{
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

/* ---- each receives first, and sends then */

static int receive_then_send(struct player *me)
{
    meet(me);
    TRY(receive_from(me->index));
    return send_to(1 - me->index);
}

#define LEAK(stays, ...) \
    .kind = COMMUNICATION, .says = NOT_SEEN, .members = (stays), .tasks = 7, .roles = {__VA_ARGS__}

const struct kernel corpus_channels[] = {
    {.name = "cockroach#13197", .what = "waits for an end that nobody tells",
     LEAK(1, receive_end, time_out)},
    {.name = "cockroach#24808", .what = "sends to itself, and it is full", LEAK(1, fill_and_start)},
    {.name = "cockroach#25456", .what = "asks for an event by waiting for it",
     LEAK(1, ask_for_end, time_out)},
    {.name = "cockroach#35931", .what = "one of two streams is full",
     LEAK(3, cancel_streams, read_other_stream)},
    {.name = "etcd#6857", .what = "asks after the end",
     LEAK(4, stop_node, run_node, ask_for_status)},
    {.name = "grpc#660", .what = "sends its result to nobody", LEAK(2, time_out, send_result)},
    {.name = "grpc#1275", .what = "its reader has nothing to read",
     LEAK(3, read_stream, await_stream)},
    {.name = "istio#17860", .what = "two send, one is heard",
     LEAK(1, send_two, receive_one_and_leave)},
    {.name = "kubernetes#5316", .what = "the time is over before the result is there",
     LEAK(2, time_out, send_result)},
    {.name = "kubernetes#38669", .what = "nobody sends", LEAK(1, receive_end)},
    {.name = "moby#33293", .what = "sends an error to nobody", LEAK(1, send_result)},
    {.name = "syncthing#5795", .what = "waits for its own end",
     LEAK(3, dispatch_and_close, close_connection)},
    {.name = "each receives first", .what = "and would send then",
     LEAK(3, receive_then_send, receive_then_send)},
    {0},
};
