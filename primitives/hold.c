/* SPDX-License-Identifier: MIT */
/* The rare parts of the list of holds: the fourth and later ones, and releases out of order.  See
 * hold.h.
 *
 *     cold->holds_more -> chunk <-> chunk        15 entries each
 *
 * A task may hold very many: taking one more, and releasing the newest, is O(1), releasing another
 * one walks to it from the newest.
 *
 * Chunks come from a depot and go back to it when the task is down to the holds in its record.
 * They are cut out of slabs that are never unmapped: a detector that follows a stale pointer reads
 * an old hold, never something else.
 *
 * [D1] a chunk from one task to the next: guard of the depot, drop release -> take acquire. */
#include "primitives/hold.h"

#include <errno.h>
#include <sys/mman.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"

enum {
    CHUNK_HOLDS = 15,
    SLAB_CHUNKS = 64,
    DEPOT_GUARD = 1,
    LOST_MAX = UINT16_MAX,
};

struct chunk {
    struct chunk *more;
    struct chunk *before; /* of the first: the one that has the newest hold */
    struct lw_hold held[CHUNK_HOLDS];
};

_Static_assert(sizeof(struct chunk) == 256, "a slab is cut without a rest");

static struct {
    uint64_t word;
    struct chunk *free;
} depot;

static void depot_drop(void)
{
    lw_debug_check(lw_load_rlx(&depot.word) == DEPOT_GUARD); /* nobody else had it */
    lw_store_rel(&depot.word, 0);                            /* [D1] */
}

static void depot_give(struct chunk *first, struct chunk *last)
{
    (void)lw_guard_take(&depot.word, DEPOT_GUARD); /* [D1] */
    lw_store_rlx(&last->more, depot.free);
    depot.free = first;
    depot_drop();
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
    depot_drop();
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

void *lw_hold_chunk_take(void)
{
    return depot_take();
}

void lw_hold_chunk_give(void *chunk)
{
    depot_give(chunk, chunk);
}

/* ---- places */

struct lw_hold *lw_hold_in(struct lw_cold *cold, struct lw_hold_place place)
{
    struct chunk *chunk = place.chunk;

    return chunk == NULL ? &cold->held[place.index] : &chunk->held[place.index];
}

struct lw_hold_place lw_hold_newest(struct lw_cold *cold)
{
    uint32_t last = lw_load_rlx(&cold->nheld) - 1;
    struct chunk *first = lw_load_rlx(&cold->holds_more);

    if (last < LW_HOLDS_INLINE)
        return (struct lw_hold_place){NULL, last};
    return (struct lw_hold_place){first->before, (last - LW_HOLDS_INLINE) % CHUNK_HOLDS};
}

struct lw_hold_place lw_hold_older(struct lw_cold *cold, struct lw_hold_place place)
{
    struct chunk *chunk = place.chunk;

    if (place.index > 0 || chunk == NULL)
        return (struct lw_hold_place){chunk, place.index - 1};
    if (chunk == lw_load_rlx(&cold->holds_more))
        return (struct lw_hold_place){NULL, LW_HOLDS_INLINE - 1};
    return (struct lw_hold_place){chunk->before, CHUNK_HOLDS - 1};
}

static struct lw_hold_place newer(struct lw_cold *cold, struct lw_hold_place place)
{
    struct chunk *chunk = place.chunk;

    if (place.index + 1 < (chunk == NULL ? (uint32_t)LW_HOLDS_INLINE : (uint32_t)CHUNK_HOLDS))
        return (struct lw_hold_place){chunk, place.index + 1};
    return (struct lw_hold_place){lw_load_rlx(chunk == NULL ? (struct chunk **)&cold->holds_more
                                                            : &chunk->more),
                                  0};
}

/* What it was handed, and has not made holds of (transfer.c). */
static bool look_at_given(struct lw_hold_look *look, struct lw_hold *hold)
{
    uint32_t index = look->done - lw_load_rlx(&look->cold->nheld);

    if (!lw_is_given(lw_cold_record(look->cold)) || !lw_given_look(look->cold, index, hold))
        return false;
    look->done++;
    return true;
}

/* Chunks are never unmapped, and a link leads to a chunk or nowhere, whoever has them now. */
bool lw_hold_look(struct lw_hold_look *look, struct lw_hold *hold)
{
    const struct chunk *chunk = look->chunk;
    uint32_t done = look->done;
    uint32_t index = done < LW_HOLDS_INLINE ? done : (done - LW_HOLDS_INLINE) % CHUNK_HOLDS;
    const struct lw_hold *from;

    if (done >= lw_load_rlx(&look->cold->nheld))
        return look_at_given(look, hold);
    if (done >= LW_HOLDS_INLINE && index == 0)
        chunk = lw_load_rlx(chunk == NULL ? (struct chunk *const *)&look->cold->holds_more
                                          : &chunk->more);
    if (done >= LW_HOLDS_INLINE && chunk == NULL)
        return false;
    from = chunk == NULL ? &look->cold->held[index] : &chunk->held[index];
    *hold = (struct lw_hold){lw_load_rlx(&from->lock), lw_load_rlx(&from->site)};
    look->chunk = chunk;
    look->done = done + 1;
    return true;
}

uint32_t lw_hold_copy(const struct lw_cold *cold, struct lw_hold *to, uint32_t max)
{
    struct lw_hold_look look = {.cold = cold};

    while (look.done < max && lw_hold_look(&look, &to[look.done]))
        continue;
    for (uint32_t i = look.done; i < max; i++)
        to[i] = (struct lw_hold){0};
    return look.done;
}

/* ---- one more, one less */

/* The chunk for the index-th entry beyond the record, which is the next one; NULL: no memory. */
static struct chunk *chunk_for(struct lw_cold *cold, uint32_t index)
{
    struct chunk *first = lw_load_rlx(&cold->holds_more), *chunk, *next;

    if (first == NULL) {
        first = depot_take();
        if (first != NULL)
            first->before = first;
        lw_store_rlx(&cold->holds_more, first);
        return first;
    }
    if (index == 0)
        return first->before = first;
    chunk = first->before;
    if (index % CHUNK_HOLDS != 0)
        return chunk;
    next = lw_load_rlx(&chunk->more); /* left over from when there were more */
    if (next == NULL) {
        next = depot_take();
        if (next == NULL)
            return NULL;
        lw_store_rlx(&chunk->more, next);
    }
    next->before = chunk;
    return first->before = next;
}

/* The next entry; NULL: no memory, and the hold is counted as lost. */
static struct lw_hold *next_entry(struct lw_cold *cold)
{
    uint32_t count = lw_load_rlx(&cold->nheld), index = count - LW_HOLDS_INLINE;
    uint16_t lost = lw_load_rlx(&cold->holds_lost);
    struct chunk *chunk;

    if (count < LW_HOLDS_INLINE)
        return &cold->held[count];
    chunk = chunk_for(cold, index);
    if (chunk != NULL)
        return &chunk->held[index % CHUNK_HOLDS];
    lw_check(lost != LOST_MAX);
    lw_store_rlx(&cold->holds_lost, (uint16_t)(lost + 1));
    return NULL;
}

static void push(struct lw_cold *cold, struct lw_hold hold)
{
    struct lw_hold *entry = next_entry(cold);

    if (entry == NULL)
        return;
    lw_hold_fill(entry, hold);
    lw_store_rlx(&cold->nheld, lw_load_rlx(&cold->nheld) + 1);
}

int lw_hold_push_more(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                      const void *site)
{
    push(cold, lw_hold_of(lock, mode, site, lw_load_rlx(&lw_coarse_ms)));
    return 0;
}

void lw_hold_push_waker(struct lw_cold *cold, const void *object, const void *site)
{
    uint64_t tick = (uint64_t)lw_load_rlx(&lw_coarse_ms) << LW_HOLD_TICK_SHIFT;

    push(cold, (struct lw_hold){(uint64_t)(uintptr_t)object | LW_HOLD_WAKER,
                                ((uint64_t)(uintptr_t)site & LW_HOLD_SITE_MASK) | tick});
}

static uint32_t entries_for(uint32_t units)
{
    return units / LW_HOLD_UNITS_MAX + (units % LW_HOLD_UNITS_MAX != 0);
}

int lw_hold_reserve_units(struct lw_cold *cold, uint32_t units)
{
    uint64_t entries = (uint64_t)lw_load_rlx(&cold->nheld) + entries_for(units);
    uint64_t room = LW_HOLDS_INLINE;
    struct chunk *last = lw_load_rlx(&cold->holds_more);

    for (struct chunk *chunk = last; chunk != NULL; chunk = lw_load_rlx(&chunk->more)) {
        last = chunk;
        room += CHUNK_HOLDS;
    }
    for (; room < entries; room += CHUNK_HOLDS) {
        struct chunk *chunk = depot_take();

        if (chunk == NULL) {
            lw_hold_unreserve(cold);
            return -ENOMEM;
        }
        if (last == NULL) {
            chunk->before = chunk;
            lw_store_rlx(&cold->holds_more, chunk);
        } else {
            lw_store_rlx(&last->more, chunk);
        }
        last = chunk;
    }
    return 0;
}

/* Those beyond the newest hold stay for the next ones, unless all fit into the record. */
void lw_hold_unreserve(struct lw_cold *cold)
{
    if (lw_load_rlx(&cold->nheld) <= LW_HOLDS_INLINE)
        chunks_give(cold);
}

bool lw_hold_push_given(struct lw_cold *cold, struct lw_hold hold)
{
    if (lw_hold_reserve_units(cold, 1) < 0)
        return false;
    push(cold, hold);
    return true;
}

void lw_hold_push_units(struct lw_cold *cold, const lw_lock *lock, const void *site,
                        uint32_t units)
{
    while (units > 0) {
        uint32_t part = units < LW_HOLD_UNITS_MAX ? units : LW_HOLD_UNITS_MAX;

        push(cold, lw_hold_of(lock, LW_HOLD_UNITS, site, part));
        units -= part;
    }
}

/* ---- one less */

/* The entry at `place` goes, the `after` newer ones move up. */
static void take_out(struct lw_cold *cold, struct lw_hold_place place, uint32_t after)
{
    uint32_t count = lw_load_rlx(&cold->nheld) - 1;

    for (; after > 0; after--) {
        struct lw_hold_place from = newer(cold, place);
        struct lw_hold *here = lw_hold_in(cold, place), *there = lw_hold_in(cold, from);

        lw_store_rlx(&here->lock, lw_load_rlx(&there->lock));
        lw_store_rlx(&here->site, lw_load_rlx(&there->site));
        place = from;
    }
    lw_store_rlx(&cold->nheld, count);
    if (count <= LW_HOLDS_INLINE) {
        chunks_give(cold);
    } else if ((count - LW_HOLDS_INLINE) % CHUNK_HOLDS == 0) { /* the newest chunk is empty now */
        struct chunk *first = lw_load_rlx(&cold->holds_more);

        first->before = first->before->before;
    }
}

bool lw_hold_remove(struct lw_cold *cold, const lw_lock *lock)
{
    uint32_t count = lw_load_rlx(&cold->nheld);
    uint16_t lost = lw_load_rlx(&cold->holds_lost);
    struct lw_hold_place place = {0};

    for (uint32_t after = 0; after < count; after++) {
        place = after == 0 ? lw_hold_newest(cold) : lw_hold_older(cold, place);
        if (lw_hold_lock(lw_hold_in(cold, place)) == lock) {
            take_out(cold, place, after);
            return true;
        }
    }
    if (lost == 0)
        return false;
    lw_store_rlx(&cold->holds_lost, (uint16_t)(lost - 1));
    return true;
}

/* ---- held with others */

uint32_t lw_hold_shared(struct lw_cold *cold, const lw_lock *lock)
{
    uint64_t entry = (uint64_t)(uintptr_t)lock | LW_HOLD_SHARED;
    uint32_t count = lw_load_rlx(&cold->nheld), found = 0;
    struct lw_hold_place place = {0};

    for (uint32_t i = 0; i < count; i++) {
        place = i == 0 ? lw_hold_newest(cold) : lw_hold_older(cold, place);
        found += lw_load_rlx(&lw_hold_in(cold, place)->lock) == entry;
    }
    return found;
}

void lw_hold_turn(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                  const void *site)
{
    uint32_t count = lw_load_rlx(&cold->nheld);
    struct lw_hold_place place = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct lw_hold *hold;

        place = i == 0 ? lw_hold_newest(cold) : lw_hold_older(cold, place);
        hold = lw_hold_in(cold, place);
        if (lw_hold_lock(hold) == lock) {
            lw_hold_fill(hold, lw_hold_of(lock, mode, site, lw_load_rlx(&lw_coarse_ms)));
            return;
        }
    }
}

/* ---- permits */

/* The newest entry of the lock's permits; false: there is none. */
static bool find_units(struct lw_cold *cold, const lw_lock *lock, struct lw_hold_place *place,
                       uint32_t *after)
{
    uint32_t count = lw_load_rlx(&cold->nheld);

    for (; *after < count; ++*after) {
        struct lw_hold *hold;

        *place = *after == 0 ? lw_hold_newest(cold) : lw_hold_older(cold, *place);
        hold = lw_hold_in(cold, *place);
        if (lw_hold_lock(hold) == lock && lw_hold_mode(hold) == LW_HOLD_UNITS)
            return true;
    }
    return false;
}

/* `units` of them are there. */
static bool has_units(struct lw_cold *cold, const lw_lock *lock, uint32_t units)
{
    struct lw_hold_place place = {0};
    uint64_t found = 0;

    for (uint32_t after = 0; found < units && find_units(cold, lock, &place, &after); after++)
        found += lw_hold_units(lw_hold_in(cold, place));
    return found >= units;
}

bool lw_hold_drop_units(struct lw_cold *cold, const lw_lock *lock, uint32_t units)
{
    struct lw_hold_place place = {0};
    uint32_t after = 0;

    if (!has_units(cold, lock, units))
        return false;
    for (; units > 0 && find_units(cold, lock, &place, &after); after = 0) {
        struct lw_hold *hold = lw_hold_in(cold, place);
        uint32_t here = lw_hold_units(hold);

        if (here > units) {
            lw_store_rlx(&hold->site, lw_load_rlx(&hold->site) -
                                          ((uint64_t)units << LW_HOLD_TICK_SHIFT));
            break;
        }
        units -= here;
        take_out(cold, place, after);
    }
    return true;
}

uint64_t lw_hold_units_of(struct lw_cold *cold, const lw_lock *lock)
{
    struct lw_hold_place place = {0};
    uint64_t units = 0;

    for (uint32_t after = 0; find_units(cold, lock, &place, &after); after++)
        units += lw_hold_units(lw_hold_in(cold, place));
    return units;
}

uint64_t lw_hold_drop_all_units(struct lw_cold *cold, const lw_lock *lock)
{
    struct lw_hold_place place = {0};
    uint64_t units = 0;

    for (uint32_t after = 0; find_units(cold, lock, &place, &after); after = 0) {
        units += lw_hold_units(lw_hold_in(cold, place));
        take_out(cold, place, after);
    }
    return units;
}
