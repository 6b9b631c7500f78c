/* SPDX-License-Identifier: MIT */
/* While somebody ends a group of another, who may wait for him, there are looks all the time; and
 * none while a task ends its own.  (Nothing cuts the end of a group short, so a circle of such
 * waits could not be left: here is none.) */
#include <time.h>

#include "tests/sim/explore.h"

TestSuite(knot_looks, .init = watchdog);

#define PERIOD (1000 * LW_SEC)
#define LATER (2700 * LW_MS) /* the last look was 10 * (1 + 2 + ... + 128) ms after the start */

enum { TIME_MS = 300, LEAST = 6, MOST = 3 }; /* looks in that time */

static lw_group other;
static bool over;

static int sleep_until_over(void *arg)
{
    (void)arg;
    while (!over)
        LW_SIM_CHECK(lw_sleep(lw_in(20 * LW_MS)) == 0);
    return 0;
}

static int end_group_of(lw_fn *fn)
{
    lw_group group = LW_GROUP_INIT(0);
    int status = 0;

    LW_SCOPE(&group.scope, LW_FOREVER, status)
        status = lw_group_spawn(&group, fn, NULL, NULL);
    return status;
}

static int end_own(void *arg)
{
    (void)arg;
    return end_group_of(sleep_until_over);
}

static int end_other(void *arg)
{
    (void)arg;
    return lw_group_end(&other, 0);
}

static int have_child_end_own(void *arg)
{
    (void)arg;
    return end_group_of(end_own);
}

static int have_child_end_other(void *arg)
{
    (void)arg;
    other = (lw_group)LW_GROUP_INIT(0);
    LW_SIM_CHECK(lw_group_spawn(&other, sleep_until_over, NULL, NULL) == 0);
    return end_group_of(end_other);
}

/* A helper is there before the call that it does. */
static int have_helper_end(void *arg)
{
    (void)arg;
    return lw_blocking(end_own, NULL, NULL, LW_FOREVER);
}

/* One worker is awake: for that all sleep is a reason to look, too. */
static void be_busy_for(lw_nsec time)
{
    const struct timespec busy = {.tv_nsec = 5 * LW_MS};
    lw_nsec until = lw_now() + time;

    do {
        (void)nanosleep(&busy, NULL);
        lw_yield();
    } while (lw_now() < until);
}

static uint64_t looks(void)
{
    lw_detector_counts counts;

    lw_detector_read(&counts);
    return counts.scans;
}

struct law {
    lw_fn *root;
    bool looks;
};

static int look_meanwhile(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .period_min = PERIOD,
                                   .period_max = PERIOD,
                                   .long_hold = PERIOD,
                                   .long_wait = PERIOD};
    const struct law *law = arg;
    uint64_t before;
    lw_task root;

    over = false;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    root = start(law->root, NULL);
    be_busy_for(LATER);
    before = looks();
    be_busy_for(TIME_MS * LW_MS);
    LW_SIM_CHECK(law->looks ? looks() >= before + LEAST : looks() <= before + MOST);
    over = true;
    return end_of(root);
}

Test(knot_looks, there_are_some_while_a_child_ends_a_group_of_another)
{
    struct law law = {have_child_end_other, true};

    sim_some(look_meanwhile, &law, 4);
}

Test(knot_looks, there_are_some_while_a_helper_ends_a_group)
{
    struct law law = {have_helper_end, true};

    sim_some(look_meanwhile, &law, 4);
}

Test(knot_looks, there_are_none_while_a_child_ends_its_own)
{
    struct law law = {have_child_end_own, false};

    sim_some(look_meanwhile, &law, 4);
}
