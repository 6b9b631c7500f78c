/* SPDX-License-Identifier: MIT */
/* The laws of handlers, of what is done when the owner ends, and of purges. */
#include "tests/locksmith/smiths.h"

#include <unistd.h>

TestSuite(smith_handlers, .init = be_alone);

static int count(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    (void)smith;
    (void)lock;
    ++*(int *)arg;
    return 0;
}

static int count_twice(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    (void)smith;
    (void)lock;
    *(int *)arg += 2;
    return 0;
}

static int refused(void *lock_of)
{
    lw_lock *lock = lock_of;
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    int result;

    cr_assert_eq(lw_locksmith_recognize(&smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    result = force(&smith, lock);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return result == LW_FORCE_FAILURE ? 0 : -1;
}

Test(smith_handlers, r074_to_r077_the_exact_kind_s_handler_is_run)
{
    static int calls;
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    lw_lock_kind derived = plain_kind;

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    plain.release_error = -EPERM;
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, count, &calls, 0), 0);
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, count, &calls, 0), 0, "R077");
    run_with(1, refused, lock);
    cr_assert_eq(calls, 1, "R074");
    lock->kind = &derived;
    run_with(1, refused, lock);
    cr_assert_eq(calls, 1, "R075");
    lock->kind = &plain_kind;
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, count_twice, &calls, 0), -EEXIST, "R076");
    run_with(1, refused, lock);
    cr_assert_eq(calls, 2, "R076: the old one is kept");
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, count_twice, &calls, LW_REPLACE), 0);
    run_with(1, refused, lock);
    cr_assert_eq(calls, 4, "R076");
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    run_with(1, refused, lock);
    cr_assert_eq(calls, 4);
    assert_no_leaks();
}

Test(smith_handlers, r078_only_for_kinds_of_locks)
{
    lw_lock_kind lacking = plain_kind;
    lw_handlers own = {0};
    static int calls;

    lacking.release = NULL;
    cr_assert_eq(lw_handlers_register(&own, NULL, count, &calls, 0), -EINVAL, "R078");
    cr_assert_eq(lw_handlers_register(&own, &lacking, count, &calls, 0), -EINVAL, "R078");
    cr_assert_eq(lw_handlers_register(&own, &plain_kind, NULL, &calls, 0), -EINVAL);
    cr_assert_eq(lw_handlers_register(&own, &plain_kind, count, &calls, LW_STRICT), -EINVAL);
    cr_assert_null(own._first);
    sys_watch();
    sys_fail(SYS_CALLOC, 1, false);
    cr_assert_eq(lw_handlers_register(&own, &plain_kind, count, &calls, 0), -ENOMEM);
    sys_fail(SYS_CALLOC, 0, false);
    cr_assert_null(own._first);
}

static int with_its_own_table(void *arg)
{
    static int of_all, of_one;
    lw_handlers own = {0};
    const lw_locksmith_hooks hooks = {.handlers = &own};
    lw_locksmith with = LW_LOCKSMITH_INIT(&hooks, NULL), without = LW_LOCKSMITH_INIT(NULL, NULL);
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;

    (void)arg;
    of_all = of_one = 0;
    plain.release_error = -EPERM;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_locksmith_recognize(&with, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_locksmith_recognize(&without, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, count, &of_all, 0), 0);
    cr_assert_eq(force(&without, lock), LW_FORCE_FAILURE);
    cr_assert_eq(of_all, 1, "R091, R016");
    cr_assert_eq(force(&with, lock), LW_FORCE_FAILURE);
    cr_assert_eq(of_all, 1, "R091: it has its own");
    cr_assert_eq(lw_handlers_register(&own, &plain_kind, count, &of_one, 0), 0);
    cr_assert_eq(force(&with, lock), LW_FORCE_FAILURE);
    cr_assert(of_all == 1 && of_one == 1, "R091");
    cr_assert_eq(lw_handlers_register(&own, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    cr_assert_eq(lw_locksmith_fini(&with), 0);
    cr_assert_eq(lw_locksmith_fini(&without), 0);
    return 0;
}

Test(smith_handlers, r091_the_process_s_table_or_one_s_own)
{
    run_all(with_its_own_table, NULL);
}

/* A handler may see to it that the lock is free. */
static int make_free(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    struct plain *plain = plain_of(lock);

    (void)smith;
    (void)arg;
    plain->release_error = 0;
    return lw_release(lock);
}

static int handler_helps(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;

    (void)arg;
    cr_assert_eq(lw_locksmith_recognize(&smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, make_free, NULL, 0), 0);
    plain.release_error = -EPERM;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(force(&smith, lock), LW_FORCE_SUCCESS);
    cr_assert_not(lw_locked(lock));
    cr_assert_eq(lw_handlers_register(NULL, &plain_kind, NULL, NULL, LW_REPLACE), 0);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_handlers, what_a_handler_does_counts)
{
    run_all(handler_helps, NULL);
}

/* ---- critical errors */

static int end_critically(struct owner *owner)
{
    (void)owner;
    return -ESHUTDOWN;
}

static int answer_critical(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = end_critically};
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    noted.hooks.task_raised_critical = note_critical;
    noted.result = LW_FORCE_FAILURE;
    start_owner(&owner);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_FAILURE, "R008");
    cr_assert_calls(noted, "Ac");
    cr_assert_eq(noted.err, -ESHUTDOWN, "R081");
    cr_assert_eq(end_owner(&owner), -ESHUTDOWN);
    end_noted(&noted);
    return 0;
}

Test(smith_handlers, r008_r081_a_critical_error_goes_to_its_hook)
{
    run_all(answer_critical, NULL);
}

/* One worker, and somebody who always runs when there is a switch. */
static int turns, seen_turns, over;

static int take_turns(void *arg)
{
    (void)arg;
    while (!lw_load_rlx(&over)) {
        lw_add_rlx(&turns, 1);
        lw_yield();
    }
    return 0;
}

static int acquire_and_look(lw_lock *lock, lw_nsec deadline)
{
    int err = lw_mutex_acquire((lw_mutex *)lock, deadline);

    lw_store_rlx(&seen_turns, lw_load_rlx(&turns));
    return err;
}

static int mutex_release(lw_lock *lock)
{
    return lw_mutex_release((lw_mutex *)lock);
}

static bool mutex_locked(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)lock);
}

static const lw_lock_kind looking_kind = {.name = "looking",
                                          .acquire = acquire_and_look,
                                          .release = mutex_release,
                                          .locked = mutex_locked};

static int look_at_turns(lw_locksmith *smith, lw_lock *lock, int err)
{
    cr_assert_eq(lw_load_rlx(&seen_turns), lw_load_rlx(&turns),
                 "R082: nobody has run since it was found");
    return note_critical(smith, lock, err);
}

static int without_a_switch(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = end_critically};
    struct noted noted;
    lw_task other;

    (void)arg;
    mutex.lock.kind = &looking_kind;
    make_noted(&noted, &mutex.lock);
    noted.hooks.task_raised_critical = look_at_turns;
    noted.result = LW_FORCE_FAILURE;
    start_owner(&owner);
    cr_assert_eq(lw_spawn(&other, take_turns, NULL, NULL), 0);
    AWAIT(lw_load_rlx(&turns) > 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_FAILURE);
    cr_assert_calls(noted, "Ac");
    lw_store_rlx(&over, 1);
    cr_assert_eq(lw_join(other, NULL, LW_FOREVER), 0);
    cr_assert_eq(end_owner(&owner), -ESHUTDOWN);
    end_noted(&noted);
    return 0;
}

Test(smith_handlers, r082_a_critical_error_is_told_at_once)
{
    run_with(1, without_a_switch, NULL);
}

/* ---- what is said on standard error */

static int end_with(struct owner *owner)
{
    return (int)owner->value;
}

static int end_so(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = end_with, .value = *(int *)arg};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    if (lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW) != LW_RECOGNITION_SUCCESS)
        return -1;
    start_owner(&owner);
    if (force(&smith, &mutex.lock) != LW_FORCE_FAILURE)
        return -2;
    (void)end_owner(&owner);
    return lw_locksmith_fini(&smith);
}

/* What is said on standard error while fn runs. */
static void hear(lw_fn *fn, void *arg, char *heard, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t length;

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    run_with(1, fn, arg);
    cr_assert_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    cr_assert_eq(close(ends[1]), 0);
    length = read(ends[0], heard, size - 1);
    heard[length > 0 ? length : 0] = '\0';
    cr_assert_eq(close(ends[0]), 0);
    cr_assert_eq(close(saved), 0);
}

Test(smith_handlers, r084_r085_errors_of_owners_are_said_but_those_of_misuse)
{
    static const struct {
        int status;
        const char *text;
    } said[] = {
        {-EIO, "latchwork: mutex 'held': its owner was asked to let go of it, and ended with the "
               "error 5\n"},
        {-EDEADLK, "latchwork: mutex 'held': its owner was asked to let go of it, and ended by "
                   "that without an answer\n"},
        {-EINVAL, ""},
        {-EPERM, ""},
    };
    lw_detector_options off = {.mode = LW_DETECTOR_OFF};

    cr_assert_eq(lw_detector_set(&off), 0, "it would tell of the lock that is left behind");
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        char heard[512] = "";
        int status = said[i].status;

        hear(end_so, &status, heard, sizeof heard);
        cr_assert_str_eq(heard, said[i].text, "R084: %zu", i);
    }
}

/* ---- all hooks at once */

static const lw_locksmith_hooks all = {.audit = note_audit,
                                       .get_info = note_info,
                                       .throw_fallback = note_throw,
                                       .eager_fallback = note_eager,
                                       .already_forcing = note_already,
                                       .release_returned_false = note_false,
                                       .answer_received = note_answer,
                                       .lock_busy = note_busy,
                                       .task_propagated_request = note_propagated,
                                       .task_raised_critical = note_critical,
                                       .task_raised_other = note_other,
                                       .purge_waiters = note_purge};

static int hooks_replace_nothing(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted noted;

    (void)arg;
    make_noted(&noted, lock);
    noted.hooks = all;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_locksmith_force(&noted.smith, lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 LW_FORCE_RELEASED, "R041: whatever is overridden, it is forced");
    cr_assert_eq(plain.releases, 1, "R041");
    cr_assert_calls(noted, "AIP");
    end_noted(&noted);
    return 0;
}

Test(smith_handlers, r041_the_force_itself_is_no_hook)
{
    run_all(hooks_replace_nothing, NULL);
}

/* ---- purge */

struct waiter {
    lw_lock *lock;
    int err;
    lw_task task;
};

static int wait_for_lock(void *arg)
{
    struct waiter *waiter = arg;

    waiter->err = lw_acquire(waiter->lock, LW_FOREVER);
    return waiter->err == 0 ? lw_release(waiter->lock) : 0;
}

static void start_waiters(struct waiter *waiters, int number, lw_lock *lock)
{
    for (int i = 0; i < number; i++) {
        waiters[i].lock = lock;
        cr_assert_eq(lw_spawn(&waiters[i].task, wait_for_lock, &waiters[i], NULL), 0);
        AWAIT(is_waiting(waiters[i].task));
    }
}

/* The hand-over gives it to the first of them, who keeps it. */
static int purge_them(void *arg)
{
    lw_priority_lock ranked = LW_PRIORITY_LOCK_INIT("held");
    lw_lock *lock = &ranked.lock;
    struct owner owner = {.lock = lock, .when_asked = release_it};
    struct waiter waiters[3] = {{0}};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    cr_assert_eq(lw_purge_waiters(lock), 0, "R065: none");
    cr_assert_eq(lw_locksmith_recognize(&smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    start_waiters(waiters, 3, lock);
    cr_assert_eq(lw_locksmith_force(&smith, lock, NULL, LW_PURGE_WAITERS, LW_FOREVER),
                 LW_FORCE_SUCCESS);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_join(waiters[i].task, NULL, LW_FOREVER), 0);
    cr_assert_eq(waiters[0].err, 0, "R064");
    cr_assert(waiters[1].err == -EPIPE || waiters[1].err == 0, "R063");
    cr_assert(waiters[2].err == -EPIPE || waiters[2].err == 0, "R063");
    cr_assert_null(lock->_queue, "R063");
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0, "R066");
    cr_assert_eq(lw_release(lock), 0, "R066");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

/* Nothing is released: all are sent away. */
static int purge_all(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    struct waiter waiters[3] = {{0}};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    start_waiters(waiters, 3, &mutex.lock);
    cr_assert_eq(force_for_a_while(&smith, &mutex.lock), LW_FORCE_FAILURE);
    for (int i = 0; i < 3; i++)
        cr_assert(is_waiting(waiters[i].task), "R035: not purged without being told to");
    cr_assert_eq(lw_locksmith_force(&smith, &mutex.lock, NULL, LW_PURGE_WAITERS, lw_in(LW_MS)),
                 LW_FORCE_FAILURE);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(lw_join(waiters[i].task, NULL, LW_FOREVER), 0);
        cr_assert_eq(waiters[i].err, -EPIPE, "R063");
    }
    cr_assert_null(mutex.lock._queue, "R063");
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_acquire(&mutex.lock, LW_NOW), 0, "R066");
    cr_assert_eq(lw_release(&mutex.lock), 0, "R066");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_handlers, r063_to_r066_purged_waits_end_and_a_grant_stays)
{
    run_all(purge_them, NULL);
    run_all(purge_all, NULL);
}

/* ---- who has let go of it, by force, is as any other */

static int release_twice(struct owner *owner)
{
    cr_assert_eq(lw_release(owner->lock), 0);
    AWAIT(lw_owner(owner->lock).id != 0 && lw_owner(owner->lock).id != lw_self().id);
    cr_assert_eq(lw_release(owner->lock), -EPERM, "R039");
    return 0;
}

static int late_release(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_twice};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cr_assert_eq(force(&smith, &mutex.lock), LW_FORCE_SUCCESS);
    cr_assert_eq(lw_acquire(&mutex.lock, LW_FOREVER), 0);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert(lw_owned(&mutex.lock), "R039");
    cr_assert_eq(lw_release(&mutex.lock), 0);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_handlers, r039_a_late_release_changes_nothing)
{
    run_all(late_release, NULL);
}
