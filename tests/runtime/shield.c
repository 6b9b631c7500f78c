/* SPDX-License-Identifier: MIT */
/* Laws of shields: a cancel waits outside, nothing inside is interrupted, the exit raises nothing,
 * and the next wait after the outermost one delivers once.  Rows R361 to R383 but R377 (cancel.c)
 * and R380, which needs a lock to force. */
#include <errno.h>
#include <pthread.h>

#include "runtime/atomic.h"
#include "runtime/record.h"
#include "tests/support.h"

TestSuite(shield, .init = watchdog);

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

static int nothing(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&reached, 1);
    return 0;
}

static int waits_inside(void *arg)
{
    lw_task self = lw_self(), task;
    int status = 0;

    (void)arg;
    LW_SHIELD() {
        show_and_wait_for_go();
        cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0, "R361");
        cr_assert_eq(lw_futex_wait(&word, 0, lw_in(LW_MS)), -ETIMEDOUT, "R370");
        cr_assert_eq(lw_checkpoint(), 0);
        cr_assert_eq(lw_spawn(&task, nothing, NULL, NULL), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0, "R361");
        cr_assert_eq(lw_self().id, self.id, "R364");
    }
    status++; /* R363: code between the exit and the next wait runs */
    cr_assert_eq(lw_futex_wait(&word, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED, "R362");
    cr_assert_eq(lw_sleep(lw_in(LW_US)), 0, "R368: one delivery");
    return status - 1;
}

static int test_waits_inside(void *arg)
{
    (void)arg;
    return cancel_inside(waits_inside, 1) | cancel_inside(waits_inside, 3);
}

Test(shield, r361_to_r364_shield_keeps_it_for_the_next_wait_after)
{
    run_all(test_waits_inside, NULL);
}

/* R361, R366: the cancel comes while the task is in a wait inside the shield. */
static int blocked_inside(void *arg)
{
    int err = 0;

    (void)arg;
    LW_SHIELD()
        err = lw_futex_wait(&word, 0, LW_FOREVER);
    cr_assert_eq(err, 0);
    cr_assert_eq(lw_cancel_requests(), 3, "R368");
    return lw_sleep(LW_FOREVER);
}

static int test_blocked_inside(void *arg)
{
    lw_task task;
    int status;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, blocked_inside, NULL, NULL), 0);
    AWAIT(is_waiting(task));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_cancel(task), 0, "R366: accepted");
    for (int i = 0; i < 20; i++)
        lw_yield();
    cr_assert(is_waiting(task), "R361: interrupted inside the shield");
    cr_assert_eq(lw_futex_wake(&word, 1), 1);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    return 0;
}

Test(shield, r366_r368_shielded_wait_is_not_ended_and_requests_are_counted)
{
    run_all(test_blocked_inside, NULL);
}

static int without_cancel(void *arg)
{
    int value = 0;

    (void)arg;
    cr_assert_eq(lw_shield_exit(), -EPERM, "without enter");
    LW_SHIELD() {
        cr_assert_eq(lw_futex_wait(&word, 1, LW_FOREVER), -EAGAIN);
        value = 5;
    }
    cr_assert_eq(value, 5, "R365");
    cr_assert_eq(lw_sleep(lw_in(LW_US)), 0);
    return 0;
}

Test(shield, r365_shield_without_cancel_has_no_effect)
{
    run_with(1, without_cancel, NULL);
}

static int before_the_scope(void *arg)
{
    (void)arg;
    show_and_wait_for_go();
    LW_SHIELD()
        cr_assert_eq(lw_sleep(lw_in(LW_US)), 0, "R367");
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return 0;
}

static int nested(void *arg)
{
    (void)arg;
    LW_SHIELD() {
        LW_SHIELD()
            show_and_wait_for_go();
        cr_assert_eq(lw_sleep(lw_in(LW_US)), 0, "R369: the inner exit delivers nothing");
        cr_assert_eq(lw_checkpoint(), 0);
    }
    cr_assert_eq(lw_checkpoint(), -ECANCELED, "R369: the outer one arms it");
    return 0;
}

static int outside_timeout(void *arg)
{
    lw_nsec deadline = lw_in(LW_MS);

    (void)arg;
    LW_SHIELD()
        cr_assert_eq(lw_sleep(deadline + LW_MS), 0);
    cr_assert_eq(lw_futex_wait(&word, 0, deadline), -ETIMEDOUT, "R371");
    cr_assert_eq(lw_futex_wait(&word, 0, lw_in(LW_US)), -ETIMEDOUT, "R372: nothing is left behind");
    show_and_wait_for_go();
    return 0;
}

static int failing_body(void *err)
{
    LW_SHIELD() {
        show_and_wait_for_go();
        *(int *)err = -EIO;
        break;
    }
    return *(int *)err;
}

static int error_unchanged(void *arg)
{
    int err = 0;

    (void)arg;
    cr_assert_eq(failing_body(&err), -EIO, "R373");
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED, "R373");
    return 0;
}

static int withdrawn(void *arg)
{
    (void)arg;
    LW_SHIELD() {
        show_and_wait_for_go();
        cr_assert_eq(lw_cancel_requests(), 2);
        cr_assert_eq(lw_uncancel(lw_self()), 0);
        cr_assert_eq(lw_uncancel(lw_self()), 0);
        cr_assert_eq(lw_uncancel(lw_self()), -EINVAL);
        cr_assert_eq(lw_cancel_requests(), 0);
    }
    cr_assert_eq(lw_sleep(lw_in(LW_US)), 0, "R374");
    return 0;
}

static int no_wait_after(void *arg)
{
    (void)arg;
    LW_SHIELD()
        show_and_wait_for_go();
    /* R375: its value stands, the request is seen */
    return lw_cancel_requests() == 1 ? 0 : -EINVAL;
}

static int cleanup_with_shield(void *arg)
{
    (void)arg;
    show_and_wait_for_go();
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    LW_SHIELD() { /* R381: cleanup, and a second cancel comes */
        cr_assert_eq(lw_cancel(lw_self()), 0);
        cr_assert_eq(lw_sleep(lw_in(LW_US)), 0);
    }
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return 0;
}

static int rows_one_by_one(void *arg)
{
    (void)arg;
    cr_assert_eq(cancel_inside(before_the_scope, 1), 0);
    cr_assert_eq(cancel_inside(nested, 1), 0);
    cr_assert_eq(cancel_inside(outside_timeout, 0), 0);
    cr_assert_eq(cancel_inside(error_unchanged, 1), 0);
    cr_assert_eq(cancel_inside(withdrawn, 2), 0);
    cr_assert_eq(cancel_inside(no_wait_after, 1), 0);
    cr_assert_eq(cancel_inside(cleanup_with_shield, 1), 0);
    return 0;
}

Test(shield, r367_r369_to_r375_r381_row_by_row)
{
    run_all(rows_one_by_one, NULL);
}

static uint16_t depth(void)
{
    return lw_record_cold(lw_record_of(lw_self().id))->shields;
}

static int leave_by(int way)
{
    LW_SHIELD() {
        LW_SHIELD() {
            cr_assert_eq(depth(), 2);
            if (way == 0)
                return 1;
            if (way == 1)
                goto out;
            if (way == 2)
                break;
        }
        cr_assert_eq(depth(), 1, "break leaves the inner one");
    }
out:
    cr_assert_eq(depth(), 0);
    return 0;
}

static int ways_out(void *arg)
{
    (void)arg;
    for (int way = 0; way < 4; way++) {
        (void)leave_by(way);
        cr_assert_eq(depth(), 0, "R376: way %d", way);
    }
    return 0;
}

Test(shield, r376_shield_is_left_once_in_each_way)
{
    run_with(1, ways_out, NULL);
}

static int child_of_shielded(void *arg)
{
    lw_task task;
    int status;

    if (arg == NULL)
        return lw_sleep(LW_FOREVER);
    LW_SHIELD() {
        cr_assert_eq(lw_spawn(&task, child_of_shielded, NULL, NULL), 0);
        AWAIT(is_waiting(task));
        cr_assert_eq(lw_cancel(task), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    }
    cr_assert_eq(status, -ECANCELED, "R378");
    return 0;
}

Test(shield, r378_child_spawned_in_a_shield_is_not_shielded)
{
    run_all(child_of_shielded, &go);
}

/* R379: the cancel races the exit from another thread: exactly one delivery each lap. */
static struct {
    lw_task task;
    uint32_t lap, cancelled;
} race;

static void *cancel_each_lap(void *arg)
{
    for (uint32_t lap = 1; lap <= (uint32_t)(uintptr_t)arg; lap++) {
        AWAIT(lw_load_acq(&race.lap) >= lap);
        for (uint32_t i = 0; i < lap % 64; i++)
            __asm__ volatile("");
        cr_assert_eq(lw_cancel(race.task), 0);
        lw_store_rel(&race.cancelled, lap);
    }
    return NULL;
}

static int exits_race(void *arg)
{
    uintptr_t laps = (uintptr_t)rounds(5000);
    pthread_t thread;

    (void)arg;
    race.task = lw_self();
    race.lap = race.cancelled = 0;
    cr_assert_eq(pthread_create(&thread, NULL, cancel_each_lap, (void *)laps), 0);
    for (uint32_t lap = 1; lap <= laps; lap++) {
        lw_store_rel(&race.lap, lap);
        LW_SHIELD()
            if (lap % 3 == 0)
                cr_assert_eq(lw_futex_wait(&word, 0, lw_in(lap % 50 * LW_US)), -ETIMEDOUT);
        cr_assert_eq(lw_futex_wait(&word, 0, LW_FOREVER), -ECANCELED, "R379: lap %u", lap);
        AWAIT(lw_load_acq(&race.cancelled) == lap);
        cr_assert_eq(lw_checkpoint(), 0, "R379: delivered twice in lap %u", lap);
    }
    (void)pthread_join(thread, NULL);
    return 0;
}

Test(shield, r379_racing_the_exit_is_delivered_exactly_once)
{
    run_all(exits_race, NULL);
}

/* R382, R383: every task is shieldable, also one that is detached, of a group, or of a thread's. */
static int shieldable(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_shield_enter(), 0);
    cr_assert_eq(lw_shield_exit(), 0);
    (void)lw_add_acq_rel(&reached, 1);
    return 0;
}

static int spawn_each_way(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    lw_task task;

    (void)arg;
    reached = 0;
    cr_assert_eq(lw_spawn(NULL, shieldable, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&task, shieldable, NULL, NULL), 0);
    cr_assert_eq(lw_group_spawn(&group, shieldable, NULL, NULL), 0);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    AWAIT(lw_load_acq(&reached) == 3);
    return 0;
}

Test(shield, r382_r383_every_task_can_shield)
{
    run_all(spawn_each_way, NULL);
}
