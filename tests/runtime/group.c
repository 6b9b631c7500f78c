/* SPDX-License-Identifier: MIT */
/* Laws of groups: children end before the scope does, whatever happens; rows R230 to R241. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "tests/runtime/children.h"

TestSuite(group, .init = watchdog);

/* ---- the hooks */

static int log_of_calls[8], log_size;

static int note(int what, int result)
{
    log_of_calls[log_size++] = what;
    return result;
}

static int setup_well(lw_group *group)
{
    (void)group;
    return note(1, 0);
}

static int setup_badly(lw_group *group)
{
    (void)group;
    return note(1, -EIO);
}

static int cleanup_well(lw_group *group)
{
    cr_assert_eq(lw_group_running(group), 10,
                 "the cleanup comes before the children are cancelled");
    return note(3, 0);
}

static int cleanup_badly(lw_group *group)
{
    (void)group;
    return note(3, -ENOSPC);
}

static int r230_r232_in_order(void *arg)
{
    static const lw_group_hooks hooks = {setup_well, cleanup_well};
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    int err;

    (void)arg;
    reset();
    log_size = 0;
    group.hooks = &hooks;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        cr_assert_eq(note(2, err), 0);
        for (int i = 0; i < 10; i++)
            cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
        AWAIT(lw_load_acq(&started) == 10);
        cr_assert_eq(ended, 0);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(ended, 10, "R232: the exit returns when all have ended");
    cr_assert_eq(log_size, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(log_of_calls[i], i + 1);
    return 0;
}

Test(group, r230_setup_body_cleanup_then_children_are_cancelled_and_joined)
{
    run_all(r230_r232_in_order, NULL);
}

static int r231_setup_fails(void *arg)
{
    static const lw_group_hooks hooks = {setup_badly, cleanup_well};
    lw_group group = LW_GROUP_INIT(0);
    bool refused = false;
    int err;

    (void)arg;
    log_size = 0;
    group.hooks = &hooks;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        cr_assert_fail("the body ran");
    else
        refused = true;
    cr_assert(refused);
    cr_assert_eq(err, -EIO);
    cr_assert_eq(log_size, 1, "cleanup ran without setup");
    return 0;
}

Test(group, r231_failing_setup_skips_body_and_cleanup)
{
    run_with(1, r231_setup_fails, NULL);
}

static int r235_cleanup_fails(void *arg)
{
    static const lw_group_hooks hooks = {NULL, cleanup_badly};
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    reset();
    log_size = 0;
    group.hooks = &hooks;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
        cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
    }
    cr_assert_eq(err, -ENOSPC);
    cr_assert_eq(ended, 2, "children are cancelled and joined all the same");
    return 0;
}

Test(group, r235_failing_cleanup_still_cancels_and_joins_and_is_reported)
{
    run_all(r235_cleanup_fails, NULL);
}

static int r239_no_hooks(void *arg)
{
    static const lw_group_hooks none;
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        cr_assert_eq(err, 0);
    cr_assert_eq(err, 0);
    group.hooks = &none;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        err = -EBADF;
    cr_assert_eq(err, -EBADF, "R234: the body's error stands");
    return 0;
}

Test(group, r239_hooks_need_not_be_there)
{
    run_with(1, r239_no_hooks, NULL);
}

/* ---- how it ends */

static int open_the_door(void *arg)
{
    (void)arg;
    AWAIT(lw_load_acq(&started) >= 3);
    for (int i = 0; i < 100; i++)
        lw_yield();
    cr_assert_eq(lw_load_acq(&ended), 0);
    lw_store_rel(&go, 1);
    return 0;
}

static int r233_resisting(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    lw_task opener;
    int err;

    (void)arg;
    reset();
    cr_assert_eq(lw_spawn(&opener, open_the_door, NULL, NULL), 0);
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < 3; i++)
            cr_assert_eq(lw_group_spawn(&group, resist, NULL, NULL), 0);
    cr_assert_eq(err, 0);
    cr_assert_eq(ended, 3);
    return lw_join(opener, NULL, LW_FOREVER);
}

Test(group, r233_child_that_ignores_the_cancel_delays_the_exit)
{
    run_all(r233_resisting, NULL);
}

static int r234_body_fails(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    reset();
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (int i = 0; i < 5; i++)
            cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
        err = -EBADMSG;
    }
    cr_assert_eq(err, -EBADMSG);
    cr_assert_eq(ended, 5, "a body that fails cancels the children");
    return 0;
}

Test(group, r234_error_of_the_body_comes_after_the_children)
{
    run_all(r234_body_fails, NULL);
}

static int r236_many(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    int err;

    (void)arg;
    reset();
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (int i = 0; i < 2500; i++)
            cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
        for (int i = 0; i < 3; i++)
            lw_yield(); /* some run and wait, others never ran: fn runs all the same */
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(ended, 2500);
    cr_assert_eq(started, 2500);
    cr_assert_eq(lw_group_running(&group), 0);
    return 0;
}

Test(group, r236_2500_children_are_cancelled_and_joined)
{
    run_all(r236_many, NULL);
}

static lw_group *here;

/* Upon its cancel it spawns on, four levels deep. */
static int spawn_in_teardown(void *arg)
{
    intptr_t level = (intptr_t)arg;
    int err;

    (void)lw_add_acq_rel(&started, 1);
    err = lw_sleep(LW_FOREVER);
    cr_assert_eq(err, -ECANCELED);
    if (level > 0)
        for (int i = 0; i < 3; i++)
            cr_assert_eq(lw_group_spawn(here, spawn_in_teardown, (void *)(level - 1), NULL), 0);
    (void)lw_add_acq_rel(&ended, 1);
    return err;
}

static int r237_teardown(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    int err;

    (void)arg;
    reset();
    here = &group;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        cr_assert_eq(lw_group_spawn(&group, spawn_in_teardown, (void *)4, NULL), 0);
        AWAIT(lw_load_acq(&started) == 1);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(ended, 1 + 3 + 9 + 27 + 81);
    return 0;
}

Test(group, r237_children_made_during_teardown_are_cancelled_and_joined)
{
    for (int i = 0; i < 20; i++)
        run_all(r237_teardown, NULL);
}

/* ---- who waits */

static int wait_from_within(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_group_wait(here, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_group_end(here, 0), -EDEADLK);
    (void)lw_add_acq_rel(&ended, 1);
    return 0;
}

static int running_counts(void *arg)
{
    lw_group group = {0}; /* all zero will do */

    (void)arg;
    reset();
    here = &group;
    cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
    cr_assert_eq(lw_group_running(&group), 0);
    for (size_t i = 1; i <= 5; i++) {
        cr_assert_eq(lw_group_spawn(&group, resist, NULL, NULL), 0);
        cr_assert_eq(lw_group_running(&group), i);
    }
    cr_assert_eq(lw_group_wait(&group, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_group_wait(&group, lw_in(2 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_group_wait(&group, 5 * LW_MS), -EINVAL, "a duration");
    cr_assert_eq(lw_group_running(&group), 5);
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
    cr_assert_eq(lw_group_running(&group), 0);
    cr_assert_eq(lw_group_spawn(&group, wait_from_within, NULL, NULL), 0);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    cr_assert_eq(ended, 6);
    cr_assert_eq(lw_group_spawn(&group, NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(lw_group_running(&group), 0, "R241");
    return 0;
}

Test(group, r241_running_counts_the_unfinished)
{
    run_all(running_counts, NULL);
}

static int children_are_not_joined(void *arg)
{
    static lw_task handle;
    lw_group *group = arg;

    if (group == NULL) {
        handle = lw_self();
        lw_store_rel(&started, 1);
        return resist(NULL) - 7;
    }
    reset();
    cr_assert_eq(lw_group_spawn(group, children_are_not_joined, NULL, NULL), 0);
    AWAIT(lw_load_acq(&started) >= 1);
    cr_assert_eq(lw_join(handle, NULL, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_detach(handle), -EINVAL);
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_group_end(group, 0), 0);
    cr_assert_eq(lw_join(handle, NULL, LW_FOREVER), -ESRCH);
    cr_assert_eq(lw_cancel(handle), -ESRCH);
    return 0;
}

Test(group, child_is_neither_joined_nor_detached)
{
    lw_group group = {0};

    run_all(children_are_not_joined, &group);
}

/* A cancel of the one in the end goes to the children, and is still his afterwards. */
static int end_it(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);

    (void)arg;
    cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
    cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    cr_assert_eq(lw_load_acq(&ended), 2);
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    cr_assert_eq(lw_sleep(lw_in(1)), 0, "once");
    cr_assert_eq(lw_cancel_requests(), 1);
    return 0;
}

static int cancel_the_ender(void *arg)
{
    lw_task task;
    int status;

    (void)arg;
    reset();
    cr_assert_eq(lw_spawn(&task, end_it, NULL, NULL), 0);
    AWAIT(lw_load_acq(&started) == 2 && is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    return status;
}

Test(group, cancel_of_who_ends_it_is_passed_on_and_kept)
{
    run_all(cancel_the_ender, NULL);
}

static int cancel_today(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);

    (void)arg;
    reset();
    for (int i = 0; i < 6; i++)
        cr_assert_eq(lw_group_spawn(&group, sleep_for_ever, NULL, NULL), 0);
    lw_group_cancel(&group); /* some have not started: they learn it at their first wait */
    cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
    cr_assert_eq(ended, 6);
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_group_spawn(&group, resist, NULL, NULL), 0);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    cr_assert_eq(ended, 7, "a later child is not cancelled");
    return 0;
}

Test(group, cancel_reaches_all_of_todays_children)
{
    run_all(cancel_today, NULL);
}
