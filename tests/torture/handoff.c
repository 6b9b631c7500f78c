/* SPDX-License-Identifier: MIT */
/* What is sent is received: each item that a send took is received once, in its sender's order,
 * and none of those that a send refused, by timeout, cancel or close.
 *
 * The oracle is the sum of a hash of all items on both sides: that finds one lost and another
 * doubled, too.  Channels have room for none, one and seven items; at a lap's end they are closed
 * and drained. */
#include "tests/torture/torture.h"

#include <string.h>

enum { SENT = 1, RECEIVED, SUM_SENT, SUM_RECEIVED, REFUSED };
enum { CHANNELS = 3, SERIAL_BITS = 48, TASKS = 24, GUESTS = 4, ACTORS = TASKS + GUESTS };

static uint64_t one[1], seven[7];
static lw_channel channels[CHANNELS];
static bool closed;
/* The last serial number of each sender on each channel; written by one actor each. */
static uint64_t serials[ACTORS], last[ACTORS][CHANNELS][ACTORS];

static void setup(void)
{
    channels[0] = (lw_channel)LW_RENDEZVOUS_INIT("none", uint64_t);
    channels[1] = (lw_channel)LW_CHANNEL_INIT("one", one);
    channels[2] = (lw_channel)LW_CHANNEL_INIT("seven", seven);
    memset(serials, 0, sizeof serials);
    memset(last, 0, sizeof last);
    lw_store_rel(&closed, false);
}

static uint64_t hash(uint64_t item)
{
    return draw(&item);
}

static bool send_item(struct actor *actor, int channel)
{
    uint64_t item = (uint64_t)actor->index << SERIAL_BITS | ++serials[actor->index];
    int err = lw_channel_send(&channels[channel], &item, draw_deadline(&actor->random));

    count(actor, err == 0 ? SENT : REFUSED, 1);
    if (err == 0)
        count(actor, SUM_SENT, hash(item));
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == -EPIPE, "a send returned %d",
          err);
    CHECK(err != -EPIPE || lw_load_acq(&closed), "an open channel was closed");
    return err != -EPIPE;
}

static void note(struct actor *actor, int channel, uint64_t item)
{
    uint64_t sender = item >> SERIAL_BITS, serial = item & ((UINT64_C(1) << SERIAL_BITS) - 1);

    CHECK(sender < ACTORS, "item %llx was never sent", ull(item));
    CHECK(serial > last[actor->index][channel][sender], "%llu came after %llu of actor %llu",
          ull(serial), ull(last[actor->index][channel][sender]), ull(sender));
    last[actor->index][channel][sender] = serial;
    count(actor, RECEIVED, 1);
    count(actor, SUM_RECEIVED, hash(item));
}

static bool receive_item(struct actor *actor, int channel)
{
    uint64_t item = UINT64_MAX;
    int err = lw_channel_receive(&channels[channel], &item, draw_deadline(&actor->random));

    if (err == 0 && !BROKEN(1, &actor->random, 1000))
        note(actor, channel, item);
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == -EPIPE,
          "a receive returned %d", err);
    CHECK(err != -EPIPE || lw_load_acq(&closed), "an open channel was closed");
    return err != -EPIPE;
}

/* Odd actors receive, even ones send; both sides have guests. */
static bool act(struct actor *actor)
{
    int channel = (int)(draw(&actor->random) % CHANNELS);
    bool more = actor->index % 2 == 0 ? send_item(actor, channel) : receive_item(actor, channel);

    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 16 == 0)
        give_way();
    return more;
}

static void finish(void)
{
    lw_store_rel(&closed, true);
    for (int i = 0; i < CHANNELS; i++)
        lw_channel_close(&channels[i]);
}

static void check(void)
{
    struct actor *actor = torture_actor(1);
    uint64_t item;

    memset(last, 0, sizeof last); /* actor 1 now comes after the others */
    for (int i = 0; i < CHANNELS; i++) {
        while (lw_channel_receive(&channels[i], &item, LW_NOW) == 0)
            note(actor, i, item);
        CHECK(lw_channel_receive(&channels[i], &item, LW_NOW) == -EPIPE, "channel %d", i);
    }
    CHECK(torture_sum(SENT) == torture_sum(RECEIVED), "%llu sent, %llu received",
          ull(torture_sum(SENT)), ull(torture_sum(RECEIVED)));
    CHECK(torture_sum(SUM_SENT) == torture_sum(SUM_RECEIVED), "the sums differ");
}

static void report(void)
{
    (void)printf("%llu sent and received, sum %016llx on both sides, %llu refused",
                 ull(torture_total(SENT)), ull(torture_total(SUM_RECEIVED)),
                 ull(torture_total(REFUSED)));
}

const struct torture torture = {
    .name = "handoff",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
