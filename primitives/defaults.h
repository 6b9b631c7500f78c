/* SPDX-License-Identifier: MIT */
/* What objects are made with where nothing else is said. */
#ifndef LW_PRIMITIVES_DEFAULTS_H
#define LW_PRIMITIVES_DEFAULTS_H

#include "runtime/atomic.h"

/* How many tokens of a rate limit a scope takes. */
LW_INLINE double lw_default_rate_limit_tokens(void)
{
    return 1.0;
}

#endif
