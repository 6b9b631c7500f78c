/* SPDX-License-Identifier: MIT */
/* INFO: sections of name:value lines, with the names of Redis where there is the same thing. */
#include "latchkv/commands.h"
#include "latchkv/config.h"
#include "latchkv/memory.h"
#include "latchkv/server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What the sections are made from. */
struct info {
    struct kv_client *client;
    struct kv_server *server;
    struct kv_reply text;
};

__attribute__((format(printf, 2, 3))) static void line(struct info *info, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int size = vsnprintf(text, sizeof text - 2, format, args);
    va_end(args);
    if ((size_t)size > sizeof text - 3)
        size = sizeof text - 3;
    memcpy(text + size, "\r\n", 2);
    kv_reply_raw(&info->text, text, (size_t)size + 2);
}

static void size_line(struct info *info, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGT";
    double scaled = (double)bytes;
    unsigned unit = 0;

    line(info, "%s:%" PRIu64, name, bytes);
    for (; scaled >= 1024 && unit < 4; unit++)
        scaled /= 1024;
    line(info, unit == 0 ? "%s_human:%.0f%c" : "%s_human:%.2f%c", name, scaled, units[unit]);
}

static void show_server(struct info *info)
{
    struct kv_server *server = info->server;
    int64_t uptime = (kv_coarse_ms() - server->started) / 1000;
    struct utsname machine;

    line(info, "redis_version:%s", KV_REDIS_VERSION);
    line(info, "latchkv_version:%s", KV_VERSION);
    line(info, "redis_mode:standalone");
    if (uname(&machine) == 0)
        line(info, "os:%s %s %s", machine.sysname, machine.release, machine.machine);
    line(info, "arch_bits:%zu", sizeof(void *) * 8);
    line(info, "process_id:%d", (int)getpid());
    line(info, "run_id:%s", server->run_id);
    line(info, "tcp_port:%" PRIu64, server->config.port);
    line(info, "server_time_usec:%" PRId64, kv_clock_read_us());
    line(info, "uptime_in_seconds:%" PRId64, uptime);
    line(info, "uptime_in_days:%" PRId64, uptime / (24 * 60 * 60));
}

static void show_clients(struct info *info)
{
    struct kv_clients *clients = &info->server->clients;
    unsigned waiting = 0;

    if (kv_clients_waiting(clients, &waiting) < 0)
        kv_client_told_to_end(info->client);
    line(info, "connected_clients:%u", atomic_load_explicit(&clients->count, memory_order_relaxed));
    line(info, "maxclients:%" PRIu64, info->server->config.maxclients);
    line(info, "blocked_clients:%u", waiting);
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void show_memory(struct info *info)
{
    size_line(info, "used_memory", kv_memory_used());
    size_line(info, "used_memory_rss", resident_bytes());
    size_line(info, "used_memory_peak", kv_memory_peak());
    size_line(info, "maxmemory", info->server->config.maxmemory);
    line(info, "maxmemory_policy:noeviction");
    line(info, "mem_allocator:libc");
}

static void show_persistence(struct info *info)
{
    line(info, "loading:0");
    line(info, "rdb_bgsave_in_progress:0");
    line(info, "aof_enabled:0");
    line(info, "aof_rewrite_in_progress:0");
}

static void show_stats(struct info *info)
{
    struct kv_clients *clients = &info->server->clients;
    struct kv_totals sum = {0};
    uint64_t commands = 0;

    for (unsigned database = 0; database < info->server->store.databases; database++) {
        struct kv_totals totals = kv_store_totals(&info->server->store, database);

        sum.expired += totals.expired;
        sum.hits += totals.hits;
        sum.misses += totals.misses;
    }
    if (kv_clients_commands(clients, &commands) < 0)
        kv_client_told_to_end(info->client);
    line(info, "total_connections_received:%" PRIu64,
         atomic_load_explicit(&clients->received, memory_order_relaxed));
    line(info, "total_commands_processed:%" PRIu64, commands);
    line(info, "rejected_connections:%" PRIu64,
         atomic_load_explicit(&clients->rejected, memory_order_relaxed));
    line(info, "expired_keys:%" PRIu64, sum.expired);
    line(info, "evicted_keys:0");
    line(info, "keyspace_hits:%" PRIu64, sum.hits);
    line(info, "keyspace_misses:%" PRIu64, sum.misses);
}

static void show_replication(struct info *info)
{
    line(info, "role:master");
    line(info, "connected_slaves:0");
}

static void show_cpu(struct info *info)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    line(info, "used_cpu_sys:%ld.%06ld", (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec);
    line(info, "used_cpu_user:%ld.%06ld", (long)usage.ru_utime.tv_sec,
         (long)usage.ru_utime.tv_usec);
}

static void show_keyspace(struct info *info)
{
    for (unsigned database = 0; database < info->server->store.databases; database++) {
        struct kv_totals totals = kv_store_totals(&info->server->store, database);

        if (totals.keys > 0)
            line(info, "db%u:keys=%zu,expires=%zu,avg_ttl=0", database, totals.keys,
                 totals.expiring);
    }
}

static const struct {
    const char *name, *title;
    void (*show)(struct info *info);
} sections[] = {
    {"server", "Server", show_server}, {"clients", "Clients", show_clients},
    {"memory", "Memory", show_memory}, {"persistence", "Persistence", show_persistence},
    {"stats", "Stats", show_stats},    {"replication", "Replication", show_replication},
    {"cpu", "CPU", show_cpu},          {"keyspace", "Keyspace", show_keyspace},
};

static bool is_wanted(const struct kv_client *client, const char *section)
{
    bool wanted = client->argc == 1;

    for (unsigned i = 1; i < client->argc; i++) {
        const struct kv_arg *arg = &client->argv[i];

        wanted |= kv_arg_is(arg, section) || kv_arg_is(arg, "all") || kv_arg_is(arg, "default") ||
                  kv_arg_is(arg, "everything");
    }
    return wanted;
}

void kv_run_info(struct kv_client *client)
{
    struct info info = {.client = client, .server = client->server};
    unsigned shown = 0;

    kv_reply_init(&info.text, 0);
    for (unsigned i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (!is_wanted(client, sections[i].name))
            continue;
        if (shown++ > 0)
            kv_reply_raw(&info.text, "\r\n", 2);
        line(&info, "# %s", sections[i].title);
        sections[i].show(&info);
    }
    if (info.text.broken)
        kv_reply_error(&client->reply, kv_error_nomem);
    else
        kv_reply_verbatim(&client->reply, info.text.data, info.text.size);
    kv_reply_fini(&info.text);
}
