/* SPDX-License-Identifier: MIT */
/* For those who define libc's functions before libc does: see libc.c. */
#ifndef LW_RUNTIME_SIM_LIBC_H
#define LW_RUNTIME_SIM_LIBC_H

#include <time.h>

#include "runtime/sim/world.h"

/* First thing in a function: libc's own is libc_<name>.  Looked at once: while another thread is in
 * a simulation, what is kept may be put back to NULL. */
#define LIBC(type, name)                                                                           \
    static type *kept_##name;                                                                      \
    type *libc_##name = __atomic_load_n(&kept_##name, __ATOMIC_RELAXED);                           \
    if (libc_##name == NULL)                                                                       \
    kept_##name = libc_##name = (type *)(uintptr_t)sim_libc_function(#name)

enum { NS_PER_SEC = 1000000000 };

void *sim_libc_function(const char *name);

/* The caller is a virtual thread; not so other threads of the process. */
LW_INLINE bool is_virtual(void)
{
    return lw_sim_on && sim_is_here();
}

LW_INLINE uint32_t mine(void)
{
    return sim_world->current->index + 1;
}

/* What cannot be had on virtual threads, and would do harm if libc did it. */
__attribute__((noreturn)) LW_INLINE void refuse(const char *call)
{
    sim_fail(LW_SIM_CRASHED, "%s is not simulated", call);
}

/* For ever is a usual time, too. */
LW_INLINE int64_t nanoseconds(const struct timespec *time)
{
    int64_t whole;

    if (time->tv_nsec < 0 || time->tv_nsec >= NS_PER_SEC)
        return NO_TIME;
    if (__builtin_mul_overflow((int64_t)time->tv_sec, (int64_t)NS_PER_SEC, &whole) ||
        __builtin_add_overflow(whole, (int64_t)time->tv_nsec, &whole))
        return time->tv_sec > 0 ? INT64_MAX : -1;
    return whole;
}

/* The moment that far from now. */
LW_INLINE int64_t from_now(int64_t time)
{
    int64_t until;

    if (time < 0) /* NO_TIME, too */
        return NO_TIME;
    return __builtin_add_overflow(time, sim_now(), &until) ? INT64_MAX : until;
}

#endif
