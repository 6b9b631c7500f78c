/* SPDX-License-Identifier: MIT */
/* Reading from sockets and writing to them: read, write, recv, send, recvmsg, sendmsg. */
#include "runtime/sim/datagram.h"
#include "runtime/sim/socket.h"

static ssize_t receive(struct sim_socket *socket, const struct sim_parts *parts,
                       struct msghdr *message, int flags)
{
    struct sim_transfer transfer = {.parts = parts,
                                    .flags = flags,
                                    .wait = sim_file_waits(&socket->file) &&
                                            (flags & MSG_DONTWAIT) == 0};

    if (flags & MSG_OOB)
        return sim_is_inet(socket) && socket->type == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    return socket->type == SOCK_DGRAM ? sim_datagram_read(socket, &transfer, message)
                                      : sim_stream_read(socket, &transfer);
}

static ssize_t transmit(struct sim_socket *socket, const struct sim_parts *parts,
                        const struct msghdr *message, int flags)
{
    struct sim_transfer transfer = {.parts = parts,
                                    .flags = flags,
                                    .wait = sim_file_waits(&socket->file) &&
                                            (flags & MSG_DONTWAIT) == 0};

    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    return socket->type == SOCK_DGRAM ? sim_datagram_write(socket, &transfer, message)
                                      : sim_stream_write(socket, &transfer);
}

ssize_t sim_socket_read(struct sim_file *file, const struct sim_parts *parts)
{
    if (parts->size == 0) /* as read(2) has it: not even an error */
        return 0;
    return receive(sim_socket_of(file), parts, NULL, 0);
}

ssize_t sim_socket_write(struct sim_file *file, const struct sim_parts *parts, bool quiet)
{
    return transmit(sim_socket_of(file), parts, NULL, quiet ? MSG_NOSIGNAL : 0);
}

ssize_t sim_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct sim_socket *socket;
    struct sim_parts parts;
    ssize_t result;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.recvmsg(fd, message, flags);
    result = sim_socket_get(fd, &socket);
    if (result < 0)
        return sim_result(result);
    result = sim_parts_of(message->msg_iov, message->msg_iovlen, &parts);
    if (result == 0 && sim_happens(sim_weather.intr))
        result = -EINTR;
    if (result == 0) {
        result = receive(socket, &parts, message, flags);
        if (result >= 0 && socket->type == SOCK_STREAM) {
            message->msg_namelen = 0;
            message->msg_flags = 0;
        }
        if (result >= 0)
            message->msg_controllen = 0;
    }
    return sim_socket_put(socket, result);
}

ssize_t sim_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct sim_socket *socket;
    struct sim_parts parts;
    ssize_t result;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.sendmsg(fd, message, flags);
    result = sim_socket_get(fd, &socket);
    if (result < 0)
        return sim_result(result);
    result = sim_parts_of(message->msg_iov, message->msg_iovlen, &parts);
    if (result == 0 && message->msg_control != NULL && message->msg_controllen > 0)
        result = -EOPNOTSUPP; /* there is nothing that could be sent so here */
    if (result == 0 && !sim_is_inet(socket) && socket->type == SOCK_STREAM &&
        message->msg_name != NULL && message->msg_namelen > 0)
        result = socket->state == SIM_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (result == 0 && sim_happens(sim_weather.intr))
        result = -EINTR;
    if (result == 0)
        result = transmit(socket, &parts, message, flags);
    return sim_socket_put(socket, result);
}

ssize_t sim_recv(int fd, void *buffer, size_t size, int flags)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    return sim_is_ours(fd) ? sim_recvmsg(fd, &message, flags)
                           : sim_real.recv(fd, buffer, size, flags);
}

ssize_t sim_send(int fd, const void *buffer, size_t size, int flags)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    return sim_is_ours(fd) ? sim_sendmsg(fd, &message, flags)
                           : sim_real.send(fd, buffer, size, flags);
}
