/* SPDX-License-Identifier: MIT */
/* What the command line sets, with the names that Redis has for the same things; CONFIG GET answers
 * from the same table. */
#ifndef LATCHKV_CONFIG_H
#define LATCHKV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KV_VERSION "0.1.0"        /* of latchkv */
#define KV_REDIS_VERSION "7.0.15" /* whose dialect it speaks */

enum { KV_BINDS_MAX = 16 };

struct kv_config {
    const char *binds[KV_BINDS_MAX]; /* "-addr": if the machine has it; "*": any */
    unsigned bind_count;
    const char *unixsocket;
    uint64_t port; /* 0: no TCP */
    uint64_t workers;
    uint64_t databases;
    uint64_t maxclients;
    uint64_t maxlocks;  /* key locks that one client may hold */
    uint64_t locksmith; /* whether deadlocks of clients are looked for */
    uint64_t maxmemory; /* bytes; 0: no limit */
    uint64_t rate;      /* commands a second of one client; 0: no limit */
    uint64_t timeout;   /* seconds a client may be idle; 0: for ever */
    uint64_t keepalive; /* seconds; 0: none */
    uint64_t bulk_max;  /* bytes of one argument or value */
    uint64_t query_max; /* bytes of one request */
    uint64_t reply_max; /* bytes of replies not yet sent; 0: no limit */
};

enum kv_start {
    KV_START_SERVE,
    KV_START_DONE,  /* --help or --version was printed */
    KV_START_WRONG, /* a message was printed */
};

enum kv_start kv_config_read(struct kv_config *config, int argc, char **argv);

/* Show the parameters, in the order of the table: name and value as CONFIG GET has them. */
typedef void kv_config_show(const char *name, const char *value, void *arg);
void kv_config_each(const struct kv_config *config, kv_config_show *show, void *arg);

#endif
