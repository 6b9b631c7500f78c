/* SPDX-License-Identifier: MIT */
/* Laws of lw_signal_wait(): each signal that comes is given to exactly one caller, the first who
 * wants it; one that nobody wants is kept; a wait that fails has taken none. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "tests/support.h"

#if defined(__SANITIZE_THREAD__)
#define DELAYS_SIGNALS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DELAYS_SIGNALS 1
#endif
#endif

TestSuite(signal, .init = watchdog);

static const int usr1[] = {SIGUSR1}, usr2[] = {SIGUSR2}, both[] = {SIGUSR1, SIGUSR2};

static int wait_one(const int *numbers, size_t count, lw_nsec deadline)
{
    return lw_signal_wait(numbers, count, deadline);
}

static int check_kept(void *arg)
{
    (void)arg;
    cr_assert_eq(wait_one(both, 2, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(wait_one(both, 2, lw_in(LW_MS)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(wait_one(usr2, 1, lw_in(2 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(wait_one(usr1, 1, LW_FOREVER), SIGUSR1);
    cr_assert_eq(wait_one(usr1, 1, LW_NOW), -ETIMEDOUT, "several of one number are one");

    cr_assert_eq(raise(SIGUSR2), 0);
    cr_assert_eq(raise(SIGUSR1), 0);
    int first = wait_one(both, 2, LW_FOREVER), second = wait_one(both, 2, LW_FOREVER);
    cr_assert(first + second == SIGUSR1 + SIGUSR2 && first != second);
    cr_assert_eq(wait_one(both, 2, lw_in(LW_MS)), -ETIMEDOUT);
    return 0;
}

Test(signal, is_kept_until_somebody_waits_and_given_once)
{
    run_all(check_kept, NULL);
    (void)check_kept(NULL); /* a plain thread, with no runtime */
    assert_no_leaks();
}

Test(signal, numbers_that_cannot_be_waited_for_are_refused)
{
    static const int wrong[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                                0,       -1,      32,      33,     65,     1000};

    cr_assert_eq(wait_one(usr1, 0, LW_NOW), -EINVAL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int numbers[] = {SIGUSR1, wrong[i]};

        cr_assert_eq(wait_one(&wrong[i], 1, LW_NOW), -EINVAL, "%d", wrong[i]);
        cr_assert_eq(wait_one(numbers, 2, LW_NOW), -EINVAL, "%d", wrong[i]);
    }
    cr_assert_eq(wait_one(usr1, 1, LW_NOW), -ETIMEDOUT);
}

/* ---- those who wait */

struct waiter {
    const int *numbers;
    size_t count;
    lw_nsec deadline;
    int result;
    uint32_t done;
    lw_task task;
};

static uint32_t all_done;

static int wait_in_task(void *arg)
{
    struct waiter *waiter = arg;

    waiter->result = lw_signal_wait(waiter->numbers, waiter->count, waiter->deadline);
    lw_store_rel(&waiter->done, lw_add_acq_rel(&all_done, 1) + 1);
    return 0;
}

static void start(struct waiter *waiter, const int *numbers, size_t count, lw_nsec deadline)
{
    *waiter = (struct waiter){.numbers = numbers, .count = count, .deadline = deadline};
    cr_assert_eq(lw_spawn(&waiter->task, wait_in_task, waiter, NULL), 0);
    for (int i = 0; i < 3; i++) /* with one worker: until it waits */
        lw_yield();
}

static void finish(struct waiter *waiter)
{
    cr_assert_eq(lw_join(waiter->task, NULL, LW_FOREVER), 0);
}

static void await_done(uint32_t count)
{
    while (lw_load_acq(&all_done) < count)
        cr_assert_eq(lw_sleep(lw_in(50 * LW_US)), 0);
}

static uint32_t sleeps_on;
static void (*real_wake)(uint32_t *word, int count);

static void may_wake(uint32_t *word, int count)
{
    if (lw_load_acq(&sleeps_on) == 0)
        real_wake(word, count);
}

/* Who asks while the courier has not yet come takes nothing from who was there before. */
static void check_turn(void)
{
    struct waiter waiter;

    start(&waiter, usr1, 1, LW_FOREVER);
    lw_store_rel(&sleeps_on, 1);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(wait_one(usr1, 1, LW_NOW), -ETIMEDOUT);
    lw_store_rel(&sleeps_on, 0);
    finish(&waiter);
    cr_assert_eq(waiter.result, SIGUSR1);
}

static int check_order(void *arg)
{
    enum { WAITERS = 8 };
    struct waiter waiters[WAITERS], other;
    lw_store_rel(&all_done, 0);

    (void)arg;
    start(&other, usr2, 1, LW_FOREVER);
    for (int i = 0; i < WAITERS; i++)
        start(&waiters[i], i % 3 == 1 ? both : usr1, i % 3 == 1 ? 2 : 1, LW_FOREVER);
    for (uint32_t i = 0; i < WAITERS; i++) {
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        await_done(i + 1);
        cr_assert_eq(lw_load_acq(&waiters[i].done), i + 1, "not the first in the queue got it");
        cr_assert_eq(waiters[i].result, SIGUSR1);
        finish(&waiters[i]);
    }
    cr_assert_eq(lw_load_acq(&other.done), 0, "a signal was given to who did not want it");
    check_turn();
    cr_assert_eq(kill(getpid(), SIGUSR2), 0);
    finish(&other);
    cr_assert_eq(other.result, SIGUSR2);
    return 0;
}

Test(signal, goes_to_the_first_who_wants_it)
{
    real_wake = lw_sys.futex_wake;
    lw_sys.futex_wake = may_wake;
    run_with(1, check_order, NULL); /* with more workers the order of the calls is nobody's */
    assert_no_leaks();
}

static int check_failed(void *arg)
{
    struct waiter expired, cancelled, patient;

    (void)arg;
    lw_store_rel(&all_done, 0);
    start(&expired, both, 2, lw_in(2 * LW_MS));
    start(&cancelled, both, 2, LW_FOREVER);
    start(&patient, both, 2, LW_FOREVER);
    finish(&expired);
    cr_assert_eq(lw_cancel(cancelled.task), 0);
    finish(&cancelled);
    cr_assert_eq(expired.result, -ETIMEDOUT);
    cr_assert_eq(cancelled.result, -ECANCELED);
    cr_assert_eq(kill(getpid(), SIGUSR2), 0);
    finish(&patient);
    cr_assert_eq(patient.result, SIGUSR2);
    cr_assert_eq(wait_one(both, 2, LW_NOW), -ETIMEDOUT);
    return 0;
}

Test(signal, is_not_taken_by_a_wait_that_fails)
{
    run_all(check_failed, NULL);
    assert_no_leaks();
}

/* Others come and go; who waits for ever is not lost among them. */
static int check_patient(void *arg)
{
    struct waiter patient;

    (void)arg;
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(wait_one(both, 2, lw_in(100 * LW_US)), -ETIMEDOUT);
        start(&patient, usr1, 1, LW_FOREVER);
        for (int j = 0; j < 3; j++)
            cr_assert_eq(wait_one(usr2, 1, lw_in(300 * LW_US)), -ETIMEDOUT);
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        finish(&patient);
        cr_assert_eq(patient.result, SIGUSR1);
    }
    return 0;
}

Test(signal, reaches_who_waits_among_others_that_give_up)
{
    run_all(check_patient, NULL);
}

/* Many signals, one after the other, while waits begin, expire and are cancelled all the time:
 * each is received exactly once. */
static uint32_t received, rounds_left;

static int receive(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);

    while (lw_load_acq(&rounds_left) > 0) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int result = wait_one(both, 2, lw_in((lw_nsec)(seed >> 40) % (200 * LW_US)));

        cr_assert(result == SIGUSR1 || result == SIGUSR2 || result == -ETIMEDOUT ||
                      result == -ECANCELED,
                  "%d", result);
        if (result > 0)
            (void)lw_add_acq_rel(&received, 1);
    }
    return 0;
}

static int check_each(void *arg)
{
    enum { TASKS = 6 };
    lw_task tasks[TASKS];
    uint32_t sent = 0;

    (void)arg;
    lw_store_rel(&received, 0);
    lw_store_rel(&rounds_left, (uint32_t)rounds(1000));
    cr_assert_eq(wait_one(both, 2, LW_NOW), -ETIMEDOUT);
    for (uintptr_t i = 0; i < TASKS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], receive, (void *)(i + 1), NULL), 0);
    while (lw_load_acq(&rounds_left) > 0) {
        cr_assert_eq(kill(getpid(), sent % 3 == 0 ? SIGUSR2 : SIGUSR1), 0);
        sent++;
        while (lw_load_acq(&received) < sent)
            lw_yield();
        cr_assert_eq(lw_load_acq(&received), sent);
        if (sent % 16 == 0)
            (void)lw_cancel(tasks[sent / 16 % TASKS]);
        (void)lw_sub_acq_rel(&rounds_left, 1);
    }
    for (int i = 0; i < TASKS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_load_acq(&received), sent);
    return 0;
}

Test(signal, each_is_received_once)
{
    run_all(check_each, NULL);
    assert_no_leaks();
}

/* ---- threads and masks */

static void *wait_in_thread(void *arg)
{
    struct waiter *waiter = arg;

    waiter->result = lw_signal_wait(waiter->numbers, waiter->count, waiter->deadline);
    return NULL;
}

static int check_thread(void *arg)
{
    struct waiter waiter = {.numbers = usr1, .count = 1, .deadline = LW_FOREVER};
    pthread_t thread;

    (void)arg;
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    cr_assert_eq(wait_one(usr2, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(wait_one(usr1, 1, LW_NOW), -ETIMEDOUT); /* from here on it does not kill us */
    cr_assert_eq(kill(getpid(), SIGUSR1), 0);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(waiter.result, SIGUSR1);
    return 0;
}

Test(signal, may_be_waited_for_by_plain_threads)
{
    run_all(check_thread, NULL);
    (void)check_thread(NULL);
    assert_no_leaks();
}

static int check_blocked(void *arg)
{
    (void)arg;
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    cr_assert_eq(wait_one((const int[]){SIGTERM}, 1, lw_in(20 * LW_SEC)), SIGTERM);
    cr_assert_eq(kill(getpid(), SIGUSR2),
                 0); /* one more to look after, for a courier that sleeps */
    cr_assert_eq(wait_one(usr2, 1, lw_in(3 * LW_SEC)), SIGUSR2);
    return 0;
}

Test(signal, arrives_though_all_other_threads_block_it)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* the workers inherit it */
    run_all(check_blocked, NULL);
}

static int check_blocked_now(void *arg)
{
    (void)arg;
    cr_assert_eq(wait_one(both, 2, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        cr_assert_eq(wait_one(usr2, 1, LW_NOW), -ETIMEDOUT, "only what was asked for is taken");
        cr_assert_eq(wait_one(usr1, 1, LW_NOW), SIGUSR1);
        cr_assert_eq(wait_one(both, 2, LW_NOW), -ETIMEDOUT);
    }
    return 0;
}

/* No courier was ever there to let them in. */
Test(signal, that_all_threads_block_is_found_without_waiting)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    run_all(check_blocked_now, NULL);
    (void)check_blocked_now(NULL);
}

static int ends[2];
static ssize_t got;

static void *read_pipe(void *arg)
{
    char byte;

    lw_store_rel((uint32_t *)arg, 1);
    got = read(ends[0], &byte, 1);
    return NULL;
}

Test(signal, does_not_interrupt_system_calls_that_can_be_restarted)
{
    uint32_t there = 0;
    pthread_t thread;

#ifdef DELAYS_SIGNALS
    cr_skip_test("TSan keeps the signal of a thread back until the thread leaves its system call");
#endif
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(wait_one(usr1, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(pthread_create(&thread, NULL, read_pipe, &there), 0);
    while (lw_load_acq(&there) == 0)
        lw_sys.yield();
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(pthread_kill(thread, SIGUSR1), 0);
        cr_assert_eq(wait_one(usr1, 1, LW_FOREVER), SIGUSR1);
    }
    cr_assert_eq(write(ends[1], "x", 1), 1);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(got, 1);
}

/* ---- the courier */

Test(signal, waits_leave_no_thread_behind_with_the_last_runtime)
{
    long before;

    run_with(1, check_kept, NULL);
    before = count_resources().threads;
    for (int i = 0; i < 3; i++)
        run_with(1, check_kept, NULL);
    AWAIT(count_resources().threads <= before); /* a joined thread may be seen a moment longer */
}

static int create_fails;

static int failing_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    return create_fails-- > 0 ? EAGAIN : pthread_create(thread, attributes, run, arg);
}

static int check_no_thread(void *arg)
{
    (void)arg;
    lw_sys.thread_create = failing_create;
    create_fails = 1;
    cr_assert_eq(wait_one(usr1, 1, lw_in(LW_SEC)), -EAGAIN);
    create_fails = 0;
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(wait_one(usr1, 1, LW_FOREVER), SIGUSR1);
    return 0;
}

Test(signal, wait_fails_clearly_without_a_thread)
{
    run_with(1, check_no_thread, NULL);
}
