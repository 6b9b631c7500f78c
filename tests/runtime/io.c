/* SPDX-License-Identifier: MIT */
/* Laws of the calls on descriptors: what is moved is what was sent, a call that fails has moved
 * nothing, and nobody else's readiness is used up. */
#include <string.h>
#include <sys/eventfd.h>

#include "tests/runtime/io_support.h"

TestSuite(io, .init = watchdog);

/* ---- streams */

struct stream {
    int fd;
    uint64_t seed;
    size_t size;
};

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 31 + at / 251);
}

static int stream_out(void *arg)
{
    struct stream stream = *(struct stream *)arg;
    unsigned char buffer[9000];

    for (size_t at = 0; at < stream.size;) {
        size_t size = 1 + draw(&stream.seed) % sizeof buffer;
        ssize_t count;

        if (size > stream.size - at)
            size = stream.size - at;
        for (size_t i = 0; i < size; i++)
            buffer[i] = byte_at(at + i);
        count = lw_write(stream.fd, buffer, size, LW_FOREVER);
        cr_assert_gt(count, 0, "write: %zd", count);
        at += (size_t)count;
    }
    return 0;
}

static int stream_in(void *arg)
{
    struct stream stream = *(struct stream *)arg;
    unsigned char buffer[9000];

    for (size_t at = 0; at < stream.size;) {
        size_t size = 1 + draw(&stream.seed) % sizeof buffer, wrong = 0;
        ssize_t count = lw_read(stream.fd, buffer, size, LW_FOREVER);

        cr_assert_gt(count, 0, "read: %zd", count);
        for (ssize_t i = 0; i < count; i++)
            wrong += buffer[i] != byte_at(at + (size_t)i);
        cr_assert_eq(wrong, 0);
        at += (size_t)count;
    }
    return 0;
}

static int streams(void *arg)
{
    size_t size = (size_t)rounds(1000000);
    int fds[2], pipes[2];

    (void)arg;
    pair(fds);
    cr_assert_eq(pipe(pipes), 0);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct stream ends[] = {{fds[0], seed, size},
                                {fds[1], seed + 10, size},
                                {pipes[0], seed + 20, size},
                                {pipes[1], seed + 30, size}};
        lw_task tasks[] = {start(stream_out, &ends[0]), start(stream_in, &ends[1]),
                           start(stream_out, &ends[1]), start(stream_in, &ends[0]),
                           start(stream_in, &ends[2]),  start(stream_out, &ends[3])};

        for (int i = 0; i < 6; i++)
            end_of(tasks[i]);
    }
    close_both(fds);
    close_both(pipes);
    return 0;
}

Test(io, a_stream_arrives_whole_and_in_order_in_both_directions_at_once)
{
    run_all(streams, NULL);
}

static int whole_moves(void *arg)
{
    static char from[50000], to[sizeof from];
    struct stream out;
    int fds[2];
    lw_task task;

    (void)arg;
    pair(fds);
    out = (struct stream){fds[0], 1, sizeof from};
    task = start(stream_out, &out);
    cr_assert_eq(lw_read_all(fds[1], to, sizeof to, LW_FOREVER), 0);
    end_of(task);
    for (size_t i = 0; i < sizeof to; i++)
        cr_assert_eq((unsigned char)to[i], byte_at(i));

    cr_assert_eq(lw_write_all(fds[0], to, 10, LW_FOREVER), 0);
    cr_assert_eq(lw_write_all(fds[0], to, 0, LW_NOW), 0);
    cr_assert_eq(lw_read_all(fds[1], from, 0, LW_NOW), 0);
    cr_assert_eq(lw_read(fds[1], from, 0, LW_NOW), 0, "nothing was asked for");
    cr_assert_eq(lw_read_all(fds[1], from, 11, lw_in(2 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_write_all(fds[0], to, 10, LW_FOREVER), 0);
    cr_assert_eq(shutdown(fds[0], SHUT_WR), 0);
    cr_assert_eq(lw_read_all(fds[1], from, 11, LW_FOREVER), -ENODATA);
    cr_assert_eq(lw_read(fds[1], from, 1, LW_FOREVER), 0);
    cr_assert_eq(lw_write_all(fds[1], to, 5, LW_FOREVER), 0, "the other direction is open");
    cr_assert_eq(lw_read_all(fds[0], from, 5, LW_FOREVER), 0);
    close_both(fds);
    return 0;
}

Test(io, read_all_and_write_all_move_all_or_say_why_not)
{
    run_all(whole_moves, NULL);
}

static int in_parts(void *arg)
{
    const bool pipes = arg != NULL;
    char head[4] = "", tail[8] = "";
    char text[] = "hello world";
    struct iovec out[] = {{text, 2}, {NULL, 0}, {text + 2, 7}, {text + 9, 3}};
    struct iovec in[] = {{head, 3}, {tail, 8}};
    int fds[2];

    if (pipes)
        cr_assert_eq(pipe(fds), 0);
    else
        pair(fds);
    cr_assert_eq(lw_writev(fds[1], out, 4, LW_FOREVER), 12);
    cr_assert_eq(lw_readv(fds[0], in, 0, LW_NOW), 0);
    cr_assert_eq(lw_readv(fds[0], in, 2, LW_FOREVER), 11);
    cr_assert_str_eq(head, "hel");
    cr_assert_eq(memcmp(tail, "lo world", 8), 0);
    cr_assert_eq(lw_readv(fds[0], in, 2, lw_in(LW_MS)), 1);
    cr_assert_eq(lw_readv(fds[0], in, 2, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_readv(fds[0], in, -1, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_writev(fds[1], out, 1000000, LW_FOREVER), -EINVAL);
    close_both(fds);
    return 0;
}

Test(io, parts_are_moved_as_one)
{
    static char pipes;

    run_with(2, in_parts, NULL);
    run_with(2, in_parts, &pipes);
}

/* As write(2) and writev(2) have it: the one sends a datagram of no bytes, the other none. */
static int of_nothing(void *arg)
{
    const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
    struct iovec parts[] = {{NULL, 0}, {&parts, 0}};
    char bytes[8] = "";
    int fds[2];

    (void)arg;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
        cr_assert_eq(lw_writev(fds[1], parts, 0, LW_FOREVER), 0);
        cr_assert_eq(lw_writev(fds[1], parts, 2, LW_FOREVER), 0);
        cr_assert_eq(lw_read(fds[0], bytes, sizeof bytes, LW_NOW), -ETIMEDOUT, "type %d", i);
        cr_assert_eq(lw_write(fds[1], bytes, 0, LW_FOREVER), 0);
        cr_assert_eq(lw_read(fds[0], bytes, sizeof bytes, LW_NOW),
                     types[i] == SOCK_STREAM ? -ETIMEDOUT : 0);
        close_both(fds);
        cr_assert_eq(lw_writev(fds[1], parts, 2, LW_FOREVER), -EBADF);
    }
    return 0;
}

Test(io, nothing_in_parts_sends_nothing)
{
    run_with(1, of_nothing, NULL);
    cr_assert_eq(of_nothing(NULL), 0);
}

/* ---- deadlines and cancels */

static int late(void *arg)
{
    const bool pipes = arg != NULL;
    char byte = 'x', full[30000] = {0};
    lw_nsec start_at;
    int fds[2];

    if (pipes)
        cr_assert_eq(pipe(fds), 0);
    else
        pair(fds);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_read(fds[0], &byte, 1, lw_now() - 1), -ETIMEDOUT);
    cr_assert_eq(lw_read(fds[0], &byte, 1, 5 * LW_MS), -EINVAL, "a duration");
    start_at = lw_now();
    cr_assert_eq(lw_read(fds[0], &byte, 1, lw_in(3 * LW_MS)), -ETIMEDOUT);
    cr_assert_geq(lw_now() - start_at, 3 * LW_MS);
    cr_assert_eq(lw_poll(fds[0], POLLIN, lw_in(2 * LW_MS)), -ETIMEDOUT);

    cr_assert_eq(lw_write(fds[1], "y", 1, LW_NOW), 1);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_NOW), 1, "what is there is read without waiting");
    cr_assert_eq(byte, 'y');

    while (lw_write(fds[1], full, sizeof full, LW_NOW) > 0)
        continue;
    while (lw_write(fds[1], full, 1, LW_NOW) > 0)
        continue;
    cr_assert_eq(lw_write(fds[1], full, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_write(fds[1], full, sizeof full, lw_in(2 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_poll(fds[1], POLLOUT, lw_in(2 * LW_MS)), -ETIMEDOUT);
    while (lw_read(fds[0], full, sizeof full, LW_NOW) > 0)
        continue;
    cr_assert_eq(lw_write(fds[1], full, 1, LW_FOREVER), 1);
    close_both(fds);
    return 0;
}

Test(io, a_call_that_ends_by_its_deadline_has_moved_nothing)
{
    static char pipes;

    run_all(late, NULL);
    run_all(late, &pipes);
}

struct reader {
    int fd;
    uint32_t cancelled;
};

static int read_twice(void *arg)
{
    struct reader *reader = arg;
    char byte = 0;

    cr_assert_eq(lw_read(reader->fd, &byte, 1, LW_FOREVER), -ECANCELED);
    lw_store_rel(&reader->cancelled, 1);
    cr_assert_eq(lw_read(reader->fd, &byte, 1, LW_FOREVER), 1, "it is said once");
    cr_assert_eq(byte, 'z');
    return 0;
}

static int cancelled(void *arg)
{
    (void)arg;
    for (long i = rounds(1000); i > 0; i--) {
        struct reader reader = {0};
        int fds[2];
        lw_task task;

        pair(fds);
        reader.fd = fds[0];
        task = start(read_twice, &reader);
        if (i % 2)
            until_waiting(fds[0], LW_SIDE_READ);
        cr_assert_eq(lw_cancel(task), 0);
        while (!lw_load_acq(&reader.cancelled))
            lw_yield();
        cr_assert_eq(lw_write(fds[1], "z", 1, LW_FOREVER), 1);
        end_of(task);
        close_both(fds);
    }
    return 0;
}

Test(io, a_cancel_ends_one_wait_and_takes_nothing)
{
    run_all(cancelled, NULL);
}

/* ---- several on one side */

enum { TAKERS = 8 };

struct tokens {
    int fd;
    uint32_t taken;
};

static int take_tokens(void *arg)
{
    struct tokens *tokens = arg;
    uint64_t value;
    ssize_t count;

    while ((count = lw_read(tokens->fd, &value, sizeof value, LW_FOREVER)) == sizeof value) {
        cr_assert_eq(value, 1);
        (void)lw_add_acq_rel(&tokens->taken, 1);
    }
    cr_assert_eq(count, -EBADF);
    return 0;
}

/* A semaphore of the kernel's: each read takes one, and one event stands for many. */
static int many_readers(void *arg)
{
    struct tokens tokens = {.fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC)};
    uint64_t given = 0, seed = 5, count;
    lw_task tasks[TAKERS];

    (void)arg;
    for (int i = 0; i < TAKERS; i++)
        tasks[i] = start(take_tokens, &tokens);
    for (long i = rounds(3000); i > 0; i--) {
        count = draw(&seed) % 20;
        given += count;
        cr_assert_eq(lw_write(tokens.fd, &count, sizeof count, LW_FOREVER), sizeof count);
        if (i % 8 == 0)
            while (lw_load_acq(&tokens.taken) != given)
                lw_yield();
    }
    while (lw_load_acq(&tokens.taken) != given)
        lw_yield();
    until_waiting(tokens.fd, LW_SIDE_READ);
    cr_assert_eq(lw_close(tokens.fd), 0);
    for (int i = 0; i < TAKERS; i++)
        end_of(tasks[i]);
    return 0;
}

Test(io, what_is_there_for_several_readers_is_taken_by_several)
{
    run_all(many_readers, NULL);
}

enum { LINE = 64 };

static int write_lines(void *arg)
{
    struct stream *stream = arg;
    char line[LINE];

    memset(line, (int)stream->seed, sizeof line);
    for (size_t i = 0; i < stream->size; i++)
        cr_assert_eq(lw_write(stream->fd, line, sizeof line, LW_FOREVER), LINE);
    return 0;
}

/* Writes of up to PIPE_BUF bytes are atomic, so none is partial, and none may be left waiting. */
static int many_writers(void *arg)
{
    size_t each = (size_t)rounds(4000), lines = TAKERS * each;
    struct stream streams[TAKERS];
    lw_task tasks[TAKERS];
    char line[LINE];
    int fds[2];

    (void)arg;
    cr_assert_eq(pipe(fds), 0);
    for (int i = 0; i < TAKERS; i++) {
        streams[i] = (struct stream){fds[1], 'a' + (uint64_t)i, each};
        tasks[i] = start(write_lines, &streams[i]);
    }
    until_waiting(fds[1], LW_SIDE_WRITE);
    for (size_t n = 0; n < lines; n++) {
        cr_assert_eq(lw_read_all(fds[0], line, LINE, LW_FOREVER), 0);
        for (int i = 1; i < LINE; i++)
            cr_assert_eq(line[i], line[0]);
    }
    for (int i = 0; i < TAKERS; i++)
        end_of(tasks[i]);
    close_both(fds);
    return 0;
}

Test(io, writers_of_one_pipe_all_get_their_turn)
{
    run_all(many_writers, NULL);
}

struct amount {
    int fd;
    uint64_t value;
};

static int add(void *arg)
{
    struct amount *amount = arg;

    return lw_write(amount->fd, &amount->value, 8, LW_FOREVER) == 8 ? 0 : -EIO;
}

/* The first to wait wants more room than there is; the second has enough. */
static int unequal_writers(void *arg)
{
    const uint64_t most = UINT64_MAX - 1;
    struct amount much = {.value = 5}, little = {.value = 1};
    uint64_t one = 0;
    lw_task first, second;

    (void)arg;
    much.fd = little.fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
    cr_assert_eq(lw_write(much.fd, &most, sizeof most, LW_FOREVER), sizeof most);
    first = start(add, &much);
    until_waiting(much.fd, LW_SIDE_WRITE);
    second = start(add, &little);
    until_inside(much.fd, 2);
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    cr_assert_eq(lw_read(much.fd, &one, sizeof one, LW_FOREVER), sizeof one);
    end_of(second);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_read(much.fd, &one, sizeof one, LW_FOREVER), sizeof one);
    end_of(first);
    return lw_close(much.fd);
}

Test(io, a_writer_that_fits_is_not_held_up_by_one_that_does_not)
{
    run_all(unequal_writers, NULL);
}

/* ---- poll */

static int watch(void *arg)
{
    int ready = lw_poll(*(int *)arg, POLLIN, LW_FOREVER);

    return ready > 0 && (ready & POLLIN) ? 0 : ready;
}

static int read_byte(void *arg)
{
    char byte;

    return lw_read(*(int *)arg, &byte, 1, LW_FOREVER) == 1 ? 0 : -EIO;
}

static int watchers(void *arg)
{
    lw_task tasks[TAKERS];
    char byte;
    int fds[2];

    (void)arg;
    pair(fds);
    cr_assert_eq(lw_poll(fds[0], POLLIN | POLLOUT, LW_FOREVER), POLLOUT);
    cr_assert_eq(lw_poll(fds[0], POLLIN, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < TAKERS; i++)
        tasks[i] = start(watch, &fds[0]);
    until_inside(fds[0], TAKERS);
    cr_assert_eq(lw_write(fds[1], "ab", 2, LW_FOREVER), 2);
    for (int i = 0; i < TAKERS; i++)
        end_of(tasks[i]);
    cr_assert_eq(lw_poll(fds[0], POLLIN | POLLOUT, LW_NOW), POLLIN | POLLOUT);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_FOREVER), 1);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_FOREVER), 1);

    /* Beside watchers that may or may not see it, the reader gets its byte. */
    tasks[0] = start(read_byte, &fds[0]);
    until_waiting(fds[0], LW_SIDE_READ);
    for (int i = 1; i < TAKERS; i++)
        tasks[i] = start(watch, &fds[0]);
    until_waiting(fds[0], LW_SIDE_WATCH);
    cr_assert_eq(lw_write(fds[1], "c", 1, LW_FOREVER), 1);
    end_of(tasks[0]);
    cr_assert_eq(lw_close(fds[1]), 0);
    for (int i = 1; i < TAKERS; i++)
        end_of(tasks[i]);
    cr_assert_eq(lw_poll(fds[0], 0, LW_FOREVER) & POLLHUP, POLLHUP);
    cr_assert_eq(lw_poll(fds[1], POLLIN, LW_FOREVER), -EBADF);
    cr_assert_eq(lw_close(fds[0]), 0);
    return 0;
}

Test(io, a_poll_sees_what_is_ready_and_uses_nothing_up)
{
    run_all(watchers, NULL);
}
