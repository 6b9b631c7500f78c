/* SPDX-License-Identifier: MIT */
/* What is passed on arrives: rings of tasks and plain threads pass a baton for ever, each waits for
 * it without a deadline, and nobody else wakes them; so one lost wakeup stops the ring, and the
 * watch of torture.c sees it when the last ring stands or the lap does not end.
 *
 * A ring passes by futex, event, semaphore, condition or channel: one without room, one of which an
 * item is awaited, and one in which room is awaited.  The baton's number of laps is a plain
 * variable: who has been handed the baton sees all that was written before.
 *
 * One ring has nothing but mutexes, one more than members: its places.  Each member is at a place,
 * which it holds, and waits for the next one; only whose next one is free can move.  It takes that,
 * has the baton, and passes it by letting go of the place where it was.  So for each release there
 * is one waiter, and no later release of the same mutex makes up for one that woke nobody. */
#include "tests/torture/torture.h"

enum { PASSED = 1 /* one per kind */ };
enum { FUTEX, EVENT, SEMAPHORE, CONDITION, RENDEZVOUS, ITEM, ROOM, MUTEX, KINDS };
enum { RING = 4, PLACES = RING + 1, MEMBERS = RING * KINDS, GUESTS = KINDS };

static struct seat {
    uint32_t word;
    bool turn;
    lw_event event;
    lw_semaphore semaphore;
    lw_condition condition;
    lw_channel channel;
    bool room[1]; /* the channel's */
    int place;    /* where the member is */
} __attribute__((aligned(128))) seats[MEMBERS];

static struct ring {
    lw_mutex mutex;
    uint64_t passes; /* its holder's */
    int left;        /* members that have not done with the lap */
    uint32_t seated;
    lw_mutex places[PLACES];
} __attribute__((aligned(128))) rings[KINDS];

/* Members of a ring are KINDS apart; the first has the baton. */
static struct seat *next_seat(int index)
{
    return &seats[(index + KINDS) % MEMBERS];
}

static lw_mutex *place_at(int place)
{
    return &rings[MUTEX].places[(place + PLACES) % PLACES];
}

/* Take the places of the start, which leave the last one free: nobody moves before all have. */
static void sit_down(struct seat *seat, int position)
{
    struct ring *ring = &rings[MUTEX];
    uint32_t seated;
    int err = 0;

    seat->place = position;
    CHECK(lw_mutex_acquire(place_at(position), LW_FOREVER) == 0, "a free mutex");
    if (lw_add_acq_rel(&ring->seated, 1) + 1 == RING)
        (void)lw_futex_wake(&ring->seated, LW_ALL);
    while ((seated = lw_load_acq(&ring->seated)) < RING && (err == 0 || err == -EAGAIN))
        err = lw_futex_wait(&ring->seated, seated, LW_FOREVER);
    CHECK(err == 0 || err == -EAGAIN, "a wait without an end returned %d", err);
}

/* From the place before the caller's, which is now its own, on: the next member moves there. */
static void move_up(struct seat *seat, bool wake, bool more)
{
    int err = wake ? lw_mutex_release(place_at(seat->place)) : 0;

    seat->place = (seat->place + PLACES - 1) % PLACES;
    if (err == 0 && !more)
        err = lw_mutex_release(place_at(seat->place));
    CHECK(err == 0, "a release returned %d", err);
}

static void pass(int kind, struct seat *to, bool wake)
{
    static const bool token = true;
    bool item;
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
    } else if (kind == RENDEZVOUS || kind == ITEM) {
        err = wake ? lw_channel_send(&to->channel, &token, LW_FOREVER) : 0;
    } else if (kind == ROOM) {
        err = wake ? lw_channel_receive(&to->channel, &item, LW_NOW) : 0;
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
    bool token = true;
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
    } else if (kind == RENDEZVOUS || kind == ITEM) {
        err = lw_channel_receive(&seat->channel, &token, LW_FOREVER);
    } else if (kind == ROOM) {
        err = lw_channel_send(&seat->channel, &token, LW_FOREVER);
    } else if (kind == MUTEX) {
        err = lw_mutex_acquire(place_at(seat->place - 1), LW_FOREVER);
    } else {
        LW_WITH(&rings[CONDITION].mutex.lock, LW_FOREVER, err) {
            err = lw_condition_wait_for(&seat->condition, &rings[CONDITION].mutex.lock, has_turn,
                                        seat, LW_FOREVER);
            seat->turn = false;
        }
    }
    CHECK(err == 0, "kind %d: a wait without an end returned %d", kind, err);
}

/* A ring that a lost wakeup has stopped must stand, and not be set going by who breaks circles. */
static void setup(void)
{
    const lw_detector_options off = {.mode = LW_DETECTOR_OFF};
    static const bool token = true;

    CHECK(lw_detector_set(&off) == 0, "the detector is turned off");
    for (int i = 0; i < MEMBERS; i++) {
        struct seat *seat = &seats[i];

        *seat = (struct seat){.semaphore = LW_SEMAPHORE_INIT("seat", 0)};
        lw_channel_init(&seat->channel, "seat", seat->room, sizeof token,
                        i % KINDS == RENDEZVOUS ? 0 : 1);
        if (i % KINDS == ROOM)
            CHECK(lw_channel_send(&seat->channel, &token, LW_NOW) == 0, "there is room");
    }
    for (int i = 0; i < KINDS; i++)
        rings[i] = (struct ring){.left = RING};
}

/* The holder that sees the lap's end says so to the next, and each then passes once more. */
static bool act(struct actor *actor)
{
    int kind = actor->index % KINDS, position = actor->index / KINDS;
    struct ring *ring = &rings[kind];
    struct seat *seat = &seats[actor->index];
    bool first = lw_load_rlx(&actor->counts[OPERATIONS]) == 0, more, wake;

    if (kind == MUTEX && first)
        sit_down(seat, position);
    if (kind == MUTEX || position > 0 || !first)
        await(kind, seat);
    CHECK(ring->passes % RING == (uint64_t)position, "kind %d: %llu passes", kind,
          ull(ring->passes));
    ring->passes++;
    if (ring->left < RING || torture_over())
        ring->left--;
    more = ring->left == RING;
    wake = !more || !(BROKEN(1, &actor->random, 10000) ||
                      (kind == MUTEX && BROKEN(2, &actor->random, 1000)));
    count(actor, PASSED + kind, 1);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 64 == 0)
        give_way();
    if (kind == MUTEX)
        move_up(seat, wake, more);
    else if (ring->left > 0)
        pass(kind, next_seat(actor->index), wake);
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
    static const char *const names[KINDS] = {"futex", "event", "semaphore", "condition",
                                             "channel", "item", "room", "mutex"};

    (void)printf("passed by");
    for (int i = 0; i < KINDS; i++)
        (void)printf("%s %s %llu times", i == 0 ? "" : ",", names[i],
                     ull(torture_total(PASSED + i)));
}

const struct torture torture = {
    .name = "baton",
    .tasks = MEMBERS - GUESTS,
    .guests = GUESTS,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
