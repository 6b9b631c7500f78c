/* SPDX-License-Identifier: MIT */
/* What the suites about descriptors share. */
#ifndef LW_TESTS_IO_SUPPORT_H
#define LW_TESTS_IO_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/descriptor.h"
#include "runtime/os/os.h"
#include "tests/support.h"

static inline void pair(int fds[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void close_both(const int fds[2])
{
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(lw_close(fds[1]), 0);
}

static inline lw_task start(lw_fn *fn, void *arg)
{
    lw_task task;

    cr_assert_eq(lw_spawn(&task, fn, arg, NULL), 0);
    return task;
}

static inline void end_of(lw_task task)
{
    int status = 1;

    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0, "status %d", status);
}

static inline pthread_t start_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

/* The state of a descriptor's record, without entering it. */
static inline uint64_t state_of(int fd)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);

    return descriptor != NULL ? lw_load_acq(&descriptor->state) : 0;
}

/* Until a task is queued on that side. */
static inline void until_waiting(int fd, enum lw_side_number side)
{
    while ((state_of(fd) & LW_FD_QUEUED << side) == 0)
        lw_yield();
}

/* Until that many calls are inside. */
static inline void until_inside(int fd, unsigned count)
{
    while ((state_of(fd) & LW_FD_INSIDE_MASK) / LW_FD_INSIDE != count)
        lw_yield();
}

/* The port that a listening TCP socket has got, as text. */
static inline const char *port_of(int fd, char port[8])
{
    struct sockaddr_in6 address = {0}; /* the port is where it is in sockaddr_in */
    socklen_t size = sizeof address;

    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(port, 8, "%u", ntohs(address.sin6_port));
    return port;
}

/* Two ends of a TCP connection, both born here. */
static inline void tcp_pair(int fds[2])
{
    char port[8];
    int listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER);

    cr_assert_geq(listener, 0);
    fds[0] = lw_connect_tcp("127.0.0.1", port_of(listener, port), LW_FOREVER);
    cr_assert_geq(fds[0], 0, "connect: %d", fds[0]);
    fds[1] = lw_accept(listener, NULL, NULL, LW_FOREVER);
    cr_assert_geq(fds[1], 0, "accept: %d", fds[1]);
    cr_assert_eq(lw_close(listener), 0);
}

/* A generator of one's own: the same numbers in each run. */
static inline uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static inline int descriptors_open(void)
{
    int count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += lw_sys.fcntl(fd, F_GETFD, 0) >= 0;
    return count;
}

#endif
