/* SPDX-License-Identifier: MIT */
/* Readers and writers: who writes changes two plain counters, one after the other, and who reads
 * finds them equal; between a read and the write it is upgraded to, and back, nobody has changed
 * them.  In the end they are the number of changes.  Some acquire, some select. */
#include "tests/torture/torture.h"

enum { READS = 1, WRITES, UPGRADES, REFUSED, CUT_SHORT };
enum { TABLES = 3, TASKS = 16 };

static struct table {
    lw_rwlock rw;
    lw_event never;
    uint64_t first, second; /* plain */
} tables[TABLES];

static void setup(void)
{
    for (uint32_t i = 0; i < TABLES; i++)
        tables[i] = (struct table){.rw = LW_RWLOCK_INIT("table", i)};
}

static int enter(struct table *table, lw_lock *face, struct actor *actor, lw_nsec deadline)
{
    lw_arm arms[2] = {lw_arm_event(&table->never, NULL), lw_arm_acquire(face)};
    int index;

    if (draw(&actor->random) % 4 != 0)
        return lw_acquire(face, deadline);
    index = lw_select(arms, 2, deadline);
    return index < 0 ? index : arms[index].result;
}

static uint64_t look(struct table *table, struct actor *actor)
{
    uint64_t first = table->first;

    if (draw(&actor->random) % 8 == 0)
        give_way();
    CHECK(first == table->second && first == table->first, "half of a change was seen: %llu, %llu",
          ull(first), ull(table->second));
    count(actor, READS, 1);
    return first;
}

static void change(struct table *table, struct actor *actor)
{
    table->first++;
    if (draw(&actor->random) % 8 == 0)
        give_way();
    table->second++;
    count(actor, WRITES, BROKEN(2, &actor->random, 100) ? 0 : 1);
}

static void upgrade(struct table *table, struct actor *actor)
{
    uint64_t seen = look(table, actor);
    int err = lw_rwlock_upgrade(&table->rw, draw_deadline(&actor->random));

    if (err < 0) {
        CHECK(err == -EDEADLK || err == -ETIMEDOUT || err == -ECANCELED, "an upgrade returned %d",
              err);
        count(actor, REFUSED, 1);
        return;
    }
    CHECK(table->first == seen, "somebody wrote between a read and its upgrade");
    change(table, actor);
    err = lw_rwlock_downgrade(&table->rw);
    CHECK(err == 0, "a downgrade returned %d", err);
    CHECK(look(table, actor) == seen + 1, "somebody wrote between a write and its downgrade");
    count(actor, UPGRADES, 1);
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    struct table *table = &tables[number % TABLES];
    bool writes = (number >> 8) % 4 == 0;
    lw_lock *face = writes ? &table->rw.write : &table->rw.read;
    int err = enter(table, face, actor, draw_deadline(&actor->random));

    if (err < 0) {
        CHECK(err == -ETIMEDOUT || err == -ECANCELED, "an acquire returned %d", err);
        count(actor, CUT_SHORT, 1);
        return !torture_over();
    }
    if (writes || BROKEN(1, &actor->random, 100))
        change(table, actor);
    else if ((number >> 16) % 4 == 0)
        upgrade(table, actor);
    else
        (void)look(table, actor);
    err = lw_release(face);
    CHECK(err == 0, "a release returned %d", err);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void check(void)
{
    uint64_t all = 0;

    for (int i = 0; i < TABLES; i++) {
        CHECK(tables[i].first == tables[i].second, "counters differ");
        CHECK(!lw_locked(&tables[i].rw.write) && tables[i].rw.write._queue == NULL &&
                  tables[i].rw.read._queue == NULL,
              "table %d is still held, or waited for", i);
        all += tables[i].first;
    }
    CHECK(all == torture_sum(WRITES), "counted to %llu by %llu", ull(all),
          ull(torture_sum(WRITES)));
}

static void report(void)
{
    (void)printf("%llu reads, %llu writes = counted, %llu upgrades, %llu refused, %llu cut short",
                 ull(torture_total(READS)), ull(torture_total(WRITES)),
                 ull(torture_total(UPGRADES)), ull(torture_total(REFUSED)),
                 ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "rwlock",
    .tasks = TASKS,
    .guests = 3,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
