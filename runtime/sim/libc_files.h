/* SPDX-License-Identifier: MIT */
/* For those of libc.c's kin that are about descriptors. */
#ifndef LW_RUNTIME_SIM_LIBC_FILES_H
#define LW_RUNTIME_SIM_LIBC_FILES_H

#include <errno.h>

#include "runtime/sim/kernel.h"
#include "runtime/sim/libc.h"

LW_INLINE bool is_simulated(int fd)
{
    return fd >= SIM_FD_FIRST && is_virtual();
}

/* No signals are sent, so a program that handles none need not know EINTR: the weather's is for
 * the library.  Nothing has been moved or begun that is not gone on with. */
#define UNINTERRUPTED(result, call)                                                                \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

#endif
