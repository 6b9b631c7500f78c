/* SPDX-License-Identifier: MIT */
/* The echo server that shows what the system costs: one thread, edge-triggered epoll, one recv
 * and one send per message, no state per connection. */
#include "bench.h"
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 1024 };

static void watch(int poller, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };

    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        bench_check(-errno, "epoll_ctl");
}

static void accept_all(int poller, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            watch(poller, fd, EPOLLIN | EPOLLET | EPOLLRDHUP);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR && errno != ECONNABORTED)
            bench_check(-errno, "accept");
    }
}

/* False: the connection is broken. */
static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) { /* with one small message in flight this does not happen */
            (void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* A short read has emptied the socket: what comes later is a new edge.  Not so when the other
 * side has closed, whose edge may have come with this data. */
static void echo_some(int fd, uint32_t events)
{
    static char buffer[64 * 1024];

    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || !send_all(fd, buffer, (size_t)got)) {
            close(fd);
            return;
        }
        if ((size_t)got < sizeof buffer && (events & (EPOLLRDHUP | EPOLLHUP)) == 0)
            return;
    }
}

static void echo(struct bench *bench)
{
    static struct epoll_event events[EVENTS_MAX];
    int listener = bench_listen(bench->n), poller = epoll_create1(EPOLL_CLOEXEC);

    bench_allow_descriptors();
    watch(poller, listener, EPOLLIN);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(poller, listener);
            else
                echo_some(events[i].data.fd, events[i].events);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = { { "echo", echo }, { NULL, NULL } };

    return bench_main(argc, argv, "epoll", workloads);
}
