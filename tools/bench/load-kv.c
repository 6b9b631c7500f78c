/* SPDX-License-Identifier: MIT */
/* Our own load on key-value servers, SET and then GET of one key with a value of 3 bytes, as
 * redis-benchmark does it: for servers that do not speak its protocol.  The Redis protocol too,
 * so that both kinds can be compared under one load. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "key:000000000001"
#define VALUE "xxx"

struct exchange {
    const char *figure; /* set or get */
    const char *request, *reply;
};

struct protocol {
    const char *name;
    struct exchange exchanges[2];
};

static const struct protocol protocols[] = {
    { "redis",
      { { "set", "*3\r\n$3\r\nSET\r\n$16\r\n" KEY "\r\n$3\r\n" VALUE "\r\n", "+OK\r\n" },
        { "get", "*2\r\n$3\r\nGET\r\n$16\r\n" KEY "\r\n", "$3\r\n" VALUE "\r\n" } } },
    { "memcache",
      { { "set", "set " KEY " 0 0 3\r\n" VALUE "\r\n", "STORED\r\n" },
        { "get", "get " KEY "\r\n", "VALUE " KEY " 0 3\r\n" VALUE "\r\nEND\r\n" } } },
};

/* The same text so many times. */
static char *repeat(const char *text, long times)
{
    size_t length = strlen(text);
    char *all = malloc(length * (size_t)times + 1);

    if (all == NULL)
        bench_fail("out of memory");
    for (long i = 0; i < times; i++)
        memcpy(all + (size_t)i * length, text, length);
    all[length * (size_t)times] = '\0';
    return all;
}

static void run(struct load *load, const struct exchange *exchange, char **argv)
{
    char figure[32];
    double pair = bench_cas_pair();
    char *reply = repeat(exchange->reply, load->batch);

    load->request = repeat(exchange->request, load->batch);
    load->request_bytes = strlen(load->request);
    load->reply = reply;
    load->reply_bytes = strlen(reply);
    struct load_result result = load_run(load);

    struct load_label label = {
        .workload = "kv_own",
        .system = argv[1],
        .workers = argv[2],
        .n = load->batch,
        .server_peak = result.server_peak,
        .cas_pair = (pair + bench_cas_pair()) / 2,
    };

    snprintf(figure, sizeof figure, "%s_cpu", exchange->figure);
    load_print(&label, figure, result.server_cpu, "ns");
    snprintf(figure, sizeof figure, "%s_rate", exchange->figure);
    load_print(&label, figure, result.rate, "1/s");
    free(load->request);
    free(reply);
}

int main(int argc, char **argv)
{
    const struct protocol *protocol = NULL;

    for (size_t i = 0; argc == 9 && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].name, argv[8]) == 0)
            protocol = &protocols[i];
    if (protocol == NULL) {
        fprintf(stderr,
                "usage: %s SYSTEM WORKERS BATCH PORT SERVER-PROCESS SECONDS CONNECTIONS "
                "redis|memcache\n",
                argv[0]);
        return 2;
    }

    struct load load = {
        .batch = strtol(argv[3], NULL, 10),
        .port = strtol(argv[4], NULL, 10),
        .server = strtol(argv[5], NULL, 10),
        .seconds = strtod(argv[6], NULL),
        .connections = strtol(argv[7], NULL, 10),
    };
    run(&load, &protocol->exchanges[0], argv); /* the SETs leave the key for the GETs */
    run(&load, &protocol->exchanges[1], argv);
    return 0;
}
