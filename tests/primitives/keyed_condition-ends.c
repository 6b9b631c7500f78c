/* SPDX-License-Identifier: MIT */
/* How waits for a key end: notified and cancelled at once, and each in its own time. */
#include "tests/primitives/crowd.h"

#include "runtime/os/os.h"

TestSuite(keyed_condition_ends, .init = watchdog);

enum { KEY = 7 };

static lw_keyed_condition condition;

static int await_key(void *arg)
{
    int err;

    (void)arg;
    cr_assert_eq(lw_acquire(condition.lock, LW_FOREVER), 0);
    err = lw_keyed_condition_wait(&condition, KEY, LW_FOREVER);
    cr_assert(lw_owned(condition.lock));
    cr_assert_eq(lw_release(condition.lock), 0);
    return err;
}

/* It has been notified, and is cancelled before it has the lock again: it says so, and is cancelled
 * at its next wait.  The other way round the next one is notified. */
static int notify_and_cancel(void *cancel_first)
{
    bool first = *(bool *)cancel_first;
    lw_task tasks[2];

    lw_keyed_condition_init(&condition, "at once", NULL);
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiter(await_key, NULL);
    cr_assert_eq(lw_acquire(condition.lock, LW_FOREVER), 0);
    if (first)
        cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(lw_keyed_condition_notify(&condition, KEY, 1, 0), 1);
    if (!first)
        cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(lw_release(condition.lock), 0);
    cr_assert_eq(join_status(tasks[0]), first ? -ECANCELED : 0, "R292");
    if (!first) {
        cr_assert_eq(lw_acquire(condition.lock, LW_FOREVER), 0);
        cr_assert_eq(lw_keyed_condition_notify(&condition, KEY, 2, 0), 1);
        cr_assert_eq(lw_release(condition.lock), 0);
    }
    cr_assert_eq(join_status(tasks[1]), 0, "R292");
    return 0;
}

Test(keyed_condition_ends, r292_a_notify_and_a_cancel_at_once_lose_no_notify)
{
    run_all(notify_and_cancel, &(bool){false});
    run_all(notify_and_cancel, &(bool){true});
}

/* ---- a limit of each wait: by a clock that is put forward */

static int64_t (*real_now)(void);
static int64_t ahead;
static int value, looks;

static int64_t now_ahead(void)
{
    return real_now() + __atomic_load_n(&ahead, __ATOMIC_RELAXED);
}

static bool is_three(void *arg)
{
    (void)arg;
    (void)__atomic_add_fetch(&looks, 1, __ATOMIC_RELEASE);
    return value == 3;
}

static int want_three(void *arg)
{
    int err;

    (void)arg;
    cr_assert_eq(lw_acquire(condition.lock, LW_FOREVER), 0);
    err = lw_keyed_condition_wait_for(&condition, KEY, is_three, NULL, 1000 * LW_SEC, LW_FOREVER);
    cr_assert_eq(lw_release(condition.lock), 0);
    return err;
}

/* Three waits of 600 s, of which each may last for 1,000; timers that are due have their turn. */
static int be_patient(void *arg)
{
    lw_task task;

    (void)arg;
    value = looks = 0;
    lw_keyed_condition_init(&condition, "patient", NULL);
    task = start_waiter(want_three, NULL);
    for (int i = 1; i <= 3; i++) {
        AWAIT(__atomic_load_n(&looks, __ATOMIC_ACQUIRE) == i && is_waiting(task) &&
              !lw_locked(condition.lock));
        (void)__atomic_add_fetch(&ahead, 600 * LW_SEC, __ATOMIC_RELAXED);
        cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
        cr_assert_eq(lw_acquire(condition.lock, LW_FOREVER), 0);
        value = i;
        cr_assert_eq(lw_keyed_condition_notify(&condition, KEY, 1, 0), 1, "it waits still");
        cr_assert_eq(lw_release(condition.lock), 0);
    }
    cr_assert_eq(join_status(task), 0, "R299");
    value = 0;
    task = start_waiter(want_three, NULL);
    (void)__atomic_add_fetch(&ahead, 1001 * LW_SEC, __ATOMIC_RELAXED);
    cr_assert_eq(join_status(task), -ETIMEDOUT, "R299");
    return 0;
}

Test(keyed_condition_ends, r299_each_wait_has_the_whole_limit)
{
    real_now = lw_sys.now;
    lw_sys.now = now_ahead;
    run_with(1, be_patient, NULL);
    lw_sys.now = real_now;
}
