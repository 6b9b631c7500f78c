/* SPDX-License-Identifier: MIT */
/* The runner of this folder, tested with itself: a suite that must pass, and one of which each test
 * must fail; the build runs the second with should_fail, once for each test. */
#include <criterion/criterion.h>

#include <signal.h>
#include <unistd.h>

static int prepared;

static void prepare(void)
{
    prepared++;
}

TestSuite(passes, .init = prepare, .timeout = 10);
TestSuite(fails, .timeout = 0.1);

Test(passes, with_the_init_of_its_suite)
{
    cr_assert_eq(prepared, 1, "prepared %d times", prepared);
    cr_assert_str_eq("a", "a");
    cr_expect_lt(1, 2);
}

Test(passes, in_a_process_of_its_own)
{
    cr_assert_eq(prepared, 1);
}

Test(passes, by_the_signal_it_names, .signal = SIGABRT)
{
    abort();
}

Test(passes, by_the_exit_code_it_names, .exit_code = 3)
{
    _exit(3);
}

Test(fails, an_assertion)
{
    cr_assert_eq(1, 2, "one is not %s", "two");
}

Test(fails, an_expectation_that_goes_on)
{
    cr_expect(false);
}

Test(fails, by_a_signal)
{
    raise(SIGTERM);
}

Test(fails, without_its_signal, .signal = SIGABRT)
{
}

Test(fails, by_an_exit_code)
{
    _exit(5);
}

Test(fails, by_time)
{
    pause();
}
