/* SPDX-License-Identifier: MIT */
/* Laws of unix sockets and of datagrams. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/runtime/io_support.h"

static char folder[32], path[64];

static void init(void)
{
    watchdog();
    (void)strcpy(folder, "/tmp/lw-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
}

static void fini(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

TestSuite(local, .init = init, .fini = fini);

/* ---- unix sockets */

static int greet(void *arg)
{
    int fd = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER);

    cr_assert_geq(fd, 0);
    cr_assert_eq(lw_write_all(fd, "hello", 5, LW_FOREVER), 0);
    return lw_close(fd);
}

static int meet(void *arg)
{
    int listener = lw_listen_unix(path), fd;
    char text[8] = "";
    lw_task task;

    (void)arg;
    cr_assert_geq(listener, 0, "listen: %d", listener);
    task = start(greet, &listener);
    cr_assert_geq(fd = lw_connect_unix(path, LW_FOREVER), 0);
    cr_assert_eq(lw_read_all(fd, text, 5, LW_FOREVER), 0);
    cr_assert_str_eq(text, "hello");
    cr_assert_eq(lw_read(fd, text, 1, LW_FOREVER), 0);
    end_of(task);
    cr_assert_eq(lw_listen_unix(path), -EADDRINUSE, "somebody listens");
    cr_assert_eq(lw_close(fd), 0);
    cr_assert_eq(lw_close(listener), 0);
    cr_assert_eq(lw_connect_unix(path, LW_FOREVER), -ECONNREFUSED);
    return 0; /* and leaves the file behind */
}

Test(local, a_listener_takes_the_place_of_one_that_is_gone_and_of_no_other)
{
    run_all(meet, NULL);
}

Test(local, what_is_no_socket_is_never_removed)
{
    struct stat status;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    cr_assert_eq(write(fd, "data", 4), 4);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(lw_listen_unix(path), -EADDRINUSE);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_size, 4);
}

Test(local, a_path_that_does_not_fit_is_an_error)
{
    char longest[109];

    memset(longest, 'x', sizeof longest);
    longest[108] = '\0';
    cr_assert_eq(lw_listen_unix(longest), -ENAMETOOLONG);
    cr_assert_eq(lw_connect_unix(longest, LW_FOREVER), -ENAMETOOLONG);
    cr_assert_eq(lw_listen_unix(""), -ENOENT);
    cr_assert_eq(lw_connect_unix("", LW_FOREVER), -ENOENT);
    cr_assert_eq(lw_connect_unix(path, LW_FOREVER), -ENOENT);
}

static int drain(void *arg)
{
    int fd;

    for (int i = 0; i < 6; i++) {
        cr_assert_geq(fd = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_close(fd), 0);
    }
    return 0;
}

/* connect(2) on a unix socket says EAGAIN and no event follows. */
static int full_queue(void *arg)
{
    int listener = lw_listen_unix(path), fds[6], taken = 0;
    lw_task task;

    (void)arg;
    cr_assert_eq(listen(listener, 2), 0);
    while (taken < 6 && (fds[taken] = lw_connect_unix(path, LW_NOW)) >= 0)
        taken++;
    cr_assert_lt(taken, 6);
    cr_assert_eq(fds[taken], -ETIMEDOUT);
    cr_assert_eq(lw_connect_unix(path, lw_in(3 * LW_MS)), -ETIMEDOUT);
    task = start(drain, &listener);
    for (; taken < 6; taken++)
        cr_assert_geq(fds[taken] = lw_connect_unix(path, LW_FOREVER), 0);
    end_of(task);
    while (taken > 0)
        cr_assert_eq(lw_close(fds[--taken]), 0);
    cr_assert_eq(lw_close(listener), 0);
    return 0;
}

Test(local, a_connect_waits_for_room_in_the_listeners_queue)
{
    run_all(full_queue, NULL);
}

/* ---- what is passed along */

static int pass(void *arg)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fds[2], passed[2], got;

    (void)arg;
    pair(fds);
    pair(passed);
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &passed[0], sizeof(int));
    cr_assert_eq(lw_sendmsg(fds[0], &message, 0, LW_FOREVER), 1);
    memset(&control, 0, sizeof control);
    cr_assert_eq(lw_recvmsg(fds[1], &message, 0, LW_FOREVER), 1);
    memcpy(&got, CMSG_DATA(&control.header), sizeof got);
    cr_assert_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(lw_write(got, "y", 1, LW_FOREVER), 1);
    cr_assert_eq(lw_read(passed[1], &byte, 1, LW_FOREVER), 1);
    cr_assert_eq(byte, 'y');
    cr_assert_eq(lw_recvmsg(fds[1], &message, MSG_DONTWAIT, LW_FOREVER), -ETIMEDOUT);
    cr_assert_eq(lw_close(got), 0);
    close_both(passed);
    close_both(fds);
    return 0;
}

Test(local, a_descriptor_that_is_passed_along_is_close_on_exec)
{
    run_with(2, pass, NULL);
}

/* ---- datagrams */

static int udp(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (struct sockaddr *)address, size), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static int send_back(void *arg)
{
    char bytes[100];
    struct sockaddr_in from;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_name = &from, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t count;

    for (;;) {
        message.msg_namelen = sizeof from;
        part.iov_len = sizeof bytes;
        count = lw_recvmsg(*(int *)arg, &message, 0, LW_FOREVER);
        if (count < 0)
            return count == -EBADF ? 0 : (int)count;
        part.iov_len = (size_t)count;
        cr_assert_eq(lw_sendmsg(*(int *)arg, &message, 0, LW_FOREVER), count);
    }
}

static int datagrams(void *arg)
{
    struct sockaddr_in server_at, client_at;
    int server = udp(&server_at), client = udp(&client_at);
    char bytes[100];
    lw_task tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        tasks[i] = start(send_back, &server);
    cr_assert_eq(lw_connect(client, (struct sockaddr *)&server_at, sizeof server_at, LW_FOREVER),
                 0);
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)i % sizeof bytes;

        memset(bytes, i, sizeof bytes);
        cr_assert_eq(lw_write(client, bytes, size, LW_FOREVER), (ssize_t)size);
        memset(bytes, 0, sizeof bytes);
        cr_assert_eq(lw_read(client, bytes, sizeof bytes, LW_FOREVER), (ssize_t)size);
        for (size_t n = 0; n < size; n++)
            cr_assert_eq(bytes[n], (char)i);
    }
    cr_assert_eq(lw_read(client, bytes, sizeof bytes, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_write(client, "x", 1, LW_FOREVER), 1);
    cr_assert_eq(lw_poll(client, POLLIN, LW_FOREVER), POLLIN);
    cr_assert_eq(lw_read(client, bytes, 0, LW_FOREVER), 0);
    cr_assert_eq(lw_read(client, bytes, 1, LW_FOREVER), 1, "nothing was taken for nothing");
    cr_assert_eq(lw_close(server), 0);
    for (int i = 0; i < 3; i++)
        end_of(tasks[i]);
    cr_assert_eq(lw_close(client), 0);
    return 0;
}

Test(local, datagrams_come_back_whole_whoever_takes_them)
{
    run_all(datagrams, NULL);
}

static int letterbox(struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)strcpy(address->sun_path, path);
    cr_assert_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

Test(local, a_listener_takes_the_place_of_a_letterbox_once_nobody_has_it)
{
    struct sockaddr_un address;
    struct stat before, now;
    int box = letterbox(&address), listener;

    cr_assert_eq(stat(path, &before), 0);
    cr_assert_eq(lw_listen_unix(path), -EADDRINUSE);
    cr_assert_eq(stat(path, &now), 0);
    cr_assert_eq(now.st_ino, before.st_ino);
    cr_assert_eq(lw_close(box), 0);
    cr_assert_geq(listener = lw_listen_unix(path), 0);
    cr_assert_eq(lw_close(listener), 0);
}

static int post(void *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char letter[] = "letter";
    struct iovec part = {letter, sizeof letter};
    struct msghdr message = {
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};

    (void)strcpy(to.sun_path, path);
    return (int)lw_sendmsg(*(int *)arg, &message, 0, LW_FOREVER) == sizeof letter ? 0 : -EIO;
}

static struct lw_sys real;
static uint32_t attempts;

static ssize_t count_sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)lw_add_rlx(&attempts, 1);
    return real.sendmsg(fd, message, flags);
}

/* A queue that others have filled: our socket gets no event when it is emptied. */
static int full_letterbox(void *arg)
{
    struct sockaddr_un address;
    int box = letterbox(&address), others = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), sent = 0;
    const struct sockaddr *at = (struct sockaddr *)&address;
    char letter[8] = "";
    lw_task task;

    (void)arg;
    while (sendto(others, "other", 6, MSG_DONTWAIT, at, sizeof address) == 6)
        sent++;
    task = start(post, &ours);
    until_inside(ours, 1);
    lw_store_rlx(&attempts, 0);
    cr_assert_eq(lw_sleep(lw_in(50 * LW_MS)), 0);
    cr_assert_leq(lw_load_rlx(&attempts), 10, "%u attempts in 50 ms", attempts);
    while (sent-- > 0) {
        cr_assert_eq(lw_read(box, letter, sizeof letter, LW_FOREVER), 6);
        cr_assert_str_eq(letter, "other");
    }
    cr_assert_eq(lw_read(box, letter, sizeof letter, LW_FOREVER), 7);
    cr_assert_str_eq(letter, "letter");
    end_of(task);
    cr_assert_eq(lw_close(box), 0);
    cr_assert_eq(lw_close(ours), 0);
    cr_assert_eq(lw_close(others), 0);
    cr_assert_eq(unlink(path), 0);
    return 0;
}

Test(local, a_datagram_waits_for_room_in_a_queue_that_others_filled)
{
    real = lw_sys;
    lw_sys.sendmsg = count_sendmsg;
    run_all(full_letterbox, NULL);
}
