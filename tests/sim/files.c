/* SPDX-License-Identifier: MIT */
/* What a program does itself with descriptors that the library has made, in a schedule; and with
 * those of the real kernel. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/sim/kernel.h"
#include "tests/sim/explore.h"

TestSuite(files, .init = watchdog);

/* A listener, and the port that it got. */
static int listen_anywhere(char service[8])
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER);

    LW_SIM_CHECK(fd >= SIM_FD_FIRST);
    LW_SIM_CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    LW_SIM_CHECK(size == sizeof address && address.sin_port != 0);
    (void)snprintf(service, 8, "%u", ntohs(address.sin_port));
    return fd;
}

/* A connection's two ends. */
static void connect_two(int ends[2])
{
    char service[8];
    int listener = listen_anywhere(service);

    ends[0] = lw_connect_tcp("127.0.0.1", service, LW_FOREVER);
    LW_SIM_CHECK(ends[0] >= 0);
    ends[1] = lw_accept(listener, NULL, NULL, LW_FOREVER);
    LW_SIM_CHECK(ends[1] >= 0);
    LW_SIM_CHECK(lw_close(listener) == 0);
}

/* Byte by byte: how much one call moves is the weather's, as is what interrupts or delays it. */
#define MOVED(call)                                                                                \
    do {                                                                                           \
        ssize_t moved_;                                                                            \
        while ((moved_ = (call)) < 0 && (errno == EAGAIN || errno == EINTR))                       \
            (void)usleep(100);                                                                     \
        LW_SIM_CHECK(moved_ == 1);                                                                 \
    } while (0)

static int use_calls(void *arg)
{
    struct sockaddr_in near, far;
    socklen_t near_size = sizeof near, far_size = sizeof far;
    int ends[2], copy, on = 1;
    char byte = 'x', got[6] = "";
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    connect_two(ends);
    MOVED(write(ends[0], "a", 1));
    MOVED(send(ends[0], "b", 1, MSG_NOSIGNAL));
    MOVED(writev(ends[0], &part, 1));
    MOVED(sendmsg(ends[0], &message, 0));
    MOVED(sendto(ends[0], "e", 1, 0, NULL, 0));
    MOVED(read(ends[1], &got[0], 1));
    MOVED(recv(ends[1], &got[1], 1, 0));
    MOVED(readv(ends[1], &part, 1));
    got[2] = byte;
    MOVED(recvmsg(ends[1], &message, 0));
    got[3] = byte;
    MOVED(recvfrom(ends[1], &got[4], 1, 0, NULL, NULL));
    LW_SIM_CHECK(strcmp(got, "abxxe") == 0);

    LW_SIM_CHECK(setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    on = 0;
    LW_SIM_CHECK(getsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, &(socklen_t){sizeof on}) == 0);
    LW_SIM_CHECK(on == 1);
    LW_SIM_CHECK(getsockname(ends[0], (struct sockaddr *)&near, &near_size) == 0);
    LW_SIM_CHECK(getpeername(ends[1], (struct sockaddr *)&far, &far_size) == 0);
    LW_SIM_CHECK(near.sin_port == far.sin_port && near.sin_port != 0);
    LW_SIM_CHECK((fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
    LW_SIM_CHECK(fcntl(ends[0], F_GETFD) == FD_CLOEXEC);

    copy = dup(ends[0]);
    LW_SIM_CHECK(copy >= SIM_FD_FIRST && copy != ends[0]);
    LW_SIM_CHECK(shutdown(copy, SHUT_WR) == 0);
    LW_SIM_CHECK(close(copy) == 0 && close(copy) == -1 && errno == EBADF);
    LW_SIM_CHECK(lw_read(ends[1], &byte, 1, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_close(ends[0]) == 0 && lw_close(ends[1]) == 0);
    return 0;
}

Test(files, a_programs_own_calls_work_on_the_librarys_descriptors)
{
    sim_some(use_calls, NULL, 4);
}

/* ---- poll(2) */

static void *write_later(void *arg)
{
    (void)usleep(5000);
    MOVED(write(*(int *)arg, "x", 1));
    return NULL;
}

static int poll_one(int fd, int milliseconds)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    struct timespec time = {.tv_sec = milliseconds / 1000};
    int found;

    do
        found = milliseconds % 2 == 0 ? poll(&pollfd, 1, milliseconds)
                                      : ppoll(&pollfd, 1, &time, NULL);
    while ((found < 0 && errno == EINTR));
    LW_SIM_CHECK(found == 0 || (found == 1 && pollfd.revents == POLLIN));
    return found;
}

static int poll_ends(void *arg)
{
    bool real = *(bool *)arg;
    pthread_t thread;
    int ends[2];

    if (real)
        LW_SIM_CHECK(syscall(SYS_pipe2, ends, O_CLOEXEC) == 0 && ends[1] < SIM_FD_FIRST);
    else
        connect_two(ends);
    while (!real && poll_one(ends[0], 0) != 0)
        continue; /* ready for nothing, by the weather */
    LW_SIM_CHECK(pthread_create(&thread, NULL, write_later, &ends[1]) == 0);
    LW_SIM_CHECK(poll_one(ends[0], real ? 3600000 : 3600001) == 1);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(poll_one(ends[0], 3600000) == 1); /* that it was there before may be the weather */
    LW_SIM_CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    return 0;
}

static int poll_for_strange_times(void *arg)
{
    struct timespec times[] = {{.tv_nsec = 1000000000}, {.tv_nsec = -1}, {.tv_sec = -1}};
    struct pollfd pollfd = {.events = POLLIN};
    int ends[2];

    (void)arg;
    connect_two(ends);
    pollfd.fd = ends[0];
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        errno = 0;
        LW_SIM_CHECK(ppoll(&pollfd, 1, &times[i], NULL) == -1 && errno == EINVAL);
    }
    LW_SIM_CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    return 0;
}

Test(files, what_is_no_time_is_refused_by_ppoll)
{
    sim_some(poll_for_strange_times, NULL, 4);
}

Test(files, poll_waits_for_either_kernels_descriptors)
{
    sim_some(poll_ends, &(bool){false}, 4);
    sim_some(poll_ends, &(bool){true}, 4);
}
