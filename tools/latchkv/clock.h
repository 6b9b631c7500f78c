/* SPDX-License-Identifier: MIT */
/* The wall clock as one command, or one transaction, sees it: read when it is first needed, then
 * standing still.  Most commands never need it. */
#ifndef LATCHKV_CLOCK_H
#define LATCHKV_CLOCK_H

#include <stdint.h>
#include <time.h>

struct kv_clock {
    int64_t ms; /* since 1970; 0: not read yet */
};

static inline int64_t kv_clock_read_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t kv_clock_ms(struct kv_clock *clock)
{
    if (clock->ms == 0)
        clock->ms = kv_clock_read_us() / 1000;
    return clock->ms;
}

#endif
