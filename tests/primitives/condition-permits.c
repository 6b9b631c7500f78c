/* SPDX-License-Identifier: MIT */
/* The laws of conditions, and of LW_RELEASING, with permits of a bounded semaphore in the place of
 * a lock. */
#include "tests/primitives/crowd.h"

#include <latchwork/keyed_condition.h>
#include <latchwork/releasing.h>

#include "primitives/permits.h"

TestSuite(condition_permits, .init = watchdog);

enum { BOUND = 3 };

static struct {
    lw_bounded_semaphore permits;
    lw_condition condition;
    lw_keyed_condition keyed;
    int result;
} it;

static void begin(void)
{
    memset(&it, 0, sizeof it);
    it.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", BOUND);
    lw_keyed_condition_init(&it.keyed, "keyed", &it.permits.lock);
}

static int take(uint32_t permits)
{
    return lw_bounded_semaphore_acquire(&it.permits, permits, LW_FOREVER);
}

static int give(uint32_t permits)
{
    return lw_bounded_semaphore_release(&it.permits, permits);
}

static uint32_t held(void)
{
    uint64_t word = lw_permits_take_guard(&it.permits.lock);
    uint32_t number = lw_load_rlx(&it.permits.lock._number);

    lw_permits_drop_guard(LW_PERMITS_HELD, &it.permits.lock, word);
    return number;
}

static int wait_with_two(void *arg)
{
    bool keyed = *(bool *)arg;

    cr_assert_eq(take(1), 0);
    cr_assert_eq(take(1), 0);
    it.result = keyed ? lw_keyed_condition_wait(&it.keyed, 7, LW_FOREVER)
                          : lw_condition_wait(&it.condition, &it.permits.lock, LW_FOREVER);
    cr_assert_eq(held(), 2, "both are its own again, and nobody else has any");
    cr_assert_eq(give(2), 0);
    return 0;
}

static void let_it_wait_and_notify(bool keyed, bool cancels)
{
    lw_task waiter;

    begin();
    waiter = start_waiter(wait_with_two, &keyed);
    cr_assert_eq(take(BOUND), 0, "meanwhile all are for others");
    if (cancels)
        cr_assert_eq(lw_cancel(waiter), 0);
    else
        cr_assert_eq(keyed ? lw_keyed_condition_notify(&it.keyed, 7, 1, 0)
                           : (int)lw_condition_notify(&it.condition, 1), 1);
    AWAIT(lw_bounded_semaphore_locked(&it.permits) &&
          (lw_load_acq(&it.permits.lock._word._value) & LW_LOCK_QUEUED) != 0);
    cr_assert_eq(give(1), 0);
    cr_assert_eq(held(), 2, "it takes both at once, or none");
    cr_assert_eq(give(2), 0);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_eq(it.result, cancels ? -ECANCELED : 0);
    cr_assert_eq(held(), 0);
}

static int releases_all(void *arg)
{
    (void)arg;
    for (int how = 0; how < 4; how++)
        let_it_wait_and_notify((how & 1) != 0, (how & 2) != 0);
    return 0;
}

Test(condition_permits, all_that_one_has_are_released_and_taken_again_at_once)
{
    run_all(releases_all, NULL);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static int refuses(void *arg)
{
    (void)arg;
    begin();
    cr_assert_eq(lw_condition_wait(&it.condition, &it.permits.lock, LW_FOREVER), -EPERM);
    cr_assert_eq(lw_condition_wait_for(&it.condition, &it.permits.lock, never, NULL, LW_FOREVER),
                 -EPERM);
    cr_assert_eq(lw_keyed_condition_wait(&it.keyed, 1, LW_FOREVER), -EPERM);
    cr_assert_eq(lw_releasing_enter(&it.permits.lock), -EPERM);
    cr_assert_eq(take(2), 0);
    cr_assert_eq(lw_condition_wait(&it.condition, &it.permits.lock, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(held(), 2);
    cr_assert_eq(lw_condition_wait_for(&it.condition, &it.permits.lock, never, NULL,
                                       lw_in(LW_MS)),
                 -ETIMEDOUT);
    cr_assert_eq(held(), 2);
    cr_assert_eq(give(2), 0);
    cr_assert_eq(give(1), -EPERM);
    return 0;
}

Test(condition_permits, who_has_none_is_refused_and_who_is_late_has_all_again)
{
    run_all(refuses, NULL);
}

static int one_for_a_while(void *arg)
{
    int err = 1;

    (void)arg;
    begin();
    cr_assert_eq(take(2), 0);
    LW_RELEASING(&it.permits.lock, err)
        cr_assert_eq(held(), 1);
    cr_assert_eq(err, 0);
    cr_assert_eq(held(), 2);
    cr_assert_eq(give(2), 0);
    return 0;
}

Test(condition_permits, one_is_let_go_of_for_a_while)
{
    run_all(one_for_a_while, NULL);
}
