/* SPDX-License-Identifier: MIT */
/* EXPIRE, TTL and their kin; keys expire when they are next looked at, or when the expiry task
 * (expiry.c) comes by. */
#include "latchkv/commands.h"
#include "latchkv/expiry.h"
#include "latchkv/server.h"

static bool is_seconds(enum kv_time_unit unit)
{
    return unit == KV_AFTER_S || unit == KV_AT_S;
}

static bool is_relative(enum kv_time_unit unit)
{
    return unit == KV_AFTER_S || unit == KV_AFTER_MS;
}

/* False: out of the range of int64_t. */
static bool to_moment(struct kv_client *client, enum kv_time_unit unit, int64_t time,
                      int64_t *moment)
{
    if (is_seconds(unit) && __builtin_mul_overflow(time, 1000, &time))
        return false;
    if (is_relative(unit) && __builtin_add_overflow(time, kv_clock_ms(&client->clock), &time))
        return false;
    *moment = time;
    return true;
}

static void reply_invalid(struct kv_client *client)
{
    kv_reply_errorf(&client->reply, "ERR invalid expire time in '%s' command",
                    client->command->name);
}

bool kv_arg_expiry(struct kv_client *client, unsigned index, enum kv_time_unit unit,
                   int64_t *expires)
{
    int64_t time;

    if (!kv_arg_int(client, index, &time))
        return false;
    if (time > 0 && to_moment(client, unit, time, expires))
        return true;
    reply_invalid(client);
    return false;
}

enum {
    IF_NONE = 1 << 0,
    IF_ANY = 1 << 1,
    IF_LATER = 1 << 2,
    IF_EARLIER = 1 << 3,
};

static bool read_conditions(struct kv_client *client, unsigned *conditions)
{
    static const char *const names[] = {"nx", "xx", "gt", "lt"};

    for (unsigned i = 3; i < client->argc; i++) {
        unsigned k = 0;

        while (k < 4 && !kv_arg_is(&client->argv[i], names[k]))
            k++;
        if (k == 4) {
            kv_reply_errorf(&client->reply, "ERR Unsupported option %.*s",
                            (int)(client->argv[i].size < 128 ? client->argv[i].size : 128),
                            client->argv[i].data);
            return false;
        }
        *conditions |= 1u << k;
    }
    if (*conditions & IF_NONE && *conditions & (IF_ANY | IF_LATER | IF_EARLIER)) {
        kv_reply_error(&client->reply,
                       "ERR NX and XX, GT or LT options at the same time are not "
                       "compatible");
        return false;
    }
    if (*conditions & IF_LATER && *conditions & IF_EARLIER) {
        kv_reply_error(&client->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* No time to live counts as an infinite one. */
static bool holds(unsigned conditions, int64_t now, int64_t then)
{
    if (conditions & IF_NONE && now != 0)
        return false;
    if (conditions & IF_ANY && now == 0)
        return false;
    if (conditions & IF_LATER && (now == 0 || then <= now))
        return false;
    return !(conditions & IF_EARLIER && now != 0 && then >= now);
}

static void expire(struct kv_client *client, enum kv_time_unit unit)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    unsigned conditions = 0;
    int64_t time, expires;

    if (!read_conditions(client, &conditions) || !kv_arg_int(client, 2, &time))
        return;
    if (!to_moment(client, unit, time, &expires)) {
        reply_invalid(client);
        return;
    }
    struct kv_node **at = kv_space_at(space, key, &client->clock);
    struct kv_entry *entry = kv_entry_of(*at);
    if (entry == NULL || !holds(conditions, entry->expires, expires)) {
        kv_reply_int(&client->reply, 0);
        return;
    }
    if (expires <= kv_clock_ms(&client->clock))
        kv_space_remove(space, at);
    else
        kv_space_expire(space, entry, expires);
    kv_reply_int(&client->reply, 1);
}

void kv_run_expire(struct kv_client *client)
{
    expire(client, KV_AFTER_S);
}

void kv_run_pexpire(struct kv_client *client)
{
    expire(client, KV_AFTER_MS);
}

void kv_run_expireat(struct kv_client *client)
{
    expire(client, KV_AT_S);
}

void kv_run_pexpireat(struct kv_client *client)
{
    expire(client, KV_AT_MS);
}

/* -2: no such key; -1: it lives for ever. */
static int64_t time_to_live(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    struct kv_entry *entry = kv_space_get(space, key, &client->clock);

    if (entry == NULL)
        return -2;
    return entry->expires == 0 ? -1 : entry->expires - kv_clock_ms(&client->clock);
}

void kv_run_ttl(struct kv_client *client)
{
    int64_t ms = time_to_live(client);

    kv_reply_int(&client->reply, ms < 0 ? ms : (ms + 500) / 1000);
}

void kv_run_pttl(struct kv_client *client)
{
    kv_reply_int(&client->reply, time_to_live(client));
}

void kv_run_persist(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    struct kv_entry *entry = kv_entry_of(*kv_space_at(space, key, &client->clock));
    bool timed = entry != NULL && entry->expires != 0;

    if (timed)
        kv_space_expire(space, entry, 0);
    kv_reply_int(&client->reply, timed);
}
