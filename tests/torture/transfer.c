/* SPDX-License-Identifier: MIT */
/* One at a time, whoever has it: who is inside adds one to a plain counter, and may hand the lock
 * to a child of his, which adds one, too, or ends with it.  Meanwhile others take two at once, in
 * any order, or send all away who wait.
 *
 * In the end each counter is the number of those that were inside, and as many waits were told
 * -EPIPE as were counted by those who purged. */
#include "tests/torture/torture.h"

enum { TAKEN = 1, HANDED, ENDED, REPAIRED, PURGED, TOLD, CUT_SHORT, INSIDE /* one per section */ };
enum { SECTIONS = 6 };

static struct section {
    lw_lock lock;
    uint64_t plain;
} sections[SECTIONS];

static void setup(void)
{
    const lw_mutex mutex = LW_MUTEX_INIT("mutex");
    const lw_rlock rlock = LW_RLOCK_INIT("rlock");
    const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
    const lw_lock *const kinds[] = {&mutex.lock, &rlock.lock, &priority_lock.lock};

    for (int i = 0; i < SECTIONS; i++) {
        sections[i] = (struct section){.lock = *kinds[i % 3]};
        sections[i].lock.data = LW_DATA_ROBUST;
    }
}

static int number_of(const struct section *section)
{
    return (int)(section - sections);
}

/* Inside: alone with the counter. */
static void add_one(struct section *section, uint64_t number)
{
    uint64_t seen = section->plain;

    if (number % 64 == 0)
        give_way();
    section->plain = seen + 1;
}

static int enter(struct actor *actor, struct section *section, lw_nsec deadline)
{
    int err = lw_acquire(&section->lock, deadline);

    if (err == -EOWNERDEAD) {
        err = lw_acquire_inconsistent(&section->lock, deadline);
        if (err == 1) {
            CHECK(lw_consistent(&section->lock) == 0, "the owner could not say so");
            count(actor, REPAIRED, 1);
            err = 0;
        }
    }
    return err;
}

static int add_and_release(void *arg)
{
    struct section *section = arg;

    while (!lw_owned(&section->lock))
        give_way();
    add_one(section, 0);
    torture_add(INSIDE + number_of(section), 1);
    return lw_release(&section->lock);
}

static int just_end(void *arg)
{
    (void)arg;
    return 0;
}

/* False: the child has ended before, and the lock is still the caller's. */
static bool hand_to_child(struct actor *actor, struct section *section)
{
    bool ends = draw(&actor->random) % 2 == 0;
    lw_task child;
    int err, status = 1;

    CHECK(lw_spawn(&child, ends ? just_end : add_and_release, section, NULL) == 0, "no child");
    if (ends && draw(&actor->random) % 2 == 0)
        give_way();
    err = lw_transfer(&section->lock, child);
    CHECK(err == 0 || (err == -ESRCH && ends), "a transfer returned %d", err);
    count(actor, ends ? ENDED : HANDED, err == 0);
    while (lw_join(child, &status, LW_FOREVER) == -ECANCELED)
        continue;
    CHECK(status == 0, "a child returned %d", status);
    return err == 0;
}

static void count_end(struct actor *actor, int err)
{
    CHECK(err == 0 || err == -EPIPE || err == -ETIMEDOUT || err == -ECANCELED,
          "an acquire returned %d", err);
    count(actor, err == 0 ? TAKEN : err == -EPIPE ? TOLD : CUT_SHORT, 1);
}

static void take_one(struct actor *actor, struct section *section)
{
    bool skip = BROKEN(1, &actor->random, 1000);
    int err = skip ? 0 : enter(actor, section, draw_deadline(&actor->random));

    count_end(actor, err);
    if (err != 0)
        return;
    add_one(section, draw(&actor->random));
    count(actor, INSIDE + number_of(section), 1);
    if (!skip && (draw(&actor->random) % 8 != 0 || !hand_to_child(actor, section)))
        CHECK(lw_release(&section->lock) == 0, "it could not be left");
}

static void take_two(struct actor *actor, struct section *one, struct section *two)
{
    lw_lock *locks[] = {&one->lock, &two->lock};
    int err = one == two ? -EOWNERDEAD
                         : lw_acquire_all(locks, 2, draw_deadline(&actor->random));

    if (err == -EOWNERDEAD) /* it is taken by itself next time, and repaired */
        return;
    count_end(actor, err);
    if (err != 0)
        return;
    add_one(one, draw(&actor->random));
    add_one(two, draw(&actor->random));
    count(actor, INSIDE + number_of(one), 1);
    count(actor, INSIDE + number_of(two), 1);
    CHECK(lw_release_all(locks, 2) == 0, "two could not be left");
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    struct section *one = &sections[(number >> 8) % SECTIONS];
    struct section *two = &sections[(number >> 16) % SECTIONS];

    if (number % 16 == 0) {
        int purged = lw_purge_waiters(&one->lock);

        count(actor, PURGED, (uint64_t)purged + BROKEN(2, &actor->random, 1000));
    } else if (number % 4 == 1) {
        take_two(actor, one, two);
    } else {
        take_one(actor, one);
    }
    count(actor, OPERATIONS, 1);
    if (number >> 32 & 1)
        give_way();
    return !torture_over();
}

static void check(void)
{
    for (int i = 0; i < SECTIONS; i++)
        CHECK(sections[i].plain == torture_sum(INSIDE + i), "lock %d: counted to %llu by %llu", i,
              ull(sections[i].plain), ull(torture_sum(INSIDE + i)));
    CHECK(torture_sum(PURGED) == torture_sum(TOLD), "%llu were purged, %llu were told",
          ull(torture_sum(PURGED)), ull(torture_sum(TOLD)));
}

static void report(void)
{
    (void)printf("%llu taken, %llu handed on, %llu to one who ended, %llu repaired, %llu purged",
                 ull(torture_total(TAKEN)), ull(torture_total(HANDED)),
                 ull(torture_total(ENDED)), ull(torture_total(REPAIRED)),
                 ull(torture_total(PURGED)));
}

const struct torture torture = {
    .name = "transfer",
    .tasks = 14,
    .guests = 4,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
