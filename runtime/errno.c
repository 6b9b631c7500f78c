/* SPDX-License-Identifier: MIT */
/* errno where the caller is now: see <latchwork/errno.h>.  The barrier keeps a compiler that sees
 * this function (link-time optimisation) from taking it for one whose value never changes. */
#include <latchwork/errno.h>

#include "runtime/thread.h"

LW_NOINLINE int *lw_errno_location(void)
{
    __asm__ volatile("" : : : "memory");
    return (int *)(void *)((char *)__builtin_thread_pointer() + lw_errno_offset);
}
