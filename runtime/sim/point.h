/* SPDX-License-Identifier: MIT */
/* What stands before each atomic operation of the library in the simulation build: a count down to
 * the next step at which the engine wants to be asked. */
#ifndef LW_RUNTIME_SIM_POINT_H
#define LW_RUNTIME_SIM_POINT_H

#include <stdbool.h>
#include <stdint.h>

extern bool lw_sim_on; /* false: the library is on its own, and works as ever */
extern int64_t lw_sim_countdown;

void lw_sim_asked(void);

/* lw_start(): if the program is to be simulated and is not yet, it is from here on. */
void lw_sim_program_starts(uint64_t seed);

static inline __attribute__((always_inline)) void lw_sim_count(void)
{
    if (__builtin_expect(lw_sim_on, 0) && --lw_sim_countdown <= 0)
        lw_sim_asked();
}

#define LW_POINT() lw_sim_count()

#endif
