/* SPDX-License-Identifier: MIT */
/* wake: a plain thread posts what a task waits for, and waits for the answer.  Nothing else
 * runs, so this is the time it takes to get an idle worker going, and, in the CPU per round
 * trip, what it costs to be quick. */
#include "workloads.h"

#include <pthread.h>

struct exchange {
    lw_semaphore to, fro;
    long n, answered;
    double ns, cpu;
};

static void *post(void *arg)
{
    struct exchange *exchange = arg;
    int64_t began = bench_now(), used = bench_cpu();

    for (long i = 0; i < exchange->n; i++) {
        bench_check(lw_semaphore_release(&exchange->to, 1), "release");
        bench_check(lw_semaphore_acquire(&exchange->fro, 1, LW_FOREVER), "acquire");
        if (exchange->answered != i + 1)
            bench_fail("answer %ld came as number %ld", exchange->answered, i + 1);
    }
    exchange->ns = (double)(bench_now() - began) / (double)exchange->n;
    exchange->cpu = (double)(bench_cpu() - used) / (double)exchange->n;
    return NULL;
}

static struct exchange round_trips(long n)
{
    struct exchange exchange = {
        .to = LW_SEMAPHORE_INIT("to", 0), .fro = LW_SEMAPHORE_INIT("fro", 0), .n = n
    };
    pthread_t poster;

    bench_check(-pthread_create(&poster, NULL, post, &exchange), "pthread_create");
    for (long i = 0; i < n; i++) {
        bench_check(lw_semaphore_acquire(&exchange.to, 1, LW_FOREVER), "acquire");
        exchange.answered++;
        bench_check(lw_semaphore_release(&exchange.fro, 1), "release");
    }
    pthread_join(poster, NULL); /* it has its last answer: this hardly waits */
    return exchange;
}

int wake(void *arg)
{
    struct bench *bench = arg;

    (void)round_trips(bench->n / 10 + 1);
    struct exchange exchange = round_trips(bench->n);
    bench_add(bench, "time", exchange.ns / 1e3, "us");
    bench_add(bench, "cpu", exchange.cpu / 1e3, "us");
    return 0;
}
