/* SPDX-License-Identifier: MIT */
/* A closed-loop load on a TCP server: every connection sends a batch of requests, waits for all
 * their replies, checks them, and sends the next batch.  One thread with raw epoll, the same for
 * every server.
 *
 * The server's cost is its CPU time, read from its process clock: that stays a fair measure
 * where this load, and not the server, is the limit.  The load warms up for a tenth of its time. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench.h"

#include <stddef.h>

struct load {
    long port, server; /* the server's process */
    long connections;
    double seconds;
    long batch; /* messages in a batch */
    char *request;
    const char *reply; /* what a whole batch sends, and what must come back */
    size_t request_bytes, reply_bytes;
    bool stamped; /* the reply is the request; its first 8 bytes count a connection's batches */
};

struct load_result {
    double rate;       /* messages per second */
    double server_cpu; /* ns per message */
    double p99;        /* us from a batch to its last reply */
    long server_peak;  /* KiB resident at most */
};

/* Exits with 1 when a connection fails, ends, or gets a wrong reply. */
struct load_result load_run(const struct load *load);

/* What a load prints beside its values, in the form of all benchmarks. */
struct load_label {
    const char *workload, *system, *workers;
    long n, server_peak;
    double cas_pair;
};

void load_print(const struct load_label *label, const char *figure, double value, const char *unit);

#endif
