/* SPDX-License-Identifier: MIT */
#include "latchkv/clients.h"

#include "latchkv/client.h"
#include "latchkv/memory.h"

#include <errno.h>
#include <string.h>

int kv_clients_add(struct kv_clients *clients, struct kv_client *client, uint64_t most)
{
    int err;

    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        unsigned count = atomic_load_explicit(&clients->count, memory_order_relaxed);

        if (count >= most)
            return -EUSERS;
        client->id = ++clients->last_id;
        client->previous = clients->last;
        *(client->previous != NULL ? &client->previous->next : &clients->first) = client;
        clients->last = client;
        atomic_store_explicit(&clients->count, count + 1, memory_order_relaxed);
    }
    return err;
}

void kv_clients_remove(struct kv_clients *clients, struct kv_client *client)
{
    int err;

    if (client->id == 0)
        return; /* it never was there */
    LW_SHIELD()
        LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
            *(client->previous != NULL ? &client->previous->next : &clients->first) = client->next;
            *(client->next != NULL ? &client->next->previous : &clients->last) = client->previous;
            clients->commands_before +=
                atomic_load_explicit(&client->face.commands, memory_order_relaxed);
            atomic_fetch_sub_explicit(&clients->count, 1, memory_order_relaxed);
        }
}

int kv_clients_name(struct kv_clients *clients, struct kv_client *client, const char *name,
                    size_t size)
{
    char *copy = NULL, *old = NULL;
    int err;

    if (size > 0) {
        copy = kv_alloc(size + 1);
        if (copy == NULL)
            return -ENOMEM;
        memcpy(copy, name, size);
        copy[size] = '\0';
    }
    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        old = client->name;
        client->name = copy;
    } else {
        old = copy;
    }
    kv_free(old, old != NULL ? strlen(old) + 1 : 0);
    return err;
}

int kv_clients_commands(struct kv_clients *clients, uint64_t *commands)
{
    int err;

    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        *commands = clients->commands_before;
        for (struct kv_client *client = clients->first; client != NULL; client = client->next)
            *commands += atomic_load_explicit(&client->face.commands, memory_order_relaxed);
    }
    return err;
}

int kv_clients_waiting(struct kv_clients *clients, unsigned *waiting)
{
    int err;

    *waiting = 0;
    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        for (struct kv_client *client = clients->first; client != NULL; client = client->next)
            *waiting += atomic_load_explicit(&client->face.waiting, memory_order_relaxed);
    }
    return err;
}

int kv_clients_of_task(struct kv_clients *clients, lw_task task, uint64_t *id)
{
    int err;

    *id = 0;
    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        for (struct kv_client *client = clients->first; client != NULL; client = client->next)
            if (atomic_load_explicit(&client->face.task, memory_order_relaxed) == task.id)
                *id = client->id;
    }
    return err;
}
