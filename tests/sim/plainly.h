/* SPDX-License-Identifier: MIT */
/* A test of what the simulator itself does with a program's own calls, on a plain thread that has
 * no runtime: in some hundreds of schedules of each strategy. */
#ifndef LW_TESTS_SIM_PLAINLY_H
#define LW_TESTS_SIM_PLAINLY_H

#include <latchwork/sim.h>

#include "runtime/sim/settings.h"
#include "tests/support.h"

static inline void plainly(lw_fn *test, void *arg)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .schedules = (uint64_t)rounds(300)};

        sim_settings->plain = true;
        cr_assert_eq(lw_sim_run(&options, test, arg, NULL), LW_SIM_PASSED);
        sim_settings->plain = false;
    }
}

/* The verdict. */
static inline int in_one_schedule(lw_fn *test, void *arg)
{
    lw_sim_options options = {.schedules = 1, .quiet = true};

    int verdict;

    sim_settings->plain = true;
    verdict = lw_sim_run(&options, test, arg, NULL);
    sim_settings->plain = false;
    return verdict;
}

#endif
