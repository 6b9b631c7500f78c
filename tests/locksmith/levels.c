/* SPDX-License-Identifier: MIT */
/* The laws of which levels there are, and of the last of them: a task is ended, the process is
 * aborted, each only if it is allowed.  Owners who are asked: asked.c.  The scenarios are named in
 * the tests. */
#include "tests/locksmith/levels.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(levels, .init = hear);

Test(levels, those_that_there_are_may_be_allowed)
{
    lw_detector_options options = at_first;

    for (unsigned level = 0; level < 32; level++) {
        bool is = level <= 9 && level != 4 && level != 5;

        options.levels = LW_LEVEL(level);
        cr_assert_eq(lw_detector_set(&options), is ? 0 : -EINVAL, "%u", level);
    }
}

/* ---- level 8 */

static int results[2];

static int take_and_keep_on(void *arg)
{
    struct circle *circle = &circles[0];
    int index = (int)(intptr_t)arg, err;

    take_own(circle, index);
    do
        err = lw_mutex_acquire(&circle->mutexes[1 - index], LW_FOREVER);
    while (err == -EDEADLK); /* it does not let go of what it has */
    results[index] = err;
    if (err == 0)
        cr_assert_eq(lw_mutex_release(&circle->mutexes[1 - index]), 0);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[index]), 0);
    return 0;
}

static void *take_and_keep_on_as_thread(void *arg)
{
    (void)take_and_keep_on(arg);
    return NULL;
}

/* One task of two is ended, or the one task there is. */
static void end_one(int threads)
{
    lw_task tasks[2];
    pthread_t thread;

    for (intptr_t i = 0; i < 2 - threads; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_and_keep_on, (void *)i, NULL), 0);
    if (threads != 0)
        cr_assert_eq(pthread_create(&thread, NULL, take_and_keep_on_as_thread, (void *)1), 0);
    for (int i = 0; i < 2 - threads; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    if (threads != 0)
        cr_assert_eq(pthread_join(thread, NULL), 0);
    AWAIT(last_level(0) == 8);
    cr_assert_eq(heard.victim < heard.members, true);
    cr_assert_eq((results[0] == -ECANCELED) + (results[1] == -ECANCELED), 1);
    cr_assert_eq((results[0] == 0) + (results[1] == 0), 1);
    cr_assert(threads == 0 || results[0] == -ECANCELED, "a plain thread is nobody's to end");
}

static int end_without_more(void *arg)
{
    uint64_t before = forced(8);

    (void)arg;
    for (int threads = 0; threads <= 1; threads++) {
        allow(LW_LEVEL(0) | LW_LEVEL(8), 0);
        end_one(threads);
        assert_step(0, 0, 8, "cancelled");
        cr_assert_eq(told_times(0), 1);
    }
    cr_assert_eq(forced(8) - before, 2);
    return 0;
}

Test(levels, a_task_is_ended_if_that_is_allowed)
{
    run_all(end_without_more, NULL);
}

/* S59: each gives way, and never lets go. */
static int end_who_does_not_let_go(void *arg)
{
    uint64_t failed = forced(2), before = forced(8);

    (void)arg;
    allow(LW_LEVELS_DEFAULT | LW_LEVEL(8), 0);
    end_one(0);
    cr_assert_eq(forced(8) - before, 1);
    cr_assert_leq(forced(2) - failed, 2 * 16 + 2, "the rounds are bounded");
    cr_assert_geq(forced(2) - failed, 16, "it had its chances");
    return 0;
}

Test(levels, s59_who_gives_way_and_never_lets_go_is_ended)
{
    run_all(end_who_does_not_let_go, NULL);
}

/* ---- level 9 */

static int said = -1;

static void check_what_was_said(int number)
{
    char text[4096] = {0};

    (void)number;
    if (pread(said, text, sizeof text - 1, 0) <= 0 || strstr(text, "DEADLOCK of 2") == NULL ||
        strstr(text, "level 9: the process is aborted") == NULL || told_times(0) != 1)
        _exit(3);
    (void)signal(SIGABRT, SIG_DFL); /* and abort(3) goes on */
}

static int abort_it(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    allow(LW_LEVEL(0) | LW_LEVEL(9), 0);
    said = memfd_create("said", 0);
    cr_assert_geq(said, 0);
    cr_assert_eq(dup2(said, STDERR_FILENO), STDERR_FILENO);
    (void)signal(SIGABRT, check_what_was_said);
    for (intptr_t i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_and_keep_on, (void *)i, NULL), 0);
    for (int i = 0; i < 2; i++)
        (void)!lw_join(tasks[i], NULL, LW_FOREVER);
    return 0;
}

Test(levels, the_process_is_aborted_if_that_is_allowed, .signal = SIGABRT)
{
    run_all(abort_it, NULL);
}
