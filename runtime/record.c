/* SPDX-License-Identifier: MIT */
/* The two arrays of records, and the depot of free ones.  See record.h for what a record is.
 *
 * One range of addresses is reserved for all slots there can ever be; memory is committed a chunk
 * of 4,096 slots at a time.  Free records live in the caches of workers and, 64 at a time, in the
 * depot.
 *
 * A chunk all of whose slots are in the depot can give its memory back (trim): it then reads as
 * zero, generation 0, which no id has.  Its floors, the highest generation and wait sequence that
 * it had, stay in `chunks`, and its next lives start above them: an id is stale for ever, a
 * sequence never falls.
 *
 * The depot has a guard held for a few instructions (or one mprotect per 4,096 slots); it is taken
 * once per 64 records.  A trim takes all batches out and works on them without the guard; who finds
 * nothing meanwhile, not even new slots, waits for it.  Nothing here is on the path of a wait.
 *
 * [R3] the chunks' floors and counts: from trimmer to trimmer by trimming, release -> CAS acquire;
 *      a floor to who carves the chunk anew: through the guard. */
#include "runtime/record.h"

#include <errno.h>
#include <sys/mman.h>

#include "runtime/leak.h"
#include "runtime/os/os.h"

#ifdef LW_SIMULATED
enum { CHUNK_SLOTS = 128, CHUNKS_MAX = LW_SLOTS_MAX / CHUNK_SLOTS };
#else
enum { CHUNK_SLOTS = 4096, CHUNKS_MAX = LW_SLOTS_MAX / CHUNK_SLOTS };
#endif

struct lw_record *lw_records;
struct lw_cold *lw_colds;
uintptr_t lw_cold_offset;
uint32_t lw_slots_used;
uint8_t lw_cold_used[LW_SLOTS_MAX / LW_COLD_PAGE];

struct chunk {
    uint32_t generation_floor;
    uint64_t sequence_floor;
    uint32_t idle; /* the trimmer's: how many of its slots it has */
};

static struct {
    uint64_t guard;
    struct lw_record *batches; /* heads of chains; head: arg = the next batch, site = its length */
    uint32_t idle;             /* records in batches */
    uint32_t chunk;              /* where new slots are carved from ... */
    uint32_t carved;             /* ... and how many of it were */
    uint32_t chunks_used;        /* chunks ever committed */
    uint16_t emptied[CHUNKS_MAX]; /* chunks whose memory was given back */
    uint32_t emptied_count;
    uint32_t trimming;            /* somebody has all the batches */
    bool reserved;
    struct chunk chunks[CHUNKS_MAX];
} depot = {.carved = CHUNK_SLOTS};

int lw_records_init(void)
{
    size_t hot = (size_t)LW_SLOTS_MAX * sizeof(struct lw_record);
    size_t cold = (size_t)LW_SLOTS_MAX * sizeof(struct lw_cold);
    int err = 0;

    lw_guard_take(&depot.guard, 1);
    if (!depot.reserved) {
        char *range = lw_sys.mmap(NULL, hot + cold, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (range == MAP_FAILED) {
            err = -ENOMEM;
        } else {
            (void)lw_sys.madvise(range, hot + cold, MADV_NOHUGEPAGE);
            lw_colds = (struct lw_cold *)(void *)(range + hot);
            lw_records = (struct lw_record *)(void *)range;
            lw_cold_offset = (uintptr_t)lw_colds - (uintptr_t)lw_records * 4; /* modulo 2^64 */
            depot.reserved = true;
        }
    }
    lw_guard_drop(&depot.guard, 1);
    return err;
}

/* Under the guard: commit the next chunk, or one that was emptied. */
static bool open_chunk(void)
{
    uint32_t number;

    if (depot.emptied_count > 0) {
        number = depot.emptied[--depot.emptied_count];
    } else {
        if (depot.chunks_used == CHUNKS_MAX)
            return false;
        number = depot.chunks_used;
        void *hot = &lw_records[(size_t)number * CHUNK_SLOTS],
             *cold = &lw_colds[(size_t)number * CHUNK_SLOTS];
        size_t hot_size = CHUNK_SLOTS * sizeof(struct lw_record),
               cold_size = CHUNK_SLOTS * sizeof(struct lw_cold);

        if (lw_sys.mprotect(cold, cold_size, PROT_READ | PROT_WRITE) < 0 ||
            lw_sys.mprotect(hot, hot_size, PROT_READ | PROT_WRITE) < 0)
            return false; /* what was committed is committed again next time */
        lw_leak_root(hot, hot_size);
        lw_leak_root(cold, cold_size);
        depot.chunks_used++;
        lw_store_sc(&lw_slots_used,
                    depot.chunks_used * CHUNK_SLOTS); /* [R2] committed before it is looked at */
    }
    depot.chunk = number;
    depot.carved = 0;
    return true;
}

/* Under the guard: a chain of new slots, lowest first. */
static struct lw_record *carve(void)
{
    struct lw_record *chain = NULL;

    if (depot.carved == CHUNK_SLOTS && !open_chunk())
        return NULL;
    const struct chunk *chunk = &depot.chunks[depot.chunk];
    uint32_t first = depot.chunk * CHUNK_SLOTS + depot.carved;

    for (uint32_t i = LW_RECORD_BATCH; i-- > 0;) {
        struct lw_record *record = &lw_records[first + i];

        if (chunk->sequence_floor != 0)
            lw_store_rlx(&lw_record_cold(record)->wait, chunk->sequence_floor << 8);
        lw_store_rel(&record->ctl, (uint64_t)(chunk->generation_floor + 1) << 32);
        lw_store_rlx(&record->next, chain);
        chain = record;
    }
    depot.carved += LW_RECORD_BATCH;
    return chain;
}

/* *trimming: what is not here may be with a trimmer. */
static struct lw_record *take_batch(uint32_t *count, bool *trimming)
{
    struct lw_record *chain;

    lw_guard_take(&depot.guard, 1);
    chain = depot.batches;
    if (chain != NULL) {
        depot.batches = lw_load_rlx(&chain->arg);
        *count = (uint32_t)lw_load_rlx(&chain->site);
        lw_store_rlx(&depot.idle, depot.idle - *count);
    } else {
        chain = carve();
        *count = LW_RECORD_BATCH;
    }
    /* Under the guard: the batches are taken out after it was set, and are back before it is
     * cleared. */
    *trimming = lw_load_rlx(&depot.trimming) != 0;
    lw_guard_drop(&depot.guard, 1);
    return chain;
}

struct lw_record *lw_record_take_slow(struct lw_record_cache *cache)
{
    struct lw_record *chain;
    uint32_t count = 0;
    bool trimming = false;

    while ((chain = take_batch(&count, &trimming)) == NULL) {
        if (!trimming)
            return NULL;
        LW_AWAIT(lw_load_rlx(&depot.trimming) == 0);
    }
    cache->head = lw_load_rlx(&chain->next);
    cache->count = count - 1;
    return chain;
}

static void put_batch(struct lw_record *chain, uint32_t count)
{
    lw_store_rlx(&chain->site, count);
    lw_guard_take(&depot.guard, 1);
    lw_store_rlx(&chain->arg, depot.batches);
    depot.batches = chain;
    lw_store_rlx(&depot.idle, depot.idle + count);
    lw_guard_drop(&depot.guard, 1);
}

/* Give up to `count` of the cache to the depot. */
static void spill(struct lw_record_cache *cache, uint32_t count)
{
    struct lw_record *chain = cache->head, *last = chain;

    for (uint32_t i = 1; i < count; i++)
        last = lw_load_rlx(&last->next);
    cache->head = lw_load_rlx(&last->next);
    lw_store_rlx(&last->next, NULL);
    cache->count -= count;
    put_batch(chain, count);
}

void lw_record_spill(struct lw_record_cache *cache)
{
    spill(cache, LW_RECORD_BATCH);
}

void lw_record_drain(struct lw_record_cache *cache)
{
    while (cache->count > 0)
        spill(cache, cache->count < LW_RECORD_BATCH ? cache->count : LW_RECORD_BATCH);
}

void lw_record_retire(struct lw_record *record)
{
    /* It stays at generation UINT32_MAX, not live, in no list: no id of it is ever valid again. */
    lw_store_rel(&record->ctl, (uint64_t)UINT32_MAX << 32);
}

/* No slot of it ever has another life. */
static bool is_retired(const struct chunk *chunk)
{
    return chunk->generation_floor >= UINT32_MAX - 1;
}

/* All of whose slots are the trimmer's: note what they have used up, and give the memory back. */
static bool empty_chunk(uint32_t number)
{
    struct chunk *chunk = &depot.chunks[number];
    struct lw_record *records = &lw_records[(size_t)number * CHUNK_SLOTS];
    struct lw_cold *colds = &lw_colds[(size_t)number * CHUNK_SLOTS];

    for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
        uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&records[i].ctl));
        uint64_t sequence = lw_load_rlx(&colds[i].wait) >> 8;

        if (generation > chunk->generation_floor)
            chunk->generation_floor = generation;
        if (sequence > chunk->sequence_floor)
            chunk->sequence_floor = sequence;
    }
    if (is_retired(chunk))
        return false; /* nothing is left above the floor */
    for (uint32_t i = 0; i < CHUNK_SLOTS / LW_COLD_PAGE; i++) /* before it is carved anew */
        lw_store_rlx(&lw_cold_used[number * (CHUNK_SLOTS / LW_COLD_PAGE) + i], 0);
    (void)lw_sys.madvise(colds, CHUNK_SLOTS * sizeof *colds, MADV_DONTNEED);
    (void)lw_sys.madvise(records, CHUNK_SLOTS * sizeof *records, MADV_DONTNEED);
    return true;
}

static struct chunk *chunk_of(const struct lw_record *record)
{
    return &depot.chunks[lw_record_slot(record) / CHUNK_SLOTS];
}

/* Count how many slots of each chunk lie in these batches. */
static void count_idle(const struct lw_record *batches)
{
    for (uint32_t i = 0; i < CHUNKS_MAX; i++)
        depot.chunks[i].idle = 0;
    for (; batches != NULL; batches = lw_load_rlx(&batches->arg))
        for (const struct lw_record *record = batches; record != NULL;
             record = lw_load_rlx(&record->next))
            chunk_of(record)->idle++;
}

/* Give back what does not lie in a chunk that is wholly there. */
static void keep_others(struct lw_record *batches)
{
    struct lw_record_cache kept = {0};

    for (struct lw_record *next_batch; batches != NULL; batches = next_batch) {
        next_batch = lw_load_rlx(&batches->arg);
        for (struct lw_record *record = batches, *next; record != NULL; record = next) {
            next = lw_load_rlx(&record->next);
            if (chunk_of(record)->idle == CHUNK_SLOTS)
                continue;
            lw_store_rlx(&record->next, kept.head);
            kept.head = record;
            if (++kept.count == LW_RECORD_BATCH)
                lw_record_spill(&kept);
        }
    }
    lw_record_drain(&kept);
}

size_t lw_records_idle(void)
{
    return lw_load_rlx(&depot.idle);
}

bool lw_record_counts(size_t *carved, size_t *idle)
{
    bool whole;

    lw_guard_take(&depot.guard, 1);
    /* A trim that begins now waits for the guard before it does anything. */
    whole = lw_load_acq(&depot.trimming) == 0; /* [R3] */
    if (whole) {
        *carved = (size_t)(depot.chunks_used - depot.emptied_count) * CHUNK_SLOTS -
                  (CHUNK_SLOTS - depot.carved);
        for (uint32_t i = 0; i < depot.chunks_used; i++)
            *carved -= is_retired(&depot.chunks[i]) ? CHUNK_SLOTS : 0;
        *idle = depot.idle;
    }
    lw_guard_drop(&depot.guard, 1);
    return whole;
}

size_t lw_record_trim(void)
{
    struct lw_record *batches;
    size_t emptied = 0;
    uint32_t nobody = 0;

    if (!lw_cas_acq(&depot.trimming, &nobody, 1)) /* [R3] */
        return 0;
    lw_guard_take(&depot.guard, 1);
    batches = depot.batches;
    depot.batches = NULL;
    lw_store_rlx(&depot.idle, 0);
    lw_guard_drop(&depot.guard, 1);
    count_idle(batches);
    keep_others(batches);
    for (uint32_t i = 0; i < CHUNKS_MAX; i++) {
        if (depot.chunks[i].idle != CHUNK_SLOTS || !empty_chunk(i))
            continue;
        lw_guard_take(&depot.guard, 1);
        depot.emptied[depot.emptied_count++] = (uint16_t)i;
        lw_guard_drop(&depot.guard, 1);
        emptied++;
    }
    lw_store_rel(&depot.trimming, 0); /* [R3] */
    return emptied * CHUNK_SLOTS * (sizeof(struct lw_record) + sizeof(struct lw_cold));
}
