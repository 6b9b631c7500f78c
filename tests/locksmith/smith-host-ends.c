/* SPDX-License-Identifier: MIT */
/* The laws of what becomes of a lw_locksmith_host() that is cancelled, fails, or finds a lock of a
 * kind of the user's: nothing is left behind. */
#include "tests/locksmith/hosts.h"

TestSuite(smith_host_ends, .init = be_alone);

/* ---- cancel */

static void start_host(struct call *call)
{
    cr_assert_eq(lw_spawn(&call->task, host_it, call, NULL), 0);
}

static int cancel_host(struct call *call)
{
    cr_assert_eq(lw_cancel(call->task), 0);
    cr_assert_eq(lw_join(call->task, NULL, LW_FOREVER), 0);
    return call->err;
}

static int cancel_it(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    struct hosted hosted = {.lock = &mutex.lock, .act = wait_for_the_end};
    struct call call = {&smith, &hosted, &patient, {0}, 0, 0};

    (void)arg;
    start_host(&call);
    cr_assert_eq(lw_event_wait(&hosted.runs, LW_FOREVER), 0);
    AWAIT(is_waiting(hosted.task) && is_waiting(call.task));
    cr_assert_eq(lw_locksmith_fini(&smith), -EBUSY);
    cr_assert_eq(cancel_host(&call), -ECANCELED, "R053");
    cr_assert_eq(hosted.status, -ECANCELED, "R053");
    cr_assert_not(lw_locked(&mutex.lock), "R053");

    hosted.ran = 0;
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    start_host(&call);
    AWAIT(owner.pending && is_waiting(owner.task) && is_waiting(call.task));
    cr_assert_eq(cancel_host(&call), -ECANCELED, "R054");
    cr_assert_eq(hosted.ran, 0, "R054");
    cr_assert_null(mutex.lock._queue, "R054");
    cr_assert_eq(lw_owner(&mutex.lock).id, owner.task.id, "R054");
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_not(lw_locked(&mutex.lock), "R054");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host_ends, r053_r054_a_cancel_leaves_nothing_behind)
{
    run_all(cancel_it, NULL);
}

/* ---- errors */

static int fail(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    (void)smith;
    (void)lock;
    (void)arg;
    return -EIO;
}

static int handler_fails(void *arg)
{
    lw_handlers handlers = {0};
    const lw_locksmith_hooks hooks = {.handlers = &handlers};
    lw_locksmith smith = LW_LOCKSMITH_INIT(&hooks, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_it};
    struct hosted hosted = {.lock = &mutex.lock};

    (void)arg;
    cr_assert_eq(lw_handlers_register(&handlers, &lw_mutex_kind, fail, NULL, 0), 0);
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cr_assert_eq(host(&smith, &hosted, &patient), -EIO, "R057");
    cr_assert_eq(hosted.ran, 0, "R057");
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_not(lw_locked(&mutex.lock), "R057");
    cr_assert_null(mutex.lock._queue, "R057");
    cr_assert_eq(lw_handlers_register(&handlers, &lw_mutex_kind, NULL, NULL, LW_REPLACE), 0);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host_ends, r057_a_handler_that_fails_leaves_nothing_behind)
{
    run_all(handler_fails, NULL);
}

/* A kind that keeps its owner itself, and one that cannot be handed over. */
struct named {
    struct plain plain;
    uint64_t owner;
    int sets;
};

static int named_acquire(lw_lock *lock, lw_nsec deadline)
{
    int err = plain_acquire(lock, deadline);

    if (err == 0)
        lw_store_rlx(&((struct named *)(void *)lock)->owner, lw_self().id);
    return err;
}

static int named_release(lw_lock *lock)
{
    struct named *named = (struct named *)(void *)lock;

    if (lw_load_rlx(&named->owner) != lw_self().id)
        return -EPERM;
    lw_store_rlx(&named->owner, 0);
    return plain_release(lock);
}

static lw_task named_owner(const lw_lock *lock)
{
    return (lw_task){lw_load_rlx(&((const struct named *)(const void *)lock)->owner)};
}

static int named_set_owner(lw_lock *lock, lw_task owner)
{
    struct named *named = (struct named *)(void *)lock;

    lw_store_rlx(&named->owner, owner.id);
    named->sets++;
    return 0;
}

static const lw_lock_kind named_kind = {.name = "named",
                                        .acquire = named_acquire,
                                        .release = named_release,
                                        .locked = plain_locked,
                                        .owner = named_owner,
                                        .set_owner = named_set_owner};
static const lw_lock_kind stubborn_kind = {.name = "stubborn",
                                           .acquire = named_acquire,
                                           .release = named_release,
                                           .locked = plain_locked,
                                           .owner = named_owner};

static int of_another_kind(void *arg)
{
    struct named named = {.plain = make_plain()};
    lw_lock *lock = &named.plain.semaphore.lock;
    struct owner owner = {.lock = lock, .when_asked = release_and_try_again};
    struct hosted hosted = {.lock = lock, .status = 1};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    lock->kind = &named_kind;
    cr_assert_eq(lw_locksmith_recognize(&smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(&owner);
    cr_assert_eq(host(&smith, &hosted, &patient), 0, "R055, R060");
    cr_assert(hosted.owned, "R055, R060");
    cr_assert_eq(named.sets, 1, "R060");
    cr_assert_not(lw_locked(lock), "R055");
    cr_assert_eq(end_owner(&owner), 0);
    lock->kind = &stubborn_kind;
    hosted.ran = 0;
    cr_assert_eq(host(&smith, &hosted, &patient), -EPERM, "R060: nothing can be set");
    cr_assert_eq(hosted.ran, 0);
    cr_assert_not(lw_locked(lock));
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host_ends, r055_r060_the_owner_of_a_kind_that_keeps_it_is_set)
{
    run_all(of_another_kind, NULL);
}

static int without_memory(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("free");

    (void)arg;
    for (long nth = 1; nth <= 20; nth++) {
        struct hosted hosted = {.lock = &mutex.lock};
        int err;

        sys_fail(nth % 2 ? SYS_CALLOC : SYS_MMAP, (nth + 1) / 2, true);
        err = host(&smith, &hosted, &patient);
        sys_fail(SYS_CALLOC, 0, false);
        sys_fail(SYS_MMAP, 0, false);
        cr_assert(err == 0 || err == -ENOMEM, "%d", err);
        cr_assert_eq(hosted.ran, err == 0);
        cr_assert_not(lw_locked(&mutex.lock));
    }
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host_ends, without_memory_it_has_not_run)
{
    sys_watch();
    run_with(1, without_memory, NULL);
}
