/* SPDX-License-Identifier: MIT */
/* Stacks: slots of large mappings, with guard gaps that need no VMA each.
 *
 * A class is a size: class c has 16 KiB << c usable bytes.  A stack slot is guard (64 KiB, below)
 * and usable bytes (above); slabs of slots are mapped NORESERVE | NOHUGEPAGE and grow on demand.
 *
 *     unmapped -> slab -> depot -> a worker's cache (LIFO) -> bound to a task at its first run
 *
 * A spawn does not take a stack but a promise: promised <= mapped at all times, so a task that was
 * spawned finds a stack unless all of them are in other workers' caches; see lw_stack_take(). */
#ifndef LW_RUNTIME_STACK_H
#define LW_RUNTIME_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/atomic.h"

/* Below each stack; free in this size, and no probed frame of any CPU steps over it. */
#define LW_STACK_GUARD_BYTES ((size_t)65536)

enum { LW_STACK_CLASSES = 16, LW_STACK_CACHE_MAX = 64, LW_STACK_PROMISES = 256 };

/* At the very top of each stack slot: `top` points here, the first frame lies below. */
struct lw_stack_head {
    struct lw_stack_head *next; /* in a cache or the depot */
    void *fiber;                /* sanitizers: the context of who runs on it; kept with the stack */
    void *fake;                 /* sanitizers: ASan's fake stack while it is left */
    uint64_t slot;              /* number of the stack: colours the first frame */
    uint64_t spare[4];
};
_Static_assert(sizeof(struct lw_stack_head) == 64, "keeps the frames below aligned");

struct lw_stack_cache {
    struct lw_stack_head *head[LW_STACK_CLASSES];
    uint32_t count[LW_STACK_CLASSES];
    uint32_t promises[LW_STACK_CLASSES]; /* taken from the process, not handed out */
};

/* The class whose usable size is at least `bytes` (0: 64 KiB); -EINVAL when none is. */
int lw_stack_class(size_t bytes);

LW_INLINE size_t lw_stack_bytes(unsigned class)
{
    return (size_t)16384 << class;
}

LW_INLINE char *lw_stack_bottom(const struct lw_stack_head *head, unsigned class)
{
    return (char *)(uintptr_t)(head + 1) - lw_stack_bytes(class);
}

/* Take one promise: 0, or -ENOMEM when the system gives no more address space.  cache NULL: a
 * guest. */
int lw_stack_promise_slow(struct lw_stack_cache *cache, unsigned class);
void lw_stack_unpromise_slow(struct lw_stack_cache *cache, unsigned class);

LW_INLINE int lw_stack_promise(struct lw_stack_cache *cache, unsigned class)
{
    if (lw_unlikely(cache == NULL || cache->promises[class] == 0))
        return lw_stack_promise_slow(cache, class);
    cache->promises[class]--;
    return 0;
}

LW_INLINE void lw_stack_unpromise(struct lw_stack_cache *cache, unsigned class)
{
    if (lw_unlikely(cache == NULL || cache->promises[class] >= 2 * LW_STACK_PROMISES))
        lw_stack_unpromise_slow(cache, class);
    else
        cache->promises[class]++;
}

/* A stack of the class; NULL: none just now (the promised one is in another worker's cache, or
 * guards could not be had): the caller runs something else and tries again. */
struct lw_stack_head *lw_stack_take_slow(struct lw_stack_cache *cache, unsigned class);
void lw_stack_spill(struct lw_stack_cache *cache, unsigned class);

LW_INLINE struct lw_stack_head *lw_stack_take(struct lw_stack_cache *cache, unsigned class)
{
    struct lw_stack_head *head = cache->head[class];

    if (lw_unlikely(head == NULL))
        return lw_stack_take_slow(cache, class);
    cache->head[class] = head->next;
    cache->count[class]--;
    return head;
}

/* The caller may still stand on it: only this thread pops from its cache, and a spill gives the
 * oldest ones of the cache to the depot, never the newest. */
LW_INLINE void lw_stack_give(struct lw_stack_cache *cache, unsigned class,
                             struct lw_stack_head *head)
{
    head->next = cache->head[class];
    cache->head[class] = head;
    if (lw_unlikely(++cache->count[class] > LW_STACK_CACHE_MAX))
        lw_stack_spill(cache, class);
}

/* All of a cache to the depot, promises to the process. */
void lw_stack_drain(struct lw_stack_cache *cache);

/* Give the memory of at most so many stacks in the depot back to the system; how many it was, less
 * than `most` when none is left. */
size_t lw_stack_trim(size_t most);

/* The stack slot that an address lies in.  Async-signal-safe. */
struct lw_stack_place {
    char *bottom, *top; /* of the usable part; what lies below bottom is the guard */
    unsigned class;
};
bool lw_stack_find(const void *address, struct lw_stack_place *place);

/* Slots ever carved out of slabs, and stacks now in the depot: for tests and reports. */
void lw_stack_counts(size_t *carved, size_t *idle);

/* Promises that are out: with tasks, or in the caches of workers. */
size_t lw_stack_promises(void);

/* Install the overflow report: a SIGSEGV handler on signal stacks that names the task whose stack
 * overflowed and then lets the program die as it would have; other faults go to the handler that
 * was there before.  Idempotent.  The calling thread gets its signal stack by
 * lw_overflow_thread_enter(). */
int lw_overflow_init(void);
int lw_overflow_thread_enter(void **altstack); /* -ENOMEM */
void lw_overflow_thread_leave(void *altstack);

#endif
