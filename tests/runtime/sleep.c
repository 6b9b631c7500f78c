/* SPDX-License-Identifier: MIT */
/* Laws of time: no sleep ends early, shorter ones end first, past deadlines do not wait and
 * endless ones do; a duration is no deadline; many sleep at once; a process in which all wait does
 * nothing. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(sleep, .init = watchdog);

static uint32_t count, word;

static int past_and_present(void *arg)
{
    lw_nsec before = lw_now();

    (void)arg;
    cr_assert_eq(lw_sleep(LW_NOW), 0);
    cr_assert_eq(lw_sleep(-5), 0);
    cr_assert_eq(lw_sleep(before - 1), 0);
    cr_assert_eq(lw_sleep(before), 0);
    cr_assert_eq(lw_futex_wait(&word, 0, before), -ETIMEDOUT);
    cr_assert_eq(lw_futex_wait(&word, 0, -5), -ETIMEDOUT);
    for (int i = 0; i < 200; i++) {
        lw_nsec deadline = lw_in(i * 5 * LW_US);

        cr_assert_eq(lw_sleep(deadline), 0);
        cr_assert_geq(lw_now(), deadline, "early");
    }
    return 0;
}

static void *past_and_present_of_a_guest(void *arg)
{
    (void)past_and_present(arg);
    return NULL;
}

Test(sleep, is_never_early_and_does_not_wait_for_the_past)
{
    pthread_t thread;

    run_all(past_and_present, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, past_and_present_of_a_guest, NULL), 0);
    (void)pthread_join(thread, NULL);
}

static int durations(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_sleep(5 * LW_MS), -EINVAL);
    cr_assert_eq(lw_sleep(1), -EINVAL);
    cr_assert_eq(lw_futex_wait(&word, 0, 5 * LW_MS), -EINVAL);
    cr_assert_eq(lw_futex_wait(&word, 1, 5 * LW_MS), -EAGAIN, "looked at only once it has expired");
    return 0;
}

Test(sleep, duration_is_no_deadline)
{
    run_all(durations, NULL);
    cr_assert_eq(durations(NULL), 0); /* a plain thread */
}

Test(sleep, deadlines_saturate)
{
    lw_nsec now = lw_now();

    cr_assert_eq(lw_in(LW_FOREVER), LW_FOREVER);
    cr_assert_eq(lw_in(LW_FOREVER - 1), LW_FOREVER);
    cr_assert_eq(lw_in(INT64_MIN), LW_NOW);
    cr_assert_eq(lw_in(-now - 3600 * LW_SEC), LW_NOW);
    cr_assert_geq(lw_in(0), now);
    cr_assert_geq(lw_in(LW_SEC), now + LW_SEC);
}

/* ---- order */

enum { SLEEPERS = 50 };

static struct {
    lw_nsec base, deadlines[SLEEPERS];
    int order[SLEEPERS];
    bool late; /* one began to sleep when others may have been due */
} sleepers;

static int sleep_and_note(void *arg)
{
    intptr_t me = (intptr_t)arg;

    if (lw_now() >= sleepers.base)
        lw_store_rlx(&sleepers.late, true);
    cr_assert_eq(lw_sleep(sleepers.deadlines[me]), 0);
    cr_assert_geq(lw_now(), sleepers.deadlines[me]);
    sleepers.order[lw_add_acq_rel(&count, 1)] = (int)me;
    return 0;
}

static void sleep_all(lw_nsec within)
{
    lw_task tasks[SLEEPERS];

    count = 0;
    sleepers.late = false;
    sleepers.base = lw_in(within);
    for (intptr_t i = 0; i < SLEEPERS; i++) {
        sleepers.deadlines[i] = sleepers.base + (i * 37 % SLEEPERS) * LW_MS / 2;
        cr_assert_eq(lw_spawn(&tasks[i], sleep_and_note, (void *)i, NULL), 0);
    }
    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
}

static int in_order(void *arg)
{
    (void)arg;
    for (lw_nsec within = 5 * LW_MS; within == 5 * LW_MS || sleepers.late; within *= 2)
        sleep_all(within);
    /* What is due in one turn of the wheel may come in any order within a tick. */
    for (int i = 1; i < SLEEPERS; i++)
        cr_assert_geq(sleepers.deadlines[sleepers.order[i]],
                      sleepers.deadlines[sleepers.order[i - 1]] - 70000);
    return 0;
}

Test(sleep, shorter_ones_end_first)
{
    run_with(1, in_order, NULL);
}

/* ---- many */

static int sleep_until(void *arg)
{
    lw_nsec deadline = *(lw_nsec *)arg + (lw_nsec)(lw_add_acq_rel(&count, 1) % 1000) * 100 * LW_US;
    int err = lw_sleep(deadline);

    cr_assert_geq(lw_now(), deadline);
    return err;
}

static int many(void *arg)
{
    lw_group group = {0};
    lw_nsec base = lw_in(100 * LW_MS);

    (void)arg;
    count = 0;
    for (long i = 0; i < rounds(100000); i++)
        cr_assert_eq(lw_group_spawn(&group, sleep_until, &base, NULL), 0);
    return lw_group_end(&group, 0);
}

Test(sleep, many_sleepers_all_wake)
{
    run_with(1, many, NULL);
    run_with(2, many, NULL);
}

/* ---- nothing to do */

static int park(void *arg)
{
    (void)lw_add_acq_rel(&count, 1);
    return arg == NULL ? lw_futex_wait(&word, 0, LW_FOREVER) : lw_sleep(*(lw_nsec *)arg);
}

/* Whether idle workers come to rest, which they have when none has looked for 300 ms. */
static bool comes_to_rest(long tasks, lw_nsec deadline)
{
    lw_options options = {.workers = 2};
    lw_runtime *runtime;
    lw_task_options here = {0};
    bool looked = true;

    count = 0;
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_spawn(NULL, park, i % 2 != 0 ? &deadline : NULL, &here), 0);
    AWAIT((long)lw_load_acq(&count) == tasks);
    for (int i = 0; looked && i < 20; i++) {
        long before = sys_calls(SYS_EPOLL_WAIT);
        lw_nsec end = lw_in(300 * LW_MS);

        while (lw_now() < end)
            cr_assert_eq(lw_sleep(end), 0);
        looked = sys_calls(SYS_EPOLL_WAIT) != before;
    }
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    return !looked;
}

Test(sleep, process_in_which_all_wait_does_not_look_around)
{
    sys_watch();
    cr_assert(comes_to_rest(0, LW_FOREVER), "no task");
    cr_assert(comes_to_rest(2, lw_in(3600 * LW_SEC)), "one far timer");
    cr_assert(comes_to_rest(rounds(100000), lw_in(3600 * LW_SEC)), "100,000 parked");
}
