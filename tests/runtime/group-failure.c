/* SPDX-License-Identifier: MIT */
/* What a child that fails does to its group: nothing, or an end to all, now and to come (R238). */
#include "tests/runtime/children.h"

TestSuite(group_failure, .init = watchdog);

static int r238_no_sibling(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    reset();
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-ENODEV, NULL), 0);
        cr_assert_eq(lw_group_spawn(&group, resist, NULL, NULL), 0);
        /* It says that it ends a while before it is counted out. */
        AWAIT(lw_load_acq(&ended) == 1 && lw_load_acq(&started) == 1 &&
              lw_group_running(&group) == 1);
        for (int i = 0; i < 100; i++)
            lw_yield();
        cr_assert_eq(lw_group_running(&group), 1, "a failing child cancels no sibling");
        cr_assert_eq(lw_group_failure(&group), -ENODEV);
        lw_store_rel(&go, 1);
    }
    cr_assert_eq(err, -ENODEV, "the first failure is what the end says");
    cr_assert_eq(lw_group_failure(&group), 0, "as new");
    return 0;
}

Test(group_failure, r238_failing_child_cancels_no_sibling)
{
    run_all(r238_no_sibling, NULL);
}

static int fail_fast(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    (void)arg;
    reset();
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (int i = 0; i < 8; i++)
            cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
        cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-ENODEV, NULL), 0);
        cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)5, NULL), 0);
    }
    cr_assert_eq(err, -ENODEV);
    cr_assert_eq(ended, 10);
    return 0;
}

Test(group_failure, failure_cancels_the_siblings_when_asked_to)
{
    run_all(fail_fast, NULL);
}

/* Whether a child is spawned before or after its sibling has failed makes no difference. */
static int fail_early(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    (void)arg;
    reset();
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-ENODEV, NULL), 0);
        AWAIT(lw_group_failure(&group) != 0);
        for (int i = 0; i < 8; i++)
            cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
    }
    cr_assert_eq(err, -ENODEV);
    cr_assert_eq(ended, 9);
    return 0;
}

Test(group_failure, failure_cancels_also_the_siblings_to_come)
{
    run_all(fail_early, NULL);
}

static int statuses(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);

    (void)arg;
    cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-ECANCELED, NULL), 0);
    cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)3, NULL), 0);
    cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
    cr_assert_eq(lw_group_failure(&group), 0, "a cancelled child is no failure");
    cr_assert_eq(lw_group_end(&group, 12), 12, "a status that is not negative stands");
    cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-EPIPE, NULL), 0);
    cr_assert_eq(lw_group_end(&group, 12), -EPIPE);
    cr_assert_eq(lw_group_spawn(&group, end_at_once, (void *)-EPIPE, NULL), 0);
    cr_assert_eq(lw_group_end(&group, -EIO), -EIO);
    return 0;
}

Test(group_failure, first_failure_but_no_cancel_is_the_outcome)
{
    run_all(statuses, NULL);
}
