/* SPDX-License-Identifier: MIT */
/* The counts are relaxed atomics: nothing is published through them, a sum is all they are.  A
 * command that overwrites a value in place touches neither. */
#include "latchkv/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BLOCK_COST = 16 }; /* what malloc spends beside the block: a header, and rounding up */

static _Atomic(size_t) used;
static _Atomic(size_t) peak;
static _Atomic(long) countdown = -1;
static atomic_bool fail_once, failed;

static bool refused(void)
{
    long left = atomic_load_explicit(&countdown, memory_order_relaxed);

    if (left < 0)
        return false;
    if (left > 0) {
        atomic_store_explicit(&countdown, left - 1, memory_order_relaxed);
        return false;
    }
    atomic_store_explicit(&failed, true, memory_order_relaxed);
    if (atomic_load_explicit(&fail_once, memory_order_relaxed))
        atomic_store_explicit(&countdown, -1, memory_order_relaxed);
    return true;
}

static void count(size_t more, size_t less)
{
    size_t now = atomic_fetch_add_explicit(&used, more - less, memory_order_relaxed) + more - less;
    size_t most = atomic_load_explicit(&peak, memory_order_relaxed);

    while (now > most && more > less &&
           !atomic_compare_exchange_weak_explicit(&peak, &most, now, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue; /* most was reloaded */
}

void *kv_alloc(size_t size)
{
    void *block = refused() ? NULL : malloc(size);

    if (block != NULL)
        count(size + BLOCK_COST, 0);
    return block;
}

void *kv_alloc_clear(size_t size)
{
    void *block = refused() ? NULL : calloc(1, size);

    if (block != NULL)
        count(size + BLOCK_COST, 0);
    return block;
}

void *kv_resize(void *block, size_t size_old, size_t size_new)
{
    if (block == NULL)
        return kv_alloc(size_new);
    void *moved = refused() ? NULL : realloc(block, size_new);

    if (moved != NULL)
        count(size_new, size_old);
    return moved;
}

void kv_free(void *block, size_t size)
{
    if (block == NULL)
        return;
    free(block);
    count(0, size + BLOCK_COST);
}

size_t kv_memory_used(void)
{
    return atomic_load_explicit(&used, memory_order_relaxed);
}

size_t kv_memory_peak(void)
{
    return atomic_load_explicit(&peak, memory_order_relaxed);
}

void kv_memory_fail(long after, bool once)
{
    atomic_store_explicit(&failed, false, memory_order_relaxed);
    atomic_store_explicit(&fail_once, once, memory_order_relaxed);
    atomic_store_explicit(&countdown, after, memory_order_relaxed);
}

bool kv_memory_failed(void)
{
    return atomic_load_explicit(&failed, memory_order_relaxed);
}
