/* SPDX-License-Identifier: MIT */
/* The laws of lw_barrier and lw_stateful_barrier.  Rows R171 to R194. */
#include "tests/primitives/crowd.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(barrier, .init = watchdog);

enum { PARTIES = 3 };

/* ---- meetings */

struct shared {
    lw_barrier barrier;
    int came[CROWD_MAX]; /* plain: how often each did, written before it comes */
    int seen[CROWD_MAX]; /* positions of the present meeting */
    int members;
};

static void meet_often(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int round = 1; round <= 30; round++) {
        uint32_t position = UINT32_MAX;

        shared->came[member->index] = round;
        cr_assert_eq(lw_barrier_wait(&shared->barrier, &position, LW_FOREVER), 0);
        cr_assert_lt(position, (uint32_t)shared->members, "R181");
        for (int i = 0; i < shared->members; i++)
            cr_assert_geq(shared->came[i], round, "all have come");
        (void)__atomic_add_fetch(&shared->seen[position], 1, __ATOMIC_ACQ_REL);
        cr_assert_eq(lw_barrier_wait(&shared->barrier, NULL, LW_FOREVER), 0);
        for (int i = 0; i < shared->members; i++)
            cr_assert_eq(__atomic_load_n(&shared->seen[i], __ATOMIC_ACQUIRE), round, "R181: each");
        cr_assert_eq(lw_barrier_wait(&shared->barrier, NULL, LW_FOREVER), 0);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(15); seed++) {
        struct shared shared = {.barrier = LW_BARRIER_INIT("crowd", 8), .members = 8};
        struct crowd crowd = {
            .tasks = 6, .threads = 2, .act = meet_often, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(lw_barrier_waiting(&shared.barrier), 0);
        cr_assert_not(lw_barrier_broken(&shared.barrier));
    }
    return 0;
}

Test(barrier, all_have_come_before_one_goes_on)
{
    run_all(crowds, NULL);
}

/* ---- one party in a task of its own */

struct party {
    lw_barrier *barrier;
    lw_nsec within;
    uint32_t position;
};

static int attend(void *arg)
{
    struct party *party = arg;

    return lw_barrier_wait(party->barrier, &party->position,
                           party->within == 0 ? LW_FOREVER : lw_in(party->within));
}

static int use_codes(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("codes", PARTIES), one = LW_BARRIER_INIT("one", 1),
               none = {0};
    struct party parties[2] = {{&barrier, 0, 9}, {&barrier, 0, 9}};
    uint32_t position = 9;
    lw_task tasks[2];

    (void)arg;
    cr_assert_eq(lw_barrier_wait(&none, NULL, LW_FOREVER), -EINVAL, "R175");
    cr_assert_eq(lw_barrier_wait(&one, &position, LW_NOW), 0, "R176");
    cr_assert_eq(position, 0, "R176");
    cr_assert_eq(lw_barrier_wait(&barrier, NULL, LW_NOW), -ETIMEDOUT, "R187");
    cr_assert_eq(lw_barrier_wait(&barrier, NULL, 5 * LW_MS), -EINVAL, "no moment");
    cr_assert_not(lw_barrier_broken(&barrier), "it had not come");
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(lw_barrier_waiting(&barrier), i, "R191");
        tasks[i] = start_waiter(attend, &parties[i]);
        AWAIT(lw_barrier_waiting(&barrier) != i); /* its wait begins before it is counted */
    }
    cr_assert_eq(lw_barrier_waiting(&barrier), 2, "R191");
    cr_assert_eq(barrier.parties - lw_barrier_waiting(&barrier), 1, "R194");
    cr_assert_eq(lw_barrier_wait(&barrier, &position, LW_NOW), 0, "R187: the last one");
    cr_assert_eq(position, 2, "R181");
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(join_status(tasks[i]), 0);
        cr_assert_eq(parties[i].position, i, "R181: in the order in which they came");
    }
    cr_assert_eq(lw_barrier_waiting(&barrier), 0, "R191");
    cr_assert_eq(barrier.parties, PARTIES, "R193");
    cr_assert_not(lw_barrier_broken(&barrier), "R190");
    return 0;
}

Test(barrier, the_last_one_does_not_wait)
{
    run_all(use_codes, NULL);
}

static int abort_it(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("aborted", PARTIES);
    struct party parties[2] = {{&barrier, 0, 9}, {&barrier, 0, 9}};
    lw_task tasks[2];

    (void)arg;
    cr_assert_not(lw_barrier_broken(&barrier), "R180, R190");
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(attend, &parties[i]);
    lw_barrier_abort(&barrier);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(join_status(tasks[i]), -EPIPE, "R177");
        cr_assert_eq(parties[i].position, 9);
    }
    cr_assert(lw_barrier_broken(&barrier), "R180, R190");
    cr_assert_eq(lw_barrier_waiting(&barrier), 0);
    cr_assert_eq(lw_barrier_wait(&barrier, NULL, LW_FOREVER), -EPIPE, "R178");
    lw_barrier_abort(&barrier);
    cr_assert(lw_barrier_broken(&barrier), "R179");
    return 0;
}

Test(barrier, an_abort_is_told_to_all)
{
    run_all(abort_it, NULL);
}

static int let_one_time_out(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("timed", PARTIES);
    struct party parties[2] = {{&barrier, 0, 9}, {&barrier, 2 * LW_MS, 9}};
    lw_task tasks[2];

    (void)arg;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], attend, &parties[i], NULL), 0);
    cr_assert_eq(join_status(tasks[1]), -ETIMEDOUT, "R184");
    cr_assert(lw_barrier_broken(&barrier), "R184, R190");
    cr_assert_eq(join_status(tasks[0]), -EPIPE, "R185");
    cr_assert_eq(lw_barrier_waiting(&barrier), 0, "R192");
    return 0;
}

Test(barrier, who_times_out_breaks_it)
{
    run_all(let_one_time_out, NULL);
}

static int cancel_one(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("cancelled", PARTIES);
    struct party parties[3] = {{&barrier, 0, 9}, {&barrier, 0, 9}, {&barrier, 0, 9}};
    uint32_t position;
    lw_task tasks[3];

    (void)arg;
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(attend, &parties[i]);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED, "R186");
    cr_assert_eq(lw_barrier_waiting(&barrier), 1, "R192");
    cr_assert_not(lw_barrier_broken(&barrier));
    tasks[2] = start_waiter(attend, &parties[2]);
    cr_assert(is_waiting(tasks[1]), "R186: not before a third one is there");
    cr_assert_eq(lw_barrier_wait(&barrier, &position, LW_FOREVER), 0);
    cr_assert_eq(position, 2);
    cr_assert_eq(join_status(tasks[1]), 0, "R186");
    cr_assert_eq(join_status(tasks[2]), 0);
    cr_assert(parties[1].position == 0 && parties[2].position == 1, "R181");
    return 0;
}

Test(barrier, a_cancelled_party_no_longer_counts)
{
    run_all(cancel_one, NULL);
}

/* R189: one worker: the others have not run yet. */
static int wait_twice(void *arg)
{
    int err = attend(arg);

    return err < 0 ? err : lw_sleep(LW_FOREVER);
}

static int cancel_after_the_meeting(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("late", PARTIES);
    struct party parties[2] = {{&barrier, 0, 9}, {&barrier, 0, 9}};
    lw_task tasks[2];

    (void)arg;
    tasks[0] = start_waiter(wait_twice, &parties[0]);
    tasks[1] = start_waiter(attend, &parties[1]);
    cr_assert_eq(lw_barrier_wait(&barrier, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED, "by its next wait");
    cr_assert_eq(parties[0].position, 0);
    cr_assert_eq(join_status(tasks[1]), 0, "R189");
    return 0;
}

Test(barrier, a_cancel_after_the_meeting_undoes_nothing)
{
    run_with(1, cancel_after_the_meeting, NULL);
}

/* One worker: nobody is back when it is aborted. */
static int abort_after_the_meeting(void *arg)
{
    lw_barrier barrier = LW_BARRIER_INIT("late", PARTIES);
    struct party parties[2] = {{&barrier, 0, 9}, {&barrier, 0, 9}};
    uint32_t position = 9;
    lw_task tasks[2];

    (void)arg;
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(attend, &parties[i]);
    cr_assert_eq(lw_barrier_wait(&barrier, &position, LW_FOREVER), 0);
    for (int i = 0; i < 2; i++) {
        lw_barrier_abort(&barrier);
        cr_assert(lw_barrier_broken(&barrier), "R179");
    }
    cr_assert_eq(position, 2, "R179");
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(join_status(tasks[i]), 0, "R179: they have met");
        cr_assert_eq(parties[i].position, i, "R179");
    }
    return 0;
}

Test(barrier, r179_an_abort_after_the_meeting_undoes_nothing)
{
    run_with(1, abort_after_the_meeting, NULL);
}

/* ---- states */

enum { ROOM = 5 };

struct guest {
    lw_stateful_barrier *barrier;
    void *state; /* NULL: none */
    lw_barrier_states got;
    void *states[ROOM];
};

static int bring(void *arg)
{
    struct guest *guest = arg;

    guest->got = (lw_barrier_states){.states = guest->states, .states_max = ROOM};
    return lw_stateful_barrier_wait(guest->barrier, guest->state != NULL ? &guest->state : NULL,
                                    &guest->got, LW_FOREVER);
}

#define NUMBER(n) ((void *)(intptr_t)(n))

static void check_got(const struct guest *guest, uint32_t position, uint32_t count,
                      const int *expected)
{
    cr_assert_eq(guest->got.position, position, "R181");
    cr_assert_eq(guest->got.count, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(guest->states[i], NUMBER(expected[i]), "R171, R173");
}

static void meet_with(lw_stateful_barrier *barrier, const int brought[PARTIES], uint32_t count,
                      const int *expected)
{
    struct guest guests[PARTIES];
    lw_task tasks[PARTIES];

    for (uint32_t i = 0; i < PARTIES; i++) {
        guests[i] = (struct guest){.barrier = barrier, .state = NUMBER(brought[i])};
        if (i + 1 < PARTIES)
            tasks[i] = start_waiter(bring, &guests[i]);
        else
            cr_assert_eq(bring(&guests[i]), 0);
    }
    for (uint32_t i = 0; i + 1 < PARTIES; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    memset(guests[0].got.states, 0xff, count * sizeof(void *)); /* R182: its own copy */
    for (uint32_t i = 1; i < PARTIES; i++)
        check_got(&guests[i], i, count, expected);
    cr_assert_eq(lw_stateful_barrier_wait(barrier, NULL, NULL, LW_NOW), -EPIPE, "R188");
    cr_assert(lw_barrier_broken(&barrier->barrier), "R180, R190");
    cr_assert_eq(lw_barrier_waiting(&barrier->barrier), 0, "R191");
}

static int exchange_states(void *arg)
{
    lw_stateful_barrier barrier;
    void *room[ROOM] = {NUMBER(8), NUMBER(9)};

    (void)arg;
    cr_assert_eq(lw_stateful_barrier_init(&barrier, "x", 0, room, ROOM, 0), -EINVAL, "R175");
    cr_assert_eq(lw_stateful_barrier_init(&barrier, "x", 1, room, ROOM, ROOM + 1), -EINVAL);

    cr_assert_eq(lw_stateful_barrier_init(&barrier, "named", PARTIES, room, ROOM, 0), 0);
    meet_with(&barrier, (int[]){1, 3, 5}, 3, (int[]){1, 3, 5}); /* R171 */

    room[0] = NUMBER(8);
    room[1] = NUMBER(9);
    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, PARTIES, room, ROOM, 2), 0);
    meet_with(&barrier, (int[]){1, 3, 5}, 5, (int[]){8, 9, 1, 3, 5}); /* R173 */

    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, PARTIES, room, ROOM, 0), 0);
    meet_with(&barrier, (int[]){1, 0, 5}, 2, (int[]){1, 5}); /* R183 */

    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, PARTIES, room, 2, 0), 0);
    meet_with(&barrier, (int[]){1, 3, 5}, 2, (int[]){3, 5}); /* R172 */
    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, PARTIES, NULL, 0, 0), 0);
    meet_with(&barrier, (int[]){1, 3, 5}, 0, NULL); /* R172 */
    return 0;
}

Test(barrier, all_get_the_states_of_all)
{
    run_all(exchange_states, NULL);
}

static int get_a_part(void *arg)
{
    lw_stateful_barrier barrier;
    void *room[ROOM] = {NUMBER(1), NUMBER(2), NUMBER(3)}, *mine = NUMBER(4), *states[2];
    lw_barrier_states got = {.states = states, .states_max = 2};

    (void)arg;
    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, 1, room, ROOM, 3), 0);
    cr_assert_eq(lw_stateful_barrier_wait(&barrier, &mine, &got, LW_NOW), 0);
    cr_assert_eq(got.count, 2);
    cr_assert(states[0] == NUMBER(3) && states[1] == NUMBER(4), "the newest");
    return 0;
}

Test(barrier, who_has_less_room_gets_the_newest)
{
    run_all(get_a_part, NULL);
}

static int leave_with_a_state(void *arg)
{
    lw_stateful_barrier barrier;
    void *room[ROOM];
    struct guest guests[3] = {{&barrier, NUMBER(1), {0}, {0}},
                              {&barrier, NUMBER(2), {0}, {0}},
                              {&barrier, NUMBER(3), {0}, {0}}};
    lw_task tasks[2];

    (void)arg;
    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, 2, room, ROOM, 0), 0);
    tasks[0] = start_waiter(bring, &guests[0]);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    tasks[1] = start_waiter(bring, &guests[1]);
    cr_assert_eq(bring(&guests[2]), 0);
    cr_assert_eq(join_status(tasks[1]), 0);
    check_got(&guests[2], 1, 2, (int[]){2, 3});
    return 0;
}

Test(barrier, who_leaves_takes_its_state_along)
{
    run_all(leave_with_a_state, NULL);
}

/* As above: nobody is back yet, but the states have been handed out. */
static int abort_after_the_exchange(void *arg)
{
    static const int expected[PARTIES] = {1, 2, 3};
    lw_stateful_barrier barrier;
    struct guest guests[PARTIES];
    lw_task tasks[PARTIES];
    void *room[ROOM];

    (void)arg;
    cr_assert_eq(lw_stateful_barrier_init(&barrier, NULL, PARTIES, room, ROOM, 0), 0);
    for (uint32_t i = 0; i < PARTIES; i++) {
        guests[i] = (struct guest){.barrier = &barrier, .state = NUMBER(expected[i])};
        if (i + 1 < PARTIES)
            tasks[i] = start_waiter(bring, &guests[i]);
        else
            cr_assert_eq(bring(&guests[i]), 0);
    }
    lw_barrier_abort(&barrier.barrier);
    lw_barrier_abort(&barrier.barrier);
    memset(room, 0xff, sizeof room); /* it is no longer in use */
    for (uint32_t i = 0; i < PARTIES; i++) {
        if (i + 1 < PARTIES)
            cr_assert_eq(join_status(tasks[i]), 0, "R179");
        check_got(&guests[i], i, PARTIES, expected); /* R179 */
    }
    return 0;
}

Test(barrier, r179_an_abort_after_the_meeting_takes_no_states_back)
{
    run_with(1, abort_after_the_exchange, NULL);
}

/* ---- names */

static void dump_into(char *text, size_t size)
{
    FILE *file = tmpfile();
    ssize_t got;

    cr_assert_not_null(file);
    cr_assert_eq(lw_dump(fileno(file)), 0);
    got = pread(fileno(file), text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    (void)fclose(file);
}

static int tell_names(void *arg)
{
    static char text[16384];
    lw_stateful_barrier stateful;
    lw_barrier plain = LW_BARRIER_INIT("a plain one", 2);
    struct guest guest = {.barrier = &stateful};
    struct party party = {&plain, 0, 9};
    lw_task tasks[2];

    (void)arg;
    cr_assert_eq(lw_stateful_barrier_init(&stateful, "one with states", 2, NULL, 0, 0), 0);
    tasks[0] = start_waiter(bring, &guest);
    tasks[1] = start_waiter(attend, &party);
    dump_into(text, sizeof text);
    cr_assert_not_null(strstr(text, "waits for barrier 'one with states'"), "R174: %s", text);
    cr_assert_not_null(strstr(text, "waits for barrier 'a plain one'"), "R174: %s", text);
    lw_barrier_abort(&stateful.barrier);
    lw_barrier_abort(&plain);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), -EPIPE);
    cr_assert_str_eq(stateful.barrier.wait.name, "one with states", "R174: a broken one, too");
    return 0;
}

Test(barrier, r174_what_is_told_of_its_waits_has_its_name)
{
    run_all(tell_names, NULL);
}
