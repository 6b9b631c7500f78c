/* SPDX-License-Identifier: MIT */
/* An echo server with a task for each connection, and three clients, in straight lines: each read
 * and write waits as a task waits, with a deadline. */
#include <latchwork.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static int port;

static int echo(void *arg)
{
    int fd = *(const int *)arg;
    char buffer[256];
    ssize_t n;
    int err = 0;

    while (err == 0 && (n = lw_read(fd, buffer, sizeof buffer, lw_in(60 * LW_SEC))) > 0)
        err = lw_write_all(fd, buffer, (size_t)n, lw_in(60 * LW_SEC));
    (void)lw_close(fd);
    return err;
}

static int client(void *arg)
{
    const char *message = arg;
    char service[16], answer[64] = "";
    int fd, err;

    snprintf(service, sizeof service, "%d", port);
    fd = lw_connect_tcp("127.0.0.1", service, lw_in(60 * LW_SEC));
    if (fd < 0)
        return fd;
    err = lw_write_all(fd, message, strlen(message), LW_FOREVER);
    if (err == 0)
        err = lw_read_all(fd, answer, strlen(message), LW_FOREVER);
    (void)lw_close(fd);
    return err < 0 ? err : strcmp(message, answer) == 0 ? 0 : -1;
}

static int run(void *arg)
{
    static char messages[3][8] = { "one", "two", "three" };
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int listener = lw_listen_tcp("127.0.0.1", "0", lw_in(60 * LW_SEC)), fds[3], err;

    (void)arg;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return -1;
    port = ntohs(address.sin_port);

    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < 3 && err == 0; i++) {
            err = lw_group_spawn(&group, client, messages[i], NULL);
            if (err == 0)
                err = fds[i] = lw_accept(listener, NULL, NULL, lw_in(60 * LW_SEC));
            if (err >= 0)
                err = lw_group_spawn(&group, echo, &fds[i], NULL);
        }
    (void)lw_close(listener);
    printf("%s\n", err == 0 ? "three clients have heard their echo" : strerror(-err));
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     three clients have heard their echo
 */
