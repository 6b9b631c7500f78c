/* SPDX-License-Identifier: MIT */
/* A look at all waits sees each of them, wherever its record lies: among so many tasks that
 * several chunks of records are full, to the last of the last page, each is in a circle that
 * nothing but a look finds. */
#include "tests/sim/explore.h"

TestSuite(slots, .init = watchdog);

/* In the simulation a chunk has 128 slots. */
enum { ROUNDS = 20, PAIRS = 8 };

#define LONG (1000 * LW_SEC)

static lw_bounded_semaphore permits[ROUNDS][PAIRS];
static int holding[ROUNDS][PAIRS];
static int told;

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK && report->member_count == 2);
    told++;
}

/* Both have one permit of two, and want the other's. */
static int want_both(void *arg)
{
    lw_bounded_semaphore *both = arg;
    int *have = &holding[0][0] + (both - &permits[0][0]), err;

    LW_SIM_CHECK(lw_acquire(&both->lock, LW_FOREVER) == 0);
    (*have)++;
    while (*have < 2)
        lw_yield();
    err = lw_acquire(&both->lock, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -ECANCELED);
    if (err == 0)
        LW_SIM_CHECK(lw_release(&both->lock) == 0);
    return lw_release(&both->lock);
}

static void scan(void)
{
    int found;

    while ((found = lw_detector_scan()) == -EBUSY)
        lw_yield();
    LW_SIM_CHECK(found >= 0);
}

static int see_all(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_REPORT,
                                   .period_min = LONG,
                                   .period_max = LONG,
                                   .long_hold = LONG,
                                   .long_wait = LONG,
                                   .on_report = count};
    static lw_task tasks[ROUNDS][PAIRS][2];

    (void)arg;
    told = 0;
    memset(holding, 0, sizeof holding);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < PAIRS; j++) {
            permits[i][j] = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 2);
            for (int k = 0; k < 2; k++)
                tasks[i][j][k] = start(want_both, &permits[i][j]);
        }
        for (int j = 0; j < PAIRS; j++)
            while (holding[i][j] < 2 || !is_waiting(tasks[i][j][0]) || !is_waiting(tasks[i][j][1]))
                lw_yield();
        scan();
        LW_SIM_CHECK(told == (i + 1) * PAIRS);
    }
    for (int i = 0; i < ROUNDS * PAIRS * 2; i++) {
        (void)lw_cancel((&tasks[0][0][0])[i]);
        LW_SIM_CHECK(end_of((&tasks[0][0][0])[i]) == 0);
    }
    return 0;
}

Test(slots, all_are_looked_at)
{
    sim_some(see_all, NULL, 20);
}
