/* SPDX-License-Identifier: MIT */
/* select2 and select4: one task selects from so many channels of 128 messages, each with a producer
 * of its own.  select2_timeout: the same with a deadline that does not pass. */
#include "crowd.h"

#include <string.h>

enum { CAPACITY = 128, CHANNELS_MAX = 4 };

struct lines {
    lw_channel channels[CHANNELS_MAX];
    uint64_t items[CHANNELS_MAX][CAPACITY];
    long count;
    uint64_t each, sum;
    lw_nsec timeout; /* 0: none */
};

static int produce(struct lines *lines, long number)
{
    for (uint64_t sent = 1; sent <= lines->each; sent++)
        bench_check(lw_channel_send(&lines->channels[number], &sent, LW_FOREVER), "send");
    return 0;
}

static int consume(struct lines *lines)
{
    uint64_t got[CHANNELS_MAX], all = lines->each * (uint64_t)lines->count;
    lw_arm arms[CHANNELS_MAX];

    for (long i = 0; i < lines->count; i++)
        arms[i] = lw_arm_receive(&lines->channels[i], &got[i]);
    for (uint64_t received = 0; received < all; received++) {
        lw_nsec end = lines->timeout != 0 ? lw_in(lines->timeout) : LW_FOREVER;
        int index = lw_select(arms, (size_t)lines->count, end);

        bench_check(index, "select");
        bench_check(arms[index].result, "receive");
        lines->sum += got[index];
    }
    return 0;
}

static int side(void *arg)
{
    const struct member *member = arg;
    struct lines *lines = member->shared;

    return member->number < lines->count ? produce(lines, member->number) : consume(lines);
}

static double messages(long n, long count, lw_nsec timeout)
{
    static struct lines lines;

    lines = (struct lines){ .count = count, .each = (uint64_t)(n / count), .timeout = timeout };
    for (long i = 0; i < count; i++)
        lw_channel_init(&lines.channels[i], "line", lines.items[i], sizeof *lines.items[i],
                        CAPACITY);

    double ns = crowd_run(count + 1, side, &lines);
    if (lines.sum != lines.each * (lines.each + 1) / 2 * (uint64_t)count)
        bench_fail("the sum of the messages is wrong");
    return ns / (double)(lines.each * (uint64_t)count);
}

int selects(void *arg)
{
    struct bench *bench = arg;
    long count = bench->workload[strlen("select")] - '0';
    lw_nsec timeout = strstr(bench->workload, "timeout") != NULL ? 60 * LW_SEC : 0;

    (void)messages(bench->n / 10 + count, count, timeout);
    bench_add(bench, "", messages(bench->n, count, timeout), "ns");
    return 0;
}
