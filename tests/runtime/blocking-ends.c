/* SPDX-License-Identifier: MIT */
/* How a blocking call ends: by its deadline and by a cancel only while it waits for a helper, and
 * then its function does not run. */
#include "runtime/os/os.h"
#include "tests/runtime/gate.h"

TestSuite(blocking_ends, .init = watchdog);

static int check_deadline(void *arg)
{
    struct gate gate;
    struct caller started, queued, late;
    lw_nsec after;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, 300 * LW_MS);
    await(&gate.entered, 1);
    after = lw_in(300 * LW_MS);
    start(&queued, &gate, 5 * LW_MS);
    start(&late, &gate, -LW_MS);
    finish(&queued); /* by its deadline, since the one helper is taken */
    finish(&late);
    cr_assert_eq(queued.err, -ETIMEDOUT);
    cr_assert_eq(late.err, -ETIMEDOUT);
    cr_assert_eq(lw_sleep(after), 0);
    (void)sem_post(&gate.open);
    finish(&started);
    cr_assert_eq(started.err, 0, "a deadline ended a call that had started: %d", started.err);
    cr_assert_eq(started.status, 5);
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a call that timed out ran");

    start(&late, &gate, -LW_MS); /* a helper is free: the deadline has no part in it */
    (void)sem_post(&gate.open);
    finish(&late);
    cr_assert(late.err == 0 || late.err == -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&gate.entered), late.err == 0 ? 2 : 1);
    return 0;
}

static void run_with_one_helper(lw_fn *fn)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = 1};

        cr_assert_eq(lw_run(&options, fn, NULL), 0);
    }
    assert_no_leaks();
}

Test(blocking_ends, ends_by_the_deadline_only_while_it_waits_for_a_helper)
{
    run_with_one_helper(check_deadline);
}

static int check_cancel(void *arg)
{
    struct gate gate;
    struct caller started, queued;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    start(&queued, &gate, LW_FOREVER);
    for (int i = 0; i < 10; i++)
        lw_yield();
    cr_assert_eq(lw_cancel(queued.task), 0);
    finish(&queued);
    cr_assert_eq(queued.err, -ECANCELED);
    cr_assert_eq(queued.after, 0, "a cancel was delivered twice");

    cr_assert_eq(lw_cancel(started.task), 0);
    for (int i = 0; i < 10; i++)
        lw_yield();
    cr_assert_eq(lw_load_acq(&gate.ended), 0);
    (void)sem_post(&gate.open);
    finish(&started);
    cr_assert_eq(started.err, 0);
    cr_assert_eq(started.after, -ECANCELED, "a cancel was lost");
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a cancelled call ran");
    return 0;
}

Test(blocking_ends, is_cancelled_only_while_it_waits_for_a_helper)
{
    run_with_one_helper(check_cancel);
}

static int call_cancelled(void *arg)
{
    uint32_t *count = arg;

    cr_assert_eq(lw_blocking(count_up, count, NULL, LW_FOREVER), -ECANCELED);
    cr_assert_eq(lw_blocking(count_up, count, NULL, LW_FOREVER), 0);
    return 0;
}

static int check_cancelled_before(void *arg)
{
    uint32_t count = 0;
    lw_task task;

    (void)arg;
    for (uint32_t i = 0; i < 3; i++) { /* without a helper, and with one that is idle */
        lw_store_rel(&count, 0);
        cr_assert_eq(lw_spawn(&task, call_cancelled, &count, NULL), 0);
        cr_assert_eq(lw_cancel(task), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_load_acq(&count), 1);
    }
    return 0;
}

static int call_in_cancelled_group(void *arg)
{
    struct gate *gate = arg;
    uint32_t ran = 0;

    (void)lw_add_acq_rel(&gate->entered, 1);
    AWAIT(lw_load_acq(&gate->ended) != 0);
    cr_assert_eq(lw_blocking(count_up, &ran, NULL, LW_FOREVER), -ECANCELED);
    cr_assert_eq(ran, 0);
    return 0;
}

static int check_cancelled_group(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    struct gate gate = {0};
    uint32_t count = 0;

    (void)arg;
    cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_FOREVER), 0); /* a helper, now idle */
    cr_assert_eq(lw_group_spawn(&group, call_in_cancelled_group, &gate, NULL), 0);
    AWAIT(lw_load_acq(&gate.entered) != 0);
    lw_group_cancel(&group);
    lw_store_rel(&gate.ended, 1);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    return 0;
}

Test(blocking_ends, learns_what_the_group_of_its_task_was_told)
{
    run_all(check_cancelled_group, NULL);
}

Test(blocking_ends, delivers_a_cancel_from_before_and_does_not_run)
{
    run_with(1, check_cancelled_before, NULL);
}

/* With one worker: the wait of a queued call has ended, but its task had no turn yet to leave the
 * queue when a helper comes for it. */
static int check_ended_in_queue(void *arg)
{
    struct gate gate;
    struct caller started, queued;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    start(&queued, &gate, LW_FOREVER);
    lw_yield();
    cr_assert_eq(lw_cancel(queued.task), 0);
    (void)sem_post(&gate.open);
    (void)sem_post(&gate.open);
    while (lw_load_acq(&gate.ended) == 0)
        lw_sys.yield();
    for (lw_nsec until = lw_in(2 * LW_MS); lw_now() < until;) /* the helper looks at its queue */
        lw_sys.yield();
    finish(&started);
    finish(&queued);
    cr_assert_eq(started.err, 0);
    cr_assert_eq(queued.err, -ECANCELED);
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a cancelled call ran");
    return 0;
}

Test(blocking_ends, whose_wait_has_ended_does_not_run_though_it_is_still_queued)
{
    lw_options options = {.workers = 1, .helpers = 1};

    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_run(&options, check_ended_in_queue, NULL), 0);
}

/* Each call says 0 exactly when its function ran: with few helpers, deadlines and cancels. */
struct mixed {
    uint32_t ran, said;
    lw_nsec within;
};

static int touch(void *arg)
{
    struct mixed *mixed = arg;

    (void)lw_add_acq_rel(&mixed->ran, 1);
    if (mixed->within % 3 == 0)
        lw_sys.yield();
    return 0;
}

static int call_mixed(void *arg)
{
    struct mixed *mixed = arg;

    for (int i = 0; i < 5; i++) {
        int err = lw_blocking(touch, mixed, NULL, lw_in(mixed->within));

        cr_assert(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "%d", err);
        if (err == 0)
            (void)lw_add_acq_rel(&mixed->said, 1);
    }
    return 0;
}

static int check_mixed(void *arg)
{
    enum { TASKS = 50 };
    struct mixed mixed[TASKS] = {0};
    lw_task tasks[TASKS];

    (void)arg;
    for (long round = 0; round < rounds(40); round++) {
        for (int i = 0; i < TASKS; i++) {
            mixed[i].within = (i * 7 + round * 13) % 100 * 3 * LW_US;
            cr_assert_eq(lw_spawn(&tasks[i], call_mixed, &mixed[i], NULL), 0);
        }
        for (int i = 0; i < TASKS; i += 3)
            (void)lw_cancel(tasks[i]);
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(lw_load_acq(&mixed[i].ran), lw_load_acq(&mixed[i].said));
    }
    return 0;
}

Test(blocking_ends, ran_exactly_when_it_says_so)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = 2};

        cr_assert_eq(lw_run(&options, check_mixed, NULL), 0);
    }
}
