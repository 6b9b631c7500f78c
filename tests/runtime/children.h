/* SPDX-License-Identifier: MIT */
/* Children that the suites of groups have in common, and how many of them began and ended. */
#ifndef LW_TESTS_RUNTIME_CHILDREN_H
#define LW_TESTS_RUNTIME_CHILDREN_H

#include <errno.h>

#include "runtime/atomic.h"
#include "tests/support.h"

static uint32_t ended, started, go;

static inline void reset(void)
{
    ended = started = go = 0;
}

static inline int end_at_once(void *arg)
{
    (void)lw_add_acq_rel(&ended, 1);
    return (int)(intptr_t)arg;
}

static inline int sleep_for_ever(void *arg)
{
    int err;

    (void)arg;
    (void)lw_add_acq_rel(&started, 1);
    err = lw_sleep(LW_FOREVER);
    (void)lw_add_acq_rel(&ended, 1);
    return err;
}

/* Ignores the cancel, and ends when told. */
static inline int resist(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&started, 1);
    while (!lw_load_acq(&go))
        if (lw_sleep(lw_in(LW_MS)) == -EINVAL)
            return -EINVAL;
    lw_yield();
    (void)lw_add_acq_rel(&ended, 1);
    return 7;
}

#endif
