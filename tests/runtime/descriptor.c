/* SPDX-License-Identifier: MIT */
/* Laws of descriptors: what kinds there are, that a close reaches everybody who is on one, and that
 * nobody ever gets what belongs to a later life of its number. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/worker.h"
#include "tests/runtime/io_support.h"

TestSuite(descriptor, .init = watchdog);

/* ---- other kinds of descriptors */

static int broken_ends(void *arg)
{
    static char many[100000];
    int fds[2];

    (void)arg;
    pair(fds);
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), -EPIPE);
    cr_assert_eq(lw_close(fds[1]), 0);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), -EPIPE);
    cr_assert_eq(lw_write_all(fds[1], many, sizeof many, LW_FOREVER), -EPIPE);
    cr_assert_eq(lw_close(fds[1]), 0);
    return 0;
}

static uint32_t pipes_broken;

static void on_sigpipe(int number)
{
    (void)number;
    (void)lw_add_rlx(&pipes_broken, 1);
}

Test(descriptor, a_broken_pipe_is_an_error_and_never_a_signal)
{
    sigset_t pipe_set, pending;
    int fds[2];

    run_all(broken_ends, NULL); /* the default action would end us */
    cr_assert_neq(signal(SIGPIPE, on_sigpipe), SIG_ERR);
    run_all(broken_ends, NULL);
    cr_assert_eq(broken_ends(NULL), 0);
    cr_assert_eq(pipes_broken, 0);

    /* One that was pending before stays so; where it is blocked none is left behind. */
    cr_assert_eq(sigemptyset(&pipe_set), 0);
    cr_assert_eq(sigaddset(&pipe_set, SIGPIPE), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &pipe_set, NULL), 0);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), -EPIPE);
    cr_assert_eq(sigpending(&pending), 0);
    cr_assert_eq(sigismember(&pending, SIGPIPE), 0);
    cr_assert_eq(raise(SIGPIPE), 0);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), -EPIPE);
    cr_assert_eq(sigpending(&pending), 0);
    cr_assert_eq(sigismember(&pending, SIGPIPE), 1);
    cr_assert_eq(lw_close(fds[1]), 0);
}

static int file_moves(void *arg)
{
    char name[] = "/tmp/lw-test-XXXXXX", text[8] = "";
    int fd = mkstemp(name);

    (void)arg;
    cr_assert_geq(fd, 0);
    cr_assert_eq(unlink(name), 0);
    cr_assert_eq(lw_write(fd, "regular", 7, LW_FOREVER), 7);
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    cr_assert_eq(lw_poll(fd, POLLIN | POLLOUT, LW_FOREVER), POLLIN | POLLOUT);
    cr_assert_eq(lw_read_all(fd, text, 7, LW_NOW), 0);
    cr_assert_str_eq(text, "regular");
    cr_assert_eq(lw_read(fd, text, 7, LW_FOREVER), 0);
    cr_assert_eq(lw_close(fd), 0);
    return 0;
}

Test(descriptor, regular_files_are_always_ready)
{
    run_with(2, file_moves, NULL);
}

static int type_line(void *arg)
{
    return lw_write(*(int *)arg, "typed\n", 6, LW_FOREVER) == 6 ? 0 : -EIO;
}

static int terminal(void *arg)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
    char line[16] = "";
    lw_task task;

    (void)arg;
    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master) | unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(slave, 0);
    cr_assert_eq(lw_read(slave, line, sizeof line, lw_in(LW_MS)), -ETIMEDOUT);
    task = start(type_line, &master);
    cr_assert_eq(lw_read(slave, line, sizeof line, LW_FOREVER), 6);
    cr_assert_str_eq(line, "typed\n");
    end_of(task);
    cr_assert_eq(lw_close(slave), 0);
    cr_assert_eq(lw_close(master), 0);
    return 0;
}

Test(descriptor, terminals_are_waited_for)
{
    run_with(2, terminal, NULL);
}

static int no_descriptors(void *arg)
{
    char byte;
    struct iovec part = {&byte, 1}; /* of no part at all qemu says that it was received */
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[2];

    (void)arg;
    for (int i = 0; i < 4; i++) {
        const int bad[] = {-1, INT32_MIN, 1000, 50000000};

        cr_assert_eq(lw_read(bad[i], &byte, 1, LW_FOREVER), -EBADF);
        cr_assert_eq(lw_write(bad[i], &byte, 1, LW_NOW), -EBADF);
        cr_assert_eq(lw_poll(bad[i], POLLIN, LW_NOW), -EBADF);
        cr_assert_eq(lw_recvmsg(bad[i], &message, 0, LW_NOW), -EBADF);
        cr_assert_eq(lw_accept(bad[i], NULL, NULL, LW_NOW), -EBADF);
        cr_assert_eq(lw_close(bad[i]), -EBADF);
    }
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(lw_recvmsg(fds[0], &message, 0, LW_NOW), -ENOTSOCK);
    cr_assert_eq(lw_accept(fds[0], NULL, NULL, LW_NOW), -ENOTSOCK);
    cr_assert_eq(lw_read(fds[1], &byte, 1, LW_NOW), -EBADF, "the end that is written");
    close_both(fds);
    cr_assert_eq(lw_close(fds[0]), -EBADF);
    return 0;
}

Test(descriptor, what_is_no_descriptor_is_said_to_be_none)
{
    run_with(1, no_descriptors, NULL);
    cr_assert_eq(no_descriptors(NULL), 0);
}

/* ---- close */

static int wait_to_read(void *arg)
{
    char byte;

    return (int)lw_read(*(int *)arg, &byte, 1, LW_FOREVER);
}

static int wait_to_read_all(void *arg)
{
    char bytes[2];

    return lw_read_all(*(int *)arg, bytes, sizeof bytes, LW_FOREVER);
}

static int wait_to_write(void *arg)
{
    static char many[1000000];

    return lw_write_all(*(int *)arg, many, sizeof many, LW_FOREVER);
}

static int wait_to_see(void *arg)
{
    return lw_poll(*(int *)arg, POLLIN, LW_FOREVER);
}

static void *thread_waits(void *arg)
{
    return (void *)(intptr_t)wait_to_read(arg);
}

static void *thread_watches(void *arg)
{
    return (void *)(intptr_t)wait_to_see(arg);
}

enum { WAITERS = 10 };

/* Tasks and plain threads, in all directions. */
static int close_reaches(void *arg)
{
    lw_fn *const fns[] = {wait_to_read, wait_to_read_all, wait_to_write, wait_to_see};
    lw_task tasks[WAITERS];
    pthread_t threads[2];
    int fds[2], status;
    void *result;

    (void)arg;
    pair(fds);
    for (int i = 0; i < WAITERS; i++)
        tasks[i] = start(fns[i % 4], &fds[0]);
    threads[0] = start_thread(thread_waits, &fds[0]);
    threads[1] = start_thread(thread_watches, &fds[0]);
    until_inside(fds[0], WAITERS + 2);
    until_waiting(fds[0], LW_SIDE_READ);
    until_waiting(fds[0], LW_SIDE_WRITE);
    until_waiting(fds[0], LW_SIDE_WATCH);
    while (!(state_of(fds[0]) & LW_FD_GUESTS))
        lw_yield();
    cr_assert_eq(lw_close(fds[0]), 0);
    for (int i = 0; i < WAITERS; i++) {
        cr_assert_eq(lw_join(tasks[i], &status, LW_FOREVER), 0);
        cr_assert_eq(status, -EBADF, "waiter %d: %d", i, status);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_eq((intptr_t)result, -EBADF);
    }
    cr_assert_eq(fcntl(fds[0], F_GETFD), -1, "the last one out has closed it");
    cr_assert_eq(lw_close(fds[0]), -EBADF);
    cr_assert_eq(lw_close(fds[1]), 0);
    return 0;
}

Test(descriptor, a_close_ends_the_wait_of_everybody_on_it)
{
    run_all(close_reaches, NULL);
}

static void *close_reaches_threads(void *arg)
{
    int fds[2];
    pthread_t thread;
    void *result;

    (void)arg;
    pair(fds);
    thread = start_thread(thread_waits, &fds[0]);
    while (!(state_of(fds[0]) & LW_FD_GUESTS))
        lw_sys.yield();
    cr_assert_eq(lw_close(fds[0]), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq((intptr_t)result, -EBADF);
    cr_assert_eq(lw_close(fds[1]), 0);
    return NULL;
}

Test(descriptor, a_close_ends_the_wait_of_threads_without_a_runtime)
{
    pthread_t threads[4];

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 4; i++)
            threads[i] = start_thread(close_reaches_threads, NULL);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
}

/* One life of a number: whoever reads in it may only see its tag. */
struct life {
    int fds[2];
    uint32_t entered, left;
    unsigned char tag;
};

static int read_in_life(void *arg)
{
    struct life *life = arg;
    unsigned char byte = 0;
    ssize_t count = lw_read(life->fds[0], &byte, 1, LW_FOREVER);

    cr_assert(count == -EBADF || (count == 1 && byte == life->tag), "%zd, tag %d instead of %d",
              count, byte, life->tag);
    (void)lw_add_acq_rel(&life->left, 1);
    return 0;
}

/* Readers wait, or are about to, when their descriptor is closed and its number is used again: by a
 * socket pair that has something to read at once. */
static int live_and_die(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;

    for (long i = rounds(1500); i > 0; i--) {
        struct life life = {.tag = (unsigned char)draw(&seed)},
                    next = {.tag = (unsigned char)~life.tag};
        unsigned readers = 1 + (unsigned)draw(&seed) % 3;
        unsigned char byte;
        lw_task tasks[3];

        pair(life.fds);
        for (unsigned r = 0; r < readers; r++)
            tasks[r] = start(read_in_life, &life);
        until_inside(life.fds[0], readers); /* inside, and thus in this life */
        if (draw(&seed) % 2)
            until_waiting(life.fds[0], LW_SIDE_READ);
        if (draw(&seed) % 4 == 0)
            cr_assert_eq(lw_write(life.fds[1], &life.tag, 1, LW_FOREVER), 1);
        cr_assert_eq(lw_close(life.fds[0]), 0);
        pair(next.fds);
        cr_assert_eq(lw_write(next.fds[1], &next.tag, 1, LW_FOREVER), 1);
        cr_assert_eq(lw_write(next.fds[0], &next.tag, 1, LW_FOREVER), 1);
        for (unsigned r = 0; r < readers; r++)
            end_of(tasks[r]);
        cr_assert_eq(lw_read(next.fds[0], &byte, 1, LW_FOREVER), 1);
        cr_assert_eq(byte, next.tag);
        close_both(next.fds);
        cr_assert_eq(lw_close(life.fds[1]), 0);
    }
    return 0;
}

static int lives(void *arg)
{
    lw_task tasks[4];

    (void)arg;
    for (uintptr_t i = 0; i < 4; i++)
        tasks[i] = start(live_and_die, (void *)(i + 1));
    for (int i = 0; i < 4; i++)
        end_of(tasks[i]);
    return 0;
}

Test(descriptor, a_number_that_is_used_again_is_never_read_by_who_waited_for_the_old_one)
{
    run_all(lives, NULL);
}

/* ---- who comes while the last one out closes */

static struct lw_sys real;
static int watched = -1;
static uint32_t may_come;

/* The record is in its next life, the number names the old descriptor yet: here comes a reader. */
static int close_with_company(int fd)
{
    if (fd == lw_load_acq(&watched)) {
        lw_store_rel(&may_come, 1);
        while (!(state_of(fd) & (LW_FD_QUEUED << LW_SIDE_READ | LW_FD_GUESTS)))
            lw_sys.yield();
        lw_store_rel(&watched, -1);
    }
    return real.close(fd);
}

static int come_late(void *arg)
{
    while (!lw_load_acq(&may_come))
        lw_yield();
    return wait_to_read(arg);
}

static void *come_late_as_thread(void *arg)
{
    while (!lw_load_acq(&may_come))
        lw_sys.yield();
    return (void *)(intptr_t)wait_to_read(arg);
}

static void *close_it(void *arg)
{
    return (void *)(intptr_t)lw_close(*(int *)arg);
}

/* No worker looks stuck: a spare that came for one which waits for a thread here would give the
 * number that was closed to its own poller, and the late one would rightly read from that. */
static char always_running(int number)
{
    (void)number;
    return 'R';
}

static int late_comers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 40; i++) {
        pthread_t closer, late_thread;
        int fds[2], status = 0;
        lw_task late;
        void *result;

        pair(fds);
        cr_assert_eq(lw_poll(fds[0], POLLIN, LW_NOW), -ETIMEDOUT); /* its record is there */
        lw_store_rel(&may_come, 0);
        lw_store_rel(&watched, fds[0]);
        closer = start_thread(close_it, &fds[0]);
        if (i % 2) {
            late = start(come_late, &fds[0]);
            cr_assert_eq(lw_join(late, &status, LW_FOREVER), 0);
        } else {
            late_thread = start_thread(come_late_as_thread, &fds[0]);
            cr_assert_eq(pthread_join(late_thread, &result), 0);
            status = (int)(intptr_t)result;
        }
        cr_assert_eq(status, -EBADF, "%d, %s", status, i % 2 ? "a task" : "a thread");
        cr_assert_eq(pthread_join(closer, &result), 0);
        cr_assert_eq((intptr_t)result, 0);
        cr_assert_eq(lw_close(fds[1]), 0);
    }
    return 0;
}

Test(descriptor, who_comes_in_the_middle_of_a_close_is_not_left_waiting)
{
    real = lw_sys;
    lw_sys.close = close_with_company;
    lw_sys.thread_state = always_running;
    run_with(1, late_comers, NULL);
    run_with(2, late_comers, NULL);
}
