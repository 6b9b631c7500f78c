/* SPDX-License-Identifier: MIT */
/* Unix sockets: paths, which are kept in memory and have nothing to do with those of the machine,
 * and connections, which begin and end at once.
 *
 * A path is there from bind(2) to unlink(2), and outlives its socket: connecting to it is refused
 * then.  Abstract names (that begin with a zero byte) go with their socket. */
#include <stddef.h>
#include <stdio.h>

#include "runtime/sim/socket.h"

struct sim_path {
    LIST_ENTRY(sim_path) link;
    struct sim_socket *socket; /* NULL: it is closed */
    bool unlinked;
    ino_t number;
    socklen_t size;
    struct sockaddr_un name;
};

static LIST_HEAD(, sim_path) paths;
static ino_t paths_made;

#define NAME_AT offsetof(struct sockaddr_un, sun_path)

/* ---- paths */

/* Bring the name into one form: a path ends with its zero byte, an abstract name with its size. */
static int name_of(const struct sockaddr *address, socklen_t *size, struct sockaddr_un *name)
{
    if (address == NULL)
        return -EFAULT;
    if (*size < sizeof address->sa_family || *size > sizeof *name)
        return -EINVAL;
    memset(name, 0, sizeof *name);
    memcpy(name, address, *size);
    if (name->sun_family != AF_UNIX)
        return -EINVAL;
    if (*size > NAME_AT && name->sun_path[0] != '\0')
        *size = (socklen_t)(NAME_AT + strnlen(name->sun_path, sizeof name->sun_path) + 1);
    return 0;
}

static struct sim_path *find(const struct sockaddr_un *name, socklen_t size)
{
    struct sim_path *path;

    LIST_FOREACH(path, &paths, link)
    if (path->size == size &&
        memcmp(&path->name, name, size < sizeof *name ? size : sizeof *name) == 0)
        return path;
    return NULL;
}

static struct sim_path *find_path(const char *text)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strnlen(text, sizeof name.sun_path);

    if (length == 0 || length == sizeof name.sun_path)
        return NULL;
    memcpy(name.sun_path, text, length);
    return find(&name, (socklen_t)(NAME_AT + length + 1));
}

static void path_drop(struct sim_path *path)
{
    if (path->socket == NULL && path->unlinked)
        sim_free(path);
}

static void path_unlink(struct sim_path *path)
{
    LIST_REMOVE(path, link);
    path->unlinked = true;
}

int sim_unix_bind(struct sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_un name;
    struct sim_path *path;
    int err = name_of(address, &size, &name);

    if (err < 0)
        return err;
    if (socket->path != NULL)
        return -EINVAL;
    paths_made++;
    if (size == sizeof name.sun_family) { /* any name: an abstract one */
        size = (socklen_t)(NAME_AT + 1 + 5);
        (void)snprintf(name.sun_path + 1, 6, "%05x", (unsigned)paths_made & 0xfffff);
    }
    if (find(&name, size) != NULL)
        return -EADDRINUSE;
    path = sim_alloc(sizeof *path);
    if (path == NULL)
        return -ENOMEM;
    *path = (struct sim_path){.socket = socket, .number = paths_made, .size = size, .name = name};
    LIST_INSERT_HEAD(&paths, path, link);
    socket->path = path;
    socket->name = name;
    socket->name_size = size;
    return 0;
}

int sim_unix_find(const struct sockaddr *address, socklen_t size, struct sim_socket **socket)
{
    struct sockaddr_un name;
    const struct sim_path *path;
    int err = name_of(address, &size, &name);

    if (err < 0)
        return err;
    if (size <= NAME_AT)
        return -EINVAL;
    path = find(&name, size);
    if (path == NULL)
        return name.sun_path[0] != '\0' ? -ENOENT : -ECONNREFUSED;
    *socket = path->socket;
    return path->socket != NULL ? 0 : -ECONNREFUSED;
}

void sim_unix_name(const struct sim_socket *socket, struct sockaddr_un *name, socklen_t *size)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    *size = sizeof name->sun_family;
    if (socket->name_size == 0)
        return;
    *name = socket->name;
    *size = socket->name_size;
}

bool sim_unix_has(const char *text)
{
    return find_path(text) != NULL;
}

int sim_lstat(const char *text, struct stat *status)
{
    const struct sim_path *path;

    sim_point();
    path = find_path(text);
    if (path == NULL)
        return (int)sim_result(-ENOENT);
    *status = (struct stat){
        .st_mode = S_IFSOCK | 0755, .st_ino = path->number, .st_dev = 1, .st_nlink = 1};
    return 0;
}

int sim_unlink(const char *text)
{
    struct sim_path *path;

    sim_point();
    path = find_path(text);
    if (path == NULL)
        return (int)sim_result(-ENOENT);
    path_unlink(path);
    path_drop(path);
    return 0;
}

/* ---- connections */

static int begin(struct sim_socket *socket, struct sim_socket *listener)
{
    struct sim_socket *child = sim_socket_new(AF_UNIX, socket->type, 0);
    int err;

    if (child == NULL)
        return -ENOMEM;
    err = sim_socket_join(socket, child, sim_socket_room());
    if (err < 0) {
        sim_socket_drop(child);
        return err;
    }
    child->state = socket->state = SIM_CONNECTED;
    child->asked = socket->asked = SIM_JOINED;
    child->name = listener->name;
    child->name_size = listener->name_size;
    STAILQ_INSERT_TAIL(&listener->queue, child, queue_link);
    listener->queued++;
    sim_file_event(&listener->file, SIM_READABLE);
    return 0;
}

int sim_unix_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size,
                     bool wait)
{
    for (;;) {
        struct sim_socket *listener;
        int err = sim_unix_find(address, size, &listener);

        if (err < 0)
            return err;
        if (listener->type != socket->type)
            return -EPROTOTYPE;
        if (listener->state != SIM_LISTENING || (listener->shut & SIM_SHUT_READ))
            return -ECONNREFUSED;
        if (socket->state == SIM_CONNECTED)
            return -EISCONN;
        if (socket->state != SIM_CLOSED)
            return -EINVAL;
        if (listener->queued <= listener->backlog)
            return begin(socket, listener);
        if (!wait)
            return -EAGAIN;
        if (sim_happens(sim_weather.intr))
            return -EINTR;
        sim_socket_hold(listener);
        (void)sim_block(&listener->queued, INT64_MAX, "connect");
        sim_socket_drop(listener);
    }
}

static void end_queue(struct sim_socket *socket)
{
    struct sim_socket *child;

    while ((child = STAILQ_FIRST(&socket->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&socket->queue, queue_link);
        socket->queued--;
        if (!child->peer->gone)
            child->peer->error = ECONNRESET; /* it was never accepted */
        sim_unix_close(child);
        sim_socket_drop(child);
    }
    sim_wake(&socket->queued, UINT32_MAX);
}

void sim_unix_close(struct sim_socket *socket)
{
    struct sim_socket *peer = socket->peer; /* a socket for datagrams has parted already */

    socket->gone = true;
    if (socket->state == SIM_LISTENING)
        end_queue(socket);
    if (socket->path != NULL) {
        socket->path->socket = NULL;
        if (socket->path->name.sun_path[0] == '\0' && !socket->path->unlinked)
            path_unlink(socket->path);
        path_drop(socket->path);
        socket->path = NULL;
    }
    if (peer != NULL && !peer->gone && socket->type != SOCK_DGRAM) {
        peer->shut = SIM_SHUT_BOTH;
        if (socket->in.arrived > socket->in.begin)
            peer->error = ECONNRESET;
        sim_file_event(&peer->file, SIM_ANYTHING);
    }
    sim_socket_empty(socket);
    if (peer != NULL && peer->gone)
        sim_socket_part(socket);
}

int sim_unix_shutdown(struct sim_socket *socket, unsigned how)
{
    struct sim_socket *peer = socket->peer;

    socket->shut |= how;
    if (peer != NULL && socket->type != SOCK_DGRAM) {
        peer->shut |=
            (how & SIM_SHUT_READ ? SIM_SHUT_WRITE : 0) | (how & SIM_SHUT_WRITE ? SIM_SHUT_READ : 0);
        sim_file_event(&peer->file, SIM_ANYTHING);
    }
    sim_file_event(&socket->file, SIM_ANYTHING);
    if (socket->state == SIM_LISTENING)
        sim_wake(&socket->queued, UINT32_MAX);
    return 0;
}
