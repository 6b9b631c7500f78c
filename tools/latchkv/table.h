/* SPDX-License-Identifier: MIT */
/* A hash table of nodes that live in their owners' structs, keyed by byte strings, after Litwin's
 * linear hashing (VLDB 1980): it grows and shrinks one bucket at a time, so no operation ever
 * moves more than one chain, and there is never an old and a new table.
 *
 * Why not a packaged one: SCAN needs an order of buckets that survives growing and shrinking,
 * entries must not move (their values lie behind them), and growing must be allowed to fail.
 *
 * The order.  A bucket holds the nodes whose hash ends in the same bits; read these bits backwards,
 * lowest first, and a bucket is an interval of [0, 2^32).  A split cuts an interval in two, a merge
 * joins two neighbours, and nothing moves across any other border.  So a scan is one position that
 * wanders from 0 to 2^32: all whose backwards hash is below it has been shown.  What is there
 * during the whole scan is therefore shown at least once; after a merge some twice.
 *
 *     buckets 6, mask 7:    000  100  x10 (2)  x01 (1)  101  x11 (3)
 *     backwards:          [ 0    1    2-3      4        5    6-7   ]
 *
 * Invariants: mask is the smallest 2^k - 1 >= buckets - 1; a hash lies in bucket hash & mask, or
 * hash & mask / 2 when there is no such bucket; segment k > 0 holds the buckets
 * [FIRST << (k - 1), FIRST << k) and exists iff one of them does.
 *
 * A table is its owner's to lock.  All zero is an empty one. */
#ifndef LATCHKV_TABLE_H
#define LATCHKV_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kv_node {
    struct kv_node *next;
    uint32_t hash;
    uint32_t key_size;
};

enum {
    KV_TABLE_FIRST = 8,     /* buckets of the first segment */
    KV_TABLE_SEGMENTS = 25, /* 2^27 buckets: chains get longer beyond */
};

struct kv_table {
    struct kv_node **segments[KV_TABLE_SEGMENTS];
    uint32_t buckets, mask;
    uint32_t key_offset; /* from node to key bytes; 0 only in an empty table */
    size_t count;
};

/* Where a chain of the empty table ends.  Always NULL. */
extern struct kv_node *kv_table_nothing;

static inline struct kv_node **kv_table_bucket(const struct kv_table *table, uint32_t bucket)
{
    uint32_t lap = bucket / KV_TABLE_FIRST;

    if (lap == 0)
        return &table->segments[0][bucket];
    unsigned segment = 32 - (unsigned)__builtin_clz(lap);
    return &table->segments[segment][bucket - ((uint32_t)KV_TABLE_FIRST << (segment - 1))];
}

/* The link to the first node of the chain in which hash would be. */
static inline struct kv_node **kv_table_chain(const struct kv_table *table, uint32_t hash)
{
    if (table->buckets == 0)
        return &kv_table_nothing;
    uint32_t bucket = hash & table->mask;
    return kv_table_bucket(table, bucket < table->buckets ? bucket : bucket & (table->mask >> 1));
}

/* The link to the node with this key, or a link that holds NULL.  Good until the table changes. */
static inline struct kv_node **kv_table_find(const struct kv_table *table, uint32_t hash,
                                             const void *key, size_t key_size)
{
    struct kv_node **at = kv_table_chain(table, hash);

    for (struct kv_node *node; (node = *at) != NULL; at = &node->next)
        if (node->hash == hash && node->key_size == key_size &&
            memcmp((const char *)node + table->key_offset, key, key_size) == 0)
            break;
    return at;
}

/* Put in a node whose hash, key size and key bytes (key_offset behind the node, the same for all
 * nodes of a table) are set and whose key is not in the table.  False: no memory for the first
 * bucket. */
bool kv_table_add(struct kv_table *table, struct kv_node *node, size_t key_offset);

/* Take out the node that a link from kv_table_find() leads to. */
void kv_table_remove(struct kv_table *table, struct kv_node **at);

/* Put a node with the same hash and key in the place of the one that at leads to. */
static inline void kv_table_replace(struct kv_node **at, struct kv_node *node)
{
    node->next = (*at)->next;
    *at = node;
}

/* Shows a node.  True: it is taken out, and may be gone already. */
typedef bool kv_table_visit(struct kv_node *node, void *arg);

/* Show the bucket at *position, move it behind, and say whether there are more (else it is 0
 * again).  The visitor does nothing else to the table. */
bool kv_table_scan(struct kv_table *table, uint32_t *position, kv_table_visit *visit, void *arg);

/* Show every node, once; the table keeps its buckets until the end, so no merge shows one again.
 * The visitor does nothing else to the table. */
void kv_table_each(struct kv_table *table, kv_table_visit *visit, void *arg);

/* Take out every node, giving each to visit, and give back all memory of the table itself. */
void kv_table_clear(struct kv_table *table, kv_table_visit *visit, void *arg);

/* The same for the last `most` buckets that are left; true: it is done.  In between the table is
 * good for nothing else. */
bool kv_table_clear_some(struct kv_table *table, uint32_t most, kv_table_visit *visit, void *arg);

/* Whether the invariants above hold.  Walks everything: for tests. */
bool kv_table_check(const struct kv_table *table);

#endif
