/* SPDX-License-Identifier: MIT */
/* Laws of what a close leaves behind: nothing in any poller, also where somebody else has the same
 * open file, and nothing is looked for in a poller that is gone. */
#include <sys/wait.h>

#include "runtime/poller.h"
#include "runtime/worker.h"
#include "tests/runtime/io_support.h"

static struct lw_sys real;

static void init(void)
{
    watchdog();
    real = lw_sys;
}

TestSuite(close, .init = init);

static int wait_to_read(void *arg)
{
    char byte;

    return (int)lw_read(*(int *)arg, &byte, 1, LW_FOREVER);
}

static void *close_it(void *arg)
{
    return (void *)(intptr_t)lw_close(*(int *)arg);
}

/* ---- open files that somebody else has as well */

#define NOTHING (UINT64_MAX - 1) /* no descriptor, nor a poller's bell */

static uint64_t watched = NOTHING; /* what epoll was given for it */
static uint32_t events_of_watched;

static int count_events(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
    int count = real.epoll_wait(epoll, events, max, timeout);

    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == lw_load_acq(&watched))
            (void)lw_add_acq_rel(&events_of_watched, 1);
    return count;
}

static void serve_and_exit(const int fds[2])
{
    char byte;

    (void)close(fds[1]);
    (void)fcntl(fds[0], F_SETFL, 0);
    while (read(fds[0], &byte, 1) == 1)
        if (write(fds[0], &byte, 1) != 1)
            _exit(1);
    _exit(0);
}

static int leave_it_to_a_child(void *arg)
{
    int fds[2], status;
    uint64_t tag;
    lw_task task;
    pid_t child;
    char byte;

    (void)arg;
    tcp_pair(fds);
    task = start(wait_to_read, &fds[0]);
    until_waiting(fds[0], LW_SIDE_READ);
    tag = lw_descriptor_tag(fds[0], state_of(fds[0]));
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        serve_and_exit(fds);
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -EBADF);
    lw_store_rel(&watched, tag);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), 1);
        cr_assert_eq(lw_read(fds[1], &byte, 1, LW_FOREVER), 1);
    }
    lw_store_rel(&watched, NOTHING);
    cr_assert_eq(lw_close(fds[1]), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    return 0;
}

Test(close, what_goes_on_in_a_child_after_a_close_wakes_nobody_here)
{
    lw_sys.epoll_wait = count_events;
    run_with(1, leave_it_to_a_child, NULL);
    run_with(2, leave_it_to_a_child, NULL);
    cr_assert_eq(events_of_watched, 0, "%u events", events_of_watched);
}

enum { BY_ITS_USER, BY_THE_LAST_ONE_OUT, BY_A_THREAD, WAYS };

/* Born here or not, whoever closes: epoll does not know the old number and open file any more. */
static int duplicates(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2 * WAYS; i++) {
        struct epoll_event event = {0};
        int fds[2], copy, epoll, status;
        lw_task task;

        if (i < WAYS)
            pair(fds);
        else
            tcp_pair(fds);
        copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        task = start(wait_to_read, &fds[0]);
        until_waiting(fds[0], LW_SIDE_READ);
        epoll = lw_load_acq(&lw_descriptor_of(fds[0])->home)->epoll;
        if (i % WAYS != BY_THE_LAST_ONE_OUT)
            cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), 1);
        if (i % WAYS == BY_ITS_USER)
            cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        if (i % WAYS == BY_A_THREAD)
            (void)pthread_join(start_thread(close_it, &fds[0]), NULL);
        else
            cr_assert_eq(lw_close(fds[0]), 0);
        if (i % WAYS != BY_ITS_USER)
            cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);

        cr_assert_eq(dup2(copy, fds[0]), fds[0]);
        cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_MOD, fds[0], &event), -1, "way %d", i);
        cr_assert_eq(errno, ENOENT);
        cr_assert_eq(close(copy), 0);
        close_both(fds);
    }
    return 0;
}

Test(close, a_closed_one_is_not_watched_though_a_duplicate_lives)
{
    run_all(duplicates, NULL);
}

/* ---- closed while its runtime stops */

enum { MANY = 32 };

static int many[MANY][2];
static uint32_t pollers_missed;

static int see_pollers(int epoll, int operation, int fd, struct epoll_event *event)
{
    int err = real.epoll_ctl(epoll, operation, fd, event);

    if (err < 0 && operation == EPOLL_CTL_DEL && errno != ENOENT)
        (void)lw_add_acq_rel(&pollers_missed, 1);
    return err;
}

static int register_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(lw_poll(many[i][0], POLLIN, lw_in(1)), -ETIMEDOUT);
    return 0;
}

static void *close_many(void *arg)
{
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(lw_close(many[i][0]), 0);
    return arg;
}

Test(close, may_be_closed_while_its_runtime_stops)
{
    lw_sys.epoll_ctl = see_pollers;
    for (long round = rounds(200); round > 0; round--) {
        lw_options options = {.workers = 2};
        lw_task_options here = {0};
        lw_runtime *runtime;
        pthread_t closer;
        lw_task task;

        for (int i = 0; i < MANY; i++)
            pair(many[i]);
        cr_assert_eq(lw_start(&runtime, &options), 0);
        here.runtime = runtime;
        cr_assert_eq(lw_spawn(&task, register_many, NULL, &here), 0);
        end_of(task);
        closer = start_thread(close_many, NULL);
        cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
        cr_assert_eq(pthread_join(closer, NULL), 0);
        for (int i = 0; i < MANY; i++)
            cr_assert_eq(lw_close(many[i][1]), 0);
    }
    cr_assert_eq(pollers_missed, 0);
}

/* ---- the library's own numbers */

static void see_it_refused(int fd)
{
    uint64_t bytes = 1;

    cr_assert_geq(fcntl(fd, F_GETFD), 0);
    cr_assert_eq(lw_read(fd, &bytes, sizeof bytes, LW_NOW), -EBADF);
    cr_assert_eq(lw_write(fd, &bytes, sizeof bytes, LW_NOW), -EBADF);
    cr_assert_eq(lw_poll(fd, POLLIN, LW_NOW), -EBADF);
    cr_assert_eq(lw_close(fd), -EBADF);
    cr_assert_geq(fcntl(fd, F_GETFD), 0);
}

static void *read_in_vain(void *arg)
{
    char bytes[8];

    return (void *)(intptr_t)lw_read(*(int *)arg, bytes, sizeof bytes, LW_FOREVER);
}

/* A thread that waits has a bell, an eventfd: a stray call must not get at it. */
Test(close, nobody_gets_at_a_bell)
{
    int ends[2], bell;
    pthread_t thread;
    void *result;

    cr_assert_eq(pipe(ends), 0);
    bell = dup(ends[0]); /* the number that is free next */
    cr_assert_eq(close(bell), 0);
    cr_assert_eq(pthread_create(&thread, NULL, read_in_vain, &ends[0]), 0);
    AWAIT((state_of(ends[0]) & LW_FD_GUESTS) != 0);
    see_it_refused(bell);
    cr_assert_eq(lw_close(ends[0]), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq((intptr_t)result, -EBADF);
    cr_assert_eq(lw_close(ends[1]), 0);
}

enum { EPOLL, DOORBELL, OWN };

static int find_pollers(void *arg)
{
    const struct lw_poller *poller = &lw_thread_self()->worker->poller;
    int *own = arg;

    own[EPOLL] = poller->epoll;
    own[DOORBELL] = poller->doorbell;
    for (int i = 0; i < OWN; i++)
        see_it_refused(own[i]);
    return 0;
}

Test(close, nobody_gets_at_a_poller_and_its_numbers_are_free_after_it)
{
    int own[OWN], ends[2];
    char byte;

    run_with(1, find_pollers, own);
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 2; i++) {
        int high = fcntl(ends[i], F_DUPFD_CLOEXEC, own[EPOLL] + 100);

        cr_assert_eq(close(ends[i]), 0);
        ends[i] = high;
    }
    for (int i = 0; i < OWN; i++) {
        cr_assert_eq(fcntl(ends[0], F_DUPFD_CLOEXEC, own[i]), own[i]);
        cr_assert_eq(lw_write(ends[1], "x", 1, LW_NOW), 1);
        cr_assert_eq(lw_read(own[i], &byte, 1, LW_NOW), 1);
    }
}
