/* SPDX-License-Identifier: MIT */
/* Ways in which a test might fail without the suite's knowing: see meson.build. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support.h"

TestSuite(bug, .init = watchdog);
TestSuite(clean, .init = watchdog);

static int assert_in_a_task(void *arg)
{
    lw_yield();
    cr_assert_null(arg, "planted");
    return 0;
}

Test(bug, an_assertion_in_a_task)
{
    run_with(2, assert_in_a_task, &(int){0});
}

static void *assert_in_a_thread(void *arg)
{
    cr_assert_null(arg, "planted");
    return NULL;
}

Test(bug, an_assertion_in_a_thread)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, assert_in_a_thread, &(int){0}), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

static int leave(void *arg)
{
    (void)arg;
    exit(0);
}

Test(bug, an_exit_in_a_task)
{
    run_with(1, leave, NULL);
}

Test(bug, an_exit_in_a_test)
{
    exit(0);
}

Test(bug, an_early_exit_in_a_test)
{
    _exit(0);
}

static int wait_for_nobody(void *arg)
{
    lw_event never = {0};

    (void)arg;
    return lw_event_wait(&never, LW_FOREVER);
}

/* The alarm of the watchdog, before its time. */
Test(bug, a_test_that_hangs)
{
    (void)alarm(1);
    run_with(1, wait_for_nobody, NULL);
}

Test(clean, a_test_that_passes)
{
    run_with(1, assert_in_a_task, NULL);
}
