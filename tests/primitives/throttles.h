/* SPDX-License-Identifier: MIT */
/* What the suites of lw_throttle share. */
#ifndef LW_TESTS_PRIMITIVES_THROTTLES_H
#define LW_TESTS_PRIMITIVES_THROTTLES_H

#include "tests/primitives/crowd.h"

#include <latchwork/throttle.h>
#include <math.h>

static lw_nsec clock_now; /* moved by the tests; waits are by lw_now() all the same */

static inline lw_nsec read_clock(void)
{
    return __atomic_load_n(&clock_now, __ATOMIC_RELAXED);
}

static int draws;
static double last_jitter, next_draw;

static inline double draw(double jitter)
{
    draws++;
    last_jitter = jitter;
    return next_draw;
}

#define GAP (100 * LW_SEC) /* at a rate of 0.01 */

/* A window of four, no jitter. */
static const lw_throttle_options small = {.rate_min = 0.001,
                                          .rate_max = 1000,
                                          .window = 4,
                                          .ratio_high = 0.75,
                                          .ratio_low = 0.25,
                                          .factor_up = 2,
                                          .factor_down = 0.5,
                                          .jitter = -1,
                                          .now = read_clock,
                                          .random = draw};

static inline void make(lw_throttle *throttle, double rate, const lw_throttle_options *options)
{
    clock_now = 1000;
    draws = 0;
    next_draw = 0;
    cr_assert_eq(lw_throttle_init(throttle, "throttle", rate, options), 0);
}

static inline int try(lw_throttle *throttle)
{
    return lw_throttle_enter(throttle, LW_NOW);
}

/* In a task. */
static inline int enter(void *arg)
{
    return lw_throttle_enter(arg, LW_FOREVER);
}

static inline void assert_counts(const lw_throttle *throttle, uint32_t successes, uint32_t failures)
{
    uint32_t now[2] = {9, 9};

    lw_throttle_counts(throttle, &now[0], &now[1]);
    cr_assert_eq(now[0], successes);
    cr_assert_eq(now[1], failures);
    lw_throttle_counts(throttle, NULL, NULL);
}

static inline void assert_next_in(lw_throttle *throttle, lw_nsec distance)
{
    clock_now += distance - 1;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(try(throttle), -ETIMEDOUT, "one nanosecond early; and it takes nothing");
    clock_now += 1;
    cr_assert_eq(try(throttle), 0);
}

#endif
