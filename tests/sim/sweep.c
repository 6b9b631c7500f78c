/* SPDX-License-Identifier: MIT */
#include "tests/sim/sweep.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/atomic.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/lost.h"

static const struct kind {
    const char *name;
    unsigned bits;
} kinds[] = {
    {"memory", 1u << SIM_FAULT_MEMORY},
    {"mappings", 1u << SIM_FAULT_MAP},
    {"threads", 1u << SIM_FAULT_THREAD},
    {"descriptors", 1u << SIM_FAULT_DESCRIPTOR},
    {"epoll", 1u << SIM_FAULT_POLL},
    {"others", 1u << SIM_FAULT_OTHER},
    {"all of them", (1u << SIM_FAULTS) - 1},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct sweep_round *the_round;
static bool strict;
static uint32_t ended;

/* What went through, of all rounds in all schedules: a sweep in which all is refused shows
 * nothing. */
static unsigned long refused, granted;

int sweep_shall(int result, const char *call, int line, const int *errors)
{
    if (result >= 0) {
        granted++;
        return result;
    }
    if (result == errors[0])
        return result;
    refused++;
    while (*errors != 0 && *errors != result)
        errors++;
    if (*errors == 0 || strict)
        sim_fail(LW_SIM_FAILED_CHECK, "line %d: %s gave %d (%s)", line, call, result,
                 strerror(-result));
    return result;
}

lw_nsec sweep_within(lw_nsec length)
{
    return strict ? LW_FOREVER : lw_in(length);
}

bool sweep_thread(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
    int err = pthread_create(thread, NULL, main, arg);

    LW_SIM_CHECK(err == 0 || (err == EAGAIN && !strict));
    return err == 0;
}

/* ---- a round */

static int use_all(void *arg)
{
    int status = the_round->use_all(arg);

    lw_store_rel(&ended, 1);
    return status;
}

static void *play(void *arg)
{
    lw_options options = {.workers = 2, .helpers = 2};
    lw_task_options here = {0};
    lw_runtime *runtime;
    lw_task task;
    int status = -1;

    ended = 0;
    if (the_round->begin != NULL)
        the_round->begin();
    if (SHALL(lw_start(&runtime, &options), -ENOMEM, -EAGAIN, -EMFILE, -ENFILE, -ENOSPC) < 0)
        return arg;
    here.runtime = runtime;
    if (SHALL(lw_spawn(&task, use_all, NULL, &here), -ENOMEM) == 0) {
        if (SHALL(lw_thread_attach(), -ENOMEM) == 0) {
            LW_SIM_CHECK(lw_join(task, &status, LW_FOREVER) == 0);
            LW_SIM_CHECK(status == 0);
        } else {
            while (!lw_load_acq(&ended)) /* the end of the runtime would cancel them */
                (void)sched_yield();
        }
    }
    LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
    return arg;
}

/* ---- a schedule */

struct sweep {
    unsigned kinds;
    unsigned long at;
    bool for_good;
    uint64_t seed;
    unsigned long calls, blocks; /* out: in the first round; after the second */
    unsigned descriptors;
    long guests;
};

/* On a thread of its own, so that what the thread has is gone with it. */
static void play_apart(unsigned faults)
{
    pthread_t thread;

    LW_SIM_CHECK(pthread_create(&thread, NULL, play, NULL) == 0);
    sim_settings->fault_kinds = faults;
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    sim_settings->fault_kinds = 0;
}

static int play_twice(void *arg)
{
    struct sweep *sweep = arg;
    struct lost lost;

    strict = sweep->at == 0;
    play_apart(sweep->kinds);
    sweep->calls = sim_fault_calls();
    strict = true;
    play_apart(0);
    lost = count_lost();
    LW_SIM_CHECK(lost.settled && !is_lost(&lost));
    lw_trim();
    lost = count_lost();
    LW_SIM_CHECK(lost.settled && !is_lost(&lost));
    sweep->guests = lost.guests;
    sweep->blocks = sim_blocks();
    sweep->descriptors = sim_descriptors_open();
    return 0;
}

/* False: the round was over before the call that should have failed. */
static bool run(struct sweep *sweep, const char *name)
{
    lw_sim_options options = {.seed = sweep->seed, .schedules = 1};

    sim_settings->fault_at = sweep->at;
    sim_settings->fault_for_good = sweep->for_good;
    sim_settings->fault_happened = false;
    cr_assert_eq(lw_sim_run(&options, play_twice, sweep, NULL), LW_SIM_PASSED,
                 "%s, call %lu%s, seed %lu", name, sweep->at,
                 sweep->for_good ? " and all after it" : "", (unsigned long)sweep->seed);
    sim_settings->fault_kinds = 0;
    return sim_settings->fault_happened;
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static unsigned long sweep_kind(const struct kind *kind, bool for_good, uint64_t seed)
{
    struct sweep calm = {.kinds = kind->bits, .seed = seed};
    unsigned long points = 0;

    (void)run(&calm, kind->name);
    for (unsigned long at = 1;; at++) {
        struct sweep sweep = {kind->bits, at, for_good, seed, 0, 0, 0, 0};

        if (!run(&sweep, kind->name))
            break;
        points++;
        cr_assert_eq(sweep.descriptors, calm.descriptors, "%s, call %lu, seed %lu: %u descriptors",
                     kind->name, at, (unsigned long)seed, sweep.descriptors);
        cr_assert_eq(sweep.guests, calm.guests, "%s, call %lu, seed %lu: %ld guests", kind->name,
                     at, (unsigned long)seed, sweep.guests);
        cr_assert_eq(sweep.blocks, calm.blocks, "%s, call %lu, seed %lu: %lu blocks, %lu before",
                     kind->name, at, (unsigned long)seed, sweep.blocks, calm.blocks);
    }
    return points;
}

void sweep_all(const struct sweep_round *round, bool for_good, unsigned seeds_usually)
{
    uint64_t first = number_of("LW_SIM_FIRST", 1);
    uint64_t seeds = number_of("LW_SIM_SCHEDULES", seeds_usually);

    the_round = round;
    sim_settings->plain = true;
    sim_settings->no_shortening = true;
    sim_settings->own_weather = true;
    sim_settings->weather.short_io = 4;
    for (unsigned i = 0; i < KINDS; i++) {
        unsigned long points = 0;

        refused = granted = 0;
        for (uint64_t seed = first; seed < first + seeds; seed++)
            points += sweep_kind(&kinds[i], for_good, seed);
        cr_log_info("%s: %lu calls failed; %lu were granted what they wanted, %lu were refused",
                    kinds[i].name, points, granted, refused);
        cr_assert_gt(points, 0u, "%s", kinds[i].name);
    }
}
