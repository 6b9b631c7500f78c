/* SPDX-License-Identifier: MIT */
/* Datagrams: UDP, and unix ones.
 *
 * A socket keeps what has arrived in a queue of packets.  A UDP packet that finds no room is lost,
 * one that finds nobody is answered if its sender is connected.  A unix socket makes its senders
 * wait instead: the one that it is connected to itself while it has as many bytes as it may, others
 * while there are ten packets; only the first kind is told by an event when there is room, as in
 * Linux.  Delayed UDP packets may overtake each other. */
#include "runtime/sim/datagram.h"

#include "runtime/sim/address.h"

enum { PACKET_MAX = 65507, QUEUE_BYTES = 1 << 16, QUEUE_PACKETS = 10 };

struct sim_packet {
    STAILQ_ENTRY(sim_packet) link;
    struct sim_socket *to;     /* UDP, while it is on its way */
    struct sim_socket *sender; /* unix: whose room it takes; held */
    struct sockaddr_storage from;
    socklen_t from_size;
    size_t size;
    unsigned char bytes[];
};

static bool is_full(const struct sim_socket *from, const struct sim_socket *to)
{
    return to->peer == from && from->peer == to ? to->packets_bytes >= QUEUE_BYTES
                                                : to->queued > QUEUE_PACKETS;
}

uint32_t sim_datagram_poll(struct sim_socket *socket)
{
    uint32_t events = socket->error != 0 ? EPOLLERR : 0;

    if (socket->shut & SIM_SHUT_READ)
        events |= SIM_READABLE | EPOLLRDHUP;
    if (socket->shut == SIM_SHUT_BOTH)
        events |= EPOLLHUP;
    if (!STAILQ_EMPTY(&socket->packets))
        events |= SIM_READABLE;
    if (sim_is_inet(socket) || socket->peer == NULL || socket->peer->gone ||
        !is_full(socket, socket->peer))
        events |= SIM_WRITABLE | EPOLLWRBAND;
    return events;
}

ssize_t sim_datagram_pending(const struct sim_socket *socket)
{
    const struct sim_packet *first = STAILQ_FIRST(&socket->packets);

    return first != NULL ? (ssize_t)first->size : 0;
}

/* ---- reading */

/* Its sender has room again; one that is connected both ways may have waited for that. */
static void packet_drop(struct sim_packet *packet)
{
    struct sim_socket *sender = packet->sender;

    sim_free(packet);
    if (sender == NULL)
        return;
    if (!sender->gone)
        sim_file_event(&sender->file, SIM_WRITABLE | EPOLLWRBAND);
    sim_socket_drop(sender);
}

static void take_out(struct sim_socket *socket, struct sim_packet *packet)
{
    STAILQ_REMOVE_HEAD(&socket->packets, link);
    socket->packets_bytes -= packet->size;
    socket->queued--;
    packet_drop(packet);
    sim_wake(&socket->queued, UINT32_MAX);
}

static void purge(struct sim_socket *socket)
{
    while (!STAILQ_EMPTY(&socket->packets))
        take_out(socket, STAILQ_FIRST(&socket->packets));
    sim_wake(&socket->queued, UINT32_MAX);
}

static void tell_sender(const struct sim_packet *packet, struct msghdr *message)
{
    if (message == NULL)
        return;
    message->msg_flags = 0;
    if (message->msg_name == NULL)
        return;
    memcpy(message->msg_name, &packet->from,
           packet->from_size < message->msg_namelen ? packet->from_size : message->msg_namelen);
    message->msg_namelen = packet->from_size;
}

ssize_t sim_datagram_read(struct sim_socket *socket, const struct sim_transfer *transfer,
                          struct msghdr *message)
{
    struct sim_packet *packet;
    size_t size;
    ssize_t result;

    for (;;) {
        int err = sim_socket_error(socket);

        if (err < 0)
            return err;
        packet = STAILQ_FIRST(&socket->packets);
        if (packet != NULL)
            break;
        if ((socket->shut & SIM_SHUT_READ) && transfer->wait) /* else EAGAIN: strange but true */
            return 0;
        err = transfer->wait ? sim_file_wait(&socket->file, "recv") : -EAGAIN;
        if (err < 0)
            return err;
    }
    size = packet->size < transfer->parts->size ? packet->size : transfer->parts->size;
    sim_parts_fill(transfer->parts, 0, packet->bytes, size);
    tell_sender(packet, message);
    if (size < packet->size && message != NULL)
        message->msg_flags = MSG_TRUNC;
    result = (ssize_t)(transfer->flags & MSG_TRUNC ? packet->size : size);
    if ((transfer->flags & MSG_PEEK) == 0)
        take_out(socket, packet);
    return result;
}

/* ---- writing */

static void put_in(struct sim_socket *to, struct sim_packet *packet)
{
    STAILQ_INSERT_TAIL(&to->packets, packet, link);
    to->packets_bytes += packet->size;
    to->queued++;
    sim_file_event(&to->file, SIM_READABLE);
}

static void arrive(void *arg)
{
    struct sim_packet *packet = arg;
    struct sim_socket *to = packet->to;

    if (to->gone || to->packets_bytes >= QUEUE_BYTES)
        sim_free(packet);
    else
        put_in(to, packet);
    sim_socket_drop(to);
}

static struct sim_packet *make(const struct sim_socket *from, const struct sim_parts *parts)
{
    struct sim_packet *packet = sim_alloc(sizeof *packet + parts->size);

    if (packet == NULL)
        return NULL;
    packet->size = parts->size;
    sim_parts_take(parts, 0, packet->bytes, parts->size);
    if (sim_is_inet(from))
        packet->from_size = sim_place_name(from, &from->local, &packet->from);
    else
        sim_unix_name(from, (struct sockaddr_un *)&packet->from, &packet->from_size);
    return packet;
}

/* A UDP socket that has no port yet gets one. */
static int need_port(struct sim_socket *socket)
{
    struct sim_place any = socket->local;

    return socket->bound ? 0 : sim_bind_inet(socket, &any);
}

static int send_udp(struct sim_socket *socket, const struct sim_parts *parts,
                    const struct sim_place *goal)
{
    struct sim_place place = *goal, from;
    struct sim_socket *to;
    struct sim_packet *packet;

    sim_place_settle(&place);
    from = socket->local;
    sim_place_settle(&from);
    to = sim_place_is_local(&place) ? sim_find_bound(SOCK_DGRAM, &place, &from) : NULL;
    if (to == NULL) {
        if (socket->state == SIM_CONNECTED && sim_place_is_local(&place)) {
            socket->error = ECONNREFUSED;
            sim_file_event(&socket->file, EPOLLERR);
        }
        return 0;
    }
    packet = make(socket, parts);
    if (packet == NULL)
        return -ENOBUFS;
    packet->from_size = sim_place_name(to, &from, &packet->from);
    packet->to = to;
    sim_socket_hold(to);
    if (sim_happens(sim_weather.delay))
        sim_at(sim_now() + (INT64_C(1000) << sim_choose(18)), arrive, packet);
    else
        arrive(packet);
    return 0;
}

static int send_unix(struct sim_socket *socket, const struct sim_transfer *transfer,
                     struct sim_socket *to)
{
    struct sim_packet *packet;
    int err = 0;

    sim_socket_hold(to);
    for (;;) {
        if (to->gone)
            err = -ECONNREFUSED;
        else if (to->type != SOCK_DGRAM)
            err = -EPROTOTYPE;
        else if (to->peer != NULL && to->peer != socket)
            err = -EPERM; /* it talks to somebody else */
        else if (to->shut & SIM_SHUT_READ)
            err = -EPIPE;
        if (err < 0 || !is_full(socket, to))
            break;
        err = transfer->wait ? 0 : -EAGAIN;
        if (err == 0 && sim_happens(sim_weather.intr))
            err = -EINTR;
        if (err < 0)
            break;
        (void)sim_block(&to->queued, INT64_MAX, "send");
    }
    packet = err == 0 ? make(socket, transfer->parts) : NULL;
    if (packet != NULL) {
        packet->sender = socket;
        sim_socket_hold(socket);
        put_in(to, packet);
    } else if (err == 0) {
        err = -ENOBUFS;
    }
    if (err == -ECONNREFUSED && socket->peer == to) { /* no longer; what it has sent is lost */
        purge(socket);
        socket->peer = NULL;
        socket->state = SIM_CLOSED;
        sim_socket_drop(to);
    }
    sim_socket_drop(to);
    return err;
}

static int may_write(struct sim_socket *socket)
{
    if (socket->error != 0)
        return sim_socket_error(socket);
    return socket->shut & SIM_SHUT_WRITE ? -EPIPE : 0;
}

static int write_unix(struct sim_socket *socket, const struct sim_transfer *transfer,
                      const struct msghdr *message)
{
    struct sim_socket *to = socket->peer;
    int err = may_write(socket);

    if (err < 0)
        return err;
    if (message != NULL && message->msg_name != NULL && message->msg_namelen > 0)
        err = sim_unix_find(message->msg_name, message->msg_namelen, &to);
    else
        err = to == NULL ? -ENOTCONN : 0;
    if (err == 0)
        err = send_unix(socket, transfer, to);
    if (err < 0) /* what had been allocated for it is free again, which makes an event */
        sim_file_event(&socket->file, SIM_WRITABLE | EPOLLWRBAND);
    return err;
}

static int write_udp(struct sim_socket *socket, const struct sim_transfer *transfer,
                     const struct msghdr *message)
{
    struct sim_place place = socket->remote;
    int err = socket->state == SIM_CONNECTED ? 0 : -EDESTADDRREQ;

    if (message != NULL && message->msg_name != NULL)
        err = sim_place_of(socket, message->msg_name, message->msg_namelen, &place);
    if (err == 0)
        err = may_write(socket);
    if (err == 0)
        err = send_udp(socket, transfer->parts, &place);
    if (err == 0) /* it has left */
        sim_file_event(&socket->file, SIM_WRITABLE | EPOLLWRBAND);
    return err;
}

ssize_t sim_datagram_write(struct sim_socket *socket, const struct sim_transfer *transfer,
                           const struct msghdr *message)
{
    int err = sim_is_inet(socket) ? need_port(socket) : 0;

    if (err == 0 && transfer->parts->size > PACKET_MAX)
        err = -EMSGSIZE;
    if (err == 0)
        err = sim_is_inet(socket) ? write_udp(socket, transfer, message)
                                  : write_unix(socket, transfer, message);
    if (err == -EPIPE && (transfer->flags & MSG_NOSIGNAL) == 0)
        sim_raise_pipe();
    return err < 0 ? err : (ssize_t)transfer->parts->size;
}

/* ---- life */

/* What the old peer has sent is lost, and it is told of that. */
static void leave_peer(struct sim_socket *socket)
{
    bool lost = !STAILQ_EMPTY(&socket->packets);

    purge(socket);
    if (!lost || socket->peer->gone || socket->peer->peer != socket)
        return;
    socket->peer->error = ECONNRESET;
    sim_file_event(&socket->peer->file, EPOLLERR);
}

static int connect_unix(struct sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    struct sim_socket *to;
    int err = sim_unix_find(address, size, &to);

    if (err < 0)
        return err;
    if (to->type != SOCK_DGRAM)
        return -EPROTOTYPE;
    if (to->peer != NULL && to->peer != socket)
        return -EPERM;
    sim_socket_hold(to);
    if (socket->peer != NULL) {
        if (socket->peer != to)
            leave_peer(socket);
        sim_socket_drop(socket->peer);
        sim_file_event(&socket->file, SIM_WRITABLE | EPOLLWRBAND);
    }
    socket->peer = to;
    socket->state = SIM_CONNECTED;
    return 0;
}

int sim_datagram_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    struct sim_place place;
    int err;

    if (address != NULL && size >= sizeof address->sa_family && address->sa_family == AF_UNSPEC) {
        if (socket->peer != NULL)
            sim_socket_drop(socket->peer);
        socket->peer = NULL;
        socket->state = SIM_CLOSED;
        return 0;
    }
    if (!sim_is_inet(socket))
        return connect_unix(socket, address, size);
    err = sim_place_of(socket, address, size, &place);
    if (err == 0)
        err = need_port(socket);
    if (err < 0)
        return err;
    sim_place_settle(&place);
    socket->remote = place;
    sim_place_settle(&socket->local);
    socket->state = SIM_CONNECTED;
    return 0;
}

int sim_datagram_shutdown(struct sim_socket *socket, unsigned how)
{
    int err = socket->state == SIM_CONNECTED ? 0 : -ENOTCONN;

    socket->shut |= how;
    sim_file_event(&socket->file, SIM_ANYTHING);
    return err;
}

void sim_datagram_close(struct sim_socket *socket)
{
    socket->gone = true;
    sim_unbind(socket);
    purge(socket);
    if (socket->peer != NULL)
        sim_socket_drop(socket->peer);
    socket->peer = NULL;
}
