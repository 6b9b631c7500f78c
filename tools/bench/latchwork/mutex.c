/* SPDX-License-Identifier: MIT */
/* mutex1: a task alone acquires and releases.  mutex64: 64 tasks count under one mutex. */
#include "crowd.h"

enum { CROWD = 64 };

struct counted {
    lw_mutex mutex;
    long count, each;
};

static int count(void *arg)
{
    struct counted *counted = ((struct member *)arg)->shared;

    for (long i = 0; i < counted->each; i++) {
        bench_check(lw_mutex_acquire(&counted->mutex, LW_FOREVER), "acquire");
        counted->count++;
        bench_check(lw_mutex_release(&counted->mutex), "release");
    }
    return 0;
}

static double run(long crowd, long each)
{
    struct counted counted = { .mutex = LW_MUTEX_INIT("count"), .each = each };
    double ns = crowd_run(crowd, count, &counted);

    if (counted.count != crowd * each)
        bench_fail("counted %ld instead of %ld", counted.count, crowd * each);
    return ns / (double)counted.count;
}

int mutex1(void *arg)
{
    struct bench *bench = arg;

    (void)run(1, bench->n / 10 + 1);
    bench_add(bench, "", run(1, bench->n), "ns");
    return 0;
}

int mutex64(void *arg)
{
    struct bench *bench = arg;

    (void)run(CROWD, bench->n / CROWD / 10 + 1);
    bench_add(bench, "", run(CROWD, bench->n / CROWD), "ns");
    return 0;
}
