/* SPDX-License-Identifier: MIT */
/* The laws of lw_throttle: who enters when.  Rows R142 to R151; who does not get in after all is in
 * throttle-vain.c, how the rate changes in throttle-rate.c; its defaults are in defaults.c. */
#include "tests/primitives/throttles.h"

#include <float.h>
#include <latchwork/defaults.h>
#include <sys/wait.h>

TestSuite(throttle, .init = watchdog);

/* ---- making one */

static void assert_refused(double rate, lw_throttle_options options, const char *what)
{
    lw_throttle throttle, before;

    memset(&throttle, 0xdb, sizeof throttle);
    before = throttle;
    cr_assert_eq(lw_throttle_init(&throttle, NULL, rate, &options), -EINVAL, "R142: %s", what);
    cr_assert_eq(memcmp(&throttle, &before, sizeof throttle), 0);
}

#define REFUSED(rate, field, value)                                                                \
    do {                                                                                           \
        lw_throttle_options options_ = small;                                                      \
                                                                                                   \
        options_.field = (value);                                                                  \
        assert_refused((rate), options_, #rate ", " #field " = " #value);                          \
    } while (0)

Test(throttle, numbers_that_make_no_sense_are_refused)
{
    lw_throttle zeroed = {0};
    int err;

    assert_refused(0.0001, small, "too low");
    assert_refused(1001, small, "too high");
    assert_refused(0, small, "0");
    assert_refused(-1, small, "negative");
    assert_refused(NAN, small, "NaN");
    assert_refused(HUGE_VAL, small, "infinite");
    REFUSED(1, rate_min, -0.1);
    REFUSED(1, rate_min, NAN);
    REFUSED(1, rate_min, 1001);
    REFUSED(1, rate_max, NAN);
    REFUSED(1, rate_max, -1);
    REFUSED(1, rate_max, HUGE_VAL);
    REFUSED(1, ratio_high, NAN);
    REFUSED(1, ratio_high, 0.2);
    REFUSED(1, ratio_low, NAN);
    REFUSED(1, factor_up, 0.99);
    REFUSED(1, factor_up, NAN);
    REFUSED(1, factor_down, 1.01);
    REFUSED(1, factor_down, -0.5);
    REFUSED(1, factor_down, NAN);
    REFUSED(1, jitter, NAN);
    cr_assert_eq(try(&zeroed), -EINVAL);
    cr_assert_eq(lw_throttle_set_rate(&zeroed, 1), -EINVAL);
    lw_throttle_exit(&zeroed, 0);
    assert_counts(&zeroed, 0, 0);
    LW_SCOPE(&zeroed.scope, LW_NOW, err)
        cr_assert_fail("entered");
    cr_assert_eq(err, -EINVAL);
}

/* R149: what has no window is not made: a negative one cannot be said, and 0 is the default, which
 * cannot be 0 either. */
Test(throttle, r149_a_window_is_a_whole_one)
{
    lw_throttle_options options = small;
    lw_throttle throttle;
    lw_defaults defaults;

    cr_assert_gt((__typeof__(options.window))-1, 0, "R149: it has no sign");
    options.window = 0;
    make(&throttle, 1, &options);
    cr_assert_eq(throttle.options.window, 100, "R149");
    for (uint32_t i = 1; i <= 100; i++) {
        lw_throttle_exit(&throttle, 0);
        assert_counts(&throttle, i, 0);
    }
    cr_assert_eq(lw_throttle_rate(&throttle), 1, "R149: not before");
    lw_throttle_exit(&throttle, 0);
    cr_assert_eq(lw_throttle_rate(&throttle), 2, "R149");
    assert_counts(&throttle, 1, 0);
    lw_get_defaults(&defaults);
    defaults.throttle.window = 0;
    cr_assert_eq(lw_set_defaults(&defaults), -EINVAL, "R149");
    make(&throttle, 1, &options);
    cr_assert_eq(throttle.options.window, 100, "R149: the old default");
}

/* ---- slots */

Test(throttle, slots_are_as_far_apart_as_the_rate_says)
{
    lw_throttle throttle;

    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0, "R145");
    for (int i = 0; i < 5; i++)
        assert_next_in(&throttle, GAP); /* R157: by that clock */
    clock_now += 10 * GAP;
    cr_assert_eq(try(&throttle), 0);
    cr_assert_eq(try(&throttle), -ETIMEDOUT, "who comes late does not make up for it");
    assert_next_in(&throttle, GAP);
    make(&throttle, 3, &small);
    cr_assert_eq(try(&throttle), 0);
    assert_next_in(&throttle, 333333334); /* rounded up */
}

Test(throttle, the_first_does_not_wait_whatever_the_gap_and_the_moment)
{
    static const lw_nsec moments[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    lw_throttle_options options = small;

    options.rate_min = DBL_MIN;
    for (int i = 0; i < 50; i++) {
        lw_throttle throttle;

        clock_now = moments[i % 5];
        cr_assert_eq(lw_throttle_init(&throttle, NULL, i < 25 ? DBL_MIN : 1, &options), 0);
        clock_now = moments[i / 5 % 5];
        next_draw = 1;
        cr_assert_eq(try(&throttle), 0, "R145");
        for (int n = 0; n < 9; n++) {
            cr_assert_eq(try(&throttle), -ETIMEDOUT);
            cr_assert_eq(lw_throttle_enter(&throttle, lw_in(LW_US)), -ETIMEDOUT);
        }
    }
}

/* Slots are years apart, and as far ahead as they get. */
static int queue_for_years(void *arg)
{
    lw_throttle_options options = small;
    lw_throttle throttle;
    lw_task tasks[4];

    (void)arg;
    options.rate_min = DBL_MIN;
    make(&throttle, DBL_MIN, &options);
    cr_assert_eq(try(&throttle), 0);
    for (int i = 0; i < 4; i++) {
        tasks[i] = start_waiter(enter, &throttle);
        cr_assert_eq(try(&throttle), -ETIMEDOUT);
    }
    for (int i = 3; i >= 0; i--) {
        cr_assert_eq(lw_cancel(tasks[i]), 0);
        cr_assert_eq(join_status(tasks[i]), -ECANCELED);
    }
    cr_assert_eq(lw_throttle_set_rate(&throttle, 0.01), 0);
    assert_next_in(&throttle, GAP);
    return 0;
}

Test(throttle, slots_lie_ahead_however_far)
{
    run_all(queue_for_years, NULL);
}

static int wait_in_turn(void *arg)
{
    enum { ENTRIES = 6 };
    lw_nsec begun = lw_now();

    for (int i = 0; i < ENTRIES; i++) {
        cr_assert_eq(lw_throttle_enter(arg, LW_FOREVER), 0);
        lw_throttle_exit(arg, 0);
    }
    cr_assert_geq(lw_now() - begun, (ENTRIES - 1) * LW_MS, "R144");
    return 0;
}

Test(throttle, entries_one_after_the_other_take_their_time)
{
    lw_throttle_options options = small;
    lw_throttle throttle;

    options.now = NULL;
    options.window = 1000;
    for (int i = 0; i < 2; i++) {
        make(&throttle, 1000, &options);
        if (i == 0)
            run_all(wait_in_turn, &throttle);
        else
            (void)wait_in_turn(&throttle); /* a plain thread */
    }
}

struct crowded {
    lw_throttle throttle;
    lw_nsec begun, passed[8];
    int count;
};

static int pass(void *arg)
{
    struct crowded *crowded = arg;

    cr_assert_eq(lw_throttle_enter(&crowded->throttle, LW_FOREVER), 0);
    crowded->passed[__atomic_fetch_add(&crowded->count, 1, __ATOMIC_RELAXED)] = lw_now();
    return 0;
}

static int later(const void *a, const void *b)
{
    lw_nsec of_a = *(const lw_nsec *)a, of_b = *(const lw_nsec *)b;

    return of_a < of_b ? -1 : of_a > of_b;
}

static int enter_together(void *arg)
{
    lw_throttle_options options = small;
    struct crowded crowded = {.count = 0};
    lw_task tasks[8];

    (void)arg;
    options.now = NULL;
    options.random = NULL; /* the tests' own counts what it does */
    make(&crowded.throttle, 500, &options);
    crowded.begun = lw_now();
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_spawn(&tasks[i], pass, &crowded, NULL), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    qsort(crowded.passed, 8, sizeof crowded.passed[0], later);
    for (int i = 0; i < 8; i++)
        cr_assert_geq(crowded.passed[i] - crowded.begun, i * 2 * LW_MS, "R151: %d", i);
    return 0;
}

Test(throttle, entries_at_the_same_time_are_spaced)
{
    run_all(enter_together, NULL);
}

/* ---- clocks */

Test(throttle, a_clock_that_jumps_does_not_stop_it)
{
    static const lw_nsec times[][2] = {{1000000, 5},          {INT64_MAX, 0},
                                       {0, INT64_MAX},        {INT64_MAX, INT64_MIN / 2},
                                       {INT64_MIN, INT64_MAX}, {0, -5},
                                       {0, INT64_MIN},         {-1, INT64_MAX}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        lw_throttle throttle;

        clock_now = times[i][0];
        draws = 0;
        next_draw = 0;
        cr_assert_eq(lw_throttle_init(&throttle, NULL, 0.01, &small), 0);
        cr_assert_eq(try(&throttle), 0);
        clock_now = times[i][1];
        if (try(&throttle) == 0) /* it went ahead */
            cr_assert_eq(try(&throttle), -ETIMEDOUT);
        clock_now = (lw_nsec)((uint64_t)clock_now + GAP - 1);
        cr_assert_eq(try(&throttle), -ETIMEDOUT, "%zu", i);
        clock_now = (lw_nsec)((uint64_t)clock_now + 1);
        cr_assert_eq(try(&throttle), 0, "%zu: a gap after it was noticed", i);
    }
}

static int jump_while_some_wait(void *arg)
{
    lw_throttle throttle;
    lw_task tasks[2];

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(enter, &throttle);
    clock_now -= 50 * GAP;
    cr_assert_eq(try(&throttle), -ETIMEDOUT);
    for (int i = 1; i >= 0; i--) {
        cr_assert_eq(lw_cancel(tasks[i]), 0);
        cr_assert_eq(join_status(tasks[i]), -ECANCELED);
    }
    assert_next_in(&throttle, GAP); /* what was given back went with the clock */
    return 0;
}

Test(throttle, slots_go_with_a_clock_that_goes_back)
{
    run_all(jump_while_some_wait, NULL);
}

/* ---- fork, and crowds */

static int in_a_child(void *arg)
{
    lw_throttle *throttle = arg, other;

    throttle->_word._value = 1; /* a thread that is not here has the guard */
    lw_throttle_exit(throttle, 0);
    lw_throttle_reset(throttle);
    if (lw_throttle_enter(throttle, LW_NOW) != -ECHILD)
        return 1;
    if (lw_throttle_set_rate(throttle, 5) != -ECHILD || lw_throttle_rate(throttle) != 1)
        return 2;
    return lw_throttle_init(&other, NULL, 1, NULL) == -ECHILD ? 0 : 3;
}

static int fork_a_child(void *arg)
{
    char heard[16];
    int how = run_in_child(in_a_child, arg, heard, sizeof heard);

    cr_assert(WIFEXITED(how));
    cr_assert_eq(WEXITSTATUS(how), 0);
    return 0;
}

Test(throttle, after_fork_nobody_enters)
{
    lw_throttle throttle;

    make(&throttle, 1, &small);
    run_with(2, fork_a_child, &throttle);
}

struct busy {
    lw_throttle throttle;
    int entered, failed;
};

static void enter_and_leave(struct member *member)
{
    struct busy *busy = member->crowd->object;

    for (int i = 0; i < 100; i++) {
        int err = lw_throttle_enter(&busy->throttle, random_deadline(member));

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        (void)__atomic_add_fetch(&busy->entered, 1, __ATOMIC_RELAXED);
        (void)__atomic_add_fetch(&busy->failed, i % 3 == 0, __ATOMIC_RELAXED);
        lw_throttle_exit(&busy->throttle, i % 3 == 0 ? -EIO : 0);
    }
}

static int crowds(void *arg)
{
    lw_throttle_options options = small;

    (void)arg;
    options.now = NULL;
    options.random = NULL;
    options.rate_max = 100000;
    options.window = UINT32_MAX;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct busy busy = {.entered = 0};
        struct crowd crowd = {.tasks = 8, .threads = 2, .cancels = true, .act = enter_and_leave,
                              .object = &busy, .seed = seed};
        lw_nsec begun, took;

        make(&busy.throttle, 100000, &options);
        begun = lw_now();
        crowd_run(&crowd);
        took = lw_now() - begun;
        assert_counts(&busy.throttle, (uint32_t)(busy.entered - busy.failed),
                      (uint32_t)busy.failed);
        cr_assert_geq(took, (busy.entered - 1) * 10 * LW_US, "never more than the rate");
        cr_assert_gt(busy.entered, 0);
    }
    return 0;
}

Test(throttle, a_crowd_is_slowed_down_and_counted)
{
    run_all(crowds, NULL);
}
