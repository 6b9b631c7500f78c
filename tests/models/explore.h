/* SPDX-License-Identifier: MIT */
/* Runs the real lock-free headers in every order of their atomic steps.
 *
 * A scenario is a few threads, each a function.  They are coroutines here; LW_POINT(), before each
 * atomic operation, is where another one may go on.  explore() runs the scenario once for each
 * sequence of such choices, with at most `switches` of them away from a thread that could have gone
 * on, and asks after each run whether all is well.  Sequentially consistent: it checks the
 * algorithm, not the memory orders.  Included before everything else (-include), so that LW_POINT
 * is this one.
 *
 * BROKEN splits the compare-and-swap into a load and a store: every scenario has to notice. */
#ifndef LW_TESTS_EXPLORE_H
#define LW_TESTS_EXPLORE_H

#include <stdbool.h>

void explore_point(void);
#define LW_POINT() explore_point()
#define LW_MUTANT_GAP() explore_point()

#include "runtime/atomic.h"

#ifdef BROKEN
#define BROKEN_CAS(p, e, v)                                                                        \
    (LW_POINT(), *(p) == *(e) ? (LW_POINT(), *(p) = (v), true) : (*(e) = *(p), false))
#undef lw_cas_sc
#define lw_cas_sc BROKEN_CAS
#undef lw_cas_acq
#define lw_cas_acq BROKEN_CAS
#undef lw_cas_acq_rel
#define lw_cas_acq_rel BROKEN_CAS
#endif

enum { EXPLORE_THREADS_MAX = 4 };

struct scenario {
    const char *name;
    void (*begin)(void);                            /* sets the world up anew */
    void (*threads[EXPLORE_THREADS_MAX + 1])(void); /* ends with NULL */
    bool (*is_well)(void);                          /* after all threads have ended */
    unsigned switches;                              /* 0: any number */
};

/* Prints how many runs there were; false: one of them did not end well. */
bool explore(const struct scenario *scenario);

#endif
