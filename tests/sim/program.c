/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of simulation: tasks and plain threads that come to a lock in an
 * order that nobody promises, pipes and sockets of its own, and a day's sleep.  See program. */
#include <latchwork.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TASKS = 6, THREADS = 2 };

static lw_mutex mutex = LW_MUTEX_INIT("order");
static int order[TASKS + THREADS], count;

static int come(void *arg)
{
    int err;

    LW_WITH(&mutex.lock, LW_FOREVER, err)
        order[count++] = (int)(intptr_t)arg;
    return err;
}

static void *come_as_thread(void *arg)
{
    return come(arg) < 0 ? arg : NULL;
}

/* ---- by descriptors */

static int pipes[2][2], udp;
static struct sockaddr_in udp_name = {.sin_family = AF_INET};

/* What comes through one pipe goes through the other, a day later. */
static void *pass_on(void *arg)
{
    char bytes[5];

    if (read(pipes[0][0], bytes, sizeof bytes) != sizeof bytes || sleep(86400) != 0)
        return arg;
    return write(pipes[1][1], bytes, sizeof bytes) == sizeof bytes ? NULL : arg;
}

static int send_datagram(void *arg)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), err;

    err = lw_connect(fd, (struct sockaddr *)&udp_name, sizeof udp_name, LW_FOREVER);
    if (err == 0)
        err = lw_write_all(fd, arg, 4, LW_FOREVER);
    return lw_close(fd) < 0 ? -1 : err;
}

static int receive_datagram(void)
{
    socklen_t size = sizeof udp_name;
    char got[5] = "", ping[] = "ping";
    struct iovec part = {.iov_base = got, .iov_len = sizeof got};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    lw_task task;
    int status = -1;

    udp_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(udp, (struct sockaddr *)&udp_name, size) < 0 ||
        getsockname(udp, (struct sockaddr *)&udp_name, &size) < 0 ||
        lw_spawn(&task, send_datagram, ping, NULL) < 0)
        return -1;
    if (lw_recvmsg(udp, &message, 0, LW_FOREVER) != 4 || strcmp(got, "ping") != 0)
        return -2;
    return lw_join(task, &status, LW_FOREVER) < 0 || lw_close(udp) < 0 ? -3 : status;
}

static int use_descriptors(void)
{
    char got[6] = "";
    pthread_t thread;
    void *failed = got;

    if (pipe(pipes[0]) < 0 || pipe(pipes[1]) < 0 ||
        pthread_create(&thread, NULL, pass_on, got) != 0)
        return -1;
    if (lw_write_all(pipes[0][1], "hello", 5, LW_FOREVER) < 0 ||
        lw_read_all(pipes[1][0], got, 5, LW_FOREVER) < 0 || strcmp(got, "hello") != 0)
        return -2;
    (void)pthread_join(thread, &failed);
    return failed != NULL ? -3 : receive_datagram();
}

/* ---- all of it */

static int root(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    pthread_t threads[THREADS];
    int err = use_descriptors();

    if (err < 0)
        return err;

    (void)arg;
    for (intptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, come_as_thread, (void *)(TASKS + i)) != 0)
            return -1;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (intptr_t i = 0; i < TASKS && err == 0; i++)
            err = lw_group_spawn(&group, come, (void *)i, NULL);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    return err < 0 ? err : lw_sleep(lw_in(86400 * LW_SEC));
}

int main(void)
{
    int err = lw_run(NULL, root, NULL);

    for (int i = 0; i < count; i++)
        printf("%d ", order[i]);
    printf("of %d, %s\n", count, err == 0 ? "well" : "badly");
    return err < 0;
}
