/* SPDX-License-Identifier: MIT */
/* echo: a server with a task per connection, on a port of the loopback, until it is killed. */
#include "workloads.h"

#include "server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

enum { BUFFER_BYTES = 4096 };

/* Until the other side ends, or resets, as the load does. */
static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[BUFFER_BYTES];

    for (;;) {
        ssize_t got = lw_read(fd, buffer, sizeof buffer, LW_FOREVER);

        if (got <= 0 || lw_write_all(fd, buffer, (size_t)got, LW_FOREVER) < 0)
            break;
    }
    return lw_close(fd);
}

int echo(void *arg)
{
    struct bench *bench = arg;
    char port[16];
    int on = 1;

    bench_allow_descriptors();
    snprintf(port, sizeof port, "%ld", bench->n);
    int listener = lw_listen_tcp("127.0.0.1", port, lw_in(5 * LW_SEC));
    bench_check(listener, "lw_listen_tcp");
    /* Accepted sockets inherit it. */
    if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        bench_fail("no TCP_NODELAY");

    for (;;) {
        int fd = lw_accept(listener, NULL, NULL, LW_FOREVER);

        bench_check(fd, "lw_accept");
        bench_check(lw_spawn(NULL, serve, (void *)(intptr_t)fd, NULL), "lw_spawn");
    }
}
