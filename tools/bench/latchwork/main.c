/* SPDX-License-Identifier: MIT */
/* The benchmarks of Latchwork itself: public API only, stacks of 16 KiB, all else as it comes.
 * A workload runs as the first task of a runtime with so many workers. */
#include "workloads.h"

#include <string.h>

enum { STACK_BYTES = 16 * 1024 };

static const struct {
    const char *name;
    lw_fn *fn;
} tasks[] = {
    { "spawn_batch", spawn_batch },
    { "spawn_all", spawn_all },
    { "spawn_all_join", spawn_all_join },
    { "fib", fib },
    { "skynet", skynet },
    { "yield2", yield2 },
    { "yield1000", yield1000 },
    { "pingpong", pingpong },
    { "chan", chan },
    { "mutex1", mutex1 },
    { "mutex64", mutex64 },
    { "sleepers", sleepers },
    { "parked", parked },
    { "wake", wake },
    { "echo", echo },
};

enum { TASKS = sizeof tasks / sizeof *tasks };

static void run_as_task(struct bench *bench)
{
    const lw_options options = {
        .name = "bench", .workers = bench->workers, .stack_bytes = STACK_BYTES
    };

    for (int i = 0; i < TASKS; i++)
        if (strcmp(tasks[i].name, bench->workload) == 0)
            bench_check(lw_run(&options, tasks[i].fn, bench), "lw_run");
}

int main(int argc, char **argv)
{
    struct bench_workload workloads[TASKS + 1] = { { NULL, NULL } };

    for (int i = 0; i < TASKS; i++)
        workloads[i] = (struct bench_workload){ tasks[i].name, run_as_task };
    return bench_main(argc, argv, "latchwork", workloads);
}
