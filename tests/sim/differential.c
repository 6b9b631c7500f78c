/* SPDX-License-Identifier: MIT */
/* Random calls on the real kernel and on the simulated one, side by side.
 *
 * There are places for descriptors; the descriptor in a place is made in the same way in both
 * kernels.  Each step makes one call in both and compares value, errno, bytes and events; events of
 * one epoll_wait are compared as sets.  Nothing blocks, the simulated weather is fair, and buffers
 * never get near full: how much is in them when they are is each kernel's own affair. */
#include "tests/sim/differential.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/sim/two_kernels.h"

enum { BYTES_MAX = 40, DRAIN_EVERY = 12 };

/* ---- steps: false when something differed */

static bool make_pair(struct place *place, enum kind kind)
{
    struct place *other;
    int fds[KERNELS][2];
    long results[KERNELS], zero[KERNELS] = {0};

    place->kind = kind;
    other = free_place();
    place->kind = NOTHING;
    if (other == NULL)
        return true;
    for (unsigned k = 0; k < KERNELS; k++)
        results[k] =
            value_of(kind == PIPE ? more[k]->pipe(fds[k], O_NONBLOCK | O_CLOEXEC)
                                  : more[k]->pair(AF_UNIX,
                                                  (kind == STREAM ? SOCK_STREAM : SOCK_DGRAM) |
                                                      SOCK_NONBLOCK | SOCK_CLOEXEC,
                                                  0, fds[k]));
    *place = (struct place){.kind = kind, .fds = {fds[REAL][0], fds[SIM][0]}};
    *other = (struct place){.kind = kind, .fds = {fds[REAL][1], fds[SIM][1]}};
    return same("pair", place, results) && same("pair", place, zero);
}

static bool make_socket(struct place *place, enum kind kind)
{
    int domain = kind == TCP || kind == UDP ? AF_INET : AF_UNIX,
        type = kind == TCP || kind == STREAM ? SOCK_STREAM : SOCK_DGRAM;
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(tables[k].socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return made("socket", place, kind, results);
}

static bool make(struct place *place)
{
    long results[KERNELS];
    unsigned value, flags;

    switch (draw(9)) {
    case 0:
        value = draw(3);
        flags = EFD_NONBLOCK | EFD_CLOEXEC | (often(3) ? EFD_SEMAPHORE : 0);
        for (unsigned k = 0; k < KERNELS; k++)
            results[k] = value_of(tables[k].eventfd(value, (int)flags));
        return made("eventfd", place, COUNTER, results);
    case 1:
        for (unsigned k = 0; k < KERNELS; k++)
            results[k] = value_of(tables[k].epoll_create1(EPOLL_CLOEXEC));
        return made("epoll_create", place, EPOLL, results);
    case 2:
        return make_pair(place, PIPE);
    case 3:
        return make_pair(place, STREAM);
    case 4:
        return make_pair(place, PACKETS);
    case 5:
        return make_socket(place, STREAM);
    case 6:
        return make_socket(place, UDP);
    default:
        return make_socket(place, TCP);
    }
}

static bool end(struct place *place)
{
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(tables[k].close(place->fds[k]));
    if (!same("close", place, results))
        return false;
    place->kind = NOTHING;
    return true;
}

static bool take(struct place *place, unsigned size, int flags, long *count)
{
    char bytes[KERNELS][4096];
    long results[KERNELS];
    bool by_recv = is_socket(place) && (flags != 0 || often(2));

    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(by_recv ? tables[k].recv(place->fds[k], bytes[k], size, flags)
                                      : tables[k].read(place->fds[k], bytes[k], size));
    *count = results[REAL];
    if (!same(by_recv ? "recv" : "read", place, results))
        return false;
    return *count <= 0 || memcmp(bytes[REAL], bytes[SIM], (size_t)*count) == 0 ||
           differ("bytes read from %s %d", name_of(place), (int)(place - places));
}

static bool receive(struct place *place)
{
    long count;

    return take(place,
                often(8)                 ? 0
                : place->kind == COUNTER ? 8 + draw(2)
                                         : 1 + draw(BYTES_MAX),
                is_socket(place) && often(6) ? MSG_PEEK : 0, &count);
}

static bool put(struct place *place)
{
    unsigned char bytes[BYTES_MAX];
    struct iovec part = {.iov_base = bytes, .iov_len = draw(BYTES_MAX)};
    bool by_send = is_socket(place) && often(2);
    uint64_t value = often(6) ? UINT64_MAX - draw(3) : draw(4);
    long results[KERNELS];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)draw(256);
    if (place->kind == COUNTER) {
        memcpy(bytes, &value, sizeof value);
        part.iov_len = often(10) ? 7 : 8;
    }
    for (unsigned k = 0; k < KERNELS; k++)
        results[k] =
            value_of(by_send ? tables[k].send(place->fds[k], bytes, part.iov_len, MSG_NOSIGNAL)
                             : tables[k].writev_quiet(place->fds[k], &part, 1));
    return same(by_send ? "send" : "write", place, results);
}

static bool drain_all(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        long count = 1;

        for (unsigned n = 0; n < 100 && count > 0 && places[i].kind != NOTHING; n++)
            if (!take(&places[i], 4096, 0, &count))
                return false;
    }
    return true;
}

static bool look(struct place *place, short events)
{
    long results[KERNELS];
    struct pollfd fds[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++) {
        fds[k] = (struct pollfd){.fd = place->fds[k], .events = events};
        (void)tables[k].poll(&fds[k], 1, 0);
        results[k] = fds[k].revents;
    }
    return same("poll", place, results);
}

static bool look_at_all(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i].kind != NOTHING &&
            !look(&places[i], POLLIN | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM))
            return false;
    return true;
}

static bool bind_somewhere(struct place *place)
{
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un local;
    socklen_t size = unix_name(unix_made + 1, &local);
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(
            is_inet(place) ? tables[k].bind(place->fds[k], (struct sockaddr *)&inet, sizeof inet)
                           : tables[k].bind(place->fds[k], (struct sockaddr *)&local, size));
    if (!is_inet(place) && results[REAL] == 0)
        place->number = ++unix_made;
    return same("bind", place, results);
}

static bool hear(struct place *place)
{
    long results[KERNELS];

    if (place->kind == TCP && place->was_shut) /* its children would be born half shut */
        return true;
    if (place->kind == TCP || place->number != 0 || often(4)) {
        for (unsigned k = 0; k < KERNELS; k++)
            results[k] = value_of(tables[k].listen(place->fds[k], 20));
        place->is_stream_listener = place->is_stream_listener || results[REAL] == 0;
        return same("listen", place, results);
    }
    return bind_somewhere(place);
}

static bool join(struct place *place)
{
    struct place *goal = any_place();
    long results[KERNELS];

    if (place->kind == TCP && place->was_shut) /* born half shut as well */
        return true;
    for (unsigned i = 0; i < PLACES && goal->kind != place->kind; i++)
        goal = any_place();
    if (goal->kind != place->kind || (goal == place && !goal->is_stream_listener))
        return true;
    if (is_inet(goal) && !goal->is_stream_listener && goal->kind == TCP)
        return true; /* it might have the port of somebody else in one of the two */
    for (unsigned k = 0; k < KERNELS; k++) {
        struct sockaddr_storage address;
        socklen_t size = address_of(goal, k, &address);

        results[k] = value_of(tables[k].connect(place->fds[k], (struct sockaddr *)&address, size));
    }
    return same("connect", place, results);
}

static bool take_connection(struct place *place)
{
    struct place *other = free_place();
    long results[KERNELS];

    if (other == NULL)
        return true;
    for (unsigned k = 0; k < KERNELS; k++)
        results[k] =
            value_of(tables[k].accept4(place->fds[k], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return made("accept", other, place->kind, results);
}

static bool ask_option(struct place *place)
{
    static const int asked[][2] = {
        {SOL_SOCKET, SO_ERROR},     {SOL_SOCKET, SO_ERROR},      {SOL_SOCKET, SO_TYPE},
        {SOL_SOCKET, SO_DOMAIN},    {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_PROTOCOL},
        {SOL_SOCKET, SO_REUSEADDR}, {IPPROTO_TCP, TCP_NODELAY},
    };
    unsigned which = draw(sizeof asked / sizeof *asked);
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++) {
        int value = 0;
        socklen_t size = sizeof value;

        results[k] = value_of(
            tables[k].getsockopt(place->fds[k], asked[which][0], asked[which][1], &value, &size));
        if (results[k] == 0)
            results[k] = value;
    }
    return same("getsockopt", place, results);
}

static bool end_side(struct place *place)
{
    int how = (int)draw(3);
    long results[KERNELS];

    place->was_shut = true;
    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(more[k]->shutdown(place->fds[k], how));
    return same("shutdown", place, results);
}

static bool ask_peer(struct place *place)
{
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;

        results[k] = value_of(
            k == REAL ? getpeername(place->fds[k], (struct sockaddr *)&address, &size)
                      : sim_getpeername(place->fds[k], (struct sockaddr *)&address, &size));
        if (results[k] == 0)
            results[k] = (long)size;
    }
    return same("getpeername", place, results);
}

/* ---- epoll */

static bool control(struct place *epoll)
{
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
                                     EPOLL_CTL_DEL};
    struct place *place = any_place();
    int operation = operations[draw(5)];
    struct epoll_event event = {.data.u32 = (uint32_t)(place - places)};
    long results[KERNELS];

    if (place->kind == NOTHING)
        return true;
    event.events = (often(4) ? 0 : EPOLLIN) | (often(2) ? EPOLLOUT : 0) |
                   (often(2) ? EPOLLRDHUP : 0) | (often(3) ? 0 : EPOLLET) |
                   (often(6) ? EPOLLONESHOT : 0);
    for (unsigned k = 0; k < KERNELS; k++)
        results[k] = value_of(tables[k].epoll_ctl(epoll->fds[k], operation, place->fds[k], &event));
    return same(operation == EPOLL_CTL_ADD   ? "epoll_ctl add"
                : operation == EPOLL_CTL_MOD ? "epoll_ctl mod"
                                             : "epoll_ctl del",
                place, results);
}

static bool fetch(struct place *epoll)
{
    struct epoll_event events[KERNELS][2 * PLACES];
    uint32_t sets[KERNELS][PLACES] = {{0}};
    long results[KERNELS];

    for (unsigned k = 0; k < KERNELS; k++) {
        results[k] = tables[k].epoll_wait(epoll->fds[k], events[k], 2 * PLACES, 0);
        for (long i = 0; i < results[k]; i++)
            sets[k][events[k][i].data.u32] |= events[k][i].events;
    }
    if (differential_loud)
        for (unsigned i = 0; i < PLACES; i++)
            if (sets[REAL][i] | sets[SIM][i])
                fprintf(stderr, "  events of %s %u: %x %x\n", name_of(&places[i]), i, sets[REAL][i],
                        sets[SIM][i]);
    for (unsigned i = 0; i < PLACES; i++)
        if (sets[REAL][i] != sets[SIM][i])
            return differ("events of %s %u: real %x, simulated %x", name_of(&places[i]), i,
                          sets[REAL][i], sets[SIM][i]);
    return same("epoll_wait", epoll, results);
}

/* ---- a run */

static bool act(struct place *place)
{
    if (place->kind == NOTHING)
        return make(place);
    if (often(14))
        return end(place);
    if (place->kind == EPOLL)
        return often(2) ? control(place) : fetch(place);
    if (is_socket(place)) {
        switch (draw(14)) {
        case 0:
        case 1:
            return join(place);
        case 2:
        case 3:
            return take_connection(place);
        case 4:
            return hear(place);
        case 5:
            return often(4) ? end_side(place) : true;
        case 6:
            return ask_option(place);
        case 7:
            return often(3) ? ask_peer(place) : true;
        default:
            break;
        }
    }
    return often(2) ? receive(place) : put(place);
}

static bool step(unsigned i)
{
    struct place *place = any_place();

    if (i % DRAIN_EVERY == DRAIN_EVERY - 1)
        return drain_all();
    return act(place) && look_at_all();
}

const char *differential_run(uint64_t seed, unsigned steps, const char *folder)
{
    bool is_same = true;

    begin(seed, folder);
    for (unsigned i = 0; i < steps && is_same; i++)
        is_same = step(i);
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i].kind != NOTHING) {
            for (unsigned k = 0; k < KERNELS; k++)
                (void)tables[k].close(places[i].fds[k]);
            places[i].kind = NOTHING;
        }
    return report;
}
