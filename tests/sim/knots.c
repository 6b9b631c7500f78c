/* SPDX-License-Identifier: MIT */
/* Who closes a circle by a wait for a lock, and holds nothing itself, tells nobody: others wait for
 * its end.  One of those has a lock meanwhile, and so the circle is found soon, not when the next
 * look would have been; also in a program that is busy all the time. */
#include <time.h>

#include "tests/sim/explore.h"

TestSuite(knots, .init = watchdog);

#define PERIOD (1000 * LW_SEC)
#define SOON (1 * LW_SEC)     /* 30 ms, if nothing kept the thread from its work */
#define LATER (2700 * LW_MS) /* the last look was 10 * (1 + 2 + ... + 128) ms after the start */

static struct {
    lw_rwlock shared; /* the holder has it exclusively, but in the law of readers */
    lw_nsec closed;   /* 0: not yet */
    int told;
    bool over;
} circle;

static void hear_circle(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_WORKER_EXHAUSTION) /* it may be: one of them is blocked */
        return;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK);
    LW_SIM_CHECK(circle.closed != 0 && lw_now() - circle.closed < SOON);
    circle.told++;
}

/* When all others have waited for so long that nothing of that is news. */
static int close_circle(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(lw_sleep(lw_in(200 * LW_MS + (lw_nsec)sim_choose(100) * 100 * LW_US)) == 0);
    circle.closed = lw_now();
    err = lw_acquire(&circle.shared.write, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
    return err == 0 ? lw_release(&circle.shared.write) : 0;
}

/* ---- the waits for its end */

static int wait_for_group(lw_fn *fn)
{
    lw_group group = LW_GROUP_INIT(0);
    int status = 0;

    LW_SCOPE(&group.scope, LW_FOREVER, status)
        status = lw_group_spawn(&group, fn, NULL, NULL);
    LW_SIM_CHECK(status == 0 || status == -EDEADLK || status == -ECANCELED);
    return 0;
}

static int have_child_close(void *arg)
{
    (void)arg;
    return wait_for_group(close_circle);
}

static int have_grandchild_close(void *arg)
{
    (void)arg;
    return wait_for_group(have_child_close);
}

static int have_other_join(void *arg)
{
    lw_task task = start(have_child_close, NULL);
    int err = lw_join(task, NULL, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err != 0)
        (void)lw_detach(task);
    return 0;
}

static int have_helper_close(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_blocking(close_circle, NULL, NULL, LW_FOREVER) == 0);
    return 0;
}

static int have_child_call(void *arg)
{
    (void)arg;
    return wait_for_group(have_helper_close);
}

/* ---- who has it meanwhile */

static bool reads;

static int hold(void *arg)
{
    lw_lock *lock = reads ? &circle.shared.read : &circle.shared.write;

    LW_SIM_CHECK(lw_sleep(lw_in(LATER)) == 0);
    LW_SIM_CHECK(lw_acquire(lock, LW_FOREVER) == 0);
    LW_SIM_CHECK((*(lw_fn **)arg)(NULL) == 0);
    LW_SIM_CHECK(lw_release(lock) == 0);
    circle.over = true;
    return 0;
}

static int find_soon(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .period_min = PERIOD,
                                   .period_max = PERIOD,
                                   .long_hold = PERIOD,
                                   .long_wait = PERIOD,
                                   .on_report = hear_circle};
    const struct timespec busy = {.tv_nsec = 5 * LW_MS};
    lw_task task;

    memset(&circle, 0, sizeof circle);
    circle.shared = (lw_rwlock)LW_RWLOCK_INIT("shared", LW_RWLOCK_PHASE_FAIR);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    task = start(hold, arg);
    while (!circle.over || circle.told == 0) {
        (void)nanosleep(&busy, NULL); /* for that all workers sleep is a reason to look */
        lw_yield();
        LW_SIM_CHECK(circle.told != 0 || circle.closed == 0 || lw_now() - circle.closed < SOON);
    }
    LW_SIM_CHECK(circle.told == 1);
    return end_of(task);
}

static void explore(lw_fn *wait, bool as_reader)
{
    lw_fn *how = wait;

    reads = as_reader;
    sim_some(find_soon, &how, 4);
}

Test(knots, a_circle_that_a_child_closes_is_found_soon)
{
    explore(have_child_close, false);
}

Test(knots, a_circle_that_a_grandchild_closes_is_found_soon)
{
    explore(have_grandchild_close, false);
}

Test(knots, a_circle_that_the_child_of_a_joined_one_closes_is_found_soon)
{
    explore(have_other_join, false);
}

Test(knots, a_circle_that_a_helper_closes_is_found_soon)
{
    explore(have_helper_close, false);
}

Test(knots, a_circle_that_the_helper_of_a_child_closes_is_found_soon)
{
    explore(have_child_call, false);
}

Test(knots, a_circle_that_a_child_of_a_reader_closes_is_found_soon)
{
    explore(have_child_close, true);
}
