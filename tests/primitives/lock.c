/* SPDX-License-Identifier: MIT */
/* The laws of the protocol: kinds, scopes, and owners that end. */
#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

TestSuite(lock, .init = watchdog);

Test(lock, layouts_are_what_programs_were_compiled_with)
{
    cr_assert_eq(sizeof(lw_lock), 40);
    cr_assert_eq(sizeof(lw_mutex), 40);
    cr_assert_eq(sizeof(lw_semaphore), 40);
    cr_assert_eq(offsetof(lw_lock, kind), 0);
    cr_assert_eq(offsetof(lw_lock, _word), 24);
    cr_assert_eq(sizeof(lw_waitable), 32);
}

/* ---- static objects */

static lw_mutex static_mutex = LW_MUTEX_INIT("static");
static lw_mutex zero_mutex;
static lw_semaphore static_semaphore = LW_SEMAPHORE_INIT("static", 1);

static int use_statics(void *arg)
{
    lw_lock *locks[] = {&static_mutex.lock, &zero_mutex.lock, &static_semaphore.lock};

    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        cr_assert_not(lw_locked(locks[i]));
        cr_assert_eq(lw_acquire(locks[i], LW_FOREVER), 0);
        cr_assert(lw_locked(locks[i]));
        cr_assert_lt(lw_acquire(locks[i], LW_NOW), 0);
        cr_assert_eq(lw_owned(locks[i]), i != 2);
        cr_assert_eq(lw_release(locks[i]), 0);
        cr_assert_not(lw_locked(locks[i]));
        cr_assert_not(lw_owned(locks[i]));
    }
    return 0;
}

Test(lock, static_ones_need_no_init)
{
    run_all(use_statics, NULL);
    (void)use_statics(NULL);
}

/* ---- kinds */

struct counted {
    lw_mutex mutex;
    int acquired, released;
};

static int counted_acquire(lw_lock *lock, lw_nsec deadline)
{
    int err = lw_mutex_acquire((lw_mutex *)lock, deadline);

    ((struct counted *)lock)->acquired += err == 0;
    return err;
}

static int counted_release(lw_lock *lock)
{
    ((struct counted *)lock)->released++;
    return lw_mutex_release((lw_mutex *)lock);
}

static bool counted_locked(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)lock);
}

static const lw_lock_kind counted_kind = {.name = "counted",
                                          .acquire = counted_acquire,
                                          .release = counted_release,
                                          .locked = counted_locked};

static int use_counted(void *arg)
{
    struct counted lock = {.mutex.lock.kind = &counted_kind};
    int err;

    (void)arg;
    LW_WITH(&lock.mutex.lock, LW_FOREVER, err) {
        cr_assert(lw_owned(&lock.mutex.lock));
        cr_assert(lw_locked(&lock.mutex.lock));
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(lock.acquired, 1);
    cr_assert_eq(lock.released, 1);
    return 0;
}

Test(lock, a_kind_of_the_users_is_asked)
{
    run_with(1, use_counted, NULL);
}

static int use_incomplete(void *arg)
{
    lw_lock_kind kinds[3] = {counted_kind, counted_kind, counted_kind};

    (void)arg;
    kinds[0].acquire = NULL;
    kinds[1].release = NULL;
    kinds[2].locked = NULL;
    for (int i = 0; i < 3; i++) {
        struct counted lock = {.mutex.lock.kind = &kinds[i]};

        cr_assert_eq(lw_acquire(&lock.mutex.lock, LW_FOREVER), -EINVAL, "R224");
        cr_assert_eq(lw_release(&lock.mutex.lock), -EINVAL);
        cr_assert_not(lw_locked(&lock.mutex.lock));
        cr_assert_eq(lock.acquired + lock.released, 0);
    }
    return 0;
}

Test(lock, a_kind_that_lacks_a_function_is_refused)
{
    run_with(1, use_incomplete, NULL);
}

/* ---- scopes */

static int return_from_scope(lw_lock *lock)
{
    int err;

    LW_WITH(lock, LW_FOREVER, err) {
        return lw_owned(lock) ? 7 : -1;
    }
    return err;
}

static int leave_scopes(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("scope"), inner = LW_MUTEX_INIT("inner");
    int err = 1, runs = 0;

    (void)arg;
    cr_assert_eq(return_from_scope(&mutex.lock), 7);
    cr_assert_not(lw_locked(&mutex.lock));
    for (int i = 0; i < 3; i++) {
        LW_WITH(&mutex.lock, LW_FOREVER, err) {
            runs++;
            if (i == 1)
                break; /* leaves the scope, not the loop */
            err = 5;
        }
        cr_assert_not(lw_locked(&mutex.lock));
        cr_assert_eq(err, i == 1 ? 0 : 5);
    }
    cr_assert_eq(runs, 3);
    LW_WITH(&mutex.lock, LW_FOREVER, err)
        LW_WITH(&inner.lock, LW_FOREVER, err) {
            cr_assert(lw_owned(&mutex.lock) && lw_owned(&inner.lock));
            goto out;
        }
    cr_assert_fail("goto went nowhere");
out:
    cr_assert_not(lw_locked(&mutex.lock) || lw_locked(&inner.lock));
    return 0;
}

Test(lock, a_scope_releases_however_it_is_left)
{
    run_all(leave_scopes, NULL);
    (void)leave_scopes(NULL);
}

static int skip_scope(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("scope");
    bool ran = false, skipped = false;
    int err;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    LW_WITH(&mutex.lock, LW_NOW, err) {
        ran = true;
    } else {
        skipped = true;
    }
    cr_assert(skipped && !ran, "R218");
    cr_assert_eq(err, -ETIMEDOUT);
    cr_assert(lw_owned(&mutex.lock), "R218: release was not called");
    return lw_mutex_release(&mutex);
}

Test(lock, a_scope_that_did_not_get_the_lock_runs_else)
{
    run_with(1, skip_scope, NULL);
}

static int wait_shielded(void *arg)
{
    lw_mutex *mutex = arg;
    int err = 1;

    LW_SHIELD()
        LW_WITH(&mutex->lock, LW_FOREVER, err) {
            cr_assert_eq(lw_checkpoint(), 0);
            break;
        }
    cr_assert_eq(err, 0);
    return lw_checkpoint(); /* what the shield kept */
}

static int cancel_shielded(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT(NULL);
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    task = start_waiter(wait_shielded, &mutex);
    cr_assert_eq(lw_cancel(task), 0);
    lw_yield();
    cr_assert(is_waiting(task));
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(join_status(task), -ECANCELED);
    cr_assert_not(lw_mutex_locked(&mutex));
    return 0;
}

Test(lock, in_a_shield_the_section_happens_and_the_cancel_comes_after)
{
    run_all(cancel_shielded, NULL);
}

/* ---- owners that end */

struct left {
    lw_mutex mutex;
    bool waited_for;
    int repaired, repair_result;
};

static int end_holding(void *arg)
{
    struct left *left = arg;

    cr_assert_eq(lw_mutex_acquire(&left->mutex, LW_FOREVER), 0);
    AWAIT(__atomic_load_n(&left->waited_for, __ATOMIC_ACQUIRE));
    return 0;
}

static int wait_for_left(void *arg)
{
    struct left *left = arg;
    int err = lw_mutex_acquire(&left->mutex, LW_FOREVER);

    return err < 0 ? err : lw_mutex_release(&left->mutex);
}

/* The task ends while it holds and two wait: what they get, and what comes after. */
static void leave(struct left *left, int expected)
{
    lw_task owner, waiters[2];

    cr_assert_eq(lw_spawn(&owner, end_holding, left, NULL), 0);
    AWAIT(lw_mutex_locked(&left->mutex));
    cr_assert_eq(lw_owner(&left->mutex.lock).id, owner.id);
    for (int i = 0; i < 2; i++)
        waiters[i] = start_waiter(wait_for_left, left);
    __atomic_store_n(&left->waited_for, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(waiters[i]), expected);
    cr_assert_eq(join_status(owner), 0);
    for (int i = 0; i < 2; i++) {
        int err = lw_mutex_acquire(&left->mutex, i == 0 ? LW_FOREVER : LW_NOW);

        cr_assert_eq(err, expected);
        if (err == 0)
            cr_assert_eq(lw_mutex_release(&left->mutex), 0);
    }
    cr_assert_not(lw_mutex_locked(&left->mutex));
    cr_assert_eq(lw_mutex_release(&left->mutex), -EPERM);
    cr_assert_null(left->mutex.lock._queue);
}

static int leave_opaque(void *arg)
{
    struct left left = {0};

    (void)arg;
    leave(&left, -ENOTRECOVERABLE);
    return 0;
}

Test(lock, of_an_owner_that_ended_nobody_gets_it)
{
    run_all(leave_opaque, NULL);
}

static int leave_robust(void *arg)
{
    struct left left = {.mutex.lock.data = LW_DATA_OPAQUE | LW_DATA_ROBUST};

    (void)arg;
    leave(&left, -EOWNERDEAD);
    cr_assert_eq(lw_owner(&left.mutex.lock).id, 0);
    return 0;
}

Test(lock, a_robust_one_says_that_its_owner_died)
{
    run_all(leave_robust, NULL);
}

static int repair_left(lw_lock *lock)
{
    struct left *left = (struct left *)lock;

    cr_assert(lw_owned(lock)); /* nobody else is inside */
    left->repaired++;
    return left->repair_result;
}

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_mutex_acquire((lw_mutex *)lock, deadline);
}

static int kind_release(lw_lock *lock)
{
    return lw_mutex_release((lw_mutex *)lock);
}

static const lw_lock_kind repaired_kind = {.name = "repaired",
                                           .acquire = kind_acquire,
                                           .release = kind_release,
                                           .locked = counted_locked,
                                           .repair = repair_left};

static int leave_repairable(void *arg)
{
    struct left whole = {.mutex.lock.kind = &repaired_kind};
    struct left broken = {.mutex.lock.kind = &repaired_kind, .repair_result = -EIO};

    (void)arg;
    leave(&whole, 0);
    cr_assert_eq(whole.repaired, 1);
    leave(&broken, -ENOTRECOVERABLE);
    cr_assert_eq(broken.repaired, 1);
    return 0;
}

Test(lock, one_with_a_repair_is_repaired_and_handed_on)
{
    run_all(leave_repairable, NULL);
}

static int end_holding_twenty(void *arg)
{
    lw_mutex *mutexes = arg;

    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
    return 0;
}

static int leave_twenty(void *arg)
{
    lw_mutex mutexes[20] = {0};
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, end_holding_twenty, mutexes, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), -ENOTRECOVERABLE);
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
    return 0;
}

Test(lock, all_that_was_held_is_marked)
{
    run_all(leave_twenty, NULL);
}

static void *thread_ends_holding(void *arg)
{
    cr_assert_eq(lw_mutex_acquire(arg, LW_FOREVER), 0);
    return NULL;
}

Test(lock, a_thread_that_ends_holding_is_no_exception)
{
    lw_mutex mutex = {0};
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, thread_ends_holding, &mutex), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), -ENOTRECOVERABLE);
}

/* ---- who asks */

static void *ask_from_thread(void *arg)
{
    lw_mutex *mutex = arg;

    cr_assert_eq(lw_self().id, 0); /* no record yet: asking makes none */
    cr_assert_not(lw_owned(&mutex->lock));
    cr_assert_eq(lw_mutex_release(mutex), -EPERM);
    cr_assert_eq(lw_self().id, 0);
    cr_assert_eq(lw_mutex_acquire(mutex, LW_NOW), -ETIMEDOUT);
    cr_assert_neq(lw_self().id, 0);
    return NULL;
}

Test(lock, a_threads_first_acquire_makes_its_record)
{
    lw_mutex mutex = {0};
    pthread_t thread;

    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    cr_assert_eq(pthread_create(&thread, NULL, ask_from_thread, &mutex), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
}
