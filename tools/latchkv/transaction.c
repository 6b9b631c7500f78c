/* SPDX-License-Identifier: MIT */
#include "latchkv/transaction.h"

#include "latchkv/command.h"
#include "latchkv/memory.h"
#include "latchkv/server.h"

#include <string.h>

bool kv_transaction_queue(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;
    size_t bytes = sizeof(struct kv_queued) + client->argc * sizeof(struct kv_arg);

    for (unsigned i = 0; i < client->argc; i++)
        bytes += client->argv[i].size;
    if (transaction->bytes + bytes > client->server->config.query_max)
        return false;
    struct kv_queued *queued = kv_alloc(bytes);
    if (queued == NULL)
        return false;
    *queued = (struct kv_queued){.command = client->command, .bytes = bytes, .argc = client->argc};

    char *to = (char *)&queued->argv[client->argc];
    for (unsigned i = 0; i < client->argc; i++) {
        queued->argv[i] = (struct kv_arg){.data = to, .size = client->argv[i].size};
        memcpy(to, client->argv[i].data, client->argv[i].size);
        to += client->argv[i].size;
    }
    if (transaction->first == NULL)
        transaction->first = queued;
    else
        transaction->last->next = queued;
    transaction->last = queued;
    transaction->count++;
    transaction->bytes += bytes;
    transaction->flags |= client->command->flags;
    return true;
}

void kv_transaction_forget(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;

    for (struct kv_queued *queued = transaction->first, *next; queued != NULL; queued = next) {
        next = queued->next;
        kv_free(queued, queued->bytes);
    }
    transaction->first = transaction->last = NULL;
    transaction->open = transaction->refused = false;
    transaction->count = transaction->flags = 0;
    transaction->bytes = 0;
}

/* A key that is watched twice keeps its older look, which decides. */
bool kv_transaction_watch(struct kv_client *client, const struct kv_arg *key)
{
    struct kv_transaction *transaction = &client->transaction;
    struct kv_space *space = kv_client_space(client, &client->server->store, key);

    if (transaction->watching == NULL)
        transaction->watching = kv_alloc_clear(sizeof *transaction->watching);
    if (transaction->watching == NULL)
        return false;
    (void)kv_space_at(space, key, &client->clock); /* an expired key is absent from here on */
    struct kv_watch *watch = kv_space_watch(space, key);
    if (watch == NULL)
        return false;

    struct kv_watching *watching = NULL;
    bool known =
        *kv_table_find(transaction->watching, (uint32_t)key->hash, &watch, sizeof watch) != NULL;
    if (!known)
        watching = kv_alloc(sizeof *watching);
    if (watching != NULL) {
        *watching = (struct kv_watching){
            .node = {.hash = (uint32_t)key->hash, .key_size = sizeof watch},
            .watch = watch,
            .hash = key->hash,
            .version = watch->version,
            .database = client->database,
        };
        if (kv_table_add(transaction->watching, &watching->node,
                         offsetof(struct kv_watching, watch))) {
            transaction->watched |= kv_shards_of(key->hash);
            return true;
        }
        kv_free(watching, sizeof *watching);
    }
    kv_space_unwatch(space, watch); /* which `known` counted before */
    return known;
}

kv_shards kv_transaction_watched(const struct kv_client *client)
{
    return client->transaction.watched;
}

static bool drop_watching(struct kv_node *node, void *arg)
{
    struct kv_watching *watching = (struct kv_watching *)node;
    struct kv_store *store = arg;

    kv_space_unwatch(kv_store_space(store, watching->database, watching->hash), watching->watch);
    kv_free(watching, sizeof *watching);
    return true;
}

void kv_transaction_unwatch(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;

    if (transaction->watching == NULL)
        return;
    kv_table_clear(transaction->watching, drop_watching, &client->server->store);
    kv_free(transaction->watching, sizeof *transaction->watching);
    transaction->watching = NULL;
    transaction->watched = 0;
}

struct looking {
    struct kv_client *client;
    bool changed;
};

static bool look_again(struct kv_node *node, void *arg)
{
    struct kv_watching *watching = (struct kv_watching *)node;
    struct looking *looking = arg;
    struct kv_client *client = looking->client;
    struct kv_arg key = {.data = watching->watch->key,
                         .size = watching->watch->node.key_size,
                         .hash = watching->hash};

    /* a key that has expired since is removed here, which counts as a change */
    (void)kv_space_at(kv_store_space(&client->server->store, watching->database, key.hash), &key,
                      &client->clock);
    looking->changed |= watching->watch->version != watching->version;
    return false;
}

bool kv_transaction_changed(struct kv_client *client)
{
    struct looking looking = {client, false};

    if (client->transaction.watching != NULL)
        kv_table_each(client->transaction.watching, look_again, &looking);
    return looking.changed;
}

void kv_transaction_end(struct kv_client *client)
{
    kv_shards shards = kv_transaction_watched(client);

    kv_store_lock_always(&client->server->store, shards);
    kv_transaction_unwatch(client);
    kv_store_unlock(&client->server->store, shards);
    kv_transaction_forget(client);
}
