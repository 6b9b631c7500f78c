/* SPDX-License-Identifier: MIT */
/* Laws of MSG_WAITALL: all or as much as there was, and nothing that was moved, no error and no
 * cancel is ever lost. */
#include <string.h>
#include <sys/ioctl.h>

#include "tests/runtime/io_support.h"

TestSuite(message, .init = watchdog);

static const char text[] = "nothing but the whole";

enum { SIZE = sizeof text - 1 };

/* What receives, in parts of which one is empty. */
struct receiver {
    int fd;
    lw_nsec deadline;
    char bytes[SIZE + 1];
    ssize_t count, then; /* what it returned; what the next call did */
};

static ssize_t receive_parts(struct receiver *receiver, int flags)
{
    struct iovec parts[] = {{receiver->bytes, 3},
                            {NULL, 0},
                            {receiver->bytes + 3, 10},
                            {receiver->bytes + 13, SIZE - 13}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
    ssize_t count = lw_recvmsg(receiver->fd, &message, flags, receiver->deadline);

    cr_assert_eq(parts[0].iov_len, 3);
    cr_assert_eq(parts[2].iov_base, receiver->bytes + 3, "the parts are the caller's");
    return count;
}

static int receive(void *arg)
{
    struct receiver *receiver = arg;

    receiver->count = receive_parts(receiver, MSG_WAITALL);
    return 0;
}

static int receive_twice(void *arg)
{
    struct receiver *receiver = arg;
    char byte;

    receiver->count = receive_parts(receiver, MSG_WAITALL);
    receiver->then = lw_read(receiver->fd, &byte, 1, LW_FOREVER);
    return 0;
}

/* Until it has taken all that was sent, and waits for more. */
static void until_drained(int fd)
{
    int left;

    do {
        lw_yield();
        until_waiting(fd, LW_SIDE_READ);
        cr_assert_eq(ioctl(fd, FIONREAD, &left), 0);
    } while (left > 0);
}

static void connect_pair(int fds[2], bool tcp)
{
    if (tcp)
        tcp_pair(fds);
    else
        pair(fds);
}

static void *receive_in_thread(void *arg)
{
    (void)receive(arg);
    return NULL;
}

static int in_pieces(void *arg)
{
    (void)arg;
    for (size_t piece = 1; piece <= SIZE; piece++) {
        struct receiver receiver = {.deadline = LW_FOREVER};
        pthread_t thread = 0;
        lw_task task;
        int fds[2];

        connect_pair(fds, piece % 2);
        receiver.fd = fds[0];
        if (piece % 3)
            task = start(receive, &receiver);
        else
            thread = start_thread(receive_in_thread, &receiver);
        for (size_t at = 0; at < SIZE; at += piece) {
            size_t size = SIZE - at < piece ? SIZE - at : piece;

            if (piece % 3)
                until_drained(fds[0]);
            cr_assert_eq(lw_write_all(fds[1], text + at, size, LW_FOREVER), 0);
        }
        cr_assert_eq(lw_write_all(fds[1], "more", 4, LW_FOREVER), 0);
        if (piece % 3)
            end_of(task);
        else
            cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(receiver.count, SIZE, "pieces of %zu: %zd", piece, receiver.count);
        cr_assert_str_eq(receiver.bytes, text);
        close_both(fds);
    }
    return 0;
}

Test(message, comes_whole_however_it_was_cut)
{
    run_all(in_pieces, NULL);
}

static int cut_short(void *arg)
{
    (void)arg;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct receiver receiver = {.deadline = lw_in(2 * LW_MS)};
        int fds[2];

        connect_pair(fds, tcp);
        receiver.fd = fds[0];
        cr_assert_eq(lw_write(fds[1], text, 4, LW_FOREVER), 4);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), 4, "the deadline");
        cr_assert_eq(memcmp(receiver.bytes, text, 4), 0);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), -ETIMEDOUT);
        receiver.deadline = LW_FOREVER;
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL | MSG_DONTWAIT), -ETIMEDOUT);
        cr_assert_eq(lw_write(fds[1], text, 5, LW_FOREVER), 5);
        cr_assert_eq(lw_poll(fds[0], POLLIN, LW_FOREVER), POLLIN);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL | MSG_PEEK), -EINVAL);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL | MSG_DONTWAIT), 5);
        cr_assert_eq(lw_write(fds[1], text, 6, LW_FOREVER), 6);
        cr_assert_eq(shutdown(fds[1], SHUT_WR), 0);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), 6, "the end");
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), 0);
        close_both(fds);
    }
    return 0;
}

Test(message, that_ends_early_gives_what_there_was)
{
    run_all(cut_short, NULL);
}

static void reset(const int fds[2], bool tcp)
{
    const struct linger at_once = {.l_onoff = 1};

    if (tcp)
        cr_assert_eq(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    else /* what is left unread is an error for its sender */
        cr_assert_eq(lw_write(fds[0], "unread", 6, LW_FOREVER), 6);
    cr_assert_eq(lw_close(fds[1]), 0);
}

enum { BY_CANCEL, BY_CLOSE, BY_RESET, WAYS };

/* What ends the wait for the rest is told by the next call. */
static int interrupted(void *arg)
{
    static const ssize_t errors[] = {-ECANCELED, -EBADF, -ECONNRESET};

    (void)arg;
    for (int i = 0; i < 2 * WAYS; i++) {
        struct receiver receiver = {.deadline = LW_FOREVER};
        bool tcp = i >= WAYS;
        lw_task task;
        int fds[2];

        connect_pair(fds, tcp);
        receiver.fd = fds[0];
        task = start(receive_twice, &receiver);
        cr_assert_eq(lw_write(fds[1], text, 7, LW_FOREVER), 7);
        until_drained(fds[0]);
        if (i % WAYS == BY_CANCEL)
            cr_assert_eq(lw_cancel(task), 0);
        else if (i % WAYS == BY_CLOSE)
            cr_assert_eq(lw_close(fds[0]), 0);
        else
            reset(fds, tcp);
        end_of(task);
        cr_assert_eq(receiver.count, 7, "way %d: %zd", i, receiver.count);
        cr_assert_eq(memcmp(receiver.bytes, text, 7), 0);
        cr_assert_eq(receiver.then, errors[i % WAYS], "way %d: then %zd", i, receiver.then);
        if (i % WAYS != BY_CLOSE)
            cr_assert_eq(lw_close(fds[0]), 0);
        if (i % WAYS != BY_RESET)
            cr_assert_eq(lw_close(fds[1]), 0);
    }
    return 0;
}

Test(message, that_is_interrupted_loses_neither_bytes_nor_the_reason)
{
    run_all(interrupted, NULL);
}

/* A passed descriptor belongs to the bytes that it came with. */
static int with_ancillary_data(void *arg)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char bytes[8] = "abcdefg";
    struct iovec part = {bytes, 2};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fds[2], got;

    (void)arg;
    pair(fds);
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &fds[0], sizeof(int));
    cr_assert_eq(lw_sendmsg(fds[0], &message, 0, LW_FOREVER), 2);
    cr_assert_eq(lw_write(fds[0], bytes, 6, LW_FOREVER), 6);
    memset(&control, 0, sizeof control);
    part.iov_len = 8;
    cr_assert_eq(lw_recvmsg(fds[1], &message, MSG_WAITALL, LW_FOREVER), 2);
    cr_assert_eq(message.msg_controllen, sizeof control);
    memcpy(&got, CMSG_DATA(&control.header), sizeof got);
    cr_assert_eq(lw_close(got), 0);
    part.iov_len = 6;
    cr_assert_eq(lw_recvmsg(fds[1], &message, MSG_WAITALL, LW_FOREVER), 6);
    cr_assert_eq(message.msg_controllen, 0);
    close_both(fds);
    return 0;
}

Test(message, ends_with_the_bytes_that_ancillary_data_came_with)
{
    run_with(1, with_ancillary_data, NULL);
}

static int as_datagrams(void *arg)
{
    struct receiver receiver = {.deadline = LW_FOREVER};
    int fds[2];

    (void)arg;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    receiver.fd = fds[0];
    for (ssize_t size = 0; size < 8; size++)
        cr_assert_eq(lw_write(fds[1], text, (size_t)size, LW_FOREVER), size);
    for (ssize_t size = 0; size < 8; size++) {
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL | MSG_PEEK), size);
        cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), size);
    }
    receiver.deadline = LW_NOW;
    cr_assert_eq(receive_parts(&receiver, MSG_WAITALL), -ETIMEDOUT);
    close_both(fds);
    return 0;
}

Test(message, in_a_datagram_is_whole_anyway)
{
    run_with(1, as_datagrams, NULL);
}
