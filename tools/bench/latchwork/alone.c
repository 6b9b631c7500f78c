/* SPDX-License-Identifier: MIT */
/* What a task does alone and never waits for.  rate_limit1: a token of many.  once1: what has been
 * done.  event1: sets an event, waits for it, clears it. */
#include "workloads.h"

/* So many that they never run out; a second brings one more. */
#define TOKENS 1e12

static double acquires(long n)
{
    lw_rate_limit limit;

    bench_check(lw_rate_limit_init(&limit, "tokens", 1, TOKENS, 0), "init");
    int64_t began = bench_now();
    for (long i = 0; i < n; i++)
        bench_check(lw_rate_limit_acquire(&limit, 1, LW_FOREVER), "acquire");
    double ns = (double)(bench_now() - began);
    double taken = TOKENS - lw_rate_limit_tokens(&limit);
    if (taken > (double)n || taken < (double)n - ns * 1e-9 - 1)
        bench_fail("%.0f tokens are gone instead of %ld", taken, n);
    return ns / (double)n;
}

int rate_limit1(void *arg)
{
    struct bench *bench = arg;

    (void)acquires(bench->n / 10 + 1);
    bench_add(bench, "", acquires(bench->n), "ns");
    return 0;
}

static int count(void *counter)
{
    return (int)++*(long *)counter;
}

static double runs(long n)
{
    lw_once once = LW_ONCE_INIT("count");
    long counter = 0;
    int64_t began = bench_now();

    for (long i = 0; i < n; i++)
        bench_check(lw_once_run(&once, count, &counter, LW_FOREVER), "once");
    double ns = (double)(bench_now() - began);
    if (counter != 1)
        bench_fail("done %ld times", counter);
    return ns / (double)n;
}

int once1(void *arg)
{
    struct bench *bench = arg;

    (void)runs(bench->n / 10 + 1);
    bench_add(bench, "", runs(bench->n), "ns");
    return 0;
}

static double signals(long n)
{
    lw_event event = LW_EVENT_INIT("signal");
    int64_t began = bench_now();

    for (long i = 0; i < n; i++) {
        lw_event_set(&event);
        bench_check(lw_event_wait(&event, LW_FOREVER), "wait");
        lw_event_clear(&event);
    }
    double ns = (double)(bench_now() - began);
    if (lw_event_is_set(&event))
        bench_fail("the event is still set");
    return ns / (double)n;
}

int event1(void *arg)
{
    struct bench *bench = arg;

    (void)signals(bench->n / 10 + 1);
    bench_add(bench, "", signals(bench->n), "ns");
    return 0;
}
