/* SPDX-License-Identifier: MIT */
/* A cell is a test and a strategy: what explore.c and runner.c have in common, who run them.  The
 * environment says how many schedules, from which seed on, and where each cell adds a line of what
 * it did, for tests/sim/soak. */
#ifndef LW_TESTS_SIM_CELL_H
#define LW_TESTS_SIM_CELL_H

#include <stdbool.h>
#include <stdint.h>

/* The number in that variable of the environment. */
uint64_t cell_setting(const char *name, uint64_t otherwise);

double cell_seconds(void); /* from any fixed time on */

/* Adds "strategy schedules seconds failed last-seed" to the file that LW_SIM_LOG names. */
void cell_log(const char *strategy, uint64_t schedules, double seconds, bool failed, uint64_t seed);

#endif
