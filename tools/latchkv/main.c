/* SPDX-License-Identifier: MIT */
/* latchkv: a server that speaks the Redis protocol, on green tasks. */
#include "latchkv/client.h"
#include "latchkv/command.h"
#include "latchkv/config.h"
#include "latchkv/deadlocks.h"
#include "latchkv/log.h"
#include "latchkv/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

enum { EXIT_USAGE = 2, DESCRIPTORS_BESIDE = 64 }; /* pollers, listeners, files */

/* Static, so that what the store holds at the end is not taken for lost: it is left to the system,
 * which frees ten million keys faster than we do. */
static struct kv_server server;

/* As many descriptors as clients may come, or as many clients as there are descriptors. */
static void raise_limit(struct kv_config *config)
{
    rlim_t wanted = config->maxclients + DESCRIPTORS_BESIDE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    rlim_t most = limit.rlim_max;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    limit.rlim_cur = limit.rlim_max = most;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    config->maxclients = most > DESCRIPTORS_BESIDE ? most - DESCRIPTORS_BESIDE : 1;
    kv_log("only %llu clients: the limit of open files is %llu",
           (unsigned long long)config->maxclients, (unsigned long long)most);
}

static void draw_run_id(char *text)
{
    unsigned char bytes[20] = {0};

    if (getrandom(bytes, sizeof bytes, 0) < 0)
        bytes[0] = 1; /* an id all the same */
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

int main(int argc, char **argv)
{
    switch (kv_config_read(&server.config, argc, argv)) {
    case KV_START_DONE:
        return 0;
    case KV_START_WRONG:
        return EXIT_USAGE;
    case KV_START_SERVE:
        break;
    }
    signal(SIGPIPE, SIG_IGN); /* stderr may be a pipe whose reader leaves */
    raise_limit(&server.config);
    draw_run_id(server.run_id);
    server.started = kv_coarse_ms();
    server.clients.mutex.lock.name = "clients";
    kv_commands_start();
    int err = kv_deadlocks_start(server.config.locksmith);
    if (err < 0) {
        kv_log("cannot look for deadlocks: %s", strerror(-err));
        return 1;
    }
    if (kv_store_init(&server.store, (unsigned)server.config.databases) < 0) {
        kv_log("not enough memory for %u databases", (unsigned)server.config.databases);
        return 1;
    }
    lw_options options = {
        .name = "latchkv",
        .workers = (unsigned)server.config.workers,
        .stop_within = LW_SEC,
    };
    return lw_run(&options, kv_server_run, &server) < 0 ? 1 : 0;
}
