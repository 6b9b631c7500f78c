/* SPDX-License-Identifier: MIT */
/* The laws of lw_once. */
#include "tests/primitives/crowd.h"

TestSuite(once, .init = watchdog);

static int runs, failures;
static long written; /* plain: by fn */
static lw_once the_once;

static void set_up(void)
{
    the_once = (lw_once)LW_ONCE_INIT("once");
    runs = failures = 0;
    written = 0;
}

static int fill_in(void *arg)
{
    (void)arg;
    runs++;
    lw_yield();
    written = 42;
    return 7;
}

static void use_it(struct member *member)
{
    int status;

    do
        status = lw_once_run(&the_once, fill_in, NULL, random_deadline(member));
    while (is_interruption(status));
    cr_assert_eq(status, 7);
    cr_assert_eq(written, 42);
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(100); seed++) {
        struct crowd crowd = {
            .tasks = 10, .threads = 2, .cancels = true, .act = use_it, .seed = seed};

        set_up();
        crowd_run(&crowd);
        cr_assert_eq(runs, 1);
        cr_assert_null(the_once.wait._queue);
    }
    return 0;
}

Test(once, it_is_done_once_and_all_get_its_status)
{
    run_all(crowds, NULL);
}

/* ---- one that fails */

static int fail_twice(void *arg)
{
    cr_assert_eq(lw_event_wait(arg, LW_FOREVER), 0);
    return ++runs <= 2 ? -EIO : 3;
}

static int run_failing(void *arg)
{
    return lw_once_run(&the_once, fail_twice, arg, LW_FOREVER);
}

static int fail_and_try_again(void *arg)
{
    lw_event go = {0};
    lw_task runner, waiter;

    (void)arg;
    set_up();
    runner = start_waiter(run_failing, &go);
    waiter = start_waiter(run_failing, &go);
    cr_assert_eq(lw_once_run(&the_once, fail_twice, &go, LW_NOW), -ETIMEDOUT, "another runs it");
    lw_event_set(&go);
    cr_assert_eq(join_status(runner), -EIO);
    cr_assert_eq(join_status(waiter), -EIO, "who waited gets the status as well");
    cr_assert_eq(runs, 1);
    cr_assert_eq(run_failing(&go), -EIO, "it is run again");
    cr_assert_eq(run_failing(&go), 3);
    cr_assert_eq(run_failing(&go), 3);
    cr_assert_eq(runs, 3);
    return 0;
}

Test(once, one_that_failed_is_run_again)
{
    run_all(fail_and_try_again, NULL);
}

/* ---- a thread that ends inside */

static int leave_the_thread(void *arg)
{
    AWAIT((lw_load_rlx(&the_once.wait._word._value) & 2) != 0); /* somebody is queued */
    pthread_exit(arg);
}

static void *run_and_leave(void *arg)
{
    cr_assert_eq(lw_once_run(&the_once, leave_the_thread, arg, LW_FOREVER), 0, "it came back");
    return arg;
}

static int need_it(void *arg)
{
    return lw_once_run(&the_once, fill_in, arg, LW_FOREVER);
}

static int take_over(void *arg)
{
    pthread_t thread;
    lw_task waiters[2];

    (void)arg;
    set_up();
    cr_assert_eq(pthread_create(&thread, NULL, run_and_leave, NULL), 0);
    AWAIT(__atomic_load_n(&the_once.wait._word._value, __ATOMIC_RELAXED) != 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&waiters[i], need_it, NULL, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(waiters[i]), 7);
    cr_assert_eq(runs, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return 0;
}

Test(once, who_waits_takes_over_from_a_thread_that_ended_inside)
{
    run_all(take_over, NULL);
}

/* ---- within itself, and waits that end */

static int run_within(void *arg)
{
    (void)arg;
    return lw_once_run(&the_once, run_within, NULL, LW_FOREVER);
}

static int run_recursively(void *arg)
{
    (void)arg;
    set_up();
    cr_assert_eq(run_within(NULL), -EDEADLK);
    cr_assert_eq(lw_once_run(&the_once, fill_in, NULL, LW_FOREVER), 7, "it was not done");
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
    return 0;
}

Test(once, it_does_not_wait_for_itself)
{
    run_all(run_recursively, NULL);
    (void)run_recursively(NULL); /* a plain thread */
}

static int give_up(void *arg)
{
    lw_event go = {0};
    lw_task runner, waiters[2];
    struct lw_cold *cold[2];

    (void)arg;
    set_up();
    runs = 2; /* it succeeds */
    runner = start_waiter(run_failing, &go);
    for (int i = 0; i < 2; i++) {
        waiters[i] = start_waiter(run_failing, &go);
        cold[i] = lw_record_cold(lw_record_of(waiters[i].id));
    }
    cr_assert(cold[0]->owner == runner.id && cold[1]->owner == 0, "the head says who runs it");
    cr_assert_eq(lw_cancel(waiters[0]), 0);
    cr_assert_eq(join_status(waiters[0]), -ECANCELED);
    cr_assert_eq(cold[1]->owner, runner.id);
    cr_assert_eq(lw_once_run(&the_once, fail_twice, &go, lw_in(LW_US)), -ETIMEDOUT);
    lw_event_set(&go);
    cr_assert_eq(join_status(runner), 3);
    cr_assert_eq(join_status(waiters[1]), 3);
    return 0;
}

Test(once, who_gives_up_changes_nothing_for_the_others)
{
    run_all(give_up, NULL);
}
