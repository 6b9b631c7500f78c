/* SPDX-License-Identifier: MIT */
/* Rate limits in many schedules, on a clock that is exact: no more is granted than time brings,
 * what time brings is granted in time and in order, and who leaves the line, whatever happens at
 * the same moment, takes nothing and holds nobody up.  Of one task alone: rate_limit_numbers.c. */
#include "tests/sim/explore.h"

TestSuite(rate_limit, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_rate_limit limit;
    lw_nsec begun, due[TASKS];
    double taken, given, rate_max;
    int granted, cut_short, refused, inside, users;
    bool burned;
} it;

static void set_up(double rate, double capacity, uint32_t flags)
{
    memset(&it, 0, sizeof it);
    LW_SIM_CHECK(lw_rate_limit_init(&it.limit, "limit", rate, capacity, flags) == 0);
    it.begun = lw_now();
    it.rate_max = rate;
}

static void drain(void)
{
    LW_SIM_CHECK(lw_rate_limit_acquire(&it.limit, it.limit._capacity, LW_NOW) == 0);
}

static double seconds(lw_nsec distance)
{
    return (double)distance / (double)LW_SEC;
}

/* What was granted cannot have been there before: R252. */
static void note_grant(double tokens)
{
    double most = it.limit._capacity + it.given + it.rate_max * seconds(lw_now() - it.begun);

    it.granted++;
    it.taken += tokens;
    LW_SIM_CHECK(it.taken <= most + 1e-6);
}

static void note_end(int err, lw_nsec deadline, const void *cancelled)
{
    LW_SIM_CHECK(err == -ECANCELED ? cancelled != NULL && deadline != LW_NOW
                                   : err == -ETIMEDOUT && deadline != LW_FOREVER);
    LW_SIM_CHECK(err == -ECANCELED || lw_now() >= deadline);
    it.cut_short++;
    it.refused += err == -ECANCELED;
}

static double no_refill(const lw_rate_limit *limit, double tokens, lw_nsec elapsed)
{
    LW_SIM_CHECK(it.inside++ == 0 && tokens == limit->_tokens && elapsed >= 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0 && tokens == limit->_tokens);
    return tokens + seconds(elapsed) * limit->_rate / 2;
}

/* ---- each acquire ends in one way, and no more is granted than there was */

static int take_by_drawn_deadlines(void *arg)
{
    for (int i = 0; i < 2; i++) {
        double tokens = 1 + sim_choose(3);
        lw_nsec deadline = draw_deadline();
        int err = lw_rate_limit_acquire(&it.limit, tokens, deadline);

        if (err < 0) {
            note_end(err, deadline, arg);
            continue;
        }
        note_grant(tokens);
        lw_sim_point();
        if (sim_choose(2) == 1) {
            it.given += tokens;
            LW_SIM_CHECK(lw_rate_limit_release(&it.limit, tokens) == 0);
        }
    }
    return 0;
}

/* arg: with a refill. */
static int grant_no_more(void *arg)
{
    static const double rates[] = {0, 50, 2e5};
    lw_task tasks[TASKS];

    set_up(100, 3, sim_choose(2));
    it.limit.refill = arg != NULL ? no_refill : NULL;
    it.rate_max = 2e5;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(take_by_drawn_deadlines, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < 3; i++) {
        LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, rates[sim_choose(3)]) == 0);
        it.given = it.limit._capacity * TASKS; /* it has grown */
        lw_sim_point();
    }
    LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, 100) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted + it.cut_short == 2 * TASKS && it.refused <= 1);
    LW_SIM_CHECK(it.limit.lock._queue == NULL);
    LW_SIM_CHECK(lw_rate_limit_tokens(&it.limit) <= lw_rate_limit_capacity(&it.limit));
    return 0;
}

Test(rate_limit, every_wait_ends_in_one_way_while_the_rate_moves)
{
    sim_all(grant_no_more, NULL);
    sim_all(grant_no_more, &it);
}

/* The rate stays: then it is exact. */
static int take_over_time(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        double tokens = 1 + sim_choose(4);
        lw_nsec deadline = draw_deadline();
        int err;

        if (sim_choose(2) == 1)
            LW_SIM_CHECK(lw_sleep(lw_in((1 + sim_choose(9)) * LW_MS)) == 0);
        err = lw_rate_limit_acquire(&it.limit, tokens, deadline);
        LW_SIM_CHECK(err == 0 || (err == -ETIMEDOUT && deadline != LW_FOREVER));
        if (err == 0)
            note_grant(tokens);
    }
    return 0;
}

static int no_credit_for_idling(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(500, 4, sim_choose(2));
    if (sim_choose(2) == 1) {
        LW_SIM_CHECK(lw_sleep(lw_in(100 * LW_MS)) == 0);
        drain(); /* and what it has idled away is nobody's */
        it.begun = it.limit._at;
        it.given = -4;
    }
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(take_over_time, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.limit.lock._queue == NULL);
    return 0;
}

Test(rate_limit, r252_no_more_than_capacity_and_what_time_brings)
{
    sim_all(no_credit_for_idling, NULL);
}

/* ---- in time, and in order */

static int take_in_line(void *arg)
{
    uintptr_t i = (uintptr_t)arg;

    LW_SIM_CHECK(lw_rate_limit_acquire(&it.limit, (double)(TASKS - i), LW_FOREVER) == 0);
    note_grant((double)(TASKS - i));
    LW_SIM_CHECK(lw_now() >= it.due[i]); /* R246: of an earlier one the tokens come before */
    return 0;
}

static int come_by(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(lw_sleep(lw_in((lw_nsec)sim_choose(8) * 100 * LW_MS)) == 0);
    err = lw_rate_limit_acquire(&it.limit, 1, sim_choose(2) == 0 ? LW_NOW : LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    if (err < 0)
        return 0;
    note_grant(1);
    LW_SIM_CHECK(lw_now() >= it.begun + 700 * LW_MS); /* R246: after their six */
    return 0;
}

/* 3, 2 and 1 tokens at one in 100 ms: R245, for each of them as soon as it is first.  arg: of the
 * first so many, and nobody comes by. */
static int serve_in_time(void *arg)
{
    int count = arg != NULL ? *(int *)arg : TASKS;
    lw_task tasks[TASKS];
    lw_nsec all = 0;

    set_up(0, 3, 0);
    drain();
    for (int i = 0; i < count; i++) {
        all += (TASKS - i) * 100 * LW_MS;
        it.due[i] = lw_now() + all;
        tasks[i] = start_waiting(take_in_line, (void *)(uintptr_t)i);
    }
    it.begun = lw_now();
    it.rate_max = 10;
    LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, 10) == 0);
    if (arg == NULL)
        LW_SIM_CHECK(end_of(start(come_by, NULL)) == 0);
    for (int i = 0; i < count; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    /* Nothing but the tokens' own time passed. */
    LW_SIM_CHECK(sim_idle() <= all + 200 * LW_MS + 4 * NAPS);
    LW_SIM_CHECK(it.limit.lock._queue == NULL);
    return 0;
}

Test(rate_limit, those_who_wait_are_served_in_order_as_time_goes_by)
{
    static int two = 2;

    sim_all(serve_in_time, NULL);
    sim_every(serve_in_time, &two, 1, 300);
}

/* ---- a head that leaves, at the moment when it is due or added to */

static int take_or_give_up(void *arg)
{
    lw_nsec deadline = arg != NULL ? it.due[0] : LW_FOREVER;
    double tokens = arg != NULL ? 2 : 1;
    int err = lw_rate_limit_acquire(&it.limit, tokens, deadline);

    LW_SIM_CHECK(err == 0 || (is_cut_short(err) && arg != NULL));
    if (err == 0)
        note_grant(tokens);
    it.cut_short += err != 0;
    return 0;
}

/* The head's tokens and its deadline come at one moment, and a cancel and a release about then. */
static int all_at_once(void *arg)
{
    lw_task head, next;
    lw_nsec idle;

    set_up(1e5, 2, arg != NULL ? LW_RATE_LIMIT_UNFAIR : 0);
    drain();
    it.due[0] = it.limit._at + 20 * LW_US;
    head = start(take_or_give_up, &it);
    next = start(take_or_give_up, NULL);
    if (sim_choose(2) == 0)
        (void)lw_cancel(head);
    it.given = 1;
    LW_SIM_CHECK(lw_rate_limit_release(&it.limit, 1) == 0);
    LW_SIM_CHECK(end_of(head) == 0);
    LW_SIM_CHECK(end_of(next) == 0);
    idle = sim_idle();
    LW_SIM_CHECK(idle <= 2 * NAPS);
    LW_SIM_CHECK(it.granted + it.cut_short == 2 && it.granted >= 1);
    LW_SIM_CHECK(it.limit.lock._queue == NULL);
    return 0;
}

Test(rate_limit, a_head_that_leaves_holds_nobody_up)
{
    sim_all(all_at_once, NULL);
    sim_all(all_at_once, &it);
    sim_every(all_at_once, NULL, 1, 300);
    sim_every(all_at_once, &it, 1, 300);
}

/* Frozen: nobody comes by, and no timer makes up for who was forgotten. */
static int leave_a_frozen_line(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(0, 2, 0);
    LW_SIM_CHECK(lw_rate_limit_acquire(&it.limit, 1, LW_NOW) == 0);
    it.due[0] = sim_choose(2) == 0 ? LW_FOREVER : lw_in(10 * LW_US);
    tasks[0] = start(take_or_give_up, &it);
    UNTIL(it.limit.lock._queue != NULL || it.cut_short == 1);
    tasks[1] = start(take_or_give_up, NULL);
    if (it.due[0] == LW_FOREVER)
        LW_SIM_CHECK(lw_cancel(tasks[0]) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.cut_short == 1 && it.granted == 1 && it.limit._tokens == 0);
    LW_SIM_CHECK(it.limit.lock._queue == NULL && nobody_waited());
    return 0;
}

Test(rate_limit, r248_r249_who_comes_next_is_served_as_if_it_had_never_queued)
{
    sim_all(leave_a_frozen_line, NULL);
    sim_every(leave_a_frozen_line, NULL, 1, 300);
    sim_every(leave_a_frozen_line, NULL, 1, 1000);
}

/* ---- what others do is known at once */

static int take_two(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_rate_limit_acquire(&it.limit, 2, LW_FOREVER) == 0);
    note_grant(2);
    return 0;
}

/* Three want two each; what is added comes in ones, from two sides, and without it they would wait
 * for an hour. */
static int give_ones(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        it.given++;
        LW_SIM_CHECK(lw_rate_limit_release(&it.limit, 1) == 0);
        lw_sim_point();
    }
    return 0;
}

static int added_is_taken(void *arg)
{
    lw_task tasks[TASKS], others[2];

    set_up(1 / 3600.0, 6, sim_choose(2));
    it.limit.refill = arg != NULL ? no_refill : NULL;
    drain();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(take_two, NULL);
    for (int i = 0; i < 2; i++)
        others[i] = start(give_ones, NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted == TASKS && nobody_waited());
    return 0;
}

Test(rate_limit, r254_nobody_waits_for_what_was_added)
{
    sim_all(added_is_taken, NULL);
    sim_all(added_is_taken, &it);
    sim_every(added_is_taken, NULL, 1, 300);
}

static int new_rate(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up(0, 2, 0);
    drain();
    for (int i = 0; i < 2; i++)
        tasks[i] = start(take_two, NULL);
    LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, 1e-3) == 0);
    lw_sim_point();
    it.rate_max = 2e5;
    LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, 2e5) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted == 2 && nobody_waited());
    return 0;
}

Test(rate_limit, r257_a_new_rate_is_known_at_once)
{
    sim_all(new_rate, NULL);
    sim_every(new_rate, NULL, 1, 300);
}

/* ---- newest first */

static int take_newest(void *arg)
{
    LW_SIM_CHECK(lw_rate_limit_acquire(&it.limit, 1, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_now() >= it.due[(uintptr_t)arg]); /* R247: that of a newer one is before */
    return 0;
}

static int serve_newest(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(0, 3, LW_RATE_LIMIT_UNFAIR);
    drain();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start_waiting(take_newest, (void *)i);
    for (int i = 0; i < TASKS; i++)
        it.due[i] = lw_now() + (TASKS - i) * LW_SEC;
    LW_SIM_CHECK(lw_rate_limit_set_rate(&it.limit, 1) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(sim_idle() <= 3 * LW_SEC + 4 * NAPS);
    return 0;
}

Test(rate_limit, r247_the_newest_is_served_first)
{
    sim_all(serve_newest, NULL);
}

/* ---- memory */

static int leave_and_burn(void *arg)
{
    int err = lw_rate_limit_acquire(&it.limit, 1, LW_FOREVER);

    if (err == -ECANCELED) { /* its use counts all the same */
        LW_SIM_CHECK(arg != NULL);
        err = lw_rate_limit_acquire(&it.limit, 1, LW_FOREVER);
    }
    LW_SIM_CHECK(err == 0 && !it.burned);
    if (--it.users == 0) {
        it.burned = true;
        BURN(&it.limit);
    }
    return 0;
}

/* Who gets the last token may free it, though it was served by one who is still in an acquire. */
static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up(1e5, 1, 0);
    it.users = TASKS;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(leave_and_burn, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.limit; i++)
        LW_SIM_CHECK(((unsigned char *)&it.limit)[i] == 0xdb);
    return 0;
}

Test(rate_limit, the_last_user_may_free_it)
{
    sim_all(burn_after_use, NULL);
}
