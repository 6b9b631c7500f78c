/* SPDX-License-Identifier: MIT */
/* Laws of cancel: delivered once, by the current wait or the next one, and by nothing else; fn
 * always runs; a grant is not taken back.  Rows R377 and R384; the others of cancel's are in
 * shield.c. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(cancel, .init = watchdog);

static uint32_t inside, go, word, reached;

/* Run fn as a task, cancel it `times` once it has set `inside`, then set `go`; its status must be
 * 0. */
static int cancel_inside(lw_fn *fn, unsigned times)
{
    lw_task task;
    int status = -1;

    inside = go = reached = 0;
    cr_assert_eq(lw_spawn(&task, fn, &task, NULL), 0);
    AWAIT(lw_load_acq(&inside));
    for (unsigned i = 0; i < times; i++)
        cr_assert_eq(lw_cancel(task), 0);
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    return status;
}

static void show_and_wait_for_go(void)
{
    lw_store_rel(&inside, 1);
    while (!lw_load_acq(&go))
        lw_yield(); /* delivers nothing */
}

static int delivered_once(void *arg)
{
    (void)arg;
    show_and_wait_for_go();
    cr_assert_eq(lw_futex_wait(&word, 0, lw_in(LW_SEC)), -ECANCELED, "by the next wait");
    cr_assert_eq(lw_futex_wait(&word, 0, lw_in(LW_US)), -ETIMEDOUT, "once");
    cr_assert_eq(lw_checkpoint(), 0);
    cr_assert_eq(lw_sleep(lw_in(LW_US)), 0);
    return 0;
}

static int test_delivered_once(void *arg)
{
    (void)arg;
    return cancel_inside(delivered_once, 1) | cancel_inside(delivered_once, 5);
}

Test(cancel, is_delivered_once_by_the_next_wait)
{
    run_all(test_delivered_once, NULL);
}

static int each_wait(void *arg)
{
    intptr_t which = (intptr_t)arg;
    lw_group group = LW_GROUP_INIT(0);
    int err;

    switch (which) {
    case 0:
        return lw_sleep(LW_FOREVER);
    case 1:
        return lw_sleep(lw_in(3600 * LW_SEC));
    case 2:
        return lw_futex_wait(&word, 0, LW_FOREVER);
    case 3: {
        lw_task task;

        cr_assert_eq(lw_spawn(&task, each_wait, (void *)0, NULL), 0);
        err = lw_join(task, NULL, LW_FOREVER);
        cr_assert_eq(lw_cancel(task), 0, "a cancel of the joiner is not one of the joined");
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        return err;
    }
    default:
        cr_assert_eq(lw_group_spawn(&group, each_wait, (void *)0, NULL), 0);
        err = lw_group_wait(&group, LW_FOREVER);
        cr_assert_eq(lw_group_running(&group), 1);
        cr_assert_eq(lw_group_end(&group, err), err);
        return err;
    }
}

static int ends_each_wait(void *arg)
{
    (void)arg;
    for (intptr_t which = 0; which < 5; which++) {
        lw_task task;
        int status;

        cr_assert_eq(lw_spawn(&task, each_wait, (void *)which, NULL), 0);
        AWAIT(is_waiting(task));
        cr_assert_eq(lw_cancel(task), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -ECANCELED, "wait %d: %d", (int)which, status);
    }
    return 0;
}

Test(cancel, ends_each_kind_of_wait)
{
    run_all(ends_each_wait, NULL);
}

static int before_its_start(void *arg)
{
    (void)lw_add_acq_rel(&reached, 1);
    return arg == NULL ? 0 : lw_sleep(LW_FOREVER);
}

static int cancel_unstarted(void *arg)
{
    lw_task tasks[2];
    int status;

    (void)arg;
    reached = 0;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_spawn(&tasks[i], before_its_start, i == 0 ? NULL : tasks, NULL), 0);
        cr_assert_eq(lw_cancel(tasks[i]), 0);
    }
    cr_assert_eq(lw_join(tasks[0], &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(lw_join(tasks[1], &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    cr_assert_eq(lw_load_acq(&reached), 2, "fn always runs");
    return 0;
}

Test(cancel, of_a_task_that_never_ran_lets_it_run)
{
    run_with(1, cancel_unstarted, NULL);
}

static int never_with_now(void *arg)
{
    lw_task task;

    (void)arg;
    show_and_wait_for_go();
    cr_assert_eq(lw_futex_wait(&word, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_futex_wait(&word, 1, LW_FOREVER), -EAGAIN, "needs no wait");
    cr_assert_eq(lw_sleep(LW_NOW), 0);
    lw_yield();
    cr_assert_eq(lw_spawn(&task, before_its_start, NULL, NULL), 0);
    while (lw_join(task, NULL, LW_NOW) == -ETIMEDOUT)
        lw_yield();
    cr_assert_eq(lw_checkpoint(), -ECANCELED, "still due");
    cr_assert_eq(lw_checkpoint(), 0);
    return 0;
}

static int test_never_with_now(void *arg)
{
    (void)arg;
    return cancel_inside(never_with_now, 1);
}

Test(cancel, is_not_delivered_by_what_does_not_wait)
{
    run_all(test_never_with_now, NULL);
}

static int granted_before(void *arg)
{
    (void)arg;
    return lw_futex_wait(&word, 0, LW_FOREVER);
}

/* One worker: the wake decides before the cancel comes. */
static int cancel_after_grant(void *arg)
{
    lw_task task;
    int status;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, granted_before, NULL, NULL), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_futex_wake(&word, 1), 1);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0, "a wait that was granted returns its grant");
    return 0;
}

Test(cancel, does_not_take_back_a_grant)
{
    run_with(1, cancel_after_grant, NULL);
}

static int codes(void *arg)
{
    lw_task task, self = lw_self();

    (void)arg;
    cr_assert_eq(lw_spawn(&task, before_its_start, NULL, NULL), 0);
    AWAIT(lw_join(task, NULL, LW_NOW) != -ETIMEDOUT);
    cr_assert_eq(lw_cancel(task), -ESRCH, "R384: joined");
    cr_assert_eq(lw_uncancel(task), -ESRCH);
    reached = 0;
    cr_assert_eq(lw_spawn(&task, before_its_start, NULL, NULL), 0);
    AWAIT(lw_load_acq(&reached) == 1);
    for (int i = 0; i < 50; i++)
        lw_yield();
    AWAIT(lw_cancel(task) == -ESRCH); /* R384: ended, not joined */
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_uncancel(self), -EINVAL);
    cr_assert_eq(lw_cancel((lw_task){0}), -ESRCH);
    cr_assert_eq(lw_cancel(self), 0, "oneself");
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return 0;
}

Test(cancel, r384_of_an_ended_task_says_so)
{
    run_all(codes, NULL);
}

Test(cancel, r377_is_nothing_for_a_plain_thread)
{
    bool ran = false;

    cr_assert_eq(lw_shield_enter(), -EPERM);
    cr_assert_eq(lw_shield_exit(), -EPERM);
    cr_assert_eq(lw_thread_attach(), 0);
    cr_assert_eq(lw_shield_enter(), -EPERM);
    cr_assert_eq(lw_shield_exit(), -EPERM);
    cr_assert_eq(lw_cancel(lw_self()), -EPERM);
    cr_assert_eq(lw_cancel_requests(), 0);
    cr_assert_eq(lw_checkpoint(), 0);
    LW_SHIELD()
        ran = true;
    cr_assert(ran, "there it is just the body");
}

/* A withdrawn request is not delivered; what is delivered cannot be withdrawn. */
static int withdraw_from_outside(void *arg)
{
    lw_task task;
    int status;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, granted_before, NULL, NULL), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    if (lw_uncancel(task) == 0)
        cr_assert_eq(lw_futex_wake(&word, 1), 1,
                     "the request was withdrawn, and has ended the wait all the same");
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    return 0;
}

Test(cancel, that_has_ended_a_wait_cannot_be_withdrawn)
{
    run_with(1, withdraw_from_outside, NULL);
}

/* ---- withdrawing against delivering */

static struct {
    lw_task task;
    lw_event grants;
    long delivered;
    uint32_t done;
} duel;

static int take_cancels(void *arg)
{
    (void)arg;
    while (!lw_load_acq(&duel.done)) {
        int err = lw_event_wait(&duel.grants, lw_in(100 * LW_US));

        if (err == -ECANCELED)
            lw_store_rel(&duel.delivered, duel.delivered + 1);
        else
            cr_assert(err == 0 || err == -ETIMEDOUT);
        lw_event_clear(&duel.grants);
    }
    return lw_checkpoint();
}

static void *grant_now_and_then(void *arg)
{
    uint64_t random = 7;

    (void)arg;
    while (!lw_load_acq(&duel.done)) {
        if (random_draw(&random) >> 61 == 0)
            lw_event_set(&duel.grants);
        (void)sched_yield();
    }
    return NULL;
}

/* What was withdrawn is not delivered, what could not be withdrawn is: one at a time, counted. */
static int withdraw_all(void *arg)
{
    long delivered = 0, withdrawn = 0;
    pthread_t granter;
    int status;

    (void)arg;
    memset(&duel, 0, sizeof duel);
    cr_assert_eq(lw_spawn(&duel.task, take_cancels, NULL, NULL), 0);
    cr_assert_eq(pthread_create(&granter, NULL, grant_now_and_then, NULL), 0);
    for (long i = 0; i < rounds(20000); i++) {
        cr_assert_eq(lw_cancel(duel.task), 0);
        if (lw_uncancel(duel.task) == 0) {
            withdrawn++;
        } else {
            delivered++;
            AWAIT(lw_load_acq(&duel.delivered) == delivered);
        }
        if (i % 8 == 0)
            lw_yield();
    }
    lw_store_rel(&duel.done, 1);
    (void)pthread_join(granter, NULL);
    cr_assert_eq(lw_join(duel.task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0, "one too many");
    cr_assert_eq(duel.delivered, delivered, "%ld of %ld not withdrawn, %ld withdrawn",
                 duel.delivered, delivered, withdrawn);
    return 0;
}

Test(cancel, is_either_withdrawn_or_delivered)
{
    run_all(withdraw_all, NULL);
}

/* Each of several requests can be withdrawn, also after a wait that was granted has met them. */
static int wait_granted(void *arg)
{
    lw_event never = LW_EVENT_INIT(NULL);
    int err = lw_event_wait(&duel.grants, LW_FOREVER);

    (void)arg;
    cr_assert(err == 0 || err == -ECANCELED);
    AWAIT(lw_load_acq(&duel.done)); /* till then it can be cancelled; this delivers nothing */
    return err == 0 ? lw_event_wait(&never, LW_FOREVER) : err;
}

static int withdraw_one_of_two(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds(2000); i++) {
        int status, withdrawn;

        memset(&duel, 0, sizeof duel);
        cr_assert_eq(lw_spawn(&duel.task, wait_granted, NULL, NULL), 0);
        if (i % 2 != 0)
            AWAIT(is_waiting(duel.task));
        lw_event_set(&duel.grants);
        cr_assert_eq(lw_cancel(duel.task), 0);
        cr_assert_eq(lw_cancel(duel.task), 0);
        withdrawn = lw_uncancel(duel.task); /* at most one of them: the other stands */
        cr_assert(withdrawn == 0 || withdrawn == -EINVAL);
        lw_store_rel(&duel.done, 1);
        cr_assert_eq(lw_join(duel.task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -ECANCELED);
    }
    return 0;
}

Test(cancel, withdrawn_once_of_twice_is_delivered)
{
    run_all(withdraw_one_of_two, NULL);
}

/* A wait begins with a cancel due, and is granted in the moment in which it is to deliver it: who
 * grants comes a little sooner or later each time. */
static void *grant_in_time(void *arg)
{
    uint32_t lap = 0, looks = 0;

    (void)arg;
    while (!lw_load_acq(&duel.done)) {
        if (lw_load_acq(&reached) == lap) {
            if (++looks % 256 == 0) /* there may be one CPU for both */
                (void)sched_yield();
            continue;
        }
        lap = lw_load_acq(&reached);
        lw_event_set(&duel.grants);
    }
    return NULL;
}

static int wait_with_a_cancel_due(void *arg)
{
    uint64_t random = 11;
    pthread_t granter;

    (void)arg;
    memset(&duel, 0, sizeof duel);
    reached = 0;
    cr_assert_eq(pthread_create(&granter, NULL, grant_in_time, NULL), 0);
    for (uint32_t lap = 1; lap <= (uint32_t)rounds(10000); lap++) {
        uint64_t delay = random_draw(&random) >> 55;
        int err;

        cr_assert_eq(lw_cancel(lw_self()), 0);
        lw_store_rel(&reached, lap);
        while (delay-- > 0)
            __asm__ volatile("");
        err = lw_event_wait(&duel.grants, LW_FOREVER);
        cr_assert_eq(err == 0 ? lw_checkpoint() : err, -ECANCELED, "lap %u: a cancel was lost",
                     lap);
        cr_assert_eq(lw_checkpoint(), 0);
        while (!lw_event_is_set(&duel.grants)) /* of this lap */
            (void)sched_yield();
        lw_event_clear(&duel.grants);
    }
    lw_store_rel(&duel.done, 1);
    (void)pthread_join(granter, NULL);
    return 0;
}

Test(cancel, that_meets_a_grant_is_kept)
{
    run_with(1, wait_with_a_cancel_due, NULL);
}
