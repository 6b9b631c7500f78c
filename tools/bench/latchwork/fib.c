/* SPDX-License-Identifier: MIT */
/* fib: the left branch is spawned, the right one called, then the left one joined; no cut-off. */
#include "workloads.h"

struct branch {
    int n;
    long result;
};

static long fib_of(int n);

static int fib_task(void *arg)
{
    struct branch *branch = arg;

    branch->result = fib_of(branch->n);
    return 0;
}

static long fib_of(int n)
{
    if (n < 2)
        return n;

    struct branch left = { .n = n - 1 };
    lw_task task;

    bench_check(lw_spawn(&task, fib_task, &left, NULL), "lw_spawn");
    long right = fib_of(n - 2);
    bench_check(lw_join(task, NULL, LW_FOREVER), "lw_join");
    return left.result + right;
}

static double once(int n)
{
    int64_t began = bench_now();
    long result = fib_of(n);
    double ns = (double)(bench_now() - began);

    if (result != bench_fib(n))
        bench_fail("fib(%d) = %ld", n, result);
    return ns / (double)bench_fib_spawns(n);
}

int fib(void *arg)
{
    struct bench *bench = arg;

    (void)once((int)bench->n);
    bench_add(bench, "", once((int)bench->n), "ns");
    return 0;
}
