/* SPDX-License-Identifier: MIT */
/* lw_blocking() where threads cannot be had, or come late; and that none of them is forgotten. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "tests/support.h"

TestSuite(blocking_faults, .init = watchdog);

static uint32_t ran;
static int create_fails; /* so many times */

static int count_up(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&ran, 1);
    return 0;
}

static int failing_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    return lw_add_rlx(&create_fails, -1) > 0 ? EAGAIN
                                             : pthread_create(thread, attributes, run, arg);
}

static int check_none(void *arg)
{
    (void)arg;
    lw_sys.thread_create = failing_create;
    lw_store_rlx(&create_fails, 2);
    cr_assert_eq(lw_blocking(count_up, NULL, NULL, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_blocking(count_up, NULL, NULL, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_load_acq(&ran), 0);
    cr_assert_eq(lw_blocking(count_up, NULL, NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking_faults, without_any_thread_the_call_fails)
{
    run_with(1, check_none, NULL);
    assert_no_leaks();
}

static sem_t way;
static uint32_t entered;

static int pass(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&entered, 1);
    while (sem_wait(&way) < 0)
        cr_assert_eq(errno, EINTR);
    return 0;
}

static int call_pass(void *arg)
{
    int err = lw_blocking(pass, NULL, NULL, LW_FOREVER);

    (void)arg;
    return err;
}

static int check_busy(void *arg)
{
    lw_task first, second;
    int status = -1;

    (void)arg;
    cr_assert_eq(sem_init(&way, 0, 0), 0);
    lw_sys.thread_create = failing_create;
    cr_assert_eq(lw_spawn(&first, call_pass, NULL, NULL), 0);
    while (lw_load_acq(&entered) == 0)
        lw_yield();
    lw_store_rlx(&create_fails, 1);
    cr_assert_eq(lw_spawn(&second, call_pass, NULL, NULL), 0);
    while (lw_load_rlx(&create_fails) == 1)
        lw_yield();
    (void)sem_post(&way);
    (void)sem_post(&way);
    cr_assert_eq(lw_join(first, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(lw_join(second, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    return 0;
}

Test(blocking_faults, without_another_thread_the_call_waits_for_the_one_there_is)
{
    run_with(1, check_busy, NULL);
    assert_no_leaks();
}

/* Two calls: one makes the only helper there may be, the other queues up to wait for that; then the
 * thread cannot be had. */
static lw_task callers[2];

static bool waits(lw_task task)
{
    const struct lw_cold *cold = lw_record_cold(lw_record_of(task.id));

    return task.id != 0 && (lw_load_acq(&cold->wait) & LW_PHASE_MASK) == LW_PHASE_WAITING &&
           lw_load_rlx(&cold->kind) == LW_WAIT_CALL;
}

static int late_failing_create(pthread_t *thread, const pthread_attr_t *attributes,
                               void *(*run)(void *), void *arg)
{
    int other = lw_self().id == callers[0].id;

    if (lw_add_rlx(&create_fails, -1) <= 0)
        return pthread_create(thread, attributes, run, arg);
    while (!waits(callers[other])) /* the other worker runs it */
        lw_sys.yield();
    return EAGAIN;
}

static int check_refused(void *arg)
{
    int status;

    (void)arg;
    lw_sys.thread_create = late_failing_create;
    lw_store_rlx(&create_fails, 1);
    callers[0] = lw_self();
    cr_assert_eq(lw_spawn(&callers[1], call_pass, NULL, NULL), 0);
    cr_assert_eq(lw_blocking(pass, NULL, NULL, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_join(callers[1], &status, LW_FOREVER), 0);
    cr_assert_eq(status, -EAGAIN);
    cr_assert_eq(lw_load_acq(&entered), 0);
    cr_assert_eq(lw_blocking(count_up, NULL, NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking_faults, a_queued_call_is_refused_when_the_thread_it_relied_on_cannot_be_had)
{
    lw_options options = {.workers = 2, .helpers = 1};

    cr_assert_eq(lw_run(&options, check_refused, NULL), 0);
    assert_no_leaks();
}

/* ---- threads that come late, and those that go */

static uint32_t made, joined, given_up;

struct late {
    void *(*run)(void *);
    void *arg;
};

static struct late late;

static void *run_late(void *arg)
{
    struct late mine = *(struct late *)arg;

    while (!lw_load_acq(&given_up))
        lw_sys.yield();
    (void)usleep(30000); /* the runtime stops meanwhile */
    return mine.run(mine.arg);
}

static int late_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                       void *arg)
{
    late = (struct late){.run = run, .arg = arg};
    return pthread_create(thread, attributes, run_late, &late);
}

static int check_late(void *arg)
{
    (void)arg;
    lw_sys.thread_create = late_create;
    cr_assert_eq(lw_blocking(count_up, NULL, NULL, lw_in(LW_MS)), -ETIMEDOUT);
    lw_store_rel(&given_up, 1);
    return 0;
}

Test(blocking_faults, a_thread_that_comes_when_all_is_over_is_waited_for)
{
    run_with(1, check_late, NULL);
    cr_assert_eq(lw_load_acq(&ran), 0);
    assert_no_leaks();
}

static int counting_create(pthread_t *thread, const pthread_attr_t *attributes,
                           void *(*run)(void *), void *arg)
{
    int err = pthread_create(thread, attributes, run, arg);

    (void)lw_add_acq_rel(&made, err == 0);
    return err;
}

static int counting_join(pthread_t thread, void **result)
{
    int err = pthread_join(thread, result);

    cr_assert_eq(err, 0);
    (void)lw_add_acq_rel(&joined, 1);
    return err;
}

static int call_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_blocking(count_up, NULL, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_sleep(lw_in(300 * LW_US)), 0);
    }
    return 0;
}

static int check_counts(void *arg)
{
    enum { TASKS = 30 };
    lw_task tasks[TASKS];
    struct addrinfo *found;

    (void)arg;
    for (int i = 0; i < TASKS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], call_twice, NULL, NULL), 0);
    for (int i = 0; i < TASKS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    if (lw_getaddrinfo("localhost", "80", NULL, &found, LW_FOREVER) == 0)
        freeaddrinfo(found);
    cr_assert_eq(lw_signal_wait((const int[]){SIGUSR1}, 1, lw_in(LW_MS)), -ETIMEDOUT);
    return 0;
}

Test(blocking_faults, each_thread_is_joined_once)
{
    lw_sys.thread_create = counting_create;
    lw_sys.thread_join = counting_join;
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = 5};

        cr_assert_eq(lw_run(&options, check_counts, NULL), 0);
        cr_assert_gt(lw_load_acq(&made), 0u);
        cr_assert_eq(lw_load_acq(&joined), lw_load_acq(&made));
    }
}
