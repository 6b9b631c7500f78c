/* SPDX-License-Identifier: MIT */
/* The laws of lw_locksmith_force(): whom it asks, what it returns, which hooks it calls, and in
 * which order. */
#include <pthread.h>

#include "tests/locksmith/smiths.h"

TestSuite(smith_force, .init = be_alone);

/* ---- what is not touched */

Test(smith_force, r001_results_have_the_seeds_numbers)
{
    cr_assert_eq(LW_FORCE_UNFORCEABLE, 1);
    cr_assert_eq(LW_FORCE_NO_CURRENT_TASK, 2);
    cr_assert_eq(LW_FORCE_OWNER_COMPLETED, 3);
    cr_assert_eq(LW_FORCE_ALREADY_BEING_FORCED, 4);
    cr_assert_eq(LW_FORCE_FAILURE, 5);
    cr_assert_eq(LW_FORCE_RELEASED_WITH_FALSE, 6);
    cr_assert_eq(LW_FORCE_SUCCESS, 7);
    cr_assert_eq(LW_FORCE_RELEASED, 8);
}

Test(smith_force, r002_each_result_has_a_name_of_its_own)
{
    for (int i = LW_FORCE_UNFORCEABLE; i <= LW_FORCE_RELEASED; i++)
        for (int j = LW_FORCE_UNFORCEABLE; j < i; j++)
            cr_assert_str_neq(lw_force_name(i), lw_force_name(j));
    cr_assert_str_eq(lw_force_name(LW_FORCE_UNFORCEABLE), "UNFORCEABLE");
    cr_assert_str_eq(lw_force_name(LW_FORCE_RELEASED), "RELEASED");
    cr_assert_str_eq(lw_force_name(0), "?");
    cr_assert_str_eq(lw_force_name(9), "?");
    cr_assert_str_eq(lw_force_name(-EPERM), "?");
}

Test(smith_force, r093_r094_success_and_released_are_ok_and_nothing_else_is)
{
    for (int i = -10; i <= 20; i++)
        cr_assert_eq(lw_force_ok(i), i == LW_FORCE_SUCCESS || i == LW_FORCE_RELEASED);
    for (int i = -10; i <= 20; i++)
        cr_assert_eq(lw_recognition_ok(i),
                     i == LW_RECOGNITION_SUCCESS || i == LW_RECOGNITION_ALREADY_RECOGNIZED);
}

static int force_a_stranger(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("stranger"), other = LW_MUTEX_INIT("other");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_it};
    struct noted noted;
    uint64_t word;

    (void)arg;
    make_noted(&noted, &other.lock);
    start_owner(&owner);
    word = mutex.lock._word._value;
    cr_assert_eq(lw_locksmith_force(&noted.smith, &mutex.lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 LW_FORCE_UNFORCEABLE, "R003");
    cr_assert_calls(noted, "A");
    cr_assert_eq(mutex.lock._word._value, word);
    cr_assert_eq(lw_owner(&mutex.lock).id, owner.task.id);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(owner.waited, 0, "and nobody heard of it");
    end_noted(&noted);
    return 0;
}

Test(smith_force, r003_a_lock_that_it_does_not_know_stays_as_it_is)
{
    run_all(force_a_stranger, NULL);
}

static int force_a_free_one(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("free");
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    noted.hooks.get_info = note_info;
    cr_assert_eq(lw_locksmith_force(&noted.smith, &mutex.lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 LW_FORCE_UNFORCEABLE, "R004");
    cr_assert_calls(noted, "A");
    cr_assert_not(lw_locked(&mutex.lock));
    end_noted(&noted);
    return 0;
}

Test(smith_force, r004_a_free_lock_needs_no_force)
{
    run_all(force_a_free_one, NULL);
}

/* ---- locks without an owner are released by who forces them */

static int force_plain(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, note_handler, NULL, 0), 0);
    noted.hooks.release_returned_false = note_false;

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_RELEASED, "R012");
    cr_assert_not(lw_locked(lock));
    cr_assert_calls(noted, "A");

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    plain.release_error = 1;
    noted.result = 0;
    cr_assert_eq(force(&noted.smith, lock), 0, "R080: also a 0");
    noted.result = LW_FORCE_FAILURE;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_FAILURE, "R080");
    noted.hooks.release_returned_false = NULL;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_RELEASED_WITH_FALSE, "R010");
    cr_assert_calls(noted, "AAfAfA");
    cr_assert(lw_locked(lock));

    memset(noted.calls, 0, sizeof noted.calls);
    plain.release_error = -EPERM;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_FAILURE, "nobody to ask, and it is taken");
    cr_assert_calls(noted, "AH");
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_force, r010_r012_r080_a_lock_of_nobody_is_released)
{
    run_all(force_plain, NULL);
}

/* A plain thread asks. */
Test(smith_force, r005_r086_nobody_to_ask_and_nobody_asks)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    make_noted(&noted, lock);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    plain.release_error = -EPERM;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_NO_CURRENT_TASK, "R005");
    noted.hooks.throw_fallback = note_throw;
    noted.result = 77;
    cr_assert_eq(force(&noted.smith, lock), 77, "R086");
    noted.result = 0;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_FAILURE, "as if there were no hook");
    cr_assert_calls(noted, "AAtAt");
    end_noted(&noted);
}

static lw_task nobody_at_first(lw_locksmith *smith, lw_lock *lock)
{
    struct noted *noted = smith->data;

    return noted->depth++ == 0 ? (lw_task){0} : lw_owner(lock);
}

static int force_at_a_change(void *lock)
{
    struct noted noted;

    make_noted(&noted, lock);
    noted.hooks.find_owner = nobody_at_first;
    noted.hooks.throw_fallback = note_throw;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_SUCCESS);
    cr_assert_calls(noted, "A");
    end_noted(&noted);
    return 0;
}

static void *force_in_a_thread(void *lock)
{
    (void)force_at_a_change(lock);
    return NULL;
}

static int own_meanwhile(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("mutex");
    pthread_t thread;
    lw_task task;
    int status = 1;

    (void)arg;
    cr_assert_eq(lw_acquire(&mutex.lock, LW_NOW), 0);
    cr_assert_eq(pthread_create(&thread, NULL, force_in_a_thread, &mutex), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(lw_spawn(&task, force_at_a_change, &mutex, NULL), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    return lw_release(&mutex.lock);
}

/* It is let go of and taken by another just before the release that is tried. */
Test(smith_force, what_changes_hands_has_been_let_go_of)
{
    run_all(own_meanwhile, NULL);
}

static int force_my_own(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("mine");
    lw_rlock nested = LW_RLOCK_INIT("nested");
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    cr_assert_eq(lw_acquire(&mutex.lock, LW_NOW), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_RELEASED);
    cr_assert_eq(lw_release(&mutex.lock), -EPERM);
    cr_assert_eq(lw_locksmith_recognize(&noted.smith, &nested.lock, LW_NOW),
                 LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_acquire(&nested.lock, LW_NOW), 0);
    cr_assert_eq(lw_acquire(&nested.lock, LW_NOW), 0);
    cr_assert_eq(force(&noted.smith, &nested.lock), LW_FORCE_RELEASED);
    cr_assert(lw_owned(&nested.lock), "one level, as a release");
    cr_assert_eq(lw_release(&nested.lock), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_force, one_s_own_lock_is_released)
{
    run_all(force_my_own, NULL);
}

static int force_its_own_mutex(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_lock *own = NULL;

    (void)arg;
    cr_assert_eq(lw_locksmith_recognized(&smith, &own, 1), 1);
    cr_assert_eq(force(&smith, own), LW_FORCE_SUCCESS, "it was ours for the look only");
    cr_assert_not(lw_locked(own));
    return 0;
}

Test(smith_force, its_own_mutex_may_be_forced)
{
    run_with(1, force_its_own_mutex, NULL);
}
