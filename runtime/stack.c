/* SPDX-License-Identifier: MIT */
/* Promises of stacks, and the depots that idle ones lie in.  See stack.h; the memory is slab.c's.
 *
 * One depot per class, under a small guard.  Its idle stacks are an array of pointers, so that a
 * stack need not be touched to lie there:
 *
 *     idle:  0 .. cold .. count      below cold: the head is not valid (never used, or trimmed);
 *                                    above: used stacks with their heads, the last one the warmest
 *
 * Invariants, per depot, under its guard.
 * - promised <= mapped <= most.  carved <= mapped, and count <= carved: the array never is full.
 * - Each carved slot is in exactly one place: idle, a worker's cache, a task, or the hands of who
 *   is just carving or trimming it (then it is in no list, and nobody else can take it).
 *
 * Trimming drops all pages of a stack, its head too; the head is built anew when the stack is
 * taken. */
#include "runtime/slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/check.h"
#include "runtime/fiber.h"
#include "runtime/os/os.h"
#include "runtime/record.h"

#define GUARD UINT64_C(1) /* of the guard words */

enum {
    DEFAULT_BYTES = 64 * 1024,
    SLAB_SLOTS_MIN = 8,
#ifdef LW_TINY
    CARVE = 3,
    MOVE = 4, /* stacks that go from the depot to a cache in one go */
    RUN = 5,  /* stacks that a trim takes out of the depot in one go */
#else
    CARVE = 32,
    MOVE = LW_STACK_CACHE_MAX / 2,
    RUN = 64,
#endif
#ifdef LW_ASAN
    /* LeakSanitizer looks at all stacks, and believes what ended tasks left there. */
    LEAVINGS_HIDE_LEAKS = 1,
#else
    LEAVINGS_HIDE_LEAKS = 0,
#endif
#if defined(LW_ASAN) || defined(LW_TSAN)
    /* Frames have redzones and shadow, and a report is written on the stack of who caused it. */
    EXTRA_CLASSES = 2,
#else
    EXTRA_CLASSES = 0,
#endif
};

#ifdef LW_TINY
#define SLAB_BYTES_MIN ((size_t)1 << 19)
#else
#define SLAB_BYTES_MIN ((size_t)64 << 20)
#endif
#define SLAB_BYTES_MAX ((size_t)64 << 30)
#define CLASS_BYTES_MAX ((size_t)1 << 45)
#ifdef LW_SIMULATED
#define CLASS_SLOTS_MAX ((size_t)1 << 14) /* each schedule begins with zeros in all of idle[] */
#else
#define CLASS_SLOTS_MAX ((size_t)LW_SLOTS_MAX)
#endif

struct depot {
    uint64_t guard;
    size_t promised, mapped, carved;
    struct lw_slab *first, *last, *carving; /* carving: the first one that may have slots left */
    struct lw_stack_head **idle;
    size_t count, cold;
} __attribute__((aligned(64)));

static struct depot depots[LW_STACK_CLASSES];

static uint64_t growing; /* guard over mapping a slab */

/* How many stacks a class may ever have: the size of `idle`. */
static size_t most_of(unsigned class)
{
    size_t most = CLASS_BYTES_MAX / lw_slab_stride(class);
    return most < CLASS_SLOTS_MAX ? most : CLASS_SLOTS_MAX;
}

int lw_stack_class(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned class = 0;

    if (bytes == 0)
        bytes = DEFAULT_BYTES;
    if (bytes < page)
        bytes = page;
    while (class < LW_STACK_CLASSES && lw_stack_bytes(class) < bytes)
        class++;
    if (class == LW_STACK_CLASSES)
        return -EINVAL;
    class += EXTRA_CLASSES;
    return (int)(class < LW_STACK_CLASSES ? class : LW_STACK_CLASSES - 1);
}

/* ---- growing */

/* The array of idle stacks, reserved once and for all: no push onto it can fail.  Under growing,
 * not under the guard: nobody has a stack to put there before depot_grow() has taken it. */
static int idle_reserve(struct depot *depot, unsigned class)
{
    size_t bytes = most_of(class) * sizeof(struct lw_stack_head *);
    void *idle;

    if (depot->idle != NULL)
        return 0;
    idle = lw_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (idle == MAP_FAILED)
        return -ENOMEM;
    (void)lw_sys.madvise(idle, bytes, MADV_NOHUGEPAGE);
    depot->idle = idle;
    return 0;
}

/* Add a slab of at least `least` slots to the class: as many as it has, so that slabs stay few.
 * Under growing. */
static int depot_grow(struct depot *depot, unsigned class, size_t least)
{
    size_t most = most_of(class) - depot->mapped;
    size_t stride = lw_slab_stride(class), slots = depot->mapped;
    struct lw_slab *slab;

    if (slots > SLAB_BYTES_MAX / stride)
        slots = SLAB_BYTES_MAX / stride;
    if (slots < SLAB_BYTES_MIN / stride)
        slots = SLAB_BYTES_MIN / stride;
    if (slots < SLAB_SLOTS_MIN)
        slots = SLAB_SLOTS_MIN;
    if (slots > most)
        slots = most;
    slab = least <= most ? lw_slab_map(class, depot->mapped, slots, least) : NULL;
    if (slab == NULL)
        return -ENOMEM;

    lw_guard_take(&depot->guard, GUARD);
    if (depot->last != NULL)
        depot->last->next = slab;
    else
        depot->first = slab;
    depot->last = slab;
    if (depot->carving == NULL)
        depot->carving = slab;
    depot->mapped += slab->slots;
    lw_guard_drop(&depot->guard, GUARD);
    return 0;
}

/* `mapped` is what the caller saw when it found too little: nothing to do if there is more by now.
 * This guard is held over system calls, some twenty times in the life of a process; whoever waits
 * for it would have to make them otherwise. */
static int depot_map(struct depot *depot, unsigned class, size_t mapped, size_t least)
{
    int err = 0;

    lw_guard_take(&growing, GUARD);
    if (depot->mapped == mapped) {
        err = idle_reserve(depot, class);
        if (err == 0)
            err = depot_grow(depot, class, least);
    }
    lw_guard_drop(&growing, GUARD);
    return err;
}

/* ---- promises */

static bool promise(struct depot *depot, unsigned class, size_t count)
{
    for (;;) {
        size_t mapped, missing;

        lw_guard_take(&depot->guard, GUARD);
        mapped = depot->mapped;
        missing = depot->promised + count > mapped ? depot->promised + count - mapped : 0;
        if (missing == 0)
            depot->promised += count;
        lw_guard_drop(&depot->guard, GUARD);
        if (missing == 0)
            return true;
        if (depot_map(depot, class, mapped, missing) < 0)
            return false;
    }
}

/* How many promises a worker takes at once: of large stacks not all of a slab. */
static uint32_t promise_batch(unsigned class)
{
    size_t slots = SLAB_BYTES_MIN / lw_slab_stride(class) / 2;

    if (slots > LW_STACK_PROMISES)
        slots = LW_STACK_PROMISES;
    return slots > 0 ? (uint32_t)slots : 1;
}

int lw_stack_promise_slow(struct lw_stack_cache *cache, unsigned class)
{
    struct depot *depot = &depots[class];
    uint32_t batch = promise_batch(class);

    if (cache != NULL && promise(depot, class, batch)) {
        cache->promises[class] += batch - 1;
        return 0;
    }
    return promise(depot, class, 1) ? 0 : -ENOMEM;
}

static void unpromise(struct depot *depot, size_t count)
{
    lw_guard_take(&depot->guard, GUARD);
    lw_check(depot->promised >= count);
    depot->promised -= count;
    lw_guard_drop(&depot->guard, GUARD);
}

void lw_stack_unpromise_slow(struct lw_stack_cache *cache, unsigned class)
{
    if (cache == NULL) {
        unpromise(&depots[class], 1);
    } else {
        unpromise(&depots[class], LW_STACK_PROMISES);
        cache->promises[class] -= LW_STACK_PROMISES - 1;
    }
}

/* ---- carving */

/* A stack that nobody has used since it was carved or trimmed. */
static struct lw_stack_head *head_revive(struct depot *depot, struct lw_stack_head *head)
{
    const struct lw_slab *slab = depot->first;
    size_t index;

    /* No guard: a slab's link is set before a stack of the next one exists. */
    while ((index = lw_slab_index(slab, head)) == slab->slots)
        slab = slab->next;
    memset(head, 0, sizeof *head);
    head->slot = slab->first + index;
    return head;
}

/* Idle stacks whose heads are not valid go below the warm ones.  Under the guard. */
static void push_cold(struct depot *depot, struct lw_stack_head *head)
{
    depot->idle[depot->count] = depot->idle[depot->cold]; /* with no warm one: itself */
    depot->idle[depot->cold] = head;
    depot->count++;
    depot->cold++;
}

/* New stacks: one for the caller, the others for the depot.  NULL: all of the slabs is carved. */
static struct lw_stack_head *carve(struct depot *depot, size_t *mapped)
{
    struct lw_slab *slab;
    size_t index = 0, count = 0;

    lw_guard_take(&depot->guard, GUARD);
    while ((slab = depot->carving) != NULL) {
        index = slab->carved;
        count = slab->slots - index < CARVE ? slab->slots - index : CARVE;
        if (count > 0)
            break;
        depot->carving = slab->next;
    }
    if (slab != NULL)
        slab->carved += count;
    *mapped = depot->mapped;
    lw_guard_drop(&depot->guard, GUARD);
    if (slab == NULL)
        return NULL;

    lw_slab_carve(slab, index, count);
    lw_guard_take(&depot->guard, GUARD);
    for (size_t i = count - 1; i > 0; i--)
        push_cold(depot, lw_slab_head(slab, index + i));
    depot->carved += count;
    lw_guard_drop(&depot->guard, GUARD);
    return head_revive(depot, lw_slab_head(slab, index));
}

/* ---- idle stacks */

struct lw_stack_head *lw_stack_take_slow(struct lw_stack_cache *cache, unsigned class)
{
    struct depot *depot = &depots[class];
    struct lw_stack_head *taken[MOVE], *head;
    size_t mapped, count = 0;

    do {
        bool cold;

        lw_guard_take(&depot->guard, GUARD);
        cold = depot->count == depot->cold;
        while (depot->count > depot->cold && count < MOVE)
            taken[count++] = depot->idle[--depot->count];
        if (cold && depot->count > 0) {
            taken[count++] = depot->idle[--depot->count];
            depot->cold--;
        }
        lw_guard_drop(&depot->guard, GUARD);
        if (cold && count > 0)
            return head_revive(depot, taken[0]);
        while (count > 1) /* the warmest comes first */
            lw_stack_give(cache, class, taken[--count]);
        if (count > 0)
            return taken[0];
        head = carve(depot, &mapped);
        /* All are out: with a worker that has none to run, or used up.  Address space is cheap. */
    } while (head == NULL && depot_map(depot, class, mapped, 1) == 0);
    return head;
}

/* Drop the pages of stacks that are in nobody's hands but the caller's; neighbours in one call. */
static void drop_pages(struct lw_stack_head **heads, size_t count, unsigned class)
{
    size_t stride = lw_slab_stride(class), i, j;

    for (i = 0; i < count; i++) {
        lw_fiber_free(heads[i]->fiber);
        for (j = i; j > 0 && (uintptr_t)heads[j - 1] > (uintptr_t)heads[j]; j--) {
            struct lw_stack_head *other = heads[j];

            heads[j] = heads[j - 1];
            heads[j - 1] = other;
        }
    }
    for (i = 0; i < count; i = j) {
        j = i + 1;
        while (j < count && (uintptr_t)heads[j] - (uintptr_t)heads[j - 1] == stride)
            j++;
        (void)lw_sys.madvise(lw_stack_bottom(heads[i], class),
                             (j - i) * stride - LW_STACK_GUARD_BYTES, MADV_DONTNEED);
    }
}

/* Nobody stands on the stacks of this chain. */
static void give_chain(struct depot *depot, unsigned class, struct lw_stack_head *chain)
{
    while (chain != NULL) {
        struct lw_stack_head *batch[MOVE];
        size_t count = 0;

        for (; chain != NULL && count < MOVE; chain = chain->next)
            batch[count++] = chain;
        if (LEAVINGS_HIDE_LEAKS)
            drop_pages(batch, count, class);
        lw_guard_take(&depot->guard, GUARD);
        while (count > 0) {
            if (LEAVINGS_HIDE_LEAKS)
                push_cold(depot, batch[--count]);
            else
                depot->idle[depot->count++] = batch[--count];
        }
        lw_guard_drop(&depot->guard, GUARD);
    }
}

void lw_stack_spill(struct lw_stack_cache *cache, unsigned class)
{
    struct lw_stack_head *keep = cache->head[class], *chain;

    for (unsigned i = 1; i < LW_STACK_CACHE_MAX / 2; i++)
        keep = keep->next;
    chain = keep->next;
    keep->next = NULL;
    cache->count[class] = LW_STACK_CACHE_MAX / 2;
    give_chain(&depots[class], class, chain);
}

void lw_stack_drain(struct lw_stack_cache *cache)
{
    for (unsigned class = 0; class < LW_STACK_CLASSES; class++) {
        struct lw_stack_head *chain = cache->head[class];
        uint32_t promises = cache->promises[class];

        cache->head[class] = NULL;
        cache->count[class] = 0;
        cache->promises[class] = 0;
        give_chain(&depots[class], class, chain);
        if (promises > 0)
            unpromise(&depots[class], promises);
    }
}

/* ---- trimming */

/* At most `most` stacks; how many it was. */
static size_t depot_trim(struct depot *depot, unsigned class, size_t most)
{
    struct lw_stack_head *heads[RUN];
    size_t trimmed = 0, count;

    do {
        lw_guard_take(&depot->guard, GUARD);
        for (count = 0; count < RUN && trimmed + count < most && depot->count > depot->cold;
             count++)
            heads[count] = depot->idle[--depot->count];
        lw_guard_drop(&depot->guard, GUARD);
        drop_pages(heads, count, class);
        lw_guard_take(&depot->guard, GUARD);
        for (size_t i = 0; i < count; i++)
            push_cold(depot, heads[i]);
        lw_guard_drop(&depot->guard, GUARD);
        trimmed += count;
    } while (count == RUN);
    return trimmed;
}

size_t lw_stack_trim(size_t most)
{
    size_t trimmed = 0;

    for (unsigned class = 0; class < LW_STACK_CLASSES && trimmed < most; class++)
        trimmed += depot_trim(&depots[class], class, most - trimmed);
    return trimmed;
}

void lw_stack_counts(size_t *carved, size_t *idle)
{
    *carved = *idle = 0;
    for (unsigned class = 0; class < LW_STACK_CLASSES; class++) {
        lw_guard_take(&depots[class].guard, GUARD);
        *carved += depots[class].carved;
        *idle += depots[class].count;
        lw_guard_drop(&depots[class].guard, GUARD);
    }
}

size_t lw_stack_promises(void)
{
    size_t promised = 0;

    for (unsigned class = 0; class < LW_STACK_CLASSES; class++) {
        lw_guard_take(&depots[class].guard, GUARD);
        promised += depots[class].promised;
        lw_guard_drop(&depots[class].guard, GUARD);
    }
    return promised;
}
