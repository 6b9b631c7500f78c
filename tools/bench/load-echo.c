/* SPDX-License-Identifier: MIT */
/* The load of the workload echo: 64 bytes out and back on every connection, one message in
 * flight each. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 64 };

int main(int argc, char **argv)
{
    static char message[MESSAGE_BYTES];

    if (argc != 7) {
        fprintf(stderr, "usage: %s SYSTEM WORKERS CONNECTIONS PORT SERVER-PROCESS SECONDS\n",
                argv[0]);
        return 2;
    }

    memset(message, 'x', sizeof message);
    struct load load = {
        .connections = strtol(argv[3], NULL, 10),
        .port = strtol(argv[4], NULL, 10),
        .server = strtol(argv[5], NULL, 10),
        .seconds = strtod(argv[6], NULL),
        .batch = 1,
        .request = message,
        .reply = message,
        .request_bytes = sizeof message,
        .reply_bytes = sizeof message,
        .stamped = true,
    };
    double pair = bench_cas_pair();
    struct load_result result = load_run(&load);
    struct load_label label = {
        .workload = "echo",
        .system = argv[1],
        .workers = argv[2],
        .n = load.connections,
        .server_peak = result.server_peak,
        .cas_pair = (pair + bench_cas_pair()) / 2,
    };

    load_print(&label, "cpu", result.server_cpu, "ns");
    load_print(&label, "p99", result.p99, "us");
    load_print(&label, "rate", result.rate, "1/s");
    return 0;
}
