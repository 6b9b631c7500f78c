/* SPDX-License-Identifier: MIT */
/* The laws of lw_locksmith_host(): the hosted function runs as a task that owns the lock, before
 * all who wait for it.  What goes wrong is in smith-host-ends.c. */
#include "tests/locksmith/hosts.h"
#include "tests/primitives/kinds.h"

#include <pthread.h>

TestSuite(smith_host, .init = be_alone);

/* ---- on a free lock, of each kind */

static int release_it_itself(struct hosted *hosted)
{
    return lw_release(hosted->lock);
}

static int look_at_it(struct hosted *hosted)
{
    cr_assert(lw_locked(hosted->lock), "R043");
    return hosted->status;
}

static int on_a_free_lock(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    for (int i = 0; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];
        struct hosted hosted = {.lock = &lock, .status = 17, .act = look_at_it};

        cr_assert_eq(host(&smith, &hosted, &patient), 0, "R043, R017: %s", lock.name);
        cr_assert_eq(hosted.ran, 1);
        cr_assert_eq(hosted.owned, i < OWNED_KINDS, "R043, R055: %s", lock.name);
        cr_assert_neq(hosted.task.id, lw_self().id, "R087: a task of its own");
        cr_assert_not(lw_locked(&lock), "R017: %s", lock.name);
        hosted.status = -EIO;
        cr_assert_eq(host(&smith, &hosted, &patient), 0, "%s", lock.name);
        cr_assert_not(lw_locked(&lock), "R018, R050: %s", lock.name);
        hosted.status = -ESHUTDOWN;
        cr_assert_eq(host(&smith, &hosted, &patient), 0, "R088: in the status: %s", lock.name);
        if (i < OWNED_KINDS) {
            hosted.status = 0;
            hosted.act = release_it_itself;
            cr_assert_eq(host(&smith, &hosted, &patient), 0, "R019: %s", lock.name);
            cr_assert_not(lw_locked(&lock), "R019: %s", lock.name);
        }
        cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
    }
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host, r017_to_r019_r043_r050_r087_r088_a_free_lock_is_taken_for_the_task)
{
    run_all(on_a_free_lock, NULL);
}

/* It lets go, and a third task takes it, who keeps it. */
static struct owner third;

static int give_it_to_a_third(struct hosted *hosted)
{
    third = (struct owner){.lock = hosted->lock};
    cr_assert_eq(lw_release(hosted->lock), 0);
    start_owner(&third);
    return 0;
}

static int a_third_has_it(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("lent");
    struct hosted hosted = {.lock = &mutex.lock, .act = give_it_to_a_third};

    (void)arg;
    cr_assert_eq(host(&smith, &hosted, &patient), 0);
    cr_assert_eq(lw_owner(&mutex.lock).id, third.task.id, "R020");
    cr_assert_eq(end_owner(&third), 0);
    cr_assert_not(lw_locked(&mutex.lock));
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host, r020_what_a_third_has_taken_is_not_released)
{
    run_all(a_third_has_it, NULL);
}

/* A plain thread hosts as well. */
static void *host_from_a_thread(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    struct hosted hosted = {.lock = arg, .status = 5};

    cr_assert_eq(host(&smith, &hosted, &patient), 0);
    cr_assert(hosted.owned);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return NULL;
}

static int be_there(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("of a thread");
    pthread_t thread;

    (void)arg;
    cr_assert_eq(pthread_create(&thread, NULL, host_from_a_thread, &mutex), 0);
    AWAIT(pthread_tryjoin_np(thread, NULL) == 0);
    cr_assert_not(lw_locked(&mutex.lock));
    return 0;
}

Test(smith_host, a_plain_thread_hosts_as_well)
{
    run_all(be_there, NULL);
}

/* ---- on a held one */

struct waiter {
    lw_lock *lock;
    const struct hosted *hosted;
    int err;
    lw_task task;
};

static int come_after(void *arg)
{
    struct waiter *waiter = arg;

    waiter->err = lw_acquire(waiter->lock, LW_FOREVER);
    cr_assert_eq(waiter->hosted->ran, 1, "R051: it came first");
    return lw_release(waiter->lock);
}

static int on_a_held_lock(void *arg)
{
    for (int i = 0; i < OWNED_KINDS; i++) {
        lw_lock lock = *kinds[i];
        struct owner owner = {.lock = &lock, .when_asked = release_and_try_again};
        struct hosted hosted = {.lock = &lock, .status = 3};
        struct waiter waiters[2];
        struct noted noted;

        (void)arg;
        make_noted(&noted, &lock);
        start_owner(&owner);
        for (int j = 0; j < 2; j++) {
            waiters[j] = (struct waiter){&lock, &hosted, 1, {0}};
            cr_assert_eq(lw_spawn(&waiters[j].task, come_after, &waiters[j], NULL), 0);
            AWAIT(is_waiting(waiters[j].task));
        }
        cr_assert_eq(host(&noted.smith, &hosted, &patient), 0, "R044: %s", lock.name);
        cr_assert_eq(hosted.ran, 1);
        cr_assert(hosted.owned, "R055: %s", lock.name);
        cr_assert_eq(end_owner(&owner), 0);
        for (int j = 0; j < 2; j++) {
            cr_assert_eq(lw_join(waiters[j].task, NULL, LW_FOREVER), 0);
            cr_assert_eq(waiters[j].err, 0, "R052: %s", lock.name);
        }
        cr_assert_not(lw_locked(&lock), "R044: %s", lock.name);
        cr_assert_calls(noted, "AR"); /* R052: no purge */
        end_noted(&noted);
    }
    return 0;
}

Test(smith_host, r044_r051_r052_r055_r056_a_held_lock_is_forced_and_the_task_is_first)
{
    run_all(on_a_held_lock, NULL);
}

/* A lock of nobody's is released by the force. */
static int on_a_plain_lock(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct hosted hosted = {.lock = lock, .act = look_at_it};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    (void)arg;
    cr_assert_eq(lw_locksmith_recognize(&smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(host(&smith, &hosted, &patient), 0, "R044");
    cr_assert_not(lw_locked(lock), "R044");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host, r044_a_plain_lock)
{
    run_all(on_a_plain_lock, NULL);
}

/* ---- steps that take too long */

static int from_nobody(struct owner *owner, const lw_host_timeouts *timeouts, bool known)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    struct hosted hosted = {.lock = owner->lock};
    int err;

    if (known)
        cr_assert_eq(lw_locksmith_recognize(&smith, owner->lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    start_owner(owner);
    err = host(&smith, &hosted, timeouts);
    cr_assert_eq(hosted.ran, 0);
    cr_assert_null(owner->lock->_queue, "nobody waits on his behalf");
    cr_assert_eq(lw_owner(owner->lock).id, owner->task.id);
    cr_assert_eq(end_owner(owner), 0);
    cr_assert_not(lw_locked(owner->lock));
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return err;
}

static int too_long(void *arg)
{
    static const lw_host_timeouts no_force = {LW_MS, LW_FOREVER, LW_FOREVER},
                                  no_acquire = {LW_FOREVER, LW_MS, LW_FOREVER},
                                  at_once = {0, 0, LW_FOREVER},
                                  wrong = {-1, 0, 0};
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};

    (void)arg;
    cr_assert_eq(from_nobody(&owner, &no_force, true), -ETIMEDOUT, "R046");
    cr_assert_eq(owner.waited, -EDEADLK, "it was asked");
    owner = (struct owner){.lock = &mutex.lock};
    cr_assert_eq(from_nobody(&owner, &no_acquire, false), -ETIMEDOUT, "R047");
    owner = (struct owner){.lock = &mutex.lock};
    cr_assert_eq(from_nobody(&owner, &at_once, true), -ETIMEDOUT, "R045: each of them counts");
    cr_assert_eq(owner.waited, 0);
    owner = (struct owner){.lock = &mutex.lock};
    cr_assert_eq(from_nobody(&owner, &wrong, true), -EINVAL);
    return 0;
}

Test(smith_host, r046_r047_a_step_that_takes_too_long_ends_it)
{
    run_all(too_long, NULL);
}

static int runs_too_long(void *arg)
{
    static const lw_host_timeouts short_run = {LW_FOREVER, LW_FOREVER, LW_MS},
                                  no_run = {LW_FOREVER, LW_FOREVER, 0};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("free");
    struct hosted hosted = {.lock = &mutex.lock, .act = wait_for_the_end};

    (void)arg;
    cr_assert_eq(host(&smith, &hosted, &short_run), -ETIMEDOUT, "R048");
    cr_assert_eq(hosted.status, -ECANCELED, "R048");
    cr_assert_not(lw_locked(&mutex.lock), "R048");
    hosted.ran = 0;
    cr_assert_eq(host(&smith, &hosted, &no_run), -ETIMEDOUT, "R049");
    cr_assert_eq(hosted.ran, 0, "R049");
    cr_assert_not(lw_locked(&mutex.lock), "R049");
    cr_assert_eq(lw_locksmith_host(&smith, &mutex.lock, run_hosted, &hosted, NULL, &patient,
                                   lw_in(LW_MS)),
                 -ETIMEDOUT, "beyond the deadline nothing lasts");
    cr_assert_not(lw_locked(&mutex.lock));
    cr_assert_eq(lw_locksmith_host(&smith, &mutex.lock, NULL, NULL, NULL, NULL, LW_FOREVER),
                 -EINVAL);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_host, r048_r049_the_task_may_run_for_so_long)
{
    run_all(runs_too_long, NULL);
}

/* The defaults are those of the moment of the call. */
static int by_default(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    lw_defaults defaults;

    (void)arg;
    lw_get_defaults(&defaults);
    cr_assert_eq(defaults.host.force, LW_SEC, "R045");
    cr_assert_eq(defaults.host.acquire, 100 * LW_MS, "R045");
    cr_assert_eq(defaults.host.run, LW_FOREVER, "R045");
    defaults.host = (lw_host_timeouts){0, LW_FOREVER, 0};
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    {
        lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
        struct hosted hosted = {.lock = &mutex.lock};

        cr_assert_eq(host(&smith, &hosted, NULL), -ETIMEDOUT, "R045: of `run`");
        cr_assert_eq(hosted.ran, 0);
    }
    defaults.host = (lw_host_timeouts){LW_MS, LW_FOREVER, LW_FOREVER};
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(from_nobody(&owner, NULL, true), -ETIMEDOUT, "R045: of `force`");
    return 0;
}

Test(smith_host, r045_by_default_as_the_defaults_say_at_the_call)
{
    run_all(by_default, NULL);
}
