/* SPDX-License-Identifier: MIT */
/* Descriptors that a program makes itself: in a schedule they are the simulated kernel's, as are
 * all calls on them, the library's and the program's own, and who blocks in one waits as a virtual
 * thread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/sim/kernel.h"
#include "tests/sim/explore.h"

TestSuite(making, .init = watchdog);

#define IS_SIMULATED(fd) LW_SIM_CHECK((fd) >= SIM_FD_FIRST)
#define FAILS(call, error) LW_SIM_CHECK((call) == -1 && errno == (error))

/* What the real kernel would give out next: it tells of descriptors that were made there. */
static int next_real(void)
{
    int fd = (int)syscall(SYS_dup, STDERR_FILENO);

    LW_SIM_CHECK(fd >= 0 && syscall(SYS_close, fd) == 0);
    return fd;
}

static void close_two(const int fds[2])
{
    LW_SIM_CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static pthread_t start_thread(void *(*main)(void *arg), void *arg)
{
    pthread_t thread;

    LW_SIM_CHECK(pthread_create(&thread, NULL, main, arg) == 0);
    return thread;
}

/* ---- whose they are */

static void flags_are(int fd, int status, int of_number)
{
    LW_SIM_CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == status && fcntl(fd, F_GETFD) == of_number);
}

static void make_and_close(int fd, int status, int of_number)
{
    IS_SIMULATED(fd);
    flags_are(fd, status, of_number);
    LW_SIM_CHECK(close(fd) == 0);
}

static int make_each(void *arg)
{
    static const int domains[] = {AF_INET, AF_INET6, AF_UNIX}, types[] = {SOCK_STREAM, SOCK_DGRAM};
    int free_now = next_real(), fds[2];

    LW_SIM_CHECK(pipe(fds) == 0);
    make_and_close(fds[0], 0, 0);
    make_and_close(fds[1], 0, 0);
    LW_SIM_CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    make_and_close(fds[0], O_NONBLOCK, FD_CLOEXEC);
    make_and_close(fds[1], O_NONBLOCK, FD_CLOEXEC);
    make_and_close(eventfd(0, EFD_NONBLOCK), O_NONBLOCK, 0);
    make_and_close(epoll_create1(EPOLL_CLOEXEC), 0, FD_CLOEXEC);
    make_and_close(epoll_create(1), 0, 0);
    for (unsigned t = 0; t < 2; t++) {
        LW_SIM_CHECK(socketpair(AF_UNIX, types[t] | SOCK_CLOEXEC, 0, fds) == 0);
        make_and_close(fds[0], 0, FD_CLOEXEC);
        make_and_close(fds[1], 0, FD_CLOEXEC);
        for (unsigned d = 0; d < 3; d++)
            make_and_close(socket(domains[d], types[t] | SOCK_NONBLOCK, 0), O_NONBLOCK, 0);
    }
    LW_SIM_CHECK(sim_descriptors_open() == 0 && next_real() == free_now);
    return 0;
}

Test(making, what_a_program_makes_is_simulated)
{
    sim_plain(make_each, NULL);
}

static int make_others(void *arg)
{
    int fds[2], fd = socket(AF_NETLINK, SOCK_RAW, 0);

    LW_SIM_CHECK(fd >= 0 && fd < SIM_FD_FIRST && close(fd) == 0);
    LW_SIM_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0 && fds[1] < SIM_FD_FIRST);
    close_two(fds);
    FAILS(socketpair(AF_INET, SOCK_STREAM, 0, fds), EOPNOTSUPP);
    FAILS(epoll_create(0), EINVAL);
    FAILS(epoll_create1(-1), EINVAL);
    FAILS(pipe2(fds, -1), EINVAL);
    LW_SIM_CHECK(sim_descriptors_open() == 0);
    return 0;
}

Test(making, kinds_that_the_simulated_kernel_lacks_are_the_real_ones)
{
    sim_plain(make_others, NULL);
}

/* What was made of one kernel, and closed. */
static void made_outside(int fd)
{
    cr_assert(fd >= 0 && fd < SIM_FD_FIRST);
    cr_assert_eq(close(fd), 0);
}

Test(making, outside_a_schedule_all_is_the_real_kernels)
{
    struct epoll_event event = {.events = EPOLLIN};
    char path[] = "making-XXXXXX";
    struct stat status;
    eventfd_t value;
    int fds[2], epoll = epoll_create(1), bell = eventfd(2, 0), number;

    cr_assert(epoll >= 0 && bell >= 0);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event), 0);
    cr_assert_eq(epoll_wait(epoll, &event, 1, 1000), 1);
    cr_assert_eq(epoll_pwait(epoll, &event, 1, 1000, NULL), 1);
    cr_assert_eq(eventfd_read(bell, &value), 0);
    cr_assert_eq(value, 2);
    cr_assert_eq(eventfd_write(bell, 1), 0);
    cr_assert_eq(dup2(bell, epoll), epoll);
    made_outside(dup3(bell, epoll, O_CLOEXEC));
    made_outside(bell);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], "abc", 3), 3);
    cr_assert_eq(ioctl(fds[0], FIONREAD, &number), 0);
    cr_assert_eq(number, 3);
    cr_assert_eq(fstat(fds[0], &status), 0);
    cr_assert(S_ISFIFO(status.st_mode));
    cr_assert_eq(isatty(fds[0]), 0);
    cr_assert_eq(sockatmark(fds[0]), -1);
    made_outside(fds[0]);
    made_outside(fds[1]);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    made_outside(fds[0]);
    made_outside(fds[1]);
    made_outside(socket(AF_INET, SOCK_STREAM, 0));
    made_outside(epoll_create1(0));
    number = mkstemp(path);
    made_outside(number);
    cr_assert_eq(chmod(path, 0400), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode, S_IFREG | 0400);
    cr_assert_eq(remove(path), 0);
    cr_assert_eq(lstat(path, &status), -1);
    cr_assert_eq(unlink(path), -1);
}

/* ---- pipes and pairs */

enum { RECORDS = 20, RECORD = 100 };

/* Each at once, which is whole then. */
static void *write_records(void *arg)
{
    const int *fd = arg;

    for (int i = 0; i < RECORDS; i++) {
        char record[RECORD];

        memset(record, 'a' + i, RECORD);
        if (i % 4 == 3)
            (void)usleep(1000000);
        LW_SIM_CHECK(write(*fd, record, RECORD) == RECORD);
    }
    LW_SIM_CHECK(close(*fd) == 0);
    return NULL;
}

static int read_records(void *arg)
{
    char record[RECORD];
    pthread_t writer;
    int fds[2];

    LW_SIM_CHECK(pipe(fds) == 0);
    writer = start_thread(write_records, &fds[1]);
    for (int i = 0; i < RECORDS; i++) {
        LW_SIM_CHECK(read(fds[0], record, RECORD) == RECORD);
        LW_SIM_CHECK(record[0] == 'a' + i && record[RECORD - 1] == 'a' + i);
    }
    LW_SIM_CHECK(read(fds[0], record, RECORD) == 0);
    LW_SIM_CHECK(pthread_join(writer, NULL) == 0 && close(fds[0]) == 0);
    return 0;
}

Test(making, a_read_of_an_empty_pipe_waits_as_a_virtual_thread)
{
    sim_plain(read_records, NULL);
}

static int read_for_ever(void *arg)
{
    char byte;
    int fds[2];

    LW_SIM_CHECK(pipe(fds) == 0);
    return (int)read(fds[0], &byte, 1);
}

Test(making, a_read_that_nobody_answers_is_stuck)
{
    cr_assert_eq(sim_plain_once(read_for_ever, NULL), LW_SIM_STUCK);
}

/* Through all that a task may read from. */
static int make_way(int kind, int fds[2])
{
    if (kind == 0)
        return pipe(fds);
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int write_late(void *arg)
{
    const int *fd = arg;
    int err = lw_sleep(lw_in(LW_SEC));

    return err < 0 ? err : lw_write_all(*fd, "hello", 5, LW_FOREVER);
}

static int read_in_task(void *arg)
{
    char got[6] = "";
    lw_task writer;
    int fds[2];

    LW_SIM_CHECK(make_way(*(int *)arg, fds) == 0);
    writer = start(write_late, &fds[1]);
    LW_SIM_CHECK(lw_read_all(fds[0], got, 5, LW_FOREVER) == 0);
    LW_SIM_CHECK(strcmp(got, "hello") == 0 && end_of(writer) == 0);
    LW_SIM_CHECK(lw_close(fds[0]) == 0 && lw_close(fds[1]) == 0);
    return 0;
}

Test(making, a_task_reads_from_a_pipe_of_the_programs)
{
    sim_some(read_in_task, &(int){0}, 2);
}

Test(making, a_task_reads_from_a_pair_of_the_programs)
{
    sim_some(read_in_task, &(int){1}, 2);
}

/* ---- sockets */

/* A name on this host; a unix socket's is bound to. */
static socklen_t name_for(int domain, struct sockaddr_storage *name)
{
    *name = (struct sockaddr_storage){.ss_family = (sa_family_t)domain};
    switch (domain) {
    case AF_INET:
        ((struct sockaddr_in *)name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        ((struct sockaddr_in6 *)name)->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
        return sizeof(struct sockaddr_in6);
    default:
        (void)strcpy(((struct sockaddr_un *)name)->sun_path, "making.sock");
        return sizeof(struct sockaddr_un);
    }
}

static struct server {
    int fd;
    struct sockaddr_storage name;
    socklen_t size;
} server;

static void bind_server(int domain, int type)
{
    server.size = name_for(domain, &server.name);
    server.fd = socket(domain, type, 0);
    IS_SIMULATED(server.fd);
    LW_SIM_CHECK(bind(server.fd, (struct sockaddr *)&server.name, server.size) == 0);
    server.size = sizeof server.name;
    LW_SIM_CHECK(getsockname(server.fd, (struct sockaddr *)&server.name, &server.size) == 0);
}

static void *answer(void *arg)
{
    const bool *with_flags = arg;
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    char byte;
    int fd = *with_flags ? accept4(server.fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC)
                         : accept(server.fd, NULL, NULL);

    IS_SIMULATED(fd);
    LW_SIM_CHECK(read(fd, &byte, 1) == 1);
    byte++;
    LW_SIM_CHECK(write(fd, &byte, 1) == 1);
    LW_SIM_CHECK(close(fd) == 0);
    return NULL;
}

static int ask_plainly(void *arg)
{
    int domain = *(int *)arg, fd, free_now = next_real();
    bool with_flags = sim_choose(2) == 1;
    pthread_t thread;
    char byte = 'x';

    bind_server(domain, SOCK_STREAM);
    LW_SIM_CHECK(listen(server.fd, 1) == 0);
    thread = start_thread(answer, &with_flags);
    fd = socket(domain, SOCK_STREAM, 0);
    (void)usleep(1000000);
    LW_SIM_CHECK(connect(fd, (struct sockaddr *)&server.name, server.size) == 0);
    LW_SIM_CHECK(write(fd, &byte, 1) == 1);
    LW_SIM_CHECK(read(fd, &byte, 1) == 1 && byte == 'y');
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0 && next_real() == free_now);
    LW_SIM_CHECK(close(fd) == 0 && close(server.fd) == 0);
    return 0;
}

Test(making, accept_and_connect_wait_as_virtual_threads)
{
    sim_plain(ask_plainly, &(int){AF_INET});
    sim_plain(ask_plainly, &(int){AF_INET6});
    sim_plain(ask_plainly, &(int){AF_UNIX});
}

static int serve_in_task(void *arg)
{
    const int *listener = arg;
    int fd = lw_accept(*listener, NULL, NULL, LW_FOREVER), err;

    if (fd < 0)
        return fd;
    err = lw_write_all(fd, "hi", 2, LW_FOREVER);
    LW_SIM_CHECK(lw_close(fd) == 0);
    return err;
}

static int connect_in_task(void *arg)
{
    int listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), fd, free_now = next_real();
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char got[3] = "";
    lw_task task;

    LW_SIM_CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    task = start(serve_in_task, &listener);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    LW_SIM_CHECK(lw_connect(fd, (struct sockaddr *)&address, size, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_read_all(fd, got, 2, LW_FOREVER) == 0 && strcmp(got, "hi") == 0);
    LW_SIM_CHECK(end_of(task) == 0 && next_real() == free_now);
    LW_SIM_CHECK(lw_close(fd) == 0 && lw_close(listener) == 0);
    return 0;
}

Test(making, a_socket_of_the_programs_is_connected_in_the_simulated_kernel)
{
    sim_some(connect_in_task, NULL, 2);
}

static int send_one(void *arg)
{
    int fd = socket(*(int *)arg, SOCK_DGRAM, 0);
    char ping[] = "ping";
    struct iovec part = {.iov_base = ping, .iov_len = 4};
    struct msghdr message = {.msg_name = &server.name,
                             .msg_namelen = server.size,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    ssize_t sent = lw_sendmsg(fd, &message, 0, LW_FOREVER);

    LW_SIM_CHECK(lw_close(fd) == 0);
    return sent == 4 ? 0 : -EIO;
}

static int receive_datagrams(void *arg)
{
    char got[9] = "";
    struct iovec part = {.iov_base = got, .iov_len = sizeof got - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int free_now = next_real(), pending;
    lw_task task;

    bind_server(*(int *)arg, SOCK_DGRAM);
    task = start(send_one, arg);
    LW_SIM_CHECK((lw_poll(server.fd, POLLIN, LW_FOREVER) & ~POLLIN) == 0);
    LW_SIM_CHECK(end_of(task) == 0 && ioctl(server.fd, FIONREAD, &pending) == 0);
    LW_SIM_CHECK(pending == 4 || pending == 0); /* that it was ready may be the weather */
    LW_SIM_CHECK(lw_recvmsg(server.fd, &message, 0, LW_FOREVER) == 4);
    LW_SIM_CHECK(strcmp(got, "ping") == 0);
    LW_SIM_CHECK(lw_recvmsg(server.fd, &message, 0, lw_in(LW_SEC)) == -ETIMEDOUT);
    LW_SIM_CHECK(lw_close(server.fd) == 0 && next_real() == free_now);
    return 0;
}

Test(making, a_task_receives_datagrams_by_a_socket_of_the_programs)
{
    sim_some(receive_datagrams, &(int){AF_INET}, 2);
    sim_some(receive_datagrams, &(int){AF_INET6}, 2);
    sim_some(receive_datagrams, &(int){AF_UNIX}, 2);
}

/* ---- paths of unix sockets */

static int use_path(void *arg)
{
    const char *path = ((struct sockaddr_un *)&server.name)->sun_path;
    struct stat status;

    for (unsigned i = 0; i < 2; i++) {
        int again = socket(AF_UNIX, SOCK_STREAM, 0);

        bind_server(AF_UNIX, SOCK_STREAM);
        LW_SIM_CHECK(chmod(path, 0600) == 0);
        LW_SIM_CHECK(stat(path, &status) == 0 && S_ISSOCK(status.st_mode));
        LW_SIM_CHECK(lstat(path, &status) == 0 && S_ISSOCK(status.st_mode));
        LW_SIM_CHECK(syscall(SYS_unlinkat, AT_FDCWD, path, 0) < 0); /* the real kernel has none */
        FAILS(bind(again, (struct sockaddr *)&server.name, server.size), EADDRINUSE);
        LW_SIM_CHECK(close(server.fd) == 0);
        LW_SIM_CHECK((i == 0 ? unlink(path) : remove(path)) == 0);
        FAILS(unlink(path), ENOENT);
        FAILS(lstat(path, &status), ENOENT);
        LW_SIM_CHECK(close(again) == 0);
    }
    return 0;
}

Test(making, the_path_of_a_unix_socket_is_removed_where_it_is)
{
    sim_plain(use_path, NULL);
}
