/* SPDX-License-Identifier: MIT */
/* A keyed condition and a model of it, which the lock guards.  Whoever waits for a calm key stays
 * until it is notified: so a notify wakes just those whom the model says, in order, and no other.
 * Waits for a wild key end by deadlines and cancels as well; in the end as many of them were
 * notified as the notifies said.  Who waits for all goes on when all have gone who were there.
 *
 * The lock is a condition's own mutex, or an rlock that is held twice now and then. */
#include "tests/torture/tickets.h"

enum { NOTIFIED = 1, OF_ALL, WOKEN, OBSERVED, GRANTED, CUT_SHORT };
enum { TABLES = 2, KEYS = 6, INSIDE_MAX = 7, TASKS = 16, GUESTS = 3 };

static struct table {
    lw_keyed_condition condition;
    lw_rlock rlock;
    /* plain, under the lock */
    int inside; /* who waits, for whatever: fewer than there are */
    struct key {
        uint64_t came, notified; /* calm: waiters have numbers in order */
        uint64_t granted, woken; /* wild */
    } keys[KEYS];
    uint64_t granted; /* to wild keys, by notifies for all */
} tables[TABLES];

static bool is_calm(int key)
{
    return key % 2 == 0;
}

/* They are not in order. */
static uint64_t name_of(int key)
{
    uint64_t random = (uint64_t)key;

    return draw(&random);
}

/* ---- waiting; all with the lock held */

struct calm_wait {
    const struct key *key;
    uint64_t number;
};

static bool is_notified(void *arg)
{
    const struct calm_wait *wait = arg;

    return wait->number < wait->key->notified;
}

static void wait_calmly(struct table *table, int key, uint64_t *random)
{
    struct calm_wait mine = {&table->keys[key], table->keys[key].came++};
    bool shielded = lw_shield_enter() == 0;
    int err = draw(random) % 2 == 0
                  ? lw_keyed_condition_wait(&table->condition, name_of(key), LW_FOREVER)
                  : lw_keyed_condition_wait_for(&table->condition, name_of(key), is_notified, &mine,
                                                LW_FOREVER, LW_FOREVER);

    unshield(shielded);
    CHECK(err == 0, "a wait without an end returned %d", err);
    CHECK(is_notified(&mine), "number %llu goes on, %llu were notified", ull(mine.number),
          ull(mine.key->notified));
    torture_add(WOKEN, 1);
}

static void wait_wildly(struct table *table, int index, uint64_t *random)
{
    struct key *key = &table->keys[index];
    lw_nsec deadline = draw_deadline(random);
    int err = lw_keyed_condition_wait(&table->condition, name_of(index), deadline);

    CHECK(err == 0 || err == -ECANCELED || (err == -ETIMEDOUT && deadline != LW_FOREVER),
          "a wait returned %d", err);
    if (err != 0) {
        torture_add(CUT_SHORT, 1);
        return;
    }
    key->woken++;
    CHECK(key->woken <= key->granted + table->granted, "%llu have woken, %llu were notified",
          ull(key->woken), ull(key->granted + table->granted));
    torture_add(WOKEN, 1);
}

/* With the lock, or having let go of it. */
static int wait_for_all(struct table *table, bool with_lock, lw_nsec deadline)
{
    lw_lock *lock = table->condition.lock;
    int levels = 0, err, locked = 0;

    for (; !with_lock && lw_owned(lock); levels++)
        CHECK(lw_release(lock) == 0, "a release");
    err = lw_keyed_condition_wait_all(&table->condition, deadline);
    LW_SHIELD()
        for (; levels > 0 && locked == 0; levels--)
            locked = lw_acquire(lock, LW_FOREVER);
    CHECK(locked == 0, "a lock: %d", locked);
    return err;
}

/* All who are there have gone when it ends, or, of the calm ones, were notified at least. */
static void observe(struct table *table, uint64_t *random)
{
    uint64_t came[KEYS];
    lw_nsec deadline = draw_deadline(random);
    bool shielded = shield_or_not(random), with_lock = draw(random) % 2 == 0;
    int err;

    for (int i = 0; i < KEYS; i++)
        came[i] = table->keys[i].came;
    err = BROKEN(3, random, 100) ? 0 : wait_for_all(table, with_lock, deadline);
    unshield(shielded);
    CHECK(err == 0 || err == -ECANCELED || (err == -ETIMEDOUT && deadline != LW_FOREVER),
          "a wait for all returned %d", err);
    torture_add(err == 0 ? OBSERVED : CUT_SHORT, 1);
    for (int i = 0; i < KEYS; i++)
        CHECK(err != 0 || table->keys[i].notified >= came[i], "of key %d %llu are still there", i,
              ull(came[i] - table->keys[i].notified));
}

/* ---- notifying; the same */

static void notify_calm(struct table *table, int index, uint32_t count, uint32_t flags,
                        uint64_t *random)
{
    struct key *key = &table->keys[index];
    uint64_t there = key->came - key->notified, woken = count < there ? count : there;
    int other = BROKEN(1, random, 1000) ? (index + 2) % KEYS : index;
    int expected = flags == 0 || woken == count || (count == LW_ALL && woken > 0) ? (int)woken
                   : woken == 0                                                   ? -ENOENT
                                                                                  : -EAGAIN;
    int result = lw_keyed_condition_notify(&table->condition, name_of(other), count, flags);

    CHECK(result == expected, "%d instead of %d of key %d's %llu were notified", result, expected,
          index, ull(there));
    key->notified += woken;
    torture_add(NOTIFIED, woken);
}

static void notify_wild(struct table *table, int index, uint32_t count, uint64_t *random)
{
    int woken = lw_keyed_condition_notify(&table->condition, name_of(index), count, 0);

    CHECK(woken >= 0 && (uint32_t)woken <= count, "a notify returned %d", woken);
    if (woken > 0 && BROKEN(2, random, 1000))
        woken--;
    table->keys[index].granted += (uint64_t)woken;
    torture_add(NOTIFIED, (uint64_t)woken);
    torture_add(GRANTED, (uint64_t)woken);
}

static void notify_all(struct table *table)
{
    int woken = lw_keyed_condition_notify_all(&table->condition), calm = 0;

    for (int i = 0; i < KEYS; i++) {
        calm += (int)(table->keys[i].came - table->keys[i].notified);
        table->keys[i].notified = table->keys[i].came;
    }
    CHECK(woken >= calm, "all %d were notified, of %d that were there", woken, calm);
    table->granted += (uint64_t)(woken - calm);
    torture_add(OF_ALL, (uint64_t)woken);
    torture_add(GRANTED, (uint64_t)(woken - calm));
}

/* ---- who comes */

static void wait_for_something(struct table *table, int key, uint64_t *random)
{
    table->inside++;
    if (draw(random) % 16 == 0)
        observe(table, random);
    else if (is_calm(key))
        wait_calmly(table, key, random);
    else
        wait_wildly(table, key, random);
    table->inside--;
}

static void notify_somebody(struct table *table, int key, uint64_t *random)
{
    uint64_t number = draw(random);
    uint32_t count = number % 4 == 0 ? LW_ALL : 1 + number % 3;

    if ((number >> 8) % 32 == 0)
        notify_all(table);
    else if (is_calm(key))
        notify_calm(table, key, count, (number >> 16) % 2 == 0 ? LW_STRICT : 0, random);
    else
        notify_wild(table, key, count, random);
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    struct table *table = &tables[number % TABLES];
    lw_lock *lock = table->condition.lock;
    int key = (int)((number >> 8) % KEYS), err, again = -1;

    LW_WITH(lock, LW_FOREVER, err) {
        if (lock == &table->rlock.lock && (number >> 16) % 4 == 0)
            again = lw_acquire(lock, LW_FOREVER);
        if ((number >> 24) % 2 == 0 && table->inside < INSIDE_MAX)
            wait_for_something(table, key, &actor->random);
        else
            notify_somebody(table, key, &actor->random);
        if ((number >> 32) % 16 == 0)
            give_way();
        if (again == 0)
            CHECK(lw_release(lock) == 0, "it was held twice");
        CHECK(lw_owned(lock), "the lock was lost");
    }
    CHECK(err == 0 || err == -ECANCELED, "a lock: %d", err);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void finish(void)
{
    int err;

    for (int i = 0; i < TABLES; i++) {
        LW_WITH(tables[i].condition.lock, LW_FOREVER, err)
            notify_all(&tables[i]);
        CHECK(err == 0, "a lock: %d", err);
    }
}

static void setup(void)
{
    for (int i = 0; i < TABLES; i++) {
        tables[i] = (struct table){.rlock = LW_RLOCK_INIT("rlock")};
        lw_keyed_condition_init(&tables[i].condition, "keyed",
                                i % 2 == 0 ? NULL : &tables[i].rlock.lock);
    }
}

static void check(void)
{
    uint64_t woken = 0;

    for (int i = 0; i < TABLES; i++) {
        const lw_keyed_condition *condition = &tables[i].condition;

        CHECK(condition->wait._queue == NULL && condition->_observers == NULL &&
                  condition->_waiting == 0 && tables[i].inside == 0,
              "somebody still waits");
        for (int key = 0; key < KEYS; key++)
            woken += tables[i].keys[key].woken;
    }
    CHECK(woken == torture_sum(GRANTED), "%llu have woken, %llu were notified", ull(woken),
          ull(torture_sum(GRANTED)));
    CHECK(torture_sum(WOKEN) == torture_sum(NOTIFIED) + torture_sum(OF_ALL),
          "%llu have woken, %llu were notified", ull(torture_sum(WOKEN)),
          ull(torture_sum(NOTIFIED) + torture_sum(OF_ALL)));
}

static void report(void)
{
    (void)printf("%llu woken = %llu notified by key + %llu with all, %llu waits for all, "
                 "%llu cut short",
                 ull(torture_total(WOKEN)), ull(torture_total(NOTIFIED)),
                 ull(torture_total(OF_ALL)), ull(torture_total(OBSERVED)),
                 ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "keyed",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
