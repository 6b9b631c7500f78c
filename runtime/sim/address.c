/* SPDX-License-Identifier: MIT */
/* Who has which address and port, and what names mean.
 *
 * There is one host.  It has the loopback addresses and no others: nobody answers from elsewhere.
 * Ports are taken in order where any will do, so that a run does not depend on another one. */
#include "runtime/sim/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

#include "runtime/sim/option.h"

enum { BUCKETS = 64, PORT_FIRST = 32768, PORT_LAST = 60999 };

static LIST_HEAD(, sim_socket) ports[BUCKETS];
static unsigned ports_given;

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t no_address[16], loopback6[16] = {[15] = 1};

/* ---- places */

bool sim_place_is_v4(const struct sim_place *place)
{
    return memcmp(place->ip, v4_prefix, sizeof v4_prefix) == 0;
}

static bool is_any(const struct sim_place *place)
{
    return sim_place_is_v4(place) ? memcmp(place->ip + 12, no_address, 4) == 0
                                  : memcmp(place->ip, no_address, 16) == 0;
}

bool sim_place_is_local(const struct sim_place *place)
{
    if (is_any(place))
        return true;
    return sim_place_is_v4(place) ? place->ip[12] == 127 : memcmp(place->ip, loopback6, 16) == 0;
}

void sim_place_loopback(struct sim_place *place)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1};

    if (sim_place_is_v4(place))
        memcpy(place->ip + 12, loopback4, sizeof loopback4);
    else
        memcpy(place->ip, loopback6, sizeof loopback6);
}

void sim_place_settle(struct sim_place *place)
{
    if (is_any(place))
        sim_place_loopback(place);
}

int sim_place_of(const struct sim_socket *socket, const struct sockaddr *address, socklen_t size,
                 struct sim_place *place)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address == NULL)
        return -EFAULT;
    if (socket->domain == AF_INET) {
        if (size < sizeof v4)
            return -EINVAL;
        memcpy(&v4, address, sizeof v4);
        if (v4.sin_family != AF_INET)
            return -EAFNOSUPPORT;
        memcpy(place->ip, v4_prefix, sizeof v4_prefix);
        memcpy(place->ip + 12, &v4.sin_addr, 4);
        place->port = ntohs(v4.sin_port);
        return 0;
    }
    if (size < offsetof(struct sockaddr_in6, sin6_scope_id))
        return -EINVAL;
    memcpy(&v6, address, size < sizeof v6 ? size : sizeof v6);
    if (v6.sin6_family != AF_INET6)
        return -EAFNOSUPPORT;
    memcpy(place->ip, &v6.sin6_addr, 16);
    place->port = ntohs(v6.sin6_port);
    return 0;
}

socklen_t sim_place_name(const struct sim_socket *socket, const struct sim_place *place,
                         struct sockaddr_storage *name)
{
    memset(name, 0, sizeof *name);
    if (socket->domain == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(place->port)};

        memcpy(&v4.sin_addr, place->ip + 12, 4);
        memcpy(name, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(place->port)};

    memcpy(&v6.sin6_addr, place->ip, 16);
    memcpy(name, &v6, sizeof v6);
    return sizeof v6;
}

/* ---- ports */

static bool is_v6_only(const struct sim_socket *socket)
{
    return sim_option(socket, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
}

/* Does what is sent to `to` reach the one that is bound to socket->local? */
static bool covers(const struct sim_socket *socket, const struct sim_place *to)
{
    if (memcmp(socket->local.ip, to->ip, sizeof to->ip) == 0)
        return true;
    if (!is_any(&socket->local))
        return false;
    if (sim_place_is_v4(&socket->local))
        return sim_place_is_v4(to);
    return !sim_place_is_v4(to) || !is_v6_only(socket);
}

static bool overlap(const struct sim_socket *a, const struct sim_socket *b)
{
    return covers(a, &b->local) || covers(b, &a->local);
}

static bool conflict(const struct sim_socket *socket, const struct sim_socket *other)
{
    if (other->local.port != socket->local.port || other->type != socket->type ||
        !overlap(socket, other))
        return false;
    return sim_option(socket, SOL_SOCKET, SO_REUSEADDR) == 0 ||
           sim_option(other, SOL_SOCKET, SO_REUSEADDR) == 0 || other->state == SIM_LISTENING;
}

static bool is_free(const struct sim_socket *socket)
{
    const struct sim_socket *other;

    LIST_FOREACH(other, &ports[socket->local.port % BUCKETS], port_link)
    if (conflict(socket, other))
        return false;
    return true;
}

bool sim_port_is_heard(const struct sim_socket *socket)
{
    const struct sim_socket *other;

    LIST_FOREACH(other, &ports[socket->local.port % BUCKETS], port_link)
    if (other != socket && other->state == SIM_LISTENING && other->type == socket->type &&
        other->local.port == socket->local.port && overlap(socket, other))
        return true;
    return false;
}

/* Any port: one that nobody has at all. */
static bool give_port(struct sim_socket *socket)
{
    const unsigned count = PORT_LAST - PORT_FIRST + 1;

    for (unsigned i = 0; i < count; i++) {
        const struct sim_socket *other;

        socket->local.port = (uint16_t)(PORT_FIRST + ports_given++ % count);
        LIST_FOREACH(other, &ports[socket->local.port % BUCKETS], port_link)
        if (other->local.port == socket->local.port && other->type == socket->type)
            break;
        if (other == NULL)
            return true;
    }
    return false;
}

int sim_bind_inet(struct sim_socket *socket, const struct sim_place *place)
{
    struct sim_place before = socket->local;

    if (!sim_place_is_local(place))
        return -EADDRNOTAVAIL;
    if (socket->domain == AF_INET6 && sim_place_is_v4(place) && is_v6_only(socket))
        return -EINVAL;
    socket->local = *place;
    if (place->port == 0 ? !give_port(socket) : !is_free(socket)) {
        socket->local = before;
        return -EADDRINUSE;
    }
    sim_bind_child(socket, &socket->local);
    return 0;
}

void sim_bind_child(struct sim_socket *child, const struct sim_place *place)
{
    child->local = *place;
    child->bound = true;
    LIST_INSERT_HEAD(&ports[place->port % BUCKETS], child, port_link);
}

void sim_unbind(struct sim_socket *socket)
{
    if (socket->bound)
        LIST_REMOVE(socket, port_link);
    socket->bound = false;
}

/* How well it fits: an address of its own is better than any, one peer better than all. */
static int fit(const struct sim_socket *socket, int type, const struct sim_place *to,
               const struct sim_place *from)
{
    int score = 1;

    if (socket->local.port != to->port || socket->type != type || !covers(socket, to) ||
        (type == SOCK_STREAM && socket->state != SIM_LISTENING))
        return 0;
    if (!is_any(&socket->local))
        score += 2;
    else if (socket->domain == AF_INET)
        score += 1;
    if (type == SOCK_DGRAM && socket->state == SIM_CONNECTED) {
        if ((socket->remote.port != 0 && socket->remote.port != from->port) ||
            memcmp(socket->remote.ip, from->ip, sizeof from->ip) != 0)
            return 0;
        score += 4;
    }
    return score;
}

struct sim_socket *sim_find_bound(int type, const struct sim_place *to,
                                  const struct sim_place *from)
{
    struct sim_socket *socket, *best = NULL;
    int best_score = 0;

    LIST_FOREACH(socket, &ports[to->port % BUCKETS], port_link)
    {
        int score = fit(socket, type, to, from);

        if (score > best_score) {
            best = socket;
            best_score = score;
        }
    }
    return best;
}

/* ---- getaddrinfo(3) */

/* One result by the C library, which has nothing to ask anybody for that: so its freeaddrinfo(3)
 * can free it. */
static int ask(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo ***end)
{
    struct addrinfo one = *hints;
    int err;

    one.ai_flags &= AI_CANONNAME | AI_V4MAPPED | AI_ALL;
    one.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    err = getaddrinfo(host, service, &one, *end);
    while (err == 0 && **end != NULL)
        *end = &(**end)->ai_next;
    return err;
}

static int ask_for_types(const char *host, const char *service, const struct addrinfo *hints,
                         struct addrinfo ***end)
{
    static const int types[][2] = {
        {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, IPPROTO_UDP}, {SOCK_RAW, 0}};
    struct addrinfo one = *hints;
    int err = EAI_SERVICE;

    if (hints->ai_socktype != 0)
        return ask(host, service, hints, end);
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        int each;

        if (hints->ai_protocol != 0 && types[i][1] != 0 && hints->ai_protocol != types[i][1])
            continue;
        one.ai_socktype = types[i][0];
        each = ask(host, service, &one, end);
        if (each == 0 || err != 0)
            err = each;
        one.ai_flags &= ~AI_CANONNAME;
    }
    return err;
}

/* The addresses of a name; NULL: no such name. */
static const char *const *addresses_of(const char *host, const struct addrinfo *hints)
{
    static const char *const any[] = {"0.0.0.0", "::", NULL}, *const local[] = {"::1", "127.0.0.1",
                                                                                NULL};

    if (host == NULL)
        return hints->ai_flags & AI_PASSIVE ? any : local;
    if ((hints->ai_flags & AI_NUMERICHOST) == 0 && strcmp(host, "localhost") == 0)
        return local;
    return NULL;
}

int sim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found)
{
    static const struct addrinfo none = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
    struct addrinfo one = hints != NULL ? *hints : none, **end = found;
    const char *const *addresses;
    int err = EAI_NONAME;

    sim_point();
    *found = NULL;
    if (sim_fault(SIM_FAULT_OTHER))
        return sim_choose(2) == 0 ? EAI_AGAIN : EAI_MEMORY;
    if (host == NULL && service == NULL)
        return EAI_NONAME;
    if (host == NULL && (one.ai_flags & AI_CANONNAME))
        return EAI_BADFLAGS;
    addresses = addresses_of(host, &one);
    if (addresses == NULL)
        return ask_for_types(host, service, &one, &end);
    for (; *addresses != NULL; addresses++) {
        bool is_v4 = strchr(*addresses, ':') == NULL;
        int each;

        if (one.ai_family != AF_UNSPEC && (one.ai_family == AF_INET) != is_v4)
            continue;
        each = ask_for_types(*addresses, service, &one, &end);
        if (each == 0 || err != 0)
            err = each;
    }
    return err;
}
