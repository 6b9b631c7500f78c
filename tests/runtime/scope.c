/* SPDX-License-Identifier: MIT */
/* Laws of scopes: entered and left once, in any way; the exit has the last word; blocking kinds
 * run on helpers.  Rows R195 to R198 and R213 to R216. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(scope, .init = watchdog);

struct thing {
    lw_scope scope; /* first */
    int entered, left, enter_gives, exit_adds;
    bool clears;
    int pipe[2];
    pthread_t entered_on, left_on;
};

static int enter(lw_scope *scope, lw_nsec deadline)
{
    struct thing *thing = (struct thing *)(void *)scope;

    (void)deadline;
    thing->entered++;
    thing->entered_on = pthread_self();
    return thing->enter_gives;
}

static int leave(lw_scope *scope, int status)
{
    struct thing *thing = (struct thing *)(void *)scope;

    thing->left++;
    thing->left_on = pthread_self();
    return thing->clears ? 0 : status + thing->exit_adds;
}

static const lw_scope_kind plain = {"plain", enter, leave, false};
static const lw_scope_kind only_exit = {"only exit", NULL, leave, false};
static const lw_scope_kind no_exit = {"no exit", enter, NULL, false};

static int suppression(void *arg)
{
    struct thing thing = {.scope = {&plain}};
    int err;

    (void)arg;
    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        err = -EIO;
    cr_assert_eq(err, -EIO, "R196: let through");
    thing.clears = true;
    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        err = -EIO;
    cr_assert_eq(err, 0, "R196: swallowed");
    thing.clears = false;
    thing.exit_adds = 3;
    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        cr_assert_eq(err, 0);
    cr_assert_eq(err, 3, "the exit has the last word");
    cr_assert_eq(thing.entered, 3);
    cr_assert_eq(thing.left, 3);
    return 0;
}

Test(scope, r196_exit_keeps_changes_or_clears_the_status)
{
    cr_assert_eq(suppression(NULL), 0); /* in a plain thread too */
    run_with(1, suppression, NULL);
}

Test(scope, r195_without_an_enter_it_is_entered)
{
    struct thing thing = {.scope = {&only_exit}};
    int err = 5;

    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        cr_assert_eq(err, 0);
    else
        cr_assert_fail("not entered");
    cr_assert_eq(thing.left, 1);
}

Test(scope, r198_kind_without_an_exit_is_refused)
{
    struct thing thing = {.scope = {&no_exit}};
    bool refused = false;
    int err;

    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        cr_assert_fail("entered");
    else
        refused = err == -EINVAL;
    cr_assert(refused);
    cr_assert_eq(thing.entered, 0);
    cr_assert_eq(lw_scope_exit(&thing.scope, 0), -EINVAL);
    thing.scope.kind = NULL;
    cr_assert_eq(lw_scope_enter(&thing.scope, LW_FOREVER), -EINVAL);
}

static int leave_by(struct thing *thing, int way)
{
    int err;

    for (int i = 0; i < 3; i++) {
        LW_SCOPE(&thing->scope, LW_FOREVER, err) {
            if (way == 0)
                return 1;
            if (way == 1)
                goto out;
            if (way == 2)
                break; /* leaves the scope, not the loop */
            continue;
        }
    }
out:
    return 0;
}

Test(scope, is_left_once_in_each_way)
{
    for (int way = 0; way < 4; way++) {
        struct thing thing = {.scope = {&plain}};

        (void)leave_by(&thing, way);
        cr_assert_eq(thing.entered, way < 2 ? 1 : 3, "way %d", way);
        cr_assert_eq(thing.left, thing.entered, "way %d", way);
    }
}

Test(scope, that_refuses_is_not_left)
{
    struct thing thing = {.scope = {&plain}, .enter_gives = -EBUSY};
    int err;

    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        cr_assert_fail("entered");
    cr_assert_eq(err, -EBUSY);
    cr_assert_eq(thing.left, 0);
}

static int count_up(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int no_suspend(void *arg)
{
    struct thing thing = {.scope = {&plain}};
    static int ran;
    int err;

    (void)arg;
    ran = 0;
    cr_assert_eq(lw_spawn(NULL, count_up, &ran, NULL), 0);
    LW_SCOPE(&thing.scope, LW_FOREVER, err)
        cr_assert_eq(ran, 0);
    cr_assert_eq(ran, 0, "R197: entering or leaving let another task run");
    return err;
}

Test(scope, r197_enter_and_exit_do_not_switch)
{
    run_with(1, no_suspend, NULL);
}

/* ---- blocking kinds */

static int enter_slowly(lw_scope *scope, lw_nsec deadline)
{
    struct thing *thing = (struct thing *)(void *)scope;
    char byte;

    /* Blocks its thread until another task has written: R215 holds, or this never ends. */
    cr_assert_eq(read(thing->pipe[0], &byte, 1), 1);
    return enter(scope, deadline);
}

static const lw_scope_kind slow = {"slow", enter_slowly, leave, true};

static int write_a_byte(void *arg)
{
    struct thing *thing = arg;

    return write(thing->pipe[1], "x", 1) == 1 ? 0 : -EIO;
}

static int on_helpers(void *arg)
{
    struct thing thing = {.scope = {&slow}, .enter_gives = 4, .exit_adds = -1};
    lw_task task;
    int err;

    (void)arg;
    cr_assert_eq(pipe(thing.pipe), 0);
    cr_assert_eq(lw_spawn(&task, write_a_byte, &thing, NULL), 0);
    LW_SCOPE(&thing.scope, LW_FOREVER, err) {
        cr_assert_eq(err, 4, "R214: what enter gave");
        cr_assert_not(pthread_equal(thing.entered_on, pthread_self()), "R213");
        err = -EIO;
    }
    cr_assert_eq(err, -EIO - 1, "R214: what exit made of it");
    cr_assert_eq(thing.left, 1);
    cr_assert_not(pthread_equal(thing.left_on, pthread_self()), "R213");
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    (void)close(thing.pipe[0]);
    (void)close(thing.pipe[1]);
    return 0;
}

Test(scope, r213_to_r215_blocking_kind_runs_on_helpers_and_stops_nobody)
{
    run_with(1, on_helpers, NULL);
    assert_no_leaks();
}

/* A cancel neither cuts the exit short nor is lost by it. */
static int cancelled_body(void *arg)
{
    struct thing *thing = arg;
    int err;

    LW_SCOPE(&thing->scope, LW_FOREVER, err) {
        cr_assert_eq(lw_cancel(lw_self()), 0);
    }
    cr_assert_eq(thing->left, 1);
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return 0;
}

static const lw_scope_kind blocking = {"blocking", enter, leave, true};

Test(scope, blocking_exit_is_not_cancelled)
{
    struct thing thing = {.scope = {&blocking}};

    run_with(1, cancelled_body, &thing);
    run_with(2, cancelled_body, &(struct thing){.scope = {&blocking}});
}

struct offered {
    int value;
    uint32_t ran;
};

static int give_value(void *arg)
{
    struct offered *offered = arg;

    (void)lw_add_acq_rel(&offered->ran, 1);
    return offered->value;
}

static int runner(void *arg)
{
    struct offered offered = {.value = -77};
    int status = 0;

    (void)arg;
    cr_assert_eq(lw_blocking(give_value, &offered, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -77, "R216");
    cr_assert_eq(offered.ran, 1);
    return 0;
}

Test(scope, r216_runner_runs_a_function_with_its_argument)
{
    run_with(1, runner, NULL);
}
