/* SPDX-License-Identifier: MIT */
/* Plain threads among tasks in many schedules: the same objects, the same laws. */
#include "tests/sim/explore.h"

#include <pthread.h>

TestSuite(guest, .init = watchdog);

enum { EACH = 2 };

static struct {
    lw_mutex mutex;
    lw_condition condition;
    lw_channel channel;
    lw_event event;
    lw_semaphore finished; /* threads */
    int inside, entries, cut_short, sent, received, sum, items, ended;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    lw_channel_init(&it.channel, "channel", NULL, sizeof(int), 0);
    it.finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
}

static void finish(void)
{
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
}

/* As tasks and as plain threads.  pthread_join() blocks the worker: when all is done. */
static void run_mixed(lw_fn *fn, void *(*thread_fn)(void *arg), bool cancels)
{
    pthread_t threads[EACH];
    lw_task tasks[EACH];

    for (int i = 0; i < EACH; i++) {
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, thread_fn, NULL) == 0);
        tasks[i] = start(fn, NULL);
    }
    if (cancels)
        (void)lw_cancel(tasks[0]);
    LW_SIM_CHECK(lw_semaphore_acquire(&it.finished, EACH, LW_FOREVER) == 0);
    for (int i = 0; i < EACH; i++) {
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    }
}

/* ---- a mutex */

static int enter(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int err = lw_mutex_acquire(&it.mutex, deadline);

        if (err == 0) {
            LW_SIM_CHECK(it.inside++ == 0);
            lw_sim_point();
            LW_SIM_CHECK(--it.inside == 0);
            it.entries++;
            LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        } else {
            LW_SIM_CHECK(err == -ETIMEDOUT ? deadline != LW_FOREVER
                                           : err == -ECANCELED && arg == NULL);
            it.cut_short++;
        }
    }
    return 0;
}

static void *enter_as_thread(void *arg)
{
    (void)arg;
    (void)enter(&it);
    finish();
    return NULL;
}

static int share_a_mutex(void *arg)
{
    (void)arg;
    set_up();
    run_mixed(enter, enter_as_thread, true);
    LW_SIM_CHECK(it.entries + it.cut_short == 4 * EACH);
    LW_SIM_CHECK(!lw_mutex_locked(&it.mutex) && it.mutex.lock._queue == NULL);
    return 0;
}

Test(guest, threads_and_tasks_share_a_mutex)
{
    sim_all(share_a_mutex, NULL);
}

/* ---- a rendezvous */

static void *send_some(void *arg)
{
    for (int item = 1; item <= 2; item++) {
        LW_SIM_CHECK(lw_channel_send(&it.channel, &item, LW_FOREVER) == 0);
        it.sent++;
    }
    finish();
    return arg;
}

static int receive_some(void *arg)
{
    int item;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        LW_SIM_CHECK(lw_channel_receive(&it.channel, &item, LW_FOREVER) == 0);
        it.received++;
        it.sum += item;
    }
    return 0;
}

static int meet(void *arg)
{
    (void)arg;
    set_up();
    run_mixed(receive_some, send_some, false);
    LW_SIM_CHECK(it.sent == 2 * EACH && it.received == it.sent && it.sum == 3 * EACH);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(guest, threads_send_to_tasks)
{
    sim_all(meet, NULL);
}

/* ---- a condition: each takes one item of as many */

static bool has_item(void *arg)
{
    (void)arg;
    return it.items > 0;
}

static int take_item(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_condition_wait_for(&it.condition, &it.mutex.lock, has_item, NULL,
                                       LW_FOREVER) == 0);
    it.items--;
    it.received++;
    return lw_mutex_release(&it.mutex);
}

static void *take_as_thread(void *arg)
{
    (void)take_item(arg);
    finish();
    return NULL;
}

static int hand_out(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2 * EACH; i++) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        it.items++;
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        (void)lw_condition_notify(&it.condition, 1);
    }
    return 0;
}

static int share_a_condition(void *arg)
{
    lw_task giver;

    (void)arg;
    set_up();
    giver = start(hand_out, NULL);
    run_mixed(take_item, take_as_thread, false);
    LW_SIM_CHECK(end_of(giver) == 0);
    LW_SIM_CHECK(it.received == 2 * EACH && it.items == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(guest, threads_and_tasks_share_a_condition)
{
    sim_all(share_a_condition, NULL);
}

/* ---- memory: the one woken last frees the event, thread or task */

static int wait_and_burn(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.event, LW_FOREVER) == 0);
    if (++it.ended == 2 * EACH)
        BURN(&it.event);
    return 0;
}

static void *wait_as_thread(void *arg)
{
    (void)wait_and_burn(arg);
    finish();
    return NULL;
}

static int set_it(void *arg)
{
    (void)arg;
    lw_event_set(&it.event);
    return 0;
}

static int share_an_event(void *arg)
{
    lw_task setter;

    (void)arg;
    set_up();
    setter = start(set_it, NULL);
    run_mixed(wait_and_burn, wait_as_thread, false);
    LW_SIM_CHECK(end_of(setter) == 0);
    for (unsigned i = 0; i < sizeof it.event; i++)
        LW_SIM_CHECK(((unsigned char *)&it.event)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(guest, the_one_woken_last_may_free_an_event)
{
    sim_all(share_an_event, NULL);
}

/* ---- threads join tasks, and end while others are */

static void *join_one(void *arg)
{
    lw_task task = start(enter, NULL);

    LW_SIM_CHECK(end_of(task) == 0);
    it.ended++;
    return arg;
}

static int join_from_threads(void *arg)
{
    pthread_t threads[EACH];

    (void)arg;
    set_up();
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, join_one, NULL) == 0);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(it.ended == EACH);
    return 0;
}

Test(guest, threads_join_tasks)
{
    sim_all(join_from_threads, NULL);
}
