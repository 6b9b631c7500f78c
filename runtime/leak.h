/* SPDX-License-Identifier: MIT */
/* Where LeakSanitizer finds what is not lost. */
#ifndef LW_RUNTIME_LEAK_H
#define LW_RUNTIME_LEAK_H

#include <stddef.h>

#include "runtime/atomic.h"
#include "runtime/os/sanitizer.h"

#ifdef LW_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#if defined(LW_ASAN) && defined(LW_SIMULATED)
void lw_sim_root(void *at, size_t size); /* sim/sanitizer.c */
#endif

/* New memory of the library's own: what only it points to is no leak.  In a simulation until the
 * schedule is over, and nothing in it is poisoned any more. */
LW_INLINE void lw_leak_root(void *at, size_t size)
{
#if defined(LW_ASAN) && defined(LW_SIMULATED)
    lw_sim_root(at, size);
#elif defined(LW_ASAN)
    __lsan_register_root_region(at, size);
#endif
    (void)at;
    (void)size;
}

#endif
