/* SPDX-License-Identifier: MIT */
/* Plain threads without a runtime, and so without a thread that looks at all waits, in many
 * schedules: circles that have a member in common, of which a look finds one, and that are broken,
 * run out of time, or lose a member to somebody who sends it away, while others look.  Whoever has
 * been let go goes on with what it reads, and waits for no lock: each circle has to be found all
 * the same, or nobody goes on. */
#include <pthread.h>

#include "locksmith/detector.h"
#include "tests/sim/explore.h"

TestSuite(hidden, .init = watchdog);

enum { READERS = 2, WRITER = READERS, SENDER, THREADS };

static struct {
    lw_mutex mutexes[READERS];
    lw_rwlock shared;
    pthread_barrier_t done; /* of the readers: both wait no more for a mutex */
    int told;
} it;

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK ||
                 report->verdict == LW_VERDICT_TIMED_DEADLOCK);
    LW_SIM_CHECK(!report->unforceable && report->member_count == 2);
    it.told++;
}

static size_t choose(const lw_report *report, void *arg)
{
    (void)arg;
    return sim_choose((unsigned)report->member_count);
}

static void read_then_lock(int index)
{
    lw_nsec deadline = sim_choose(2) == 0 ? LW_FOREVER : lw_in((1 + sim_choose(8)) * 20 * LW_MS);
    int err;

    LW_SIM_CHECK(lw_acquire(&it.shared.read, LW_FOREVER) == 0);
    lw_sim_point();
    err = lw_mutex_acquire(&it.mutexes[index], deadline);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -EPIPE ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&it.mutexes[index]) == 0);
    (void)pthread_barrier_wait(&it.done);
    LW_SIM_CHECK(lw_release(&it.shared.read) == 0);
}

static void lock_then_write(void)
{
    int err;

    for (int i = 0; i < READERS; i++) {
        do
            err = lw_mutex_acquire(&it.mutexes[i], LW_FOREVER);
        while (err == -EPIPE);
        LW_SIM_CHECK(err == 0);
    }
    lw_sim_point();
    err = lw_acquire(&it.shared.write, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err == 0)
        LW_SIM_CHECK(lw_release(&it.shared.write) == 0);
    for (int i = 0; i < READERS; i++)
        LW_SIM_CHECK(lw_mutex_release(&it.mutexes[i]) == 0);
}

/* Who waits for a mutex: perhaps one of a circle. */
static void send_away(void)
{
    for (unsigned i = sim_choose(3); i > 0; i--) {
        lw_sim_point();
        LW_SIM_CHECK(lw_purge_waiters(&it.mutexes[sim_choose(READERS)].lock) >= 0);
    }
}

static void *act(void *arg)
{
    int index = (int)(intptr_t)arg;

    if (index < READERS)
        read_then_lock(index);
    else if (index == WRITER)
        lock_then_write();
    else
        send_away();
    return arg;
}

static int tie(void *arg)
{
    lw_detector_options options;
    pthread_t threads[THREADS];

    (void)arg;
    memset(&it, 0, sizeof it);
    it.shared = (lw_rwlock)LW_RWLOCK_INIT("shared", 0);
    LW_SIM_CHECK(pthread_barrier_init(&it.done, NULL, READERS) == 0);
    lw_detector_get(&options);
    options.on_report = count;
    if (sim_choose(2) == 0)
        options.choose_victim = choose;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (intptr_t i = 0; i < THREADS; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, act, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(pthread_barrier_destroy(&it.done) == 0);
    return 0;
}

Test(hidden, each_circle_is_found_when_what_was_before_it_is_gone)
{
    sim_plain(tie, NULL);
}
