/* SPDX-License-Identifier: MIT */
/* What was done before is seen after: whoever is told of something by the library sees all that
 * was done before it was told.
 *
 * What is done is a relaxed store of a word of the test's, and seen by a relaxed load of it: in a
 * schedule with weak memory it is old as long as nothing orders it.  A task that is moved to
 * another worker has to see its own stores as well. */
#include "tests/sim/explore.h"

#include <pthread.h>

#include "runtime/worker.h"

TestSuite(order, .init = watchdog);

enum { WORDS = 8, EACH = 3 };

static struct {
    uint32_t words[WORDS];
    uint32_t futex, own[EACH], entries;
    lw_mutex mutex, inner;
    lw_semaphore semaphore, finished;
    lw_condition condition;
    lw_channel channel;
    lw_event event, never;
    lw_group group;
    lw_runtime *runtime;
    int room[1];
    bool ready, stop;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("semaphore", 2);
    it.finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
}

static void put(int word)
{
    lw_store_rlx(&it.words[word], 1);
}

static void see(int word)
{
    LW_SIM_CHECK(lw_load_rlx(&it.words[word]) == 1);
}

static void count(uint32_t *word)
{
    lw_store_rlx(word, lw_load_rlx(word) + 1);
}

/* ---- its own stores, wherever a task runs */

static void pass_time(void)
{
    switch (sim_choose(4)) {
    case 1:
        LW_SIM_CHECK(lw_event_wait(&it.never, lw_in((1 + sim_choose(3)) * 5 * LW_US)) < 0);
        break;
    case 2:
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        lw_sim_point();
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        break;
    case 3:
        LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, 2, LW_FOREVER) == 0);
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 2) == 0);
        break;
    default:
        lw_yield();
        break;
    }
}

static int count_by_itself(void *arg)
{
    uint32_t *mine = &it.own[(uintptr_t)arg];

    for (uint32_t i = 0; i < 5; i++) {
        LW_SIM_CHECK(lw_load_rlx(mine) == i);
        lw_store_rlx(mine, i + 1);
        pass_time();
    }
    return 0;
}

static int wander(void *arg)
{
    lw_task tasks[EACH];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < EACH; i++)
        tasks[i] = start(count_by_itself, (void *)i);
    for (int i = 0; i < EACH; i++) {
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
        LW_SIM_CHECK(lw_load_rlx(&it.own[i]) == 5);
    }
    return 0;
}

Test(order, a_task_sees_its_own_stores_on_each_worker)
{
    sim_all(wander, NULL);
}

/* ---- spawn -> start, end -> join */

static int answer(void *arg)
{
    see(0);
    if (arg != NULL)
        LW_SIM_CHECK(end_of(start(answer, NULL)) == 0);
    else
        put(1);
    return 0;
}

static int ask(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    put(0);
    task = start(answer, &it);
    if (sim_choose(2) == 1)
        lw_yield();
    LW_SIM_CHECK(end_of(task) == 0);
    see(1);
    return 0;
}

Test(order, of_spawns_and_joins)
{
    sim_all(ask, NULL);
}

/* ---- the same with a plain thread */

static void *ask_from_outside(void *arg)
{
    lw_task_options options = {.runtime = it.runtime};
    lw_task task;

    put(0);
    LW_SIM_CHECK(lw_spawn(&task, answer, arg, &options) == 0);
    LW_SIM_CHECK(end_of(task) == 0);
    see(1);
    put(2);
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
    return NULL;
}

static int be_asked(void *arg)
{
    pthread_t thread;

    (void)arg;
    set_up();
    it.runtime = lw_runtime_here();
    LW_SIM_CHECK(pthread_create(&thread, NULL, ask_from_outside, &it) == 0);
    LW_SIM_CHECK(lw_semaphore_acquire(&it.finished, 1, LW_FOREVER) == 0);
    see(2);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

Test(order, of_spawns_and_joins_from_outside)
{
    sim_all(be_asked, NULL);
}

/* ---- children -> the group's owner */

static int child(void *arg)
{
    int word = (int)(uintptr_t)arg;

    see(0);
    if (sim_choose(3) == 1)
        LW_SIM_CHECK(lw_event_wait(&it.never, lw_in(5 * LW_US)) == -ETIMEDOUT);
    put(word);
    return word == EACH ? -EIO : 0;
}

static int own_group(void *arg)
{
    int err;

    (void)arg;
    set_up();
    it.group = (lw_group)LW_GROUP_INIT(0);
    put(0);
    for (uintptr_t i = 1; i <= EACH; i++)
        LW_SIM_CHECK(lw_group_spawn(&it.group, child, (void *)i, NULL) == 0);
    while (sim_choose(4) == 1 && lw_group_running(&it.group) > 0 &&
           lw_group_failure(&it.group) == 0)
        lw_yield();
    if (lw_group_failure(&it.group) < 0)
        see(EACH);
    err = lw_group_wait(&it.group, draw_deadline());
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    if (err == 0 || lw_group_running(&it.group) == 0)
        for (int i = 1; i <= EACH; i++)
            see(i);
    LW_SIM_CHECK(lw_group_end(&it.group, 0) == -EIO);
    for (int i = 1; i <= EACH; i++)
        see(i);
    return 0;
}

Test(order, of_the_children_of_a_group)
{
    sim_all(own_group, NULL);
}

/* ---- locks */

static void count_inside(void)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.inner, LW_FOREVER) == 0);
    count(&it.words[2]);
    it.entries++;
    lw_sim_point();
    LW_SIM_CHECK(lw_mutex_release(&it.inner) == 0);
}

static int count_locked(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        while (lw_mutex_acquire(&it.mutex, draw_deadline()) < 0)
            continue;
        count(&it.words[0]);
        if (sim_choose(3) == 1)
            count_inside(); /* who has a mutex waits for another */
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        if (sim_choose(2) == 1)
            count_inside();
        while (lw_semaphore_acquire(&it.semaphore, 2, draw_deadline()) < 0)
            continue;
        count(&it.words[1]);
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 2) == 0);
    }
    return 0;
}

static int count_together(void *arg)
{
    lw_task tasks[EACH];

    (void)arg;
    set_up();
    for (int i = 0; i < EACH; i++)
        tasks[i] = start(count_locked, NULL);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_load_rlx(&it.words[0]) == 3 * EACH);
    LW_SIM_CHECK(lw_load_rlx(&it.words[1]) == 3 * EACH);
    LW_SIM_CHECK(lw_load_rlx(&it.words[2]) == it.entries);
    return 0;
}

Test(order, of_who_had_a_lock_before)
{
    sim_all(count_together, NULL);
}

/* ---- a condition */

static int notify(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    put(0);
    it.ready = true;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    (void)lw_condition_notify(&it.condition, 1);
    return 0;
}

static int await_notify(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    task = start(notify, NULL);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    while (!it.ready) {
        int err = lw_condition_wait(&it.condition, &it.mutex.lock, draw_deadline());

        LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    }
    see(0);
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    return end_of(task);
}

Test(order, of_who_notifies)
{
    sim_all(await_notify, NULL);
}

/* ---- channels */

static int send_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        put(i);
        LW_SIM_CHECK(lw_channel_send(&it.channel, &i, LW_FOREVER) == 0);
    }
    put(EACH);
    lw_channel_close(&it.channel);
    return 0;
}

static int receive(void *arg)
{
    lw_task task;
    int item, err;

    (void)arg;
    set_up();
    lw_channel_init(&it.channel, "channel", it.room, sizeof *it.room, sim_choose(2));
    task = start(send_all, NULL);
    while ((err = lw_channel_receive(&it.channel, &item, draw_deadline())) != -EPIPE)
        if (err == 0)
            see(item);
        else if (lw_channel_closed(&it.channel))
            see(EACH);
    see(EACH);
    return end_of(task);
}

Test(order, of_who_sends_and_closes)
{
    sim_all(receive, NULL);
}

/* ---- events and futexes */

static int set(void *arg)
{
    (void)arg;
    put(0);
    lw_event_set(&it.event);
    put(1);
    lw_store_rlx(&it.futex, 1);
    (void)lw_futex_wake(&it.futex, LW_ALL);
    return 0;
}

static int await_set(void *arg)
{
    lw_task task;
    int err;

    (void)arg;
    set_up();
    task = start(set, NULL);
    if (sim_choose(2) == 1)
        while (!lw_event_is_set(&it.event))
            lw_yield();
    else
        while ((err = lw_event_wait(&it.event, draw_deadline())) < 0)
            LW_SIM_CHECK(err == -ETIMEDOUT);
    see(0);
    if (lw_futex_wait(&it.futex, 0, LW_FOREVER) == 0)
        see(1);
    return end_of(task);
}

Test(order, of_who_sets_and_wakes)
{
    sim_all(await_set, NULL);
}

/* ---- a cancel */

static int be_cancelled(void *arg)
{
    int err;

    (void)arg;
    do
        err = sim_choose(2) == 1 ? lw_checkpoint() : lw_event_wait(&it.never, draw_deadline());
    while (err != -ECANCELED && (lw_yield(), true));
    see(0);
    return 0;
}

static int cancel(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    task = start(be_cancelled, NULL);
    lw_yield();
    put(0);
    LW_SIM_CHECK(lw_cancel(task) == 0);
    return end_of(task);
}

Test(order, of_who_cancels)
{
    sim_all(cancel, NULL);
}

/* ---- the mutex of threads: that of the table of runtimes is one */

static void *count_as_thread(void *arg)
{
    for (int i = 0; i < 3; i++) {
        lw_runtimes_lock();
        count(&it.words[0]);
        lw_sim_point();
        count(&it.words[0]);
        lw_runtimes_unlock();
    }
    return arg;
}

static int count_in_threads(void *arg)
{
    pthread_t threads[EACH];

    (void)arg;
    set_up();
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, count_as_thread, NULL) == 0);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(lw_load_rlx(&it.words[0]) == EACH * 3 * 2);
    return 0;
}

Test(order, of_who_holds_a_mutex_of_threads)
{
    sim_plain(count_in_threads, NULL);
}

/* ---- wherever children ran -> who stops the runtime */

static int leave_quickly(void *arg)
{
    (void)arg;
    return 0;
}

static int outlive_children(void *arg)
{
    (void)arg;
    for (unsigned n = 1 + sim_choose(2); n > 0; n--) {
        int err = lw_spawn(NULL, leave_quickly, NULL, NULL);

        LW_SIM_CHECK(err == 0 || err == -ESHUTDOWN);
        lw_yield();
    }
    lw_yield();
    put(0);
    return 0;
}

static int stop_beside(void *arg)
{
    lw_options options = {.workers = 2};
    lw_task_options to = {0};

    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_start(&to.runtime, &options) == 0);
    LW_SIM_CHECK(lw_spawn(NULL, outlive_children, NULL, &to) == 0);
    for (unsigned n = sim_choose(8); n > 0; n--)
        lw_sim_point();
    LW_SIM_CHECK(lw_stop(to.runtime, LW_FOREVER) == 0);
    see(0);
    return 0;
}

Test(order, of_who_stops_a_runtime)
{
    sim_plain(stop_beside, NULL);
}
