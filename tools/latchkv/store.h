/* SPDX-License-Identifier: MIT */
/* The store: all databases, cut into shards by the hash of the key, each shard under one lw_mutex.
 *
 * A command first takes the locks of all shards it touches, in ascending order, then does its work
 * without waiting for anything, then gives them back.  That makes every command atomic, those of
 * many keys and whole transactions too, and two commands can never wait for each other in a circle:
 *
 *     shard locks < key locks' words (tried, never waited for) and the registry of clients
 *
 * A set of shards is a word of bits, so the union over the keys of a transaction is an or. */
#ifndef LATCHKV_STORE_H
#define LATCHKV_STORE_H

#include "latchkv/hash.h"
#include "latchkv/space.h"

#include <latchwork.h>
#include <stdatomic.h>

enum { KV_SHARDS = 64 };

typedef uint64_t kv_shards; /* a set of them, one bit each */

#define KV_SHARDS_ALL UINT64_MAX

struct kv_shard {
    lw_mutex mutex;
    struct kv_space *spaces; /* one for each database */
} __attribute__((aligned(64)));

struct kv_store {
    struct kv_hash_seed seed;
    unsigned databases;
    _Atomic(struct kv_trash *) trash; /* a stack; who takes from it takes all */
    struct kv_shard shards[KV_SHARDS];
};

/* 0 or -ENOMEM. */
int kv_store_init(struct kv_store *store, unsigned databases);
void kv_store_fini(struct kv_store *store);

/* Take the locks of these shards, if any.  0, or -ECANCELED: none is held. */
LW_MUST_CHECK int kv_store_lock(struct kv_store *store, kv_shards shards);

/* The same for what must happen, cancelled or not. */
void kv_store_lock_always(struct kv_store *store, kv_shards shards);
void kv_store_unlock(struct kv_store *store, kv_shards shards);

static inline unsigned kv_shard_of(uint64_t hash)
{
    return (unsigned)(hash >> 58); /* the table uses the low bits */
}

static inline kv_shards kv_shards_of(uint64_t hash)
{
    return UINT64_C(1) << kv_shard_of(hash);
}

static inline struct kv_space *kv_store_space(struct kv_store *store, unsigned database,
                                              uint64_t hash)
{
    return &store->shards[kv_shard_of(hash)].spaces[database];
}

/* Keys that were flushed and wait to be freed. */
struct kv_trash {
    struct kv_trash *next;
    struct kv_table keys;
};

/* Remove all keys of a database; all shards are locked.  What is removed is put on the list, or
 * freed at once when there is no memory for that. */
void kv_store_flush(struct kv_store *store, unsigned database, struct kv_trash **trash);

/* Free a list, with others in between; no lock is held.  0, or -ECANCELED: told to stop, and what
 * is left is the store's, that is, left to the system. */
LW_MUST_CHECK int kv_trash_empty(struct kv_store *store, struct kv_trash **trash);

/* Leave a list to the store; a task with the store, which is there to free all that was left. */
void kv_trash_leave(struct kv_store *store, struct kv_trash **trash);
int kv_trash_run(void *store);

/* What all shards together have of one database; all shards are locked. */
struct kv_totals {
    size_t keys, expiring;
    uint64_t hits, misses, expired;
};
struct kv_totals kv_store_totals(const struct kv_store *store, unsigned database);

#endif
