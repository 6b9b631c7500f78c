/* SPDX-License-Identifier: MIT */
/* See load.h. */
#include "load.h"

#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 1024,
    BUFFER_BYTES = 64 * 1024,
    CONNECT_TRIES = 500,
    CONNECT_PAUSE_US = 10000,
    SILENCE_MS = 5000,
};

struct connection {
    int fd;
    size_t got; /* bytes of the current batch's replies */
    int64_t sent_at;
    uint64_t number; /* of the current batch */
};

/* A histogram of times in ns with 64 buckets per octave, so each is 1.6 % wide. */
enum { BUCKET_BITS = 6, BUCKETS = 1 << BUCKET_BITS, OCTAVES = 64 - BUCKET_BITS };

struct histogram {
    long count, buckets[OCTAVES * BUCKETS];
};

static void histogram_add(struct histogram *histogram, uint64_t ns)
{
    if (ns < BUCKETS)
        ns = BUCKETS;

    int octave = 63 - __builtin_clzll(ns) - BUCKET_BITS;
    histogram->buckets[octave * BUCKETS + (int)((ns >> octave) - BUCKETS)]++;
    histogram->count++;
}

/* In us. */
static double histogram_quantile(const struct histogram *histogram, double share)
{
    long wanted = (long)((double)histogram->count * share), seen = 0;

    for (int i = 0; i < OCTAVES * BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted)
            return (double)((uint64_t)(BUCKETS + i % BUCKETS) << (i / BUCKETS)) / 1e3;
    }
    return 0;
}

static int64_t process_cpu(long process)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid((pid_t)process, &clock) != 0 || clock_gettime(clock, &t) < 0)
        bench_fail("the server, process %ld, is gone", process);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long process_peak(long process)
{
    char path[64], line[256];
    long peak = 0;

    snprintf(path, sizeof path, "/proc/%ld/status", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmHWM: %ld", &peak) != 1)
        continue;
    fclose(file);
    return peak;
}

/* The server may still be starting: a refusal is tried again for some seconds. */
static int connect_to(long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct linger reset = { .l_onoff = 1, .l_linger = 0 }; /* leave no TIME_WAIT behind */
    int on = 1;

    for (int tries = 0; tries < CONNECT_TRIES; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
            bench_check(-errno, "socket");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        if (errno != ECONNREFUSED)
            bench_check(-errno, "connect");
        close(fd);
        usleep(CONNECT_PAUSE_US);
    }
    bench_fail("nobody listens on port %ld", port);
}

static void send_batch(const struct load *load, struct connection *connection, int64_t now)
{
    connection->number++;
    connection->got = 0;
    connection->sent_at = now;
    if (load->stamped)
        memcpy(load->request, &connection->number, sizeof connection->number);

    ssize_t sent = send(connection->fd, load->request, load->request_bytes, MSG_NOSIGNAL);
    if (sent < 0)
        bench_check(-errno, "send");
    if ((size_t)sent != load->request_bytes)
        bench_fail("a socket took only %zd of %zu bytes", sent, load->request_bytes);
}

/* Whether the whole reply has come. */
static bool receive(const struct load *load, struct connection *connection)
{
    static char buffer[BUFFER_BYTES];

    while (connection->got < load->reply_bytes) {
        ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got < 0)
            bench_check(-errno, "recv");
        if (got == 0)
            bench_fail("the server closed a connection");
        if ((size_t)got > load->reply_bytes - connection->got)
            bench_fail("more came back than was asked for");
        if (load->stamped)
            memcpy(load->request, &connection->number, sizeof connection->number);
        if (memcmp(buffer, load->reply + connection->got, (size_t)got) != 0)
            bench_fail("wrong reply: %.*s", (int)got, buffer);
        connection->got += (size_t)got;
    }
    return true;
}

/* Ramp up: each connection has its first reply before the next one is opened, so no queue of the
 * server overflows. */
static void open_all(const struct load *load, int poller, struct connection *connections)
{
    for (long i = 0; i < load->connections; i++) {
        struct connection *connection = &connections[i];
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = connection };

        connection->fd = connect_to(load->port);
        send_batch(load, connection, 0);
        if (!receive(load, connection))
            bench_fail("a blocking socket did not block");
        if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) < 0 ||
            epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) < 0)
            bench_check(-errno, "epoll_ctl");
    }
}

/* Keeps every connection busy until the time is over; counts into the histogram, which may be
 * NULL. */
static void keep_busy(const struct load *load, int poller, int64_t until,
                      struct histogram *histogram)
{
    static struct epoll_event events[EVENTS_MAX];
    int64_t now;

    do {
        int count = epoll_wait(poller, events, EVENTS_MAX, SILENCE_MS);

        now = bench_now();
        if (count == 0)
            bench_fail("the server was silent for %d s", SILENCE_MS / 1000);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            if (!receive(load, connection))
                continue;
            now = bench_now();
            if (histogram != NULL)
                histogram_add(histogram, (uint64_t)(now - connection->sent_at));
            send_batch(load, connection, now);
        }
    } while (now < until);
}

struct load_result load_run(const struct load *load)
{
    static struct histogram histogram;
    struct connection *connections = calloc((size_t)load->connections, sizeof *connections);
    int poller = epoll_create1(EPOLL_CLOEXEC);

    if (connections == NULL || poller < 0)
        bench_fail("out of memory");
    bench_allow_descriptors();
    open_all(load, poller, connections);
    for (long i = 0; i < load->connections; i++)
        send_batch(load, &connections[i], bench_now());

    keep_busy(load, poller, bench_now() + (int64_t)(load->seconds * 1e8), NULL);
    histogram = (struct histogram){ 0 };
    int64_t began = bench_now(), used = process_cpu(load->server);
    keep_busy(load, poller, began + (int64_t)(load->seconds * 1e9), &histogram);
    used = process_cpu(load->server) - used;

    double messages = (double)histogram.count * (double)load->batch;
    struct load_result result = {
        .rate = messages / ((double)(bench_now() - began) / 1e9),
        .server_cpu = (double)used / messages,
        .p99 = histogram_quantile(&histogram, 0.99),
        .server_peak = process_peak(load->server),
    };

    for (long i = 0; i < load->connections; i++)
        close(connections[i].fd);
    close(poller);
    free(connections);
    return result;
}

void load_print(const struct load_label *label, const char *figure, double value, const char *unit)
{
    printf("%s.%s %s %s %ld %.6g %s %ld %.2f\n", label->workload, figure, label->system,
           label->workers, label->n, value, unit, label->server_peak, label->cas_pair);
}
