/* SPDX-License-Identifier: MIT */
/* One at a time: who is let in adds one to a plain counter, in two steps with anything between
 * them, and in the end the counter is the number of those that were let in.
 *
 * The sections are guarded by a mutex, by a semaphore of one permit, and by a flag that is waited
 * for with a condition.  In every other lap some are held for 1 to 20 ms, asleep or computing. */
#include "tests/torture/torture.h"

enum { GRANTED = 1, TIMEDOUT, CANCELLED, LONG, INSIDE /* one per section */ };
enum { MUTEX, SEMAPHORE, FLAG, KINDS, SECTIONS = 2 * KINDS };

static struct section {
    int kind;
    lw_mutex mutex;
    lw_semaphore semaphore;
    lw_condition condition;
    bool busy;
    uint64_t plain;
} sections[SECTIONS];

static void setup(void)
{
    for (int i = 0; i < SECTIONS; i++)
        sections[i] =
            (struct section){.kind = i % KINDS, .semaphore = LW_SEMAPHORE_INIT("section", 1)};
}

static bool is_free(void *section)
{
    return !((struct section *)section)->busy;
}

static int enter(struct section *section, lw_nsec deadline)
{
    int err;

    if (section->kind == MUTEX)
        return lw_mutex_acquire(&section->mutex, deadline);
    if (section->kind == SEMAPHORE)
        return lw_semaphore_acquire(&section->semaphore, 1, deadline);
    LW_WITH(&section->mutex.lock, deadline, err) {
        err = lw_condition_wait_for(&section->condition, &section->mutex.lock, is_free, section,
                                    deadline);
        if (err == 0)
            section->busy = true;
    }
    return err;
}

static void leave(struct section *section)
{
    int err = 0;

    if (section->kind == MUTEX)
        err = lw_mutex_release(&section->mutex);
    else if (section->kind == SEMAPHORE)
        err = lw_semaphore_release(&section->semaphore, 1);
    else
        LW_SHIELD()
            LW_WITH(&section->mutex.lock, LW_FOREVER, err) {
                section->busy = false;
                (void)lw_condition_notify(&section->condition, 1);
            }
    CHECK(err == 0, "a section of kind %d could not be left: %d", section->kind, err);
}

static void hold_long(uint64_t number)
{
    lw_nsec end = lw_in(LW_MS + (lw_nsec)(number >> 8) % (19 * LW_MS));

    if (number % 2 == 0)
        (void)!lw_sleep(end);
    else
        while (lw_now() < end)
            continue;
}

/* Inside: alone with the counter. */
static void add_one(struct actor *actor, struct section *section)
{
    uint64_t seen = section->plain, number = draw(&actor->random);

    if (number % 64 == 0)
        give_way();
    if (number % 4099 == 0 && torture_lap() % 2 == 1) {
        hold_long(number >> 16);
        count(actor, LONG, 1);
    }
    section->plain = seen + 1;
    count(actor, INSIDE + (int)(section - sections), 1);
}

static bool act(struct actor *actor)
{
    struct section *section = &sections[draw(&actor->random) % SECTIONS];
    bool skip = BROKEN(1, &actor->random, 1000);
    int err = skip ? 0 : enter(section, draw_deadline(&actor->random));

    if (err == 0) {
        add_one(actor, section);
        if (!skip)
            leave(section);
    }
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "an acquire returned %d", err);
    count(actor, err == 0 ? GRANTED : err == -ETIMEDOUT ? TIMEDOUT : CANCELLED, 1);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 16 == 0)
        give_way();
    return !torture_over();
}

static void check(void)
{
    for (int i = 0; i < SECTIONS; i++)
        CHECK(sections[i].plain == torture_sum(INSIDE + i), "kind %d: counted to %llu by %llu",
              sections[i].kind, ull(sections[i].plain), ull(torture_sum(INSIDE + i)));
}

static void report(void)
{
    (void)printf("counted to %llu by as many, %llu timeouts, %llu cancelled, %llu long holds",
                 ull(torture_total(GRANTED)), ull(torture_total(TIMEDOUT)),
                 ull(torture_total(CANCELLED)), ull(torture_total(LONG)));
}

const struct torture torture = {
    .name = "exclusion",
    .tasks = 24,
    .guests = 3,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
