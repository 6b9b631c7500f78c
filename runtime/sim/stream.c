/* SPDX-License-Identifier: MIT */
/* Reading and writing on connections, TCP and unix.
 *
 * What one end writes goes into the buffer of the other, which has room for what both kernels
 * would keep.  As in Linux a TCP socket is writable for poll(2) from a third of free room on, and
 * is told of that only if it was found full before; a unix socket is from three quarters on, and is
 * told with each read.
 *
 * A transfer that the weather cuts short is followed by another event, as if the rest had come, or
 * the room had become free, right after it: who takes a short transfer for the sign that nothing is
 * left (epoll(7)) is told again. */
#include <signal.h>

#include "runtime/sim/socket.h"

void sim_raise_pipe(void)
{
    (void)raise(SIGPIPE);
}

static bool is_writable(const struct sim_socket *socket)
{
    const struct sim_buffer *out = &socket->peer->in;
    size_t used = (size_t)(out->end - out->begin);

    return sim_is_inet(socket) ? sim_buffer_free(out) >= used / 2 && used < out->capacity
                               : used * 4 <= out->capacity;
}

/* The peer has read. */
static void tell_room(struct sim_socket *writer)
{
    if (writer == NULL || writer->gone || writer->peer == NULL || !is_writable(writer))
        return;
    if (sim_is_inet(writer) && !writer->no_space)
        return;
    writer->no_space = false;
    sim_file_event(&writer->file, SIM_WRITABLE | EPOLLWRBAND);
}

/* ---- poll */

uint32_t sim_stream_poll(struct sim_socket *socket)
{
    bool inet = sim_is_inet(socket);
    uint32_t events = socket->error != 0 ? EPOLLERR : 0;

    if (socket->queued > 0)
        events |= SIM_READABLE;
    if (socket->state == SIM_LISTENING && inet)
        return events;
    if (socket->shut == SIM_SHUT_BOTH || socket->state == SIM_CLOSED)
        events |= EPOLLHUP;
    if (socket->shut & SIM_SHUT_READ)
        events |= SIM_READABLE | EPOLLRDHUP;
    if (socket->state == SIM_CONNECTING || socket->state == SIM_LISTENING)
        return events;
    if (socket->in.arrived > socket->in.begin)
        events |= SIM_READABLE;
    if ((inet && (socket->shut & SIM_SHUT_WRITE)) || socket->peer == NULL || is_writable(socket))
        events |= SIM_WRITABLE | (inet ? 0 : EPOLLWRBAND);
    else
        socket->no_space = true;
    return events;
}

/* ---- reading */

static void copy_out(const struct sim_buffer *buffer, const struct sim_parts *parts, size_t at,
                     size_t size)
{
    size_t from = (size_t)(buffer->begin % buffer->capacity), first = buffer->capacity - from;

    if (first > size)
        first = size;
    sim_parts_fill(parts, at, buffer->bytes + from, first);
    sim_parts_fill(parts, at + first, buffer->bytes, size - first);
}

/* There is nothing to read: why, and whether it will stay so. */
static int why_empty(struct sim_socket *socket, bool moved)
{
    if (!sim_is_inet(socket) && socket->state != SIM_CONNECTED)
        return -EINVAL;
    if (sim_is_inet(socket) && socket->state == SIM_LISTENING)
        return -ENOTCONN;
    if (sim_is_inet(socket) && socket->ended)
        return 0;
    if (socket->error != 0) /* said by a call that has nothing else to say */
        return moved ? 0 : sim_socket_error(socket);
    if (socket->shut & SIM_SHUT_READ)
        return 0;
    if (socket->state == SIM_CONNECTED || socket->state == SIM_CONNECTING)
        return -EAGAIN;
    return -ENOTCONN;
}

static ssize_t read_some(struct sim_socket *socket, const struct sim_transfer *transfer, size_t at)
{
    struct sim_buffer *in = &socket->in;
    size_t there = (size_t)(in->arrived - in->begin), size = transfer->parts->size - at;
    bool cut;

    if (there == 0)
        return why_empty(socket, at > 0);
    if (size > there)
        size = there;
    there = size;
    size = sim_short(size);
    cut = size < there;
    if (!(sim_is_inet(socket) && (transfer->flags & MSG_TRUNC))) /* which throws them away */
        copy_out(in, transfer->parts, at, size);
    if ((transfer->flags & MSG_PEEK) == 0) {
        in->begin += size;
        tell_room(socket->peer);
    }
    if (cut)
        sim_file_event(&socket->file, SIM_READABLE);
    return (ssize_t)size;
}

ssize_t sim_stream_read(struct sim_socket *socket, const struct sim_transfer *transfer)
{
    bool whole = (transfer->flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
    size_t moved = 0;

    if (sim_is_inet(socket) && socket->state == SIM_CONNECTED && sim_happens(sim_weather.reset))
        sim_tcp_break(socket);
    for (;;) {
        ssize_t count = read_some(socket, transfer, moved);

        if (count == -EAGAIN && transfer->wait) {
            count = sim_file_wait(&socket->file, "recv");
            if (count == 0)
                continue;
        }
        if (count <= 0)
            return moved > 0 ? (ssize_t)moved : count;
        moved += (size_t)count;
        if (!whole || moved == transfer->parts->size)
            return (ssize_t)moved;
    }
}

/* ---- writing */

static void copy_in(struct sim_buffer *buffer, const struct sim_parts *parts, size_t at,
                    size_t size)
{
    size_t to = (size_t)(buffer->end % buffer->capacity), first = buffer->capacity - to;

    if (buffer->bytes == NULL)
        return;
    if (first > size)
        first = size;
    sim_parts_take(parts, at, buffer->bytes + to, first);
    sim_parts_take(parts, at + first, buffer->bytes, size - first);
}

/* 0, or why nothing can be written. */
static int may_write(struct sim_socket *socket)
{
    if (!sim_is_inet(socket)) {
        if (socket->peer == NULL)
            return -ENOTCONN;
        return socket->shut & SIM_SHUT_WRITE || socket->peer->gone ||
                       socket->peer->shut & SIM_SHUT_READ
                   ? -EPIPE
                   : 0;
    }
    if (socket->state == SIM_CONNECTING)
        return -EAGAIN;
    if (socket->error == 0 && socket->state == SIM_CONNECTED &&
        (socket->shut & SIM_SHUT_WRITE) == 0)
        return 0;
    return socket->error != 0 ? sim_socket_error(socket) : -EPIPE;
}

static ssize_t write_some(struct sim_socket *socket, const struct sim_transfer *transfer, size_t at)
{
    size_t size = transfer->parts->size - at, room, wanted = size;
    int err = at > 0 && socket->error != 0 ? -EPIPE : may_write(socket); /* told by the next call */
    bool cut = false;

    if (err < 0 || size == 0)
        return err;
    room = sim_buffer_free(&socket->peer->in);
    if (size > room)
        size = room;
    if (!transfer->wait) {
        room = size;
        size = sim_short(size);
        cut = size < room;
    }
    if (size < wanted && !cut)
        socket->no_space = true;
    if (size == 0)
        return -EAGAIN;
    copy_in(&socket->peer->in, transfer->parts, at, size);
    socket->peer->in.end += size;
    if (sim_is_inet(socket)) {
        sim_tcp_sent(socket->peer);
    } else {
        socket->peer->in.arrived = socket->peer->in.end;
        sim_file_event(&socket->peer->file, SIM_READABLE);
    }
    if (cut)
        sim_file_event(&socket->file, SIM_WRITABLE);
    return (ssize_t)size;
}

ssize_t sim_stream_write(struct sim_socket *socket, const struct sim_transfer *transfer)
{
    size_t moved = 0;

    if (sim_is_inet(socket) && socket->state == SIM_CONNECTED && sim_happens(sim_weather.reset))
        sim_tcp_break(socket);
    for (;;) {
        ssize_t count = write_some(socket, transfer, moved);

        if (count == -EAGAIN && transfer->wait) {
            count = sim_file_wait(&socket->file, "send");
            if (count == 0)
                continue;
        }
        if (count == -EPIPE && moved == 0 && (transfer->flags & MSG_NOSIGNAL) == 0)
            sim_raise_pipe();
        if (count <= 0)
            return moved > 0 ? (ssize_t)moved : count;
        moved += (size_t)count;
        if (moved == transfer->parts->size || !transfer->wait)
            return (ssize_t)moved;
    }
}
