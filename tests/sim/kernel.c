/* SPDX-License-Identifier: MIT */
/* The simulated kernel: what it does is what Linux does, and the weather is what was asked for. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/differential.h"
#include "tests/sim/simulated.h"

TestSuite(kernel, .init = simulated_init);

/* ---- as the real one */

static char folder[] = "/tmp/latchwork-kernel-XXXXXX";

static int compare(void *arg)
{
    static uint64_t seed;
    const char *found = differential_run(++seed, *(unsigned *)arg, folder);

    if (*found != '\0')
        fprintf(stderr, "run %u: %s\n", (unsigned)seed, found);
    LW_SIM_CHECK(*found == '\0');
    LW_SIM_CHECK(sim_descriptors_open() == 0);
    return 0;
}

static int remove_all(const char *path)
{
    char command[sizeof folder + 16];

    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command); // NOLINT
}

Test(kernel, random_calls_have_the_same_results_as_in_the_real_kernel)
{
    unsigned steps = 150;

    cr_assert_not_null(mkdtemp(folder));
    passes(compare, &steps, 300);
    cr_assert_eq(remove_all(folder), 0);
}

/* ---- numbers */

static int use_numbers(void *arg)
{
    int first = lw_sys.eventfd(0, 0), second = lw_sys.eventfd(0, 0), fds[2];
    uint64_t one = 1;

    (void)arg;
    LW_SIM_CHECK(first == SIM_FD_FIRST && second == first + 1);
    LW_SIM_CHECK(sim_pipe2(fds, 0) == 0 && fds[0] == first + 2 && fds[1] == first + 3);
    LW_SIM_CHECK(lw_sys.close(first) == 0);
    LW_SIM_CHECK(failed(lw_sys.close(first), EBADF));
    LW_SIM_CHECK(failed((int)lw_sys.write(first, &one, sizeof one), EBADF));
    LW_SIM_CHECK(lw_sys.eventfd(0, 0) == first);
    LW_SIM_CHECK(lw_sys.fcntl(second, F_DUPFD, 0) == first + 4);
    LW_SIM_CHECK(lw_sys.close(second) == 0); /* the counter has another number */
    LW_SIM_CHECK(lw_sys.write(first + 4, &one, sizeof one) == sizeof one);
    LW_SIM_CHECK(sim_descriptors_open() == 4);
    return 0;
}

Test(kernel, the_lowest_free_number_is_the_next)
{
    passes(use_numbers, NULL, 1);
}

static int use_many(void *arg)
{
    unsigned long blocks = sim_blocks();
    int fds[2], listener;
    struct sockaddr_in address;

    (void)arg;
    for (int i = 0; i < 200; i++)
        LW_SIM_CHECK(lw_sys.eventfd(0, 0) == SIM_FD_FIRST + i);
    for (int i = 199; i >= 0; i--)
        LW_SIM_CHECK(lw_sys.close(SIM_FD_FIRST + i) == 0);
    tcp_pair(fds, 0);
    LW_SIM_CHECK(lw_sys.write(fds[0], "abc", 3) == 3);
    close_both(fds);
    LW_SIM_CHECK(sim_socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    LW_SIM_CHECK(lw_sys.write(fds[0], "abc", 3) == 3);
    close_both(fds);
    listener = hear(&address, 0, 1); /* a connection that nobody takes */
    fds[0] = lw_sys.socket(AF_INET, SOCK_STREAM, 0);
    LW_SIM_CHECK(connect_to(fds[0], address) == 0);
    LW_SIM_CHECK(lw_sys.close(listener) == 0);
    LW_SIM_CHECK(lw_sys.close(fds[0]) == 0);
    LW_SIM_CHECK(sim_descriptors_open() == 0);
    LW_SIM_CHECK(sim_blocks() == blocks);
    return 0;
}

Test(kernel, what_is_closed_leaves_nothing)
{
    passes(use_many, NULL, 1);
}

/* ---- waiting */

static int make_pipe(int fds[2])
{
    return sim_pipe2(fds, 0);
}

static int make_unix(int fds[2])
{
    int made[2], err = sim_socketpair(AF_UNIX, SOCK_STREAM, 0, made);

    fds[0] = made[0];
    fds[1] = made[1];
    return err;
}

static int make_tcp(int fds[2])
{
    tcp_pair(fds, 0);
    return 0;
}

static int ends[2];

static void *write_much(void *arg)
{
    static char bytes[100000];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    LW_SIM_CHECK(lw_sys.write(ends[1], bytes, sizeof bytes) == sizeof bytes);
    LW_SIM_CHECK(lw_sys.close(ends[1]) == 0);
    return arg;
}

/* A blocking write ends when all is written, whatever the sizes that are read. */
static int read_in_pieces(void *arg)
{
    int (*make)(int[2]) = (int (*)(int[2]))(uintptr_t)arg;
    char bytes[977];
    size_t at = 0;
    ssize_t count;
    pthread_t thread;

    LW_SIM_CHECK(make(ends) == 0);
    LW_SIM_CHECK(lw_sys.thread_create(&thread, NULL, write_much, NULL) == 0);
    while ((count = lw_sys.read(ends[0], bytes, 1 + at % sizeof bytes)) > 0)
        for (ssize_t i = 0; i < count; i++, at++)
            LW_SIM_CHECK(bytes[i] == (char)(at * 7 + at / 256));
    LW_SIM_CHECK(count == 0 && at == 100000);
    LW_SIM_CHECK(lw_sys.thread_join(thread, NULL) == 0);
    LW_SIM_CHECK(lw_sys.close(ends[0]) == 0);
    return 0;
}

static const struct sim_weather all_weathers[] = {
    {0},
    {.short_io = 3},
    {.delay = 3},
    {.short_io = 2, .delay = 2, .spurious = 3},
};

Test(kernel, blocking_calls_move_all_bytes_in_order_in_any_weather)
{
    int (*const kinds[])(int[2]) = {make_pipe, make_unix, make_tcp};

    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (unsigned k = 0; k < sizeof all_weathers / sizeof *all_weathers; k++) {
            sim_settings->weather = all_weathers[k];
            passes(read_in_pieces, (void *)(uintptr_t)kinds[i], 30);
        }
}

/* ---- edges: who waits for them after each short transfer gets all there is */

/* For ever: without the edge the schedule is stuck. */
static uint32_t await(int epoll, uint32_t wanted)
{
    struct epoll_event event = {.events = 0};

    while ((event.events & wanted) == 0)
        LW_SIM_CHECK(lw_sys.epoll_wait(epoll, &event, 1, -1) >= 0);
    return event.events;
}

static int watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int epoll = lw_sys.epoll_create1(0);

    LW_SIM_CHECK(lw_sys.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    return epoll;
}

enum { MUCH = 50000 };

static void *write_by_edges(void *arg)
{
    int epoll = watch(ends[1]);
    char bytes[3000];
    size_t at = 0;

    while (at < MUCH) {
        size_t size = MUCH - at < sizeof bytes ? MUCH - at : sizeof bytes;
        ssize_t count;

        for (unsigned i = 0; i < size; i++)
            bytes[i] = (char)((at + i) * 3);
        count = lw_sys.send(ends[1], bytes, size, MSG_NOSIGNAL);
        LW_SIM_CHECK(count > 0 || failed((int)count, EAGAIN));
        at += count > 0 ? (size_t)count : 0;
        if (count < (ssize_t)size && at < MUCH) /* epoll(7): a short one says the same as EAGAIN */
            (void)await(epoll, EPOLLOUT);
    }
    LW_SIM_CHECK(lw_sys.close(ends[1]) == 0);
    LW_SIM_CHECK(lw_sys.close(epoll) == 0);
    return arg;
}

static int read_by_edges(void *arg)
{
    char bytes[2000];
    size_t at = 0;
    ssize_t count;
    pthread_t thread;
    bool is_over = false; /* the end is in sight: no further edge need come */
    int epoll;

    (void)arg;
    tcp_pair(ends, SOCK_NONBLOCK);
    epoll = watch(ends[0]);
    LW_SIM_CHECK(lw_sys.thread_create(&thread, NULL, write_by_edges, NULL) == 0);
    while ((count = lw_sys.recv(ends[0], bytes, sizeof bytes, 0)) != 0) {
        LW_SIM_CHECK(count > 0 || failed((int)count, EAGAIN));
        for (ssize_t i = 0; i < count; i++, at++)
            LW_SIM_CHECK(bytes[i] == (char)(at * 3));
        if (count < (ssize_t)sizeof bytes && !is_over)
            is_over = (await(epoll, EPOLLIN) & EPOLLRDHUP) != 0;
    }
    LW_SIM_CHECK(at == MUCH);
    LW_SIM_CHECK(lw_sys.thread_join(thread, NULL) == 0);
    LW_SIM_CHECK(lw_sys.close(ends[0]) == 0);
    LW_SIM_CHECK(lw_sys.close(epoll) == 0);
    return 0;
}

Test(kernel, each_short_transfer_of_tcp_is_followed_by_an_edge)
{
    for (unsigned i = 0; i < sizeof all_weathers / sizeof *all_weathers; i++) {
        sim_settings->weather = all_weathers[i];
        passes(read_by_edges, NULL, 100);
    }
}

static int see_each_write(void *arg)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET}, seen;
    int bell = lw_sys.eventfd(0, EFD_NONBLOCK), epoll = lw_sys.epoll_create1(0);
    int64_t before = sim_now();
    uint64_t one = 1;

    (void)arg;
    LW_SIM_CHECK(lw_sys.epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event) == 0);
    for (int i = 0; i < 5; i++) { /* it is never read */
        LW_SIM_CHECK(lw_sys.write(bell, &one, sizeof one) == sizeof one);
        LW_SIM_CHECK(lw_sys.epoll_wait(epoll, &seen, 1, -1) == 1);
        LW_SIM_CHECK(lw_sys.epoll_wait(epoll, &seen, 1, 0) == 0);
    }
    LW_SIM_CHECK(lw_sys.epoll_wait(epoll, &seen, 1, 30 * NS_PER_SEC) == 0);
    LW_SIM_CHECK(sim_now() - before >= 30 * NS_PER_SEC);
    LW_SIM_CHECK(lw_sys.close(bell) == 0 && lw_sys.close(epoll) == 0);
    return 0;
}

Test(kernel, each_write_of_a_bell_is_an_edge)
{
    passes(see_each_write, NULL, 20);
}

/* ---- poll(2) */

static int poll_some(void *arg)
{
    int fds[2];
    struct pollfd polled[3];

    (void)arg;
    LW_SIM_CHECK(sim_pipe2(fds, 0) == 0);
    polled[0] = (struct pollfd){.fd = fds[0], .events = POLLIN};
    polled[1] = (struct pollfd){.fd = fds[1], .events = POLLOUT};
    polled[2] = (struct pollfd){.fd = fds[1] + 1, .events = POLLIN};
    LW_SIM_CHECK(lw_sys.poll(polled, 3, -1) == 2);
    LW_SIM_CHECK(polled[0].revents == 0);
    LW_SIM_CHECK(polled[1].revents == POLLOUT);
    LW_SIM_CHECK(polled[2].revents == POLLNVAL);
    LW_SIM_CHECK(lw_sys.poll(polled, 1, NS_PER_SEC) == 0);
    LW_SIM_CHECK(lw_sys.close(fds[1]) == 0);
    LW_SIM_CHECK(lw_sys.poll(polled, 1, -1) == 1 && polled[0].revents == POLLHUP);
    return 0;
}

Test(kernel, poll_tells_what_is_ready_and_what_is_closed)
{
    passes(poll_some, NULL, 20);
}

/* ---- memory */

static int write_from_guard(void *arg)
{
    int fd = lw_sys.eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;

    LW_SIM_CHECK(failed((int)lw_sys.write(fd, arg, sizeof one), EFAULT));
    LW_SIM_CHECK(mprotect(arg, 4096, PROT_READ) == 0);
    LW_SIM_CHECK(lw_sys.write(fd, arg, sizeof one) == sizeof one);
    return 0;
}

Test(kernel, what_cannot_be_read_is_not_written)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(page, MAP_FAILED);
    passes(write_from_guard, page, 1);
}

/* ---- weather */

static unsigned broken, refused, interrupted, cut;

static int see_weather(void *arg)
{
    char bytes[100];
    int fds[2];
    ssize_t count;

    (void)arg;
    if (sim_pipe2(fds, O_NONBLOCK) < 0) {
        refused++;
        LW_SIM_CHECK(errno == EMFILE || errno == ENFILE);
        return 0;
    }
    count = lw_sys.write(fds[1], bytes, sizeof bytes);
    if (count < 0) {
        interrupted++;
        LW_SIM_CHECK(errno == EINTR);
        return 0;
    }
    LW_SIM_CHECK(count == sizeof bytes); /* not more than PIPE_BUF: never in parts */
    count = lw_sys.read(fds[0], bytes, sizeof bytes);
    cut += count > 0 && count < (ssize_t)sizeof bytes;
    return 0;
}

static int see_resets(void *arg)
{
    char byte;
    ssize_t first, second;

    (void)arg;
    sim_weather.reset = 0;
    tcp_pair(ends, SOCK_NONBLOCK);
    sim_weather = sim_settings->weather;
    first = lw_sys.recv(ends[0], &byte, 1, 0);
    LW_SIM_CHECK(first == -1);
    if (errno == EAGAIN)
        return 0;
    LW_SIM_CHECK(errno == ECONNRESET);
    LW_SIM_CHECK(failed((int)lw_sys.recv(ends[1], &byte, 1, 0), ECONNRESET));
    second = lw_sys.recv(ends[0], &byte, 1, 0); /* told once */
    LW_SIM_CHECK(second == 0);
    broken++;
    return 0;
}

Test(kernel, each_weather_comes_about_as_often_as_asked_for)
{
    sim_settings->weather = (struct sim_weather){.no_files = 10, .intr = 10, .short_io = 4};
    passes(see_weather, NULL, 500);
    cr_assert(refused > 20 && refused < 100, "%u", refused);
    cr_assert(interrupted > 20 && interrupted < 100, "%u", interrupted);
    cr_assert(cut > 50 && cut < 200, "%u", cut);
    sim_settings->weather = (struct sim_weather){.reset = 4};
    passes(see_resets, NULL, 500);
    cr_assert(broken > 60 && broken < 250, "%u", broken);
    refused = interrupted = cut = broken = 0;
    sim_settings->weather = (struct sim_weather){0};
    passes(see_weather, NULL, 500);
    passes(see_resets, NULL, 500);
    cr_assert_eq(refused + interrupted + cut + broken, 0u);
}
