/* SPDX-License-Identifier: MIT */
/* The rare parts of the list of holds: the fourth and later ones, and releases out of order.  See
 * hold.h.
 *
 *     cold->holds_more -> chunk -> chunk        15 entries each
 *
 * Chunks come from a depot and go back to it when the task is down to the holds in its record.
 * They are cut out of slabs that are never unmapped: a detector that follows a stale pointer reads
 * an old hold, never something else.
 *
 * [D1] a chunk from one task to the next: guard of the depot, drop release -> take acquire. */
#include "primitives/hold.h"

#include <sys/mman.h>

#include "runtime/os/os.h"

enum { CHUNK_HOLDS = 15, SLAB_CHUNKS = 64, DEPOT_GUARD = 1, LOST_MAX = UINT16_MAX };

struct chunk {
    struct chunk *more;
    uint64_t spare;
    struct lw_hold held[CHUNK_HOLDS];
};

_Static_assert(sizeof(struct chunk) == 256, "a slab is cut without a rest");

static struct {
    uint64_t word;
    struct chunk *free;
} depot;

static void depot_give(struct chunk *first, struct chunk *last)
{
    (void)lw_guard_take(&depot.word, DEPOT_GUARD); /* [D1] */
    lw_store_rlx(&last->more, depot.free);
    depot.free = first;
    lw_store_rel(&depot.word, 0); /* [D1] */
}

/* A new slab: all of it but the first chunk to the depot; that chunk, or NULL. */
static struct chunk *slab_new(void)
{
    struct chunk *slab = lw_sys.mmap(NULL, SLAB_CHUNKS * sizeof *slab, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (slab == MAP_FAILED)
        return NULL;
    for (int i = 1; i < SLAB_CHUNKS - 1; i++)
        lw_store_rlx(&slab[i].more, &slab[i + 1]);
    depot_give(&slab[1], &slab[SLAB_CHUNKS - 1]);
    return slab;
}

static struct chunk *depot_take(void)
{
    struct chunk *chunk;

    (void)lw_guard_take(&depot.word, DEPOT_GUARD); /* [D1] */
    chunk = depot.free;
    if (chunk != NULL)
        depot.free = lw_load_rlx(&chunk->more);
    lw_store_rel(&depot.word, 0); /* [D1] */
    if (chunk == NULL)
        chunk = slab_new();
    if (chunk != NULL)
        lw_store_rlx(&chunk->more, NULL);
    return chunk;
}

/* Give all chunks back: what is held fits into the record. */
static void chunks_give(struct lw_cold *cold)
{
    struct chunk *first = lw_load_rlx(&cold->holds_more), *last = first;

    if (first == NULL)
        return;
    lw_store_rlx(&cold->holds_more, NULL);
    while (lw_load_rlx(&last->more) != NULL)
        last = lw_load_rlx(&last->more);
    depot_give(first, last);
}

/* The chunk with that number, made if it is the next one; NULL: no memory. */
static struct chunk *chunk_at(struct lw_cold *cold, uint32_t number)
{
    struct chunk *chunk = lw_load_rlx(&cold->holds_more);

    if (chunk == NULL) {
        chunk = depot_take();
        lw_store_rlx(&cold->holds_more, chunk);
    }
    while (chunk != NULL && number-- > 0) {
        struct chunk *more = lw_load_rlx(&chunk->more);

        if (more == NULL) {
            more = depot_take();
            lw_store_rlx(&chunk->more, more);
        }
        chunk = more;
    }
    return chunk;
}

struct lw_hold *lw_hold_at(struct lw_cold *cold, uint32_t index)
{
    struct chunk *chunk;

    lw_debug_check(index < lw_load_rlx(&cold->nheld));
    if (index < LW_HOLDS_INLINE)
        return &cold->held[index];
    index -= LW_HOLDS_INLINE;
    chunk = chunk_at(cold, index / CHUNK_HOLDS);
    return &chunk->held[index % CHUNK_HOLDS];
}

int lw_hold_push_more(struct lw_cold *cold, const lw_lock *lock, const void *site)
{
    uint32_t count = lw_load_rlx(&cold->nheld), index = count - LW_HOLDS_INLINE;
    struct chunk *chunk = chunk_at(cold, index / CHUNK_HOLDS);

    if (chunk == NULL) {
        uint16_t lost = lw_load_rlx(&cold->holds_lost);

        lw_check(lost != LOST_MAX);
        lw_store_rlx(&cold->holds_lost, (uint16_t)(lost + 1));
        return 0;
    }
    lw_hold_fill(&chunk->held[index % CHUNK_HOLDS], lock, site);
    lw_store_rlx(&cold->nheld, count + 1);
    return 0;
}

static void shift_down(struct lw_cold *cold, uint32_t index, uint32_t count)
{
    for (; index + 1 < count; index++) {
        struct lw_hold *to = lw_hold_at(cold, index), *from = lw_hold_at(cold, index + 1);

        lw_store_rlx(&to->lock, lw_load_rlx(&from->lock));
        lw_store_rlx(&to->site, lw_load_rlx(&from->site));
    }
}

bool lw_hold_remove(struct lw_cold *cold, const lw_lock *lock)
{
    uint32_t count = lw_load_rlx(&cold->nheld);
    uint16_t lost = lw_load_rlx(&cold->holds_lost);

    for (uint32_t index = count; index-- > 0;) {
        if (lw_hold_lock(lw_hold_at(cold, index)) != lock)
            continue;
        shift_down(cold, index, count);
        lw_store_rlx(&cold->nheld, count - 1);
        if (count - 1 <= LW_HOLDS_INLINE)
            chunks_give(cold);
        return true;
    }
    if (lost == 0)
        return false;
    lw_store_rlx(&cold->holds_lost, (uint16_t)(lost - 1));
    return true;
}
