/* SPDX-License-Identifier: MIT */
/* The condition in many schedules: a notify ends exactly one wait, however many waits are cut short
 * meanwhile, and a wait is back with its lock whatever it says.  And keyed ones: a notify is for
 * its key alone, and observers hear of the end of all who were there before them. */
#include "tests/sim/explore.h"

TestSuite(condition, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_mutex mutex;
    lw_condition condition;
    lw_keyed_condition keyed;
    int notified, granted, cut_short, refused, ended;
    int made, used, items;
    int order[TASKS], count;
    int users;
    bool closed;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* Hold the mutex.  True: a cancel was delivered meanwhile. */
static bool hold(void)
{
    int err = lw_mutex_acquire(&it.mutex, LW_FOREVER);

    if (err == 0)
        return false;
    LW_SIM_CHECK(err == -ECANCELED);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    return true;
}

/* ---- each notify ends one wait */

static int wait_once(void *arg)
{
    lw_nsec deadline = sim_choose(3) == 0 ? LW_FOREVER : draw_deadline();
    int err;

    it.refused += hold();
    err = lw_condition_wait(&it.condition, &it.mutex.lock, deadline);
    LW_SIM_CHECK(lw_owned(&it.mutex.lock));
    LW_SIM_CHECK(err != -ETIMEDOUT || deadline != LW_FOREVER);
    LW_SIM_CHECK(err != -ECANCELED || arg != NULL);
    LW_SIM_CHECK(err == 0 || is_cut_short(err));
    it.granted += err == 0;
    it.cut_short += err != 0;
    it.refused += err == -ECANCELED;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    it.ended++;
    return 0;
}

static int notify_some(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(wait_once, (void *)(i % 2));
    it.notified += (int)lw_condition_notify(&it.condition, 1);
    (void)lw_cancel(tasks[1]);
    while (it.ended < TASKS) {
        it.notified += (int)lw_condition_notify(&it.condition, 1);
        lw_yield();
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.granted == it.notified);
    LW_SIM_CHECK(it.granted + it.cut_short == TASKS && it.refused <= 1);
    LW_SIM_CHECK(it.condition.wait._queue == NULL && !lw_mutex_locked(&it.mutex));
    return 0;
}

Test(condition, a_notify_ends_exactly_one_wait)
{
    sim_all(notify_some, NULL);
}

/* ---- a bounded buffer with a wait on either side */

static bool has_item(void *arg)
{
    (void)arg;
    return it.items > 0 || it.closed;
}

static bool has_room(void *arg)
{
    (void)arg;
    return it.items < 1;
}

static int produce(void *arg)
{
    for (int i = 0; i < 2; i++) {
        int err;

        it.refused += hold();
        err = lw_condition_wait_for(&it.condition, &it.mutex.lock, has_room, NULL, LW_FOREVER);
        LW_SIM_CHECK(lw_owned(&it.mutex.lock));
        if (err == 0) {
            LW_SIM_CHECK(it.items++ == 0);
            it.made++;
        } else {
            LW_SIM_CHECK(err == -ECANCELED && arg != NULL);
            it.refused++;
            it.cut_short++;
        }
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        (void)lw_condition_notify(&it.condition, LW_ALL);
    }
    return 0;
}

static int consume(void *arg)
{
    bool more = true;

    (void)arg;
    while (more) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        LW_SIM_CHECK(lw_condition_wait_for(&it.condition, &it.mutex.lock, has_item, NULL,
                                           LW_FOREVER) == 0);
        more = it.items > 0;
        if (more) {
            LW_SIM_CHECK(it.items-- == 1);
            it.used++;
        }
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        (void)lw_condition_notify(&it.condition, LW_ALL);
    }
    return 0;
}

static int buffer(void *arg)
{
    lw_task producers[2], consumer;

    (void)arg;
    set_up();
    consumer = start(consume, NULL);
    producers[0] = start(produce, NULL);
    producers[1] = start(produce, &it);
    (void)lw_cancel(producers[1]);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(producers[i]) == 0);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    it.closed = true;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    LW_SIM_CHECK(lw_condition_notify(&it.condition, LW_ALL) <= 1);
    LW_SIM_CHECK(end_of(consumer) == 0);
    LW_SIM_CHECK(it.made == it.used && it.made + it.cut_short == 4 && it.refused <= 1);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(condition, what_is_made_is_used)
{
    sim_all(buffer, NULL);
}

/* ---- order */

static int wait_and_note(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_condition_wait(&it.condition, &it.mutex.lock, LW_FOREVER) == 0);
    it.order[it.count++] = (int)(uintptr_t)arg;
    return lw_mutex_release(&it.mutex);
}

static int notify_in_order(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start_waiting(wait_and_note, (void *)i);
    for (int i = 0; i < TASKS; i++) {
        LW_SIM_CHECK(lw_condition_notify(&it.condition, 1) == 1);
        LW_SIM_CHECK(end_of(tasks[i]) == 0); /* it, and no other */
        LW_SIM_CHECK(it.count == i + 1 && it.order[i] == i);
    }
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(condition, the_longest_waiting_is_notified_first)
{
    sim_all(notify_in_order, NULL);
}

/* ---- memory: both may go with the last who was notified */

static int wait_and_burn(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    while (!it.closed)
        LW_SIM_CHECK(lw_condition_wait(&it.condition, &it.mutex.lock, LW_FOREVER) == 0);
    (void)arg;
    bool last = --it.users == 0;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    if (last) {
        BURN(&it.condition);
        BURN(&it.mutex);
    }
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    it.users = TASKS + 1;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(wait_and_burn, NULL);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    it.closed = true;
    (void)lw_condition_notify(&it.condition, LW_ALL);
    bool last = --it.users == 0;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    if (last) {
        BURN(&it.condition);
        BURN(&it.mutex);
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.mutex; i++)
        LW_SIM_CHECK(((unsigned char *)&it.mutex)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(condition, the_last_user_may_free_it)
{
    sim_all(burn_after_use, NULL);
}

/* ---- all there are */

static int wait_for_item(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_condition_wait_for(&it.condition, &it.mutex.lock, has_item, NULL,
                                       LW_FOREVER) == 0);
    return lw_mutex_release(&it.mutex);
}

static int one_waits_one_notifies(void *arg)
{
    lw_task other;

    (void)arg;
    set_up();
    other = start(wait_for_item, NULL);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    it.items = 1;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    (void)lw_condition_notify(&it.condition, 1);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(condition, two_tasks_in_every_order)
{
    sim_every(one_waits_one_notifies, NULL, 1, 100);
}

/* ---- keyed conditions */

static int await_key(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    lw_nsec deadline = draw_deadline();
    int err;

    if (lw_acquire(it.keyed.lock, LW_FOREVER) < 0)
        LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
    err = lw_keyed_condition_wait(&it.keyed, i % 2, deadline);
    LW_SIM_CHECK(lw_owned(it.keyed.lock));
    LW_SIM_CHECK(err == 0 || is_cut_short(err));
    it.granted += err == 0;
    it.cut_short += err != 0;
    return lw_release(it.keyed.lock);
}

static int observe(void *arg)
{
    (void)arg;
    return lw_keyed_condition_wait_all(&it.keyed, LW_FOREVER);
}

static int notify_keys(void *arg)
{
    lw_task tasks[TASKS], observer;

    (void)arg;
    set_up();
    lw_keyed_condition_init(&it.keyed, "keyed", NULL);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(await_key, (void *)i);
    observer = start(observe, NULL);
    (void)lw_cancel(tasks[1]);
    while (it.granted + it.cut_short < TASKS) {
        uint64_t key = sim_choose(2);
        int woken;

        LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
        woken = sim_choose(3) == 0 ? lw_keyed_condition_notify_all(&it.keyed)
                                   : lw_keyed_condition_notify(&it.keyed, key, 1, 0);
        LW_SIM_CHECK(woken >= 0);
        it.notified += woken;
        LW_SIM_CHECK(lw_release(it.keyed.lock) == 0);
        lw_yield();
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(observer) == 0);
    LW_SIM_CHECK(it.granted == it.notified && it.keyed._waiting == 0);
    LW_SIM_CHECK(it.keyed.wait._queue == NULL && it.keyed._observers == NULL);
    return 0;
}

Test(condition, a_notify_of_a_key_ends_exactly_one_wait)
{
    sim_all(notify_keys, NULL);
}

/* One waits, is notified and cancelled; one observes it; and a third waits for another key. */
static int await_this(void *arg)
{
    int err = 0;

    LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
    err = lw_keyed_condition_wait(&it.keyed, (uintptr_t)arg, LW_FOREVER);
    LW_SIM_CHECK(lw_owned(it.keyed.lock));
    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg == NULL));
    it.granted += err == 0;
    it.cut_short += err != 0;
    return lw_release(it.keyed.lock);
}

static void notify_one(uint64_t key)
{
    int woken;

    LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
    woken = lw_keyed_condition_notify(&it.keyed, key, 1, 0);
    LW_SIM_CHECK(woken == 0 || woken == 1);
    it.notified += woken;
    LW_SIM_CHECK(lw_release(it.keyed.lock) == 0);
}

static int notify_and_cancel(void *arg)
{
    lw_task waiter, other, observer;

    (void)arg;
    set_up();
    lw_keyed_condition_init(&it.keyed, "keyed", NULL);
    waiter = start_waiting(await_this, NULL);
    other = start_waiting(await_this, &it);
    observer = start(observe, NULL);
    if (sim_choose(2) == 0)
        (void)lw_cancel(waiter);
    notify_one(0);
    (void)lw_cancel(waiter);
    LW_SIM_CHECK(end_of(waiter) == 0 && it.granted + it.cut_short == 1);
    notify_one((uintptr_t)&it);
    LW_SIM_CHECK(end_of(other) == 0 && end_of(observer) == 0);
    LW_SIM_CHECK(it.granted == it.notified && it.keyed._waiting == 0);
    LW_SIM_CHECK(it.keyed.wait._queue == NULL && it.keyed._observers == NULL);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(condition, a_notify_and_a_cancel_in_every_order)
{
    sim_all(notify_and_cancel, NULL);
    sim_every(notify_and_cancel, NULL, 1, 300);
}
