/* SPDX-License-Identifier: MIT */
/* The laws of lw_event.  Rows R201 to R212. */
#include "tests/primitives/crowd.h"

TestSuite(event, .init = watchdog);

static int values[8]; /* their addresses are values */

/* ---- as a bit */

struct gate {
    lw_event event;
    long prepared; /* plain: written before the set, read after the wait */
    int order[8], count;
};

struct waiter {
    struct gate *gate;
    int number;
    const void *wanted;
    void *got;
};

static int pass(void *arg)
{
    struct waiter *waiter = arg;
    int err = lw_event_wait(&waiter->gate->event, LW_FOREVER);

    if (err == 0)
        cr_assert_eq(waiter->gate->prepared, 42);
    return err;
}

static int open_gate(void *arg)
{
    struct gate gate = {0};
    struct waiter waiters[8];
    lw_task tasks[8];

    (void)arg;
    cr_assert_not(lw_event_is_set(&gate.event));
    cr_assert_eq(lw_event_wait(&gate.event, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < 8; i++) {
        waiters[i] = (struct waiter){.gate = &gate, .number = i};
        tasks[i] = i % 2 == 0 ? start_waiter(pass, &waiters[i]) : (lw_task){0};
        if (i % 2 == 1)
            cr_assert_eq(lw_spawn(&tasks[i], pass, &waiters[i], NULL), 0);
    }
    gate.prepared = 42;
    lw_event_set(&gate.event);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(lw_event_wait(&gate.event, LW_NOW), 0);
    lw_event_clear(&gate.event);
    cr_assert_eq(lw_event_wait(&gate.event, LW_NOW), -ETIMEDOUT);
    cr_assert_null(gate.event.wait._queue);
    cr_assert_eq(lw_load_acq(&gate.event.wait._word._value), 0);
    return 0;
}

Test(event, all_go_on_and_see_what_was_done_before_the_set)
{
    run_all(open_gate, NULL);
}

static int note_order(void *arg)
{
    struct waiter *waiter = arg;
    int err = lw_event_wait(&waiter->gate->event, LW_FOREVER);

    waiter->gate->order[lw_add_rlx(&waiter->gate->count, 1)] = waiter->number;
    return err;
}

static int wake_in_order(void *arg)
{
    struct gate gate = {0};
    struct waiter waiters[8];
    lw_task tasks[8];

    (void)arg;
    for (int i = 0; i < 8; i++) {
        waiters[i] = (struct waiter){.gate = &gate, .number = i};
        tasks[i] = start_waiter(note_order, &waiters[i]);
    }
    cr_assert_eq(lw_cancel(tasks[3]), 0);
    lw_event_set(&gate.event);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(tasks[i]), i == 3 ? -ECANCELED : 0);
    cr_assert_eq(gate.count, 8);
    for (int i = 0, last = -1; i < 8; i++) {
        if (gate.order[i] == 3)
            continue;
        cr_assert_gt(gate.order[i], last);
        last = gate.order[i];
    }
    return 0;
}

Test(event, waiters_are_woken_in_order)
{
    run_with(1, wake_in_order, NULL);
}

/* ---- with a value */

static int take_value(void *arg)
{
    struct waiter *waiter = arg;

    return lw_event_wait_value(&waiter->gate->event, &waiter->got, LW_FOREVER);
}

static int take_next(void *arg)
{
    struct waiter *waiter = arg;

    return lw_event_wait_next(&waiter->gate->event, &waiter->got, LW_FOREVER);
}

static int take_wanted(void *arg)
{
    struct waiter *waiter = arg;

    return lw_event_wait_for(&waiter->gate->event, waiter->wanted, LW_FOREVER);
}

static int pass_values(void *arg)
{
    struct gate gate = {0};
    struct waiter value = {.gate = &gate}, next = {.gate = &gate}, second_next = {.gate = &gate};
    void *got = NULL;
    lw_task tasks[3];

    (void)arg;
    cr_assert_eq(lw_event_get(&gate.event, &got), -ENODATA, "R201");
    tasks[0] = start_waiter(take_value, &value);
    tasks[1] = start_waiter(take_next, &next);
    lw_event_put(&gate.event, &values[1]);
    lw_event_put(&gate.event, &values[2]); /* before they ran */
    cr_assert_eq(join_status(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[1]), 0);
    cr_assert_eq(value.got, &values[1], "R203, R205");
    cr_assert_eq(next.got, &values[1], "R203");
    cr_assert_eq(lw_event_get(&gate.event, &got), 0);
    cr_assert_eq(got, &values[2]);
    cr_assert_eq(lw_event_wait_value(&gate.event, &got, LW_NOW), 0, "R204");
    cr_assert_eq(got, &values[2], "R204");

    cr_assert_eq(lw_event_wait_next(&gate.event, &got, LW_NOW), -ETIMEDOUT, "R207: that is old");
    cr_assert_eq(lw_event_wait_next(&gate.event, &got, lw_in(LW_MS)), -ETIMEDOUT, "R207");
    tasks[2] = start_waiter(take_next, &second_next);
    lw_event_clear(&gate.event);
    cr_assert(is_waiting(tasks[2]), "R206: though a value was there");
    cr_assert_eq(lw_event_get(&gate.event, &got), -ENODATA, "R202");
    cr_assert_not(lw_event_is_set(&gate.event), "R202");
    lw_event_set(&gate.event);
    cr_assert_eq(join_status(tasks[2]), 0, "R206");
    cr_assert_null(second_next.got);
    cr_assert_eq(lw_event_get(&gate.event, &got), 0);
    cr_assert_null(got);
    return 0;
}

Test(event, a_waiter_gets_the_value_that_ended_its_wait)
{
    run_all(pass_values, NULL);
}

static int want_values(void *arg)
{
    struct gate gate = {0};
    struct waiter wants[3] = {{.gate = &gate, .wanted = &values[1]},
                              {.gate = &gate, .wanted = &values[2]},
                              {.gate = &gate, .wanted = &values[3]}};
    struct waiter any = {.gate = &gate};
    lw_task tasks[4];

    (void)arg;
    lw_event_put(&gate.event, &values[0]);
    cr_assert_eq(lw_event_wait_for(&gate.event, &values[0], LW_NOW), 0, "R208");
    cr_assert_eq(lw_event_wait_for(&gate.event, &values[1], LW_NOW), -ETIMEDOUT, "R211");
    cr_assert_eq(lw_event_wait_for(&gate.event, &values[1], lw_in(LW_MS)), -ETIMEDOUT, "R211");
    cr_assert_eq(gate.event._value, &values[0], "R211: it is unchanged");
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiter(take_wanted, &wants[i]);
    tasks[3] = start_waiter(take_next, &any);
    lw_event_put(&gate.event, &values[2]);
    lw_event_put(&gate.event, &values[0]); /* replaced at once */
    cr_assert_eq(join_status(tasks[1]), 0, "R210");
    cr_assert_eq(join_status(tasks[3]), 0);
    cr_assert_eq(any.got, &values[2]);
    cr_assert(is_waiting(tasks[0]) && is_waiting(tasks[2]), "R209: it waits, and does not spin");
    lw_event_put(&gate.event, &values[3]);
    lw_event_put(&gate.event, &values[1]);
    lw_event_clear(&gate.event);
    cr_assert_eq(join_status(tasks[0]), 0, "R209");
    cr_assert_eq(join_status(tasks[2]), 0, "R209");
    cr_assert_null(gate.event.wait._queue);
    return 0;
}

Test(event, a_wanted_value_is_not_missed_when_it_is_replaced_at_once)
{
    run_all(want_values, NULL);
}

/* R212: set_at_timeout, as a caller does it. */
static int put_at_timeout(void *arg)
{
    struct gate gate = {0};
    struct waiter any = {.gate = &gate};
    lw_task task = start_waiter(take_next, &any);
    void *got = NULL;
    int err = lw_event_wait_for(&gate.event, &values[5], lw_in(LW_MS));

    (void)arg;
    if (err == -ETIMEDOUT)
        lw_event_put(&gate.event, &values[5]);
    cr_assert_eq(err, -ETIMEDOUT, "R212");
    cr_assert_eq(join_status(task), 0, "R212: others are woken");
    cr_assert_eq(any.got, &values[5], "R212");
    cr_assert_eq(lw_event_get(&gate.event, &got), 0);
    cr_assert_eq(got, &values[5], "R212: it holds the value");
    return 0;
}

Test(event, a_value_can_be_put_where_it_did_not_come_in_time)
{
    run_all(put_at_timeout, NULL);
}

static int take_then_pass(void *arg)
{
    struct waiter *waiter = arg;
    lw_event *event = &waiter->gate->event;

    cr_assert_eq(lw_event_wait_value(event, &waiter->got, lw_in(LW_MS)), -ETIMEDOUT, "R205");
    __atomic_store_n(&waiter->got, (void *)waiter, __ATOMIC_RELEASE);
    return lw_event_wait(event, LW_FOREVER);
}

/* What a record keeps of an earlier wait is not taken for what this one wants. */
static int mix_sorts(void *arg)
{
    struct gate gate = {0};
    struct waiter plain = {.gate = &gate}, wants = {.gate = &gate, .wanted = &values[1]};
    lw_task tasks[2];

    (void)arg;
    tasks[0] = start_waiter(take_then_pass, &plain);
    AWAIT(__atomic_load_n(&plain.got, __ATOMIC_ACQUIRE) == &plain && is_waiting(tasks[0]));
    tasks[1] = start_waiter(take_wanted, &wants);
    lw_event_put(&gate.event, &values[1]);
    cr_assert_eq(join_status(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[1]), 0);
    cr_assert_eq(plain.got, &plain);
    return 0;
}

Test(event, one_who_wants_no_value_gets_none)
{
    run_all(mix_sorts, NULL);
}

/* ---- nobody is forgotten, nobody goes too early */

struct round {
    lw_event event;
    uint64_t puts;
};

static void act_waiting(struct member *member)
{
    struct round *round = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        lw_nsec deadline = lw_in((lw_nsec)(random_draw(&member->random) % 200) * LW_US);
        void *got = NULL;
        int err = 0;

        switch (random_draw(&member->random) % 6) {
        case 0:
            lw_event_put(&round->event, &values[random_draw(&member->random) % 8]);
            break;
        case 1:
            lw_event_clear(&round->event);
            break;
        case 2:
            err = lw_event_wait(&round->event, deadline);
            break;
        case 3:
            err = lw_event_wait_value(&round->event, &got, deadline);
            cr_assert_eq(err == 0, got != NULL);
            break;
        case 4:
            err = lw_event_wait_next(&round->event, &got, deadline);
            cr_assert_eq(err == 0, got != NULL);
            break;
        default:
            err = lw_event_wait_for(&round->event, &values[random_draw(&member->random) % 8],
                                    deadline);
        }
        cr_assert(err == 0 || is_interruption(err), "%d", err);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        struct round round = {0};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_waiting,
                              .object = &round,
                              .seed = seed};

        crowd_run(&crowd);
        lw_event_clear(&round.event);
        cr_assert_eq(lw_load_acq(&round.event.wait._word._value), 0);
        cr_assert_null(round.event.wait._queue);
    }
    return 0;
}

Test(event, waits_end_once_whatever_ends_them)
{
    run_all(crowds, NULL);
}

/* A set of a set event against a clear by one who looks for work after it: the work is seen, or the
 * set comes after the clear.  Each round is one meeting of the two, a little later than the
 * last. */
struct work {
    lw_event there;
    long round, made; /* atomic */
    long rounds;
};

static int make_work(void *arg)
{
    struct work *work = arg;

    for (long i = 1; i <= work->rounds; i++) {
        AWAIT(__atomic_load_n(&work->round, __ATOMIC_ACQUIRE) == i);
        __atomic_store_n(&work->made, i, __ATOMIC_RELAXED);
        lw_event_set(&work->there);
    }
    return 0;
}

static int find_work(void *arg)
{
    struct work work = {.rounds = rounds(20000)};
    lw_task maker;

    (void)arg;
    cr_assert_eq(lw_spawn(&maker, make_work, &work, NULL), 0);
    for (long i = 1; i <= work.rounds; i++) {
        lw_event_set(&work.there);
        __atomic_store_n(&work.round, i, __ATOMIC_RELEASE);
        for (long later = 0; later < i % 2048; later++)
            __asm__ volatile("" ::: "memory");
        lw_event_clear(&work.there);
        while (__atomic_load_n(&work.made, __ATOMIC_RELAXED) != i) {
            cr_assert_eq(lw_event_wait(&work.there, LW_FOREVER), 0);
            lw_event_clear(&work.there); /* it may have been the set of the round before */
        }
    }
    cr_assert_eq(join_status(maker), 0);
    return 0;
}

Test(event, a_set_of_a_set_event_is_seen_by_who_clears_and_looks)
{
    run_all(find_work, NULL);
}

static int wait_and_free(void *arg)
{
    lw_event *event = arg;
    int err = lw_event_wait(event, LW_FOREVER);

    free(event);
    return err;
}

static int set_and_forget(void *arg)
{
    (void)arg;
    for (long round = 0; round < rounds(500); round++) {
        lw_event *event = calloc(1, sizeof *event);
        lw_task task;

        cr_assert_eq(lw_spawn(&task, wait_and_free, event, NULL), 0);
        if (round % 2 == 0)
            AWAIT(is_waiting(task));
        lw_event_set(event);
        cr_assert_eq(join_status(task), 0);
    }
    return 0;
}

Test(event, who_waited_may_free_it)
{
    run_all(set_and_forget, NULL);
}

static void *pass_thread(void *arg)
{
    return pass(arg) == 0 ? NULL : arg;
}

Test(event, threads_wait_without_any_runtime)
{
    struct gate gate = {0};
    struct waiter waiter = {.gate = &gate};
    pthread_t thread;
    void *result;

    cr_assert_eq(pthread_create(&thread, NULL, pass_thread, &waiter), 0);
    gate.prepared = 42;
    lw_event_set(&gate.event);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_null(result);
    cr_assert_eq(lw_event_wait(&gate.event, LW_FOREVER), 0);
    cr_assert_eq(lw_event_wait_for(&gate.event, &values[0], lw_in(LW_MS)), -ETIMEDOUT);
}
