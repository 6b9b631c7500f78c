/* SPDX-License-Identifier: MIT */
/* Whatever changes a key goes through put, stretch, expire, remove, flush or the removal of what
 * has expired, and each of these counts up the version of the key if it is watched. */
#include "latchkv/space.h"

#include "latchkv/memory.h"

#include <string.h>

enum {
    GRAIN = 16,              /* entries are so many bytes, or a multiple */
    SLACK = 64,              /* room that a shorter value may leave unused, always */
    GROWTH_MAX = 1024 * 1024 /* room that is added ahead when a value grows */
};

static size_t entry_bytes(const struct kv_entry *entry)
{
    return sizeof *entry + entry->node.key_size + entry->value_room;
}

/* The room for a value of at least `size` bytes behind such a key that makes the entry round. */
static uint32_t room_for(size_t key_size, size_t size)
{
    size_t fixed = sizeof(struct kv_entry) + key_size;

    return (uint32_t)(((fixed + size + GRAIN - 1) & ~(size_t)(GRAIN - 1)) - fixed);
}

static void touch(struct kv_space *space, uint32_t hash, const char *key, size_t key_size)
{
    if (space->watches.count == 0)
        return;
    struct kv_node *watch = *kv_table_find(&space->watches, hash, key, key_size);
    if (watch != NULL)
        ((struct kv_watch *)watch)->version++;
}

static void touch_entry(struct kv_space *space, const struct kv_entry *entry)
{
    touch(space, entry->node.hash, entry->bytes, entry->node.key_size);
}

static bool has_expired(const struct kv_entry *entry, struct kv_clock *clock)
{
    return entry->expires != 0 && entry->expires <= kv_clock_ms(clock);
}

/* The entry is out of the table, or about to be. */
static void drop(struct kv_space *space, struct kv_entry *entry)
{
    touch_entry(space, entry);
    space->expiring -= entry->expires != 0;
    kv_free(entry, entry_bytes(entry));
}

static void drop_expired(struct kv_space *space, struct kv_entry *entry)
{
    space->expired++;
    drop(space, entry);
}

struct kv_node **kv_space_at(struct kv_space *space, const struct kv_arg *key,
                             struct kv_clock *clock)
{
    struct kv_node **at = kv_table_find(&space->keys, (uint32_t)key->hash, key->data, key->size);
    struct kv_entry *entry = kv_entry_of(*at);

    if (entry == NULL || !has_expired(entry, clock))
        return at;
    kv_table_remove(&space->keys, at);
    drop_expired(space, entry);
    return kv_table_find(&space->keys, (uint32_t)key->hash, key->data, key->size);
}

struct kv_entry *kv_space_get(struct kv_space *space, const struct kv_arg *key,
                              struct kv_clock *clock)
{
    struct kv_entry *entry = kv_entry_of(*kv_space_at(space, key, clock));

    space->hits += entry != NULL;
    space->misses += entry == NULL;
    return entry;
}

static struct kv_entry *make(const struct kv_arg *key, const void *value, size_t size)
{
    uint32_t room = room_for(key->size, size);
    struct kv_entry *entry = kv_alloc(sizeof *entry + key->size + room);

    if (entry == NULL)
        return NULL;
    entry->node.hash = (uint32_t)key->hash;
    entry->node.key_size = (uint32_t)key->size;
    entry->expires = 0;
    entry->value_size = (uint32_t)size;
    entry->value_room = room;
    memcpy(entry->bytes, key->data, key->size);
    if (size > 0)
        memcpy(kv_entry_value(entry), value, size);
    return entry;
}

/* Does an entry with so much room suit a value of this size without waste? */
static bool suits(const struct kv_entry *entry, size_t size)
{
    return size <= entry->value_room && entry->value_room <= 2 * size + SLACK;
}

struct kv_entry *kv_space_put(struct kv_space *space, struct kv_node **at, const struct kv_arg *key,
                              const void *value, size_t size)
{
    struct kv_entry *old = kv_entry_of(*at);

    if (old != NULL && suits(old, size)) {
        memmove(kv_entry_value(old), value, size);
        old->value_size = (uint32_t)size;
        touch_entry(space, old);
        return old;
    }
    struct kv_entry *entry = make(key, value, size);
    if (entry == NULL)
        return NULL;
    if (old != NULL) {
        entry->expires = old->expires;
        kv_table_replace(at, &entry->node);
        kv_free(old, entry_bytes(old));
    } else if (!kv_table_add(&space->keys, &entry->node, offsetof(struct kv_entry, bytes))) {
        kv_free(entry, entry_bytes(entry));
        return NULL;
    }
    touch_entry(space, entry);
    return entry;
}

struct kv_entry *kv_space_stretch(struct kv_space *space, struct kv_node **at, size_t size)
{
    struct kv_entry *entry = kv_entry_of(*at);

    if (size > entry->value_room) {
        size_t ahead = size < GROWTH_MAX ? size : GROWTH_MAX;
        uint32_t room = room_for(entry->node.key_size, size + ahead);

        entry = kv_resize(entry, entry_bytes(entry), sizeof *entry + entry->node.key_size + room);
        if (entry == NULL)
            return NULL;
        entry->value_room = room;
        *at = &entry->node;
    }
    entry->value_size = (uint32_t)size;
    touch_entry(space, entry);
    return entry;
}

void kv_space_expire(struct kv_space *space, struct kv_entry *entry, int64_t expires)
{
    space->expiring += (size_t)(expires != 0) - (size_t)(entry->expires != 0);
    entry->expires = expires;
    touch_entry(space, entry);
}

void kv_space_remove(struct kv_space *space, struct kv_node **at)
{
    struct kv_entry *entry = kv_entry_of(*at);

    kv_table_remove(&space->keys, at);
    drop(space, entry);
}

struct showing {
    struct kv_space *space;
    struct kv_clock *clock;
    kv_space_show *show; /* NULL: only remove what has expired */
    void *arg;
    struct kv_swept swept;
};

static bool show_one(struct kv_node *node, void *arg)
{
    struct showing *showing = arg;
    struct kv_entry *entry = kv_entry_of(node);

    showing->swept.expiring += entry->expires != 0;
    if (has_expired(entry, showing->clock)) {
        showing->swept.expired++;
        drop_expired(showing->space, entry);
        return true;
    }
    if (showing->show != NULL)
        showing->show(entry, showing->arg);
    return false;
}

bool kv_space_scan(struct kv_space *space, uint32_t *position, struct kv_clock *clock,
                   kv_space_show *show, void *arg)
{
    struct showing showing = {space, clock, show, arg, {0, 0}};

    return kv_table_scan(&space->keys, position, show_one, &showing);
}

void kv_space_each(struct kv_space *space, struct kv_clock *clock, kv_space_show *show, void *arg)
{
    struct showing showing = {space, clock, show, arg, {0, 0}};

    kv_table_each(&space->keys, show_one, &showing);
}

struct kv_swept kv_space_sweep(struct kv_space *space, unsigned buckets, struct kv_clock *clock)
{
    struct showing showing = {space, clock, NULL, NULL, {0, 0}};

    while (buckets-- > 0 && space->expiring > 0)
        (void)kv_table_scan(&space->keys, &space->sweep_at, show_one, &showing);
    return showing.swept;
}

struct kv_table kv_space_flush(struct kv_space *space)
{
    struct kv_table keys = space->keys;

    for (uint32_t bucket = 0; bucket < space->watches.buckets; bucket++) {
        for (struct kv_node *node = *kv_table_bucket(&space->watches, bucket); node != NULL;
             node = node->next) {
            struct kv_watch *watch = (struct kv_watch *)node;

            if (*kv_table_find(&keys, node->hash, watch->key, node->key_size) != NULL)
                watch->version++;
        }
    }
    space->keys = (struct kv_table){0};
    space->expiring = 0;
    return keys;
}

static bool free_entry(struct kv_node *node, void *arg)
{
    struct kv_entry *entry = kv_entry_of(node);

    (void)arg;
    kv_free(entry, entry_bytes(entry));
    return true;
}

void kv_space_free(struct kv_table *keys)
{
    kv_table_clear(keys, free_entry, NULL);
}

bool kv_space_free_some(struct kv_table *keys, uint32_t buckets)
{
    return kv_table_clear_some(keys, buckets, free_entry, NULL);
}

static size_t watch_bytes(size_t key_size)
{
    return sizeof(struct kv_watch) + key_size;
}

struct kv_watch *kv_space_watch(struct kv_space *space, const struct kv_arg *key)
{
    struct kv_watch *watch = (struct kv_watch *)*kv_table_find(&space->watches, (uint32_t)key->hash,
                                                               key->data, key->size);

    if (watch != NULL) {
        watch->users++;
        return watch;
    }
    watch = kv_alloc(watch_bytes(key->size));
    if (watch == NULL)
        return NULL;
    watch->node.hash = (uint32_t)key->hash;
    watch->node.key_size = (uint32_t)key->size;
    watch->users = 1;
    watch->version = 0;
    memcpy(watch->key, key->data, key->size);
    if (!kv_table_add(&space->watches, &watch->node, offsetof(struct kv_watch, key))) {
        kv_free(watch, watch_bytes(key->size));
        return NULL;
    }
    return watch;
}

void kv_space_unwatch(struct kv_space *space, struct kv_watch *watch)
{
    if (--watch->users > 0)
        return;
    kv_table_remove(&space->watches, kv_table_find(&space->watches, watch->node.hash, watch->key,
                                                   watch->node.key_size));
    kv_free(watch, watch_bytes(watch->node.key_size));
}

static bool free_watch(struct kv_node *node, void *arg)
{
    (void)arg;
    kv_free(node, watch_bytes(node->key_size));
    return true;
}

/* The locks are their owners', who are gone: the table is empty. */
void kv_space_fini(struct kv_space *space)
{
    kv_space_free(&space->keys);
    kv_table_clear(&space->watches, free_watch, NULL);
    kv_table_clear(&space->locks, NULL, NULL);
}
