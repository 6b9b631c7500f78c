/* SPDX-License-Identifier: MIT */
/* parked: so many tasks that wait for one event.  What counts is the memory of each, over the
 * first pass, and the time from the event until all have ended, over the second. */
#include "workloads.h"

#include <stdatomic.h>

struct gate {
    lw_event open;
    _Atomic long waiting;
};

static int park(void *arg)
{
    struct gate *gate = arg;

    atomic_fetch_add_explicit(&gate->waiting, 1, memory_order_relaxed);
    return lw_event_wait(&gate->open, LW_FOREVER);
}

static void park_all(long n, double *bytes, double *ns)
{
    struct gate gate = { .open = LW_EVENT_INIT("gate") };
    lw_group group = LW_GROUP_INIT(0);
    long before = bench_rss();
    int64_t began = 0;
    int status;

    LW_SCOPE(&group.scope, LW_FOREVER, status) {
        for (long i = 0; i < n && status == 0; i++)
            status = lw_group_spawn(&group, park, &gate, NULL);
        while (status == 0 && atomic_load_explicit(&gate.waiting, memory_order_relaxed) < n)
            lw_yield();
        *bytes = (double)(bench_rss() - before) / (double)n;
        began = bench_now();
        lw_event_set(&gate.open);
    }
    *ns = (double)(bench_now() - began) / (double)n;
    bench_check(status, "the group of the parked");
}

int parked(void *arg)
{
    struct bench *bench = arg;
    double bytes, bytes_warm, ns;

    park_all(bench->n, &bytes, &ns);
    park_all(bench->n, &bytes_warm, &ns);
    bench_add(bench, "bytes", bytes, "B");
    bench_add(bench, "wake", ns, "ns");
    return 0;
}
