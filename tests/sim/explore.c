/* SPDX-License-Identifier: MIT */
#include "tests/sim/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SCHEDULES = 1000, WATCHDOG_S = 100 };

static const char *const strategies[] = {
    [LW_SIM_RANDOM] = "random", [LW_SIM_PCT] = "pct", [LW_SIM_EXHAUSTIVE] = "every"};

static uint64_t number_in(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void log_cell(lw_sim_strategy strategy, const lw_sim_result *result, double took,
                     int verdict)
{
    const char *path = getenv("LW_SIM_LOG");
    FILE *file = path != NULL && *path != '\0' ? fopen(path, "a") : NULL;

    if (file == NULL)
        return;
    (void)fprintf(file, "%s %llu %.3f %d %llu\n", strategies[strategy],
                  (unsigned long long)result->schedules, took, verdict,
                  (unsigned long long)result->seed);
    (void)fclose(file);
}

static uint64_t explore(const lw_sim_options *options, lw_fn *test, void *arg)
{
    lw_sim_result result;
    double from = seconds();
    int verdict;

    /* Each cell is given time anew, and more of it when it is to run for long. */
    (void)alarm((unsigned)(WATCHDOG_S + options->schedules / 100));
    verdict = lw_sim_run(options, test, arg, &result);
    log_cell(options->strategy, &result, seconds() - from, verdict);
    cr_assert_eq(verdict, LW_SIM_PASSED, "%s, seed %llu, choices \"%s\": verdict %d, status %d",
                 strategies[options->strategy], (unsigned long long)result.seed, result.choices,
                 verdict, result.status);
    return result.schedules;
}

void sim_some(lw_fn *test, void *arg, unsigned fewer)
{
    uint64_t schedules = number_in("LW_SIM_SCHEDULES", (uint64_t)rounds(SCHEDULES));

    sim_settings->weak_one_in = (unsigned)number_in("LW_SIM_WEAK", 0);
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .seed = number_in("LW_SIM_FIRST", 1),
                                  .schedules = (schedules + fewer - 1) / fewer};

        (void)explore(&options, test, arg);
    }
}

void sim_all(lw_fn *test, void *arg)
{
    sim_some(test, arg, 1);
}

void sim_plain(lw_fn *test, void *arg)
{
    sim_settings->plain = true;
    sim_all(test, arg);
    sim_settings->plain = false;
}

void sim_every(lw_fn *test, void *arg, unsigned preemptions, uint64_t at_least)
{
    lw_sim_options options = {.strategy = LW_SIM_EXHAUSTIVE, .depth = preemptions};

    if (is_slow() || getenv("LW_SIM_SCHEDULES") != NULL) /* it would be the same again */
        return;
    for (unsigned workers = 1; workers <= (preemptions == 1 ? 2 : 1); workers++) {
        uint64_t count;

        sim_settings->workers = workers;
        count = explore(&options, test, arg);
        (void)fprintf(stderr, "# %u preemptions, %u workers: %llu schedules\n", preemptions,
                      workers, (unsigned long long)count);
        cr_assert_geq(count, at_least);
    }
    sim_settings->workers = 0;
}
