/* SPDX-License-Identifier: MIT */
/* The laws of what becomes of a lw_locksmith_host() that is cancelled, fails, or finds a lock of a
 * kind of the user's: nothing is left behind. */
#include "tests/locksmith/hosts.h"

#include <pthread.h>

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

/* ---- whatever ends the caller's wait, fn has ended before it returns */

enum end { CANCELLED, ASKED, TOOK_TOO_LONG, ENDS };

static struct {
    lw_locksmith smith, other_smith;
    lw_mutex mutex, other; /* the caller has the other one */
    lw_event runs, cancelled, go_on;
    enum end end;
    lw_task caller;
    int err, forced;
    bool fn_ended, fn_had_ended, returned, pending;
} late;

/* It was cancelled, and has its time: what it was given, on the caller's stack, is still there. */
static int end_late(struct hosted *hosted)
{
    lw_event_set(&late.runs);
    wait_for_the_end(hosted);
    cr_assert_eq(lw_shield_enter(), 0);
    lw_event_set(&late.cancelled);
    cr_assert_eq(lw_event_wait(&late.go_on, LW_FOREVER), 0);
    (void)lw_shield_exit();
    lw_store_rel(&late.fn_ended, true);
    return hosted->ran;
}

static int host_one_that_ends_late(void *arg)
{
    lw_host_timeouts timeouts = patient;
    struct hosted hosted = {.lock = &late.mutex.lock, .act = end_late};
    lw_force_request asked;

    (void)arg;
    if (late.end == TOOK_TOO_LONG)
        timeouts.run = LW_MS;
    cr_assert_eq(lw_acquire(&late.other.lock, LW_FOREVER), 0);
    late.caller = lw_self();
    late.err = lw_locksmith_host(&late.smith, &late.mutex.lock, run_hosted, &hosted, NULL,
                                 &timeouts, LW_FOREVER);
    late.fn_had_ended = lw_load_acq(&late.fn_ended);
    lw_store_rel(&late.returned, true);
    late.pending = lw_force_pending(&asked);
    cr_assert_eq(lw_release(&late.other.lock), 0);
    return 0;
}

static void *host_as_a_thread(void *arg)
{
    (void)host_one_that_ends_late(arg);
    return NULL;
}

static int ask_for_the_other(void *arg)
{
    (void)arg;
    late.forced = force(&late.other_smith, &late.other.lock);
    return 0;
}

/* The caller's wait is ended by that; and it waits on. */
static void end_its_wait(lw_task *asker)
{
    cr_assert_eq(lw_event_wait(&late.runs, LW_FOREVER), 0);
    AWAIT(is_waiting(late.caller));
    if (late.end == CANCELLED)
        cr_assert_eq(lw_cancel(late.caller), 0);
    else if (late.end == ASKED)
        cr_assert_eq(lw_spawn(asker, ask_for_the_other, NULL, NULL), 0);
    cr_assert_eq(lw_event_wait(&late.cancelled, LW_FOREVER), 0);
    AWAIT(is_waiting(late.caller) || lw_load_acq(&late.returned));
    cr_assert_not(lw_load_acq(&late.returned), "fn still runs");
    cr_assert(lw_locked(&late.mutex.lock));
    lw_event_set(&late.go_on);
}

static void end_late_as(enum end end, bool by_thread)
{
    static const int errors[] = {
        [CANCELLED] = -ECANCELED, [ASKED] = -EDEADLK, [TOOK_TOO_LONG] = -ETIMEDOUT};
    lw_task task, asker;
    pthread_t thread;

    memset(&late, 0, sizeof late);
    late.end = end;
    cr_assert_eq(lw_locksmith_recognize(&late.other_smith, &late.other.lock, LW_NOW),
                 LW_RECOGNITION_SUCCESS);
    if (by_thread)
        cr_assert_eq(pthread_create(&thread, NULL, host_as_a_thread, NULL), 0);
    else
        cr_assert_eq(lw_spawn(&task, host_one_that_ends_late, NULL, NULL), 0);
    end_its_wait(&asker);
    if (by_thread)
        cr_assert_eq(pthread_join(thread, NULL), 0);
    else
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert(late.fn_had_ended);
    cr_assert_eq(late.err, errors[end], "%d", late.err);
    cr_assert_eq(late.pending, end == ASKED, "it is still asked");
    if (end == ASKED) {
        cr_assert_eq(lw_join(asker, NULL, LW_FOREVER), 0);
        cr_assert(lw_force_ok(late.forced), "%d", late.forced);
    }
    cr_assert_not(lw_locked(&late.mutex.lock));
    cr_assert_eq(lw_locksmith_fini(&late.smith), 0);
    cr_assert_eq(lw_locksmith_fini(&late.other_smith), 0);
}

static int end_late_in_all_ways(void *arg)
{
    (void)arg;
    for (enum end end = CANCELLED; end < ENDS; end++) {
        end_late_as(end, false);
        if (end != CANCELLED) /* a thread is not */
            end_late_as(end, true);
    }
    return 0;
}

Test(smith_host_ends, it_returns_when_the_function_has_ended_and_not_before)
{
    run_all(end_late_in_all_ways, NULL);
}
