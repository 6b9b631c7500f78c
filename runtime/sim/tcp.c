/* SPDX-License-Identifier: MIT */
/* TCP: how connections begin and end, and how what is sent arrives.
 *
 * The bytes that one end writes are in the buffer of the other at once; what travels is the news of
 * them.  A segment says up to where the bytes have arrived, so that it does no harm when it is late
 * or overtaken: the end of a stream comes with all that was sent before it.  Without delay it
 * arrives within the call that sends it, as on the loopback interface.  Segments for one socket
 * keep their order, of different ones they do not.
 *
 * Who closes with bytes unread, or gets bytes after that, answers with a reset, as in Linux; what
 * had arrived before a reset can still be read after it.  A full queue of a listener loses the
 * request to connect, which is sent again after 1 s, 2 s ... up to 64 s; the same where no host
 * is. */
#include "runtime/sim/address.h"
#include "runtime/sim/option.h"
#include "runtime/sim/socket.h"

#define NS_PER_SEC INT64_C(1000000000)

enum { SYN_RETRIES = 6 };

enum kind { SYN, BYTES, END, RESET };

struct sim_segment {
    TAILQ_ENTRY(sim_segment) link;
    enum kind kind;
    uint64_t offset; /* all up to here has arrived */
    int64_t when;
};

static void deliver(struct sim_socket *to, enum kind kind, uint64_t offset);

/* ---- on the way */

/* The first one arrives.  One event for each socket at a time. */
static void arrive(void *arg)
{
    struct sim_socket *to = arg;
    struct sim_segment *segment = TAILQ_FIRST(&to->segments), first = *segment;
    bool is_last;

    TAILQ_REMOVE(&to->segments, segment, link);
    sim_free(segment);
    is_last = TAILQ_EMPTY(&to->segments);
    if (!is_last)
        sim_at(TAILQ_FIRST(&to->segments)->when, arrive, to);
    deliver(to, first.kind, first.offset);
    if (is_last)
        sim_socket_drop(to);
}

/* What a socket sends to itself as SYN goes to the host that it wants to reach. */
static void travel(struct sim_socket *to, enum kind kind, uint64_t offset, int64_t delay)
{
    struct sim_segment *segment = sim_alloc(sizeof *segment), *last;
    int64_t when = sim_now() + delay;

    if (segment == NULL) { /* then it is fast */
        deliver(to, kind, offset);
        return;
    }
    last = TAILQ_LAST(&to->segments, sim_segments);
    if (last != NULL && when <= last->when)
        when = last->when + 1;
    *segment = (struct sim_segment){.kind = kind, .offset = offset, .when = when};
    TAILQ_INSERT_TAIL(&to->segments, segment, link);
    if (last != NULL)
        return;
    sim_socket_hold(to);
    sim_at(when, arrive, to);
}

static void transmit(struct sim_socket *to, enum kind kind)
{
    int64_t delay = sim_happens(sim_weather.delay) ? INT64_C(1000) << sim_choose(18) : 0;

    if (delay == 0 && TAILQ_EMPTY(&to->segments))
        deliver(to, kind, to->in.end);
    else
        travel(to, kind, to->in.end, delay);
}

void sim_tcp_sent(struct sim_socket *to)
{
    transmit(to, BYTES);
}

/* ---- arriving */

static void reset(struct sim_socket *to)
{
    if (to == NULL || to->gone || to->state == SIM_CLOSED)
        return;
    if (to->state == SIM_CONNECTING)
        to->error = ECONNREFUSED;
    else
        to->error = to->ended && (to->shut & SIM_SHUT_WRITE) == 0 ? EPIPE : ECONNRESET;
    to->state = SIM_CLOSED;
    to->shut = SIM_SHUT_BOTH;
    to->in.end = to->in.arrived;
    sim_file_event(&to->file, SIM_ANYTHING);
}

static void arrive_end(struct sim_socket *to)
{
    to->ended = true;
    to->shut |= SIM_SHUT_READ;
    if ((to->shut & SIM_SHUT_WRITE) && to->peer != NULL && to->peer->ended) { /* both have ended */
        to->state = SIM_CLOSED;
        to->peer->state = SIM_CLOSED;
    }
    sim_file_event(&to->file, SIM_ANYTHING);
}

/* Nobody answers: again later, or never. */
static void unanswered(struct sim_socket *from)
{
    travel(from, SYN, 0, NS_PER_SEC << from->attempts++);
}

static bool has_given_up(struct sim_socket *from)
{
    if (from->attempts <= SYN_RETRIES)
        return false;
    from->error = ETIMEDOUT;
    from->state = SIM_CLOSED;
    from->shut = SIM_SHUT_BOTH;
    sim_file_event(&from->file, SIM_ANYTHING);
    return true;
}

static struct sim_socket *make_child(struct sim_socket *listener, struct sim_socket *from)
{
    struct sim_socket *child = sim_socket_new(listener->domain, SOCK_STREAM, IPPROTO_TCP);

    if (child == NULL)
        return NULL;
    if (sim_socket_join(from, child, from->room) < 0) {
        sim_socket_drop(child);
        return NULL;
    }
    memcpy(child->options, listener->options, sizeof child->options);
    child->linger = listener->linger;
    child->remote = from->local;
    child->state = SIM_CONNECTED;
    child->asked = SIM_JOINED;
    sim_bind_child(child, &from->remote);
    return child;
}

static void arrive_request(struct sim_socket *from)
{
    struct sim_socket *listener, *child;

    if (from->gone || from->state != SIM_CONNECTING || has_given_up(from))
        return;
    if (!sim_place_is_local(&from->remote)) {
        unanswered(from);
        return;
    }
    listener = sim_find_bound(SOCK_STREAM, &from->remote, &from->local);
    if (listener == NULL) {
        reset(from);
        return;
    }
    child = listener->queued > listener->backlog ? NULL : make_child(listener, from);
    if (child == NULL) {
        unanswered(from);
        return;
    }
    from->state = SIM_CONNECTED;
    sim_file_event(&from->file, SIM_ANYTHING);
    STAILQ_INSERT_TAIL(&listener->queue, child, queue_link);
    listener->queued++;
    sim_file_event(&listener->file, SIM_READABLE);
}

static void deliver(struct sim_socket *to, enum kind kind, uint64_t offset)
{
    if (kind == SYN) {
        arrive_request(to);
        return;
    }
    if (to->state == SIM_CLOSED)
        return;
    if (kind == RESET) {
        reset(to);
        return;
    }
    if (kind == BYTES && (to->gone || to->shut == SIM_SHUT_BOTH)) { /* it has said: no more */
        reset(to);
        reset(to->peer);
        return;
    }
    if (offset > to->in.arrived)
        to->in.arrived = offset;
    if (kind == END)
        arrive_end(to);
    else
        sim_file_event(&to->file, SIM_READABLE);
}

/* ---- connecting */

/* What connect(2) has begun is over: told once, after which it may be begun again. */
static int connect_error(struct sim_socket *socket)
{
    int err = sim_socket_error(socket);

    sim_socket_empty(socket);
    sim_socket_part(socket); /* what it was connected to has been reset, or has reset it */
    socket->asked = SIM_IDLE;
    socket->ended = false;
    socket->shut = 0;
    socket->attempts = 0;
    if (socket->auto_bound) {
        sim_unbind(socket);
        socket->auto_bound = false;
        socket->local.port = 0;
    }
    sim_file_event(&socket->file, EPOLLERR);
    return err < 0 ? err : -ECONNABORTED;
}

static int begin(struct sim_socket *socket, const struct sim_place *to)
{
    struct sim_place from;
    int err;

    if (socket->state != SIM_CLOSED)
        return -EISCONN;
    socket->remote = *to;
    sim_place_settle(&socket->remote);
    if (socket->domain == AF_INET6 && sim_place_is_v4(to) &&
        sim_option(socket, IPPROTO_IPV6, IPV6_V6ONLY) != 0)
        return -ENETUNREACH;
    if (!socket->bound) {
        from = socket->remote;
        if (!sim_place_is_local(&from)) /* there is a way to other hosts; nobody answers, though */
            sim_place_loopback(&from);
        from.port = 0;
        err = sim_bind_inet(socket, &from);
        if (err < 0)
            return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
        socket->auto_bound = true;
    }
    socket->room = sim_socket_room();
    socket->state = SIM_CONNECTING;
    socket->asked = SIM_BEGUN;
    transmit(socket, SYN);
    return -EINPROGRESS;
}

int sim_tcp_connect(struct sim_socket *socket, const struct sim_place *to, bool wait)
{
    int err = -EALREADY;

    if (socket->asked == SIM_JOINED || socket->asked == SIM_ENDING)
        return socket->asked == SIM_JOINED ? -EISCONN : -EINVAL;
    if (socket->asked == SIM_IDLE) {
        err = begin(socket, to);
        if (err != -EINPROGRESS)
            return err;
        if (!wait)
            return err;
    }
    while (socket->state == SIM_CONNECTING) {
        int stop = wait ? sim_file_wait(&socket->file, "connect") : err;

        if (stop < 0)
            return stop;
    }
    if (socket->state == SIM_CLOSED)
        return connect_error(socket);
    socket->asked = SIM_JOINED;
    return 0;
}

/* ---- ending */

void sim_tcp_break(struct sim_socket *socket)
{
    struct sim_socket *peer = socket->peer;

    reset(socket);
    reset(peer);
}

void sim_tcp_listener_end(struct sim_socket *socket)
{
    struct sim_socket *child;

    while ((child = STAILQ_FIRST(&socket->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&socket->queue, queue_link);
        socket->queued--;
        child->linger = (struct linger){.l_onoff = 1}; /* a reset */
        sim_tcp_close(child);
        sim_socket_drop(child);
    }
    socket->state = SIM_CLOSED;
}

void sim_tcp_close(struct sim_socket *socket)
{
    bool unread = socket->in.arrived > socket->in.begin,
         abort = unread || (socket->linger.l_onoff != 0 && socket->linger.l_linger == 0);

    if (socket->state == SIM_LISTENING)
        sim_tcp_listener_end(socket);
    socket->gone = true;
    sim_unbind(socket);
    if (socket->state == SIM_CONNECTED && socket->peer != NULL) {
        if (abort) {
            socket->state = SIM_CLOSED;
            transmit(socket->peer, RESET);
        } else if ((socket->shut & SIM_SHUT_WRITE) == 0) {
            socket->shut |= SIM_SHUT_WRITE;
            transmit(socket->peer, END);
        }
    }
    sim_socket_empty(socket);
    if (socket->peer != NULL && socket->peer->gone)
        sim_socket_part(socket);
}

int sim_tcp_shutdown(struct sim_socket *socket, unsigned how)
{
    bool ends = (how & SIM_SHUT_WRITE) && (socket->shut & SIM_SHUT_WRITE) == 0;
    int err = socket->state == SIM_CLOSED ? -ENOTCONN : 0;

    if (socket->state == SIM_LISTENING || socket->state == SIM_CONNECTING) {
        if ((how & SIM_SHUT_READ) == 0)
            return 0;
        if (socket->state == SIM_LISTENING)
            sim_tcp_listener_end(socket);
        socket->state = SIM_CLOSED;
        socket->asked = SIM_IDLE;
    } else {
        socket->shut |= how;
        if (socket->asked == SIM_BEGUN)
            socket->asked = socket->state == SIM_CONNECTED ? SIM_JOINED : SIM_ENDING;
        if (ends && socket->state == SIM_CONNECTED && socket->peer != NULL)
            transmit(socket->peer, END);
    }
    sim_file_event(&socket->file, SIM_ANYTHING);
    return err;
}
