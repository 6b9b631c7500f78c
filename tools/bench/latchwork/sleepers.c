/* SPDX-License-Identifier: MIT */
/* sleepers: so many tasks, each of which sleeps once for 0.5 to 1.5 s.  What counts is the CPU
 * that costs and how late they wake.  Two passes: cold, where every stack is touched for the
 * first time, and warm. */
#include "workloads.h"

#include <stdlib.h>

struct sleeper_figures {
    double cpu, p99; /* s, us */
};

static float *late; /* per sleeper, us */

static int sleeper(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    lw_nsec due = lw_in(bench_sleep_ns(i));

    bench_check(lw_sleep(due), "lw_sleep");
    late[i] = (float)(lw_now() - due) / 1e3F;
    return 0;
}

static struct sleeper_figures sleep_all(long n)
{
    lw_group group = LW_GROUP_INIT(0);
    int status;

    for (long i = 0; i < n; i++)
        late[i] = -1;

    int64_t used = bench_cpu();
    LW_SCOPE(&group.scope, LW_FOREVER, status)
        for (uintptr_t i = 0; i < (uintptr_t)n && status == 0; i++)
            status = lw_group_spawn(&group, sleeper, (void *)i, NULL);
    bench_check(status, "the group of sleepers");

    struct sleeper_figures figures = { .cpu = (double)(bench_cpu() - used) / 1e9 };
    figures.p99 = bench_quantile(late, n, 0.99);
    if (late[0] < 0)
        bench_fail("a sleeper woke %g us early, or never", (double)-late[0]);
    return figures;
}

int sleepers(void *arg)
{
    struct bench *bench = arg;

    late = malloc((size_t)bench->n * sizeof *late);
    if (late == NULL)
        bench_fail("out of memory");

    struct sleeper_figures cold = sleep_all(bench->n), warm = sleep_all(bench->n);
    bench_add(bench, "cpu", warm.cpu, "s");
    bench_add(bench, "p99", warm.p99, "us");
    bench_add(bench, "cpu_cold", cold.cpu, "s");
    bench_add(bench, "p99_cold", cold.p99, "us");
    free(late);
    return 0;
}
