/* SPDX-License-Identifier: MIT */
/* What the suites of lw_breaker share. */
#ifndef LW_TESTS_PRIMITIVES_BREAKERS_H
#define LW_TESTS_PRIMITIVES_BREAKERS_H

#include "tests/primitives/crowd.h"

#include <latchwork/breaker.h>

static lw_nsec clock_now; /* moved by the tests */

static inline lw_nsec read_clock(void)
{
    return __atomic_load_n(&clock_now, __ATOMIC_RELAXED);
}

static inline bool expect_io(int status)
{
    return status == -EIO;
}

static const int instead = 77;

/* Three failures, two trials, 100 ns; only -EIO is expected. */
static const lw_breaker_options small = {.failures_max = 3,
                                         .trials_max = 2,
                                         .reset_after = 100,
                                         .expected = expect_io,
                                         .now = read_clock};

static inline lw_breaker make(const lw_breaker_options *options)
{
    lw_breaker breaker = {0};

    clock_now = 1000;
    cr_assert_eq(lw_breaker_init(&breaker, "breaker", options), 0);
    return breaker;
}

/* A protected function that counts its calls and returns what it is told. */
static int calls;

static inline int give(void *arg)
{
    (void)__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    return *(int *)arg;
}

/* The result of a call of it; *status, if it ran. */
static inline int call_status(lw_breaker *breaker, int wanted, int *status)
{
    return lw_breaker_call(breaker, give, &wanted, status);
}

static inline int call(lw_breaker *breaker, int wanted)
{
    bool failed = breaker->options.fallback != NULL && wanted == -EIO;
    int status = 12345, err = call_status(breaker, wanted, &status);

    if (err == -EHOSTDOWN || err == -EBUSY)
        cr_assert_eq(status, 12345, "it is as it was");
    else
        cr_assert_eq(status, failed ? instead : wanted);
    return err;
}

static inline void assert_state(const lw_breaker *breaker, lw_breaker_state state,
                                uint32_t failures)
{
    cr_assert_eq(lw_breaker_read(breaker), state);
    cr_assert_eq(lw_breaker_failures(breaker), failures);
}

static inline void fail_until_open(lw_breaker *breaker)
{
    for (uint32_t i = 0; i < breaker->options.failures_max; i++)
        cr_assert_eq(call(breaker, -EIO), 0);
    assert_state(breaker, LW_BREAKER_OPEN, 0);
}

#endif
