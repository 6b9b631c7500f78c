/* SPDX-License-Identifier: MIT */
/* The mutex in many schedules: exclusion, each wait ends in one way, nobody is forgotten, nobody
 * starves, and the memory may go with the last user. */
#include "tests/sim/explore.h"

TestSuite(mutex, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_mutex mutex, other;
    int inside, entries, cut_short, refused, users;
    bool cancels, burned;
    int hogged;
    bool got, done;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

static void work_inside(void)
{
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
    it.entries++;
}

/* ---- exclusion, and each acquire ends in one way */

static int enter_by_drawn_deadlines(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int err = lw_mutex_acquire(&it.mutex, deadline);

        if (err == 0) {
            work_inside();
            LW_SIM_CHECK(lw_owned(&it.mutex.lock));
            LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        } else {
            LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                           : err == -ETIMEDOUT && deadline != LW_FOREVER);
            LW_SIM_CHECK(!lw_owned(&it.mutex.lock));
            it.cut_short++;
            it.refused += err == -ECANCELED;
        }
    }
    return 0;
}

static int exclude(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(enter_by_drawn_deadlines, (void *)(i % 2)); /* 1 is cancelled */
    LW_SIM_CHECK(lw_cancel(tasks[1]) == 0 || it.entries + it.cut_short >= 2);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 * TASKS);
    LW_SIM_CHECK(it.refused <= 1);
    LW_SIM_CHECK(!lw_mutex_locked(&it.mutex) && it.mutex.lock._queue == NULL);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_NOW) == 0);
    return lw_mutex_release(&it.mutex);
}

Test(mutex, one_is_inside_however_waits_end)
{
    sim_all(exclude, NULL);
}

/* ---- nobody is forgotten */

static int enter_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        work_inside();
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    }
    return 0;
}

static int all_enter(void *arg)
{
    lw_task tasks[TASKS];
    int count = *(int *)arg;

    set_up();
    for (int i = 0; i < count; i++)
        tasks[i] = start(enter_twice, NULL);
    for (int i = 0; i < count; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries == 2 * count);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(mutex, nobody_waits_for_a_mutex_that_is_free)
{
    int count = TASKS;

    sim_all(all_enter, &count);
}

/* ---- who waits for one, and has another for which others wait: they come and go meanwhile */

static int come_and_go(void *arg)
{
    (void)arg;
    while (!it.done) {
        int err = lw_mutex_acquire(&it.mutex, lw_in((1 + sim_choose(8)) * LW_US));

        LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0) {
            work_inside();
            LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        }
        lw_yield();
    }
    return 0;
}

static int hold_the_other(void *arg)
{
    (void)arg;
    while (!it.done) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.other, LW_FOREVER) == 0);
        lw_yield();
        LW_SIM_CHECK(lw_mutex_release(&it.other) == 0);
        lw_yield();
    }
    return 0;
}

static int take_both(void *arg)
{
    lw_task tasks[TASKS], holder;

    (void)arg;
    set_up();
    holder = start(hold_the_other, NULL);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(come_and_go, NULL);
    for (int i = 0; i < 8; i++) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        LW_SIM_CHECK(it.inside++ == 0);
        lw_yield();
        LW_SIM_CHECK(lw_mutex_acquire(&it.other, LW_FOREVER) == 0);
        LW_SIM_CHECK(--it.inside == 0);
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        LW_SIM_CHECK(lw_mutex_release(&it.other) == 0);
        lw_yield();
    }
    it.done = true;
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return end_of(holder);
}

Test(mutex, others_come_and_go_while_its_owner_waits)
{
    sim_all(take_both, NULL);
}

/* ---- S30: the one who was woken, and goes without the mutex, hands the wake on */

static int enter_or_give_up(void *arg)
{
    int err = lw_mutex_acquire(&it.mutex, LW_FOREVER);

    (void)arg;
    if (err == 0) {
        work_inside();
        return lw_mutex_release(&it.mutex);
    }
    LW_SIM_CHECK(err == -ECANCELED);
    it.cut_short++;
    return 0;
}

static int cancel_the_heir(void *arg)
{
    lw_task heir, next;

    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    heir = start_waiting(enter_or_give_up, NULL);
    next = start(enter_or_give_up, NULL);
    if (sim_choose(2) == 0) {
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        (void)lw_cancel(heir);
    } else {
        LW_SIM_CHECK(lw_cancel(heir) == 0);
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    }
    LW_SIM_CHECK(end_of(next) == 0);
    LW_SIM_CHECK(end_of(heir) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 && it.entries >= 1);
    LW_SIM_CHECK(!lw_mutex_locked(&it.mutex));
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(mutex, a_cancelled_heir_takes_nobody_with_it)
{
    sim_all(cancel_the_heir, NULL);
    sim_every(cancel_the_heir, NULL, 1, 500);
}

/* ---- memory */

static int leave_and_burn(void *arg)
{
    int err = lw_mutex_acquire(&it.mutex, LW_FOREVER);
    bool last;

    if (err == -ECANCELED) { /* its use counts all the same */
        LW_SIM_CHECK(arg != NULL);
        err = lw_mutex_acquire(&it.mutex, LW_FOREVER);
    }
    LW_SIM_CHECK(err == 0 && !it.burned);
    last = --it.users == 0;
    lw_sim_point();
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    if (last) {
        it.burned = true;
        BURN(&it.mutex);
    }
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    it.users = TASKS;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(leave_and_burn, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.mutex; i++)
        LW_SIM_CHECK(((unsigned char *)&it.mutex)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(mutex, the_last_user_may_free_it)
{
    sim_all(burn_after_use, NULL);
}

/* ---- fairness */

static int enter_once(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    it.got = true;
    (void)arg;
    return lw_mutex_release(&it.mutex);
}

/* Always there first: it acquires again before the woken waiter has run. */
static int hog(void *arg)
{
    lw_task waiter;

    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    waiter = start_waiting(enter_once, NULL);
    while (!it.got) {
        LW_SIM_CHECK(it.hogged++ < 6); /* lost once; then for a millisecond; then it is handed */
        LW_SIM_CHECK(lw_sleep(lw_in(2 * LW_MS)) == 0);
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    return end_of(waiter);
}

Test(mutex, nobody_starves)
{
    sim_all(hog, NULL);
}

/* ---- all there are */

static int two_enter(void *arg)
{
    lw_task other;

    (void)arg;
    set_up();
    other = start(enter_or_give_up, NULL);
    (void)enter_or_give_up(NULL);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(it.entries == 2);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(mutex, two_tasks_in_every_order)
{
    sim_every(two_enter, NULL, 1, 100);
    sim_every(two_enter, NULL, 2, 10000);
}
