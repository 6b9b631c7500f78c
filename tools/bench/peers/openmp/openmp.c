/* SPDX-License-Identifier: MIT */
/* OpenMP tasks, as the compiler's own run-time library has them.  These are not stackful: a task
 * runs on the stack of the thread that takes it and waits only for its children.  GCC's library
 * runs a task in place when the team has one thread or more than 64 tasks per thread are queued;
 * that is how it is used, so that is what is measured. */
#include "bench.h"

#include <omp.h>
#include <stddef.h>

enum { BATCH = 1000, SKYNET_WIDTH = 10 };

static double spawn(unsigned workers, long n, long batch)
{
    int64_t began = bench_now();

#pragma omp parallel num_threads(workers)
#pragma omp single
    for (long done = 0; done < n; done += batch) {
        for (long i = 0; i < batch; i++) {
#pragma omp task
            bench_child();
        }
#pragma omp taskwait
    }

    double ns = (double)(bench_now() - began);
    long total = bench_children();
    if (total != n)
        bench_fail("%ld of %ld children ran", total, n);
    return ns / (double)n;
}

static void spawn_batch(struct bench *bench)
{
    long batches = bench->n < BATCH ? 1 : bench->n / BATCH;

    (void)spawn(bench->workers, (batches < 10 ? 1 : batches / 10) * BATCH, BATCH);
    bench_add(bench, "", spawn(bench->workers, batches * BATCH, BATCH), "ns");
}

static void spawn_all(struct bench *bench)
{
    (void)spawn(bench->workers, bench->n, bench->n);
    bench_add(bench, "", spawn(bench->workers, bench->n, bench->n), "ns");
}

static long fib_task(int n)
{
    long left, right;

    if (n < 2)
        return n;
#pragma omp task shared(left)
    left = fib_task(n - 1);
    right = fib_task(n - 2);
#pragma omp taskwait
    return left + right;
}

static double fib_once(unsigned workers, int n)
{
    long result = 0;
    int64_t began = bench_now();

#pragma omp parallel num_threads(workers)
#pragma omp single
    result = fib_task(n);

    double ns = (double)(bench_now() - began);
    if (result != bench_fib(n))
        bench_fail("fib(%d) = %ld", n, result);
    return ns / (double)bench_fib_spawns(n);
}

static void fib(struct bench *bench)
{
    (void)fib_once(bench->workers, (int)bench->n);
    bench_add(bench, "", fib_once(bench->workers, (int)bench->n), "ns");
}

static long skynet_task(long number, long size)
{
    long sums[SKYNET_WIDTH], sum = 0;

    if (size == 1)
        return number;
    size /= SKYNET_WIDTH;
    for (int i = 0; i < SKYNET_WIDTH; i++) {
#pragma omp task shared(sums) firstprivate(i)
        sums[i] = skynet_task(number + i * size, size);
    }
#pragma omp taskwait
    for (int i = 0; i < SKYNET_WIDTH; i++)
        sum += sums[i];
    return sum;
}

static double skynet_once(unsigned workers, long leaves)
{
    long sum = 0;
    int64_t began = bench_now();

#pragma omp parallel num_threads(workers)
#pragma omp single
    sum = skynet_task(0, leaves);

    double ms = (double)(bench_now() - began) / 1e6;
    if (sum != leaves * (leaves - 1) / 2)
        bench_fail("the sum is %ld", sum);
    return ms;
}

static void skynet(struct bench *bench)
{
    (void)skynet_once(bench->workers, bench->n);
    bench_add(bench, "", skynet_once(bench->workers, bench->n), "ms");
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = {
        { "spawn_batch", spawn_batch }, { "spawn_all", spawn_all }, { "fib", fib },
        { "skynet", skynet },           { NULL, NULL },
    };

    omp_set_dynamic(0);
    return bench_main(argc, argv, "openmp", workloads);
}
