/* SPDX-License-Identifier: MIT */
/* The program's own clocks and sleeps in a schedule: see libc.c. */
#include <errno.h>
#include <sched.h>
#include <sys/time.h>
#include <unistd.h>

#include "runtime/sim/libc.h"
#include "runtime/sim/sanitizer.h"

/* ---- time: all clocks are the virtual one */

static struct timespec look_at_clock(void)
{
    int64_t now;

    sim_point();
    now = sim_now();
    return (struct timespec){.tv_sec = now / NS_PER_SEC, .tv_nsec = now % NS_PER_SEC};
}

LW_API int clock_gettime(clockid_t clock, struct timespec *time)
{
    typedef int get(clockid_t, struct timespec *);
    LIBC(get, clock_gettime);

    if (sim_sanitizer_asks(__builtin_return_address(0)) || !is_virtual())
        return libc_clock_gettime(clock, time);
    *time = look_at_clock();
    return 0;
}

LW_API int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    typedef int get(struct timeval *, void *);
    struct timespec now;
    LIBC(get, gettimeofday);

    if (!is_virtual())
        return libc_gettimeofday(time, zone);
    now = look_at_clock();
    *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

LW_API time_t time(time_t *at)
{
    typedef time_t get(time_t *);
    struct timespec now;
    LIBC(get, time);

    if (!is_virtual())
        return libc_time(at);
    now = look_at_clock();
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}

/* As far as nobody else computes. */
LW_API clock_t clock(void)
{
    typedef clock_t get(void);
    struct timespec now;
    LIBC(get, clock);

    if (!is_virtual())
        return libc_clock();
    now = look_at_clock();
    return (clock_t)now.tv_sec * CLOCKS_PER_SEC + now.tv_nsec / (NS_PER_SEC / CLOCKS_PER_SEC);
}

LW_API int timespec_get(struct timespec *time, int base)
{
    typedef int get(struct timespec *, int);
    LIBC(get, timespec_get);

    if (!is_virtual() || base != TIME_UTC)
        return libc_timespec_get(time, base);
    *time = look_at_clock();
    return base;
}

/* Returns an error's number. */
static int sleep_until(int64_t until)
{
    sim_point();
    if (until < 0) /* the kernel knows no moment before its clock began */
        return EINVAL;
    while (sim_block(&until, until, "a sleep"))
        continue;
    return 0;
}

LW_API int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *rest)
{
    typedef int nap(clockid_t, int, const struct timespec *, struct timespec *);
    LIBC(nap, clock_nanosleep);

    if (!is_virtual())
        return libc_clock_nanosleep(clock, flags, time, rest);
    return sleep_until((flags & TIMER_ABSTIME) != 0 ? nanoseconds(time)
                                                    : from_now(nanoseconds(time)));
}

LW_API int nanosleep(const struct timespec *time, struct timespec *rest)
{
    typedef int nap(const struct timespec *, struct timespec *);
    int err;
    LIBC(nap, nanosleep);

    if (!is_virtual())
        return libc_nanosleep(time, rest);
    err = sleep_until(from_now(nanoseconds(time)));
    if (err != 0)
        errno = err;
    return err == 0 ? 0 : -1;
}

LW_API int usleep(useconds_t microseconds)
{
    typedef int nap(useconds_t);
    LIBC(nap, usleep);

    return is_virtual() ? sleep_until(sim_now() + (int64_t)microseconds * 1000)
                        : libc_usleep(microseconds);
}

LW_API unsigned sleep(unsigned seconds)
{
    typedef unsigned nap(unsigned);
    LIBC(nap, sleep);

    return is_virtual() ? (unsigned)sleep_until(sim_now() + (int64_t)seconds * NS_PER_SEC)
                        : libc_sleep(seconds);
}

LW_API int sched_yield(void)
{
    typedef int yield(void);
    LIBC(yield, sched_yield);

    if (!is_virtual())
        return libc_sched_yield();
    sim_yield();
    return 0;
}
