/* SPDX-License-Identifier: MIT */
/* The laws of lw_throttle: jitter, and how the rate follows what is done.  Rows R146 to R162. */
#include "tests/primitives/throttles.h"

TestSuite(throttle_rate, .init = watchdog);

/* ---- jitter */

Test(throttle_rate, jitter_stretches_the_gap)
{
    static const double shares[] = {0.5, -0.5, 0, 1, -1, 7, -7, NAN, HUGE_VAL};
    static const int percent[] = {150, 50, 100, 200, 0, 200, 0, 100, 200};
    lw_throttle_options options = small;
    lw_throttle throttle;

    options.jitter = 0.7;
    make(&throttle, 0.01, &options);
    next_draw = 0.7;
    cr_assert_eq(try(&throttle), 0, "R145: whatever the jitter");
    cr_assert_eq(draws, 1, "R150");
    cr_assert_eq(last_jitter, 0.7, "R150");
    for (int i = 0; i < 9; i++) {
        next_draw = shares[i];
        if (percent[i] == 0)
            cr_assert_eq(try(&throttle), 0);
        else
            assert_next_in(&throttle, percent[i] * LW_SEC);
    }
    draws = 0;
    cr_assert_eq(lw_throttle_set_jitter(&throttle, 0.25), 0);
    cr_assert_eq(try(&throttle), -ETIMEDOUT);
    cr_assert_eq(draws, 1, "R150: also of one that did not get in");
    cr_assert_eq(last_jitter, 0.25, "R150");
    cr_assert_eq(lw_throttle_set_jitter(&throttle, -0.5), 0);
    cr_assert_eq(lw_throttle_jitter(&throttle), 0.0, "R160");
    cr_assert_eq(lw_throttle_set_jitter(&throttle, 1.5), 0);
    cr_assert_eq(lw_throttle_jitter(&throttle), 1.0);
    cr_assert_eq(lw_throttle_set_jitter(&throttle, NAN), -EINVAL);
    cr_assert_eq(lw_throttle_jitter(&throttle), 1.0);
}

/* Whether a gap that is drawn now is no longer than that. */
static bool draw_is_within(lw_throttle *throttle, lw_nsec distance)
{
    clock_now += 10 * LW_SEC;
    cr_assert_eq(try(throttle), 0);
    clock_now += distance;
    return try(throttle) == 0;
}

Test(throttle_rate, jitter_is_drawn_evenly)
{
    enum { DRAWS = 2000 };
    static const int percent[] = {49, 75, 100, 125, 150};
    static const int expected[] = {0, DRAWS / 4, DRAWS / 2, DRAWS * 3 / 4, DRAWS};
    lw_throttle_options options = small;
    lw_throttle throttle, other;
    int differ = 0;

    options.jitter = 0.5;
    options.random = NULL;
    make(&throttle, 1, &options);
    make(&other, 1, &options);
    for (int i = 0; i < 5; i++) {
        int within = 0;

        for (int n = 0; n < DRAWS; n++)
            within += draw_is_within(&throttle, percent[i] * 10 * LW_MS);
        cr_assert(within >= expected[i] - DRAWS / 10 && within <= expected[i] + DRAWS / 10,
                  "%d of %d within %d %%", within, DRAWS, percent[i]);
        cr_assert(i != 0 || within == 0);
        cr_assert(i != 4 || within == DRAWS);
    }
    for (int n = 0; n < DRAWS; n++)
        differ += draw_is_within(&throttle, LW_SEC) != draw_is_within(&other, LW_SEC);
    cr_assert_gt(differ, DRAWS / 4, "each has its own");
}

/* ---- how it went */

static void exits(lw_throttle *throttle, int successes, int failures)
{
    for (int i = 0; i < successes; i++)
        lw_throttle_exit(throttle, i);
    for (int i = 0; i < failures; i++)
        lw_throttle_exit(throttle, -EIO);
}

Test(throttle_rate, a_whole_window_changes_the_rate)
{
    static const struct {
        int successes, failures;
        double before, after;
        const char *row;
    } windows[] = {
        {4, 0, 1, 2, "R146"},       {4, 0, 900, 1000, "R146"}, {4, 0, 1000, 1000, "R146"},
        {0, 4, 1, 0.5, "R147"},     {0, 4, 0.0015, 0.001, "R147"},
        {3, 1, 1, 1, "R148"},       {1, 3, 1, 1, "R148"},      {2, 2, 1, 1, "R148"},
    };

    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        lw_throttle throttle;

        make(&throttle, windows[i].before, &small);
        exits(&throttle, windows[i].successes, windows[i].failures);
        cr_assert_eq(lw_throttle_rate(&throttle), windows[i].before, "not yet");
        assert_counts(&throttle, (uint32_t)windows[i].successes, (uint32_t)windows[i].failures);
        lw_throttle_exit(&throttle, i % 2 == 0 ? 0 : -EIO);
        cr_assert_eq(lw_throttle_rate(&throttle), windows[i].after, "%s", windows[i].row);
        assert_counts(&throttle, i % 2 == 0, i % 2 == 1); /* R155 */
        exits(&throttle, 0, 3);
        cr_assert_eq(lw_throttle_rate(&throttle), windows[i].after, "another window");
    }
}

Test(throttle_rate, small_changes_of_its_own_are_left_out)
{
    static const double factors[][3] = {
        {1.02, 1.0, 100}, {1.021, 1.0, 102.1}, {2, 0.985, 98.5}, {2, 0.9805, 98.05},
        {2, 0.975, 97.5}};

    for (int i = 0; i < 5; i++) {
        lw_throttle_options options = small;
        lw_throttle throttle;
        bool up = factors[i][0] < 2, left_out = i == 0 || i == 2 || i == 3;

        options.factor_up = factors[i][0];
        options.factor_down = factors[i][1];
        make(&throttle, 100, &options);
        exits(&throttle, up ? 5 : 0, up ? 0 : 5);
        cr_assert_float_eq(lw_throttle_rate(&throttle), left_out ? 100.0 : factors[i][2], 1e-9,
                           "R162: %d", i);
        assert_counts(&throttle, up, !up);
    }
}

Test(throttle_rate, a_set_rate_is_applied_however_small)
{
    lw_throttle throttle;

    make(&throttle, 1, &small);
    cr_assert_eq(lw_throttle_set_rate(&throttle, 1.001), 0);
    cr_assert_eq(lw_throttle_rate(&throttle), 1.001, "R162: only of its own");
    cr_assert_eq(lw_throttle_set_rate(&throttle, 2000), 0);
    cr_assert_eq(lw_throttle_rate(&throttle), 1000.0, "R161");
    cr_assert_eq(lw_throttle_set_rate(&throttle, -3), 0);
    cr_assert_eq(lw_throttle_rate(&throttle), 0.001, "R161");
    cr_assert_eq(lw_throttle_set_rate(&throttle, HUGE_VAL), 0);
    cr_assert_eq(lw_throttle_rate(&throttle), 1000.0, "R161");
    cr_assert_eq(lw_throttle_set_rate(&throttle, NAN), -EINVAL);
    cr_assert_eq(lw_throttle_rate(&throttle), 1000.0);
    cr_assert_eq(try(&throttle), 0);
    cr_assert_eq(lw_throttle_set_rate(&throttle, 0.01), 0);
    assert_next_in(&throttle, GAP);
}

Test(throttle_rate, a_reset_forgets_the_counts_only)
{
    lw_throttle throttle;

    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    exits(&throttle, 3, 1);
    lw_throttle_reset(&throttle);
    assert_counts(&throttle, 0, 0); /* R156 */
    cr_assert_eq(lw_throttle_rate(&throttle), 0.01, "R156");
    exits(&throttle, 0, 4);
    assert_counts(&throttle, 0, 4);
    assert_next_in(&throttle, GAP); /* R156 */
}

static int body(lw_throttle *throttle, int outcome)
{
    int err;

    LW_SCOPE(&throttle->scope, LW_NOW, err)
        err = outcome;
    return err;
}

static int wait_inside(void *arg)
{
    lw_throttle *throttle = arg;
    int err;

    LW_SCOPE(&throttle->scope, LW_FOREVER, err)
        err = lw_sleep(LW_FOREVER);
    return err;
}

static int use_as_scope(void *arg)
{
    lw_throttle throttle;
    lw_task task;

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(body(&throttle, 7), 7);
    assert_counts(&throttle, 1, 0); /* R153, R159 */
    cr_assert_eq(body(&throttle, 0), -ETIMEDOUT);
    assert_counts(&throttle, 1, 0); /* it was not entered */
    clock_now += GAP;
    cr_assert_eq(body(&throttle, -EIO), -EIO, "R153");
    assert_counts(&throttle, 1, 1); /* R153, R158 */
    clock_now += GAP;
    task = start_waiter(wait_inside, &throttle);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(join_status(task), -ECANCELED);
    assert_counts(&throttle, 1, 2); /* R154 */
    return 0;
}

Test(throttle_rate, as_a_scope_it_hears_how_the_body_went)
{
    run_all(use_as_scope, NULL);
}
