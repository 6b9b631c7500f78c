/* SPDX-License-Identifier: MIT */
/* The end of the line, and small things that all layers share. */
#include "runtime/check.h"

#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/arch/cpu.h"
#include "runtime/atomic.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/os/sanitizer.h"
#ifdef LW_SIMULATED
#include <latchwork/sim.h>

#include "runtime/sim/engine.h"
#endif

void lw_panic(const char *text, const char *file, int line)
{
    (void)fprintf(stderr, "latchwork: does not hold: %s: %s:%d\n", text, file, line);
#ifdef LW_SIMULATED
    if (lw_sim_on)
        sim_fail(LW_SIM_CRASHED, "does not hold: %s: %s:%d", text, file, line);
#endif
    abort();
}

bool lw_asym_symmetric = true;

/* Before main(): nobody has relied on the light side yet. */
__attribute__((constructor)) static void asym_init(void)
{
#if !defined(LW_TSAN) && !defined(LW_SIMULATED)
    if (lw_sys.membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
        lw_asym_symmetric = lw_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
#endif
}

void (lw_asym_heavy)(void) /* the function: in a mutation build there is a macro */
{
    LW_ATOMIC_FENCE(__ATOMIC_SEQ_CST);
    if (!lw_asym_symmetric && lw_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
        lw_panic("membarrier worked at start and fails now", __FILE__, __LINE__);
}

void lw_spin(unsigned *round)
{
#ifdef LW_SIMULATED
    if (lw_sim_on) {
        lw_sys.yield();
        return;
    }
#endif
    lw_pause();
    if (++*round % 1024 == 0) {
        if (lw_forked())
            lw_panic("called in the child of a fork: its guard is held by a thread of the parent",
                     __FILE__, __LINE__);
        lw_sys.yield();
    }
}
