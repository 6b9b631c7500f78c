/* SPDX-License-Identifier: MIT */
/* Waits that are granted, time out and are cancelled all at once, from tasks and plain threads,
 * over many seeds and on 1, 2 and 4 workers: each ends in exactly one way, nothing granted is lost
 * or doubled, and nobody is left behind. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(storm, .init = watchdog);

enum { WAITERS = 24, WORDS = 3, GUESTS = 2 };

/* ---- a wake that was counted is a wait that returned 0 */

static struct {
    uint32_t words[WORDS];
    uint64_t woken, granted, timedout, cancelled, sent; /* sent: cancels that were accepted */
    uint32_t done;
    long laps;
    lw_task tasks[WAITERS];
} wakes;

static int wait_on(void *arg)
{
    uint64_t random = (uintptr_t)arg + 11;
    long laps = wakes.laps;

    while (laps-- > 0) {
        uint64_t draw = random_draw(&random) >> 32;
        lw_nsec deadline = draw % 4 == 0 ? LW_FOREVER : lw_in((lw_nsec)(draw >> 4) % (200 * LW_US));
        int err = lw_futex_wait(&wakes.words[draw % WORDS], 0, deadline);

        if (err == 0)
            (void)lw_add_acq_rel(&wakes.granted, 1);
        else if (err == -ETIMEDOUT)
            (void)lw_add_acq_rel(&wakes.timedout, 1);
        else if (err == -ECANCELED)
            (void)lw_add_acq_rel(&wakes.cancelled, 1);
        else
            cr_assert_fail("a wait returned %d", err);
        cr_assert(err != -ETIMEDOUT || deadline != LW_FOREVER);
    }
    return 0;
}

static void *wait_as_guest(void *arg)
{
    (void)wait_on(arg);
    return NULL;
}

/* Wakes and cancels by turns until all waiters are through. */
static void *blow(void *arg)
{
    uint64_t random = (uintptr_t)arg * 77 + 5;

    while (!lw_load_acq(&wakes.done)) {
        uint64_t draw = random_draw(&random) >> 32;

        if (draw % 3 != 0)
            (void)lw_add_acq_rel(
                &wakes.woken, lw_futex_wake(&wakes.words[draw % WORDS], (uint32_t)(draw >> 8) % 4));
        else if (lw_cancel(wakes.tasks[(draw >> 8) % WAITERS]) == 0)
            (void)lw_add_acq_rel(&wakes.sent, 1);
        if (draw % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static int blow_from_a_task(void *arg)
{
    uint64_t random = 99;

    (void)arg;
    while (!lw_load_acq(&wakes.done)) {
        uint64_t draw = random_draw(&random) >> 32;

        (void)lw_add_acq_rel(&wakes.woken, lw_futex_wake(&wakes.words[draw % WORDS], 1));
        if (lw_cancel(wakes.tasks[(draw >> 8) % WAITERS]) == 0)
            (void)lw_add_acq_rel(&wakes.sent, 1);
        lw_yield();
    }
    return 0;
}

static int storm_of_wakes(void *arg)
{
    pthread_t guests[GUESTS], blower;
    lw_task task;
    int status;

    (void)arg;
    memset(&wakes, 0, sizeof wakes);
    wakes.laps = rounds(1500);
    for (intptr_t i = 0; i < WAITERS; i++)
        cr_assert_eq(lw_spawn(&wakes.tasks[i], wait_on, (void *)i, NULL), 0);
    cr_assert_eq(lw_spawn(&task, blow_from_a_task, NULL, NULL), 0);
    cr_assert_eq(pthread_create(&blower, NULL, blow, (void *)1), 0);
    for (intptr_t i = 0; i < GUESTS; i++)
        cr_assert_eq(pthread_create(&guests[i], NULL, wait_as_guest, (void *)(WAITERS + i)), 0);
    for (int i = 0; i < WAITERS; i++) {
        cr_assert_eq(lw_join(wakes.tasks[i], &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
    }
    for (int i = 0; i < GUESTS; i++)
        (void)pthread_join(guests[i], NULL);
    lw_store_rel(&wakes.done, 1);
    (void)pthread_join(blower, NULL);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_eq(wakes.woken, wakes.granted, "%lu wakes counted, %lu waits granted", wakes.woken,
                 wakes.granted);
    cr_assert_leq(wakes.cancelled, wakes.sent);
    cr_assert_eq(wakes.granted + wakes.timedout + wakes.cancelled,
                 (uint64_t)((WAITERS + GUESTS) * wakes.laps));
    if (!lw_sim_active()) /* a schedule is too short for all of it to happen */
        cr_assert(wakes.granted > 0 && wakes.timedout > 0 && wakes.cancelled > 0, "%lu %lu %lu",
                  wakes.granted, wakes.timedout, wakes.cancelled);
    for (int i = 0; i < WORDS; i++)
        cr_assert_eq(lw_futex_wake(&wakes.words[i], LW_ALL), 0, "somebody was left in the queue");
    return 0;
}

Test(storm, each_wait_ends_in_exactly_one_way)
{
    run_all(storm_of_wakes, NULL);
}

/* ---- joins that expire and are cancelled while the task ends */

enum { PAIRS = 16 };

static struct {
    lw_task joiners[PAIRS];
    uint32_t done;
} joins;

static int end_after(void *arg)
{
    intptr_t laps = (intptr_t)arg & 7;

    while (laps-- > 0)
        lw_yield();
    return (int)((intptr_t)arg >> 3) + 1;
}

/* However often a join fails, the status comes in the end, and only once. */
static int join_stubbornly(void *arg)
{
    uint64_t random = (uintptr_t)arg + 3;

    for (long i = 0; i < rounds(2000); i++) {
        uint64_t draw = random_draw(&random) >> 32;
        intptr_t value = (intptr_t)(draw % 100000);
        int status = 0, err;
        lw_task task;

        cr_assert_eq(lw_spawn(&task, end_after, (void *)value, NULL), 0);
        do {
            err = lw_join(task, &status, draw % 2 != 0 ? LW_FOREVER : lw_in((lw_nsec)(draw >> 20)));
            cr_assert(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a join returned %d",
                      err);
            draw /= 2;
        } while (err < 0);
        cr_assert_eq(status, (value >> 3) + 1);
        err = lw_join(task, &status, LW_FOREVER);
        cr_assert_eq(err, -ESRCH, "joined a second time: %d", err);
    }
    return 0;
}

static void *cancel_joiners(void *arg)
{
    uint64_t random = 17;

    (void)arg;
    while (!lw_load_acq(&joins.done)) {
        (void)lw_cancel(joins.joiners[(random_draw(&random) >> 40) % PAIRS]);
        if (random >> 58 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static int storm_of_joins(void *arg)
{
    pthread_t canceller;
    int status;

    (void)arg;
    joins.done = 0;
    for (intptr_t i = 0; i < PAIRS; i++)
        cr_assert_eq(lw_spawn(&joins.joiners[i], join_stubbornly, (void *)i, NULL), 0);
    cr_assert_eq(pthread_create(&canceller, NULL, cancel_joiners, NULL), 0);
    for (int i = 0; i < PAIRS; i++) {
        cr_assert_eq(lw_join(joins.joiners[i], &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
    }
    lw_store_rel(&joins.done, 1);
    (void)pthread_join(canceller, NULL);
    return 0;
}

Test(storm, join_that_failed_can_be_repeated_until_the_status_comes)
{
    run_all(storm_of_joins, NULL);
}

/* ---- several who want to join the same task: one gets it */

enum { RIVALS = 6 };

static struct {
    lw_task task;
    uint32_t winners, lap, left;
} rivals;

static void rival_once(void)
{
    int status = 0, err;

    do {
        err = lw_join(rivals.task, &status, LW_FOREVER);
        if (err == -EBUSY)
            lw_yield();
    } while (err == -EBUSY);
    cr_assert(err == 0 || err == -ESRCH, "a join returned %d", err);
    if (err == 0) {
        cr_assert_eq(status, 42);
        (void)lw_add_acq_rel(&rivals.winners, 1);
    }
    (void)lw_sub_acq_rel(&rivals.left, 1);
}

static int rival(void *arg)
{
    for (uint32_t lap = 1; lap <= (uint32_t)(uintptr_t)arg; lap++) {
        AWAIT(lw_load_acq(&rivals.lap) >= lap);
        rival_once();
    }
    return 0;
}

static void *rival_guest(void *arg)
{
    (void)rival(arg);
    return NULL;
}

static int end_with_42(void *arg)
{
    (void)arg;
    return 42;
}

static int storm_of_rivals(void *arg)
{
    uintptr_t laps = (uintptr_t)rounds(2000);
    lw_task tasks[RIVALS];
    pthread_t guest;

    (void)arg;
    memset(&rivals, 0, sizeof rivals);
    for (int i = 0; i < RIVALS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], rival, (void *)laps, NULL), 0);
    cr_assert_eq(pthread_create(&guest, NULL, rival_guest, (void *)laps), 0);
    for (uint32_t lap = 1; lap <= laps; lap++) {
        lw_store_rel(&rivals.left, RIVALS + 1);
        lw_store_rel(&rivals.winners, 0);
        cr_assert_eq(lw_spawn(&rivals.task, end_with_42, NULL, NULL), 0);
        lw_store_rel(&rivals.lap, lap);
        for (int i = 0; i < 20; i++) /* slots are reused meanwhile */
            cr_assert_eq(lw_spawn(NULL, end_with_42, NULL, NULL), 0);
        AWAIT(lw_load_acq(&rivals.left) == 0);
        cr_assert_eq(lw_load_acq(&rivals.winners), 1, "lap %u: %u joined it", lap, rivals.winners);
    }
    for (int i = 0; i < RIVALS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    (void)pthread_join(guest, NULL);
    return 0;
}

Test(storm, of_several_who_join_a_task_exactly_one_does)
{
    run_all(storm_of_rivals, NULL);
}

/* ---- groups whose waiters leave while the last child ends */

enum { PARTIES = 6 };

static int child_of_a_party(void *arg)
{
    intptr_t laps = (intptr_t)arg & 15;
    int err = 0;

    while (laps-- > 0)
        lw_yield();
    if (((intptr_t)arg & 16) != 0)
        err = lw_sleep(lw_in((intptr_t)arg % 50 * LW_US));
    return err == -ECANCELED ? 0 : err;
}

/* Waits with short deadlines; as soon as a wait says that nobody runs, the group's memory goes. */
static int give_parties(void *arg)
{
    uint64_t random = (uintptr_t)arg + 21;

    for (long i = 0; i < rounds(600); i++) {
        lw_group *group = calloc(1, sizeof *group);
        uint64_t draw = random_draw(&random) >> 32;
        int err;

        for (uint64_t n = draw % 4 + 1; n > 0; n--)
            cr_assert_eq(lw_group_spawn(group, child_of_a_party,
                                        (void *)(uintptr_t)(draw >> (4 * n) & 0xfff), NULL),
                         0);
        if (draw % 5 == 0)
            lw_group_cancel(group);
        do {
            err = lw_group_wait(group, lw_in((lw_nsec)(random_draw(&random) >> 48)));
            cr_assert(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a wait returned %d",
                      err);
        } while (err < 0);
        cr_assert_eq(lw_group_running(group), 0);
        memset(group, 0xff, sizeof *group); /* who still touches it is caught */
        free(group);
    }
    return 0;
}

static void *give_parties_as_guest(void *arg)
{
    (void)give_parties(arg);
    return NULL;
}

static int storm_of_groups(void *arg)
{
    lw_task tasks[PARTIES];
    pthread_t guest;
    uint64_t random = 4;

    (void)arg;
    cr_assert_eq(pthread_create(&guest, NULL, give_parties_as_guest, (void *)99), 0);
    for (intptr_t i = 0; i < PARTIES; i++)
        cr_assert_eq(lw_spawn(&tasks[i], give_parties, (void *)i, NULL), 0);
    for (int left = PARTIES; left > 0;) {
        int k = (int)((random_draw(&random) >> 40) % PARTIES);

        if (tasks[k].id != 0 && lw_join(tasks[k], NULL, LW_NOW) == 0) {
            tasks[k].id = 0;
            left--;
        }
        (void)lw_cancel(tasks[k]);
        lw_yield();
    }
    (void)pthread_join(guest, NULL);
    return 0;
}

Test(storm, group_may_go_as_soon_as_a_wait_says_that_nobody_runs)
{
    run_all(storm_of_groups, NULL);
    assert_no_leaks();
}

/* ---- guests whose threads end right after their wait: the waker must not mistake who comes
 * after */

static struct {
    uint32_t word, done;
} mortal;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A life: wait, be woken, end.  What is spawned then may get the slot. */
static void *live_once(void *arg)
{
    int err = lw_futex_wait(&mortal.word, 0, lw_in(50 * LW_US));

    (void)arg;
    cr_assert(err == 0 || err == -ETIMEDOUT, "a wait returned %d", err);
    return NULL;
}

static int wake_the_mortal(void *arg)
{
    (void)arg;
    while (!lw_load_acq(&mortal.done)) {
        (void)lw_futex_wake(&mortal.word, 1);
        lw_yield();
    }
    return 0;
}

static void storm_of_threads(unsigned workers)
{
    lw_options options = {.workers = workers};
    lw_task wakers[2], task;
    lw_runtime *runtime;
    lw_task_options here = {0};

    mortal.done = 0;
    cr_assert_eq(lw_start(&runtime, &options), 0);
    here.runtime = runtime;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&wakers[i], wake_the_mortal, NULL, &here), 0);
    for (long i = 0; i < rounds(1000); i++) {
        pthread_t threads[3];

        for (int k = 0; k < 3; k++)
            cr_assert_eq(pthread_create(&threads[k], NULL, live_once, NULL), 0);
        for (int k = 0; k < 3; k++) {
            (void)pthread_join(threads[k], NULL);
            cr_assert_eq(lw_spawn(&task, nothing, NULL, &here), 0);
            cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        }
    }
    lw_store_rel(&mortal.done, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(wakers[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
}

Test(storm, threads_that_end_after_their_wait_leave_nothing_behind)
{
    storm_of_threads(1);
    storm_of_threads(2);
    assert_no_leaks();
}
