/* SPDX-License-Identifier: MIT */
/* spawn_batch: children by their handles, each joined.  spawn_all: children of a group, whose
 * end waits for them all; spawn_all_join is the same with handles. */
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000 };

static int child(void *arg)
{
    bench_child();
    return 0;
}

static double checked(int64_t began, long n)
{
    double ns = (double)(bench_now() - began);
    long total = bench_children();

    if (total != n)
        bench_fail("%ld of %ld children ran", total, n);
    return ns / (double)n;
}

static double spawn_joined(lw_task *children, long batch, long n)
{
    int64_t began = bench_now();

    for (long done = 0; done < n; done += batch) {
        for (long i = 0; i < batch; i++)
            bench_check(lw_spawn(&children[i], child, NULL, NULL), "lw_spawn");
        for (long i = 0; i < batch; i++)
            bench_check(lw_join(children[i], NULL, LW_FOREVER), "lw_join");
    }
    return checked(began, n);
}

int spawn_batch(void *arg)
{
    static lw_task children[BATCH];
    struct bench *bench = arg;
    long batches = bench->n < BATCH ? 1 : bench->n / BATCH;

    (void)spawn_joined(children, BATCH, (batches < 10 ? 1 : batches / 10) * BATCH);
    bench_add(bench, "", spawn_joined(children, BATCH, batches * BATCH), "ns");
    return 0;
}

int spawn_all_join(void *arg)
{
    struct bench *bench = arg;
    size_t bytes = (size_t)bench->n * sizeof(lw_task);
    lw_task *children = malloc(bytes);

    if (children == NULL)
        bench_fail("out of memory");
    memset(children, 0, bytes);
    (void)spawn_joined(children, bench->n, bench->n);
    bench_add(bench, "", spawn_joined(children, bench->n, bench->n), "ns");
    free(children);
    return 0;
}

static double spawn_grouped(long n)
{
    lw_group group = LW_GROUP_INIT(0);
    int status;
    int64_t began = bench_now();

    LW_SCOPE(&group.scope, LW_FOREVER, status)
        for (long i = 0; i < n && status == 0; i++)
            status = lw_group_spawn(&group, child, NULL, NULL);
    bench_check(status, "the group of children");
    return checked(began, n);
}

int spawn_all(void *arg)
{
    struct bench *bench = arg;

    (void)spawn_grouped(bench->n);
    bench_add(bench, "", spawn_grouped(bench->n), "ns");
    return 0;
}
