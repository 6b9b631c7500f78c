/* SPDX-License-Identifier: MIT */
/* The laws of lw_breaker: its states, and what changes them.  Rows R116 to R141; calls that overlap
 * are in breaker-overlap.c, its defaults in defaults.c. */
#include "tests/primitives/breakers.h"

#include <stdio.h>
#include <sys/wait.h>

TestSuite(breaker, .init = watchdog);

/* ---- the states */

Test(breaker, a_new_one_is_closed_and_has_its_name)
{
    lw_breaker breaker = make(&small), unnamed[2], zeroed = {0};
    char expected[12];
    int status = 0;

    cr_assert_eq(LW_BREAKER_CLOSED, 0, "R138");
    cr_assert_eq(LW_BREAKER_HALF_OPEN, 1, "R138");
    cr_assert_eq(LW_BREAKER_OPEN, 2, "R138");
    assert_state(&breaker, LW_BREAKER_CLOSED, 0); /* R116 */
    cr_assert_str_eq(breaker.name, "breaker", "R116");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_breaker_init(&unnamed[i], NULL, NULL), 0);
        (void)snprintf(expected, sizeof expected, "#%d", i + 1);
        cr_assert_str_eq(unnamed[i].name, expected, "R119");
    }
    cr_assert_eq(lw_breaker_call(&zeroed, give, &status, NULL), -EINVAL);
    cr_assert_eq(calls, 0);
}

Test(breaker, the_third_failure_opens_it_and_nothing_runs_then)
{
    lw_breaker breaker = make(&small);

    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 1); /* R139 */
    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 2); /* R120, R139 */
    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R120, R139 */
    cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "R121");
    cr_assert_eq(calls, 3, "R121");
}

Test(breaker, one_failure_is_enough_where_one_is_the_limit)
{
    lw_breaker breaker = make(&(lw_breaker_options){.failures_max = 1, .now = read_clock});

    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0);
}

Test(breaker, strictly_after_the_interval_a_trial_is_let_in)
{
    lw_breaker breaker = make(&small);

    fail_until_open(&breaker);
    clock_now += 100;
    cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "R122, R135");
    assert_state(&breaker, LW_BREAKER_OPEN, 0);
    clock_now += 1;
    assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R141: who reads does not change it */
    cr_assert_eq(call(&breaker, 5), 0, "R122, R135");
    assert_state(&breaker, LW_BREAKER_CLOSED, 0); /* R123, R139: also the first, which moved it */
    cr_assert_eq(calls, 4);
}

static int look_from_inside(void *arg)
{
    cr_assert_eq(lw_breaker_read(arg), LW_BREAKER_HALF_OPEN, "R122, R141");
    cr_assert_eq(lw_breaker_failures(arg), 0);
    return 0;
}

Test(breaker, during_a_trial_it_is_half_open)
{
    lw_breaker breaker = make(&small);

    fail_until_open(&breaker);
    clock_now += 101;
    cr_assert_eq(lw_breaker_call(&breaker, look_from_inside, &breaker, NULL), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 0); /* R141 */
}

Test(breaker, a_failed_trial_opens_it_for_a_whole_interval)
{
    lw_breaker breaker = make(&small);

    fail_until_open(&breaker);
    clock_now += 150;
    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R124: one is enough */
    clock_now += 100;
    cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "R124");
    clock_now += 1;
    cr_assert_eq(call(&breaker, 0), 0, "R124");
    assert_state(&breaker, LW_BREAKER_CLOSED, 0);
}

/* What a caller says of a call that was refused; `of` is the breaker's name. */
static void assert_told(lw_breaker *breaker, int refusal, const char *of)
{
    int status = 0, err = lw_breaker_call(breaker, give, &status, NULL);
    char text[80], expected[80];

    (void)snprintf(text, sizeof text, "%s: %s", breaker->name, strerror(-err));
    (void)snprintf(expected, sizeof expected, "%s: %s", of, strerror(-refusal));
    cr_assert_str_eq(text, expected, "R140");
}

static int refuse_a_second_trial(void *arg)
{
    lw_breaker *breaker = arg;

    cr_assert_eq(lw_breaker_read(breaker), LW_BREAKER_HALF_OPEN);
    assert_told(breaker, -EBUSY, breaker->_number[0] != 0 ? "#1" : "billing");
    return 0;
}

Test(breaker, r140_it_has_its_name_in_every_state)
{
    lw_breaker_options options = small;

    options.trials_max = 1;
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "billing" : NULL, *shown = i == 0 ? "billing" : "#1";
        lw_breaker breaker;

        clock_now = 1000;
        cr_assert_eq(lw_breaker_init(&breaker, name, &options), 0);
        for (int round = 0; round < 2; round++) {
            cr_assert_str_eq(breaker.name, shown, "R140: closed");
            fail_until_open(&breaker);
            assert_told(&breaker, -EHOSTDOWN, shown);
            clock_now += 101;
            cr_assert_eq(lw_breaker_call(&breaker, refuse_a_second_trial, &breaker, NULL), 0);
            assert_state(&breaker, LW_BREAKER_CLOSED, 0);
        }
    }
}

Test(breaker, a_success_forgets_failures)
{
    lw_breaker breaker = make(&small);

    for (int i = 0; i < 5; i++) {
        cr_assert_eq(call(&breaker, -EIO), 0);
        cr_assert_eq(call(&breaker, -EIO), 0);
        assert_state(&breaker, LW_BREAKER_CLOSED, 2);
        cr_assert_eq(call(&breaker, i), 0);
        assert_state(&breaker, LW_BREAKER_CLOSED, 0); /* R127 */
    }
}

/* ---- what is no failure */

Test(breaker, an_unexpected_error_is_told_and_counts_for_nothing)
{
    lw_breaker breaker = make(&small);
    int status;

    cr_assert_eq(call(&breaker, -EIO), 0);
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(call_status(&breaker, -ENOENT, &status), -EREMOTEIO, "R128");
        cr_assert_eq(status, -ENOENT, "R128: the original");
        assert_state(&breaker, LW_BREAKER_CLOSED, 1); /* R128 */
    }
    cr_assert_eq(call(&breaker, 0), 0);
    fail_until_open(&breaker);
    clock_now += 101;
    cr_assert_eq(call(&breaker, -ENOENT), -EREMOTEIO);
    assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0); /* R128: of two trials one */
}

static bool expect_anything(int status)
{
    (void)status;
    return true;
}

Test(breaker, a_critical_error_and_a_cancel_pass_uncounted)
{
    static const int critical[] = {-ESHUTDOWN, -ENOTRECOVERABLE};
    lw_breaker_options options = small;

    for (int hook = 0; hook < 2; hook++) {
        options.expected = hook == 0 ? NULL : expect_anything;
        options.fallback = &instead;
        for (int i = 0; i < 2; i++) {
            lw_breaker breaker = make(&options);

            for (int n = 0; n < 9; n++) {
                cr_assert_eq(call(&breaker, critical[i]), critical[i], "R129");
                cr_assert_eq(call(&breaker, -ECANCELED), -ECANCELED, "R130");
            }
            assert_state(&breaker, LW_BREAKER_CLOSED, 0); /* R129, R130 */
        }
    }
}

Test(breaker, without_a_hook_every_other_error_is_a_failure)
{
    lw_breaker_options options = small;
    lw_breaker breaker;

    options.expected = NULL;
    breaker = make(&options);
    cr_assert_eq(call(&breaker, -ENOENT), 0);
    cr_assert_eq(call(&breaker, -EREMOTEIO), 0);
    cr_assert_eq(call(&breaker, -EHOSTDOWN), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0);
}

/* ---- what is handed on */

static int return_arg(void *arg)
{
    return (int)(intptr_t)arg;
}

static int add_arg(void *arg)
{
    return *(int *)arg += 1;
}

Test(breaker, argument_and_value_are_handed_on)
{
    lw_breaker breaker = make(&small);
    int status, number = 41;

    cr_assert_eq(lw_breaker_call(&breaker, return_arg, (void *)(intptr_t)99, &status), 0);
    cr_assert_eq(status, 99, "R132");
    cr_assert_eq(lw_breaker_call(&breaker, add_arg, &number, &status), 0);
    cr_assert(number == 42 && status == 42, "R132");
    cr_assert_eq(lw_breaker_call(&breaker, add_arg, &number, NULL), 0);
    cr_assert_eq(number, 43);
}

static int fetched, stored;

static int fetch(void *arg)
{
    fetched++;
    return *(int *)arg;
}

static int store(void *arg)
{
    stored++;
    return 2 * *(int *)arg;
}

/* R118: what stands for the constructed function are a function and a breaker with its name. */
static const struct protected {
    const char *name;
    lw_fn *fn;
    int *count;
} protected[] = {{"fetch", fetch, &fetched}, {"store", store, &stored}};

Test(breaker, r118_a_protected_function_is_that_function_by_its_name)
{
    lw_breaker breakers[2];
    int number, status;

    clock_now = 1000;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_breaker_init(&breakers[i], protected[i].name, &small), 0);
        cr_assert_str_eq(breakers[i].name, protected[i].name, "R118");
    }
    cr_assert(fetched == 0 && stored == 0, "R118: to protect is not to call");
    for (int i = 0; i < 2; i++)
        for (number = 0; number < 5; number++) {
            cr_assert_eq(lw_breaker_call(&breakers[i], protected[i].fn, &number, &status), 0);
            cr_assert_eq(status, protected[i].fn(&number), "R118: what it returns");
            cr_assert_eq(*protected[i].count, 2 * (number + 1), "R118: once for each call");
        }
    number = -EIO;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_breaker_call(&breakers[0], fetch, &number, NULL), 0);
    cr_assert_eq(lw_breaker_call(&breakers[0], fetch, &number, NULL), -EHOSTDOWN);
    number = 1;
    cr_assert_eq(lw_breaker_call(&breakers[1], store, &number, NULL), 0, "R118: another one");
    cr_assert(fetched == 13 && stored == 11, "R118: it was not called");
}

Test(breaker, a_fallback_stands_for_failures_only)
{
    lw_breaker_options options = small;
    lw_breaker breaker;
    int status, of_now = instead;

    options.fallback = &of_now;
    breaker = make(&options);
    of_now = 0; /* it was read at init */
    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_eq(call_status(&breaker, -EIO, &status), 0, "R133");
        cr_assert_eq(status, instead, "R133");
        cr_assert_eq(lw_breaker_failures(&breaker), i % 3, "R133: it counts all the same");
    }
    cr_assert_eq(call_status(&breaker, 0, &status), -EHOSTDOWN, "R134");
    clock_now += 101;
    cr_assert_eq(call_status(&breaker, -ENOENT, &status), -EREMOTEIO);
    cr_assert_eq(status, -ENOENT);
    cr_assert_eq(call_status(&breaker, 3, &status), 0);
    cr_assert_eq(status, 3);
}

static int fail_slowly(void *arg)
{
    (void)arg;
    return -EIO;
}

Test(breaker, two_functions_share_its_count)
{
    lw_breaker breaker = make(&small);

    cr_assert_eq(lw_breaker_call(&breaker, fail_slowly, NULL, NULL), 0);
    cr_assert_eq(call(&breaker, -EIO), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 2); /* R136 */
    cr_assert_eq(lw_breaker_call(&breaker, fail_slowly, NULL, NULL), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R136 */
}

static int nested(void *arg)
{
    int status = 0, err = lw_breaker_call(arg, give, &status, &status);

    return err < 0 ? err : status;
}

Test(breaker, a_call_within_a_call_is_another_call)
{
    lw_breaker_options options = small;
    lw_breaker breaker = make(&options);

    cr_assert_eq(lw_breaker_call(&breaker, nested, &breaker, NULL), 0);
    fail_until_open(&breaker);
    clock_now += 101;
    cr_assert_eq(lw_breaker_call(&breaker, nested, &breaker, NULL), 0, "two trials");
    assert_state(&breaker, LW_BREAKER_CLOSED, 0);
    options.trials_max = 1;
    options.expected = NULL;
    breaker = make(&options);
    fail_until_open(&breaker);
    clock_now += 101;
    cr_assert_eq(lw_breaker_call(&breaker, nested, &breaker, NULL), 0);
    assert_state(&breaker, LW_BREAKER_OPEN, 0); /* the inner -EBUSY was the trial's failure */
}

/* ---- clocks */

Test(breaker, a_clock_that_jumps_does_not_keep_it_open)
{
    static const lw_nsec times[][2] = {{INT64_MAX, 0},
                                       {INT64_MAX, INT64_MIN},
                                       {1000000, 5},
                                       {0, -1000},
                                       {INT64_MIN, INT64_MIN}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        lw_breaker breaker = make(&small);

        clock_now = times[i][0];
        fail_until_open(&breaker);
        clock_now = times[i][1];
        cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "%zu", i);
        clock_now += 100;
        cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "an interval from when it was noticed");
        clock_now += 1;
        cr_assert_eq(call(&breaker, 0), 0);
    }
    for (int i = 0; i < 2; i++) { /* the longest distances there are */
        lw_breaker_options options = small;
        lw_breaker breaker;

        options.reset_after = i == 0 ? 100 : INT64_MAX;
        breaker = make(&options);
        clock_now = INT64_MIN;
        fail_until_open(&breaker);
        clock_now = INT64_MAX;
        cr_assert_eq(call(&breaker, 0), 0);
    }
}

/* ---- misuse, threads, fork */

Test(breaker, an_init_that_fails_leaves_it_alone)
{
    lw_breaker breaker = make(&small), before = breaker;
    lw_breaker_options options = {.reset_after = -1};

    cr_assert_eq(lw_breaker_init(&breaker, "other", &options), -EINVAL);
    cr_assert_eq(memcmp(&breaker, &before, sizeof breaker), 0);
}

static int in_a_child(void *arg)
{
    lw_breaker *breaker = arg, other;
    int status = 0;

    if (lw_breaker_call(breaker, give, &status, NULL) != -ECHILD || calls != 3)
        return 1;
    if (lw_breaker_read(breaker) != LW_BREAKER_OPEN || lw_breaker_failures(breaker) != 0)
        return 2;
    return lw_breaker_init(&other, NULL, NULL) == -ECHILD ? 0 : 3;
}

static int fork_a_child(void *arg)
{
    char heard[16];
    int how;

    fail_until_open(arg);
    clock_now += 101;
    how = run_in_child(in_a_child, arg, heard, sizeof heard);
    cr_assert(WIFEXITED(how));
    cr_assert_eq(WEXITSTATUS(how), 0);
    return 0;
}

Test(breaker, after_fork_nothing_runs)
{
    lw_breaker breaker = make(&small);

    run_with(2, fork_a_child, &breaker);
}
