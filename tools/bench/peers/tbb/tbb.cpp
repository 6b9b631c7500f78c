/* SPDX-License-Identifier: MIT */
/* oneTBB: a task_group per place that waits.  Its tasks are stackless; a wait runs other tasks
 * on the waiter's stack. */
#include "bench.h"

#include <cstddef>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

namespace {

namespace tbb = oneapi::tbb;

enum { BATCH = 1000, SKYNET_WIDTH = 10 };

/* Runs work() on exactly so many threads, this one included. */
template <typename Work>
void on_workers(unsigned workers, Work work)
{
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    tbb::task_arena arena(static_cast<int>(workers));

    arena.execute(work);
}

double spawn(long n, long batch)
{
    tbb::task_group group;
    int64_t began = bench_now();

    for (long done = 0; done < n; done += batch) {
        for (long i = 0; i < batch; i++)
            group.run([] { bench_child(); });
        group.wait();
    }

    double ns = static_cast<double>(bench_now() - began);
    long total = bench_children();
    if (total != n)
        bench_fail("%ld of %ld children ran", total, n);
    return ns / static_cast<double>(n);
}

void spawn_batch(struct bench *bench)
{
    long batches = bench->n < BATCH ? 1 : bench->n / BATCH;

    on_workers(bench->workers, [=] {
        (void)spawn((batches < 10 ? 1 : batches / 10) * BATCH, BATCH);
        bench_add(bench, "", spawn(batches * BATCH, BATCH), "ns");
    });
}

void spawn_all(struct bench *bench)
{
    on_workers(bench->workers, [=] {
        (void)spawn(bench->n, bench->n);
        bench_add(bench, "", spawn(bench->n, bench->n), "ns");
    });
}

long fib_task(int n)
{
    if (n < 2)
        return n;

    long left;
    tbb::task_group group;

    group.run([&left, n] { left = fib_task(n - 1); });
    long right = fib_task(n - 2);
    group.wait();
    return left + right;
}

double fib_once(int n)
{
    int64_t began = bench_now();
    long result = fib_task(n);
    double ns = static_cast<double>(bench_now() - began);

    if (result != bench_fib(n))
        bench_fail("fib(%d) = %ld", n, result);
    return ns / static_cast<double>(bench_fib_spawns(n));
}

void fib(struct bench *bench)
{
    int n = static_cast<int>(bench->n);

    on_workers(bench->workers, [=] {
        (void)fib_once(n);
        bench_add(bench, "", fib_once(n), "ns");
    });
}

long skynet_task(long number, long size)
{
    if (size == 1)
        return number;

    long sums[SKYNET_WIDTH], sum = 0;
    tbb::task_group group;

    size /= SKYNET_WIDTH;
    for (int i = 0; i < SKYNET_WIDTH; i++)
        group.run([&sums, i, number, size] { sums[i] = skynet_task(number + i * size, size); });
    group.wait();
    for (long part : sums)
        sum += part;
    return sum;
}

double skynet_once(long leaves)
{
    int64_t began = bench_now();
    long sum = skynet_task(0, leaves);
    double ms = static_cast<double>(bench_now() - began) / 1e6;

    if (sum != leaves * (leaves - 1) / 2)
        bench_fail("the sum is %ld", sum);
    return ms;
}

void skynet(struct bench *bench)
{
    on_workers(bench->workers, [=] {
        (void)skynet_once(bench->n);
        bench_add(bench, "", skynet_once(bench->n), "ms");
    });
}

} // namespace

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = {
        { "spawn_batch", spawn_batch }, { "spawn_all", spawn_all }, { "fib", fib },
        { "skynet", skynet },           { NULL, NULL },
    };

    return bench_main(argc, argv, "tbb", workloads);
}
