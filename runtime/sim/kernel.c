/* SPDX-License-Identifier: MIT */
/* Placeholder until the kernel proper lands: eventfd and epoll, enough for doorbells. */
#include "runtime/sim/kernel.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/sim/engine.h"
#include "runtime/sim/world.h"

enum { FDS = 256 };
static struct fd {
    int kind;
    bool edge;
    int epoll;
    uint64_t tag;
} fds[FDS];
struct sim_weather sim_weather;

static int new_fd(int kind)
{
    sim_point();
    if (sim_fault(SIM_FAULT_DESCRIPTOR)) {
        errno = EMFILE;
        return -1;
    }
    for (int i = 0; i < FDS; i++)
        if (fds[i].kind == 0) {
            fds[i] = (struct fd){.kind = kind, .epoll = -1};
            return SIM_FD_FIRST + i;
        }
    errno = EMFILE;
    return -1;
}
static int k_epoll_create1(int flags)
{
    (void)flags;
    return new_fd(1);
}
static int k_eventfd(unsigned value, int flags)
{
    (void)value;
    (void)flags;
    return new_fd(2);
}
static int k_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    sim_point();
    (void)op;
    if (sim_fault(SIM_FAULT_POLL)) {
        errno = ENOSPC;
        return -1;
    }
    fds[fd - SIM_FD_FIRST].epoll = epoll;
    fds[fd - SIM_FD_FIRST].tag = event->data.u64;
    return 0;
}
static int k_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
    int64_t until = timeout < 0 ? INT64_MAX : sim_now() + timeout;
    (void)max;
    sim_point();
    for (;;) {
        for (int i = 0; i < FDS; i++)
            if (fds[i].edge && fds[i].epoll == epoll) {
                fds[i].edge = false;
                events[0].events = EPOLLIN;
                events[0].data.u64 = fds[i].tag;
                return 1;
            }
        if (timeout == 0 || !sim_block(&fds[epoll - SIM_FD_FIRST], until, "epoll_wait"))
            return 0;
    }
}
static ssize_t k_write(int fd, const void *buffer, size_t size)
{
    if (fd < SIM_FD_FIRST)
        return sim_real.write(fd, buffer, size);
    sim_point();
    fds[fd - SIM_FD_FIRST].edge = true;
    if (fds[fd - SIM_FD_FIRST].epoll >= 0)
        sim_wake(&fds[fds[fd - SIM_FD_FIRST].epoll - SIM_FD_FIRST], 1);
    return (ssize_t)size;
}
static int k_close(int fd)
{
    sim_point();
    fds[fd - SIM_FD_FIRST].kind = 0;
    return 0;
}
void sim_kernel_fill(struct lw_sys *t)
{
    t->epoll_create1 = k_epoll_create1;
    t->eventfd = k_eventfd;
    t->epoll_ctl = k_epoll_ctl;
    t->epoll_wait = k_epoll_wait;
    t->write = k_write;
    t->close = k_close;
}
