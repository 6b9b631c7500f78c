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

/* New memory of the library's own: what only it points to is no leak. */
LW_INLINE void lw_leak_root(void *at, size_t size)
{
#ifdef LW_ASAN
    __lsan_register_root_region(at, size);
#endif
    (void)at;
    (void)size;
}

#endif
