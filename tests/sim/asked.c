/* SPDX-License-Identifier: MIT */
/* Who waits for permits closes a circle that no walk of one task finds, and asks for a look at all
 * waits.  Also if that falls into another look, it is done soon, and not when the next one would
 * have been. */
#include "locksmith/detector.h"
#include "tests/sim/explore.h"

TestSuite(asked, .init = watchdog);

enum { PAIRS = 2 };

#define PERIOD (1000 * LW_SEC)
#define SOON (1 * LW_SEC)

static struct pair {
    lw_bounded_semaphore permits;
    int holding;
    lw_nsec last; /* when the other one began to wait, at the latest */
} pairs[PAIRS];

static int told;

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK);
    told++;
}

/* Both have one permit of two and want the other one. */
static int meet(void *arg)
{
    struct pair *pair = arg;
    lw_lock *lock = &pair->permits.lock;
    int err;

    LW_SIM_CHECK(lw_acquire(lock, LW_FOREVER) == 0);
    pair->holding++;
    while (pair->holding < 2)
        lw_yield();
    if (pair != pairs) /* while the circle of the first pair is found: when that is old enough */
        LW_SIM_CHECK(lw_sleep(lw_in((9900 + (lw_nsec)sim_choose(60) * 10) * LW_US)) == 0);
    pair->last = lw_now();
    err = lw_acquire(lock, LW_FOREVER);
    LW_SIM_CHECK(err == -ECANCELED || (err == 0 && told == PAIRS));
    if (err == 0) /* the other one of them was cancelled */
        LW_SIM_CHECK(lw_release(lock) == 0);
    return lw_release(lock);
}

/* Nobody is made to give way: then that would change something, and be a reason for a look. */
static int ask_together(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_REPORT,
                                   .period_min = PERIOD,
                                   .period_max = PERIOD,
                                   .long_hold = PERIOD,
                                   .long_wait = PERIOD,
                                   .on_report = count};
    lw_task tasks[PAIRS][2];

    (void)arg;
    told = 0;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = (struct pair){.permits = LW_BOUNDED_SEMAPHORE_INIT("permits", 2)};
        for (int j = 0; j < 2; j++)
            tasks[i][j] = start(meet, &pairs[i]);
    }
    while (told < PAIRS) { /* not asleep: no look is to be due since all are */
        lw_yield();
        for (int i = 0; i < PAIRS; i++)
            LW_SIM_CHECK(pairs[i].last == 0 || lw_now() - pairs[i].last < SOON);
    }
    for (int i = 0; i < PAIRS; i++)
        for (int j = 0; j < 2; j++) {
            (void)lw_cancel(tasks[i][j]);
            LW_SIM_CHECK(end_of(tasks[i][j]) == 0);
        }
    LW_SIM_CHECK(told == PAIRS);
    return 0;
}

Test(asked, also_during_a_look)
{
    sim_all(ask_together, NULL);
}
