/* SPDX-License-Identifier: MIT */
#include "tests/sim/real_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In a schedule libc's functions that make descriptors are the simulator's. */
static int real_pipe(int fds[2], int flags)
{
    return (int)syscall(SYS_pipe2, fds, flags);
}

static int real_socketpair(int domain, int type, int protocol, int fds[2])
{
    return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

static int real_socket(int domain, int type, int protocol)
{
    return (int)syscall(SYS_socket, domain, type, protocol);
}

static int real_epoll_create1(int flags)
{
    return (int)syscall(SYS_epoll_create1, flags);
}

static int real_name(int fd, struct sockaddr *address, socklen_t *size)
{
    return getsockname(fd, address, size);
}

const struct more_calls real_calls = {real_pipe, real_socketpair, shutdown, real_name};

static int real_fcntl(int fd, int command, int arg)
{
    return fcntl(fd, command, arg);
}

static int real_epoll_wait(int epoll, struct epoll_event *events, int events_max, int64_t timeout)
{
    int count = epoll_wait(epoll, events, events_max, (int)timeout);

    return count >= 0 ? count : -errno;
}

static int real_poll(struct pollfd *fds, unsigned count, int64_t timeout)
{
    return poll(fds, count, (int)timeout);
}

static int real_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return connect(fd, address, size);
}

static int real_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return bind(fd, address, size);
}

static int real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return accept4(fd, address, size, flags);
}

static int real_eventfd(unsigned value, int flags)
{
    return (int)syscall(SYS_eventfd2, value, flags);
}

void real_kernel_fill(struct lw_sys *table)
{
    table->epoll_create1 = real_epoll_create1;
    table->epoll_ctl = epoll_ctl;
    table->epoll_wait = real_epoll_wait;
    table->eventfd = real_eventfd;
    table->poll = real_poll;
    table->close = close;
    table->fcntl = real_fcntl;
    table->read = read;
    table->writev_quiet = writev; /* the caller ignores SIGPIPE */
    table->recv = recv;
    table->send = send;
    table->accept4 = real_accept4;
    table->connect = real_connect;
    table->socket = real_socket;
    table->bind = real_bind;
    table->listen = listen;
    table->setsockopt = setsockopt;
    table->getsockopt = getsockopt;
}
