/* SPDX-License-Identifier: MIT */
/* yield2 and yield1000: so many tasks that do nothing but let the others run. */
#include "crowd.h"

#include <stdatomic.h>

enum { MANY = 1000 };

struct yields {
    long each;
    _Atomic long done;
};

static int yielder(void *arg)
{
    struct yields *yields = ((struct member *)arg)->shared;
    long i = 0;

    for (; i < yields->each; i++)
        lw_yield();
    atomic_fetch_add_explicit(&yields->done, i, memory_order_relaxed); /* the join orders it */
    return 0;
}

static double run(long count, long each)
{
    struct yields yields = { .each = each };
    double ns = crowd_run(count, yielder, &yields);
    long done = atomic_load_explicit(&yields.done, memory_order_relaxed);

    if (done != count * each)
        bench_fail("%ld of %ld yields", done, count * each);
    return ns / (double)done;
}

int yield2(void *arg)
{
    struct bench *bench = arg;

    (void)run(2, bench->n / 20);
    bench_add(bench, "", run(2, bench->n / 2), "ns");
    return 0;
}

int yield1000(void *arg)
{
    struct bench *bench = arg;

    (void)run(MANY, bench->n / MANY / 10 + 1);
    bench_add(bench, "", run(MANY, bench->n / MANY), "ns");
    return 0;
}
