/* SPDX-License-Identifier: MIT */
/* The laws of lw_throttle: who waits in vain, being cancelled or having a deadline, takes no slot,
 * and gives back the newest.  Row R152. */
#include "tests/primitives/throttles.h"

TestSuite(throttle_vain, .init = watchdog);

static int cancel_a_wait(void *arg)
{
    lw_throttle throttle;
    lw_task tasks[3];

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    lw_throttle_exit(&throttle, 0);
    tasks[0] = start_waiter(enter, &throttle);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    assert_counts(&throttle, 1, 0); /* R152 */
    assert_next_in(&throttle, GAP);  /* R152: it gave its slot back */

    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiter(enter, &throttle);
    cr_assert_eq(lw_cancel(tasks[1]), 0);
    cr_assert_eq(join_status(tasks[1]), -ECANCELED);
    clock_now += 3 * GAP;
    cr_assert_eq(try(&throttle), -ETIMEDOUT, "one that is not the newest goes by unused");
    cr_assert_eq(lw_cancel(tasks[2]), 0);
    cr_assert_eq(join_status(tasks[2]), -ECANCELED);
    cr_assert_eq(try(&throttle), 0, "the newest is given back");
    cr_assert_eq(try(&throttle), -ETIMEDOUT, "once");
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    cr_assert_eq(try(&throttle), -ETIMEDOUT, "it is not the newest now");
    assert_next_in(&throttle, GAP);
    return 0;
}

Test(throttle_vain, who_is_cancelled_gives_back_the_newest_slot)
{
    run_all(cancel_a_wait, NULL);
}

static int cancel_in_order(void *arg)
{
    lw_throttle throttle;
    lw_task tasks[3];

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiter(enter, &throttle);
    for (int i = 2; i >= 0; i--) { /* the one before is the newest then */
        cr_assert_eq(lw_cancel(tasks[i]), 0);
        cr_assert_eq(join_status(tasks[i]), -ECANCELED);
    }
    assert_next_in(&throttle, GAP);
    return 0;
}

Test(throttle_vain, slots_go_back_as_they_came)
{
    run_all(cancel_in_order, NULL);
}

static int miss(void *arg)
{
    lw_throttle throttle;
    lw_nsec deadline;

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    for (int i = 0; i < 3; i++) {
        deadline = lw_in(100 * LW_US);
        cr_assert_eq(lw_throttle_enter(&throttle, deadline), -ETIMEDOUT);
        cr_assert_geq(lw_now(), deadline, "not before");
    }
    cr_assert_eq(lw_throttle_enter(&throttle, deadline), -ETIMEDOUT, "it has passed");
    cr_assert_eq(lw_throttle_enter(&throttle, 5), -EINVAL, "a duration");
    assert_counts(&throttle, 0, 0);
    assert_next_in(&throttle, GAP); /* nothing was taken */
    cr_assert_eq(lw_throttle_set_rate(&throttle, 1000), 0);
    cr_assert_eq(lw_throttle_enter(&throttle, lw_in(3600 * LW_SEC)), 0, "in time");
    return 0;
}

Test(throttle_vain, a_deadline_before_the_slot_takes_none)
{
    run_all(miss, NULL);
    (void)miss(NULL); /* a plain thread */
}

static int enter_in_a_minute(void *arg)
{
    lw_throttle *throttle = arg;

    return lw_throttle_enter(throttle, lw_in(60 * LW_SEC)); /* a slot comes after 100 s */
}

static int cancel_in_vain(void *arg)
{
    lw_throttle throttle;
    lw_task task;

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    task = start_waiter(enter_in_a_minute, &throttle);
    __atomic_store_n(&clock_now, clock_now + GAP, __ATOMIC_RELAXED);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(join_status(task), -ECANCELED, "though there is a slot now");
    cr_assert_eq(try(&throttle), 0, "which it did not take");
    return 0;
}

Test(throttle_vain, who_is_cancelled_does_not_look_again)
{
    run_all(cancel_in_vain, NULL);
}

static int enter_by(void *arg)
{
    lw_throttle *throttle = arg;

    return lw_throttle_enter(throttle, lw_in(20 * LW_MS));
}

/* Nothing is due before the deadline; then it is, for the clock was moved. */
static int find_one_at_last(void *arg)
{
    lw_throttle throttle;
    lw_task first, second;

    (void)arg;
    make(&throttle, 0.01, &small);
    cr_assert_eq(try(&throttle), 0);
    first = start_waiter(enter, &throttle);
    second = start_waiter(enter_by, &throttle);
    cr_assert_eq(lw_cancel(first), 0);
    cr_assert_eq(join_status(first), -ECANCELED);
    __atomic_store_n(&clock_now, clock_now + GAP, __ATOMIC_RELAXED);
    cr_assert_eq(join_status(second), 0, "the slot that was given back");
    cr_assert_eq(try(&throttle), -ETIMEDOUT);
    return 0;
}

Test(throttle_vain, who_waits_in_vain_looks_again_at_the_end)
{
    run_all(find_one_at_last, NULL);
}
