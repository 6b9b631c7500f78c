/* SPDX-License-Identifier: MIT */
/* pingpong: one token over two rendezvous channels.  chan: four producers and four consumers on
 * one channel of 128 messages. */
#include "crowd.h"

#include <stdatomic.h>

enum { CAPACITY = 128, PAIRS = 4 };

struct table {
    lw_channel to, fro;
    long n;
};

static int player(void *arg)
{
    const struct member *member = arg;
    struct table *table = member->shared;
    bool serves = member->number == 0;
    lw_channel *mine = serves ? &table->fro : &table->to;

    for (long i = 0; i < table->n; i++) {
        long got;

        if (serves)
            bench_check(lw_channel_send(&table->to, &i, LW_FOREVER), "send");
        bench_check(lw_channel_receive(mine, &got, LW_FOREVER), "receive");
        if (got != i)
            bench_fail("token %ld instead of %ld", got, i);
        if (!serves)
            bench_check(lw_channel_send(&table->fro, &got, LW_FOREVER), "send");
    }
    return 0;
}

static double round_trips(long n)
{
    struct table table = {
        .to = LW_RENDEZVOUS_INIT("to", long),
        .fro = LW_RENDEZVOUS_INIT("fro", long),
        .n = n,
    };

    return crowd_run(2, player, &table) / (double)n;
}

int pingpong(void *arg)
{
    struct bench *bench = arg;

    (void)round_trips(bench->n / 10 + 1);
    bench_add(bench, "", round_trips(bench->n), "ns");
    return 0;
}

struct line {
    lw_channel channel;
    uint64_t each;
    _Atomic uint64_t sum;
};

static int worker(void *arg)
{
    const struct member *member = arg;
    struct line *line = member->shared;
    uint64_t mine = 0;

    if (member->number < PAIRS) {
        for (uint64_t sent = 1; sent <= line->each; sent++)
            bench_check(lw_channel_send(&line->channel, &sent, LW_FOREVER), "send");
        return 0;
    }
    for (uint64_t received = 0; received < line->each; received++) {
        uint64_t got;

        bench_check(lw_channel_receive(&line->channel, &got, LW_FOREVER), "receive");
        mine += got;
    }
    atomic_fetch_add_explicit(&line->sum, mine, memory_order_relaxed); /* the join orders it */
    return 0;
}

static double messages(long n)
{
    static uint64_t items[CAPACITY];
    struct line line = { .channel = LW_CHANNEL_INIT("line", items), .each = (uint64_t)n / PAIRS };
    double ns = crowd_run(2 * PAIRS, worker, &line);

    if (atomic_load_explicit(&line.sum, memory_order_relaxed) !=
        line.each * (line.each + 1) / 2 * PAIRS)
        bench_fail("the sum of the messages is wrong");
    return ns / (double)(line.each * PAIRS);
}

int chan(void *arg)
{
    struct bench *bench = arg;

    (void)messages(bench->n / 10 + PAIRS);
    bench_add(bench, "", messages(bench->n), "ns");
    return 0;
}
