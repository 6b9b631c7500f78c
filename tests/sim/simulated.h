/* SPDX-License-Identifier: MIT */
/* What the suites of the simulated kernel share. */
#ifndef LW_TESTS_SIM_SIMULATED_H
#define LW_TESTS_SIM_SIMULATED_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <latchwork.h>
#include <netinet/in.h>
#include <signal.h>

#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/support.h"

static inline void simulated_init(void)
{
    watchdog();
    sim_settings->plain = true;
    sim_settings->own_weather = true;
    (void)signal(SIGPIPE, SIG_IGN);
}

static inline void passes(lw_fn *test, void *arg, uint64_t schedules)
{
    lw_sim_options options = {.schedules = schedules};

    cr_assert_eq(lw_sim_run(&options, test, arg, NULL), LW_SIM_PASSED);
}

#define NS_PER_SEC INT64_C(1000000000)
#define LOCALHOST(number)                                                                          \
    ((struct sockaddr_in){                                                                         \
        .sin_family = AF_INET, .sin_port = htons(number), .sin_addr = {htonl(INADDR_LOOPBACK)}})

static inline int failed(int result, int error)
{
    return result == -1 && errno == error;
}

static inline int connect_to(int fd, struct sockaddr_in address)
{
    return lw_sys.connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* A listener on a port of its own. */
static inline int hear(struct sockaddr_in *address, int flags, int backlog)
{
    int fd = lw_sys.socket(AF_INET, SOCK_STREAM | flags, 0);
    socklen_t size = sizeof *address;

    *address = LOCALHOST(0);
    LW_SIM_CHECK(lw_sys.bind(fd, (struct sockaddr *)address, size) == 0);
    LW_SIM_CHECK(lw_sys.listen(fd, backlog) == 0);
    LW_SIM_CHECK(sim_getsockname(fd, (struct sockaddr *)address, &size) == 0);
    return fd;
}

static inline void tcp_pair(int fds[2], int flags)
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

static inline void close_both(const int fds[2])
{
    LW_SIM_CHECK(lw_sys.close(fds[0]) == 0);
    LW_SIM_CHECK(lw_sys.close(fds[1]) == 0);
}

#endif
