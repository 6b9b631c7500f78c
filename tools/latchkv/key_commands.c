/* SPDX-License-Identifier: MIT */
/* Commands on keys, whatever their values. */
#include "latchkv/commands.h"
#include "latchkv/glob.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <inttypes.h>
#include <stdio.h>

static struct kv_space *space_of(const struct kv_client *client, const struct kv_arg *key)
{
    return kv_client_space(client, &client->server->store, key);
}

void kv_run_del(struct kv_client *client)
{
    int64_t removed = 0;

    for (unsigned i = 1; i < client->argc; i++) {
        const struct kv_arg *key = &client->argv[i];
        struct kv_node **at = kv_space_at(space_of(client, key), key, &client->clock);

        if (*at == NULL)
            continue;
        kv_space_remove(space_of(client, key), at);
        removed++;
    }
    kv_reply_int(&client->reply, removed);
}

void kv_run_exists(struct kv_client *client)
{
    int64_t there = 0;

    for (unsigned i = 1; i < client->argc; i++) {
        const struct kv_arg *key = &client->argv[i];

        there += kv_space_get(space_of(client, key), key, &client->clock) != NULL;
    }
    kv_reply_int(&client->reply, there);
}

void kv_run_type(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    bool there = *kv_space_at(space_of(client, key), key, &client->clock) != NULL;

    kv_reply_status(&client->reply, there ? "string" : "none");
}

void kv_run_dbsize(struct kv_client *client)
{
    struct kv_totals totals = kv_store_totals(&client->server->store, client->database);

    kv_reply_int(&client->reply, (int64_t)totals.keys);
}

/* Keys on their way into a reply. */
struct listing {
    struct kv_reply *reply;
    const struct kv_arg *pattern; /* NULL: all */
    size_t shown, seen;
    bool none; /* of another type than string: no key is */
};

static void list_key(struct kv_entry *entry, void *arg)
{
    struct listing *listing = arg;
    const struct kv_arg *pattern = listing->pattern;

    listing->seen++;
    if (listing->none ||
        (pattern != NULL &&
         !kv_glob_match(pattern->data, pattern->size, entry->bytes, entry->node.key_size, false)))
        return;
    kv_reply_bulk(listing->reply, entry->bytes, entry->node.key_size);
    listing->shown++;
}

static bool is_star(const struct kv_arg *pattern)
{
    return pattern->size == 1 && pattern->data[0] == '*';
}

void kv_run_keys(struct kv_client *client)
{
    struct kv_store *store = &client->server->store;
    const struct kv_arg *pattern = &client->argv[1];
    struct listing listing = {&client->reply, is_star(pattern) ? NULL : pattern, 0, 0, false};
    size_t opened = kv_reply_gap_open(&client->reply);

    for (unsigned i = 0; i < KV_SHARDS; i++)
        kv_space_each(&store->shards[i].spaces[client->database], &client->clock, list_key,
                      &listing);
    kv_reply_array_close(&client->reply, opened, listing.shown);
}

static bool read_scan_options(struct kv_client *client, struct listing *listing, int64_t *count)
{
    for (unsigned i = 2; i < client->argc; i += 2) {
        const struct kv_arg *name = &client->argv[i], *value = name + 1;
        bool last = i + 1 == client->argc;

        if (!last && kv_arg_is(name, "count")) {
            if (!kv_arg_int(client, i + 1, count))
                return false;
            if (*count >= 1)
                continue;
        } else if (!last && kv_arg_is(name, "match")) {
            listing->pattern = is_star(value) ? NULL : value;
            continue;
        } else if (!last && kv_arg_is(name, "type")) {
            listing->none = !kv_arg_is(value, "string");
            continue;
        }
        kv_reply_error(&client->reply, kv_error_syntax);
        return false;
    }
    return true;
}

/* Go on at the cursor, shard << 32 | position in its table, until `count` keys were seen or ten
 * times as many buckets looked at; the new cursor, 0 at the end. */
static uint64_t scan(struct kv_client *client, uint64_t cursor, int64_t count,
                     struct listing *listing)
{
    struct kv_store *store = &client->server->store;
    int64_t buckets = count > INT64_MAX / 10 ? INT64_MAX : 10 * count;
    uint32_t position = (uint32_t)cursor;

    for (uint64_t shard = cursor >> 32; shard < KV_SHARDS; shard++) {
        struct kv_space *space = &store->shards[shard].spaces[client->database];

        if (space->keys.count == 0)
            position = 0;
        else
            while (kv_space_scan(space, &position, &client->clock, list_key, listing))
                if ((int64_t)listing->seen >= count || --buckets <= 0)
                    return shard << 32 | position;
        if ((int64_t)listing->seen >= count && shard + 1 < KV_SHARDS)
            return (shard + 1) << 32;
    }
    return 0;
}

void kv_run_scan(struct kv_client *client)
{
    struct listing listing = {&client->reply, NULL, 0, 0, false};
    int64_t count = 10;
    uint64_t cursor;

    if (!kv_parse_loose(client->argv[1].data, client->argv[1].size, &cursor)) {
        kv_reply_error(&client->reply, "ERR invalid cursor");
        return;
    }
    if (!read_scan_options(client, &listing, &count))
        return;
    size_t opened = kv_reply_gap_open(&client->reply);
    cursor = scan(client, cursor, count, &listing);

    char number[KV_NUMBER_MAX + 1], text[KV_REPLY_GAP];
    int digits = snprintf(number, sizeof number, "%" PRIu64, cursor);
    int size =
        snprintf(text, sizeof text, "*2\r\n$%d\r\n%s\r\n*%zu\r\n", digits, number, listing.shown);
    kv_reply_gap_close(&client->reply, opened, text, (size_t)size);
}

/* FLUSHDB and FLUSHALL [ASYNC | SYNC]: either way the keys are freed when others can go on; this
 * client goes on before with ASYNC, else behind it, when their memory can be had. */
static bool read_flush_options(struct kv_client *client)
{
    client->trash_later = client->argc == 2 && kv_arg_is(&client->argv[1], "async");
    if (client->argc == 1 || client->trash_later ||
        (client->argc == 2 && kv_arg_is(&client->argv[1], "sync")))
        return true;
    kv_reply_error(&client->reply, kv_error_syntax);
    return false;
}

void kv_run_flushdb(struct kv_client *client)
{
    if (!read_flush_options(client))
        return;
    kv_store_flush(&client->server->store, client->database, &client->trash);
    kv_reply_ok(&client->reply);
}

void kv_run_flushall(struct kv_client *client)
{
    struct kv_store *store = &client->server->store;

    if (!read_flush_options(client))
        return;
    for (unsigned database = 0; database < store->databases; database++)
        kv_store_flush(store, database, &client->trash);
    kv_reply_ok(&client->reply);
}
