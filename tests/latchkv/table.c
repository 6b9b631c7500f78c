/* SPDX-License-Identifier: MIT */
/* The table: it finds what was put in, at every size, and a scan shows what is there all the time,
 * whatever else comes, goes, grows or shrinks meanwhile. */
#include "tests/support.h"

#include "latchkv/memory.h"
#include "latchkv/table.h"

#include <stdlib.h>
#include <string.h>

TestSuite(table, .init = watchdog);

struct item {
    struct kv_node node;
    uint32_t key;
    bool in, stays, shown;
};

static uint32_t random_state = 12345;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static uint32_t mixed(uint32_t key)
{
    key = (key ^ key >> 16) * 0x45d9f3b;
    key = (key ^ key >> 16) * 0x45d9f3b;
    return key ^ key >> 16;
}

static struct item *make_items(uint32_t count)
{
    struct item *items = calloc(count, sizeof *items);

    cr_assert_not_null(items);
    for (uint32_t i = 0; i < count; i++) {
        items[i].key = i;
        items[i].node.hash = mixed(i);
        items[i].node.key_size = sizeof items[i].key;
    }
    return items;
}

static void put(struct kv_table *table, struct item *item)
{
    cr_assert(kv_table_add(table, &item->node, offsetof(struct item, key)));
    item->in = true;
}

static struct kv_node **find(struct kv_table *table, const struct item *item)
{
    return kv_table_find(table, item->node.hash, &item->key, sizeof item->key);
}

static void take(struct kv_table *table, struct item *item)
{
    kv_table_remove(table, find(table, item));
    item->in = false;
}

static bool keep(struct kv_node *node, void *arg)
{
    (void)node;
    (void)arg;
    return false;
}

Test(table, it_finds_what_is_in_it)
{
    enum { COUNT = 5000 };
    struct kv_table table = {0};
    struct item *items = make_items(COUNT);

    cr_assert_null(*find(&table, &items[0]));
    for (uint32_t i = 0; i < COUNT; i++) {
        put(&table, &items[i]);
        cr_assert_eq(*find(&table, &items[i]), &items[i].node);
        if (i % 64 == 0)
            cr_assert(kv_table_check(&table));
    }
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(*find(&table, &items[i]), &items[i].node);
    for (uint32_t i = 0; i < COUNT; i++) {
        take(&table, &items[i]);
        cr_assert_null(*find(&table, &items[i]));
        if (i % 64 == 0)
            cr_assert(kv_table_check(&table));
    }
    cr_assert_eq(table.count, 0u);
    kv_table_clear(&table, keep, NULL);
    free(items);
    assert_no_leaks();
}

Test(table, it_shrinks_when_it_empties)
{
    enum { COUNT = 20000 };
    struct kv_table table = {0};
    struct item *items = make_items(COUNT);

    for (uint32_t i = 0; i < COUNT; i++)
        put(&table, &items[i]);
    cr_assert_eq(table.buckets, (uint32_t)COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        take(&table, &items[i]);
    cr_assert_eq(table.buckets, (uint32_t)KV_TABLE_FIRST);
    cr_assert(kv_table_check(&table));
    kv_table_clear(&table, keep, NULL);
    cr_assert_eq(kv_memory_used(), 0u);
    free(items);
}

Test(table, keys_that_share_a_hash_are_told_apart)
{
    struct kv_table table = {0};
    struct item *items = make_items(3);

    for (int i = 0; i < 3; i++) {
        items[i].node.hash = 7;
        put(&table, &items[i]);
    }
    take(&table, &items[1]);
    cr_assert_eq(*find(&table, &items[0]), &items[0].node);
    cr_assert_null(*find(&table, &items[1]));
    cr_assert_eq(*find(&table, &items[2]), &items[2].node);
    kv_table_clear(&table, keep, NULL);
    free(items);
}

static bool show(struct kv_node *node, void *arg)
{
    (void)arg;
    ((struct item *)node)->shown = true;
    return false;
}

/* Between the steps of one scan, the table goes from `from` to `to` items. */
static void scan_while_it_changes(uint32_t from, uint32_t to, uint32_t changes_per_step)
{
    uint32_t most = from > to ? from : to;
    struct kv_table table = {0};
    struct item *items = make_items(most);
    uint32_t position = 0;

    for (uint32_t i = 0; i < from; i++)
        put(&table, &items[i]);
    for (uint32_t i = 0; i < (from < to ? from : to); i++)
        items[i].stays = i % 3 == 0;
    do {
        for (uint32_t change = 0; change < changes_per_step; change++) {
            uint32_t i = draw(most);
            bool grow = from < to ? draw(3) > 0 : draw(3) == 0;

            if (items[i].stays || items[i].in == grow)
                continue;
            if (grow)
                put(&table, &items[i]);
            else
                take(&table, &items[i]);
        }
    } while (kv_table_scan(&table, &position, show, NULL));
    cr_assert(kv_table_check(&table));
    for (uint32_t i = 0; i < most; i++)
        cr_assert(!items[i].stays || items[i].shown, "item %u of %u..%u was not shown", i, from,
                  to);
    kv_table_clear(&table, keep, NULL);
    free(items);
}

Test(table, a_scan_shows_all_that_stays)
{
    for (uint32_t round = 0; round < 20; round++) {
        scan_while_it_changes(1000, 1000, 0);
        scan_while_it_changes(10, 5000, 200);
        scan_while_it_changes(5000, 10, 200);
        scan_while_it_changes(700, 800, 5);
        scan_while_it_changes(3000, 3000, 50);
        scan_while_it_changes(1 + draw(100), 1 + draw(3000), draw(40));
    }
}

Test(table, a_scan_of_a_quiet_table_shows_each_item_once)
{
    enum { COUNT = 3001 };
    struct kv_table table = {0};
    struct item *items = make_items(COUNT);
    uint32_t position = 0, steps = 0;
    size_t shown = 0;

    for (uint32_t i = 0; i < COUNT; i++)
        put(&table, &items[i]);
    do {
        for (uint32_t i = 0; i < COUNT; i++)
            items[i].shown = false;
        steps++;
        bool more = kv_table_scan(&table, &position, show, NULL);
        for (uint32_t i = 0; i < COUNT; i++)
            shown += items[i].shown;
        if (!more)
            break;
    } while (steps <= table.buckets);
    cr_assert_eq(steps, table.buckets, "%u steps, %u buckets", steps, table.buckets);
    cr_assert_eq(shown, (size_t)COUNT);
    kv_table_clear(&table, keep, NULL);
    free(items);
}

static bool take_odd(struct kv_node *node, void *arg)
{
    struct item *item = (struct item *)node;

    (void)arg;
    item->in = item->key % 2 == 0;
    return !item->in;
}

Test(table, a_scan_may_take_items_out)
{
    enum { COUNT = 4000 };
    struct kv_table table = {0};
    struct item *items = make_items(COUNT);
    uint32_t position = 0;

    for (uint32_t i = 0; i < COUNT; i++)
        put(&table, &items[i]);
    while (kv_table_scan(&table, &position, take_odd, NULL))
        continue;
    cr_assert_eq(table.count, (size_t)COUNT / 2);
    cr_assert(kv_table_check(&table));
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(*find(&table, &items[i]) != NULL, items[i].in);
    kv_table_clear(&table, keep, NULL);
    free(items);
}

Test(table, it_works_without_memory_to_grow)
{
    enum { COUNT = 500 };
    struct kv_table table = {0};
    struct item *items = make_items(COUNT);
    uint32_t position = 0;

    kv_memory_fail(0, true);
    cr_assert_not(kv_table_add(&table, &items[0].node, offsetof(struct item, key)));
    cr_assert_eq(table.count, 0u);
    put(&table, &items[0]);
    kv_memory_fail(0, false);
    for (uint32_t i = 1; i < COUNT; i++)
        put(&table, &items[i]);
    kv_memory_fail(-1, false);
    cr_assert_eq(table.buckets, (uint32_t)KV_TABLE_FIRST);
    cr_assert(kv_table_check(&table));
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(*find(&table, &items[i]), &items[i].node);
    while (kv_table_scan(&table, &position, show, NULL))
        continue;
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert(items[i].shown);
    kv_table_clear(&table, keep, NULL);
    free(items);
}
