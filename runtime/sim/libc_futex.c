/* SPDX-License-Identifier: MIT */
/* futex(2) as a program calls it, by syscall(2), in a schedule: see libc.c.  libstdc++ waits so in
 * std::future, std::atomic and what it makes of them. */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/sim/file.h"
#include "runtime/sim/libc.h"

/* Of a wait only: who wakes says no more than three words. */
static int64_t time_of(const long args[6])
{
    const struct timespec *time = (const struct timespec *)(uintptr_t)args[3];

    return time != NULL ? nanoseconds(time) : INT64_MAX;
}

static long futex_wait(const uint32_t *word, uint32_t expected, int64_t until)
{
    sim_point();
    if (until < 0) /* the kernel knows no moment before its clock began */
        return -EINVAL;
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != expected)
        return -EAGAIN;
    return sim_block(word, until, "a futex of the program's") ? 0 : -ETIMEDOUT;
}

/* How many of those who wait were woken: all that there are, or `count`. */
static long futex_wake(const uint32_t *word, uint32_t count)
{
    uint32_t waiting = 0;

    sim_point();
    for (unsigned i = 0; i < sim_world->count; i++)
        waiting += sim_world->threads[i].state == SIM_BLOCKED && sim_world->threads[i].key == word;
    sim_wake(word, count);
    return waiting < count ? waiting : count;
}

static long futex(const long args[6])
{
    const uint32_t *word = (const uint32_t *)(uintptr_t)args[0];
    bool any = (uint32_t)args[5] == FUTEX_BITSET_MATCH_ANY;

    switch (args[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
        return futex_wait(word, (uint32_t)args[2], from_now(time_of(args)));
    case FUTEX_WAKE:
        return futex_wake(word, (uint32_t)args[2]);
    case FUTEX_WAIT_BITSET:
        if (any)
            return futex_wait(word, (uint32_t)args[2], time_of(args));
        break;
    case FUTEX_WAKE_BITSET:
        if (any)
            return futex_wake(word, (uint32_t)args[2]);
        break;
    default:
        break;
    }
    refuse("futex(2) with that operation");
}

/* As any function of libc's that takes what the kernel may take: six words, there or not. */
LW_API long syscall(long number, ...) __attribute__((no_sanitize("address")));
LW_API long syscall(long number, ...)
{
    typedef long call(long, ...);
    va_list list;
    long args[6];
    LIBC(call, syscall);

    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        args[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && is_virtual())
        return sim_result(futex(args));
    return libc_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
