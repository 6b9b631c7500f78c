/* SPDX-License-Identifier: MIT */
#include "latchkv/store.h"

#include "latchkv/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void draw_seed(struct kv_hash_seed *seed)
{
    if (getrandom(seed, sizeof *seed, 0) != (ssize_t)sizeof *seed) {
        seed->low = (uint64_t)kv_clock_read_us(); /* a machine too old to have entropy */
        seed->high = (uint64_t)(uintptr_t)seed;
    }
}

int kv_store_init(struct kv_store *store, unsigned databases)
{
    memset(store, 0, sizeof *store);
    store->databases = databases;
    draw_seed(&store->seed);
    for (unsigned i = 0; i < KV_SHARDS; i++) {
        struct kv_shard *shard = &store->shards[i];

        shard->mutex.lock.name = "shard";
        shard->spaces = kv_alloc_clear(databases * sizeof *shard->spaces);
        if (shard->spaces == NULL)
            return -ENOMEM;
    }
    return 0;
}

static struct kv_trash *take_trash(struct kv_store *store)
{
    return atomic_exchange_explicit(&store->trash, NULL, memory_order_acquire);
}

void kv_store_fini(struct kv_store *store)
{
    for (unsigned i = 0; i < KV_SHARDS; i++) {
        struct kv_shard *shard = &store->shards[i];

        for (unsigned database = 0; shard->spaces != NULL && database < store->databases;
             database++)
            kv_space_fini(&shard->spaces[database]);
        kv_free(shard->spaces, store->databases * sizeof *shard->spaces);
        shard->spaces = NULL;
    }
    for (struct kv_trash *bag = take_trash(store), *next; bag != NULL; bag = next) {
        next = bag->next;
        kv_space_free(&bag->keys);
        kv_free(bag, sizeof *bag);
    }
}

int kv_store_lock(struct kv_store *store, kv_shards shards)
{
    for (kv_shards left = shards; left != 0; left &= left - 1) {
        int err = lw_mutex_acquire(&store->shards[__builtin_ctzll(left)].mutex, LW_FOREVER);

        if (err < 0) {
            kv_store_unlock(store, shards & ~left);
            return err;
        }
    }
    return 0;
}

void kv_store_lock_always(struct kv_store *store, kv_shards shards)
{
    int err = 0;

    LW_SHIELD()
        err = kv_store_lock(store, shards);
    if (err < 0) {
        fprintf(stderr, "latchkv: a shielded lock of the store failed: %s\n", strerror(-err));
        abort();
    }
}

void kv_store_unlock(struct kv_store *store, kv_shards shards)
{
    while (shards != 0) { /* the last taken first: the hold list is a stack */
        unsigned last = 63 - (unsigned)__builtin_clzll(shards);

        lw_mutex_release(&store->shards[last].mutex);
        shards &= ~(UINT64_C(1) << last);
    }
}

void kv_store_flush(struct kv_store *store, unsigned database, struct kv_trash **trash)
{
    for (unsigned i = 0; i < KV_SHARDS; i++) {
        struct kv_table keys = kv_space_flush(&store->shards[i].spaces[database]);
        struct kv_trash *bag = keys.buckets != 0 ? kv_alloc(sizeof *bag) : NULL;

        if (bag == NULL) {
            kv_space_free(&keys);
            continue;
        }
        *bag = (struct kv_trash){.next = *trash, .keys = keys};
        *trash = bag;
    }
}

int kv_trash_empty(struct kv_store *store, struct kv_trash **trash)
{
    enum { SLICE = 2048 }; /* buckets, about as many keys: a fraction of a millisecond */

    for (struct kv_trash *bag; (bag = *trash) != NULL;) {
        int err = lw_checkpoint();

        if (err < 0) {
            kv_trash_leave(store, trash);
            return err;
        }
        if (kv_space_free_some(&bag->keys, SLICE)) {
            *trash = bag->next;
            kv_free(bag, sizeof *bag);
        }
        lw_yield();
    }
    return 0;
}

void kv_trash_leave(struct kv_store *store, struct kv_trash **trash)
{
    struct kv_trash *first = *trash, *last = first;
    struct kv_trash *below = atomic_load_explicit(&store->trash, memory_order_relaxed);

    if (first == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    do
        last->next = below;
    while (!atomic_compare_exchange_weak_explicit(&store->trash, &below, first,
                                                  memory_order_release, memory_order_relaxed));
    *trash = NULL;
}

int kv_trash_run(void *arg)
{
    struct kv_store *store = arg;
    struct kv_trash *trash = take_trash(store);

    return kv_trash_empty(store, &trash);
}

struct kv_totals kv_store_totals(const struct kv_store *store, unsigned database)
{
    struct kv_totals totals = {0};

    for (unsigned i = 0; i < KV_SHARDS; i++) {
        const struct kv_space *space = &store->shards[i].spaces[database];

        totals.keys += space->keys.count;
        totals.expiring += space->expiring;
        totals.hits += space->hits;
        totals.misses += space->misses;
        totals.expired += space->expired;
    }
    return totals;
}
