/* SPDX-License-Identifier: MIT */
/* Cancelling in many schedules: each request is delivered, withdrawn or still there, never twice;
 * a shield keeps it; and it never ends a wait that was granted. */
#include "tests/sim/explore.h"

TestSuite(cancel, .init = watchdog);

static struct {
    lw_event never, shielded, gate;
    lw_task target;
    int cancels, uncancels, delivered, stopped;
    unsigned left;
    bool stop;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* ---- counting */

static int count_deliveries(void *arg)
{
    (void)arg;
    while (!it.stop) {
        int err = lw_event_wait(&it.never, draw_deadline());

        LW_SIM_CHECK(is_cut_short(err) || (err == 0 && it.stop));
        it.delivered += err == -ECANCELED;
        if (err == -ECANCELED)
            LW_SIM_CHECK(it.cancels > 0);
    }
    sim_weak_flush_all(); /* whoever has cancelled has done so before it.stop */
    it.delivered += lw_checkpoint() == -ECANCELED;
    LW_SIM_CHECK(lw_checkpoint() == 0); /* once */
    it.left = lw_cancel_requests();
    return 0;
}

/* Counted before, so that a delivery finds it counted. */
static int cancel_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        it.cancels++;
        LW_SIM_CHECK(lw_cancel(it.target) == 0);
    }
    return 0;
}

static int withdraw_one(void *arg)
{
    int err = lw_uncancel(it.target);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -EINVAL);
    it.uncancels += err == 0;
    return 0;
}

static int count(void *arg)
{
    lw_task others[2];

    set_up();
    it.target = start(count_deliveries, NULL);
    others[0] = start(cancel_twice, NULL);
    others[1] = start(arg != NULL ? withdraw_one : cancel_twice, NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    it.stop = true;
    lw_event_set(&it.never);
    LW_SIM_CHECK(end_of(it.target) == 0);
    LW_SIM_CHECK((int)it.left == it.cancels - it.uncancels);
    LW_SIM_CHECK(it.delivered <= it.cancels);
    LW_SIM_CHECK(it.delivered >= (it.cancels > it.uncancels));
    return 0;
}

Test(cancel, a_request_is_delivered_once)
{
    sim_all(count, NULL);
}

Test(cancel, a_request_that_was_withdrawn_is_not_delivered)
{
    sim_all(count, &it);
}

/* ---- one request and one withdrawal: delivered, or withdrawn before */

static int wait_for_the_gate(void *arg)
{
    int err = lw_event_wait(&it.gate, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -ECANCELED);
    it.delivered += err == -ECANCELED;
    err = lw_event_wait(&it.gate, LW_FOREVER); /* delivered here: the first was granted */
    LW_SIM_CHECK(err == 0 || err == -ECANCELED);
    it.delivered += err == -ECANCELED;
    UNTIL(it.stop);
    it.delivered += lw_checkpoint() == -ECANCELED;
    return 0;
}

static int cancel_and_withdraw(void *arg)
{
    int err, again;

    set_up();
    it.target = start(wait_for_the_gate, NULL);
    LW_SIM_CHECK(lw_cancel(it.target) == 0);
    if (*(bool *)arg)
        lw_event_set(&it.gate);
    err = lw_uncancel(it.target);
    LW_SIM_CHECK(err == 0 || err == -EINVAL);
    again = lw_uncancel(it.target);
    /* It was just being delivered, and came too late for the wait. */
    LW_SIM_CHECK(again == -EINVAL || (again == 0 && err == -EINVAL && *(bool *)arg));
    lw_event_set(&it.gate);
    it.stop = true;
    LW_SIM_CHECK(end_of(it.target) == 0);
    LW_SIM_CHECK(it.delivered + (err == 0) + (again == 0) == 1);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(cancel, a_request_is_withdrawn_or_delivered)
{
    for (int granted = 0; granted < 2; granted++) {
        bool arg = granted;

        sim_all(cancel_and_withdraw, &arg);
        sim_every(cancel_and_withdraw, &arg, 1, 100);
    }
}

/* ---- shields */

static int wait_in_a_shield(void *arg)
{
    bool asked;

    (void)arg;
    LW_SIM_CHECK(lw_shield_enter() == 0);
    LW_SIM_CHECK(lw_event_wait(&it.shielded, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_event_wait(&it.never, lw_in(5 * LW_US)) == -ETIMEDOUT);
    LW_SIM_CHECK(lw_checkpoint() == 0);
    LW_SIM_CHECK(lw_shield_exit() == 0);
    asked = it.cancels == 2; /* both calls are over */
    it.delivered += lw_event_wait(&it.never, lw_in(5 * LW_US)) == -ECANCELED;
    LW_SIM_CHECK(!asked || it.delivered == 1);
    return 0;
}

static int cancel_once(void *arg)
{
    int err = lw_cancel(it.target);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -ESRCH);
    it.cancels++;
    return 0;
}

static int shield(void *arg)
{
    lw_task others[2];

    (void)arg;
    set_up();
    it.target = start(wait_in_a_shield, NULL);
    for (int i = 0; i < 2; i++)
        others[i] = start(cancel_once, NULL);
    lw_event_set(&it.shielded);
    LW_SIM_CHECK(end_of(it.target) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    LW_SIM_CHECK(it.delivered <= 1);
    return 0;
}

Test(cancel, a_shield_keeps_it_for_the_first_wait_after)
{
    sim_all(shield, NULL);
}

/* ---- a wait that was granted returns its grant */

static int take_it(void *arg)
{
    lw_semaphore *semaphore = arg;
    int err = lw_semaphore_acquire(semaphore, 1, LW_FOREVER);

    LW_SIM_CHECK(err == 0 || err == -ECANCELED);
    it.stopped += err == 0;
    it.delivered += err == -ECANCELED;
    it.delivered += lw_checkpoint() == -ECANCELED;
    return 0;
}

static int cancel_a_grant(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("grant", 0);
    lw_task other;

    (void)arg;
    set_up();
    it.target = start(take_it, &semaphore);
    other = start(cancel_once, NULL);
    LW_SIM_CHECK(lw_semaphore_release(&semaphore, 1) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(end_of(it.target) == 0);
    LW_SIM_CHECK(it.stopped + (int)lw_semaphore_available(&semaphore) == 1);
    LW_SIM_CHECK(it.delivered <= 1 && nobody_waited());
    return 0;
}

Test(cancel, a_grant_is_not_taken_back)
{
    sim_all(cancel_a_grant, NULL);
    sim_every(cancel_a_grant, NULL, 1, 100);
}
