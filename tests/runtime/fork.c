/* SPDX-License-Identifier: MIT */
/* Laws of fork(2): the child of a process whose tasks run may exec; each call that would need the
 * parent's threads fails clearly, none hangs; the parent notices nothing.  A process whose runtime
 * does not run yet, or no more, loses nothing by a fork. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "tests/support.h"

#if defined(__SANITIZE_THREAD__)
#define NO_THREADS_AFTER_FORK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_THREADS_AFTER_FORK 1
#endif
#endif

TestSuite(fork, .init = watchdog);

/* How a child ended, as of waitpid(); waited for on a helper, as a task should. */
static int wait_child(void *arg)
{
    pid_t child = *(pid_t *)arg;
    int status = 0;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status;
}

static int ended(pid_t child)
{
    int status = -1;

    cr_assert_gt(child, 0, "fork: %s", strerror(errno));
    cr_assert_eq(lw_blocking(wait_child, &child, &status, LW_FOREVER), 0);
    return status;
}

static void assert_exited(pid_t child, int code)
{
    int status = ended(child);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %x, not exit %d",
              (unsigned)status, code);
}

/* The child's first act: what hangs, dies of SIGALRM. */
static pid_t fork_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(60);
    }
    return child;
}

/* Leave the child with the number of the line that is wrong. */
#define CHILD_CHECK(truth)                                                                         \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            (void)dprintf(STDERR_FILENO, "in the child: %s: line %d\n", #truth, __LINE__);         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- exec */

static int check_exec(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        pid_t child = fork_child();

        if (child == 0) {
            (void)execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
            _exit(1);
        }
        assert_exited(child, 3);
    }
    return 0;
}

Test(fork, child_of_a_task_may_exec)
{
    run_all(check_exec, NULL);
}

static bool stays_open(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

enum { FDS = 1024 };
static bool stayed[FDS];

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int check_descriptors(void *arg)
{
    int ends[2];
    char byte;
    struct addrinfo *found = NULL;

    (void)arg;
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0); /* make the library open what it may ever open */
    cr_assert_eq(lw_read(ends[0], &byte, 1, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_blocking(nothing, NULL, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_signal_wait((const int[]){SIGUSR1}, 1, lw_in(LW_MS)), -ETIMEDOUT);
    if (lw_getaddrinfo("127.0.0.1", "80", NULL, &found, LW_FOREVER) == 0)
        freeaddrinfo(found);
    for (int fd = 0; fd < FDS; fd++)
        cr_assert(stayed[fd] || !stays_open(fd), "descriptor %d would stay open over exec", fd);
    (void)lw_close(ends[0]);
    (void)lw_close(ends[1]);
    return 0;
}

Test(fork, exec_inherits_no_descriptor_of_the_library)
{
    for (int fd = 0; fd < FDS; fd++)
        stayed[fd] = stays_open(fd);
    run_all(check_descriptors, NULL);
}

/* ---- calls in the child */

static lw_runtime *its_runtime;
static lw_task its_parent;

static void check_tasks(void)
{
    lw_task task = {0};
    lw_runtime *runtime;
    lw_group group = LW_GROUP_INIT(0);

    CHILD_CHECK(lw_spawn(&task, nothing, NULL, NULL) == -ECHILD);
    CHILD_CHECK(lw_spawn(NULL, nothing, NULL, NULL) == -ECHILD);
    CHILD_CHECK(lw_group_spawn(&group, nothing, NULL, NULL) == -ECHILD);
    CHILD_CHECK(lw_group_wait(&group, LW_FOREVER) <= 0);
    CHILD_CHECK(lw_join(its_parent, NULL, LW_FOREVER) < 0);
    CHILD_CHECK(lw_join(its_parent, NULL, LW_NOW) < 0);
    CHILD_CHECK(lw_run(NULL, nothing, NULL) == -ECHILD);
    CHILD_CHECK(lw_start(&runtime, NULL) == -ECHILD);
    CHILD_CHECK(its_runtime == NULL || lw_stop(its_runtime, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_thread_attach() == -ECHILD);
    CHILD_CHECK(lw_self().id == 0);
    CHILD_CHECK(lw_checkpoint() == 0);
    CHILD_CHECK(lw_cancel(its_parent) == -ECHILD);
    CHILD_CHECK(lw_uncancel(its_parent) == -ECHILD);
    CHILD_CHECK(lw_detach(its_parent) == -ECHILD);
    lw_group_cancel(&group);
    CHILD_CHECK(lw_cancel_requests() == 0);
    CHILD_CHECK(lw_shield_enter() < 0);
    CHILD_CHECK(lw_data() == NULL);
    lw_yield();
    lw_trim();
    CHILD_CHECK(lw_now() > 0);
}

static void check_waits(void)
{
    uint32_t word = 0;
    int status;

    CHILD_CHECK(lw_sleep(lw_in(LW_MS)) == -ECHILD);
    CHILD_CHECK(lw_sleep(LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_futex_wait(&word, 0, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_futex_wait(&word, 0, lw_in(LW_MS)) == -ECHILD);
    CHILD_CHECK(lw_blocking(nothing, NULL, &status, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_signal_wait((const int[]){SIGUSR1}, 1, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_signal_wait((const int[]){SIGUSR1}, 1, LW_NOW) == -ECHILD);
}

static void check_primitives(void)
{
    lw_mutex mutex = {0};
    lw_event event = {0};
    lw_condition condition = {0};
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("s", 1);
    lw_rate_limit limit;
    lw_channel channel;
    int items[2], item = 7, err;

    CHILD_CHECK(lw_rate_limit_init(&limit, "l", 1, 1, 0) == 0);
    limit.lock._word._value |= 1; /* somebody had the guard */
    CHILD_CHECK(lw_rate_limit_acquire(&limit, 1, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_rate_limit_release(&limit, 1) == -ECHILD);
    CHILD_CHECK(lw_rate_limit_set_rate(&limit, 1) == -ECHILD);
    CHILD_CHECK(lw_rate_limit_tokens(&limit) <= 1 && !lw_rate_limit_locked(&limit));
    lw_channel_init(&channel, "c", items, sizeof *items, 2);
    CHILD_CHECK(lw_event_wait(&event, LW_FOREVER) == -ECHILD);
    lw_event_set(&event); /* does nothing */
    CHILD_CHECK(!lw_event_is_set(&event));
    CHILD_CHECK(lw_semaphore_release(&semaphore, 1) == -ECHILD);
    err = lw_mutex_acquire(&mutex, LW_FOREVER); /* it has no task to be owned by */
    CHILD_CHECK(err == -ECHILD);
    CHILD_CHECK(!lw_mutex_locked(&mutex));
    CHILD_CHECK(lw_acquire_inconsistent(&mutex.lock, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_acquire_all(&(lw_lock *){&mutex.lock}, 1, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_lock_wait(&mutex.lock, &mutex.lock._number, 0, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_purge_waiters(&mutex.lock) == -ECHILD);
    CHILD_CHECK(lw_lock_fini(&mutex.lock) == -ECHILD);
    CHILD_CHECK(lw_consistent(&mutex.lock) < 0 && lw_transfer(&mutex.lock, lw_self()) < 0);
    CHILD_CHECK(lw_condition_wait(&condition, &mutex.lock, LW_FOREVER) < 0);
    CHILD_CHECK(lw_condition_notify(&condition, LW_ALL) == 0);
    err = lw_semaphore_acquire(&semaphore, 1, LW_FOREVER);
    CHILD_CHECK(err == 0 || err == -ECHILD);
    CHILD_CHECK(lw_semaphore_acquire(&semaphore, 2, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_channel_receive(&channel, &item, LW_FOREVER) == -ECHILD);
    err = lw_channel_send(&channel, &item, LW_FOREVER);
    CHILD_CHECK(err == 0 || err == -ECHILD);
    lw_channel_close(&channel);
}

static void check_io(void)
{
    struct addrinfo *found;
    int ends[2];
    char byte = 'x';

    CHILD_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHILD_CHECK(lw_read(ends[0], &byte, 1, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_read(ends[0], &byte, 1, lw_in(LW_MS)) == -ECHILD);
    CHILD_CHECK(lw_poll(ends[0], POLLIN, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_getaddrinfo("localhost", "80", NULL, &found, LW_FOREVER) == -ECHILD);
    CHILD_CHECK(lw_connect_tcp("localhost", "80", LW_FOREVER) < 0);
    CHILD_CHECK(lw_close(ends[0]) == 0);
    CHILD_CHECK(lw_close(ends[1]) == 0);
}

static void check_calls(void)
{
    check_tasks();
    check_waits();
    check_primitives();
    check_io();
}

static int check_children(void *arg)
{
    (void)arg;
    its_parent = lw_self();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork_child();

        if (child == 0) {
            check_calls();
            _exit(44);
        }
        assert_exited(child, 44);
    }
    return 0;
}

/* What a worker was just using when the fork came: its guards are held for ever in the child. */
static struct {
    lw_event event;
    lw_semaphore semaphore;
    lw_channel channel;
    lw_group group;
    uint32_t word, done;
    int items[2];
} busy;

static int use_all(void *arg)
{
    int item = 0, err = 0; /* whichever */

    (void)arg;
    while (!lw_load_acq(&busy.done)) {
        lw_event_set(&busy.event);
        lw_event_clear(&busy.event);
        (void)lw_futex_wake(&busy.word, 1);
        (void)lw_semaphore_release(&busy.semaphore, 1);
        err |= lw_semaphore_acquire(&busy.semaphore, 1, LW_NOW);
        err |= lw_channel_send(&busy.channel, &item, LW_NOW);
        err |= lw_channel_receive(&busy.channel, &item, LW_NOW);
        (void)lw_channel_broadcast(&busy.channel, &item);
        lw_group_cancel(&busy.group);
        lw_trim();
    }
    return err <= 0 ? 0 : err;
}

static void use_all_in_child(void)
{
    int item = 0;
    void *value;

    lw_event_set(&busy.event);
    lw_event_clear(&busy.event);
    CHILD_CHECK(lw_event_get(&busy.event, &value) == -ECHILD);
    CHILD_CHECK(lw_futex_wake(&busy.word, 1) == 0);
    CHILD_CHECK(lw_semaphore_release(&busy.semaphore, 1) == -ECHILD);
    CHILD_CHECK(lw_semaphore_acquire(&busy.semaphore, 1, LW_NOW) == -ECHILD);
    CHILD_CHECK(lw_channel_send(&busy.channel, &item, LW_NOW) == -ECHILD);
    CHILD_CHECK(lw_channel_receive(&busy.channel, &item, LW_NOW) == -ECHILD);
    CHILD_CHECK(lw_channel_broadcast(&busy.channel, &item) == 0);
    lw_channel_close(&busy.channel);
    lw_group_cancel(&busy.group);
    lw_trim();
}

static int fork_amid(void *arg)
{
    lw_task user;

    (void)arg;
    memset(&busy, 0, sizeof busy);
    busy.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("busy", 1);
    lw_channel_init(&busy.channel, "busy", busy.items, sizeof *busy.items, 2);
    cr_assert_eq(lw_spawn(&user, use_all, NULL, NULL), 0);
    for (long i = 0; i < rounds(100); i++) {
        pid_t child = fork_child();

        if (child == 0) {
            use_all_in_child();
            _exit(44);
        }
        assert_exited(child, 44);
    }
    lw_store_rel(&busy.done, 1);
    return lw_join(user, NULL, LW_FOREVER);
}

Test(fork, no_call_in_the_child_hangs_on_what_others_were_using)
{
    run_with(2, fork_amid, NULL);
}

Test(fork, each_call_in_the_child_of_a_task_fails_and_none_hangs)
{
    run_all(check_children, NULL);
}

static void *fork_in_thread(void *arg)
{
    (void)arg;
    (void)check_children(NULL);
    return NULL;
}

Test(fork, each_call_in_the_child_of_a_plain_thread_fails_and_none_hangs)
{
    pthread_t thread;
    lw_options options = {.workers = 2};

    cr_assert_eq(lw_start(&its_runtime, &options), 0);
    (void)check_children(NULL);
    cr_assert_eq(pthread_create(&thread, NULL, fork_in_thread, NULL), 0); /* no guest yet */
    (void)pthread_join(thread, NULL);
    cr_assert_eq(lw_stop(its_runtime, lw_in(10 * LW_SEC)), 0);
}

static pid_t child_that_returned;

static int return_in_child(void *arg)
{
    pid_t child = fork_child();

    (void)arg;
    if (child == 0)
        return 33;
    child_that_returned = child;
    return 0;
}

static int check_return(void *arg)
{
    lw_task task;
    int status;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, return_in_child, NULL, NULL), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    assert_exited(child_that_returned, 33);
    return 0;
}

Test(fork, child_ends_with_its_tasks_function)
{
    run_all(check_return, NULL);
}

/* ---- the parent */

static int work(void *arg)
{
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(lw_sleep(lw_in(100 * LW_US)), 0);
        (void)lw_add_acq_rel((uint32_t *)arg, 1);
    }
    return 0;
}

static int check_parent(void *arg)
{
    lw_task tasks[8];
    uint32_t count = 0;

    (void)arg;
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_spawn(&tasks[i], work, &count, NULL), 0);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork_child();

        if (child == 0) {
            CHILD_CHECK(lw_sleep(LW_FOREVER) == -ECHILD);
            _exit(5);
        }
        assert_exited(child, 5);
    }
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_load_acq(&count), 400);
    return 0;
}

Test(fork, parent_notices_nothing)
{
    run_all(check_parent, NULL);
}

/* ---- no runtime at the fork */

static int spawn_some(void *arg)
{
    uint32_t count = 0;
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, work, &count, NULL), 0);
    return lw_join(task, NULL, LW_FOREVER);
}

static void check_daemon(void)
{
    lw_mutex mutex = {0};
    pid_t child;

    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0); /* makes the thread a guest */
    child = fork_child();
    if (child == 0) {
        lw_options options = {.workers = 2};

        CHILD_CHECK(lw_mutex_release(&mutex) == 0);
        CHILD_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
        CHILD_CHECK(lw_run(&options, spawn_some, NULL) == 0);
        CHILD_CHECK(lw_run(&options, check_exec, NULL) == 0);
        _exit(6);
    }
    assert_exited(child, 6);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
}

Test(fork, before_and_after_a_runtime_loses_nothing)
{
#ifdef NO_THREADS_AFTER_FORK
    cr_skip_test("TSan lets no child of a program with threads start threads");
#endif
    check_daemon();
    run_with(2, spawn_some, NULL);
    run_with(1, check_exec, NULL);
    check_daemon();
}
