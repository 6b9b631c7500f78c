/* SPDX-License-Identifier: MIT */
/* What is said of a schedule that failed: how, who was waiting for what, and what brings it back.
 *
 * A schedule that was drawn comes back by its seed.  One of an exhaustive search has none, nor has
 * one that went by a list: those come back by their choices. */
#include <stdio.h>
#include <unistd.h>

#include "runtime/os/os.h"
#include "runtime/sim/world.h"
#include "runtime/worker.h"

enum { LIST_BYTES = 4096 }; /* a longer one is not said */

static const char *const verdict_names[] = {
    [LW_SIM_PASSED] = "passed",
    [LW_SIM_FAILED_STATUS] = "failed with a status",
    [LW_SIM_FAILED_CHECK] = "failed a check",
    [LW_SIM_CRASHED] = "crashed",
    [LW_SIM_STUCK] = "is stuck",
    [LW_SIM_ENDLESS] = "does not end",
};

bool sim_has_seed(enum sim_strategy strategy)
{
    return strategy == SIM_BY_RANDOM || strategy == SIM_BY_PCT;
}

/* ---- who waits for what */

static const char *describe(const struct sim_thread *thread)
{
    if (thread->state == SIM_BLOCKED)
        return thread->what;
    return thread == sim_world->current ? "runs" : "could run";
}

static void say_threads(void)
{
    uint32_t used = lw_records_used();

    for (unsigned i = 0; i < sim_world->count; i++) {
        const struct sim_thread *thread = &sim_world->threads[i];

        if (thread->state != SIM_DONE)
            (void)fprintf(stderr, "  thread %u %s: %s%s\n", i, thread->name,
                          thread->state == SIM_BLOCKED ? "waits for " : "", describe(thread));
    }
    (void)fflush(stderr);
    lw_sys.write = sim_real.write;
    for (uint32_t slot = 0; slot < used; slot++)
        if ((lw_load_rlx(&lw_records[slot].ctl) & LW_LIVE) != 0)
            (void)lw_dump_record(STDERR_FILENO, &lw_records[slot]);
}

void sim_say_failure(const struct sim_failure *failure)
{
    char which[64];

    if (sim_has_seed(failure->strategy))
        (void)snprintf(which, sizeof which, "the schedule of seed %llu",
                       (unsigned long long)failure->number);
    else if (failure->strategy == SIM_BY_EXHAUSTION)
        (void)snprintf(which, sizeof which, "schedule %llu of the search",
                       (unsigned long long)failure->number);
    else
        (void)snprintf(which, sizeof which, "the schedule of the choices");
    (void)fprintf(stderr, "latchwork: simulation: %s %s: %s\n", which,
                  verdict_names[failure->verdict], failure->reason);
    if (failure->verdict == LW_SIM_STUCK || failure->verdict == LW_SIM_ENDLESS)
        say_threads();
}

/* ---- what brings it back */

static void say_needed(const struct sim_way_back *way)
{
    if (way->shortened)
        (void)fprintf(stderr, "; of its %zu choices %zu are needed", way->many, way->list->count);
}

/* Nothing but the whole run brings it back. */
static void say_run(const struct sim_failure *failure, const struct sim_way_back *way)
{
    (void)fprintf(stderr,
                  "latchwork: simulation: by itself this schedule does not fail: it depends on "
                  "what the ones before it have left, in static variables or elsewhere; ");
    if (sim_has_seed(failure->strategy))
        (void)fprintf(stderr, "%llu schedules from seed %llu bring it back",
                      (unsigned long long)way->schedules, (unsigned long long)way->first);
    else
        (void)fprintf(stderr, "the same options bring it back");
    (void)fprintf(stderr, " (hash %llx)", (unsigned long long)way->hash);
}

static void say_list(const struct sim_way_back *way)
{
    char text[LIST_BYTES];

    if (way->list == NULL || !sim_choices_print(way->list, text, sizeof text)) {
        (void)fprintf(stderr,
                      "latchwork: simulation: the same options bring it back (hash %llx); it has "
                      "too many choices to say them",
                      (unsigned long long)way->hash);
        return;
    }
    (void)fprintf(stderr, "latchwork: simulation: replay = \"%s\" brings it back (hash %llx)", text,
                  (unsigned long long)way->hash);
    say_needed(way);
}

void sim_say_seed(const struct sim_failure *failure, const struct sim_way_back *way)
{
    if (way->alone)
        (void)fprintf(stderr, "latchwork: simulation: LW_SIM=%llu brings it back (hash %llx)",
                      (unsigned long long)failure->number, (unsigned long long)way->hash);
    else
        say_run(failure, way);
}

void sim_say_choices(const struct sim_failure *failure, const struct sim_way_back *way)
{
    char text[sizeof((lw_sim_result *)NULL)->choices];

    if (!sim_has_seed(failure->strategy)) {
        if (way->alone)
            say_list(way);
        else
            say_run(failure, way);
    } else if (way->alone) {
        say_needed(way);
        if (way->list != NULL && sim_choices_print(way->list, text, sizeof text))
            (void)fprintf(stderr, "%s %s", way->shortened ? ":" : "; its choices:", text);
    }
    (void)fputc('\n', stderr);
}

/* Not by its seed alone: it may be one of a search, or one that is being shortened. */
void sim_say_running(const struct sim_failure *running)
{
    struct sim_choices choices;
    char text[LIST_BYTES] = "", seed[32] = "";

    if (sim_plan_recorded(&choices))
        (void)sim_choices_print(&choices, text, sizeof text);
    sim_choices_free(&choices);
    if (sim_has_seed(running->strategy))
        (void)snprintf(seed, sizeof seed, " of LW_SIM=%llu", (unsigned long long)running->number);
    (void)fprintf(stderr, "latchwork: simulation: in the schedule%s (hash %llx)%s%s\n", seed,
                  (unsigned long long)sim_plan_hash(), text[0] != '\0' ? "; its choices: " : "",
                  text);
}

/* ---- a search */

void sim_say_search(uint64_t schedules, unsigned depth, bool all)
{
    (void)fprintf(stderr,
                  "latchwork: simulation: %llu schedules with at most %u preemption%s passed, %s\n",
                  (unsigned long long)schedules, depth, depth == 1 ? "" : "s",
                  all ? "which are all there are" : "and there are more");
}
