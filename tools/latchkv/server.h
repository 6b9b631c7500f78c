/* SPDX-License-Identifier: MIT */
/* The server: configuration, store, clients and the tasks that serve them. */
#ifndef LATCHKV_SERVER_H
#define LATCHKV_SERVER_H

#include "latchkv/clients.h"
#include "latchkv/config.h"
#include "latchkv/store.h"

#include <latchwork.h>
#include <sys/types.h>

enum { KV_LISTENERS_MAX = KV_BINDS_MAX + 1 };

/* The file of the unix socket, once we have made it. */
struct kv_bound {
    bool there;
    dev_t device;
    ino_t inode;
};

struct kv_server {
    struct kv_config config;
    struct kv_store store;
    struct kv_clients clients;
    lw_group tasks; /* listeners, connections, the expiry */
    int listeners[KV_LISTENERS_MAX];
    unsigned listener_count;
    struct kv_bound bound;
    int64_t started; /* coarse ms */
    char run_id[41]; /* 40 hex digits, drawn at start */
};

/* The root task: listen, serve until SIGTERM or SIGINT, stop.  Its status is the exit code's. */
int kv_server_run(void *server);

/* A task each: accept on one listener; serve one client; remove what has expired. */
struct kv_listener {
    struct kv_server *server;
    int fd;
};
int kv_listener_run(void *listener);
int kv_connection_run(void *client);
int kv_expiry_run(void *server);

#endif
