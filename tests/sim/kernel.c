/* SPDX-License-Identifier: MIT */
/* The simulated kernel: what it does is what Linux does, and the weather is what was asked for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <latchwork.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/sim/differential.h"
#include "tests/support.h"

static void init(void)
{
    watchdog();
    sim_settings->plain = true;
    sim_settings->own_weather = true;
    (void)signal(SIGPIPE, SIG_IGN);
}

TestSuite(kernel, .init = init);

static void passes(lw_fn *test, void *arg, uint64_t schedules)
{
    lw_sim_options options = {.schedules = schedules};

    cr_assert_eq(lw_sim_run(&options, test, arg, NULL), LW_SIM_PASSED);
}

#define NS_PER_SEC INT64_C(1000000000)
#define LOCALHOST(number)                                                                          \
    ((struct sockaddr_in){                                                                         \
        .sin_family = AF_INET, .sin_port = htons(number), .sin_addr = {htonl(INADDR_LOOPBACK)}})

static int failed(int result, int error)
{
    return result == -1 && errno == error;
}

static int connect_to(int fd, struct sockaddr_in address)
{
    return lw_sys.connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* A listener on a port of its own. */
static int hear(struct sockaddr_in *address, int flags, int backlog)
{
    int fd = lw_sys.socket(AF_INET, SOCK_STREAM | flags, 0);
    socklen_t size = sizeof *address;

    *address = LOCALHOST(0);
    LW_SIM_CHECK(lw_sys.bind(fd, (struct sockaddr *)address, size) == 0);
    LW_SIM_CHECK(lw_sys.listen(fd, backlog) == 0);
    LW_SIM_CHECK(sim_getsockname(fd, (struct sockaddr *)address, &size) == 0);
    return fd;
}

static void tcp_pair(int fds[2], int flags)
{
    struct sockaddr_in address;
    int listener = hear(&address, 0, 1);

    fds[0] = lw_sys.socket(AF_INET, SOCK_STREAM, 0);
    LW_SIM_CHECK(connect_to(fds[0], address) == 0);
    fds[1] = lw_sys.accept4(listener, NULL, NULL, flags);
    LW_SIM_CHECK(fds[0] >= 0 && fds[1] >= 0);
    LW_SIM_CHECK(lw_sys.fcntl(fds[0], F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0) == 0);
    LW_SIM_CHECK(lw_sys.close(listener) == 0);
}

static void close_both(const int fds[2])
{
    LW_SIM_CHECK(lw_sys.close(fds[0]) == 0);
    LW_SIM_CHECK(lw_sys.close(fds[1]) == 0);
}

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

/* ---- connecting */

static int visit_nobody(void *arg)
{
    int fd = lw_sys.socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in nowhere = LOCALHOST(80);
    int64_t before = sim_now();

    (void)arg;
    LW_SIM_CHECK(failed(connect_to(fd, nowhere), ECONNREFUSED));
    nowhere.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    LW_SIM_CHECK(failed(connect_to(fd, nowhere), ETIMEDOUT));
    LW_SIM_CHECK(sim_now() - before >= 127 * NS_PER_SEC);
    LW_SIM_CHECK(lw_sys.close(fd) == 0);
    return 0;
}

Test(kernel, nobody_refuses_and_nowhere_times_out)
{
    passes(visit_nobody, NULL, 3);
}

static int fill_queue(void *arg)
{
    struct sockaddr_in address;
    int listener = hear(&address, SOCK_NONBLOCK, 1), clients[3], err = 0;
    socklen_t size = sizeof err;
    struct pollfd polled;

    (void)arg;
    for (unsigned i = 0; i < 3; i++) { /* 1 more than the backlog: as in Linux */
        clients[i] = lw_sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        LW_SIM_CHECK(failed(connect_to(clients[i], address), EINPROGRESS));
    }
    polled = (struct pollfd){.fd = clients[2], .events = POLLOUT};
    LW_SIM_CHECK(lw_sys.poll(&polled, 1, NS_PER_SEC / 2) == 0);
    for (unsigned i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_sys.close(lw_sys.accept4(listener, NULL, NULL, 0)) == 0);
    LW_SIM_CHECK(failed(lw_sys.accept4(listener, NULL, NULL, 0), EAGAIN));
    LW_SIM_CHECK(lw_sys.poll(&polled, 1, 2 * NS_PER_SEC) == 1 && polled.revents == POLLOUT);
    LW_SIM_CHECK(lw_sys.getsockopt(clients[2], SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err == 0);
    LW_SIM_CHECK(lw_sys.accept4(listener, NULL, NULL, 0) >= 0);
    return 0;
}

Test(kernel, a_full_queue_makes_a_connection_late)
{
    passes(fill_queue, NULL, 10);
}

static int bind_ports(void *arg)
{
    struct sockaddr_in address;
    int one = 1, first = hear(&address, 0, 1), second = lw_sys.socket(AF_INET, SOCK_STREAM, 0);

    (void)arg;
    LW_SIM_CHECK(ntohs(address.sin_port) != 0);
    LW_SIM_CHECK(
        failed(lw_sys.bind(second, (struct sockaddr *)&address, sizeof address), EADDRINUSE));
    LW_SIM_CHECK(lw_sys.setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    LW_SIM_CHECK(failed(lw_sys.bind(second, (struct sockaddr *)&address, sizeof address),
                        EADDRINUSE)); /* a listener keeps it for itself */
    LW_SIM_CHECK(lw_sys.close(first) == 0);
    LW_SIM_CHECK(lw_sys.bind(second, (struct sockaddr *)&address, sizeof address) == 0);
    address.sin_addr.s_addr = htonl(0xc0000201);
    first = lw_sys.socket(AF_INET, SOCK_STREAM, 0);
    LW_SIM_CHECK(
        failed(lw_sys.bind(first, (struct sockaddr *)&address, sizeof address), EADDRNOTAVAIL));
    return 0;
}

Test(kernel, a_port_has_one_listener)
{
    passes(bind_ports, NULL, 1);
}

static int visit_both_families(void *arg)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}, from;
    int listener = lw_sys.socket(AF_INET6, SOCK_STREAM, 0), no = 0, fd, visitor;
    socklen_t size = sizeof any;
    struct sockaddr_in v4;

    (void)arg;
    LW_SIM_CHECK(lw_sys.setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) == 0);
    LW_SIM_CHECK(lw_sys.bind(listener, (struct sockaddr *)&any, size) == 0);
    LW_SIM_CHECK(lw_sys.listen(listener, 10) == 0);
    LW_SIM_CHECK(sim_getsockname(listener, (struct sockaddr *)&any, &size) == 0);
    v4 = LOCALHOST(ntohs(any.sin6_port));
    fd = lw_sys.socket(AF_INET, SOCK_STREAM, 0);
    LW_SIM_CHECK(connect_to(fd, v4) == 0);
    size = sizeof from;
    visitor = lw_sys.accept4(listener, (struct sockaddr *)&from, &size, 0);
    LW_SIM_CHECK(visitor >= 0 && size == sizeof from && from.sin6_family == AF_INET6);
    LW_SIM_CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr) && from.sin6_port != 0);
    any.sin6_addr = in6addr_loopback;
    fd = lw_sys.socket(AF_INET6, SOCK_STREAM, 0);
    LW_SIM_CHECK(lw_sys.connect(fd, (struct sockaddr *)&any, sizeof any) == 0);
    return 0;
}

Test(kernel, any_address_of_ipv6_hears_both_families)
{
    passes(visit_both_families, NULL, 1);
}

/* ---- paths */

static int use_paths(void *arg)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/nowhere/socket"};
    int listener = lw_sys.socket(AF_UNIX, SOCK_STREAM, 0),
        client = lw_sys.socket(AF_UNIX, SOCK_STREAM, 0);
    struct stat status;

    (void)arg;
    LW_SIM_CHECK(failed(lw_sys.lstat(name.sun_path, &status), ENOENT));
    LW_SIM_CHECK(lw_sys.bind(listener, (struct sockaddr *)&name, sizeof name) == 0);
    LW_SIM_CHECK(lw_sys.lstat(name.sun_path, &status) == 0 && S_ISSOCK(status.st_mode));
    LW_SIM_CHECK(lw_sys.listen(listener, 1) == 0);
    LW_SIM_CHECK(lw_sys.connect(client, (struct sockaddr *)&name, sizeof name) == 0);
    LW_SIM_CHECK(lw_sys.close(listener) == 0);
    listener = lw_sys.socket(AF_UNIX, SOCK_STREAM, 0);
    LW_SIM_CHECK(failed(lw_sys.bind(listener, (struct sockaddr *)&name, sizeof name), EADDRINUSE));
    LW_SIM_CHECK(
        failed(lw_sys.connect(listener, (struct sockaddr *)&name, sizeof name), ECONNREFUSED));
    LW_SIM_CHECK(lw_sys.unlink(name.sun_path) == 0);
    LW_SIM_CHECK(failed(lw_sys.unlink(name.sun_path), ENOENT));
    LW_SIM_CHECK(lw_sys.bind(listener, (struct sockaddr *)&name, sizeof name) == 0);
    return 0;
}

Test(kernel, a_path_outlives_its_socket)
{
    passes(use_paths, NULL, 1);
}

/* ---- names */

static int count_results(const char *host, const char *service, int flags, int *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    int count = 0;

    *err = lw_sys.getaddrinfo(host, service, &hints, &found);
    for (struct addrinfo *each = found; each != NULL; each = each->ai_next)
        count++;
    if (found != NULL)
        freeaddrinfo(found);
    return count;
}

static int ask_names(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(count_results("127.0.0.1", "80", 0, &err) == 1 && err == 0);
    LW_SIM_CHECK(count_results("::1", "80", 0, &err) == 1 && err == 0);
    LW_SIM_CHECK(count_results("localhost", "80", AI_ADDRCONFIG, &err) == 2 && err == 0);
    LW_SIM_CHECK(count_results(NULL, "80", AI_PASSIVE, &err) == 2 && err == 0);
    LW_SIM_CHECK(count_results("example.org", "80", 0, &err) == 0 && err == EAI_NONAME);
    LW_SIM_CHECK(count_results("localhost", "80", AI_NUMERICHOST, &err) == 0 && err == EAI_NONAME);
    LW_SIM_CHECK(count_results("127.0.0.1", "http", 0, &err) == 0 && err == EAI_NONAME);
    LW_SIM_CHECK(count_results(NULL, NULL, 0, &err) == 0 && err == EAI_NONAME);
    return 0;
}

Test(kernel, names_are_numbers_and_localhost)
{
    passes(ask_names, NULL, 1);
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
    if (sim_pipe2(fds, 0) < 0) {
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
