/* SPDX-License-Identifier: MIT */
#include "latchkv/client.h"

#include "latchkv/memory.h"
#include "latchkv/server.h"

#include <time.h>

int64_t kv_coarse_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct kv_client *kv_client_new(struct kv_server *server, int fd)
{
    struct kv_client *client = kv_alloc_clear(sizeof *client);

    if (client == NULL)
        return NULL;
    if (lw_rate_limit_init(&client->limit, "commands", (double)server->config.rate, 0, 0) < 0) {
        kv_free(client, sizeof *client);
        return NULL;
    }
    client->server = server;
    client->fd = fd;
    client->born = kv_coarse_ms();
    kv_reply_init(&client->reply, server->config.reply_max);
    kv_parser_init(&client->parser, server->config.bulk_max);
    kv_client_publish(client);
    return client;
}

void kv_client_told_to_end(struct kv_client *client)
{
    client->closing = true;
    lw_cancel(client->task);
}

void kv_client_unlock(struct kv_client *client)
{
    struct kv_store *store = &client->server->store;

    while (client->held != NULL) {
        struct kv_keylock *lock = client->held;
        uint64_t hash = lock->hash;
        struct kv_space *space = kv_store_space(store, lock->database, hash);

        kv_store_lock_always(store, kv_shards_of(hash));
        kv_keylock_release(space, lock);
        client->held_count--;
        kv_store_unlock(store, kv_shards_of(hash));
    }
}

void kv_client_free(struct kv_client *client)
{
    kv_clients_remove(&client->server->clients, client);
    kv_client_unlock(client);
    kv_transaction_end(client);
    kv_reply_fini(&client->reply);
    kv_parser_fini(&client->parser);
    kv_free(client->input.data, client->input.capacity);
    kv_free(client->name, client->name != NULL ? strlen(client->name) + 1 : 0);
    kv_free(client, sizeof *client);
}

void kv_client_publish(struct kv_client *client)
{
    struct kv_face *face = &client->face;
    const struct kv_input *input = &client->input;
    int queued = client->transaction.open ? (int)client->transaction.count : -1;

    atomic_store_explicit(&face->command, client->command, memory_order_relaxed);
    atomic_store_explicit(&face->active, kv_coarse_ms(), memory_order_relaxed);
    atomic_store_explicit(&face->database, client->database, memory_order_relaxed);
    atomic_store_explicit(&face->queued, queued, memory_order_relaxed);
    atomic_store_explicit(&face->protocol, client->reply.protocol, memory_order_relaxed);
    atomic_store_explicit(&face->input_size, input->end - input->start, memory_order_relaxed);
    atomic_store_explicit(&face->input_room, input->capacity - (input->end - input->start),
                          memory_order_relaxed);
    atomic_store_explicit(&face->reply_room, client->reply.capacity, memory_order_relaxed);
}
