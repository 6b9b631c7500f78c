/* SPDX-License-Identifier: MIT */
/* The group in many schedules: its end comes after that of all children, the first failure cancels
 * the others, and a wait that was cut short can be repeated. */
#include "tests/sim/explore.h"

TestSuite(group, .init = watchdog);

enum { CHILDREN = 3 };

static struct {
    lw_group group;
    lw_event never;
    int started, ended, cancelled;
    bool failed;
} it;

static void set_up(uint32_t flags)
{
    memset(&it, 0, sizeof it);
    it.group = (lw_group)LW_GROUP_INIT(flags);
}

static int child(void *arg)
{
    (void)arg;
    it.started++;
    lw_sim_point();
    it.ended++;
    return 0;
}

static int wait_to_be_cancelled(void *arg)
{
    it.started++;
    LW_SIM_CHECK(lw_event_wait(&it.never, LW_FOREVER) == -ECANCELED);
    it.cancelled++;
    it.ended++;
    return arg != NULL ? -ECANCELED : 0;
}

static void spawn(lw_fn *fn, void *arg)
{
    LW_SIM_CHECK(lw_group_spawn(&it.group, fn, arg, NULL) == 0);
}

/* ---- the end comes after that of all children */

static int parent(void *arg)
{
    spawn(child, arg);
    spawn(child, arg);
    return child(arg);
}

static int end_after_all(void *arg)
{
    (void)arg;
    set_up(0);
    spawn(parent, NULL);
    spawn(child, NULL);
    LW_SIM_CHECK(lw_group_end(&it.group, 5) == 5);
    LW_SIM_CHECK(it.started == 4 && it.ended == 4);
    BURN(&it.group);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(group, it_ends_after_all_of_its_children)
{
    sim_all(end_after_all, NULL);
    sim_every(end_after_all, NULL, 1, 100);
}

/* ---- the first failure cancels the others */

static int fail(void *arg)
{
    it.started++;
    lw_sim_point();
    it.failed = true;
    it.ended++;
    return -(int)(uintptr_t)arg;
}

static int fail_fast(void *arg)
{
    int failure, status = *(int *)arg;

    set_up(LW_GROUP_FAIL_FAST);
    spawn(wait_to_be_cancelled, NULL);
    spawn(fail, (void *)EIO);
    spawn(wait_to_be_cancelled, &it);
    if (sim_choose(2) == 1)
        spawn(fail, (void *)EPROTO);
    failure = lw_group_end(&it.group, status);
    LW_SIM_CHECK(failure == (status < 0 ? status : -EIO) ||
                 (status == 0 && failure == -EPROTO && it.started == 4));
    LW_SIM_CHECK(it.cancelled == 2 && it.started == it.ended);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(group, the_first_failure_cancels_the_others)
{
    int status = 0;

    sim_all(fail_fast, &status);
}

Test(group, a_failed_body_cancels_all)
{
    int status = -ENOENT;

    sim_all(fail_fast, &status);
}

/* ---- waits that are cut short and repeated, several at a time */

static int wait_until_done(void *arg)
{
    bool refused = false;
    int err;

    do {
        lw_nsec deadline = draw_deadline();

        err = lw_group_wait(&it.group, deadline);
        LW_SIM_CHECK(err == 0 || err == -ECANCELED ||
                     (err == -ETIMEDOUT && deadline != LW_FOREVER));
        LW_SIM_CHECK(err != -ECANCELED || (arg != NULL && !refused));
        refused |= err == -ECANCELED;
    } while (err != 0);
    LW_SIM_CHECK(it.ended == CHILDREN);
    return 0;
}

static int wait_again(void *arg)
{
    lw_task waiters[2];

    (void)arg;
    set_up(0);
    for (int i = 0; i < CHILDREN; i++)
        spawn(child, NULL);
    for (int i = 0; i < 2; i++)
        waiters[i] = start(wait_until_done, i > 0 ? &it : NULL);
    (void)lw_cancel(waiters[1]);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(waiters[i]) == 0);
    LW_SIM_CHECK(lw_group_running(&it.group) == 0);
    LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
    BURN(&it.group);
    return 0;
}

Test(group, a_wait_that_was_cut_short_can_be_repeated)
{
    sim_all(wait_again, NULL);
}

/* ---- who ends it is cancelled: passed on, and kept */

static int end_while_cancelled(void *arg)
{
    (void)arg;
    spawn(wait_to_be_cancelled, NULL);
    LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
    LW_SIM_CHECK(it.ended == 1);
    LW_SIM_CHECK(lw_event_wait(&it.never, LW_FOREVER) == -ECANCELED);
    return 0;
}

static int cancel_the_end(void *arg)
{
    lw_task task;

    (void)arg;
    set_up(0);
    task = start(end_while_cancelled, NULL);
    LW_SIM_CHECK(lw_cancel(task) == 0);
    LW_SIM_CHECK(end_of(task) == 0);
    LW_SIM_CHECK(it.cancelled == 1 && nobody_waited());
    return 0;
}

Test(group, a_cancel_during_the_end_is_passed_on_and_kept)
{
    sim_all(cancel_the_end, NULL);
}

/* ---- cancelling all, from outside */

static int cancel_all(void *arg)
{
    lw_group_cancel(&it.group);
    (void)arg;
    return 0;
}

static int cancel_from_outside(void *arg)
{
    lw_task other;

    (void)arg;
    set_up(0);
    for (int i = 0; i < 2; i++)
        spawn(wait_to_be_cancelled, NULL);
    other = start(cancel_all, NULL);
    LW_SIM_CHECK(lw_group_wait(&it.group, LW_FOREVER) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(it.cancelled == 2);
    LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(group, a_cancel_reaches_all_children)
{
    sim_all(cancel_from_outside, NULL);
}

/* ---- ended while another cancels it: and it can be used again */

static int cancel_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        lw_group_cancel(&it.group);
    return 0;
}

static int end_and_use_again(void *arg)
{
    lw_task other;

    (void)arg;
    set_up(LW_GROUP_CANCEL_AT_END);
    other = start(cancel_again, NULL);
    for (int i = 0; i < 3; i++) {
        spawn(child, NULL);
        LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
        LW_SIM_CHECK(it.ended == i + 1);
    }
    return end_of(other);
}

Test(group, a_cancel_during_the_end_leaves_it_as_it_was)
{
    sim_all(end_and_use_again, NULL);
}
