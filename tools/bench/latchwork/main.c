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
    { "select2", selects },
    { "select4", selects },
    { "select2_timeout", selects },
    { "mutex1", locks },
    { "mutex64", locks },
    { "rlock1", locks },
    { "rlock_nested", locks },
    { "rlock64", locks },
    { "priority_lock1", locks },
    { "priority_lock64", locks },
    { "priority_rlock1", locks },
    { "semaphore1", locks },
    { "semaphore64", locks },
    { "bounded_semaphore1", locks },
    { "priority_semaphore1", locks },
    { "rwlock_read1", locks },
    { "rwlock_write1", locks },
    { "rwlock_write64", locks },
    { "rwlock95", readers },
    { "rwlock99", readers },
    { "rwlock95_readers", readers },
    { "rwlock99_readers", readers },
    { "condition", condition },
    { "barrier8", barrier8 },
    { "rate_limit1", rate_limit1 },
    { "once1", once1 },
    { "event1", event1 },
    { "bare1", bare1 },
    { "deadlock2", deadlock },
    { "deadlock100", deadlock },
    { "deadlock1000", deadlock },
    { "deadlock2_other", deadlock },
    { "scan", scan },
    { "transfers", transfers },
    { "herd", herd },
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
