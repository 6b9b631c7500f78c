/* SPDX-License-Identifier: MIT */
/* Several tasks that do one thing each, and the time until all are done. */
#ifndef BENCH_LATCHWORK_CROWD_H
#define BENCH_LATCHWORK_CROWD_H

#include "workloads.h"

/* What each task gets. */
struct member {
    void *shared;
    long number;
};

enum { CROWD_MAX = 10000 };

/* Runs fn in so many tasks at once, waits for them, and gives the ns that took. */
static inline double crowd_run(long count, lw_fn *fn, void *shared)
{
    static struct member members[CROWD_MAX];
    lw_group group = LW_GROUP_INIT(0);
    int status;

    if (count > CROWD_MAX)
        bench_fail("a crowd of more than %d", CROWD_MAX);
    for (long i = 0; i < count; i++)
        members[i] = (struct member){ shared, i };

    int64_t began = bench_now();
    LW_SCOPE(&group.scope, LW_FOREVER, status)
        for (long i = 0; i < count && status == 0; i++)
            status = lw_group_spawn(&group, fn, &members[i], NULL);
    bench_check(status, "the group of the crowd");
    return (double)(bench_now() - began);
}

#endif
