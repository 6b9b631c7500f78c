/* SPDX-License-Identifier: MIT */
/* setsockopt(2) and getsockopt(2).  Most options are kept, and nothing follows from them: what they
 * are about (sizes, delays, keep-alive) is the weather's here.  IPV6_V6ONLY, SO_REUSEADDR and
 * SO_LINGER have the effect that they should. */
#include "runtime/sim/option.h"

#include <netinet/tcp.h>

static const struct option {
    int level, name, first; /* value */
    bool is_flag;
} kept[] = {
    {SOL_SOCKET, SO_REUSEADDR, 0, true},      {SOL_SOCKET, SO_REUSEPORT, 0, true},
    {SOL_SOCKET, SO_KEEPALIVE, 0, true},      {SOL_SOCKET, SO_BROADCAST, 0, true},
    {SOL_SOCKET, SO_SNDBUF, 16384, false},    {SOL_SOCKET, SO_RCVBUF, 16384, false},
    {SOL_SOCKET, SO_PRIORITY, 0, false},      {IPPROTO_TCP, TCP_NODELAY, 0, true},
    {IPPROTO_TCP, TCP_KEEPIDLE, 7200, false}, {IPPROTO_TCP, TCP_KEEPINTVL, 75, false},
    {IPPROTO_TCP, TCP_KEEPCNT, 9, false},     {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, false},
    {IPPROTO_TCP, TCP_QUICKACK, 1, true},     {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, false},
    {IPPROTO_TCP, TCP_CORK, 0, true},         {IPPROTO_IPV6, IPV6_V6ONLY, 0, true},
};

#define KEPT ((int)(sizeof kept / sizeof *kept))
_Static_assert(sizeof kept / sizeof *kept <= SIM_OPTIONS, "a place for each");

static bool has_level(const struct sim_socket *socket, int level)
{
    switch (level) {
    case SOL_SOCKET:
        return true;
    case IPPROTO_TCP:
        return sim_is_inet(socket) && socket->type == SOCK_STREAM;
    case IPPROTO_IPV6:
        return socket->domain == AF_INET6;
    default:
        return false;
    }
}

/* Where it is kept; -1: nowhere. */
static int find(const struct sim_socket *socket, int level, int name)
{
    for (int i = 0; i < KEPT; i++)
        if (kept[i].level == level && kept[i].name == name)
            return has_level(socket, level) ? i : -1;
    return -1;
}

int sim_option(const struct sim_socket *socket, int level, int name)
{
    int at = find(socket, level, name);

    return at >= 0 ? socket->options[at] : 0;
}

void sim_options_init(struct sim_socket *socket)
{
    for (int i = 0; i < KEPT; i++)
        socket->options[i] = kept[i].first;
}

static int no_option(const struct sim_socket *socket, int level)
{
    return level == SOL_SOCKET || has_level(socket, level) ? -ENOPROTOOPT : -EOPNOTSUPP;
}

static int set(struct sim_socket *socket, int level, int name, const void *value, socklen_t size)
{
    int at = find(socket, level, name), number;

    if (level == SOL_SOCKET && name == SO_LINGER) {
        if (size < sizeof socket->linger)
            return -EINVAL;
        memcpy(&socket->linger, value, sizeof socket->linger);
        return 0;
    }
    if (at < 0)
        return no_option(socket, level);
    if (size < sizeof number)
        return -EINVAL;
    memcpy(&number, value, sizeof number);
    if (level == IPPROTO_IPV6 && socket->local.port != 0)
        return -EINVAL;
    socket->options[at] = kept[at].is_flag ? number != 0 : number;
    if (name == SO_SNDBUF || name == SO_RCVBUF)
        socket->options[at] = 2 * number; /* as Linux has it, for its own needs */
    return 0;
}

static int get(struct sim_socket *socket, int level, int name, int *value)
{
    int at = find(socket, level, name);

    if (at >= 0) {
        *value = socket->options[at];
        return 0;
    }
    if (level != SOL_SOCKET)
        return no_option(socket, level);
    switch (name) {
    case SO_TYPE:
        *value = socket->type;
        return 0;
    case SO_DOMAIN:
        *value = socket->domain;
        return 0;
    case SO_PROTOCOL:
        *value = socket->protocol;
        return 0;
    case SO_ACCEPTCONN:
        *value = socket->state == SIM_LISTENING;
        return 0;
    case SO_ERROR:
        *value = -sim_socket_error(socket);
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int sim_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    struct sim_socket *socket;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.setsockopt(fd, level, name, value, size);
    err = sim_socket_get(fd, &socket);
    if (err < 0)
        return (int)sim_result(err);
    if (sim_fault(SIM_FAULT_OTHER))
        err = -ENOMEM;
    else
        err = value == NULL ? -EFAULT : set(socket, level, name, value, size);
    return (int)sim_socket_put(socket, err);
}

int sim_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    struct sim_socket *socket;
    const void *found;
    int err, number = 0;
    socklen_t is = sizeof number;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.getsockopt(fd, level, name, value, size);
    err = sim_socket_get(fd, &socket);
    if (err < 0)
        return (int)sim_result(err);
    found = &number;
    if (level == SOL_SOCKET && name == SO_LINGER) {
        found = &socket->linger;
        is = sizeof socket->linger;
    } else {
        err = get(socket, level, name, &number);
    }
    if (err == 0) {
        if (*size > is)
            *size = is;
        memcpy(value, found, *size);
    }
    return (int)sim_socket_put(socket, err);
}
