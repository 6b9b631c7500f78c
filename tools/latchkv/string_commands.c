/* SPDX-License-Identifier: MIT */
/* GET, SET and their kin. */
#include "latchkv/commands.h"
#include "latchkv/expiry.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <string.h>

static struct kv_space *space_of(const struct kv_client *client, const struct kv_arg *key)
{
    return kv_client_space(client, &client->server->store, key);
}

static void reply_value(struct kv_client *client, struct kv_entry *entry)
{
    if (entry != NULL)
        kv_reply_bulk(&client->reply, kv_entry_value(entry), entry->value_size);
    else
        kv_reply_null(&client->reply);
}

/* Memory is out: the reply is that, whatever was written behind `mark`. */
static void fail(struct kv_client *client, size_t mark)
{
    kv_reply_rewind(&client->reply, mark);
    kv_reply_error(&client->reply, kv_error_nomem);
}

/* Store it; a time to live it had is gone.  False: memory is out. */
static bool put(struct kv_client *client, const struct kv_arg *key, const struct kv_arg *value,
                int64_t expires)
{
    struct kv_space *space = space_of(client, key);
    struct kv_node **at = kv_space_at(space, key, &client->clock);
    struct kv_entry *entry = kv_space_put(space, at, key, value->data, value->size);

    if (entry == NULL)
        return false;
    if (entry->expires != expires)
        kv_space_expire(space, entry, expires);
    return true;
}

void kv_run_get(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];

    reply_value(client, kv_space_get(space_of(client, key), key, &client->clock));
}

enum {
    ONLY_NEW = 1 << 0,
    ONLY_OLD = 1 << 1,
    GET_OLD = 1 << 2,
    KEEP_TTL = 1 << 3,
    TIMED = 1 << 4,
};

struct set_options {
    unsigned flags;
    enum kv_time_unit unit;
    unsigned time; /* index of the argument */
};

/* The options behind key and value; false: the reply says what is wrong. */
static bool read_options(struct kv_client *client, struct set_options *options)
{
    static const struct {
        const char *name;
        unsigned flag, excludes;
        enum kv_time_unit unit;
    } known[] = {
        {"nx", ONLY_NEW, ONLY_OLD, 0},
        {"xx", ONLY_OLD, ONLY_NEW, 0},
        {"get", GET_OLD, 0, 0},
        {"keepttl", KEEP_TTL, TIMED, 0},
        {"ex", TIMED, KEEP_TTL, KV_AFTER_S},
        {"px", TIMED, KEEP_TTL, KV_AFTER_MS},
        {"exat", TIMED, KEEP_TTL, KV_AT_S},
        {"pxat", TIMED, KEEP_TTL, KV_AT_MS},
    };

    for (unsigned i = 3; i < client->argc; i++) {
        unsigned k = 0;

        while (k < sizeof known / sizeof *known && !kv_arg_is(&client->argv[i], known[k].name))
            k++;
        bool timed = k < sizeof known / sizeof *known && known[k].flag == TIMED;
        if (k == sizeof known / sizeof *known || options->flags & known[k].excludes ||
            (timed && (i + 1 == client->argc ||
                       (options->flags & TIMED && options->unit != known[k].unit)))) {
            kv_reply_error(&client->reply, kv_error_syntax);
            return false;
        }
        options->flags |= known[k].flag;
        if (timed) {
            options->unit = known[k].unit;
            options->time = ++i;
        }
    }
    return true;
}

void kv_run_set(struct kv_client *client)
{
    struct set_options options = {0};
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = space_of(client, key);
    size_t mark = client->reply.size;
    int64_t expires = 0;

    if (client->argc > 3) {
        if (!read_options(client, &options))
            return;
        if (options.flags & TIMED && !kv_arg_expiry(client, options.time, options.unit, &expires))
            return;
    }
    if (options.flags != 0) {
        struct kv_entry *old = kv_entry_of(*kv_space_at(space, key, &client->clock));
        if (options.flags & GET_OLD)
            reply_value(client, old);
        if ((options.flags & ONLY_NEW && old != NULL) ||
            (options.flags & ONLY_OLD && old == NULL)) {
            if (!(options.flags & GET_OLD))
                kv_reply_null(&client->reply);
            return;
        }
        if (options.flags & KEEP_TTL && old != NULL)
            expires = old->expires;
    }
    if (!put(client, key, &client->argv[2], expires))
        fail(client, mark);
    else if (!(options.flags & GET_OLD))
        kv_reply_ok(&client->reply);
}

void kv_run_setnx(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    bool there = *kv_space_at(space_of(client, key), key, &client->clock) != NULL;

    if (!there && !put(client, key, &client->argv[2], 0))
        fail(client, client->reply.size);
    else
        kv_reply_int(&client->reply, !there);
}

static void set_timed(struct kv_client *client, enum kv_time_unit unit)
{
    int64_t expires;

    if (!kv_arg_expiry(client, 2, unit, &expires))
        return;
    if (!put(client, &client->argv[1], &client->argv[3], expires))
        fail(client, client->reply.size);
    else
        kv_reply_ok(&client->reply);
}

void kv_run_setex(struct kv_client *client)
{
    set_timed(client, KV_AFTER_S);
}

void kv_run_psetex(struct kv_client *client)
{
    set_timed(client, KV_AFTER_MS);
}

void kv_run_getset(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    size_t mark = client->reply.size;

    reply_value(client, kv_space_get(space_of(client, key), key, &client->clock));
    if (!put(client, key, &client->argv[2], 0))
        fail(client, mark);
}

void kv_run_getdel(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = space_of(client, key);
    struct kv_entry *entry = kv_space_get(space, key, &client->clock);

    reply_value(client, entry);
    if (entry != NULL)
        kv_space_remove(space, kv_space_at(space, key, &client->clock));
}

void kv_run_mget(struct kv_client *client)
{
    kv_reply_array(&client->reply, client->argc - 1);
    for (unsigned i = 1; i < client->argc; i++) {
        const struct kv_arg *key = &client->argv[i];

        reply_value(client, kv_space_get(space_of(client, key), key, &client->clock));
    }
}

/* All pairs; when memory runs out on the way, the rest is not stored. */
static bool put_pairs(struct kv_client *client)
{
    for (unsigned i = 1; i < client->argc; i += 2)
        if (!put(client, &client->argv[i], &client->argv[i + 1], 0))
            return false;
    return true;
}

void kv_run_mset(struct kv_client *client)
{
    if (client->argc % 2 == 0)
        kv_reply_arity(client);
    else if (!put_pairs(client))
        fail(client, client->reply.size);
    else
        kv_reply_ok(&client->reply);
}

void kv_run_msetnx(struct kv_client *client)
{
    if (client->argc % 2 == 0) {
        kv_reply_arity(client);
        return;
    }
    for (unsigned i = 1; i < client->argc; i += 2) {
        const struct kv_arg *key = &client->argv[i];

        if (*kv_space_at(space_of(client, key), key, &client->clock) != NULL) {
            kv_reply_int(&client->reply, 0);
            return;
        }
    }
    if (!put_pairs(client))
        fail(client, client->reply.size);
    else
        kv_reply_int(&client->reply, 1);
}

void kv_run_append(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1], *more = &client->argv[2];
    struct kv_space *space = space_of(client, key);
    struct kv_node **at = kv_space_at(space, key, &client->clock);
    size_t before = *at != NULL ? kv_entry_of(*at)->value_size : 0;
    struct kv_entry *entry;

    if (before + more->size > client->server->config.bulk_max) {
        kv_reply_error(&client->reply,
                       "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    if (*at == NULL) {
        entry = kv_space_put(space, at, key, more->data, more->size);
    } else {
        entry = kv_space_stretch(space, at, before + more->size);
        if (entry != NULL)
            memcpy(kv_entry_value(entry) + before, more->data, more->size);
    }
    if (entry == NULL)
        fail(client, client->reply.size);
    else
        kv_reply_int(&client->reply, entry->value_size);
}

void kv_run_strlen(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_entry *entry = kv_space_get(space_of(client, key), key, &client->clock);

    kv_reply_int(&client->reply, entry != NULL ? entry->value_size : 0);
}

static void add(struct kv_client *client, int64_t by)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = space_of(client, key);
    struct kv_node **at = kv_space_at(space, key, &client->clock);
    struct kv_entry *entry = kv_entry_of(*at);
    char text[KV_NUMBER_MAX];
    int64_t number = 0;

    if (entry != NULL && !kv_parse_int(kv_entry_value(entry), entry->value_size, &number)) {
        kv_reply_error(&client->reply, kv_error_int);
        return;
    }
    if (__builtin_add_overflow(number, by, &number)) {
        kv_reply_error(&client->reply, "ERR increment or decrement would overflow");
        return;
    }
    if (kv_space_put(space, at, key, text, kv_format_int(text, number)) == NULL)
        fail(client, client->reply.size);
    else
        kv_reply_int(&client->reply, number);
}

void kv_run_incr(struct kv_client *client)
{
    add(client, 1);
}

void kv_run_decr(struct kv_client *client)
{
    add(client, -1);
}

void kv_run_incrby(struct kv_client *client)
{
    int64_t by;

    if (kv_arg_int(client, 2, &by))
        add(client, by);
}

void kv_run_decrby(struct kv_client *client)
{
    int64_t by;

    if (!kv_arg_int(client, 2, &by))
        return;
    if (by == INT64_MIN)
        kv_reply_error(&client->reply, "ERR decrement would overflow");
    else
        add(client, -by);
}
