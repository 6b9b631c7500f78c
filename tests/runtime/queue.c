/* SPDX-License-Identifier: MIT */
/* Laws of order: the queue of an object is first in, first out and loses nobody; a yield lets all
 * the others run once; what was woken runs before what never ran, yet nobody waits for ever: not a
 * task that was never started, not one from another thread, however busy the rest is. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/ring.h"
#include "runtime/wait.h"
#include "tests/support.h"

TestSuite(queue, .init = watchdog);

/* ---- the queue of an object */

Test(queue, of_an_object_is_fifo_whoever_leaves_it)
{
    enum { NODES = 20 };
    struct lw_node nodes[NODES] = {0};
    void *tail = NULL;
    int model[NODES], count = 0;
    uint64_t random = 3;

    for (long i = 0; i < 100000; i++) {
        uint64_t draw = random_draw(&random) >> 32;
        int k = (int)(draw % NODES), at = 0;

        while (at < count && model[at] != k)
            at++;
        if (draw % 7 == 0) {
            struct lw_node *head = lw_queue_pop(&tail);

            cr_assert_eq(head, count > 0 ? &nodes[model[0]] : NULL);
            at = 0;
            if (count == 0)
                continue;
        } else if (at == count) {
            if (draw % 3 == 0) {
                lw_queue_push_front(&tail, &nodes[k]);
                for (int j = count; j > 0; j--)
                    model[j] = model[j - 1];
                model[0] = k;
            } else {
                lw_queue_push(&tail, &nodes[k]);
                model[count] = k;
            }
            count++;
            continue;
        } else {
            lw_queue_remove(&tail, &nodes[k]);
            lw_queue_remove(&tail, &nodes[k]); /* again: nothing */
        }
        count--;
        for (int j = at; j < count; j++)
            model[j] = model[j + 1];
        cr_assert_eq(tail == NULL, count == 0);
    }
    for (int j = 0; j < count; j++)
        cr_assert_eq(lw_queue_pop(&tail), &nodes[model[j]]);
    cr_assert_null(tail);
}

/* ---- yields */

enum { TASKS = 40, LAPS = 25 };

static struct {
    int order[TASKS * LAPS];
    int count;
} turns;

static int take_turns(void *arg)
{
    for (int lap = 0; lap < LAPS; lap++) {
        turns.order[lw_add_rlx(&turns.count, 1)] = (int)(intptr_t)arg;
        lw_yield();
    }
    return 0;
}

static int yield_in_turn(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    for (intptr_t i = 0; i < TASKS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_turns, (void *)i, NULL), 0);
    for (int i = 0; i < TASKS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(turns.count, TASKS * LAPS);
    /* From the first lap on which all run, each lap has the same order. */
    for (int lap = 2; lap < LAPS - 1; lap++)
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(turns.order[lap * TASKS + i], turns.order[TASKS + i], "lap %d, place %d",
                         lap, i);
    return 0;
}

Test(queue, yields_are_first_in_first_out)
{
    run_with(1, yield_in_turn, NULL);
}

static int count_up(void *arg)
{
    (void)lw_add_rlx((int *)arg, 1);
    return 0;
}

static int yield_runs_all(void *arg)
{
    static int ran;
    lw_task tasks[TASKS];

    (void)arg;
    for (int i = 0; i < TASKS; i++)
        cr_assert_eq(lw_spawn(i % 2 == 0 ? &tasks[i] : NULL, count_up, &ran, NULL), 0);
    cr_assert_eq(lw_load_rlx(&ran), 0, "a spawn does not switch");
    for (int i = 0; i < TASKS; i++)
        lw_yield();
    cr_assert_eq(lw_load_rlx(&ran), TASKS, "%d of %d ran during as many yields", lw_load_rlx(&ran),
                 TASKS);
    for (int i = 0; i < TASKS; i += 2)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_NOW), 0);
    return 0;
}

Test(queue, yield_lets_the_fresh_run_too)
{
    run_with(1, yield_runs_all, NULL);
}

/* More yielding tasks than the ring holds: still each has its turn. */
static int yield_often(void *arg)
{
    long *laps = arg;

    for (int i = 0; i < 20; i++) {
        ++*laps;
        lw_yield();
    }
    return 0;
}

static int overflow_the_ring(void *arg)
{
    enum { MANY = 3 * LW_RING_SIZE };
    static long laps[MANY];
    static lw_task tasks[MANY];

    (void)arg;
    for (int i = 0; i < MANY; i++) {
        laps[i] = 0;
        cr_assert_eq(lw_spawn(&tasks[i], yield_often, &laps[i], NULL), 0);
    }
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(laps[i], 20);
    return 0;
}

Test(queue, more_ready_tasks_than_the_ring_holds_all_run)
{
    run_all(overflow_the_ring, NULL);
}

/* ---- nobody starves */

static uint32_t stop, started;

static int yield_till_stop(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&started, 1);
    while (!lw_load_acq(&stop))
        lw_yield();
    return 0;
}

static int say_stop(void *arg)
{
    (void)arg;
    lw_store_rel(&stop, 1);
    return 0;
}

/* Two tasks that wake each other through the slot for the task woken last. */
static uint32_t ball[2];

static int play(void *arg)
{
    intptr_t me = (intptr_t)arg;

    while (!lw_load_acq(&stop)) {
        lw_store_rel(&ball[1 - me], 1);
        (void)lw_futex_wake(&ball[1 - me], 1);
        while (!lw_load_acq(&ball[me]) && !lw_load_acq(&stop))
            if (lw_futex_wait(&ball[me], 0, lw_in(10 * LW_MS)) == -ECANCELED)
                return 0;
        lw_store_rel(&ball[me], 0);
    }
    (void)lw_futex_wake(&ball[1 - me], 1);
    return 0;
}

static int fresh_one_under_woken_ones(void *arg)
{
    lw_task players[2], last;

    (void)arg;
    stop = 0;
    for (intptr_t i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&players[i], play, (void *)i, NULL), 0);
    for (int i = 0; i < 100; i++)
        lw_yield();
    cr_assert_eq(lw_spawn(&last, say_stop, NULL, NULL), 0);
    cr_assert_eq(lw_join(last, NULL, LW_FOREVER), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_join(players[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(queue, task_never_started_does_not_starve_under_woken_ones)
{
    run_all(fresh_one_under_woken_ones, NULL);
}

struct outsider {
    lw_runtime *runtime;
};

static void *spawn_from_outside(void *arg)
{
    struct outsider *outsider = arg;
    lw_task_options options = {.runtime = outsider->runtime};

    cr_assert_eq(lw_spawn(NULL, say_stop, NULL, &options), 0);
    return NULL;
}

/* The ring is exactly full, and all in it do nothing but yield. */
static void outsider_against(unsigned workers, uint32_t yielders)
{
    struct outsider outsider;
    lw_options options = {.workers = workers};
    pthread_t thread;

    stop = started = 0;
    cr_assert_eq(lw_start(&outsider.runtime, &options), 0);
    for (uint32_t i = 0; i < yielders; i++) {
        lw_task_options here = {.runtime = outsider.runtime};

        cr_assert_eq(lw_spawn(NULL, yield_till_stop, NULL, &here), 0);
    }
    AWAIT(lw_load_acq(&started) == yielders);
    cr_assert_eq(pthread_create(&thread, NULL, spawn_from_outside, &outsider), 0);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(lw_stop(outsider.runtime, LW_FOREVER), 0);
}

Test(queue, task_from_another_thread_does_not_starve_under_yielding_ones)
{
    outsider_against(1, 3);
    outsider_against(2, 3);
    outsider_against(1, LW_RING_SIZE);
    outsider_against(1, LW_RING_SIZE + 1);
    outsider_against(1, LW_RING_SIZE + 2);
    outsider_against(2, 2 * LW_RING_SIZE + 2);
}

static int full_ring_by_spawn(void *arg)
{
    (void)arg;
    stop = started = 0;
    for (uint32_t i = 0; i < LW_RING_SIZE; i++) /* detached ones go to the ring's tail */
        cr_assert_eq(lw_spawn(NULL, yield_till_stop, NULL, NULL), 0);
    struct outsider outsider = {NULL};
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, spawn_from_outside, &outsider), 0);
    return yield_till_stop(NULL) + pthread_join(thread, NULL);
}

Test(queue, task_from_another_thread_gets_in_when_the_ring_is_full)
{
    run_with(1, full_ring_by_spawn, NULL);
    run_with(2, full_ring_by_spawn, NULL);
}

/* ---- the budget */

static int never_blocks(void *arg)
{
    static uint32_t word;

    (void)arg;
    while (!lw_load_acq(
        &stop)) /* the word differs: it never has to wait, and yet others get their turn */
        cr_assert_eq(lw_futex_wait(&word, 1, LW_FOREVER), -EAGAIN);
    return 0;
}

static int budget(void *arg)
{
    lw_task task;

    (void)arg;
    stop = 0;
    cr_assert_eq(lw_spawn(&task, never_blocks, NULL, NULL), 0);
    lw_yield();
    lw_store_rel(&stop, 1);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(queue, operations_that_never_block_still_let_others_run)
{
    run_with(1, budget, NULL);
}

static uint32_t switches;

static int count_switches(void *arg)
{
    (void)arg;
    while (!lw_load_acq(&stop)) {
        (void)lw_add_acq_rel(&switches, 1);
        lw_yield();
    }
    return 0;
}

static int now_never_switches(void *arg)
{
    static uint32_t word;
    lw_task task;
    uint32_t before;

    (void)arg;
    stop = 0;
    cr_assert_eq(lw_spawn(&task, count_switches, NULL, NULL), 0);
    lw_yield();
    before = lw_load_acq(&switches);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(lw_futex_wait(&word, 0, LW_NOW), -ETIMEDOUT);
        cr_assert_eq(lw_futex_wait(&word, 1, LW_NOW), -EAGAIN);
        cr_assert_eq(lw_sleep(LW_NOW), 0);
        cr_assert_eq(lw_join(task, NULL, LW_NOW), -ETIMEDOUT);
        (void)lw_futex_wake(&word, LW_ALL);
        cr_assert_eq(lw_checkpoint(), 0);
    }
    cr_assert_eq(lw_load_acq(&switches), before, "a call with LW_NOW switched");
    lw_store_rel(&stop, 1);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(queue, calls_with_now_never_switch)
{
    run_with(1, now_never_switches, NULL);
}
