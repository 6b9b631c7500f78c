/* SPDX-License-Identifier: MIT */
/* A bit of everything while calls of the system fail: see sweep.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>

#include "runtime/sim/kernel.h"
#include "tests/sim/sweep.h"
#include "tests/support.h"

TestSuite(faults, .init = watchdog);

enum { CHILDREN = 3, HELD = 24, SEEDS = 3 };

/* What the rounds of one schedule share; fresh in each. */
static struct trial {
    lw_mutex mutex;
    lw_semaphore semaphore;
    lw_event event;
    lw_condition condition;
    lw_channel channel;
    int items[2];
    bool said;
    int inside, listener;
    char port[8];
} trial;

/* ---- what the tasks do */

static int use_primitives(void *arg)
{
    int item = 5, got = 0;

    if (lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0) {
        LW_SIM_CHECK(++trial.inside == 1);
        lw_yield();
        LW_SIM_CHECK(--trial.inside == 0);
        LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    }
    if (SHALL(lw_semaphore_acquire(&trial.semaphore, 1, sweep_within(LW_SEC)), -ETIMEDOUT) == 0)
        LW_SIM_CHECK(lw_semaphore_release(&trial.semaphore, 1) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    LW_SIM_CHECK(lw_channel_send(&trial.channel, &item, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_channel_receive(&trial.channel, &got, LW_FOREVER) == 0 && got == 5);
    LW_SIM_CHECK(lw_event_wait(&trial.event, LW_FOREVER) == 0);
    return (int)(intptr_t)arg;
}

static int wait_for_word(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0);
    while (!trial.said)
        LW_SIM_CHECK(lw_condition_wait(&trial.condition, &trial.mutex.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    return (int)(intptr_t)arg;
}

/* More than fit into a record; what cannot be noted is held all the same. */
static int hold_many(void *arg)
{
    lw_mutex held[HELD] = {0};

    (void)arg;
    for (int i = 0; i < HELD; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&held[i], LW_FOREVER) == 0);
    for (int i = 0; i < HELD; i++)
        LW_SIM_CHECK(lw_mutex_release(&held[(i * 7) % HELD]) == 0);
    return 0;
}

static int block(void *arg)
{
    *(int *)arg += 1;
    return 9;
}

static void *visit(void *arg)
{
    /* A thread's first acquire makes its record. */
    if (SHALL(lw_mutex_acquire(&trial.mutex, LW_FOREVER), -ENOMEM) == 0)
        LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    (void)SHALL(lw_event_wait(&trial.event, LW_FOREVER), -ENOMEM);
    return arg;
}

/* ---- a connection */

static int serve(void *arg)
{
    char byte = 0;
    int fd = SHALL(lw_accept(trial.listener, NULL, NULL, sweep_within(LW_SEC)), -ETIMEDOUT, -ENOMEM,
                   -ENOSPC, -ECANCELED, -EBADF);

    (void)arg;
    if (fd < 0)
        return 0;
    if (SHALL(lw_read_all(fd, &byte, 1, sweep_within(LW_SEC)), -ENOMEM, -ENOSPC, -ETIMEDOUT,
              -ENODATA, -ECONNRESET) == 0) {
        LW_SIM_CHECK(byte == 'x');
        (void)SHALL(lw_write_all(fd, "y", 1, LW_FOREVER), -EPIPE, -ECONNRESET);
    }
    LW_SIM_CHECK(lw_close(fd) == 0);
    return 0;
}

static void connect_to_it(void)
{
    char byte = 0;
    int fd = SHALL(lw_connect_tcp("127.0.0.1", trial.port, sweep_within(LW_SEC)), -EAGAIN, -ENOMEM,
                   -EMFILE, -ENFILE, -ENOSPC, -ETIMEDOUT);

    if (fd < 0)
        return;
    (void)SHALL(lw_write_all(fd, "x", 1, LW_FOREVER), -ENOMEM, -ENOSPC, -EPIPE, -ECONNRESET);
    if (SHALL(lw_read_all(fd, &byte, 1, sweep_within(2 * LW_SEC)), -ENOMEM, -ENOSPC, -ETIMEDOUT,
              -ENODATA, -ECONNRESET) == 0)
        LW_SIM_CHECK(byte == 'y');
    LW_SIM_CHECK(lw_close(fd) == 0);
}

static void talk(void)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    lw_task server;
    int spawned;

    trial.listener = SHALL(lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), -EAGAIN, -ENOMEM, -EMFILE,
                           -ENFILE, -ENOSPC, -EADDRINUSE);
    if (trial.listener < 0)
        return;
    LW_SIM_CHECK(sim_getsockname(trial.listener, (struct sockaddr *)&address, &size) == 0);
    (void)snprintf(trial.port, sizeof trial.port, "%u",
                   (unsigned)ntohs(((struct sockaddr_in *)&address)->sin_port));
    spawned = SHALL(lw_spawn(&server, serve, NULL, NULL), -ENOMEM);
    if (spawned == 0) {
        connect_to_it();
        LW_SIM_CHECK(lw_join(server, NULL, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_close(trial.listener) == 0);
}

/* ---- a round */

static void use_group(void)
{
    lw_group group = LW_GROUP_INIT(0);
    int children = 0;

    for (int i = 0; i < CHILDREN; i++)
        children += SHALL(lw_group_spawn(&group, i == 0 ? hold_many : wait_for_word, NULL, NULL),
                          -ENOMEM) == 0;
    LW_SIM_CHECK(lw_group_running(&group) <= (uint32_t)children);
    LW_SIM_CHECK(lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0);
    trial.said = true;
    (void)lw_condition_notify(&trial.condition, LW_ALL);
    LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    LW_SIM_CHECK(lw_group_end(&group, 0) == 0);
}

static int use_all(void *arg)
{
    lw_task tasks[CHILDREN];
    bool spawned[CHILDREN];
    pthread_t guest;
    bool made;
    int status, calls = 0;

    (void)arg;
    for (int i = 0; i < CHILDREN; i++)
        spawned[i] = SHALL(lw_spawn(&tasks[i], use_primitives, (void *)(intptr_t)i, NULL),
                           -ENOMEM) == 0;
    made = sweep_thread(&guest, visit, NULL);
    if (SHALL(lw_blocking(block, &calls, &status, LW_FOREVER), -ENOMEM, -EAGAIN) == 0)
        LW_SIM_CHECK(calls == 1 && status == 9);
    else
        LW_SIM_CHECK(calls == 0);
    use_group();
    talk();
    if (spawned[0])
        LW_SIM_CHECK(lw_join(tasks[0], NULL, lw_in(LW_MS)) == -ETIMEDOUT);
    lw_event_set(&trial.event);
    for (int i = 0; i < CHILDREN; i++)
        if (spawned[i])
            LW_SIM_CHECK(lw_join(tasks[i], &status, LW_FOREVER) == 0 && status == i);
    if (made)
        LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    return 0;
}

static void begin(void)
{
    trial = (struct trial){.semaphore = LW_SEMAPHORE_INIT(NULL, 2)};
    lw_channel_init(&trial.channel, NULL, trial.items, sizeof *trial.items, 2);
}

static const struct sweep_round everything = {begin, use_all};

Test(faults, of_one_call_are_told_and_leave_nothing)
{
    sweep_all(&everything, false, SEEDS);
}

Test(faults, that_stay_are_told_and_leave_nothing)
{
    sweep_all(&everything, true, SEEDS);
}
