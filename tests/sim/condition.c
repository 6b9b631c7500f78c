/* SPDX-License-Identifier: MIT */
/* The condition in many schedules: a notify ends exactly one wait, however many waits are cut short
 * meanwhile, and a wait is back with its lock whatever it says. */
#include "tests/sim/explore.h"

TestSuite(condition, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_mutex mutex;
    lw_condition condition;
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
