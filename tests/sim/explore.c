/* SPDX-License-Identifier: MIT */
#include "tests/sim/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lost.h"
#include "tests/sim/cell.h"

enum { SCHEDULES = 200, WATCHDOG_S = 100 };

static const char *const strategies[] = {
    [LW_SIM_RANDOM] = "random", [LW_SIM_PCT] = "pct", [LW_SIM_EXHAUSTIVE] = "every"};

static uint64_t explore(const lw_sim_options *options, lw_fn *test, void *arg)
{
    lw_sim_result result;
    double from = cell_seconds();
    int verdict;

    /* Each cell is given time anew, and more of it when it is to run for long. */
    (void)alarm((unsigned)(WATCHDOG_S + options->schedules / 100));
    verdict = lw_sim_run(options, test, arg, &result);
    cell_log(strategies[options->strategy], result.schedules, cell_seconds() - from, verdict != 0,
             result.seed);
    cr_assert_eq(verdict, LW_SIM_PASSED, "%s, seed %llu, choices \"%s\": verdict %d, status %d",
                 strategies[options->strategy], (unsigned long long)result.seed, result.choices,
                 verdict, result.status);
    return result.schedules;
}

void sim_some(lw_fn *test, void *arg, unsigned fewer)
{
    uint64_t schedules = cell_setting("LW_SIM_SCHEDULES", (uint64_t)rounds(SCHEDULES));

    sim_settings->weak_one_in = (unsigned)cell_setting("LW_SIM_WEAK", 0);
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .seed = cell_setting("LW_SIM_FIRST", 1),
                                  .schedules = (schedules + fewer - 1) / fewer};

        (void)explore(&options, test, arg);
    }
}

void sim_all(lw_fn *test, void *arg)
{
    sim_some(test, arg, 1);
}

struct plain {
    lw_fn *test;
    void *arg;
};

/* All of its runtimes are gone. */
static int play_plain(void *arg)
{
    struct plain *plain = arg;
    int status = plain->test(plain->arg);
    struct lost lost = count_lost();

    LW_SIM_CHECK(!is_lost(&lost));
    return status;
}

void sim_plain(lw_fn *test, void *arg)
{
    struct plain plain = {test, arg};

    sim_settings->plain = true;
    sim_all(play_plain, &plain);
    sim_settings->plain = false;
}

int sim_plain_once(lw_fn *test, void *arg)
{
    lw_sim_options options = {.schedules = 1, .quiet = true};
    int verdict;

    sim_settings->plain = true;
    verdict = lw_sim_run(&options, test, arg, NULL);
    sim_settings->plain = false;
    return verdict;
}

void sim_every(lw_fn *test, void *arg, unsigned preemptions, uint64_t at_least)
{
    lw_sim_options options = {.strategy = LW_SIM_EXHAUSTIVE, .depth = preemptions};

    if (is_slow() || getenv("LW_SIM_FIRST") != NULL) /* it would be the same again */
        return;
    for (unsigned workers = 1; workers <= (preemptions == 1 ? 2 : 1); workers++) {
        sim_settings->workers = workers;
        cr_assert_geq(explore(&options, test, arg), at_least);
    }
    sim_settings->workers = 0;
}

void sim_plain_every(lw_fn *test, void *arg, unsigned preemptions, uint64_t at_least)
{
    lw_sim_options options = {.strategy = LW_SIM_EXHAUSTIVE, .depth = preemptions};
    struct plain plain = {test, arg};

    if (is_slow() || getenv("LW_SIM_FIRST") != NULL)
        return;
    sim_settings->plain = true;
    cr_assert_geq(explore(&options, play_plain, &plain), at_least);
    sim_settings->plain = false;
}

void sim_alone(lw_fn *test, void *arg, uint64_t schedules)
{
    lw_sim_options options = {.schedules = schedules};
    lw_sim_result among, alone;

    cr_assert_eq(lw_sim_run(&options, test, arg, &among), LW_SIM_PASSED);
    options.seed = among.seed;
    options.schedules = 1;
    cr_assert_eq(lw_sim_run(&options, test, arg, &alone), LW_SIM_PASSED);
    cr_assert_eq(alone.hash, among.hash);
}
