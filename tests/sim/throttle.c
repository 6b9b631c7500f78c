/* SPDX-License-Identifier: MIT */
/* A throttle in many schedules: nobody enters before the slot, no two slots are closer than the
 * gap, and none is lost but those of who gave up before others. */
#include "tests/sim/explore.h"

TestSuite(throttle, .init = watchdog);

enum { TASKS = 3, ENTRIES = 3 };

#define GAP (10 * LW_US)

static struct {
    lw_throttle throttle;
    lw_nsec begun, passed[TASKS * ENTRIES];
    int entered, cut_short, cancelled, failed, draws;
    uint64_t clock;
    int taken[2 * TASKS * ENTRIES + 1];
} it;

static double draw(double jitter)
{
    it.draws++;
    lw_sim_point();
    return jitter;
}

static const lw_throttle_options options = {
    .rate_max = 1e9, .window = UINT32_MAX, .jitter = -1, .random = draw};

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    LW_SIM_CHECK(lw_throttle_init(&it.throttle, "throttle", 1e5, &options) == 0);
    it.begun = lw_now();
}

static void check_it_is_at_rest(void)
{
    uint32_t successes, failures;

    sim_weak_flush_all();
    lw_throttle_counts(&it.throttle, &successes, &failures);
    LW_SIM_CHECK(it.throttle._word._value == 0);
    LW_SIM_CHECK(successes == (uint32_t)(it.entered - it.failed));
    LW_SIM_CHECK(failures == (uint32_t)it.failed);
}

/* The n-th to pass, in whatever order, has at least n gaps behind it. */
static void check_spaces(void)
{
    for (int i = 0; i < it.entered; i++) {
        int before = 0;

        for (int n = 0; n < it.entered; n++)
            before += it.passed[n] < it.passed[i];
        LW_SIM_CHECK(it.passed[i] - it.begun >= before * GAP);
    }
}

/* ---- deadlines and cancels */

static int enter_some(void *arg)
{
    for (int i = 0; i < ENTRIES; i++) {
        lw_nsec deadline = draw_deadline();
        int draws = it.draws, err = lw_throttle_enter(&it.throttle, deadline);

        LW_SIM_CHECK(it.draws > draws);
        if (err == 0) {
            bool fails = sim_choose(2) == 1;

            it.passed[it.entered++] = lw_now();
            it.failed += fails;
            lw_throttle_exit(&it.throttle, fails ? -EIO : 0);
            continue;
        }
        LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                       : err == -ETIMEDOUT && deadline != LW_FOREVER);
        LW_SIM_CHECK(err == -ECANCELED || lw_now() >= deadline);
        it.cut_short++;
        it.cancelled += err == -ECANCELED;
    }
    return 0;
}

static int enter_in_any_order(void *arg)
{
    lw_task tasks[TASKS];
    lw_nsec ahead;

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(enter_some, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entered + it.cut_short == TASKS * ENTRIES && it.cancelled <= 1);
    LW_SIM_CHECK(it.draws == TASKS * ENTRIES);
    check_spaces();
    check_it_is_at_rest();
    /* Nobody waits: at most the one slot of who was cancelled lies ahead. */
    ahead = (lw_nsec)it.throttle._last._value - lw_now();
    LW_SIM_CHECK(ahead <= it.cancelled * GAP);
    /* Each number is that of an entry, or of one that was cancelled and not the newest. */
    LW_SIM_CHECK(it.throttle._newest._value >= (uint64_t)it.entered);
    LW_SIM_CHECK(it.throttle._newest._value <= (uint64_t)(it.entered + it.cancelled));
    return 0;
}

Test(throttle, slots_are_spaced_whoever_gives_up)
{
    sim_all(enter_in_any_order, NULL);
}

/* ---- all at once */

static int enter_once(void *arg)
{
    int err = lw_throttle_enter(&it.throttle, LW_FOREVER);

    (void)arg;
    if (err == 0)
        it.passed[it.entered++] = lw_now();
    return err;
}

static int enter_at_once(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(enter_once, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entered == TASKS && it.throttle._newest._value == TASKS);
    check_spaces();
    LW_SIM_CHECK((lw_nsec)it.throttle._last._value - it.begun >= (TASKS - 1) * GAP);
    return 0;
}

Test(throttle, those_who_come_at_once_are_spaced)
{
    sim_all(enter_at_once, NULL);
    sim_every(enter_at_once, NULL, 1, 100);
}

/* ---- the newest is cancelled, or another comes first */

/* Slots are exact by a clock that stands still, whatever becomes of the sleepers. */
static lw_nsec stand_still(void)
{
    lw_sim_point();
    return 0;
}

static int keep_entering(void *arg)
{
    int err = lw_throttle_enter(&it.throttle, LW_FOREVER);

    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL));
    it.entered += err == 0;
    it.cancelled += err == -ECANCELED;
    return 0;
}

/* The first passes at once; of the two behind it one is cancelled while the other takes a slot. */
static int cancel_while_another_comes(void *arg)
{
    lw_throttle_options still = options;
    lw_task one, other;
    uint64_t last, newest;

    (void)arg;
    set_up();
    still.now = stand_still;
    LW_SIM_CHECK(lw_throttle_init(&it.throttle, "throttle", 1, &still) == 0);
    LW_SIM_CHECK(lw_throttle_enter(&it.throttle, LW_NOW) == 0);
    one = start_waiting(keep_entering, &it);
    other = start(keep_entering, NULL);
    (void)lw_cancel(one);
    LW_SIM_CHECK(end_of(one) == 0 && end_of(other) == 0);
    sim_weak_flush_all();
    LW_SIM_CHECK(it.entered + it.cancelled == 2 && it.cancelled <= 1);
    /* The other has the slot that was given back, or the one behind it. */
    last = it.throttle._last._value / LW_SEC;
    newest = it.throttle._newest._value;
    LW_SIM_CHECK((last == 2 && newest == 3) || (last == 1 && newest == 2 && it.cancelled == 1));
    return 0;
}

Test(throttle, a_slot_is_given_back_or_passed_by)
{
    sim_all(cancel_while_another_comes, NULL);
    sim_every(cancel_while_another_comes, NULL, 1, 100);
}

/* ---- a clock that all move on, and nobody back */

static lw_nsec read_the_clock(void)
{
    uint64_t now = lw_load_rlx(&it.clock);

    *(uint64_t *)lw_data() = now;
    return (lw_nsec)(now * LW_SEC);
}

static int move_it_and_try(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2 * ENTRIES; i++) {
        if (sim_choose(2) == 1)
            (void)lw_add_rlx(&it.clock, 1);
        if (lw_throttle_enter(&it.throttle, LW_NOW) == 0)
            LW_SIM_CHECK(!it.taken[*(uint64_t *)lw_data()]++);
    }
    return 0;
}

/* One a second: who read the clock before others moved it on does not move the slots back. */
static int move_the_clock(void *arg)
{
    lw_throttle_options moved = options;
    uint64_t read[TASKS + 1];
    lw_task tasks[TASKS];

    (void)arg;
    memset(&it, 0, sizeof it);
    moved.now = read_the_clock;
    lw_set_data(&read[TASKS]);
    LW_SIM_CHECK(lw_throttle_init(&it.throttle, "throttle", 1, &moved) == 0);
    for (int i = 0; i < TASKS; i++) {
        lw_task_options with = {.data = &read[i]};

        LW_SIM_CHECK(lw_spawn(&tasks[i], move_it_and_try, NULL, &with) == 0);
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

Test(throttle, a_clock_that_goes_on_is_not_taken_for_one_that_went_back)
{
    sim_all(move_the_clock, NULL);
}

/* ---- draws */

static int try_to_enter(void *arg)
{
    int err = lw_throttle_enter(arg, LW_NOW);

    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    return 0;
}

/* Each draws a number of its own: the state is as many steps further. */
static int draw_at_once(void *arg)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    lw_throttle_options own = options;
    lw_task tasks[TASKS];
    uint64_t before;

    (void)arg;
    own.random = NULL;
    own.jitter = 1;
    LW_SIM_CHECK(lw_throttle_init(&it.throttle, "throttle", 1, &own) == 0);
    before = it.throttle._random._value;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(try_to_enter, &it.throttle);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.throttle._random._value == before + TASKS * step);
    return 0;
}

Test(throttle, no_number_is_drawn_twice)
{
    sim_all(draw_at_once, NULL);
}

/* ---- the rate, from all sides */

static int exit_some(void *arg)
{
    for (int i = 0; i < ENTRIES; i++)
        lw_throttle_exit(&it.throttle, (int)(intptr_t)arg);
    return 0;
}

/* A window of two, and nine successes: four adjustments. */
static int adjust_from_all_sides(void *arg)
{
    lw_throttle_options adjusting = options;
    lw_task tasks[TASKS];
    uint32_t successes, failures;
    double rate;

    memset(&it, 0, sizeof it);
    adjusting.window = 2;
    adjusting.factor_up = 2;
    adjusting.factor_down = 0.5;
    LW_SIM_CHECK(lw_throttle_init(&it.throttle, "throttle", 1e5, &adjusting) == 0);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(exit_some, arg);
    if (sim_choose(2) == 1)
        LW_SIM_CHECK(lw_throttle_set_rate(&it.throttle, 1e5) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    sim_weak_flush_all();
    lw_throttle_counts(&it.throttle, &successes, &failures);
    LW_SIM_CHECK(successes + failures == 1 && successes == (arg == NULL));
    rate = lw_throttle_rate(&it.throttle);
    /* Four times, or as often as there were adjustments after the rate was set. */
    for (int n = 0; n <= 4; n++) {
        if (rate == 1e5)
            return 0;
        rate = arg == NULL ? rate / 2 : rate * 2;
    }
    LW_SIM_CHECK(false);
    return 0;
}

Test(throttle, no_exit_is_lost)
{
    sim_all(adjust_from_all_sides, NULL);
    sim_all(adjust_from_all_sides, (void *)(intptr_t)-EIO);
    sim_every(adjust_from_all_sides, NULL, 1, 100);
}
