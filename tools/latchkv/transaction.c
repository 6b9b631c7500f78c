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

kv_shards kv_transaction_watched(const struct kv_client *client)
{
    kv_shards shards = 0;

    for (unsigned i = 0; i < client->transaction.watching_count; i++)
        shards |= kv_shards_of(client->transaction.watching[i].hash);
    return shards;
}

void kv_transaction_unwatch(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;

    for (unsigned i = 0; i < transaction->watching_count; i++) {
        struct kv_watching *watching = &transaction->watching[i];

        kv_space_unwatch(kv_store_space(&client->server->store, watching->database, watching->hash),
                         watching->watch);
    }
    kv_free(transaction->watching, transaction->watching_max * sizeof *transaction->watching);
    transaction->watching = NULL;
    transaction->watching_count = transaction->watching_max = 0;
}

bool kv_transaction_changed(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;
    bool changed = false;

    for (unsigned i = 0; i < transaction->watching_count; i++) {
        struct kv_watching *watching = &transaction->watching[i];
        struct kv_arg key = {.data = watching->watch->key,
                             .size = watching->watch->node.key_size,
                             .hash = watching->hash};

        /* a key that has expired since is removed here, which counts as a change */
        (void)kv_space_at(kv_store_space(&client->server->store, watching->database, key.hash),
                          &key, &client->clock);
        changed |= watching->watch->version != watching->version;
    }
    return changed;
}

void kv_transaction_end(struct kv_client *client)
{
    kv_shards shards = kv_transaction_watched(client);

    kv_store_lock_always(&client->server->store, shards);
    kv_transaction_unwatch(client);
    kv_store_unlock(&client->server->store, shards);
    kv_transaction_forget(client);
}
