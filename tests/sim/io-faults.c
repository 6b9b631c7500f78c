/* SPDX-License-Identifier: MIT */
/* Names, connections, unix sockets, plain threads at descriptors, closes and a second runtime while
 * calls of the system fail: see sweep.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/un.h>

#include "runtime/descriptor.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/sim/sweep.h"
#include "tests/support.h"

TestSuite(io_faults, .init = watchdog);

#define NO_SOCKET -EAGAIN, -ENOMEM, -EMFILE, -ENFILE, -ENOSPC, -EADDRINUSE, -ETIMEDOUT
#define NO_BYTES -ENOMEM, -ENOSPC, -ETIMEDOUT, -ENODATA, -ECONNRESET, -EPIPE

enum { SEEDS = 4, NESTED = 3 };
static const char path[] = "/tmp/latchwork-io-faults";

static int listener;
static char port[8];

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- names */

/* One that is waited for, and one that nobody waits for any more when it ends. */
static void use_names(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;

    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = i == 0 ? LW_FOREVER : lw_in(1);
        int err = MAY_END(lw_getaddrinfo("localhost", "80", &hints, &found, deadline),
                          i == 1 ? -ETIMEDOUT : 1, -EAGAIN, -ENOMEM);

        if (err == 0)
            freeaddrinfo(found);
    }
}

/* ---- connections */

static int serve(void *arg)
{
    char byte = 0;
    int fd = SHALL(lw_accept(listener, NULL, NULL, sweep_within(LW_SEC)), -ETIMEDOUT, -ENOMEM,
                   -ENOSPC);

    (void)arg;
    if (fd < 0)
        return 0;
    (void)MAY_END(lw_poll(fd, POLLIN, lw_in(LW_MS)), -ETIMEDOUT, -ENOMEM, -ENOSPC);
    if (SHALL(lw_read_all(fd, &byte, 1, sweep_within(LW_SEC)), NO_BYTES) == 0) {
        LW_SIM_CHECK(byte == 'x');
        LW_SIM_CHECK(lw_sleep(lw_in(3 * LW_MS)) == 0); /* the other end has to wait */
        (void)SHALL(lw_write_all(fd, "y", 1, LW_FOREVER), NO_BYTES);
    }
    LW_SIM_CHECK(lw_close(fd) == 0);
    return 0;
}

/* A plain thread, which waits at a bell. */
static void *talk_to_it(void *arg)
{
    char byte = 0;
    int fd = SHALL(lw_connect_tcp("localhost", port, sweep_within(LW_SEC)), NO_SOCKET);

    if (fd < 0)
        return arg;
    (void)SHALL(lw_write_all(fd, "x", 1, LW_FOREVER), NO_BYTES);
    (void)MAY_END(lw_poll(fd, POLLIN, lw_in(LW_MS)), -ETIMEDOUT, -ENOMEM);
    if (SHALL(lw_read_all(fd, &byte, 1, sweep_within(2 * LW_SEC)), NO_BYTES) == 0)
        LW_SIM_CHECK(byte == 'y');
    LW_SIM_CHECK(lw_close(fd) == 0);
    return arg;
}

static void use_tcp(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    pthread_t guest;
    lw_task server;

    listener = SHALL(lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), NO_SOCKET);
    if (listener < 0)
        return;
    LW_SIM_CHECK(sim_getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    (void)snprintf(port, sizeof port, "%u", (unsigned)ntohs(address.sin_port));
    if (SHALL(lw_spawn(&server, serve, NULL, NULL), -ENOMEM) == 0) {
        bool made = sweep_thread(&guest, talk_to_it, NULL);

        LW_SIM_CHECK(lw_join(server, NULL, LW_FOREVER) == 0);
        if (made)
            LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    }
    LW_SIM_CHECK(lw_close(listener) == 0);
}

static int serve_unix(void *arg)
{
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd = SHALL(lw_accept(*(int *)arg, NULL, NULL, sweep_within(LW_SEC)), -ETIMEDOUT, -ENOMEM,
                   -ENOSPC);

    if (fd < 0)
        return 0;
    if (SHALL(lw_recvmsg(fd, &message, 0, sweep_within(LW_SEC)), NO_BYTES) > 0)
        LW_SIM_CHECK(byte == 'q');
    LW_SIM_CHECK(lw_close(fd) == 0);
    return 0;
}

static void talk_unix(void)
{
    struct iovec part = {(char[]){'q'}, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd = SHALL(lw_connect_unix(path, sweep_within(LW_SEC)), NO_SOCKET);

    if (fd < 0)
        return;
    LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    (void)SHALL(lw_sendmsg(fd, &message, 0, sweep_within(LW_SEC)), NO_BYTES);
    LW_SIM_CHECK(lw_close(fd) == 0);
}

/* The path stays: the next listener finds it stale. */
static void use_unix(void)
{
    int ear = SHALL(lw_listen_unix(path), NO_SOCKET);
    lw_task server;

    if (ear < 0)
        return;
    if (SHALL(lw_spawn(&server, serve_unix, &ear, NULL), -ENOMEM) == 0) {
        talk_unix();
        LW_SIM_CHECK(lw_join(server, NULL, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_close(ear) == 0);
}

/* ---- a close under a plain thread that waits */

enum { CHUNK = 1 << LW_FD_CHUNK_BITS };

/* Take all numbers up to the end of a chunk of descriptor records: the next one to be made, the
 * thread's bell, needs a chunk of its own.  How many it was; none of these calls is to fail. */
static int fill_chunk(int fd, int fillers[CHUNK])
{
    unsigned kinds = sim_settings->fault_kinds;
    int count = 0;

    sim_settings->fault_kinds = 0;
    do {
        fillers[count] = lw_sys.fcntl(fd, F_DUPFD_CLOEXEC, 0);
        LW_SIM_CHECK(fillers[count] >= 0);
    } while ((fillers[count++] + 1) % CHUNK != 0 && count < CHUNK);
    sim_settings->fault_kinds = kinds;
    return count;
}

static void *read_until_closed(void *arg)
{
    char byte;

    /* 0: it was inside when the other end was closed as well. */
    LW_SIM_CHECK(MAY_END(lw_read(*(int *)arg, &byte, 1, LW_FOREVER), -EBADF, -ENOMEM) <= 0);
    return arg;
}

static void close_under_it(void)
{
    int fds[2], fillers[CHUNK], count;
    pthread_t guest;
    bool made;

    if (sim_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        (void)SHALL(-errno, -EMFILE, -ENFILE);
        return;
    }
    count = fill_chunk(fds[1], fillers);
    made = sweep_thread(&guest, read_until_closed, &fds[0]);
    LW_SIM_CHECK(lw_sleep(lw_in(2 * LW_MS)) == 0);
    LW_SIM_CHECK(lw_close(fds[0]) == 0);
    LW_SIM_CHECK(lw_close(fds[1]) == 0);
    while (count > 0)
        LW_SIM_CHECK(lw_sys.close(fillers[--count]) == 0);
    if (made)
        LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
}

/* ---- a second runtime, which a task stops */

static void use_runtime(void)
{
    lw_options options = {.workers = 1};
    lw_task_options here = {0};
    lw_runtime *runtime;

    if (SHALL(lw_start(&runtime, &options), -ENOMEM, -EAGAIN, -EMFILE, -ENFILE, -ENOSPC) < 0)
        return;
    here.runtime = runtime;
    (void)SHALL(lw_spawn(NULL, nothing, NULL, &here), -ENOMEM);
    here.stack_bytes = 1 << 20;
    (void)SHALL(lw_spawn(NULL, nothing, NULL, &here), -ENOMEM);
    LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
}

/* ---- the round */

/* By a helper thread, which is a plain one to the library. */
static int nested(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);

    (void)arg;
    for (int i = 0; i < NESTED; i++)
        (void)SHALL(lw_group_spawn(&group, nothing, NULL, NULL), -ENOMEM);
    return lw_group_end(&group, 0);
}

static int use_all(void *arg)
{
    int status;

    (void)arg;
    if (SHALL(lw_blocking(nested, NULL, &status, LW_FOREVER), -ENOMEM, -EAGAIN) == 0)
        LW_SIM_CHECK(status == 0);
    use_names();
    use_unix();
    use_runtime();
    close_under_it();
    use_tcp();
    return 0;
}

static const struct sweep_round round_of_io = {NULL, use_all};

Test(io_faults, of_one_call_are_told_and_leave_nothing)
{
    sweep_all(&round_of_io, false, SEEDS);
}

Test(io_faults, that_stay_are_told_and_leave_nothing)
{
    sweep_all(&round_of_io, true, SEEDS);
}
