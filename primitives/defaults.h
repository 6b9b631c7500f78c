/* SPDX-License-Identifier: MIT */
/* What the primitives need of the defaults, beside <latchwork/defaults.h>. */
#ifndef LW_PRIMITIVES_DEFAULTS_H
#define LW_PRIMITIVES_DEFAULTS_H

#include <latchwork/defaults.h>

/* rate_limit_tokens, without a guard. */
double lw_default_rate_limit_tokens(void);

/* An init takes these numbers: each for itself, none stands for a default. */
bool lw_breaker_takes(const lw_breaker_options *options);
bool lw_throttle_takes(const lw_throttle_options *options);

#endif
