/* SPDX-License-Identifier: MIT */
/* What is passed on arrives: rings of tasks and plain threads pass a baton for ever, each waits for
 * it without a deadline, and nobody else wakes them; so one lost wakeup stops the ring, and the
 * watch of torture.c sees it when the last ring stands or the lap does not end.
 *
 * A ring passes by futex, event, semaphore, condition or channel.  The baton's number of laps is a
 * plain variable: who has been handed the baton sees all that was written before. */
#include "tests/torture/torture.h"

enum { PASSED = 1 /* one per kind */ };
enum { FUTEX, EVENT, SEMAPHORE, CONDITION, CHANNEL, KINDS, TASKS = 25, GUESTS = 5 };
enum { MEMBERS = TASKS + GUESTS, RING = MEMBERS / KINDS };

static struct seat {
    uint32_t word;
    bool turn;
    lw_event event;
    lw_semaphore semaphore;
    lw_condition condition;
    lw_channel channel;
} __attribute__((aligned(128))) seats[MEMBERS];

static struct ring {
    lw_mutex mutex;
    uint64_t passes; /* its holder's */
    int left;        /* members that have not done with the lap */
} __attribute__((aligned(128))) rings[KINDS];

/* Members of a ring are its kind apart; the first has the baton. */
static struct seat *next_seat(int index)
{
    return &seats[(index + KINDS) % MEMBERS];
}

static void pass(int kind, struct seat *to, bool wake)
{
    static const bool token = true;
    int err = 0;

    if (kind == FUTEX) {
        lw_store_rel(&to->word, 1);
        if (wake)
            (void)lw_futex_wake(&to->word, 1);
    } else if (kind == EVENT) {
        if (wake)
            lw_event_set(&to->event);
    } else if (kind == SEMAPHORE) {
        err = wake ? lw_semaphore_release(&to->semaphore, 1) : 0;
    } else if (kind == CHANNEL) {
        err = wake ? lw_channel_send(&to->channel, &token, LW_FOREVER) : 0;
    } else {
        LW_WITH(&rings[CONDITION].mutex.lock, LW_FOREVER, err) {
            to->turn = true;
            if (wake)
                (void)lw_condition_notify(&to->condition, 1);
        }
    }
    CHECK(err == 0, "kind %d: %d", kind, err);
}

static bool has_turn(void *seat)
{
    return ((struct seat *)seat)->turn;
}

static void await(int kind, struct seat *seat)
{
    bool token = false;
    int err = 0;

    if (kind == FUTEX) {
        while (lw_load_acq(&seat->word) == 0 && (err == 0 || err == -EAGAIN))
            err = lw_futex_wait(&seat->word, 0, LW_FOREVER);
        if (err == -EAGAIN)
            err = 0;
        lw_store_rlx(&seat->word, 0);
    } else if (kind == EVENT) {
        err = lw_event_wait(&seat->event, LW_FOREVER);
        lw_event_clear(&seat->event);
    } else if (kind == SEMAPHORE) {
        err = lw_semaphore_acquire(&seat->semaphore, 1, LW_FOREVER);
    } else if (kind == CHANNEL) {
        err = lw_channel_receive(&seat->channel, &token, LW_FOREVER);
    } else {
        LW_WITH(&rings[CONDITION].mutex.lock, LW_FOREVER, err) {
            err = lw_condition_wait_for(&seat->condition, &rings[CONDITION].mutex.lock, has_turn,
                                        seat, LW_FOREVER);
            seat->turn = false;
        }
    }
    CHECK(err == 0, "kind %d: a wait without an end returned %d", kind, err);
}

static void setup(void)
{
    for (int i = 0; i < MEMBERS; i++)
        seats[i] = (struct seat){.semaphore = LW_SEMAPHORE_INIT("seat", 0),
                                 .channel = LW_RENDEZVOUS_INIT("seat", bool)};
    for (int i = 0; i < KINDS; i++)
        rings[i] = (struct ring){.left = RING};
}

/* The holder that sees the lap's end says so to the next, and each then passes once more. */
static bool act(struct actor *actor)
{
    int kind = actor->index % KINDS;
    struct ring *ring = &rings[kind];
    bool first = actor->index < KINDS && lw_load_rlx(&actor->counts[OPERATIONS]) == 0, more;

    if (!first)
        await(kind, &seats[actor->index]);
    CHECK(ring->passes % RING == (uint64_t)(actor->index / KINDS), "kind %d: %llu passes", kind,
          ull(ring->passes));
    ring->passes++;
    if (ring->left < RING || torture_over())
        ring->left--;
    more = ring->left == RING;
    count(actor, PASSED + kind, 1);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 64 == 0)
        give_way();
    if (ring->left > 0)
        pass(kind, next_seat(actor->index), !BROKEN(&actor->random, 10000));
    return more;
}

static void check(void)
{
    for (int i = 0; i < KINDS; i++)
        CHECK(rings[i].passes == torture_sum(PASSED + i), "kind %d: %llu passes, %llu counted", i,
              ull(rings[i].passes), ull(torture_sum(PASSED + i)));
}

static void report(void)
{
    static const char *const names[KINDS] = {"futex", "event", "semaphore", "condition", "channel"};

    (void)printf("passed by");
    for (int i = 0; i < KINDS; i++)
        (void)printf("%s %s %llu times", i == 0 ? "" : ",", names[i],
                     ull(torture_total(PASSED + i)));
}

const struct torture torture = {
    .name = "baton",
    .tasks = TASKS,
    .guests = GUESTS,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
