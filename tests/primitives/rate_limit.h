/* SPDX-License-Identifier: MIT */
/* What the suites of lw_rate_limit share. */
#ifndef LW_TESTS_RATE_LIMIT_H
#define LW_TESTS_RATE_LIMIT_H

#include "tests/primitives/crowd.h"

static inline lw_rate_limit frozen(double capacity, uint32_t flags)
{
    lw_rate_limit limit;

    cr_assert_eq(lw_rate_limit_init(&limit, "frozen", 0, capacity, flags), 0);
    return limit;
}

static inline void drain(lw_rate_limit *limit)
{
    cr_assert_eq(lw_rate_limit_acquire(limit, lw_rate_limit_capacity(limit), LW_NOW), 0);
}

/* An acquire in a task of its own. */
struct wish {
    lw_rate_limit *limit;
    double tokens;
    lw_nsec within; /* 0: for ever */
};

static inline int wish(void *arg)
{
    struct wish *wish = arg;
    lw_nsec deadline = wish->within == 0 ? LW_FOREVER : lw_in(wish->within);

    return lw_rate_limit_acquire(wish->limit, wish->tokens, deadline);
}

#endif
