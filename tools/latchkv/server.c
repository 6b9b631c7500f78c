/* SPDX-License-Identifier: MIT */
/* Listening, accepting, stopping.
 *
 * All tasks are children of one group, so when the root's scope ends nobody is left: neither a
 * connection nor the locks it holds. */
#include "latchkv/server.h"

#include "latchkv/client.h"
#include "latchkv/command.h"
#include "latchkv/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const lw_nsec LISTEN_WITHIN = 5 * LW_SEC; /* names have to be looked up */
static const lw_nsec PAUSE = 100 * LW_MS;        /* after an accept that failed */

static void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) < 0)
        kv_log("socket option %d: %s", name, strerror(errno)); /* it works without */
}

/* Accepted sockets inherit these, which saves as many system calls per connection. */
static void set_tcp_options(int fd, int keepalive)
{
    enum { PROBES = 3 };

    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (keepalive == 0)
        return;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive / PROBES > 0 ? keepalive / PROBES : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}

/* Is there no such address on this machine?  Then one that is optional is left out.  The last
 * three: its name has none, as far as can be told here and now. */
static bool is_absent(int err)
{
    return err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT || err == -EPROTONOSUPPORT ||
           err == -ENOENT || err == -EAGAIN || err == -ETIMEDOUT;
}

static int listen_tcp(struct kv_server *server, const char *bind)
{
    char service[8];
    bool optional = bind[0] == '-';
    const char *host = bind + optional;

    snprintf(service, sizeof service, "%u", (unsigned)server->config.port);
    int fd = lw_listen_tcp(strcmp(host, "*") == 0 ? NULL : host, service, lw_in(LISTEN_WITHIN));
    if (fd < 0) {
        bool left_out = optional && is_absent(fd);

        kv_log("%s %s port %s: %s", left_out ? "left out:" : "cannot listen on", host, service,
               strerror(-fd));
        return left_out ? 0 : fd;
    }
    set_tcp_options(fd, (int)server->config.keepalive);
    server->listeners[server->listener_count++] = fd;
    return 0;
}

static int listen_unix(struct kv_server *server)
{
    const char *path = server->config.unixsocket;
    struct stat status;
    int fd = lw_listen_unix(path); /* in place of one that nobody listens on, of nothing else */

    if (fd < 0) {
        kv_log("cannot listen on %s: %s", path, strerror(-fd));
        return fd;
    }
    if (lstat(path, &status) == 0)
        server->bound = (struct kv_bound){true, status.st_dev, status.st_ino};
    server->listeners[server->listener_count++] = fd;
    return 0;
}

/* Remove the unix socket, if the path still leads to the one we made.  We still listen: so nobody
 * takes it for stale, puts one of his own there, and gets the same inode for it. */
static void remove_unix(const struct kv_server *server)
{
    const char *path = server->config.unixsocket;
    const struct kv_bound *bound = &server->bound;
    struct stat status;

    if (bound->there && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        status.st_dev == bound->device && status.st_ino == bound->inode)
        unlink(path);
}

static int listen_all(struct kv_server *server)
{
    int err = 0;

    for (unsigned i = 0; server->config.port != 0 && i < server->config.bind_count && !err; i++)
        err = listen_tcp(server, server->config.binds[i]);
    if (err == 0 && server->config.unixsocket != NULL)
        err = listen_unix(server);
    if (err == 0 && server->listener_count == 0) {
        kv_log("none of the addresses is there to listen on");
        err = -EADDRNOTAVAIL;
    }
    return err;
}

static void turn_away(struct kv_server *server, int fd)
{
    static const char full[] = "-ERR max number of clients reached\r\n";

    atomic_fetch_add_explicit(&server->clients.rejected, 1, memory_order_relaxed);
    ssize_t sent = lw_write(fd, full, sizeof full - 1, LW_NOW);
    if (sent < 0)
        return; /* it left before it was told */
}

/* Make a client and a task of the connection.  0, or why there is none. */
static int welcome(struct kv_server *server, int fd)
{
    lw_task_options options = {.name = "connection"};
    struct kv_client *client = kv_client_new(server, fd);
    int err = -ENOMEM;

    atomic_fetch_add_explicit(&server->clients.received, 1, memory_order_relaxed);
    if (client != NULL)
        err = kv_clients_add(&server->clients, client, server->config.maxclients);
    if (err == 0)
        err = lw_group_spawn(&server->tasks, kv_connection_run, client, &options);
    if (err == 0)
        return 0;
    if (err == -EUSERS)
        turn_away(server, fd);
    if (client != NULL)
        kv_client_free(client);
    return err;
}

int kv_listener_run(void *arg)
{
    struct kv_listener *listener = arg;

    for (;;) {
        int fd = lw_accept(listener->fd, NULL, NULL, LW_FOREVER);

        if (fd == -ECANCELED || fd == -EBADF)
            return 0;
        if (fd < 0) {
            kv_log("accept: %s", strerror(-fd));
            if (lw_sleep(lw_in(PAUSE)) < 0)
                return 0;
            continue;
        }
        int err = welcome(listener->server, fd);
        if (err < 0)
            lw_close(fd);
        if (err < 0 && err != -EUSERS && err != -ECANCELED)
            kv_log("a connection was refused: %s", strerror(-err));
        if (err == -ECANCELED)
            return 0;
    }
}

static int spawn_all(struct kv_server *server, struct kv_listener *listeners)
{
    lw_task_options accepting = {.name = "listener"}, expiring = {.name = "expiry"};
    int err = lw_group_spawn(&server->tasks, kv_expiry_run, server, &expiring);

    for (unsigned i = 0; i < server->listener_count && err == 0; i++) {
        listeners[i] = (struct kv_listener){server, server->listeners[i]};
        err = lw_group_spawn(&server->tasks, kv_listener_run, &listeners[i], &accepting);
    }
    return err;
}

static int serve(struct kv_server *server)
{
    static const int stop_on[] = {SIGTERM, SIGINT};
    struct kv_listener listeners[KV_LISTENERS_MAX];
    int err;

    server->tasks = (lw_group)LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    LW_SCOPE(&server->tasks.scope, LW_FOREVER, err) {
        /* Before the first client is served: from here on no signal ends the process at once. */
        err = lw_signal_wait(stop_on, 2, LW_NOW);
        if (err == -ETIMEDOUT)
            err = spawn_all(server, listeners);
        if (err == 0) {
            kv_log("ready: port %u, %u listener%s, process %d", (unsigned)server->config.port,
                   server->listener_count, server->listener_count == 1 ? "" : "s", (int)getpid());
            err = lw_signal_wait(stop_on, 2, LW_FOREVER);
        }
        if (err > 0)
            kv_log("stopping: %s, %u clients", err == SIGTERM ? "SIGTERM" : "SIGINT",
                   atomic_load_explicit(&server->clients.count, memory_order_relaxed));
    }
    return err < 0 ? err : 0;
}

int kv_server_run(void *arg)
{
    struct kv_server *server = arg;
    int err = listen_all(server);

    if (err == 0) {
        err = serve(server);
        if (err < 0)
            kv_log("stopped: %s", strerror(-err));
        else
            kv_log("stopped");
    }
    remove_unix(server);
    for (unsigned i = 0; i < server->listener_count; i++)
        lw_close(server->listeners[i]);
    return err;
}
