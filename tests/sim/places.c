/* SPDX-License-Identifier: MIT */
/* In the planted library in place of runtime/mutant.c: the places that can be made weaker, for
 * tests/sim/planted.c. */
#include "tests/sim/places.h"

#include "runtime/sim/engine.h"

/* The linker's. */
__attribute__((visibility("hidden"))) extern struct lw_place *const __start_lw_places[];
__attribute__((visibility("hidden"))) extern struct lw_place *const __stop_lw_places[];

struct lw_place *const *places_all(size_t *count)
{
    *count = (size_t)(__stop_lw_places - __start_lw_places);
    return __start_lw_places;
}

void lw_mutant_gap(void)
{
    sim_point();
}
