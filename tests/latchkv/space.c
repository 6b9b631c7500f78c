/* SPDX-License-Identifier: MIT */
/* A space: values, times to live, watches; and that it is whole after any allocation failed. */
#include "tests/support.h"

#include "latchkv/memory.h"
#include "latchkv/space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(space, .init = watchdog);

enum { PAST = 1000, NOW = 2000, LATER = 3000 }; /* ms since 1970 */

static struct kv_arg key_of(const char *text)
{
    uint64_t hash = 5381;

    for (const char *at = text; *at != '\0'; at++)
        hash = hash * 33 + (unsigned char)*at;
    return (struct kv_arg){.data = text, .size = strlen(text), .hash = hash};
}

static struct kv_clock at(int64_t ms)
{
    return (struct kv_clock){.ms = ms};
}

static struct kv_entry *set(struct kv_space *space, const char *name, const char *value)
{
    struct kv_arg key = key_of(name);
    struct kv_clock clock = at(NOW);

    return kv_space_put(space, kv_space_at(space, &key, &clock), &key, value, strlen(value));
}

static struct kv_entry *get_at(struct kv_space *space, const char *name, int64_t ms)
{
    struct kv_arg key = key_of(name);
    struct kv_clock clock = at(ms);

    return kv_space_get(space, &key, &clock);
}

static void assert_value(struct kv_space *space, const char *name, const char *wanted)
{
    struct kv_entry *entry = get_at(space, name, NOW);

    if (wanted == NULL) {
        cr_assert_null(entry);
        return;
    }
    cr_assert_not_null(entry, "%s is missing", name);
    cr_assert_eq(entry->value_size, strlen(wanted));
    cr_assert_arr_eq(kv_entry_value(entry), wanted, entry->value_size);
}

static void erase(struct kv_space *space, const char *name)
{
    struct kv_arg key = key_of(name);
    struct kv_clock clock = at(NOW);

    kv_space_remove(space, kv_space_at(space, &key, &clock));
}

static void assert_empty(struct kv_space *space)
{
    kv_space_fini(space);
    cr_assert_eq(kv_memory_used(), 0u);
    assert_no_leaks();
}

Test(space, a_value_is_what_was_last_put)
{
    struct kv_space space = {0};

    assert_value(&space, "a", NULL);
    set(&space, "a", "1");
    set(&space, "", "the empty key");
    assert_value(&space, "a", "1");
    assert_value(&space, "", "the empty key");
    set(&space, "a", "");
    assert_value(&space, "a", "");
    set(&space, "a",
        "something much longer than there was room for before, so that it has to move");
    assert_value(&space, "a",
                 "something much longer than there was room for before, so that it has to move");
    set(&space, "a", "2");
    assert_value(&space, "a", "2");
    erase(&space, "a");
    assert_value(&space, "a", NULL);
    cr_assert_eq(space.keys.count, 1u);
    assert_empty(&space);
}

Test(space, a_value_of_the_same_size_allocates_nothing)
{
    struct kv_space space = {0};

    set(&space, "a", "1234");
    size_t used = kv_memory_used();
    kv_memory_fail(0, false);
    for (int i = 0; i < 100; i++)
        cr_assert_not_null(set(&space, "a", i % 2 ? "4321" : "99"));
    kv_memory_fail(-1, false);
    cr_assert_eq(kv_memory_used(), used);
    assert_empty(&space);
}

Test(space, a_large_value_gives_its_room_back)
{
    struct kv_space space = {0};
    char *large = calloc(1, 100001);

    memset(large, 'x', 100000);
    set(&space, "a", large);
    cr_assert_gt(kv_memory_used(), 100000u);
    set(&space, "a", "small");
    cr_assert_lt(kv_memory_used(), 1000u);
    free(large);
    assert_empty(&space);
}

Test(space, a_value_can_be_stretched)
{
    struct kv_space space = {0};
    struct kv_arg key = key_of("a");
    struct kv_clock clock = at(NOW);
    char wanted[2001] = "";

    set(&space, "a", "");
    set(&space, "b", "beside");
    for (size_t size = 0; size < 2000; size += 10) {
        struct kv_entry *entry =
            kv_space_stretch(&space, kv_space_at(&space, &key, &clock), size + 10);

        cr_assert_not_null(entry);
        memcpy(kv_entry_value(entry) + size, "0123456789", 10);
        memcpy(wanted + size, "0123456789", 11);
        assert_value(&space, "a", wanted);
    }
    assert_value(&space, "b", "beside");
    assert_empty(&space);
}

Test(space, what_has_expired_is_gone_when_it_is_looked_at)
{
    struct kv_space space = {0};

    kv_space_expire(&space, set(&space, "a", "1"), LATER);
    kv_space_expire(&space, set(&space, "b", "1"), LATER);
    cr_assert_eq(space.expiring, 2u);
    cr_assert_not_null(get_at(&space, "a", LATER - 1));
    cr_assert_null(get_at(&space, "a", LATER));
    cr_assert_eq(space.keys.count, 1u);
    cr_assert_eq(space.expiring, 1u);
    cr_assert_eq(space.expired, 1u);
    set(&space, "b", "a new value keeps its time until it is told another");
    cr_assert_eq(space.expiring, 1u);
    kv_space_expire(&space, get_at(&space, "b", NOW), 0);
    cr_assert_eq(space.expiring, 0u);
    cr_assert_not_null(get_at(&space, "b", LATER));
    cr_assert_eq(space.hits, 3u);
    cr_assert_eq(space.misses, 1u);
    assert_empty(&space);
}

static void count_key(struct kv_entry *entry, void *arg)
{
    (void)entry;
    ++*(int *)arg;
}

Test(space, a_sweep_removes_what_nobody_looks_at)
{
    struct kv_space space = {0};
    struct kv_clock clock = at(LATER);
    struct kv_swept sum = {0};
    char name[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "key %d", i);
        struct kv_entry *entry = set(&space, name, "value");
        if (i % 2 == 0)
            kv_space_expire(&space, entry, i % 4 == 0 ? LATER : LATER + 1);
    }
    cr_assert_eq(space.expiring, 500u);
    for (int i = 0; i < 100 && space.expiring > 250; i++) {
        struct kv_swept swept = kv_space_sweep(&space, 16, &clock);

        sum.expiring += swept.expiring;
        sum.expired += swept.expired;
    }
    cr_assert_eq(space.expiring, 250u);
    cr_assert_eq(sum.expired, 250u);
    cr_assert_geq(sum.expiring, 250u);
    cr_assert_eq(space.keys.count, 750u);
    cr_assert(kv_table_check(&space.keys));

    int seen = 0;
    uint32_t position = 0;
    clock = at(LATER + 1);
    while (kv_space_scan(&space, &position, &clock, count_key, &seen))
        continue;
    cr_assert_eq(seen, 500, "a scan shows what has not expired");
    cr_assert_eq(space.keys.count, 500u);
    assert_empty(&space);
}

static struct kv_watch *watch(struct kv_space *space, const char *name)
{
    struct kv_arg key = key_of(name);

    return kv_space_watch(space, &key);
}

Test(space, every_change_of_a_watched_key_counts)
{
    struct kv_space space = {0};
    struct kv_watch *a = watch(&space, "a"), *other = watch(&space, "other");
    struct kv_arg key = key_of("a");
    struct kv_clock clock = at(NOW);
    uint64_t version = a->version;

    set(&space, "a", "1"); /* from nothing */
    cr_assert_gt(a->version, version);
    version = a->version;
    set(&space, "a", "2"); /* in place */
    cr_assert_gt(a->version, version);
    version = a->version;
    set(&space, "a", "a longer value, which needs an entry of its own, because of its size.....");
    cr_assert_gt(a->version, version);
    version = a->version;
    kv_space_stretch(&space, kv_space_at(&space, &key, &clock), 3);
    cr_assert_gt(a->version, version);
    version = a->version;
    kv_space_expire(&space, get_at(&space, "a", NOW), LATER);
    cr_assert_gt(a->version, version);
    version = a->version;
    cr_assert_not_null(get_at(&space, "a", NOW));
    set(&space, "b", "1");
    cr_assert_eq(a->version, version, "what does not change it does not count");
    cr_assert_null(get_at(&space, "a", LATER)); /* expired */
    cr_assert_gt(a->version, version);
    version = a->version;
    set(&space, "a", "1");
    erase(&space, "a");
    cr_assert_geq(a->version, version + 2);
    version = a->version;
    set(&space, "a", "1");
    struct kv_table flushed = kv_space_flush(&space);
    cr_assert_geq(a->version, version + 2);
    kv_space_free(&flushed);
    version = a->version;
    flushed = kv_space_flush(&space);
    cr_assert_eq(a->version, version, "there was nothing to flush");
    kv_space_free(&flushed);
    cr_assert_eq(other->version, 0u);
    kv_space_unwatch(&space, a);
    kv_space_unwatch(&space, other);
    cr_assert_eq(space.watches.count, 0u);
    assert_empty(&space);
}

Test(space, a_watch_is_shared_and_counted)
{
    struct kv_space space = {0};
    struct kv_watch *one = watch(&space, "a"), *two = watch(&space, "a");

    cr_assert_eq(one, two);
    kv_space_unwatch(&space, one);
    cr_assert_eq(space.watches.count, 1u);
    kv_space_unwatch(&space, two);
    cr_assert_eq(space.watches.count, 0u);
    assert_empty(&space);
}

/* The n-th allocation fails: what is done says so and has changed nothing, the rest is right. */
Test(space, without_memory_nothing_changes)
{
    static const char text[] =
        "a value that does not fit into the room that a short one has, surely";
    bool failed = true;

    for (long n = 0; failed; n++) {
        struct kv_space space = {0};
        struct kv_arg key = key_of("c");
        struct kv_clock clock = at(NOW);

        cr_assert_lt(n, 50);
        cr_assert_not_null(set(&space, "b", "old"));
        cr_assert_not_null(set(&space, "c", "old"));
        kv_memory_fail(n, true);
        bool a = set(&space, "a", "1") != NULL;
        bool b = set(&space, "b", text) != NULL;
        bool c = kv_space_stretch(&space, kv_space_at(&space, &key, &clock), 500) != NULL;
        struct kv_watch *w = watch(&space, "w");
        kv_memory_fail(-1, false);
        failed = !a || !b || !c || w == NULL;
        assert_value(&space, "a", a ? "1" : NULL);
        assert_value(&space, "b", b ? text : "old");
        struct kv_entry *stretched = get_at(&space, "c", NOW);
        cr_assert_eq(stretched->value_size, c ? 500u : 3u);
        cr_assert_arr_eq(kv_entry_value(stretched), "old", 3);
        cr_assert(kv_table_check(&space.keys));
        if (w != NULL)
            kv_space_unwatch(&space, w);
        kv_space_fini(&space);
        cr_assert_eq(kv_memory_used(), 0u);
    }
    assert_no_leaks();
}
