/* SPDX-License-Identifier: MIT */
/* What a program asks of its simulated descriptors, copies of their numbers, and epoll. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/sim/kernel.h"
#include "tests/sim/explore.h"

TestSuite(asking, .init = watchdog);

#define FAILS(call, error) LW_SIM_CHECK((call) == -1 && errno == (error))

static pthread_t start_thread(void *(*main)(void *arg), void *arg)
{
    pthread_t thread;

    LW_SIM_CHECK(pthread_create(&thread, NULL, main, arg) == 0);
    return thread;
}

/* ---- numbers */

static int copy_numbers(void *arg)
{
    int ends[2], others[2], far = SIM_FD_FIRST + 200;
    char byte;

    LW_SIM_CHECK(pipe(ends) == 0 && pipe(others) == 0);
    LW_SIM_CHECK(dup2(ends[1], far) == far && fcntl(far, F_GETFD) == 0);
    LW_SIM_CHECK(dup2(far, far) == far && sim_descriptors_open() == 5);
    LW_SIM_CHECK(dup3(ends[1], far, O_CLOEXEC) == far && fcntl(far, F_GETFD) == FD_CLOEXEC);
    LW_SIM_CHECK(close(ends[1]) == 0 && write(far, "a", 1) == 1);
    LW_SIM_CHECK(read(ends[0], &byte, 1) == 1 && byte == 'a');
    LW_SIM_CHECK(dup2(others[1], far) == far); /* the only writer of the first is closed by that */
    LW_SIM_CHECK(read(ends[0], &byte, 1) == 0);
    LW_SIM_CHECK(sim_descriptors_open() == 4);
    FAILS(dup2(far, STDERR_FILENO), EBADF);
    FAILS(dup2(STDERR_FILENO, far), EBADF);
    FAILS(dup2(far + 1, far + 1), EBADF);
    FAILS(dup2(far + 1, far), EBADF);
    FAILS(dup2(far, INT32_MAX), EBADF);
    FAILS(dup3(far, far, 0), EINVAL);
    FAILS(dup3(far, far + 1, O_NONBLOCK), EINVAL);
    LW_SIM_CHECK(close(far) == 0 && close(ends[0]) == 0);
    LW_SIM_CHECK(close(others[0]) == 0 && close(others[1]) == 0);
    LW_SIM_CHECK(sim_descriptors_open() == 0);
    LW_SIM_CHECK(pipe(ends) == 0 && ends[0] == SIM_FD_FIRST); /* the lowest one, still */
    return 0;
}

Test(asking, a_simulated_number_is_copied_to_a_simulated_number)
{
    sim_plain(copy_numbers, NULL);
}

/* ---- what they are */

static unsigned kind_of(int fd)
{
    struct stat status;
    struct stat64 same;

    LW_SIM_CHECK(fstat(fd, &status) == 0 && fstat64(fd, &same) == 0);
    LW_SIM_CHECK(status.st_mode == same.st_mode && status.st_ino == same.st_ino);
    return status.st_mode & S_IFMT;
}

static ino_t inode_of(int fd)
{
    struct stat status;

    LW_SIM_CHECK(fstat(fd, &status) == 0);
    return status.st_ino;
}

static int ask_kinds(void *arg)
{
    int ends[2], pair[2], bell = eventfd(0, 0), copy;
    struct stat status;

    LW_SIM_CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    LW_SIM_CHECK(kind_of(ends[0]) == S_IFIFO && kind_of(ends[1]) == S_IFIFO);
    LW_SIM_CHECK(kind_of(pair[0]) == S_IFSOCK && kind_of(bell) == 0);
    copy = dup(bell);
    LW_SIM_CHECK(inode_of(ends[0]) == inode_of(ends[1]) && inode_of(bell) == inode_of(copy));
    LW_SIM_CHECK(inode_of(pair[0]) != inode_of(pair[1]) && inode_of(bell) != inode_of(ends[0]));
    LW_SIM_CHECK(isatty(bell) == 0 && errno == ENOTTY);
    LW_SIM_CHECK(close(copy) == 0);
    FAILS(fstat(copy, &status), EBADF);
    FAILS(ioctl(copy, FIONBIO, &copy), EBADF);
    return 0;
}

Test(asking, fstat_tells_pipes_from_sockets)
{
    sim_plain(ask_kinds, NULL);
}

static int pending(int fd)
{
    int count = -1;

    LW_SIM_CHECK(ioctl(fd, FIONREAD, &count) == 0);
    return count;
}

static int ask_pending(void *arg)
{
    int ends[2], pair[2], packets[2], bell = eventfd(3, 0), tcp = socket(AF_INET, SOCK_STREAM, 0),
        on = 1;
    char byte;

    LW_SIM_CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    LW_SIM_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, packets) == 0);
    LW_SIM_CHECK(pending(ends[0]) == 0 && pending(pair[0]) == 0 && pending(packets[0]) == 0);
    LW_SIM_CHECK(write(ends[1], "abc", 3) == 3 && pending(ends[0]) == 3 && pending(ends[1]) == 3);
    LW_SIM_CHECK(write(pair[1], "abcd", 4) == 4 && pending(pair[0]) == 4 && pending(pair[1]) == 0);
    LW_SIM_CHECK(write(packets[1], "ab", 2) == 2 && write(packets[1], "c", 1) == 1);
    LW_SIM_CHECK(pending(packets[0]) == 2); /* the first one alone */
    LW_SIM_CHECK(sockatmark(pair[0]) == 0);
    FAILS(sockatmark(ends[0]), ENOTTY);
    FAILS(ioctl(bell, FIONREAD, &on), ENOTTY);
    FAILS(ioctl(ends[0], TIOCGWINSZ, &on), ENOTTY);
    LW_SIM_CHECK(listen(tcp, 1) == 0);
    FAILS(ioctl(tcp, FIONREAD, &on), EINVAL);

    LW_SIM_CHECK(ioctl(ends[0], FIONBIO, &on) == 0 && fcntl(ends[0], F_GETFL) == O_NONBLOCK);
    while (pending(ends[0]) > 0)
        LW_SIM_CHECK(read(ends[0], &byte, 1) == 1);
    FAILS(read(ends[0], &byte, 1), EAGAIN);
    on = 0;
    LW_SIM_CHECK(ioctl(ends[0], FIONBIO, &on) == 0 && fcntl(ends[0], F_GETFL) == 0);
    LW_SIM_CHECK(ioctl(ends[0], FIOCLEX) == 0 && fcntl(ends[0], F_GETFD) == FD_CLOEXEC);
    LW_SIM_CHECK(ioctl(ends[0], FIONCLEX) == 0 && fcntl(ends[0], F_GETFD) == 0);
    return 0;
}

Test(asking, ioctl_says_how_much_there_is_to_read)
{
    sim_plain(ask_pending, NULL);
}

/* ---- eventfd */

static void *ring(void *arg)
{
    (void)usleep(1000000);
    LW_SIM_CHECK(eventfd_write(*(int *)arg, 2) == 0);
    return NULL;
}

static int wait_for_ring(void *arg)
{
    int bell = eventfd(0, EFD_SEMAPHORE);
    pthread_t thread = start_thread(ring, &bell);
    eventfd_t value = 0;

    LW_SIM_CHECK(eventfd_read(bell, &value) == 0 && value == 1);
    LW_SIM_CHECK(read(bell, &value, sizeof value) == (ssize_t)sizeof value && value == 1);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    FAILS(write(bell, &value, 1), EINVAL);
    LW_SIM_CHECK(fcntl(bell, F_SETFL, O_NONBLOCK) == 0);
    FAILS(eventfd_read(bell, &value), EAGAIN);
    LW_SIM_CHECK(close(bell) == 0);
    FAILS(eventfd_write(bell, 1), EBADF);
    return 0;
}

Test(asking, a_read_of_an_eventfd_waits_as_a_virtual_thread)
{
    sim_plain(wait_for_ring, NULL);
}

/* ---- epoll */

static int add(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Without a socket among them nothing is ready that is not. */
static int await_events(void *arg)
{
    int epoll = epoll_create1(0), ends[2], bell = eventfd(0, 0), outer = epoll_create(9);
    struct epoll_event event;
    pthread_t thread;
    eventfd_t value;

    LW_SIM_CHECK(pipe(ends) == 0 && add(epoll, ends[0]) == 0 && add(epoll, bell) == 0);
    FAILS(add(epoll, bell), EEXIST);
    FAILS(add(epoll, epoll), EINVAL);
    FAILS(add(epoll, STDERR_FILENO), EPERM); /* it is not simulated */
    FAILS(add(bell, ends[0]), EINVAL);
    LW_SIM_CHECK(add(outer, epoll) == 0);
    LW_SIM_CHECK(epoll_wait(outer, &event, 1, 0) == 0);
    LW_SIM_CHECK(epoll_wait(epoll, &event, 1, 86400000) == 0); /* a day */
    thread = start_thread(ring, &bell);
    LW_SIM_CHECK(epoll_wait(outer, &event, 1, -1) == 1 && event.data.fd == epoll);
    LW_SIM_CHECK(epoll_pwait(epoll, &event, 1, -1, NULL) == 1 && event.data.fd == bell);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(eventfd_read(bell, &value) == 0 && value == 2);
    LW_SIM_CHECK(epoll_wait(epoll, &event, 1, 0) == 0 && close(ends[1]) == 0);
    LW_SIM_CHECK(epoll_wait(epoll, &event, 1, -1) == 1 && event.data.fd == ends[0] &&
                 event.events == EPOLLHUP);
    LW_SIM_CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL) == 0);
    LW_SIM_CHECK(epoll_wait(epoll, &event, 1, 1) == 0);
    FAILS(epoll_wait(epoll, &event, 0, 1), EINVAL);
    FAILS(epoll_wait(ends[1], &event, 1, 1), EBADF);
    LW_SIM_CHECK(close(epoll) == 0 && close(outer) == 0);
    LW_SIM_CHECK(close(bell) == 0 && close(ends[0]) == 0 && sim_descriptors_open() == 0);
    return 0;
}

Test(asking, epoll_waits_for_simulated_descriptors)
{
    sim_plain(await_events, NULL);
}
