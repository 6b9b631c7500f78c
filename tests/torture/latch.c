/* SPDX-License-Identifier: MIT */
/* Latches of one count and of several: who waits passes when, and only when, all have counted that
 * it waits for.  Each is made for a few tickets, used, and freed by the last who has passed it, at
 * once.  Some of their holders count down, some wait, some do both; who only counts touches it no
 * more, and it may be gone before the count down returns. */
#include "tests/torture/tickets.h"

enum { LATCHES = 1, MULTI_LATCHES, CUT_SHORT };
enum { TASKS = 16, GUESTS = 3, SLOTS = 4, TICKETS = 5 }; /* SLOTS * (TICKETS - 1) < all of them */
enum { KEYS = 2 };

struct gate {
    struct ticketed ticketed;
    bool is_multi;
    int shift; /* of what a ticket is for */
    lw_latch latch;
    lw_multi_latch multi;
    lw_latch_entry entries[KEYS];
    bool came[TICKETS]; /* plain: what orders it is the latch */
};

static struct slot slots[SLOTS];

/* ---- what a ticket is for */

/* 0: waits; 1: counts; 2: does both. */
static int part_of(const struct gate *gate, int ticket)
{
    return (ticket + gate->shift) % 3;
}

static bool counts(const struct gate *gate, int ticket)
{
    return part_of(gate, ticket) != 0;
}

static bool waits(const struct gate *gate, int ticket)
{
    return part_of(gate, ticket) != 1;
}

/* One of those who only count does so for all keys. */
static bool counts_all(const struct gate *gate, int ticket)
{
    return ticket + gate->shift == 4;
}

/* Who only waits is one for all keys. */
static bool waits_all(const struct gate *gate, int ticket)
{
    return !gate->is_multi || part_of(gate, ticket) == 0;
}

static int key_of(int ticket)
{
    return ticket % KEYS;
}

static uint32_t by(int ticket)
{
    return 1 + (uint32_t)ticket % 3;
}

static bool does_wait_for(const struct gate *gate, int ticket, int other)
{
    return counts(gate, other) && (waits_all(gate, ticket) || counts_all(gate, other) ||
                                   key_of(ticket) == key_of(other));
}

/* ---- from its making to its end */

static void *make(uint64_t *random)
{
    struct gate *gate = calloc(1, sizeof *gate);
    uint64_t number = draw(random);
    uint32_t all = 0;

    CHECK(gate != NULL, "no memory");
    gate->is_multi = number % 2 == 0;
    gate->shift = (int)((number >> 8) % 3);
    for (uint64_t key = 0; key < KEYS; key++)
        gate->entries[key] = (lw_latch_entry){.key = key};
    for (int i = 0; i < TICKETS; i++) {
        gate->ticketed.users += waits(gate, i);
        all += counts(gate, i) ? by(i) : 0;
        for (int key = 0; key < KEYS; key++)
            gate->entries[key].count +=
                counts_all(gate, i) || (counts(gate, i) && key_of(i) == key);
    }
    gate->latch = (lw_latch)LW_LATCH_INIT("latch", all);
    CHECK(lw_multi_latch_init(&gate->multi, "latches", gate->entries, KEYS) == 0, "no latch");
    return gate;
}

static void leave(struct gate *gate)
{
    if (!end_use(&gate->ticketed))
        return;
    CHECK(gate->is_multi ||
              (gate->latch.wait._word._value == 0 && gate->latch.wait._queue == NULL),
          "an open latch is not all zero");
    torture_add(gate->is_multi ? MULTI_LATCHES : LATCHES, 1);
    torture_add(OPERATIONS, TICKETS);
    free(gate);
}

/* ---- counting and passing */

/* If the caller does not wait as well, the gate may be gone afterwards. */
static void count_down(struct gate *gate, int ticket, uint64_t *random)
{
    int err = 0;

    gate->came[ticket] = true;
    if (BROKEN(2, random, 1000))
        return;
    if (!gate->is_multi)
        err = lw_latch_count_down(&gate->latch, by(ticket));
    else if (counts_all(gate, ticket))
        lw_multi_latch_count_down_all(&gate->multi);
    else
        err = lw_multi_latch_count_down(&gate->multi, (uint64_t)key_of(ticket), LW_STRICT);
    CHECK(err == 0, "a count down returned %d", err);
}

static int wait_for_it(struct gate *gate, int ticket, lw_nsec deadline)
{
    if (!gate->is_multi)
        return lw_latch_wait(&gate->latch, deadline);
    if (waits_all(gate, ticket))
        return lw_multi_latch_wait_all(&gate->multi, deadline);
    return lw_multi_latch_wait(&gate->multi, (uint64_t)key_of(ticket), LW_STRICT, deadline);
}

/* A count down too many is rare: it looks at the queue, and would make up for a lost wakeup. */
static void check_open(struct gate *gate, int ticket, uint64_t *random)
{
    int err;

    for (int i = 0; i < TICKETS; i++)
        CHECK(!does_wait_for(gate, ticket, i) || gate->came[i],
              "passed before it was opened: %d did not wait for %d", ticket, i);
    CHECK(gate->is_multi ? !waits_all(gate, ticket) || lw_multi_latch_broken(&gate->multi)
                         : lw_latch_count(&gate->latch) == 0,
          "open, but there is a count");
    if (draw(random) % 64 != 0)
        return;
    if (!gate->is_multi)
        err = lw_latch_count_down(&gate->latch, 1);
    else
        err = lw_multi_latch_count_down(&gate->multi, (uint64_t)key_of(ticket), LW_STRICT);
    CHECK(err == -EOVERFLOW, "a count down of what is open returned %d", err);
}

static void pass(struct gate *gate, int ticket, uint64_t *random)
{
    uint64_t cut_short = 0;
    int err;

    do {
        lw_nsec deadline = draw_deadline(random);
        bool shielded = shield_or_not(random);

        err = BROKEN(1, random, 1000) ? 0 : wait_for_it(gate, ticket, deadline);
        unshield(shielded);
        CHECK(err == 0 || (err == -ETIMEDOUT && deadline != LW_FOREVER) || err == -ECANCELED,
              "a wait returned %d", err);
        cut_short += err != 0;
        if (deadline == LW_NOW)
            give_way();
    } while (err != 0);
    check_open(gate, ticket, random);
    torture_add(CUT_SHORT, cut_short);
    leave(gate);
}

/* ---- who comes */

static bool act(struct actor *actor)
{
    struct slot *slot = &slots[draw(&actor->random) % SLOTS];
    int ticket;
    struct gate *gate = take_ticket(slot, TICKETS, make, &actor->random, &ticket);
    bool stays = gate != NULL && waits(gate, ticket);

    if (gate == NULL)
        return !torture_over();
    if (draw(&actor->random) % 8 == 0)
        give_way();
    if (counts(gate, ticket))
        count_down(gate, ticket, &actor->random);
    if (stays)
        pass(gate, ticket, &actor->random);
    return !torture_over();
}

/* In place of those who do not come any more. */
static void finish(void)
{
    uint64_t random = torture_stream();

    for (int i = 0; i < SLOTS; i++) {
        struct gate *gate = close_slot(&slots[i]);
        int first = gate != NULL ? gate->ticketed.issued : TICKETS;
        bool stays[TICKETS] = {false};

        for (int ticket = first; ticket < TICKETS; ticket++)
            stays[ticket] = waits(gate, ticket);
        for (int ticket = first; ticket < TICKETS; ticket++)
            if (counts(gate, ticket))
                count_down(gate, ticket, &random);
        for (int ticket = first; ticket < TICKETS; ticket++)
            if (stays[ticket])
                pass(gate, ticket, &random);
    }
}

static void setup(void)
{
    for (int i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){.mutex = LW_MUTEX_INIT("slot")};
}

/* To what is left only some came who count, and have done so. */
static void check(void)
{
    for (int i = 0; i < SLOTS; i++) {
        struct gate *gate = (struct gate *)(void *)slots[i].open;

        for (int ticket = 0; gate != NULL && ticket < gate->ticketed.issued; ticket++)
            CHECK(!waits(gate, ticket), "somebody who waits was forgotten");
        free(gate);
    }
}

static void report(void)
{
    (void)printf("opened %llu latches and %llu of several counts, %llu waits cut short",
                 ull(torture_total(LATCHES)), ull(torture_total(MULTI_LATCHES)),
                 ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "latch",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
