/* SPDX-License-Identifier: MIT */
/* The laws of lw_await(), and of arms that await what a program makes itself: by a kind of its own,
 * which is polled when its event is set. */
#include "tests/primitives/crowd.h"

TestSuite(select_await, .init = watchdog);

struct counter {
    lw_awaitable awaitable;
    lw_event changed;
    int left, limit, polls;
};

static int poll_counter(lw_awaitable *awaitable, void *value)
{
    struct counter *counter = (struct counter *)awaitable;

    __atomic_add_fetch(&counter->polls, 1, __ATOMIC_SEQ_CST);
    lw_event_clear(&counter->changed);
    if (__atomic_load_n(&counter->limit, __ATOMIC_SEQ_CST) < 0)
        return -EPROTO;
    if (__atomic_load_n(&counter->left, __ATOMIC_SEQ_CST) != 0)
        return -EAGAIN;
    *(int *)value = 17;
    return 0;
}

static lw_event *changed_counter(lw_awaitable *awaitable)
{
    return &((struct counter *)awaitable)->changed;
}

static int poll_too_late(lw_awaitable *awaitable, void *value)
{
    int err = poll_counter(awaitable, value);

    return err == 0 ? -ETIMEDOUT : err;
}

static const lw_awaitable_kind counter_kind = {"counter", poll_counter, changed_counter};

static int await_it(void *arg)
{
    int value = 0, err = lw_await(arg, &value, LW_FOREVER);

    return err < 0 ? err : value;
}

static int await_a_timeout(void *arg)
{
    static const lw_awaitable_kind late_kind = {"late", poll_too_late, changed_counter};
    struct counter counter = {{&late_kind}, LW_EVENT_INIT("changed"), 1, 0, 0};
    lw_task task = start_waiter(await_it, &counter);
    lw_arm arms[2] = {{0}, lw_arm_await(&counter.awaitable, &(int){0})};

    (void)arg;
    __atomic_store_n(&counter.left, 0, __ATOMIC_SEQ_CST);
    lw_event_set(&counter.changed);
    cr_assert_eq(join_status(task), -ETIMEDOUT);
    counter.polls = 0;
    cr_assert_eq(lw_select(arms, 2, LW_FOREVER), 1);
    cr_assert_eq(arms[1].result, -ETIMEDOUT);
    cr_assert_eq(counter.polls, 1);
    return 0;
}

/* It is no sign that this select's own time is up, or that it can not happen yet. */
Test(select_await, r200_a_timeout_of_the_awaitable_s_own_is_its_result)
{
    run_all(await_a_timeout, NULL);
}

static int await_a_counter(void *arg)
{
    struct counter counter = {{&counter_kind}, LW_EVENT_INIT("changed"), 3, 0, 0};
    lw_task task = start_waiter(await_it, &counter);
    int value = 0;

    (void)arg;
    cr_assert_eq(lw_await(&counter.awaitable, &value, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        cr_assert(is_waiting(task));
        __atomic_sub_fetch(&counter.left, 1, __ATOMIC_SEQ_CST);
        lw_event_set(&counter.changed);
        if (i < 2)
            AWAIT(!lw_event_is_set(&counter.changed) && is_waiting(task));
    }
    cr_assert_eq(join_status(task), 17, "R199");
    cr_assert_eq(lw_await(&counter.awaitable, &value, LW_NOW), 0, "R199");
    cr_assert_eq(value, 17, "R199");
    counter.limit = -1;
    cr_assert_eq(await_it(&counter), -EPROTO, "R200");
    counter.limit = 0;
    counter.left = 1;
    task = start_waiter(await_it, &counter);
    __atomic_store_n(&counter.limit, -1, __ATOMIC_SEQ_CST);
    lw_event_set(&counter.changed);
    cr_assert_eq(join_status(task), -EPROTO, "R200");
    return 0;
}

static lw_event *changed_never(lw_awaitable *awaitable)
{
    (void)awaitable;
    return NULL;
}

Test(select_await, what_can_be_awaited_gives_its_value_or_its_error)
{
    static const lw_awaitable_kind eventless = {"eventless", poll_counter, changed_never};
    struct counter counter = {{&eventless}, LW_EVENT_INIT(NULL), 1, 0, 0};

    run_all(await_a_counter, NULL);
    cr_assert_eq(await_it(&counter), -EINVAL);
}

/* One whose event is found under a lock that somebody has for a while, and is always set, and of
 * which nothing ever comes. */
struct restless {
    lw_awaitable awaitable;
    lw_mutex mutex;
    lw_event always;
};

static int poll_in_vain(lw_awaitable *awaitable, void *value)
{
    (void)awaitable, (void)value;
    return -EAGAIN;
}

static lw_event *changed_under_a_lock(lw_awaitable *awaitable)
{
    struct restless *restless = (struct restless *)awaitable;

    cr_assert_eq(lw_mutex_acquire(&restless->mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_mutex_release(&restless->mutex), 0);
    return &restless->always;
}

static const lw_awaitable_kind restless_kind = {"restless", poll_in_vain, changed_under_a_lock};

static int await_or_acquire(void *arg)
{
    struct restless *restless = arg;
    lw_mutex *wanted = &restless[1].mutex;
    lw_arm arms[2] = {lw_arm_acquire(&wanted->lock), lw_arm_await(&restless->awaitable, NULL)};
    int index = lw_select(arms, 2, LW_FOREVER);

    return index == 0 ? lw_mutex_release(wanted) : index;
}

static int be_restless(void *arg)
{
    struct restless restless[2] = {{{&restless_kind}, LW_MUTEX_INIT("held"),
                                    LW_EVENT_INIT("always")}};
    lw_task task;

    (void)arg;
    lw_event_set(&restless->always);
    cr_assert_eq(lw_await(&restless->awaitable, NULL, lw_in(100 * LW_US)), -ETIMEDOUT);
    cr_assert_eq(lw_mutex_acquire(&restless[1].mutex, LW_NOW), 0);
    cr_assert_eq(lw_spawn(&task, await_or_acquire, restless, NULL), 0);
    for (int i = 0; i < 20; i++)
        lw_yield();
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(join_status(task), -ECANCELED, "however often it is tried again");
    cr_assert_eq(lw_mutex_acquire(&restless->mutex, LW_NOW), 0);
    task = start_waiter(await_or_acquire, restless);
    cr_assert_eq(lw_mutex_release(&restless[1].mutex), 0);
    for (int i = 0; i < 20; i++)
        lw_yield();
    cr_assert(is_waiting(task), "for the lock of the one it asks");
    cr_assert_eq(lw_mutex_release(&restless->mutex), 0);
    cr_assert_eq(join_status(task), 0);
    return 0;
}

Test(select_await, one_that_is_never_done_can_be_left)
{
    run_all(be_restless, NULL);
}
