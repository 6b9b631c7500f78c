/* SPDX-License-Identifier: MIT */
/* Addresses of the simulated network: who is heard at which, who refuses, what names mean, as Linux
 * has it. */
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "tests/sim/simulated.h"

TestSuite(address, .init = simulated_init);

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

Test(address, nobody_refuses_and_nowhere_times_out)
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

Test(address, a_full_queue_makes_a_connection_late)
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

Test(address, a_port_has_one_listener)
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

Test(address, any_address_of_ipv6_hears_both_families)
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

Test(address, a_path_outlives_its_socket)
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

Test(address, names_are_numbers_and_localhost)
{
    passes(ask_names, NULL, 1);
}
