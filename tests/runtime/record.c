/* SPDX-License-Identifier: MIT */
/* Laws of records: an id is stale for ever once its life is over, whatever becomes of the slot
 * (reuse, a trim and a new carving, the end of its generations); the wait sequence never falls; no
 * record is in two hands or lost between caches, depot and threads; memory that is refused loses
 * nothing; who looks one up while the first are made finds none, or a whole one. */
#include "runtime/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support.h"

enum { CHUNK = 4096 };

static void init(void)
{
    watchdog();
    sys_watch();
    cr_assert_eq(lw_records_init(), 0);
}

TestSuite(record, .init = init);

static uint64_t live(struct lw_record *record)
{
    lw_store_rel(&record->ctl, lw_load_rlx(&record->ctl) | LW_LIVE);
    return lw_record_id(record);
}

static bool is_valid(uint64_t id)
{
    const struct lw_record *record = lw_record_of(id);

    return record != NULL && LW_CTL_GENERATION(lw_load_acq(&record->ctl)) == lw_id_generation(id) &&
           (record->ctl & LW_LIVE) != 0;
}

/* No call that takes a handle takes a stale one. */
static void assert_stale(uint64_t id)
{
    lw_task task = {id};

    cr_assert_not(is_valid(id));
    cr_assert_eq(lw_join(task, NULL, LW_NOW), -ESRCH);
    cr_assert_eq(lw_detach(task), -ESRCH);
    cr_assert_eq(lw_cancel(task), -ESRCH);
    cr_assert_eq(lw_uncancel(task), -ESRCH);
}

Test(record, nobody_is_no_task)
{
    assert_stale(0);
    assert_stale(UINT64_MAX);
    assert_stale(LW_SLOTS_MAX - 1); /* a slot that never was */
    assert_stale(UINT64_C(1) << LW_SLOT_BITS | (LW_SLOTS_MAX - 1));
}

Test(record, id_is_stale_after_each_reuse_of_its_slot)
{
    struct lw_record_cache cache = {0};
    struct lw_record *record = lw_record_take(&cache);
    uint64_t first = live(record), before = first;

    cr_assert(is_valid(first));
    lw_record_give(&cache, record);
    for (long i = 0; i < 1000; i++) {
        struct lw_record *again = lw_record_take(&cache);
        uint64_t id;

        cr_assert_eq(again, record, "the cache is last in, first out");
        assert_stale(first);
        assert_stale(before);
        id = live(again);
        cr_assert_neq(id, before);
        assert_stale(first);
        assert_stale(before);
        before = id;
        lw_record_give(&cache, again);
    }
    lw_record_drain(&cache);
    assert_stale(before);
}

/* Take a chunk's worth and more, so that some chunks are whole. */
static void take_many(struct lw_record_cache *cache, struct lw_record **records, uint64_t *ids,
                      long count)
{
    for (long i = 0; i < count; i++) {
        records[i] = lw_record_take(cache);
        cr_assert_not_null(records[i]);
        ids[i] = live(records[i]);
    }
}

Test(record, id_stays_stale_and_sequence_grows_over_trim_and_new_carving)
{
    enum { COUNT = 3 * CHUNK, LAPS = 4 };
    static struct lw_record *records[COUNT];
    static uint64_t ids[LAPS][COUNT];
    static uint64_t sequences[8 * CHUNK]; /* by slot */

    for (int lap = 0; lap < LAPS; lap++) {
        struct lw_record_cache cache = {0};

        take_many(&cache, records, ids[lap], COUNT);
        for (long i = 0; i < COUNT; i++) {
            uint64_t *wait = &lw_record_cold(records[i])->wait;
            uint32_t slot = lw_record_slot(records[i]);

            cr_assert_geq(*wait >> 8, sequences[slot], "the sequence of slot %u fell", slot);
            sequences[slot] = (*wait >> 8) + 1 + slot % 9;
            *wait = sequences[slot] << 8;
        }
        for (int past = 0; past < lap; past++)
            for (long i = 0; i < COUNT; i++)
                assert_stale(ids[past][i]);
        for (long i = 0; i < COUNT; i++)
            lw_record_give(&cache, records[i]);
        lw_record_drain(&cache);
        cr_assert_geq(lw_record_trim(),
                      2 * CHUNK * (sizeof(struct lw_record) + sizeof(struct lw_cold)));
        for (long i = 0; i < COUNT; i++)
            assert_stale(ids[lap][i]);
    }
}

Test(record, trim_gives_memory_back)
{
    enum { COUNT = 25 * CHUNK };
    static struct lw_record *records[COUNT];
    static uint64_t ids[COUNT];
    struct lw_record_cache cache = {0};
    size_t before, peak, after;

    for (long i = 0; i < COUNT; i++) /* not of what is measured */
        ids[i] = 1, records[i] = (struct lw_record *)records;
    before = resident_bytes();
    take_many(&cache, records, ids, COUNT);
    for (long i = 0; i < COUNT; i++)
        lw_record_cold(records[i])->deadline = 1;
    peak = resident_bytes() - before;
    cr_assert_geq(peak, COUNT * sizeof(struct lw_cold) / 2);
    for (long i = 0; i < COUNT; i++)
        lw_record_give(&cache, records[i]);
    lw_record_drain(&cache);
    (void)lw_record_trim();
    after = resident_bytes() > before ? resident_bytes() - before : 0;
    cr_assert(is_slow() || after < peak / 4, "%zu KiB of %zu are left", after / 1024, peak / 1024);
}

Test(record, trim_keeps_a_chunk_of_which_one_is_in_use)
{
    enum { COUNT = 2 * CHUNK };
    static struct lw_record *records[COUNT];
    static uint64_t ids[COUNT];
    struct lw_record_cache cache = {0};

    take_many(&cache, records, ids, COUNT);
    for (long i = 0; i < COUNT; i++)
        if (i % CHUNK != 77)
            lw_record_give(&cache, records[i]);
    lw_record_drain(&cache);
    cr_assert_eq(lw_record_trim(), 0);
    for (long i = 0; i < COUNT; i++)
        cr_assert_eq(is_valid(ids[i]), i % CHUNK == 77);
    take_many(&cache, records, ids, COUNT - 2); /* what was not trimmed is not lost */
    cr_assert_eq(lw_records_used(), COUNT);
}

Test(record, slot_whose_generations_are_used_up_is_retired)
{
    struct lw_record_cache cache = {0};
    struct lw_record *record = lw_record_take(&cache), *other;
    uint64_t last;

    record->ctl = (uint64_t)(UINT32_MAX - 1) << 32; /* its last life */
    last = live(record);
    cr_assert(is_valid(last));
    lw_record_give(&cache, record);
    assert_stale(last);
    assert_stale((uint64_t)UINT32_MAX << LW_SLOT_BITS | lw_record_slot(record));
    assert_stale(lw_record_slot(record)); /* generation 0 */
    for (long i = 0; i < 3 * CHUNK; i++) {
        other = lw_record_take(&cache);
        cr_assert_neq(other, record, "a retired slot came back");
    }
}

Test(record, memory_that_is_refused_loses_nothing)
{
    struct lw_record_cache cache = {0};
    static struct lw_record *records[CHUNK];
    static uint64_t ids[CHUNK];

    for (long nth = 1; nth <= 2; nth++) { /* a chunk takes two calls */
        sys_fail(SYS_MPROTECT, nth, false);
        cr_assert_null(lw_record_take(&cache));
        cr_assert(sys_failed());
        cr_assert_eq(cache.count, 0);
    }
    take_many(&cache, records, ids, CHUNK);
    cr_assert_eq(lw_records_used(), CHUNK);
    sys_fail(SYS_MPROTECT, 1, true);
    cr_assert_null(lw_record_take(&cache));
    cr_assert_null(lw_record_take(&cache));
    lw_record_give(&cache, records[5]);
    cr_assert_eq(lw_record_take(&cache), records[5], "what is free can still be had");
}

Test(record, reserving_that_fails_can_be_tried_again)
{
    /* Its own process reserved already; a second call changes nothing. */
    struct lw_record *before = lw_records;

    sys_fail(SYS_MMAP, 1, true);
    cr_assert_eq(lw_records_init(), 0);
    cr_assert_not(sys_failed());
    cr_assert_eq(lw_records, before);
}

/* ---- with threads */

enum { THREADS = 3, HELD = 300 };

static uint8_t *owners; /* by slot: how many hold it */

/* Who looks at all waits sees a record from its begin until it is given back. */
static bool is_seen(const struct lw_record *record)
{
    return lw_load_rlx(&lw_cold_used[lw_record_slot(record) / LW_COLD_PAGE]) != 0;
}

static void *churn(void *arg)
{
    struct lw_record_cache cache = {0};
    struct lw_record *held[HELD] = {0};
    uint64_t ids[HELD], random = (uintptr_t)arg + 1;

    for (long i = 0; i < rounds(200000); i++) {
        uint64_t draw = random_draw(&random) >> 32;
        unsigned k = (unsigned)(draw % HELD);

        if (held[k] == NULL) {
            held[k] = lw_record_take(&cache);
            cr_assert_not_null(held[k]);
            cr_assert_eq(lw_add_acq_rel(&owners[lw_record_slot(held[k])], 1), 0,
                         "a record is in two hands");
            cr_assert_eq((uint32_t)held[k]->ctl, 0, "not as new");
            lw_record_begin(held[k]);
            ids[k] = live(held[k]);
        } else {
            cr_assert(is_valid(ids[k]));
            cr_assert(is_seen(held[k]));
            (void)lw_sub_acq_rel(&owners[lw_record_slot(held[k])], 1);
            lw_record_give(&cache, held[k]);
            cr_assert_not(is_valid(ids[k]));
            held[k] = NULL;
        }
        if (draw >> 22 == 0)
            (void)lw_record_trim();
        if (draw % 5000 == 1)
            lw_record_drain(&cache);
    }
    for (int k = 0; k < HELD; k++)
        if (held[k] != NULL) {
            (void)lw_sub_acq_rel(&owners[lw_record_slot(held[k])], 1);
            lw_record_give(&cache, held[k]);
        }
    lw_record_drain(&cache);
    return NULL;
}

Test(record, is_in_one_hand_at_a_time_and_none_is_lost)
{
    pthread_t threads[THREADS];
    struct lw_record_cache cache = {0};
    uint32_t used;

    owners = calloc(LW_SLOTS_MAX, 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    used = lw_records_used();
    for (uint32_t i = 0; i < used; i++)
        cr_assert_not_null(lw_record_take(&cache));
    cr_assert_eq(lw_records_used(), used, "records were lost: new ones had to be carved");
    free(owners);
}

/* ---- the depot alone: each record is taken from there, and put back there at once */

enum { DRAINS = 500000 };

static uint32_t stop;

static void *take_and_drain(void *arg)
{
    struct lw_record_cache cache = {0};

    for (int i = 0; i < DRAINS; i++) {
        struct lw_record *record = lw_record_take(&cache);

        cr_assert_not_null(record);
        cr_assert_eq(lw_add_acq_rel(&owners[lw_record_slot(record)], 1), 0,
                     "a record is in two hands");
        lw_record_begin(record);
        cr_assert(is_seen(record));
        (void)lw_sub_acq_rel(&owners[lw_record_slot(record)], 1);
        lw_record_give(&cache, record);
        lw_record_drain(&cache);
    }
    return arg;
}

static void *trim_all(void *arg)
{
    while (lw_load_acq(&stop) == 0)
        (void)lw_record_trim();
    return arg;
}

Test(record, the_depot_loses_none_under_contention)
{
    pthread_t threads[THREADS], trimmers[2];
    struct lw_record_cache cache = {0};
    uint32_t used;

    owners = calloc(LW_SLOTS_MAX, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&trimmers[i], NULL, trim_all, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_drain, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    lw_store_rel(&stop, 1);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(trimmers[i], NULL);
    used = lw_records_used();
    for (uint32_t i = 0; i < used; i++)
        cr_assert_not_null(lw_record_take(&cache));
    cr_assert_eq(lw_records_used(), used, "records were lost: new ones had to be carved");
    free(owners);
}

/* ---- before there are any: without the init above */

static uint32_t looks, looked_long; /* relaxed: these order nothing */

static void cancel_nobody(void)
{
    cr_assert_eq(lw_cancel((lw_task){0}), -ESRCH);
}

static void dump_all(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert_eq(lw_dump(nowhere), 0);
    (void)close(nowhere);
}

static void *look_up(void *arg)
{
    while (lw_load_rlx(&looked_long) == 0) {
        (*(void (**)(void))arg)();
        lw_store_rlx(&looks, lw_load_rlx(&looks) + 1);
    }
    return NULL;
}

static void await_look(void)
{
    uint32_t before = lw_load_rlx(&looks);

    while (lw_load_rlx(&looks) - before < 2)
        (void)sched_yield();
}

/* By a thread that nobody has told that there are records now. */
static void make_while(void (*look)(void))
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, look_up, &look), 0);
    await_look();
    cr_assert_eq(lw_thread_attach(), 0);
    await_look();
    lw_store_rlx(&looked_long, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(record_first, can_be_looked_up_while_it_is_made, .init = watchdog)
{
    make_while(cancel_nobody);
}

Test(record_first, can_be_dumped_while_it_is_made, .init = watchdog)
{
    make_while(dump_all);
}
