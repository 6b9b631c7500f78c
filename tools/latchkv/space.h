/* SPDX-License-Identifier: MIT */
/* A space: what one shard of the store holds of one database.  Its keys with their values, the
 * keys that transactions watch, and the key locks (<latchkv/keylock.h>).
 *
 * An entry is one block: header, key, value.  So a GET touches two cache lines of the table's and
 * the entry's memory, and a SET of about the same size allocates nothing.
 *
 *     | next hash key_size | expires | value_size value_room | key bytes | value bytes ... room |
 *
 * Everything here is called with the shard's lock held, which store.h takes. */
#ifndef LATCHKV_SPACE_H
#define LATCHKV_SPACE_H

#include "latchkv/clock.h"
#include "latchkv/parser.h"
#include "latchkv/table.h"

struct kv_entry {
    struct kv_node node;
    int64_t expires; /* milliseconds since 1970; 0: never */
    uint32_t value_size, value_room;
    char bytes[];
};

struct kv_space {
    struct kv_table keys;
    struct kv_table watches;
    struct kv_table locks;
    size_t expiring; /* entries with a time to live */
    uint64_t hits, misses, expired;
    uint32_t sweep_at; /* where the expiry goes on */
};

/* A key that transactions watch, kept while one does. */
struct kv_watch {
    struct kv_node node;
    uint32_t users;
    uint64_t version; /* counts changes of the key */
    char key[];
};

static inline struct kv_entry *kv_entry_of(struct kv_node *node)
{
    return (struct kv_entry *)node; /* node is its first member */
}

static inline char *kv_entry_value(struct kv_entry *entry)
{
    return entry->bytes + entry->node.key_size;
}

void kv_space_fini(struct kv_space *space);

/* The link to the entry with this key, or one that holds NULL: absent, or expired and now removed.
 * Good until the space changes.  key->hash is set. */
struct kv_node **kv_space_at(struct kv_space *space, const struct kv_arg *key,
                             struct kv_clock *clock);

/* The entry or NULL; counted as a hit or a miss. */
struct kv_entry *kv_space_get(struct kv_space *space, const struct kv_arg *key,
                              struct kv_clock *clock);

/* Give the key that `at` was asked for this value; an entry that is there keeps its expiry, a new
 * one has none.  NULL: memory is out, nothing changed. */
struct kv_entry *kv_space_put(struct kv_space *space, struct kv_node **at, const struct kv_arg *key,
                              const void *value, size_t size);

/* Make room for a value of `size` bytes and set its size; what was there stays, up to size.  The
 * caller writes the rest.  NULL: memory is out, nothing changed. */
struct kv_entry *kv_space_stretch(struct kv_space *space, struct kv_node **at, size_t size);

void kv_space_expire(struct kv_space *space, struct kv_entry *entry, int64_t expires);
void kv_space_remove(struct kv_space *space, struct kv_node **at);

/* Show all keys that have not expired, bucket by bucket, as kv_table_scan() does. */
typedef void kv_space_show(struct kv_entry *entry, void *arg);
bool kv_space_scan(struct kv_space *space, uint32_t *position, struct kv_clock *clock,
                   kv_space_show *show, void *arg);

/* Show all of them, each once, as kv_table_each() does. */
void kv_space_each(struct kv_space *space, struct kv_clock *clock, kv_space_show *show, void *arg);

/* Remove what has expired from the next buckets: how many were removed, how many with a time to
 * live were seen. */
struct kv_swept {
    size_t expiring, expired;
};
struct kv_swept kv_space_sweep(struct kv_space *space, unsigned buckets, struct kv_clock *clock);

/* Remove every key; the caller frees what it gets with kv_space_free(), when no lock is held. */
struct kv_table kv_space_flush(struct kv_space *space);
void kv_space_free(struct kv_table *keys);

/* The same for so many buckets; true: it is done. */
bool kv_space_free_some(struct kv_table *keys, uint32_t buckets);

/* Watch a key; NULL: memory is out. */
struct kv_watch *kv_space_watch(struct kv_space *space, const struct kv_arg *key);
void kv_space_unwatch(struct kv_space *space, struct kv_watch *watch);

#endif
