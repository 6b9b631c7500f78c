/* SPDX-License-Identifier: MIT */
/* The laws of a locksmith's hooks and handlers: what each is asked, when, and what its answer
 * does. */
#include "tests/locksmith/smiths.h"

#include <stdio.h>

TestSuite(smith_hooks, .init = be_alone);

/* ---- before anything is done */

static int veto(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'A');
    return -EACCES;
}

static int audit_refuses(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    noted.hooks.audit = veto;
    noted.hooks.get_info = note_info;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_locksmith_force(&noted.smith, lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 -EACCES, "R029");
    cr_assert_calls(noted, "A");
    cr_assert_eq(noted.lock, lock, "R029");
    cr_assert(lw_locked(lock));
    cr_assert_eq(plain.releases, 0);
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r029_audit_comes_first_and_may_refuse)
{
    run_all(audit_refuses, NULL);
}

static int info_is_asked(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    noted.hooks.get_info = note_info;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_locksmith_force(&noted.smith, lock, NULL, LW_INFO_GIVEN, LW_FOREVER),
                 LW_FORCE_RELEASED);
    cr_assert_calls(noted, "A"); /* R030: it was given */
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_RELEASED);
    cr_assert_calls(noted, "AAI"); /* R030 */
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    noted.err = -ENODATA;
    cr_assert_eq(lw_locksmith_force(&noted.smith, lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 -ENODATA, "R036");
    cr_assert_calls(noted, "AAIAI"); /* R036: no purge */
    cr_assert_eq(plain.releases, 2, "R036");
    cr_assert_eq(lw_locksmith_force(&noted.smith, lock, NULL, 1, LW_FOREVER), -EINVAL);
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r030_r036_info_is_got_once_unless_it_is_given)
{
    run_all(info_is_asked, NULL);
}

static int note_text(struct owner *owner)
{
    char address[32];

    (void)snprintf(address, sizeof address, "%p", (void *)owner->lock);
    cr_assert_not_null(strstr(owner->asked.info, "mutex"), "R042: %s",
                       (const char *)owner->asked.info);
    cr_assert_not_null(strstr(owner->asked.info, "held"));
    cr_assert_not_null(strstr(owner->asked.info, address), "R042");
    return release_it(owner);
}

static int default_info(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = note_text};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cr_assert_eq(force(&smith, &mutex.lock), LW_FORCE_SUCCESS);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_hooks, r042_by_default_the_owner_reads_kind_name_and_address)
{
    run_all(default_info, NULL);
}

/* ---- may it be forced */

static bool never(lw_locksmith *smith, lw_lock *lock)
{
    lw_lock *own = NULL;

    note(smith, lock, 'm');
    (void)lw_locksmith_recognized(smith, &own, 1);
    cr_assert(lw_owned(own), "R025: with the mutex");
    cr_assert_eq(lw_locksmith_recognize(smith, lock, LW_FOREVER), -EDEADLK, "R025");
    cr_assert_eq(lw_locksmith_force(smith, lock, NULL, 0, LW_FOREVER), -EDEADLK, "R025");
    return false;
}

static int may_not(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_UNFORCEABLE, "R024: it is free");
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    noted.hooks.audit = NULL;
    noted.hooks.can_force = never;
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_UNFORCEABLE, "R025");
    cr_assert_calls(noted, "Am");
    noted.hooks.can_force = NULL;
    cr_assert_eq(lw_locksmith_forget(&noted.smith, lock), 0);
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_UNFORCEABLE, "R024: it is not known");
    cr_assert_eq(lw_locksmith_recognize(&noted.smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(force(&noted.smith, lock), LW_FORCE_RELEASED, "R024");
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r024_r025_can_force_is_asked_with_the_mutex_held)
{
    run_all(may_not, NULL);
}

/* ---- who is asked */

static lw_task another;

static lw_task find_another(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return another;
}

static int redirect(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held"), other = LW_MUTEX_INIT("other");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_it},
                 asked = {.lock = &other.lock, .when_asked = hold_on};
    struct plain plain = make_plain();
    struct noted noted;

    (void)arg;
    cr_assert_eq(lw_owner(&plain.semaphore.lock).id, 0, "R027");
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    start_owner(&asked);
    cr_assert_eq(lw_owner(&mutex.lock).id, owner.task.id, "R027");
    another = asked.task;
    noted.hooks.find_owner = find_another;
    cr_assert_eq(force_for_a_while(&noted.smith, &mutex.lock), LW_FORCE_FAILURE);
    cr_assert_eq(end_owner(&asked), 0);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(asked.waited, -EDEADLK, "R028");
    cr_assert_eq(asked.asked.lock, &mutex.lock, "R028");
    cr_assert_eq(owner.waited, 0, "R028");
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r027_r028_find_owner_says_who_is_asked)
{
    run_all(redirect, NULL);
}

/* ---- purge */

static int failing_handler(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    note(smith, lock, 'H');
    return (int)(intptr_t)arg;
}

static int purge_it(lw_locksmith *smith, lw_lock *lock)
{
    return lw_locksmith_force(smith, lock, NULL, LW_PURGE_WAITERS, lw_in(LW_MS));
}

static int purge_comes_last(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    lw_handlers handlers = {0};
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    noted.hooks.handlers = &handlers;
    noted.hooks.eager_fallback = note_eager;
    cr_assert_eq(lw_handlers_register(&handlers, &plain_kind, failing_handler,
                                      (void *)(intptr_t)-EIO, 0), 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(purge_it(&noted.smith, lock), LW_FORCE_RELEASED);
    cr_assert_calls(noted, "AP"); /* R035 */
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    plain.release_error = -ESHUTDOWN;
    cr_assert_eq(purge_it(&noted.smith, lock), -ESHUTDOWN, "R037");
    cr_assert_calls(noted, "APAP"); /* R037 */
    plain.release_error = -EPERM;
    cr_assert_eq(purge_it(&noted.smith, lock), -EIO, "R079");
    cr_assert_calls(noted, "APAPAHP"); /* R035: also then */
    cr_assert_eq(force(&noted.smith, lock), -EIO);
    cr_assert_calls(noted, "APAPAHPAH"); /* R035: not without being told */
    cr_assert_eq(lw_handlers_register(&handlers, &plain_kind, failing_handler,
                                      (void *)(intptr_t)-ENOTRECOVERABLE, LW_REPLACE), 0);
    cr_assert_eq(force(&noted.smith, lock), -ENOTRECOVERABLE, "R079");

    memset(noted.calls, 0, sizeof noted.calls);
    cr_assert_eq(lw_locksmith_recognize(&noted.smith, &mutex.lock, LW_NOW),
                 LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cr_assert_eq(purge_it(&noted.smith, &mutex.lock), LW_FORCE_FAILURE);
    cr_assert_calls(noted, "AP"); /* R035 */
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_handlers_register(&handlers, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r035_r037_r079_purge_comes_last_whatever_there_was)
{
    run_all(purge_comes_last, NULL);
}

/* ---- cancel */

static int slow_release(lw_lock *lock)
{
    (void)lock;
    return lw_sleep(LW_FOREVER);
}

static const lw_lock_kind slow_kind = {
    .name = "slow", .acquire = plain_acquire, .release = slow_release, .locked = plain_locked};

struct victim {
    lw_locksmith *smith;
    lw_lock *lock;
};

static int force_and_purge(void *arg)
{
    struct victim *victim = arg;

    return lw_locksmith_force(victim->smith, victim->lock, NULL, LW_PURGE_WAITERS, LW_FOREVER);
}

static void cancel_a_force(lw_locksmith *smith, lw_lock *lock)
{
    struct victim victim = {smith, lock};
    lw_task task;
    int status = 0;

    cr_assert_eq(lw_spawn(&task, force_and_purge, &victim, NULL), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED, "R038");
}

static int cancel_it(void *arg)
{
    struct plain plain = make_plain();
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    struct noted noted;

    (void)arg;
    plain.semaphore.lock.kind = &slow_kind;
    make_noted(&noted, &plain.semaphore.lock);
    cr_assert_eq(lw_acquire(&plain.semaphore.lock, LW_NOW), 0);
    cancel_a_force(&noted.smith, &plain.semaphore.lock);
    cr_assert_calls(noted, "AP");

    cr_assert_eq(lw_locksmith_recognize(&noted.smith, &mutex.lock, LW_NOW),
                 LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cancel_a_force(&noted.smith, &mutex.lock);
    cr_assert_calls(noted, "APAP");
    cr_assert_eq(lw_owner(&mutex.lock).id, owner.task.id);
    cr_assert_not(lw_force_pending(&owner.asked));
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_UNFORCEABLE, "nobody forces it now");
    end_noted(&noted);
    return 0;
}

Test(smith_hooks, r038_a_cancel_ends_a_force)
{
    run_all(cancel_it, NULL);
}
