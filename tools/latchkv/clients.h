/* SPDX-License-Identifier: MIT */
/* The registry of clients: who is connected, and sums over them. */
#ifndef LATCHKV_CLIENTS_H
#define LATCHKV_CLIENTS_H

#include <latchwork.h>
#include <stdatomic.h>

struct kv_client;

struct kv_clients {
    lw_mutex mutex;
    struct kv_client *first, *last; /* the oldest, the newest */
    uint64_t last_id;
    uint64_t commands_before; /* of those who are gone */
    _Atomic(unsigned) count;
    _Atomic(uint64_t) received, rejected;
};

/* Give the client its id and show it to others; 0, or -EUSERS when there are `most` already, or
 * -ECANCELED. */
LW_MUST_CHECK int kv_clients_add(struct kv_clients *clients, struct kv_client *client,
                                 uint64_t most);

/* Always succeeds, cancelled or not. */
void kv_clients_remove(struct kv_clients *clients, struct kv_client *client);

/* Name a client (size 0: take its name away).  0, -ENOMEM or -ECANCELED. */
LW_MUST_CHECK int kv_clients_name(struct kv_clients *clients, struct kv_client *client,
                                  const char *name, size_t size);

/* How many commands were run. */
LW_MUST_CHECK int kv_clients_commands(struct kv_clients *clients, uint64_t *commands);

/* The id of the client of that task; 0: it is gone. */
LW_MUST_CHECK int kv_clients_of_task(struct kv_clients *clients, lw_task task, uint64_t *id);

/* How many wait for a key lock now. */
LW_MUST_CHECK int kv_clients_waiting(struct kv_clients *clients, unsigned *waiting);

#endif
