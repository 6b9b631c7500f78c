/* SPDX-License-Identifier: MIT */
/* skynet: a tree of ten-way spawns whose leaves are numbered; every parent sums what its
 * children return. */
#include "workloads.h"

enum { WIDTH = 10 };

struct node {
    long number, size, sum;
};

static int grow(void *arg)
{
    struct node *node = arg;

    if (node->size == 1) {
        node->sum = node->number;
        return 0;
    }

    struct node children[WIDTH];
    lw_task tasks[WIDTH];
    long size = node->size / WIDTH;

    for (int i = 0; i < WIDTH; i++) {
        children[i] = (struct node){ .number = node->number + i * size, .size = size };
        bench_check(lw_spawn(&tasks[i], grow, &children[i], NULL), "lw_spawn");
    }
    node->sum = 0;
    for (int i = 0; i < WIDTH; i++) {
        bench_check(lw_join(tasks[i], NULL, LW_FOREVER), "lw_join");
        node->sum += children[i].sum;
    }
    return 0;
}

static double once(long leaves)
{
    struct node root = { .size = leaves };
    int64_t began = bench_now();

    grow(&root);

    double ms = (double)(bench_now() - began) / 1e6;
    if (root.sum != leaves * (leaves - 1) / 2)
        bench_fail("the sum is %ld", root.sum);
    return ms;
}

int skynet(void *arg)
{
    struct bench *bench = arg;

    (void)once(bench->n);
    bench_add(bench, "", once(bench->n), "ms");
    return 0;
}
