/* SPDX-License-Identifier: MIT */
/* lw_poll(): waiting for a descriptor to be ready, for its own sake; as a call, and as an arm of
 * lw_select(). */
#include <poll.h>

#include "runtime/descriptor.h"
#include "runtime/os/os.h"

#define SITE __builtin_return_address(0)

ssize_t lw_io_look(struct lw_io_call *call, void *arg)
{
    struct pollfd pollfd = {.fd = call->fd, .events = call->events};
    ssize_t count;

    (void)arg;
    do {
        count = lw_io_result(lw_sys.poll(&pollfd, 1, 0));
    } while (lw_unlikely(count == -EINTR));
    if (count <= 0)
        return count < 0 ? count : -EAGAIN;
    return pollfd.revents & POLLNVAL ? -EBADF : (ssize_t)pollfd.revents;
}

int lw_poll(int fd, short events, lw_nsec deadline)
{
    struct lw_io_call call = {
        .fd = fd, .side = LW_SIDE_WATCH, .events = events, .deadline = deadline, .site = SITE};

    return (int)lw_io_run(&call, lw_io_look, NULL);
}

/* ---- an arm of lw_select() */

/* As lw_io_run() begins, up to the wait. */
int lw_poll_watch(int fd, short events, bool *armed, struct lw_record *me, struct lw_node *node)
{
    struct lw_io_call call = {.fd = fd, .side = LW_SIDE_WATCH, .events = events, .armed = *armed,
                              .deadline = LW_FOREVER, .me = me};
    int err = lw_descriptor_enter(fd, &call.descriptor, &call.state);
    ssize_t ready;

    if (err < 0)
        return err;
    call.seen = lw_load_acq(&call.descriptor->sides[call.side].edges); /* [I2] */
    ready = lw_io_look(&call, NULL);
    err = ready == -EAGAIN ? lw_io_watch(&call, node) : 1;
    *armed = call.armed;
    if (err != 0)
        lw_descriptor_leave(call.descriptor, fd, call.side, true);
    return err;
}

bool lw_poll_look(int fd, short events)
{
    struct lw_io_call call = {.fd = fd, .events = events};

    return lw_io_look(&call, NULL) != -EAGAIN;
}

/* Moved: the edge may have been for another who waits. */
void lw_poll_leave(int fd, struct lw_node *node)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);

    lw_io_unwatch(descriptor, LW_SIDE_WATCH, node);
    lw_descriptor_leave(descriptor, fd, LW_SIDE_WATCH, true);
}
