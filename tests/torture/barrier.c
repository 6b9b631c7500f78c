/* SPDX-License-Identifier: MIT */
/* Barriers, with and without states: all parties meet in a round, each at a place of its own, or
 * none does; and none does not without somebody having broken it, of which all are told.  Each is
 * made for a few tickets, whose holders keep what every wait said; the last compares, and frees it.
 * At one with states there is a party too many. */
#include <string.h>

#include "tests/torture/tickets.h"

enum { MET = 1, MET_WITH_STATES, BROKEN_ONES, CUT_SHORT };
enum { TASKS = 16, GUESTS = 3, SLOTS = 4, TICKETS = 5 }; /* SLOTS * (TICKETS - 1) < all of them */
enum { ROUNDS = 4 };

struct party {
    int met, err; /* so many rounds; why not all of them */
    bool broke;   /* by an abort or by its deadline */
    uint32_t places[ROUNDS];
    void *states[TICKETS];
};

struct meeting {
    struct ticketed ticketed;
    bool has_states;
    int parties, rounds;
    lw_stateful_barrier barrier; /* without states its first part */
    void *states[TICKETS];
    /* plain: what orders them is the barrier */
    bool came[ROUNDS][TICKETS];
    struct party told[TICKETS];
};

static struct slot slots[SLOTS];

/* ---- from its making to its end */

static void *make(uint64_t *random)
{
    struct meeting *meeting = calloc(1, sizeof *meeting);

    CHECK(meeting != NULL, "no memory");
    meeting->ticketed.users = TICKETS;
    meeting->has_states = draw(random) % 2 == 0;
    meeting->parties = meeting->has_states ? TICKETS - 1 : TICKETS;
    meeting->rounds = meeting->has_states ? 1 : ROUNDS;
    if (meeting->has_states)
        CHECK(lw_stateful_barrier_init(&meeting->barrier, "states", TICKETS - 1, meeting->states,
                                       TICKETS, 0) == 0,
              "no barrier");
    else
        meeting->barrier.barrier = (lw_barrier)LW_BARRIER_INIT("barrier", TICKETS);
    return meeting;
}

static void check_round(const struct meeting *meeting, int round)
{
    const struct party *one = NULL;
    uint32_t places = 0;
    int met = 0;

    for (int i = 0; i < TICKETS; i++) {
        const struct party *party = &meeting->told[i];

        if (party->met <= round)
            continue;
        CHECK(one == NULL || memcmp(one->states, party->states, sizeof one->states) == 0,
              "two parties were given different states");
        one = party;
        met++;
        places |= UINT32_C(1) << party->places[round];
    }
    CHECK(met == 0 || met == meeting->parties, "%d of %d parties have met in round %d", met,
          meeting->parties, round);
    CHECK(places == (UINT32_C(1) << met) - 1, "the places of %d parties: %x", met, places);
    torture_add(meeting->has_states ? MET_WITH_STATES : MET, met != 0);
}

static void check_meeting(const struct meeting *meeting)
{
    int complete = 0, breaks = 0, timeouts = 0;

    for (int round = 0; round < meeting->rounds; round++)
        check_round(meeting, round);
    for (int i = 0; i < TICKETS; i++) {
        const struct party *party = &meeting->told[i];

        CHECK((party->err == 0) == (party->met == meeting->rounds), "told %d after %d rounds",
              party->err, party->met);
        complete += party->err == 0;
        breaks += party->broke;
        timeouts += party->err == -ETIMEDOUT;
    }
    CHECK(complete != 0 || breaks != 0, "nobody broke it, and it is said to be broken");
    CHECK(complete == 0 || timeouts == 0, "all have met, and somebody's deadline has passed");
    torture_add(BROKEN_ONES, complete == 0);
}

static void leave(struct meeting *meeting)
{
    if (!end_use(&meeting->ticketed))
        return;
    check_meeting(meeting);
    CHECK(meeting->barrier.barrier.wait._queue == NULL &&
              lw_barrier_waiting(&meeting->barrier.barrier) == 0,
          "somebody still waits");
    torture_add(OPERATIONS, TICKETS);
    free(meeting);
}

/* ---- a party */

static lw_nsec draw_patience(uint64_t *random)
{
    uint64_t number = draw(random);

    return number % 4 == 0    ? LW_NOW
           : number % 64 == 1 ? lw_in((lw_nsec)(number >> 8) % (100 * LW_US))
                              : LW_FOREVER;
}

static int wait_once(struct meeting *meeting, int ticket, int round, lw_nsec deadline)
{
    struct party *party = &meeting->told[ticket];
    lw_barrier_states result = {.states = party->states, .states_max = TICKETS};
    void *state = &meeting->came[round][ticket];
    int err;

    if (!meeting->has_states)
        return lw_barrier_wait(&meeting->barrier.barrier, &party->places[round], deadline);
    err = lw_stateful_barrier_wait(&meeting->barrier, &state, &result, deadline);
    if (err != 0)
        return err;
    CHECK(result.count == TICKETS - 1, "%u states of %d parties", result.count, TICKETS - 1);
    CHECK(party->states[result.position] == state, "another's state at one's own place");
    party->places[round] = result.position;
    return 0;
}

/* Again and again, until the parties have met, or cannot. */
static int meet(struct meeting *meeting, int ticket, int round, uint64_t *random)
{
    struct party *party = &meeting->told[ticket];
    lw_nsec deadline;
    int err;

    for (;;) {
        deadline = draw_patience(random);
        bool shielded = shield_or_not(random);

        err = BROKEN(1, random, 1000)   ? 0
              : BROKEN(2, random, 1000) ? -EPIPE
                                        : wait_once(meeting, ticket, round, deadline);
        unshield(shielded);
        if (err != -ECANCELED && (err != -ETIMEDOUT || deadline != LW_NOW))
            break;
        torture_add(CUT_SHORT, 1);
        if (deadline == LW_NOW)
            give_way();
    }
    CHECK(!party->broke || err == -EPIPE, "a wait after an abort returned %d", err);
    CHECK(err == 0 || err == -EPIPE || (err == -ETIMEDOUT && deadline != LW_FOREVER),
          "a wait returned %d", err);
    CHECK(err == 0 || lw_barrier_broken(&meeting->barrier.barrier), "it is not broken");
    party->broke |= err == -ETIMEDOUT;
    return err;
}

static void check_came(const struct meeting *meeting, int ticket, int round)
{
    for (int i = 0; i < meeting->parties; i++) {
        const bool *came =
            meeting->has_states ? meeting->told[ticket].states[i] : &meeting->came[round][i];

        CHECK(came != NULL && *came, "met, where one had not come: round %d", round);
    }
}

static void abort_it(struct meeting *meeting, int ticket)
{
    meeting->told[ticket].broke = true;
    lw_barrier_abort(&meeting->barrier.barrier);
}

static void take_part(struct meeting *meeting, int ticket, uint64_t *random)
{
    struct party *party = &meeting->told[ticket];

    for (int round = 0; round < meeting->rounds && party->err == 0; round++) {
        meeting->came[round][ticket] = true;
        if (draw(random) % 64 == 0)
            abort_it(meeting, ticket);
        if (draw(random) % 8 == 0)
            give_way();
        party->err = meet(meeting, ticket, round, random);
        if (party->err == 0) {
            check_came(meeting, ticket, round);
            party->met++;
        }
    }
    leave(meeting);
}

/* ---- who comes */

static bool act(struct actor *actor)
{
    struct slot *slot = &slots[draw(&actor->random) % SLOTS];
    int ticket;
    struct meeting *meeting = take_ticket(slot, TICKETS, make, &actor->random, &ticket);

    if (meeting != NULL)
        take_part(meeting, ticket, &actor->random);
    return !torture_over();
}

/* The others do not come any more. */
static void finish(void)
{
    uint64_t random = torture_stream();

    for (int i = 0; i < SLOTS; i++) {
        struct meeting *meeting = close_slot(&slots[i]);
        int first = meeting != NULL ? meeting->ticketed.issued : TICKETS;

        for (int ticket = first; ticket < TICKETS; ticket++)
            abort_it(meeting, ticket);
        for (int ticket = first; ticket < TICKETS; ticket++)
            take_part(meeting, ticket, &random);
    }
}

static void setup(void)
{
    for (int i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){.mutex = LW_MUTEX_INIT("slot")};
}

static void check(void)
{
    for (int i = 0; i < SLOTS; i++)
        CHECK(slots[i].open == NULL, "a barrier was forgotten");
}

static void report(void)
{
    (void)printf("met %llu times, %llu times with states, %llu were broken, %llu waits cut short",
                 ull(torture_total(MET)), ull(torture_total(MET_WITH_STATES)),
                 ull(torture_total(BROKEN_ONES)), ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "barrier",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
