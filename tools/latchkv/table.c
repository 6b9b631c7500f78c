/* SPDX-License-Identifier: MIT */
#include "latchkv/table.h"

#include "latchkv/memory.h"

enum { SPARSE = 8 }; /* shrink when there are so many buckets to a node */

struct kv_node *kv_table_nothing;

static uint32_t segment_first(unsigned segment)
{
    return segment == 0 ? 0 : (uint32_t)KV_TABLE_FIRST << (segment - 1);
}

static size_t segment_bytes(unsigned segment)
{
    uint32_t buckets = segment == 0 ? KV_TABLE_FIRST : segment_first(segment);

    return buckets * sizeof(struct kv_node *);
}

/* The segment that a table with so many buckets would put the next one in. */
static unsigned segment_of(uint32_t bucket)
{
    uint32_t lap = bucket / KV_TABLE_FIRST;

    return lap == 0 ? 0 : 32 - (unsigned)__builtin_clz(lap);
}

static uint32_t mask_for(uint32_t buckets)
{
    return buckets < 2 ? 0 : UINT32_MAX >> __builtin_clz(buckets - 1);
}

static uint32_t backwards(uint32_t bits)
{
    bits = (bits >> 1 & 0x55555555) | (bits & 0x55555555) << 1;
    bits = (bits >> 2 & 0x33333333) | (bits & 0x33333333) << 2;
    bits = (bits >> 4 & 0x0f0f0f0f) | (bits & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(bits);
}

static bool start(struct kv_table *table)
{
    table->segments[0] = kv_alloc_clear(segment_bytes(0));
    if (table->segments[0] == NULL)
        return false;
    table->buckets = KV_TABLE_FIRST;
    table->mask = mask_for(KV_TABLE_FIRST);
    return true;
}

/* Cut one bucket in two.  Without memory the chains just stay longer. */
static void split(struct kv_table *table)
{
    uint32_t added = table->buckets;
    unsigned segment = segment_of(added);

    if (segment == KV_TABLE_SEGMENTS)
        return;
    if (table->segments[segment] == NULL) {
        table->segments[segment] = kv_alloc_clear(segment_bytes(segment));
        if (table->segments[segment] == NULL)
            return;
    }
    table->buckets++;
    table->mask = mask_for(table->buckets);

    struct kv_node **stay = kv_table_bucket(table, added & table->mask >> 1);
    struct kv_node **leave = kv_table_bucket(table, added);
    while (*stay != NULL) {
        struct kv_node *node = *stay;

        if ((node->hash & table->mask) != added) {
            stay = &node->next;
            continue;
        }
        *stay = node->next;
        *leave = node;
        leave = &node->next;
    }
    *leave = NULL;
}

/* Join the last bucket to the one it was cut from. */
static void merge(struct kv_table *table)
{
    uint32_t removed = table->buckets - 1;
    struct kv_node **from = kv_table_bucket(table, removed);
    struct kv_node **to = kv_table_bucket(table, removed & table->mask >> 1);

    while (*to != NULL)
        to = &(*to)->next;
    *to = *from;
    *from = NULL;
    table->buckets--;
    table->mask = mask_for(table->buckets);

    unsigned segment = segment_of(removed);
    if (removed == segment_first(segment)) {
        kv_free(table->segments[segment], segment_bytes(segment));
        table->segments[segment] = NULL;
    }
}

/* A node that leaves takes SPARSE buckets along, so a table that empties stays as small as it
 * should be. */
static void shrink(struct kv_table *table)
{
    while (table->buckets > KV_TABLE_FIRST && table->buckets / SPARSE > table->count)
        merge(table);
}

bool kv_table_add(struct kv_table *table, struct kv_node *node, size_t key_offset)
{
    if (table->buckets == 0 && !start(table))
        return false;
    table->key_offset = (uint32_t)key_offset;

    struct kv_node **chain = kv_table_chain(table, node->hash);
    node->next = *chain;
    *chain = node;
    table->count++;
    if (table->count > table->buckets)
        split(table);
    return true;
}

void kv_table_remove(struct kv_table *table, struct kv_node **at)
{
    *at = (*at)->next;
    table->count--;
    shrink(table);
}

static void visit_chain(struct kv_table *table, uint32_t bucket, kv_table_visit *visit, void *arg)
{
    for (struct kv_node **at = kv_table_bucket(table, bucket); *at != NULL;) {
        struct kv_node *node = *at, *next = node->next;

        if (visit(node, arg)) {
            *at = next;
            table->count--;
        } else {
            at = &node->next;
        }
    }
}

bool kv_table_scan(struct kv_table *table, uint32_t *position, kv_table_visit *visit, void *arg)
{
    if (table->buckets == 0) {
        *position = 0;
        return false;
    }
    uint32_t mask = table->mask, half = mask >> 1;
    if (((backwards(*position) & half) | (half + 1)) >= table->buckets)
        mask = half; /* this pair of buckets is one as yet */
    uint32_t bucket = backwards(*position) & mask;
    /* The interval of the bucket begins at its own bits backwards; the next one begins behind it,
     * and behind the last one it is 2^32, that is 0. */
    *position = (backwards(bucket) | ~backwards(mask)) + 1;

    visit_chain(table, bucket, visit, arg);
    shrink(table);
    return *position != 0;
}

void kv_table_each(struct kv_table *table, kv_table_visit *visit, void *arg)
{
    for (uint32_t bucket = 0; bucket < table->buckets; bucket++)
        visit_chain(table, bucket, visit, arg);
    shrink(table);
}

bool kv_table_clear_some(struct kv_table *table, uint32_t most, kv_table_visit *visit, void *arg)
{
    for (; table->buckets > 0 && most > 0; most--) {
        uint32_t bucket = --table->buckets;
        unsigned segment = segment_of(bucket);

        for (struct kv_node *node = *kv_table_bucket(table, bucket), *next; node; node = next) {
            next = node->next;
            (void)visit(node, arg);
        }
        if (bucket == segment_first(segment)) {
            kv_free(table->segments[segment], segment_bytes(segment));
            table->segments[segment] = NULL;
        }
    }
    if (table->buckets > 0)
        return false;
    *table = (struct kv_table){0};
    return true;
}

void kv_table_clear(struct kv_table *table, kv_table_visit *visit, void *arg)
{
    (void)kv_table_clear_some(table, UINT32_MAX, visit, arg);
}

bool kv_table_check(const struct kv_table *table)
{
    size_t count = 0;

    if (table->mask != mask_for(table->buckets))
        return false;
    for (uint32_t bucket = 0; bucket < table->buckets; bucket++) {
        for (struct kv_node *node = *kv_table_bucket(table, bucket); node; node = node->next) {
            if (kv_table_chain(table, node->hash) != kv_table_bucket(table, bucket))
                return false;
            count++;
        }
    }
    for (unsigned segment = 0; segment < KV_TABLE_SEGMENTS; segment++)
        if ((table->segments[segment] != NULL) != (table->buckets > segment_first(segment)))
            return false;
    return count == table->count;
}
