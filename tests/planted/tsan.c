/* SPDX-License-Identifier: MIT */
/* Bugs for ThreadSanitizer, and beside each the program that has none: see meson.build. */
#include <pthread.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "tests/support.h"

static int counter;
static lw_mutex mutex;
static lw_channel channel;

/* ---- two tasks, no lock */

static int count_around_a_yield(void *arg)
{
    (void)arg;
    counter++;
    lw_yield();
    counter++;
    return 0;
}

static int count_around_a_sleep(void *arg)
{
    (void)arg;
    counter++;
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    counter++;
    return 0;
}

static int count_under_the_mutex(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
        counter++;
        lw_yield();
        counter++;
        cr_assert_eq(lw_mutex_release(&mutex), 0);
        lw_yield();
    }
    return 0;
}

static int count_under_its_own_mutex(void *arg)
{
    lw_mutex own = {0};

    (void)arg;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(lw_mutex_acquire(&own, LW_FOREVER), 0);
        counter++;
        lw_yield();
        cr_assert_eq(lw_mutex_release(&own), 0);
    }
    return 0;
}

static int run_two(void *fn)
{
    lw_task tasks[2];

    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], *(lw_fn **)fn, NULL, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

static void with_two(unsigned workers, lw_fn *fn)
{
    run_with(workers, run_two, &fn);
}

TestSuite(bug, .init = watchdog);
TestSuite(clean, .init = watchdog);

Test(bug, tasks_of_one_worker_that_yield)
{
    with_two(1, count_around_a_yield);
}

Test(bug, tasks_of_one_worker_that_sleep)
{
    with_two(1, count_around_a_sleep);
}

Test(bug, tasks_of_one_worker_with_a_mutex_each)
{
    with_two(1, count_under_its_own_mutex);
}

static uint32_t here;

static int count_together(void *arg)
{
    (void)arg;
    (void)lw_add_rlx(&here, 1);
    while (lw_load_rlx(&here) < 2)
        (void)sched_yield(); /* no switch: the other one runs on the other worker */
    for (int i = 0; i < 20; i++) { /* TSan may miss two accesses at the very same moment */
        counter++;
        (void)sched_yield();
    }
    return 0;
}

Test(bug, tasks_of_two_workers)
{
    with_two(2, count_together);
}

Test(clean, a_mutex)
{
    with_two(1, count_under_the_mutex);
    with_two(2, count_under_the_mutex);
}

/* ---- parent and child */

static int count_once(void *arg)
{
    (void)arg;
    lw_yield();
    counter++;
    return 0;
}

static int count_beside_a_child(void *arg)
{
    lw_task child;

    (void)arg;
    cr_assert_eq(lw_spawn(&child, count_once, NULL, NULL), 0);
    lw_yield();
    counter++;
    return lw_join(child, NULL, LW_FOREVER);
}

Test(bug, a_parent_that_does_not_join_first)
{
    run_with(1, count_beside_a_child, NULL);
}

static int count_before_and_after(void *arg)
{
    lw_task child;

    (void)arg;
    for (int i = 0; i < 5; i++) {
        counter++;
        cr_assert_eq(lw_spawn(&child, count_once, NULL, NULL), 0);
        cr_assert_eq(lw_join(child, NULL, LW_FOREVER), 0);
        counter++;
    }
    return 0;
}

static int count_in_a_group(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);

    (void)arg;
    for (int i = 0; i < 5; i++) {
        counter++;
        cr_assert_eq(lw_group_spawn(&group, count_once, NULL, NULL), 0);
        cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
        counter++;
    }
    return lw_group_end(&group, 0);
}

Test(clean, spawn_and_join)
{
    run_with(1, count_before_and_after, NULL);
    run_with(2, count_before_and_after, NULL);
}

Test(clean, spawn_and_group)
{
    run_with(1, count_in_a_group, NULL);
    run_with(2, count_in_a_group, NULL);
}

/* ---- messages */

static int take_and_count(void *arg)
{
    int *number = NULL;

    (void)arg;
    cr_assert_eq(lw_channel_receive(&channel, &number, LW_FOREVER), 0);
    ++*number;
    return 0;
}

static int hand_over(void *stays)
{
    static int *items[1];
    int number = 0, *item = &number;
    lw_task taker;

    lw_channel_init(&channel, "numbers", items, sizeof items[0], 1);
    cr_assert_eq(lw_spawn(&taker, take_and_count, NULL, NULL), 0);
    lw_yield();
    number = 1;
    cr_assert_eq(lw_channel_send(&channel, &item, LW_FOREVER), 0);
    if (stays != NULL) {
        lw_yield();
        number++; /* it is the taker's by now */
    }
    cr_assert_eq(lw_join(taker, NULL, LW_FOREVER), 0);
    number++;
    return 0;
}

Test(bug, a_sender_that_goes_on_writing)
{
    run_with(1, hand_over, &counter);
}

Test(clean, a_message)
{
    run_with(1, hand_over, NULL);
    run_with(2, hand_over, NULL);
}

/* ---- memory that a waiter frees */

struct order {
    lw_event done;
    int looks;
};

static int wait_and_free(void *arg)
{
    struct order *order = arg;

    cr_assert_eq(lw_event_wait(&order->done, LW_FOREVER), 0);
    free(order);
    return 0;
}

static int look_after_the_set(void *arg)
{
    struct order *order = calloc(1, sizeof *order);
    lw_task waiter;

    (void)arg;
    cr_assert_not_null(order);
    cr_assert_eq(lw_spawn(&waiter, wait_and_free, order, NULL), 0);
    lw_yield();
    lw_event_set(&order->done);
    lw_yield();
    order->looks++;
    return lw_join(waiter, NULL, LW_FOREVER);
}

Test(bug, the_use_of_a_freed_waiter)
{
    run_with(1, look_after_the_set, NULL);
}

/* ---- after the body of the test */

static void *count_in_a_thread(void *arg)
{
    counter++;
    (void)lw_add_rlx((uint32_t *)arg, 1);
    return NULL;
}

static void count_at_exit(void)
{
    counter++;
}

Test(bug, a_race_at_the_exit_of_a_test)
{
    pthread_t thread;

    (void)atexit(count_at_exit);
    cr_assert_eq(pthread_create(&thread, NULL, count_in_a_thread, &here), 0);
    (void)pthread_detach(thread);
    while (lw_load_rlx(&here) == 0)
        (void)sched_yield();
}
