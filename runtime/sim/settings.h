/* SPDX-License-Identifier: MIT */
/* What our own tests may ask of a simulation beyond the public options. */
#ifndef LW_RUNTIME_SIM_SETTINGS_H
#define LW_RUNTIME_SIM_SETTINGS_H

#include <latchwork/sim.h>

#include "runtime/sim/engine.h"
#include "runtime/sim/kernel.h"

struct sim_settings {
    /* Run the test on virtual thread 0, a plain thread without a runtime, instead of as a task. */
    bool plain;
    unsigned workers;     /* of the test's runtime; 0: drawn, 1 to 3 */
    unsigned weak_one_in; /* in one of so many schedules memory is weak; 0: in one of four */
    bool own_weather;     /* as here; else drawn */
    struct sim_weather weather;
    /* Which calls may fail, bits 1 << enum sim_fault; which of them all does (1: the first; 0:
     * none), and those after it as well; beside that, one in so many (0: none). */
    unsigned fault_kinds;
    unsigned long fault_at;
    bool fault_for_good;
    unsigned fault_one_in;
    bool fault_happened; /* out: that call was made */
    bool no_shortening;
    /* The program's own static data, too, are put back before each schedule to what they were when
     * lw_sim_run() was called, and are so again after it: results get out by other ways.  Read when
     * lw_sim_run() is called; not under a sanitizer, whose own data may be among them. */
    bool program_data;
};

/* Zero at load time; kept until changed. */
extern struct sim_settings *sim_settings;

/* Calls so far in this schedule of the kinds that may fail. */
unsigned long sim_fault_calls(void);

/* How much of this schedule's time went by because nobody could run.  Where no test's deadline was
 * waited for, somebody had been forgotten, and was found by the tick. */
int64_t sim_idle(void);

#endif
