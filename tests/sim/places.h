/* SPDX-License-Identifier: MIT */
#ifndef LW_TESTS_SIM_PLACES_H
#define LW_TESTS_SIM_PLACES_H

#include <stddef.h>

#include "runtime/atomic.h"

/* All places of the library that can be made weaker, in no order, perhaps some twice. */
struct lw_place *const *places_all(size_t *count);

#endif
