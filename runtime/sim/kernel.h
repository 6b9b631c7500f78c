/* SPDX-License-Identifier: MIT */
/* The simulated kernel: descriptors in memory behind the library's table of system calls.
 *
 * kernel.c has the table of descriptors, poll.c epoll and poll, eventfd.c and pipe.c what they are
 * named after, status.c fstat and ioctl; the files of sockets are named in socket.h.
 * Simulated descriptors have numbers from SIM_FD_FIRST on, so that none is one of the real kernel;
 * a call on any other number goes to the real kernel, and does not block there. */
#ifndef LW_RUNTIME_SIM_KERNEL_H
#define LW_RUNTIME_SIM_KERNEL_H

#include <stdbool.h>

#include "runtime/os/os.h"

enum { SIM_FD_FIRST = 1 << 10 };

/* Fill in all of the table that is about descriptors: epoll_create1 ... getaddrinfo. */
void sim_kernel_fill(struct lw_sys *table);

/* A table filled so: not lw_sys, where a test may have put something of its own. */
const struct lw_sys *sim_kernel(void);

/* For programs under simulation, what the library has no use for: 0 or more, or -1 and errno. */
int sim_pipe2(int fds[2], int flags);
int sim_socketpair(int domain, int type, int protocol, int fds[2]);
int sim_dup3(int fd, int to, int flags);
int sim_fstat(int fd, struct stat *status);
int sim_ioctl(int fd, unsigned long request, void *arg); /* FIONBIO, FIOCLEX, FIONREAD and kin */
int sim_shutdown(int fd, int how);
int sim_getsockname(int fd, struct sockaddr *address, socklen_t *size);
int sim_getpeername(int fd, struct sockaddr *address, socklen_t *size);

/* Are sockets of this kind simulated? */
bool sim_knows_socket(int domain, int type, int protocol);

/* Descriptors that are open now, for tests that ask whether some were lost. */
unsigned sim_descriptors_open(void);

/* What happens on the network by itself: one in so many calls (0: never). */
struct sim_weather {
    unsigned short_io; /* a read or write moves less than it could */
    unsigned delay;    /* what was sent arrives later */
    unsigned reset;    /* a connection breaks: ECONNRESET at both ends */
    unsigned no_files; /* EMFILE, ENFILE of whatever makes a descriptor */
    unsigned intr;     /* EINTR */
    unsigned spurious; /* readiness that is no more, a wake for nothing */
};
extern struct sim_weather sim_weather;

#endif
