/* SPDX-License-Identifier: MIT */
/* Which moments count when nobody can run; without one that does the schedule is stuck.
 *
 * The library's watcher (tick.c) waits for a moment each 10 ms for as long as a worker does not
 * sleep, and one whose task is in pthread_join() for ever never does.  In its first looks after
 * somebody has run it may find something to do: it starts a spare worker, wakes a sleeper, gives
 * back memory.  After them nothing changes until a moment comes that somebody else waits for, or
 * until a timer comes up of a worker that does not look at it: the watcher has others do so.
 *
 * So a deadlock is found however much it is watched, and a month is over at once. */
#include "runtime/sim/world.h"
#include "runtime/worker.h"

enum { LOOKS_ALONE = 100 }; /* it acts on what it has seen twice or thrice */

/* Without points of the schedule: it is the engine that asks. */
static int64_t next_timer(const struct lw_runtime *runtime)
{
    int64_t next = INT64_MAX;

    for (uint32_t i = 0; i < runtime->worker_count; i++)
        if (runtime->workers[i]->wheel.next_due < next)
            next = runtime->workers[i]->wheel.next_due;
    return next;
}

static int64_t next_of_others(void)
{
    int64_t next = sim_events_next(), timer;

    for (unsigned i = 0; i < sim_world->count; i++) {
        const struct sim_thread *thread = &sim_world->threads[i];

        if (thread->state == SIM_BLOCKED && !thread->watches && thread->until < next)
            next = thread->until;
    }
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++)
        if (lw_runtimes[i] != NULL && (timer = next_timer(lw_runtimes[i])) < next)
            next = timer;
    return next;
}

int64_t sim_moment_that_counts(int64_t next)
{
    int64_t others;

    if (next == INT64_MAX || ++sim_world->looks_alone <= LOOKS_ALONE)
        return next;
    others = next_of_others();
    return others > next ? others : next; /* overdue: the watcher is about to see it */
}
