/* SPDX-License-Identifier: MIT */
/* The laws of plain threads that are asked for what they have, and that ask; and of a child, in
 * which all other threads are missing: nobody is asked there. */
#include "tests/locksmith/smiths.h"

#include <pthread.h>

TestSuite(smith_threads, .init = be_alone);

/* ---- plain threads are asked, and ask, as tasks do */

static void *own_as_a_thread(void *arg)
{
    struct owner *owner = arg;

    cr_assert_eq(own_it(owner), 0);
    return NULL;
}

static void *force_as_a_thread(void *arg)
{
    struct noted *noted = arg;

    cr_assert_eq(force(&noted->smith, (lw_lock *)(uintptr_t)noted->lock), LW_FORCE_SUCCESS);
    return NULL;
}

static int (*const thread_ways[])(struct owner *) = {release_it, NULL};

Test(smith_threads, plain_threads_are_asked_and_ask)
{
    for (int i = 0; i < 20; i++) {
        lw_mutex mutex = LW_MUTEX_INIT("held");
        struct owner owner = {.lock = &mutex.lock, .when_asked = thread_ways[i % 2]};
        struct noted noted;
        pthread_t holder, forcer;

        make_noted(&noted, &mutex.lock);
        noted.lock = &mutex.lock;
        cr_assert_eq(pthread_create(&holder, NULL, own_as_a_thread, &owner), 0);
        cr_assert_eq(lw_event_wait(&owner.holds, LW_FOREVER), 0);
        cr_assert_eq(pthread_create(&forcer, NULL, force_as_a_thread, &noted), 0);
        cr_assert_eq(pthread_join(forcer, NULL), 0);
        cr_assert_eq(pthread_join(holder, NULL), 0);
        cr_assert_eq(owner.waited, -EDEADLK);
        cr_assert_calls(noted, "AR");
        end_noted(&noted);
    }
}

/* A thread that ends is an owner that has ended, with 0. */
static void *end_with_the_lock(void *arg)
{
    struct owner *owner = arg;

    cr_assert_eq(lw_acquire(owner->lock, LW_FOREVER), 0);
    lw_event_set(&owner->holds);
    cr_assert_eq(lw_event_wait(&owner->let_go, LW_FOREVER), -EDEADLK);
    return NULL;
}

Test(smith_threads, r006_a_plain_thread_that_ends)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock};
    struct noted noted;
    pthread_t holder;

    make_noted(&noted, &mutex.lock);
    cr_assert_eq(pthread_create(&holder, NULL, end_with_the_lock, &owner), 0);
    cr_assert_eq(lw_event_wait(&owner.holds, LW_FOREVER), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_OWNER_COMPLETED);
    cr_assert_eq(pthread_join(holder, NULL), 0);
    end_noted(&noted);
}

/* ---- after fork */

static int in_the_child(void *arg)
{
    struct noted *noted = arg;
    lw_lock *lock = (lw_lock *)(uintptr_t)noted->lock;
    lw_force_request asked = {0};
    int status;

    if (lw_force_pending(&asked) || lw_force_answer(&asked, LW_ANSWER_REFUSED, 0) != -ECHILD)
        return 1;
    if (force(&noted->smith, lock) != -ECHILD)
        return 2;
    if (lw_locksmith_host(&noted->smith, lock, in_the_child, noted, &status, NULL, LW_FOREVER) !=
        -ECHILD)
        return 3;
    if (lw_locksmith_recognize(&noted->smith, lock, LW_FOREVER) != -ECHILD ||
        lw_locksmith_forget(&noted->smith, lock) != -ECHILD ||
        lw_locksmith_fini(&noted->smith) != -ECHILD)
        return 4;
    if (lw_handlers_register(NULL, &plain_kind, note_handler, NULL, 0) != -ECHILD)
        return 5;
    return lw_locksmith_recognized(&noted->smith, NULL, 0) == 1 ? 0 : 6;
}

static int fork_a_child(void *arg)
{
    char heard[256] = "";
    int how = run_in_child(in_the_child, arg, heard, sizeof heard);

    cr_assert_eq(how, 0, "%d: %s", how, heard);
    return 0;
}

Test(smith_threads, after_fork_all_say_so)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct noted noted;

    make_noted(&noted, &mutex.lock);
    noted.lock = &mutex.lock;
    run_with(2, fork_a_child, &noted);
    end_noted(&noted);
}
