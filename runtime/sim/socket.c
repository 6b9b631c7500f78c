/* SPDX-License-Identifier: MIT */
/* The calls on sockets, and what all kinds of sockets share. */
#include "runtime/sim/socket.h"
#include "runtime/sim/address.h"
#include "runtime/sim/datagram.h"
#include "runtime/sim/option.h"

enum { ROOM = 4096, ROOM_MIN = 2304 /* Linux has no less */, BACKLOG_MAX = 4096 };

/* ---- life */

static uint32_t socket_poll(struct sim_file *file)
{
    struct sim_socket *socket = sim_socket_of(file);

    return socket->type == SOCK_DGRAM ? sim_datagram_poll(socket) : sim_stream_poll(socket);
}

static void socket_release(struct sim_file *file)
{
    struct sim_socket *socket = sim_socket_of(file);

    if (socket->type == SOCK_DGRAM)
        sim_datagram_close(socket);
    if (!sim_is_inet(socket))
        sim_unix_close(socket);
    else if (socket->type == SOCK_STREAM)
        sim_tcp_close(socket);
    sim_socket_drop(socket);
}

static ssize_t socket_pending(struct sim_file *file)
{
    const struct sim_socket *socket = sim_socket_of(file);

    if (socket->type == SOCK_DGRAM)
        return sim_datagram_pending(socket);
    return socket->state == SIM_LISTENING ? -EINVAL
                                          : (ssize_t)(socket->in.arrived - socket->in.begin);
}

const struct sim_file_type sim_socket_type = {.name = "socket",
                                              .poll = socket_poll,
                                              .read = sim_socket_read,
                                              .write = sim_socket_write,
                                              .release = socket_release,
                                              .pending = socket_pending,
                                              .mode = S_IFSOCK | 0777};

struct sim_socket *sim_socket_new(int domain, int type, int protocol)
{
    struct sim_socket *socket = sim_alloc(sizeof *socket);

    if (socket == NULL)
        return NULL;
    sim_file_init(&socket->file, &sim_socket_type, O_RDWR);
    socket->holds = 1;
    socket->domain = domain;
    socket->type = type;
    socket->protocol = protocol;
    if (domain == AF_INET) /* 0.0.0.0 */
        socket->local.ip[10] = socket->local.ip[11] = 0xff;
    STAILQ_INIT(&socket->queue);
    STAILQ_INIT(&socket->packets);
    TAILQ_INIT(&socket->segments);
    sim_options_init(socket);
    return socket;
}

void sim_socket_hold(struct sim_socket *socket)
{
    socket->holds++;
}

void sim_socket_drop(struct sim_socket *socket)
{
    if (--socket->holds > 0)
        return;
    sim_free(socket->in.bytes);
    sim_free(socket);
}

int sim_socket_join(struct sim_socket *a, struct sim_socket *b, size_t room)
{
    unsigned char *first = sim_alloc(room), *second = sim_alloc(room);

    if (first == NULL || second == NULL) {
        sim_free(first);
        sim_free(second);
        return -ENOMEM;
    }
    a->in = (struct sim_buffer){.bytes = first, .capacity = room};
    b->in = (struct sim_buffer){.bytes = second, .capacity = room};
    a->peer = b;
    b->peer = a;
    sim_socket_hold(a);
    sim_socket_hold(b);
    return 0;
}

void sim_socket_empty(struct sim_socket *socket)
{
    sim_free(socket->in.bytes);
    socket->in.bytes = NULL;
    socket->in.begin = socket->in.arrived = socket->in.end;
}

void sim_socket_part(struct sim_socket *socket)
{
    struct sim_socket *peer = socket->peer;

    if (peer == NULL)
        return;
    socket->peer = peer->peer = NULL;
    sim_socket_drop(peer);
    sim_socket_drop(socket);
}

int sim_socket_error(struct sim_socket *socket)
{
    int error = socket->error;

    socket->error = 0;
    return -error;
}

size_t sim_socket_room(void)
{
    static const size_t rooms[] = {ROOM, ROOM_MIN, 4 * ROOM, 16 * ROOM};

    return sim_weather.short_io == 0 ? ROOM : rooms[sim_choose(sizeof rooms / sizeof *rooms)];
}

/* ---- making them */

static int check_kind(int domain, int type, int protocol)
{
    int expected = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;

    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return -EAFNOSUPPORT;
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != (domain == AF_UNIX ? PF_UNIX : expected))
        return -EPROTONOSUPPORT;
    return domain == AF_UNIX ? 0 : expected;
}

bool sim_knows_socket(int domain, int type, int protocol)
{
    return check_kind(domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol) >= 0;
}

static int install(struct sim_socket *socket, int flags)
{
    int fd;

    socket->file.flags |= flags & SOCK_NONBLOCK ? O_NONBLOCK : 0;
    fd = sim_file_install(&socket->file, (flags & SOCK_CLOEXEC) != 0);
    if (fd < 0) {
        socket->linger = (struct linger){.l_onoff = 1};
        socket_release(&socket->file);
    }
    return fd;
}

static int sim_socket(int domain, int type, int protocol)
{
    const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    struct sim_socket *socket;
    int err;

    sim_point();
    err = check_kind(domain, type & ~flags, protocol);
    if (err < 0)
        return (int)sim_result(err);
    protocol = err;
    err = sim_descriptor_refused();
    if (err < 0)
        return (int)sim_result(err);
    socket = sim_socket_new(domain, type & ~flags, protocol);
    return (int)sim_result(socket != NULL ? install(socket, type) : -ENOMEM);
}

static int make_pair(int type, int fds[2])
{
    const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    struct sim_socket *ends[2] = {sim_socket_new(AF_UNIX, type & ~flags, 0),
                                  sim_socket_new(AF_UNIX, type & ~flags, 0)};
    int err = -ENOMEM;

    if (ends[0] != NULL && ends[1] != NULL)
        err = sim_socket_join(ends[0], ends[1], sim_socket_room());
    if (err < 0) {
        for (unsigned i = 0; i < 2; i++)
            if (ends[i] != NULL)
                sim_socket_drop(ends[i]);
        return err;
    }
    for (unsigned i = 0; i < 2; i++) {
        ends[i]->state = SIM_CONNECTED;
        ends[i]->asked = SIM_JOINED;
    }
    fds[0] = install(ends[0], type);
    fds[1] = install(ends[1], type);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    if (fds[0] >= 0)
        (void)sim_close(fds[0]);
    return -EMFILE;
}

int sim_socketpair(int domain, int type, int protocol, int fds[2])
{
    int err;

    sim_point();
    err = check_kind(domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol);
    if (err >= 0 && domain != AF_UNIX)
        err = -EOPNOTSUPP;
    if (err >= 0)
        err = sim_descriptor_refused();
    return (int)sim_result(err < 0 ? err : make_pair(type, fds));
}

/* ---- finding them */

int sim_socket_get(int fd, struct sim_socket **socket)
{
    struct sim_file *file = sim_file_get(fd);

    if (file == NULL)
        return -EBADF;
    *socket = sim_socket_of(file);
    if (file->type == &sim_socket_type)
        return 0;
    sim_file_put(file);
    return -ENOTSOCK;
}

ssize_t sim_socket_put(struct sim_socket *socket, ssize_t result)
{
    sim_file_put(&socket->file);
    return sim_result(result);
}

/* ---- connections */

static int begin_listening(struct sim_socket *socket, int backlog)
{
    struct sim_place any = socket->local;
    int err;

    if (socket->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if ((socket->state != SIM_CLOSED && socket->state != SIM_LISTENING) ||
        (!sim_is_inet(socket) && socket->path == NULL) || socket->asked != SIM_IDLE)
        return -EINVAL;
    err = sim_name_refused(socket);
    if (err == 0 && sim_is_inet(socket) && !socket->bound)
        err = sim_bind_inet(socket, &any);
    if (err == 0 && sim_is_inet(socket) && sim_port_is_heard(socket))
        err = -EADDRINUSE;
    if (err < 0)
        return err;
    socket->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (unsigned)backlog;
    socket->state = SIM_LISTENING;
    return 0;
}

static int sim_listen(int fd, int backlog)
{
    struct sim_socket *socket;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.listen(fd, backlog);
    err = sim_socket_get(fd, &socket);
    return err < 0 ? (int)sim_result(err)
                   : (int)sim_socket_put(socket, begin_listening(socket, backlog));
}

/* The first of the queue; it may be lost there: an address is asked for that it no longer has, or
 * the weather is so. */
static int take_first(struct sim_socket *listener, struct sim_socket **child, bool named)
{
    struct sim_socket *first = STAILQ_FIRST(&listener->queue);
    bool is_lost = false;

    STAILQ_REMOVE_HEAD(&listener->queue, queue_link);
    listener->queued--;
    if (!sim_is_inet(listener)) {
        sim_wake(&listener->queued, UINT32_MAX);
    } else {
        if (sim_happens(sim_weather.reset)) {
            sim_tcp_break(first);
            is_lost = sim_choose(2) == 1;
        }
        is_lost = is_lost || (named && first->state == SIM_CLOSED);
    }
    *child = first;
    if (is_lost)
        socket_release(&first->file);
    return is_lost ? -ECONNABORTED : 0;
}

static int accept_one(struct sim_socket *listener, struct sockaddr *address, socklen_t *size,
                      int flags)
{
    struct sim_socket *child;
    int err = sim_descriptor_refused();

    if (err < 0)
        return err;
    if (listener->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (sim_happens(sim_weather.intr))
        return -EINTR;
    for (;;) {
        if (listener->state != SIM_LISTENING)
            return -EINVAL;
        if (listener->queued > 0)
            break;
        err = sim_file_waits(&listener->file) ? sim_file_wait(&listener->file, "accept") : -EAGAIN;
        if (err < 0)
            return err;
    }
    err = take_first(listener, &child, address != NULL);
    if (err < 0)
        return err;
    if (address != NULL)
        (void)sim_socket_name(child, true, address, size);
    return install(child, flags);
}

static int sim_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    struct sim_socket *listener;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.accept4(fd, address, size, flags);
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return (int)sim_result(-EINVAL);
    err = sim_socket_get(fd, &listener);
    return err < 0 ? (int)sim_result(err)
                   : (int)sim_socket_put(listener, accept_one(listener, address, size, flags));
}

static int begin_connecting(struct sim_socket *socket, const struct sockaddr *address,
                            socklen_t size)
{
    bool wait = sim_file_waits(&socket->file);
    struct sim_place place;
    int err;

    if (sim_happens(sim_weather.intr))
        return -EINTR;
    if (socket->type == SOCK_DGRAM)
        return sim_datagram_connect(socket, address, size);
    if (!sim_is_inet(socket))
        return sim_unix_connect(socket, address, size, wait);
    err = sim_place_of(socket, address, size, &place);
    return err < 0 ? err : sim_tcp_connect(socket, &place, wait);
}

static int sim_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    struct sim_socket *socket;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.connect(fd, address, size);
    err = sim_socket_get(fd, &socket);
    return err < 0 ? (int)sim_result(err)
                   : (int)sim_socket_put(socket, begin_connecting(socket, address, size));
}

static int end_sides(struct sim_socket *socket, int how)
{
    unsigned sides = (unsigned)how + 1; /* SHUT_RD, SHUT_WR, SHUT_RDWR */

    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (!sim_is_inet(socket))
        return sim_unix_shutdown(socket, sides);
    return socket->type == SOCK_STREAM ? sim_tcp_shutdown(socket, sides)
                                       : sim_datagram_shutdown(socket, sides);
}

int sim_shutdown(int fd, int how)
{
    struct sim_socket *socket;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return shutdown(fd, how);
    err = sim_socket_get(fd, &socket);
    return err < 0 ? (int)sim_result(err) : (int)sim_socket_put(socket, end_sides(socket, how));
}

void sim_socket_fill(struct lw_sys *table)
{
    table->recv = sim_recv;
    table->send = sim_send;
    table->recvmsg = sim_recvmsg;
    table->sendmsg = sim_sendmsg;
    table->accept4 = sim_accept4;
    table->connect = sim_connect;
    table->socket = sim_socket;
    table->bind = sim_bind;
    table->listen = sim_listen;
    table->setsockopt = sim_setsockopt;
    table->getsockopt = sim_getsockopt;
    table->lstat = sim_lstat;
    table->unlink = sim_unlink;
}
