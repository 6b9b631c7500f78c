/* SPDX-License-Identifier: MIT */
/* Laws of listeners, connectors and lookups. */
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/runtime/io_support.h"

static struct lw_sys real;

static void init(void)
{
    struct rlimit limit;

    watchdog();
    real = lw_sys;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TestSuite(net, .init = init);

/* ---- many connections */

static uint32_t served;

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[200];
    ssize_t count;

    while ((count = lw_read(fd, bytes, sizeof bytes, LW_FOREVER)) > 0)
        cr_assert_eq(lw_write_all(fd, bytes, (size_t)count, LW_FOREVER), 0);
    cr_assert_eq(count, 0, "read: %zd", count);
    cr_assert_eq(lw_close(fd), 0);
    (void)lw_add_acq_rel(&served, 1);
    return 0;
}

/* Several tasks accept from one listener; each ends when it is closed. */
static int accept_and_serve(void *arg)
{
    int fd;

    while ((fd = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER)) >= 0)
        cr_assert_eq(lw_spawn(NULL, serve, (void *)(intptr_t)fd, NULL), 0);
    cr_assert_eq(fd, -EBADF, "accept: %d", fd);
    return 0;
}

struct visit {
    const char *port;
    uint64_t seed;
};

static int call_and_check(void *arg)
{
    struct visit visit = *(struct visit *)arg;
    int fd = lw_connect_tcp("127.0.0.1", visit.port, LW_FOREVER);
    char out[500], in[500];

    cr_assert_geq(fd, 0, "connect: %d", fd);
    for (int i = 0; i < 10; i++) {
        size_t size = 1 + draw(&visit.seed) % sizeof out;

        for (size_t n = 0; n < size; n++)
            out[n] = (char)draw(&visit.seed);
        cr_assert_eq(lw_write_all(fd, out, size, LW_FOREVER), 0);
        cr_assert_eq(lw_read_all(fd, in, size, LW_FOREVER), 0);
        cr_assert_eq(memcmp(out, in, size), 0);
    }
    return lw_close(fd);
}

enum { ACCEPTERS = 3, CONNECTIONS = 1000 };

static int crowd(void *arg)
{
    static struct visit visits[CONNECTIONS];
    static lw_task callers[CONNECTIONS];
    int listener = lw_listen_tcp(NULL, "0", LW_FOREVER);
    int count = (int)rounds(CONNECTIONS);
    lw_task accepters[ACCEPTERS];
    char port[8];

    (void)arg;
    cr_assert_geq(listener, 0);
    (void)port_of(listener, port);
    for (int i = 0; i < ACCEPTERS; i++)
        accepters[i] = start(accept_and_serve, &listener);
    for (int i = 0; i < count; i++) {
        visits[i] = (struct visit){port, (uint64_t)i};
        callers[i] = start(call_and_check, &visits[i]);
    }
    for (int i = 0; i < count; i++)
        end_of(callers[i]);
    while (lw_load_acq(&served) != (uint32_t)count)
        lw_yield();
    served = 0;
    cr_assert_eq(lw_close(listener), 0);
    for (int i = 0; i < ACCEPTERS; i++)
        end_of(accepters[i]);
    return 0;
}

Test(net, a_thousand_connections_get_back_what_they_sent)
{
    int before = descriptors_open();

    run_all(crowd, NULL);
    cr_assert_eq(descriptors_open(), before);
    assert_no_leaks();
}

/* One connection for each of several tasks: none may be left waiting, and none gets two. */
static int accept_one(void *arg)
{
    int fd = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER);

    cr_assert_geq(fd, 0);
    return lw_close(fd);
}

static int fair_shares(void *arg)
{
    int listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), fds[8];
    lw_task tasks[8];
    char port[8];

    (void)arg;
    (void)port_of(listener, port);
    for (long round = rounds(200); round > 0; round--) {
        for (int i = 0; i < 8; i++)
            tasks[i] = start(accept_one, &listener);
        until_inside(listener, 8);
        for (int i = 0; i < 8; i++)
            cr_assert_geq(fds[i] = lw_connect_tcp("127.0.0.1", port, LW_FOREVER), 0);
        for (int i = 0; i < 8; i++)
            end_of(tasks[i]);
        for (int i = 0; i < 8; i++)
            cr_assert_eq(lw_close(fds[i]), 0);
    }
    return lw_close(listener);
}

Test(net, each_of_several_accepters_gets_its_connection)
{
    run_all(fair_shares, NULL);
}

/* ---- addresses */

/* A system need not have a name for itself: a chroot without /etc/hosts has none. */
static bool is_name_known(const char *host)
{
    struct addrinfo *found;

    if (getaddrinfo(host, NULL, NULL, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static int families(void *arg)
{
    const char *const hosts[] = {"127.0.0.1", "::1", "localhost"};
    int any = lw_listen_tcp(NULL, "0", LW_FOREVER), fds[2];
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    char port[8];

    (void)arg;
    cr_assert_geq(any, 0);
    (void)port_of(any, port);
    cr_assert_eq(getsockname(any, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < 3; i++) {
        if (address.sin6_family != AF_INET6 && i == 1)
            continue; /* no IPv6 here */
        if (!is_name_known(hosts[i]))
            continue;
        fds[0] = lw_connect_tcp(hosts[i], port, LW_FOREVER);
        cr_assert_geq(fds[0], 0, "%s: %d", hosts[i], fds[0]);
        size = sizeof address;
        fds[1] = lw_accept(any, (struct sockaddr *)&address, &size, LW_FOREVER);
        cr_assert_geq(fds[1], 0);
        cr_assert_gt(size, 0);
        for (int end = 0; end < 2; end++) {
            cr_assert_eq(fcntl(fds[end], F_GETFD), FD_CLOEXEC);
            cr_assert(fcntl(fds[end], F_GETFL) & O_NONBLOCK);
        }
        close_both(fds);
    }
    cr_assert_eq(lw_listen_tcp("127.0.0.1", port, LW_FOREVER), -EADDRINUSE);
    cr_assert_eq(lw_close(any), 0);
    cr_assert_eq(lw_connect_tcp("127.0.0.1", port, LW_FOREVER), -ECONNREFUSED);
    cr_assert_eq(lw_connect_tcp("127.0.0.1", "no-such-service", LW_FOREVER), -ENOENT);
    return 0;
}

Test(net, a_listener_for_any_address_hears_both_families)
{
    run_all(families, NULL);
    cr_assert_eq(families(NULL), 0);
}

/* Stands for a name server: the numeric ones are real. */
static int lookup_error; /* atomic: one that was let go may still be about to read it */
static int has_given_up; /* atomic: whom the slow lookup is too slow for */

static int pretend_lookup(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **found)
{
    struct addrinfo numeric = *hints;
    int err;

    if (hints->ai_flags & AI_NUMERICHOST)
        return real.getaddrinfo(host, service, hints, found);
    err = lw_load_rlx(&lookup_error);
    if (err != 0) {
        errno = ENETDOWN;
        return err;
    }
    if (strcmp(host, "slow.test") == 0)
        AWAIT(lw_load_acq(&has_given_up));
    numeric.ai_flags |= AI_NUMERICHOST;
    err = real.getaddrinfo("127.0.0.9", service, &numeric, found); /* nobody listens there */
    if (err == 0)
        err = real.getaddrinfo("127.0.0.1", service, &numeric, &(*found)->ai_next);
    return err;
}

static int names(void *arg)
{
    const int errors[][2] = {{EAI_NONAME, -ENOENT}, {EAI_SERVICE, -ENOENT},
                             {EAI_AGAIN, -EAGAIN},  {EAI_MEMORY, -ENOMEM},
                             {EAI_FAIL, -EIO},      {EAI_SYSTEM, -ENETDOWN}};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), fd;
    char port[8];

    (void)arg;
    (void)port_of(listener, port);
    for (unsigned i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        lw_store_rlx(&lookup_error, errors[i][0]);
        fd = lw_getaddrinfo("name.test", port, NULL, &found, LW_FOREVER);
        cr_assert_eq(fd, errors[i][1]);
        cr_assert_null(found);
        cr_assert_eq(lw_connect_tcp("name.test", port, LW_FOREVER), errors[i][1]);
    }
    lw_store_rlx(&lookup_error, 0);
    cr_assert_eq(lw_getaddrinfo("name.test", port, &hints, &found, LW_FOREVER), 0);
    cr_assert_not_null(found->ai_next);
    freeaddrinfo(found);
    cr_assert_geq(fd = lw_connect_tcp("name.test", port, LW_FOREVER), 0, "the second address");
    cr_assert_eq(lw_close(fd), 0);
    cr_assert_eq(lw_getaddrinfo("name.test", port, &hints, &found, LW_NOW), -ETIMEDOUT);
    lw_store_rel(&has_given_up, 0);
    cr_assert_eq(lw_getaddrinfo("slow.test", port, &hints, &found, lw_in(5 * LW_MS)), -ETIMEDOUT);
    lw_store_rel(&has_given_up, 1);
    cr_assert_null(found);
    cr_assert_eq(lw_getaddrinfo("127.0.0.1", port, &hints, &found, LW_NOW), 0, "no lookup at all");
    freeaddrinfo(found);
    cr_assert_eq(lw_close(listener), 0);
    fd = lw_connect_tcp("name.test", port, LW_FOREVER);
    cr_assert_eq(fd, -ECONNREFUSED, "the last one's");
    return 0;
}

Test(net, names_are_looked_up_and_all_their_addresses_are_tried)
{
    lw_sys.getaddrinfo = pretend_lookup;
    run_all(names, NULL);
    assert_no_leaks(); /* what was let go ended with the runtime, or owns what it has */
}

/* ---- connections that do not come about */

static int connect_in_vain(void *arg)
{
    return lw_connect_tcp("127.0.0.1", arg, LW_FOREVER);
}

/* A listener whose queue is full does not answer. */
static int no_answer(void *arg)
{
    int listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), filler[4], before, status = 0;
    char port[8];
    lw_task task;

    (void)arg;
    (void)port_of(listener, port);
    cr_assert_eq(listen(listener, 0), 0);
    for (int i = 0; i < 4; i++)
        filler[i] = lw_connect_tcp("127.0.0.1", port, lw_in(50 * LW_MS));
    before = descriptors_open();
    cr_assert_eq(lw_connect_tcp("127.0.0.1", port, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_connect_tcp("127.0.0.1", port, LW_NOW), -ETIMEDOUT);
    task = start(connect_in_vain, port);
    cr_assert_eq(lw_sleep(lw_in(5 * LW_MS)), 0);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    cr_assert_eq(descriptors_open(), before);
    for (int i = 0; i < 4; i++)
        if (filler[i] >= 0)
            cr_assert_eq(lw_close(filler[i]), 0);
    return lw_close(listener);
}

Test(net, a_connect_ends_by_its_deadline_or_a_cancel_and_leaves_no_descriptor)
{
    run_all(no_answer, NULL);
}

/* ---- half close */

static int answer_at_end(void *arg)
{
    int fd = *(int *)arg, sum = 0;
    unsigned char bytes[100];
    ssize_t count;

    while ((count = lw_read(fd, bytes, sizeof bytes, LW_FOREVER)) > 0)
        for (ssize_t i = 0; i < count; i++)
            sum += bytes[i];
    cr_assert_eq(count, 0);
    cr_assert_eq(lw_write_all(fd, &sum, sizeof sum, LW_FOREVER), 0);
    return lw_close(fd);
}

static int half_close(void *arg)
{
    (void)arg;
    for (long i = rounds(200); i > 0; i--) {
        unsigned char bytes[250];
        int fds[2], sum = 0, expected = 0;
        lw_task task;

        tcp_pair(fds);
        task = start(answer_at_end, &fds[1]);
        for (size_t n = 0; n < sizeof bytes; n++)
            expected += bytes[n] = (unsigned char)(n + (size_t)i);
        cr_assert_eq(lw_write_all(fds[0], bytes, sizeof bytes, LW_FOREVER), 0);
        if (i % 2)
            lw_yield();
        cr_assert_eq(shutdown(fds[0], SHUT_WR), 0);
        cr_assert_eq(lw_read_all(fds[0], &sum, sizeof sum, LW_FOREVER), 0);
        cr_assert_eq(sum, expected);
        end_of(task);
        cr_assert_eq(lw_read(fds[0], &sum, 1, LW_FOREVER), 0);
        cr_assert_eq(lw_close(fds[0]), 0);
    }
    return 0;
}

Test(net, after_one_end_was_shut_down_the_other_still_answers)
{
    run_all(half_close, NULL);
}
