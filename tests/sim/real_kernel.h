/* SPDX-License-Identifier: MIT */
/* The real kernel's calls, in the shape of the simulated one's. */
#ifndef LW_TESTS_SIM_REAL_KERNEL_H
#define LW_TESTS_SIM_REAL_KERNEL_H

#include <sys/socket.h>

#include "runtime/sim/kernel.h"

/* What is not in the library's table of system calls. */
struct more_calls {
    int (*pipe)(int fds[2], int flags);
    int (*pair)(int domain, int type, int protocol, int fds[2]);
    int (*shutdown)(int fd, int how);
    int (*name)(int fd, struct sockaddr *address, socklen_t *size);
};

extern const struct more_calls real_calls;

void real_kernel_fill(struct lw_sys *table);

#endif
