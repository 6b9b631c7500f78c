/* SPDX-License-Identifier: MIT */
/* Laws of waiting for a descriptor: no edge is lost, whatever is remembered to save system calls,
 * and wherever the descriptor is registered. */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>

#include "runtime/poller.h"
#include "tests/runtime/io_support.h"

TestSuite(edges, .init = watchdog);

/* ---- hints */

enum { CHUNK_MAX = 300 };

struct talk {
    int fd;
    uint64_t seed;
    long chunks;
};

/* Send chunks of any size, in ones and in bursts, with pauses; then the end, at once or later. */
static int speak(void *arg)
{
    struct talk talk = *(struct talk *)arg;
    unsigned char next = 0, bytes[CHUNK_MAX];

    for (long i = 0; i < talk.chunks; i++) {
        size_t size = 1 + draw(&talk.seed) % CHUNK_MAX;

        for (size_t n = 0; n < size; n++)
            bytes[n] = next++;
        cr_assert_eq(lw_write_all(talk.fd, bytes, size, LW_FOREVER), 0);
        for (uint64_t yields = draw(&talk.seed) % 4; yields > 0; yields--)
            lw_yield();
    }
    cr_assert_eq(shutdown(talk.fd, SHUT_WR), 0);
    return 0;
}

/* Read with buffers that are now too small, now too large; the deadlines end some waits early. */
static int listen_to(void *arg)
{
    struct talk talk = *(struct talk *)arg;
    unsigned char next = 0, bytes[2 * CHUNK_MAX];
    ssize_t count = 1;

    while (count != 0) {
        size_t size = 1 + draw(&talk.seed) % sizeof bytes, wrong = 0;
        uint64_t patience = draw(&talk.seed) % 8;

        count = lw_read(talk.fd, bytes, size,
                        patience == 0   ? LW_NOW
                        : patience == 1 ? lw_in(20 * LW_US)
                                        : LW_FOREVER);
        if (count == -ETIMEDOUT) {
            lw_yield();
            continue;
        }
        cr_assert_geq(count, 0, "read: %zd", count);
        for (ssize_t n = 0; n < count; n++)
            wrong += bytes[n] != next++;
        cr_assert_eq(wrong, 0);
    }
    return 0;
}

static int conversations(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(60); seed++) {
        struct talk talks[4];
        int fds[2];

        tcp_pair(fds);
        for (unsigned i = 0; i < 4; i++)
            talks[i] = (struct talk){fds[i % 2], seed * 4 + i, 40};
        lw_task tasks[] = {start(speak, &talks[0]), start(listen_to, &talks[1]),
                           start(speak, &talks[3]), start(listen_to, &talks[2])};
        for (int i = 0; i < 4; i++)
            end_of(tasks[i]);
        close_both(fds);
    }
    return 0;
}

Test(edges, a_short_read_never_hides_what_comes_after_it)
{
    run_all(conversations, NULL);
}

/* A read ends at urgent data, with more behind it that was there before. */
static int read_past_mark(void *arg)
{
    int fd = *(int *)arg;
    char text[32] = "";
    size_t at = 0;

    while (at < 6) {
        ssize_t count = lw_read(fd, text + at, sizeof text - 1 - at, LW_FOREVER);

        cr_assert_gt(count, 0);
        at += (size_t)count;
    }
    cr_assert_str_eq(text, "abcdef");
    return 0;
}

static int urgent(void *arg)
{
    (void)arg;
    for (long i = rounds(300); i > 0; i--) {
        char text[] = "abc!def";
        struct msghdr message = {.msg_iov = &(struct iovec){text, 4}, .msg_iovlen = 1};
        lw_task task;
        int fds[2];

        tcp_pair(fds);
        task = start(read_past_mark, &fds[1]);
        if (i % 2)
            until_waiting(fds[1], LW_SIDE_READ);
        cr_assert_eq(lw_sendmsg(fds[0], &message, MSG_OOB, LW_FOREVER), 4);
        cr_assert_eq(lw_write(fds[0], text + 4, 3, LW_FOREVER), 3);
        end_of(task);
        close_both(fds);
    }
    return 0;
}

Test(edges, what_lies_behind_urgent_data_is_read)
{
    run_all(urgent, NULL);
}

/* ---- system calls that are made */

static struct lw_sys real;
static struct {
    uint32_t recv, send, poll, epoll_wait, others;
} made;

static void forget_calls(void)
{
    lw_store_rlx(&made.recv, 0);
    lw_store_rlx(&made.send, 0);
    lw_store_rlx(&made.poll, 0);
    lw_store_rlx(&made.epoll_wait, 0);
    lw_store_rlx(&made.others, 0);
}

static ssize_t count_recv(int fd, void *buffer, size_t size, int flags)
{
    (void)lw_add_rlx(&made.recv, 1);
    return real.recv(fd, buffer, size, flags);
}

static ssize_t count_send(int fd, const void *buffer, size_t size, int flags)
{
    (void)lw_add_rlx(&made.send, 1);
    return real.send(fd, buffer, size, flags);
}

static int count_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    (void)lw_add_rlx(&made.others, 1);
    return real.epoll_ctl(epoll, operation, fd, event);
}

static int count_fcntl(int fd, int command, int arg)
{
    (void)lw_add_rlx(&made.others, 1);
    return real.fcntl(fd, command, arg);
}

static void *count_calloc(size_t count, size_t size)
{
    (void)lw_add_rlx(&made.others, 1);
    return real.calloc(count, size);
}

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[256];
    ssize_t count;

    while ((count = lw_read(fd, bytes, sizeof bytes, LW_FOREVER)) > 0)
        cr_assert_eq(lw_write(fd, bytes, (size_t)count, LW_FOREVER), count);
    return (int)count;
}

static int few_calls(void *arg)
{
    const uint32_t messages = 1000;
    char bytes[64] = "message", back[256];
    lw_task task;
    int fds[2];

    (void)arg;
    tcp_pair(fds);
    task = start(echo, &fds[1]);
    for (uint32_t i = 0; i < messages + 10; i++) {
        if (i == 10) /* warm */
            forget_calls();
        cr_assert_eq(lw_write(fds[0], bytes, sizeof bytes, LW_FOREVER), sizeof bytes);
        cr_assert_eq(lw_read(fds[0], back, sizeof back, LW_FOREVER), sizeof bytes);
    }
    /* The echo may be one call ahead of us, or behind. */
    cr_assert_leq(lw_load_rlx(&made.send), 2 * messages + 1);
    cr_assert_leq(lw_load_rlx(&made.recv), 2 * messages + 2, "%u tries to read for %u messages",
                  lw_load_rlx(&made.recv),
                  2 * messages);
    cr_assert_eq(lw_load_rlx(&made.others), 0, "%u calls beside recv, send, epoll_wait",
                 lw_load_rlx(&made.others));
    cr_assert_eq(shutdown(fds[0], SHUT_WR), 0);
    end_of(task);
    close_both(fds);
    return 0;
}

Test(edges, a_connection_in_use_makes_no_call_but_recv_send_and_epoll_wait)
{
    real = lw_sys;
    lw_sys.recv = count_recv;
    lw_sys.send = count_send;
    lw_sys.epoll_ctl = count_epoll_ctl;
    lw_sys.fcntl = count_fcntl;
    lw_sys.calloc = count_calloc;
    run_with(1, few_calls, NULL);
}

static int count_poll(struct pollfd *fds, unsigned count, int64_t timeout)
{
    (void)lw_add_rlx(&made.poll, 1);
    return real.poll(fds, count, timeout);
}

static int count_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
    (void)lw_add_rlx(&made.epoll_wait, 1);
    return real.epoll_wait(epoll, events, max, timeout);
}

/* Ready for what the wait is not for: to be written, or with urgent data for somebody else. */
static int useless_readiness(void *arg)
{
    char byte = '!';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[2], elsewhere;

    (void)arg;
    tcp_pair(fds);
    elsewhere = dup(fds[1]); /* not known to have been born here */
    cr_assert_eq(lw_sendmsg(fds[0], &message, MSG_OOB, LW_FOREVER), 1);
    cr_assert_gt(lw_poll(elsewhere, POLLPRI, LW_FOREVER), 0);
    forget_calls();
    cr_assert_eq(lw_poll(elsewhere, POLLIN, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_poll(fds[1], POLLIN, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_read(elsewhere, &byte, 1, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_read(fds[1], &byte, 1, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_leq(lw_load_rlx(&made.poll), 6, "looked %u times", lw_load_rlx(&made.poll));
    cr_assert_leq(lw_load_rlx(&made.recv), 6, "tried %u times", lw_load_rlx(&made.recv));
    cr_assert_lt(lw_load_rlx(&made.epoll_wait), 300, "%u turns in 80 ms",
                 lw_load_rlx(&made.epoll_wait));
    cr_assert_eq(lw_close(elsewhere), 0);
    close_both(fds);
    return 0;
}

Test(edges, readiness_that_is_of_no_use_does_not_keep_anybody_awake)
{
    real = lw_sys;
    lw_sys.recv = count_recv;
    lw_sys.poll = count_poll;
    lw_sys.epoll_wait = count_epoll_wait;
    run_with(1, useless_readiness, NULL);
}

/* ---- registering */

static int read_word(void *arg)
{
    uint64_t word = 0;

    return lw_read(*(int *)arg, &word, sizeof word, LW_FOREVER) == sizeof word ? 0 : -EIO;
}

/* One number, closed and opened again where we cannot see it, now as one thing, now as another. */
static int behind_our_back(void *arg)
{
    uint64_t one = 1, seed = 3;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)arg;
    for (long i = rounds(500); i > 0; i--) {
        int fds[2] = {-1, -1}, from = fd;
        lw_task task;

        switch (draw(&seed) % 3) {
        case 0:
            cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
            break;
        case 1:
            cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
            break;
        default:
            fds[0] = eventfd(0, EFD_CLOEXEC);
        }
        cr_assert_eq(dup2(fds[0], fd), fd); /* closes the one before */
        cr_assert_eq(close(fds[0]), 0);
        if (fds[1] >= 0)
            from = fds[1];
        task = start(read_word, &fd);
        if (draw(&seed) % 2)
            until_waiting(fd, LW_SIDE_READ);
        cr_assert_eq(write(from, &one, sizeof one), sizeof one);
        end_of(task);
        if (fds[1] >= 0)
            cr_assert_eq(close(fds[1]), 0);
    }
    cr_assert_eq(lw_close(fd), 0);
    return 0;
}

Test(edges, a_number_that_changes_hands_behind_our_back_is_waited_for_all_the_same)
{
    run_all(behind_our_back, NULL);
}

static int fds_of_two[2];

static int make_pair(void *arg)
{
    (void)arg;
    tcp_pair(fds_of_two);
    return 0;
}

static int ping_pong(void *arg)
{
    lw_task task = start(echo, &fds_of_two[1]);
    char byte;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(lw_write(fds_of_two[0], "x", 1, LW_FOREVER), 1);
        cr_assert_eq(lw_read(fds_of_two[0], &byte, 1, LW_FOREVER), 1);
    }
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    return 0;
}

Test(edges, a_descriptor_outlives_the_runtime_where_it_was_born)
{
    run_with(2, make_pair, NULL);
    run_with(1, ping_pong, NULL);
    run_with(2, ping_pong, NULL);
    close_both(fds_of_two);
}

static int read_in_other(void *arg)
{
    char byte;

    return lw_read(*(int *)arg, &byte, 1, LW_FOREVER) == 1 ? 0 : -EIO;
}

/* It is registered in one runtime, and waited for in another when the first one ends. */
Test(edges, who_waits_where_the_poller_of_another_runtime_ends_is_taken_over)
{
    lw_options options = {.workers = 1};
    lw_runtime *first, *second;
    lw_task_options in_second;
    lw_task task;
    int status = 1;

    for (int i = 0; i < 20; i++) {
        cr_assert_eq(lw_start(&first, &options), 0);
        cr_assert_eq(lw_spawn(&task, make_pair, NULL, NULL), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_spawn(&task, ping_pong, NULL, NULL), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_start(&second, &options), 0);
        in_second = (lw_task_options){.runtime = second};
        cr_assert_eq(lw_spawn(&task, read_in_other, &fds_of_two[0], &in_second), 0);
        if (i % 2)
            until_waiting(fds_of_two[0], LW_SIDE_READ);
        cr_assert_eq(lw_stop(first, LW_FOREVER), 0);
        cr_assert_eq(lw_write(fds_of_two[1], "x", 1, LW_FOREVER), 1);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0);
        cr_assert_eq(lw_stop(second, LW_FOREVER), 0);
        close_both(fds_of_two);
    }
}

/* An event that was fetched for an earlier life of the number says nothing about this one. */
Test(edges, events_of_earlier_lives_do_not_count)
{
    struct lw_wake_batch batch = {0};
    struct lw_descriptor *descriptor;
    uint64_t old_tag;
    uint32_t edges;
    char byte;
    int fds[2];

    pair(fds);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_NOW), -ETIMEDOUT);
    descriptor = lw_descriptor_of(fds[0]);
    cr_assert_eq(lw_descriptor_number(descriptor), fds[0]);
    cr_assert_eq(lw_descriptor_number(&batch), -1);
    old_tag = lw_descriptor_tag(fds[0], state_of(fds[0]));
    close_both(fds);
    pair(fds);
    edges = descriptor->sides[LW_SIDE_READ].edges;
    lw_descriptor_event(old_tag, EPOLLIN, &batch);
    cr_assert_eq(descriptor->sides[LW_SIDE_READ].edges, edges);
    lw_descriptor_event(lw_descriptor_tag(fds[0], state_of(fds[0])), EPOLLIN, &batch);
    cr_assert_eq(descriptor->sides[LW_SIDE_READ].edges, edges + 1);
    close_both(fds);
}

/* The doorbell is for the owner's sleep: who looks in passing must not take the ring away. */
Test(edges, a_ring_that_somebody_else_fetched_rings_again)
{
    struct lw_poller poller;
    struct pollfd pollfd;

    cr_assert_eq(lw_poller_init(&poller), 0);
    cr_assert_eq(lw_poller_look(&poller), 0);
    pollfd = (struct pollfd){.fd = poller.epoll, .events = POLLIN};
    cr_assert_eq(poll(&pollfd, 1, 0), 0);
    lw_poller_ring(&poller);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(lw_poller_look(&poller), 0, "a ring is no event");
        cr_assert_eq(poll(&pollfd, 1, 0), 1, "the owner would not sleep");
    }
    lw_poller_fini(&poller);
}
