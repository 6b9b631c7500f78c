/* SPDX-License-Identifier: MIT */
/* The smallest test with a bug that only some schedules show: two tasks add to one counter. */
#ifndef LW_TESTS_SIM_LOST_UPDATE_H
#define LW_TESTS_SIM_LOST_UPDATE_H

#include <latchwork.h>

static const char lost_update_file[] = __FILE__; /* whose check fails */

static int counter;

static inline int add_carelessly(void *arg)
{
    int seen = counter;

    (void)arg;
    lw_sim_point();
    counter = seen + 1;
    return 0;
}

/* Each by such a function. */
static inline int add_twice(void *arg)
{
    lw_fn *add = (lw_fn *)(uintptr_t)arg;
    lw_task tasks[2];

    counter = 0;
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_spawn(&tasks[i], add, NULL, NULL) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_join(tasks[i], NULL, LW_FOREVER) == 0);
    LW_SIM_CHECK(counter == 2);
    return 0;
}

#define CARELESSLY ((void *)(uintptr_t)add_carelessly)

#endif
