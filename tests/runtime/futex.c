/* SPDX-License-Identifier: MIT */
/* Laws of lw_futex_*: wakes go to those who have waited longest, to as many as asked, and only to
 * those of that word; no wake after the comparison is missed; tasks and plain threads wait side by
 * side. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(futex, .init = watchdog);

enum { WAITERS = 30, MANY = 700 };

static uint32_t word, words[MANY], count;
static int order[WAITERS];

static int wait_and_note(void *arg)
{
    int err = lw_futex_wait(&word, 0, LW_FOREVER);

    order[lw_add_acq_rel(&count, 1)] = (int)(intptr_t)arg;
    return err;
}

static int in_order(void *arg)
{
    lw_task tasks[WAITERS];

    (void)arg;
    count = 0;
    for (intptr_t i = 0; i < WAITERS; i++) {
        cr_assert_eq(lw_spawn(&tasks[i], wait_and_note, (void *)i, NULL), 0);
        AWAIT(is_waiting(tasks[i]));
    }
    cr_assert_eq(lw_futex_wake(&word, 0), 0);
    for (uint32_t n = 1; n <= 4; n++) { /* 1 + 2 + 3 + 4 of them */
        uint32_t before = n * (n - 1) / 2;

        cr_assert_eq(lw_futex_wake(&word, n), n);
        AWAIT(lw_load_acq(&count) == before + n);
    }
    cr_assert_eq(lw_futex_wake(&word, LW_ALL), WAITERS - 10);
    cr_assert_eq(lw_futex_wake(&word, LW_ALL), 0);
    for (int i = 0; i < WAITERS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    for (int i = 0; i < WAITERS; i++)
        cr_assert_eq(order[i], i, "place %d", i);
    return 0;
}

Test(futex, wakes_the_longest_waiting_first_and_as_many_as_asked)
{
    run_with(1, in_order, NULL);
}

static int wait_on(void *arg)
{
    return lw_futex_wait(arg, 0, LW_FOREVER);
}

static int each_its_own(void *arg)
{
    static lw_task tasks[MANY]; /* more words than queues: some share one */

    (void)arg;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(lw_spawn(&tasks[i], wait_on, &words[i], NULL), 0);
        AWAIT(is_waiting(tasks[i]));
    }
    for (int i = 0; i < MANY; i++) {
        int k = i * 311 % MANY;

        cr_assert_eq(lw_futex_wake(&words[k], LW_ALL), 1, "word %d", k);
        cr_assert_eq(lw_join(tasks[k], NULL, LW_FOREVER), 0);
    }
    return 0;
}

Test(futex, wakes_only_those_of_that_word)
{
    run_all(each_its_own, NULL);
}

static int codes(void *arg)
{
    char bytes[8] __attribute__((aligned(8))) = {0};

    (void)arg;
    cr_assert_eq(lw_futex_wait(NULL, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_futex_wait(bytes + 1, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_futex_wait(bytes + 2, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_futex_wait(bytes, 1, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_futex_wait(bytes, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_futex_wait(bytes + 4, 0, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_futex_wake(bytes, LW_ALL), 0);
    cr_assert_eq(lw_futex_wake(NULL, LW_ALL), 0, "the word is not read");
    return 0;
}

Test(futex, codes)
{
    run_with(1, codes, NULL);
    cr_assert_eq(codes(NULL), 0); /* a plain thread */
}

/* A counter that is waited for at each step: a missed wake would leave both for ever. */
static uint32_t turn;

static int take_turns(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;

    for (uint32_t i = 0; i < (uint32_t)rounds(40000); i++) {
        uint32_t seen;

        while ((seen = lw_load_acq(&turn)) % 2 != me) {
            int err = lw_futex_wait(&turn, seen, LW_FOREVER);

            cr_assert(err == 0 || err == -EAGAIN, "%d", err);
        }
        (void)lw_add_acq_rel(&turn, 1);
        (void)lw_futex_wake(&turn, 1);
    }
    return 0;
}

static void *take_turns_as_guest(void *arg)
{
    (void)take_turns(arg);
    return NULL;
}

static int two_tasks(void *arg)
{
    lw_task task;

    (void)arg;
    turn = 0;
    cr_assert_eq(lw_spawn(&task, take_turns, (void *)1, NULL), 0);
    (void)take_turns((void *)0);
    return lw_join(task, NULL, LW_FOREVER);
}

static int task_and_guest(void *arg)
{
    pthread_t thread;

    (void)arg;
    turn = 0;
    cr_assert_eq(pthread_create(&thread, NULL, take_turns_as_guest, (void *)1), 0);
    (void)take_turns((void *)0);
    return pthread_join(thread, NULL);
}

Test(futex, misses_no_wake_after_the_comparison)
{
    run_all(two_tasks, NULL);
    run_all(task_and_guest, NULL);
}

Test(futex, needs_no_runtime)
{
    cr_assert_eq(task_and_guest(NULL), 0);
}

/* The word flickers: what a wait without a deadline says is only that it differed, or that it was
 * woken. */
static uint32_t flicker, done;

static void *flip(void *arg)
{
    while (!lw_load_acq(&done)) {
        lw_store_rel(&flicker, 1);
        lw_store_rel(&flicker, 0);
        (void)lw_futex_wake(&flicker, LW_ALL);
    }
    return arg;
}

static int look_at_flicker(void *arg)
{
    pthread_t thread;

    (void)arg;
    done = 0;
    cr_assert_eq(pthread_create(&thread, NULL, flip, NULL), 0);
    for (long i = 0; i < rounds(20000); i++) {
        int err = lw_futex_wait(&flicker, (uint32_t)i % 2, LW_FOREVER);

        cr_assert(err == 0 || err == -EAGAIN, "without a deadline: %d", err);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    lw_store_rel(&done, 1);
    return pthread_join(thread, NULL);
}

Test(futex, word_that_changes_back_is_no_timeout)
{
    run_with(1, look_at_flicker, NULL);
    run_with(2, look_at_flicker, NULL);
}

/* Plain, and written for the last time when the thread waits already: only the wake orders it. */
static int told[WAITERS];

static void *be_told(void *arg)
{
    for (int i = 0; i < WAITERS; i++) {
        cr_assert_eq(lw_futex_wait(&words[i], 0, LW_FOREVER), 0);
        cr_assert_gt(told[i], 0);
    }
    return arg;
}

static int tell_a_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    memset(told, 0, sizeof told);
    memset(words, 0, sizeof words);
    cr_assert_eq(pthread_create(&thread, NULL, be_told, NULL), 0);
    for (int i = 0; i < WAITERS; i++)
        do
            told[i]++;
        while (lw_futex_wake(&words[i], 1) == 0 && sched_yield() == 0);
    return pthread_join(thread, NULL);
}

Test(futex, a_thread_sees_what_was_done_before_it_was_woken)
{
    run_with(1, tell_a_thread, NULL);
}
