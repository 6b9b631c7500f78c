/* SPDX-License-Identifier: MIT */
/* spawn_batch, spawn_all, fib and skynet with Boost.Fiber. */
#include "boost.hpp"

#include <vector>

namespace {

using boost::fibers::fiber;

enum { BATCH = 1000, SKYNET_WIDTH = 10 };

/* The handles are the caller's, for all passes: so the stacks lie where those of the pass before
 * have touched memory. */
double spawn(std::vector<fiber> &children, long n)
{
    int64_t began = bench_now();

    for (long done = 0; done < n; done += static_cast<long>(children.size())) {
        for (fiber &child : children)
            child = start(bench_child);
        for (fiber &child : children)
            child.join();
    }

    double ns = static_cast<double>(bench_now() - began);
    long total = bench_children();
    if (total != n)
        bench_fail("%ld of %ld children ran", total, n);
    return ns / static_cast<double>(n);
}

long fib_task(int n)
{
    if (n < 2)
        return n;

    long left;
    fiber child = start([&left, n] { left = fib_task(n - 1); });
    long right = fib_task(n - 2);
    child.join();
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

long skynet_task(long number, long size)
{
    if (size == 1)
        return number;

    long sums[SKYNET_WIDTH], sum = 0;
    fiber children[SKYNET_WIDTH];

    size /= SKYNET_WIDTH;
    for (int i = 0; i < SKYNET_WIDTH; i++)
        children[i] = start(
            [&sums, i, number, size] { sums[i] = skynet_task(number + i * size, size); },
            boost::fibers::launch::dispatch);
    for (int i = 0; i < SKYNET_WIDTH; i++) {
        children[i].join();
        sum += sums[i];
    }
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

} // namespace

void spawn_batch(struct bench *bench)
{
    long batches = bench->n < BATCH ? 1 : bench->n / BATCH;

    std::vector<fiber> children(BATCH);

    (void)spawn(children, (batches < 10 ? 1 : batches / 10) * BATCH);
    bench_add(bench, "", spawn(children, batches * BATCH), "ns");
}

void spawn_all(struct bench *bench)
{
    std::vector<fiber> children(static_cast<std::size_t>(bench->n));

    (void)spawn(children, bench->n);
    bench_add(bench, "", spawn(children, bench->n), "ns");
}

void fib(struct bench *bench)
{
    int n = static_cast<int>(bench->n);

    (void)fib_once(n);
    bench_add(bench, "", fib_once(n), "ns");
}

void skynet(struct bench *bench)
{
    (void)skynet_once(bench->n);
    bench_add(bench, "", skynet_once(bench->n), "ms");
}
