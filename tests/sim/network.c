/* SPDX-License-Identifier: MIT */
/* The library's calls on descriptors, on the simulated network: whatever the weather, what arrives
 * is what was sent, and every call ends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "runtime/os/os.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/sim/explore.h"
#include "tests/support.h"

static void init(void)
{
    watchdog();
    sim_settings->own_weather = true;
}

TestSuite(network, .init = init);

/* A message is its size and that many bytes; many are larger than what is under way at once. */
enum { CLIENTS = 3, ROUNDS = 3, BYTES = 6000 };

struct net {
    int listener;
    char port[8];
    const char *path;
    unsigned served, broken;
};

static bool is_broken(ssize_t result)
{
    return sim_weather.reset != 0 &&
           (result == -ECONNRESET || result == -EPIPE || result == -ENODATA ||
            result == -ECONNREFUSED || result == -ECONNABORTED || result == -ENOTCONN);
}

static struct net net;
static unsigned no_files; /* from when the runtime has what it needs */

/* A message, all of it, and then the same back. */
static int answer(int fd)
{
    char bytes[BYTES];
    uint32_t size;
    int err = lw_read_all(fd, &size, sizeof size, LW_FOREVER);

    if (err == 0)
        err = lw_read_all(fd, bytes, size, LW_FOREVER);
    return err == 0 ? lw_write_all(fd, bytes, size, LW_FOREVER) : err;
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg, err;

    while ((err = answer(fd)) == 0)
        continue;
    LW_SIM_CHECK(err == -ENODATA || is_broken(err) || err == -ECANCELED); /* the run is over */
    net.served++;
    return lw_close(fd);
}

static int accept_all(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = lw_accept(net.listener, NULL, NULL, LW_FOREVER)) >= 0)
        LW_SIM_CHECK(lw_spawn(NULL, serve, (void *)(intptr_t)fd, NULL) == 0);
    LW_SIM_CHECK(fd == -EBADF);
    return 0;
}

static int open_client(void)
{
    int fd;

    do { /* out of descriptors: again, until the weather is better */
        fd = net.path != NULL ? lw_connect_unix(net.path, LW_FOREVER)
                              : lw_connect_tcp("localhost", net.port, LW_FOREVER);
    } while (fd == -EMFILE || fd == -ENFILE);
    LW_SIM_CHECK(fd >= 0 || is_broken(fd));
    return fd;
}

static int echo(int fd, unsigned seed)
{
    char out[BYTES], in[BYTES];
    uint32_t size = 1 + seed * 1789 % BYTES;
    struct iovec parts[2] = {{.iov_base = &size, .iov_len = sizeof size},
                             {.iov_base = out, .iov_len = size}};
    ssize_t count;
    int err;

    for (size_t i = 0; i < size; i++)
        out[i] = (char)(seed * 31 + i);
    count = lw_writev(fd, parts, 2, LW_FOREVER);
    LW_SIM_CHECK(count > 0 || is_broken(count));
    err = count < 0 ? (int)count : 0;
    if (err == 0 && count < (ssize_t)sizeof size)
        err = lw_write_all(fd, (char *)&size + count, sizeof size - (size_t)count, LW_FOREVER);
    count = count > (ssize_t)sizeof size ? count - (ssize_t)sizeof size : 0;
    if (err == 0)
        err = lw_write_all(fd, out + count, size - (size_t)count, LW_FOREVER);
    if (err == 0)
        err = lw_read_all(fd, in, size, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || is_broken(err));
    LW_SIM_CHECK(err < 0 || memcmp(in, out, size) == 0);
    return err;
}

static int visit(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    int fd = open_client(), err = fd < 0 ? fd : 0;

    for (unsigned i = 0; i < ROUNDS && err == 0; i++)
        err = echo(fd, number * ROUNDS + i);
    if (err < 0)
        net.broken++;
    if (fd >= 0)
        LW_SIM_CHECK(lw_close(fd) == 0);
    return 0;
}

/* A plain thread does the same. */
static void *visit_as_guest(void *arg)
{
    (void)visit(arg);
    return NULL;
}

static int listen_somewhere(void)
{
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    int fd;

    do {
        fd = net.path != NULL ? lw_listen_unix(net.path) : lw_listen_tcp(NULL, "0", LW_FOREVER);
    } while (fd == -EMFILE || fd == -ENFILE);
    LW_SIM_CHECK(fd >= 0);
    if (net.path == NULL) {
        LW_SIM_CHECK(sim_getsockname(fd, (struct sockaddr *)&address, &size) == 0);
        (void)snprintf(net.port, sizeof net.port, "%u", ntohs(address.sin6_port));
    }
    return fd;
}

static int echo_crowd(void *arg)
{
    lw_task acceptors[2], clients[CLIENTS];
    pthread_t guest;
    bool has_guest;

    net = (struct net){.path = arg};
    sim_weather.no_files = no_files;
    net.listener = listen_somewhere();
    for (unsigned i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_spawn(&acceptors[i], accept_all, NULL, NULL) == 0);
    for (uintptr_t i = 0; i < CLIENTS; i++)
        LW_SIM_CHECK(lw_spawn(&clients[i], visit, (void *)i, NULL) == 0);
    has_guest = lw_sys.thread_create(&guest, NULL, visit_as_guest, (void *)CLIENTS) == 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        LW_SIM_CHECK(lw_join(clients[i], NULL, LW_FOREVER) == 0);
    while (has_guest && net.served + net.broken < CLIENTS + 1)
        (void)!lw_sleep(lw_in(LW_MS)); /* join would keep a worker from serving it */
    if (has_guest)
        LW_SIM_CHECK(lw_sys.thread_join(guest, NULL) == 0);
    LW_SIM_CHECK(lw_close(net.listener) == 0);
    for (unsigned i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_join(acceptors[i], NULL, LW_FOREVER) == 0);
    LW_SIM_CHECK(sim_weather.reset != 0 || net.broken == 0);
    return 0;
}

static const struct {
    const char *name;
    struct sim_weather weather;
} weathers[] = {
    {"fair", {0}},
    {"short transfers", {.short_io = 3}},
    {"delays", {.delay = 3}},
    {"interruptions", {.intr = 5}},
    {"spurious readiness", {.spurious = 4}},
    {"no descriptors", {.no_files = 6}},
    {"resets", {.reset = 20}},
    {"all of it",
     {.short_io = 4, .delay = 4, .intr = 8, .spurious = 8, .no_files = 10, .reset = 60}},
};

static void in_all_weathers(lw_fn *test, const char *path)
{
    for (unsigned i = 0; i < sizeof weathers / sizeof *weathers; i++) {
        for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
            lw_sim_options options = {.strategy = (lw_sim_strategy)strategy, .schedules = 40};

            sim_settings->weather = weathers[i].weather;
            sim_settings->weather.no_files = 0;
            no_files = weathers[i].weather.no_files;
            cr_assert_eq(lw_sim_run(&options, test, (void *)(uintptr_t)path, NULL), LW_SIM_PASSED,
                         "%s", weathers[i].name);
        }
    }
}

Test(network, an_echo_over_tcp_is_true_in_any_weather)
{
    in_all_weathers(echo_crowd, NULL);
}

Test(network, an_echo_over_unix_sockets_is_true_in_any_weather)
{
    in_all_weathers(echo_crowd, "/somewhere/echo");
}

/* ---- several writers, one connection */

enum { WRITERS = 3, PIECE = 100 };
static int full;

static int write_piece(void *arg)
{
    char piece[PIECE] = {0};

    return lw_write_all(*(int *)arg, piece, sizeof piece, LW_FOREVER);
}

/* As much as goes: nobody reads. */
static size_t fill(int fd)
{
    static const char bytes[1 << 16];
    size_t filled = 0;
    ssize_t count;

    while ((count = lw_write(fd, bytes, sizeof bytes, lw_in(LW_MS))) > 0)
        filled += (size_t)count;
    LW_SIM_CHECK(count == -ETIMEDOUT);
    return filled;
}

/* One edge tells all of them that there is room again. */
static int write_all_at_once(void *arg)
{
    static char bytes[1 << 22];
    lw_task writers[WRITERS];
    int reader;
    size_t filled;

    (void)arg;
    net = (struct net){0};
    net.listener = listen_somewhere();
    full = lw_connect_tcp("localhost", net.port, LW_FOREVER);
    reader = lw_accept(net.listener, NULL, NULL, LW_FOREVER);
    LW_SIM_CHECK(full >= 0 && reader >= 0);
    filled = fill(full);
    LW_SIM_CHECK(filled < sizeof bytes);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start_waiting(write_piece, &full);
    LW_SIM_CHECK(lw_read_all(reader, bytes, filled, LW_FOREVER) == 0);
    for (int i = 0; i < WRITERS; i++)
        LW_SIM_CHECK(end_of(writers[i]) == 0);
    LW_SIM_CHECK(lw_close(full) == 0 && lw_close(reader) == 0 && lw_close(net.listener) == 0);
    return 0;
}

Test(network, room_for_several_writers_is_told_to_each)
{
    sim_some(write_all_at_once, NULL, 4);
}
