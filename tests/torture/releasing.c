/* SPDX-License-Identifier: MIT */
/* Locks that are let go of for a while: who is inside adds one to a plain counter, in two steps,
 * lets others in by LW_RELEASING, and adds one again, whatever came meanwhile: cancels, purges, and
 * many who want the lock.  In the end the counter is the number of steps.
 *
 * A reentrant lock that is held twice stays held in the body, where the counter is added to as
 * well. */
#include <latchwork/releasing.h>

#include "tests/torture/torture.h"

enum { GRANTED = 1, CUT_SHORT, PURGED, LET_GO, NESTED, INSIDE /* one per section */ };
enum { MUTEX, RLOCK, PRIORITY_LOCK, KINDS, SECTIONS = 2 * KINDS };

static struct section {
    lw_lock lock;
    uint64_t plain;
} sections[SECTIONS];

static void setup(void)
{
    static const lw_mutex mutex = LW_MUTEX_INIT("mutex");
    static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
    static const lw_priority_lock ranked = LW_PRIORITY_LOCK_INIT("priority lock");
    static const lw_lock *const kinds[KINDS] = {
        [MUTEX] = &mutex.lock, [RLOCK] = &rlock.lock, [PRIORITY_LOCK] = &ranked.lock};

    for (int i = 0; i < SECTIONS; i++)
        sections[i] = (struct section){.lock = *kinds[i % KINDS]};
}

static void add_one(struct actor *actor, struct section *section)
{
    uint64_t seen = section->plain;

    if (draw(&actor->random) % 64 == 0)
        give_way();
    section->plain = seen + 1;
    count(actor, INSIDE + (int)(section - sections), 1);
}

/* Neither a cancel nor a deadline is any of the body's. */
static void be_outside(struct actor *actor)
{
    uint64_t number = draw(&actor->random);

    if (number % 8 == 0)
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 8) % (50 * LW_US)));
    else if (number % 2 == 0)
        give_way();
}

/* All who wait; of these who let go of it come again. */
static void purge(struct actor *actor, struct section *section)
{
    int purged = lw_purge_waiters(&section->lock);

    CHECK(purged >= 0, "a purge returned %d", purged);
    count(actor, PURGED, (uint64_t)purged);
}

static void let_go(struct actor *actor, struct section *section)
{
    bool early = BROKEN(1, &actor->random, 1000), forgotten = BROKEN(2, &actor->random, 1000);
    int err, outcome = (int)(draw(&actor->random) % 1000);

    if (forgotten) {
        CHECK(lw_releasing_enter(&section->lock) == 0, "it is not let go of");
        err = outcome;
    } else {
        LW_RELEASING(&section->lock, err) {
            if (early)
                add_one(actor, section);
            be_outside(actor);
            err = outcome;
        }
    }
    CHECK(err == outcome, "the body's %d has become %d", outcome, err);
    CHECK(lw_owned(&section->lock), "it is not held any more");
    count(actor, LET_GO, 1);
}

static void nest(struct actor *actor, struct section *section)
{
    int err;

    CHECK(lw_acquire(&section->lock, LW_NOW) == 0, "it does not nest");
    LW_RELEASING(&section->lock, err) {
        CHECK(lw_owned(&section->lock), "both levels are gone");
        add_one(actor, section);
    }
    CHECK(err == 0 && lw_release(&section->lock) == 0, "a level is gone");
    count(actor, NESTED, 1);
}

static void be_inside(struct actor *actor, struct section *section)
{
    uint64_t number = draw(&actor->random);

    add_one(actor, section);
    if (number % 256 == 0)
        purge(actor, section);
    if ((section - sections) % KINDS == RLOCK && (number >> 8) % 4 == 0)
        nest(actor, section);
    let_go(actor, section);
    add_one(actor, section);
    CHECK(lw_release(&section->lock) == 0, "it could not be left");
}

static bool act(struct actor *actor)
{
    struct section *section = &sections[draw(&actor->random) % SECTIONS];
    lw_nsec deadline = draw_deadline(&actor->random);
    int err = lw_acquire(&section->lock, deadline);

    CHECK(err == 0 || err == -EPIPE || err == -ECANCELED ||
              (err == -ETIMEDOUT && deadline != LW_FOREVER),
          "an acquire returned %d", err);
    if (err == 0)
        be_inside(actor, section);
    count(actor, err == 0 ? GRANTED : CUT_SHORT, 1);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 16 == 0)
        give_way();
    return !torture_over();
}

static void check(void)
{
    for (int i = 0; i < SECTIONS; i++) {
        CHECK(sections[i].plain == torture_sum(INSIDE + i), "%s: counted to %llu by %llu",
              sections[i].lock.name, ull(sections[i].plain), ull(torture_sum(INSIDE + i)));
        CHECK(!lw_locked(&sections[i].lock) && sections[i].lock._queue == NULL,
              "%s: somebody has it", sections[i].lock.name);
    }
}

static void report(void)
{
    (void)printf("%llu were inside and let go %llu times, %llu nested; %llu waits cut short, %llu "
                 "purged",
                 ull(torture_total(GRANTED)), ull(torture_total(LET_GO)),
                 ull(torture_total(NESTED)), ull(torture_total(CUT_SHORT)),
                 ull(torture_total(PURGED)));
}

const struct torture torture = {
    .name = "releasing",
    .tasks = 24,
    .guests = 3,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
