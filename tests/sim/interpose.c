/* SPDX-License-Identifier: MIT */
/* Descriptors that a suite makes without the library: in a schedule they are the simulated
 * kernel's, and what is done with them then is, too, by the library's own runtime/sim/libc_files.c.
 * The program's own definitions come before libc's; outside of a schedule they make the system
 * call. */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/sim/kernel.h"
#include "runtime/sim/settings.h"

/* Not lw_sys: a test may have put something of its own there. */
static const struct lw_sys *simulated(void)
{
    static struct lw_sys table;

    if (table.read == NULL)
        sim_kernel_fill(&table);
    return &table;
}

int pipe2(int fds[2], int flags)
{
    return lw_sim_active() ? sim_pipe2(fds, flags) : (int)syscall(SYS_pipe2, fds, flags);
}

int pipe(int fds[2])
{
    return pipe2(fds, 0);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    return lw_sim_active() ? sim_socketpair(domain, type, protocol, fds)
                           : (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

int socket(int domain, int type, int protocol)
{
    return lw_sim_active() ? simulated()->socket(domain, type, protocol)
                           : (int)syscall(SYS_socket, domain, type, protocol);
}

int eventfd(unsigned value, int flags)
{
    return lw_sim_active() ? simulated()->eventfd(value, flags)
                           : (int)syscall(SYS_eventfd2, value, flags);
}
