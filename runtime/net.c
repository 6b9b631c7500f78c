/* SPDX-License-Identifier: MIT */
/* Addresses to sockets, sockets to connections.
 *
 * A connection tries the addresses in the system's order of preference, but the families by turns,
 * and shares the time that is left: one dead address must not use it up.
 *
 * All descriptors are born here: non-blocking, close-on-exec, known to descriptor.c from the start.
 * Nagle's algorithm is left on, as the system has it: what the caller writes is what decides. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "runtime/descriptor.h"
#include "runtime/lookup.h"
#include "runtime/os/os.h"

#define SITE __builtin_return_address(0)
#define FAIR_SHARE_MIN (2 * LW_SEC)

enum {
    BACKLOG = 4096,
    LOST_MAX = 4096, /* connections that were gone when taken, in a row, before we say so */
};

/* ---- connections */

struct visitor {
    struct sockaddr *address;
    socklen_t *size;
    unsigned lost;
};

/* The connection was gone, or its network had an error, before it was taken (accept(2)). */
static bool is_lost(ssize_t err)
{
    switch (-err) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static bool has_run_out(ssize_t err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static ssize_t take_connection(struct lw_io_call *call, void *arg)
{
    struct visitor *visitor = arg;
    ssize_t fd;

    do {
        fd = lw_io_result(lw_sys.accept4(call->fd, visitor->address, visitor->size,
                                         SOCK_NONBLOCK | SOCK_CLOEXEC));
    } while (lw_unlikely(fd == -EINTR || (is_lost(fd) && ++visitor->lost < LOST_MAX)));
    if (lw_unlikely(has_run_out(fd))) {
        int err = lw_io_pause(call);

        return err < 0 ? err : LW_ONCE_MORE;
    }
    if (fd >= 0)
        lw_descriptor_birth((int)fd, lw_fd_kind(call->state));
    return fd;
}

int lw_accept(int fd, struct sockaddr *address, socklen_t *size, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_reading(fd, deadline, SITE);
    struct visitor visitor = {.address = address, .size = size};

    call.by_flag = true;
    return (int)lw_io_run(&call, take_connection, &visitor);
}

struct goal {
    const struct sockaddr *address;
    socklen_t size;
    bool begun;
};

/* Asking again tells how far it is: EALREADY, then success or the error, once.  One that was
 * interrupted goes on. */
static ssize_t connect_on(struct lw_io_call *call, void *arg)
{
    struct goal *goal = arg;
    ssize_t err;

    while ((err = lw_io_result(lw_sys.connect(call->fd, goal->address, goal->size))) == -EINTR)
        goal->begun = true;
    switch (-err) {
    case EINPROGRESS:
    case EALREADY:
        goal->begun = true;
        return -EAGAIN;
    case EISCONN:
        return goal->begun ? 0 : -EISCONN;
    case EAGAIN: /* a unix listener's queue is full, or the ports are used up: no edge will tell */
        err = lw_io_pause(call);
        return err < 0 ? err : LW_ONCE_MORE;
    default:
        return err;
    }
}

static int connect_within(int fd, const struct sockaddr *address, socklen_t size, lw_nsec deadline,
                          const void *site)
{
    struct lw_io_call call = lw_io_writing(fd, deadline, site);
    struct goal goal = {.address = address, .size = size};

    call.by_flag = true;
    return (int)lw_io_run(&call, connect_on, &goal);
}

int lw_connect(int fd, const struct sockaddr *address, socklen_t size, lw_nsec deadline)
{
    return connect_within(fd, address, size, deadline, SITE);
}

/* ---- TCP */

static int open_socket(int family, int protocol, enum lw_kind kind)
{
    int fd = (int)lw_io_result(
        lw_sys.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));

    if (fd >= 0)
        lw_descriptor_birth(fd, kind);
    return fd;
}

static int set_option(int fd, int level, int name, int value)
{
    return (int)lw_io_result(lw_sys.setsockopt(fd, level, name, &value, sizeof value));
}

static int listen_at(const struct addrinfo *address, bool any_family)
{
    int fd = open_socket(address->ai_family, IPPROTO_TCP, LW_KIND_TCP), err;

    if (fd < 0)
        return fd;
    err = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == 0 && any_family && address->ai_family == AF_INET6)
        err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (err == 0)
        err = (int)lw_io_result(lw_sys.bind(fd, address->ai_addr, address->ai_addrlen));
    if (err == 0)
        err = (int)lw_io_result(lw_sys.listen(fd, BACKLOG));
    if (err < 0)
        (void)lw_close(fd);
    return err < 0 ? err : fd;
}

/* The first of the host's addresses where it works. */
static int listen_in(const char *host, const char *service, int family, lw_nsec deadline,
                     const void *site)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE,
                             .ai_family = family,
                             .ai_socktype = SOCK_STREAM,
                             .ai_protocol = IPPROTO_TCP};
    struct addrinfo *found, *address;
    int fd = lw_lookup(host, service, &hints, &found, deadline, site);

    if (fd < 0)
        return fd;
    fd = -ENOENT;
    for (address = found; address != NULL && fd < 0; address = address->ai_next)
        fd = listen_at(address, host == NULL);
    freeaddrinfo(found);
    return fd;
}

int lw_listen_tcp(const char *host, const char *service, lw_nsec deadline)
{
    int fd;

    if (host != NULL)
        return listen_in(host, service, AF_UNSPEC, deadline, SITE);
    fd = listen_in(NULL, service, AF_INET6, deadline, SITE);
    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL ||
        fd == -EPROTONOSUPPORT) /* there is no IPv6 here */
        fd = listen_in(NULL, service, AF_INET, deadline, SITE);
    return fd;
}

/* Walks the addresses, those of the first one's family and the others by turns, each in their
 * order. */
struct by_turns {
    const struct addrinfo *next[2]; /* of the first family; of the others */
    int first_family;
    unsigned turn, left;
};

static const struct addrinfo *skip_to(const struct addrinfo *address, int first_family, bool others)
{
    while (address != NULL && (address->ai_family != first_family) != others)
        address = address->ai_next;
    return address;
}

static struct by_turns walk(const struct addrinfo *found)
{
    struct by_turns turns = {.first_family = found->ai_family};

    turns.next[0] = found;
    turns.next[1] = skip_to(found, found->ai_family, true);
    for (; found != NULL; found = found->ai_next)
        turns.left++;
    return turns;
}

static const struct addrinfo *step(struct by_turns *turns)
{
    unsigned whose = turns->turn++ % 2;
    const struct addrinfo *address;

    if (turns->next[whose] == NULL)
        whose = 1 - whose;
    address = turns->next[whose];
    if (address == NULL)
        return NULL;
    turns->next[whose] = skip_to(address->ai_next, turns->first_family, whose == 1);
    turns->left--;
    return address;
}

/* An equal share for this one and the `others` after it, but at least 2 s each. */
static lw_nsec share_of(lw_nsec deadline, unsigned others)
{
    lw_nsec now = lw_sys.now(), share;

    if (deadline == LW_FOREVER || deadline <= now || others == 0)
        return deadline;
    share = (deadline - now) / (others + 1);
    if (share < FAIR_SHARE_MIN)
        share = FAIR_SHARE_MIN;
    return share < deadline - now ? now + share : deadline;
}

static int connect_to(int family, int protocol, enum lw_kind kind, const struct sockaddr *address,
                      socklen_t size, lw_nsec deadline, const void *site)
{
    int fd = open_socket(family, protocol, kind), err;

    if (fd < 0)
        return fd;
    err = connect_within(fd, address, size, deadline, site);
    if (err < 0)
        (void)lw_close(fd);
    return err < 0 ? err : fd;
}

/* The call has ended, whatever the other addresses might say. */
static bool is_final(int fd, lw_nsec deadline)
{
    if (fd >= 0 || fd == -ECANCELED || fd == -EDEADLK)
        return true;
    return deadline != LW_FOREVER && lw_sys.now() >= deadline;
}

int lw_connect_tcp(const char *host, const char *service, lw_nsec deadline)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct addrinfo *found;
    const struct addrinfo *address;
    struct by_turns turns;
    int fd = lw_lookup(host, service, &hints, &found, deadline, SITE);

    if (fd < 0)
        return fd;
    turns = walk(found);
    while ((address = step(&turns)) != NULL) {
        fd = connect_to(address->ai_family, IPPROTO_TCP, LW_KIND_TCP, address->ai_addr,
                        address->ai_addrlen, share_of(deadline, turns.left), SITE);
        if (is_final(fd, deadline))
            break;
    }
    freeaddrinfo(found);
    return fd;
}

/* ---- unix sockets */

static int unix_address(const char *path, struct sockaddr_un *address, socklen_t *size)
{
    size_t length = strlen(path);

    if (length == 0) /* the system would take it for "any name" */
        return -ENOENT;
    if (length >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length + 1);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

/* Left behind by a listener that is gone.  A look at the file first: connect(2) refuses any file
 * that nobody listens on, and only a socket may be removed for that. */
static bool is_stale(const struct sockaddr_un *address, socklen_t size)
{
    struct stat status;
    int fd, err;

    if (lw_sys.lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = (int)lw_io_result(lw_sys.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return false;
    err = (int)lw_io_result(lw_sys.connect(fd, (const struct sockaddr *)address, size));
    (void)lw_sys.close(fd);
    return err == -ECONNREFUSED;
}

int lw_listen_unix(const char *path)
{
    struct sockaddr_un address;
    socklen_t size;
    int err = unix_address(path, &address, &size), fd;

    if (err < 0)
        return err;
    fd = open_socket(AF_UNIX, 0, LW_KIND_STREAM);
    if (fd < 0)
        return fd;
    err = (int)lw_io_result(lw_sys.bind(fd, (const struct sockaddr *)&address, size));
    if (err == -EADDRINUSE && is_stale(&address, size) && lw_sys.unlink(path) == 0)
        err = (int)lw_io_result(lw_sys.bind(fd, (const struct sockaddr *)&address, size));
    if (err == 0)
        err = (int)lw_io_result(lw_sys.listen(fd, BACKLOG));
    if (err < 0)
        (void)lw_close(fd);
    return err < 0 ? err : fd;
}

int lw_connect_unix(const char *path, lw_nsec deadline)
{
    struct sockaddr_un address;
    socklen_t size;
    int err = unix_address(path, &address, &size);

    if (err < 0)
        return err;
    return connect_to(AF_UNIX, 0, LW_KIND_STREAM, (const struct sockaddr *)&address, size, deadline,
                      SITE);
}
