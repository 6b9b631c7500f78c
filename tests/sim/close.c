/* SPDX-License-Identifier: MIT */
/* Descriptors that are closed, or hung up, while others are inside calls on them: whoever waits is
 * sent away, and the number is free in the end. */
#include "tests/sim/explore.h"

#include <fcntl.h>
#include <pthread.h>

#include "runtime/descriptor.h"
#include "runtime/os/os.h"
#include "runtime/sim/kernel.h"

TestSuite(close, .init = watchdog);

enum { READERS = 3, ROUNDS = 2 };

static int pipes[READERS][2];
static lw_semaphore finished; /* threads */

static void open_pipe(int i)
{
    LW_SIM_CHECK(sim_pipe2(pipes[i], O_NONBLOCK | O_CLOEXEC) == 0);
}

static bool is_free(int fd)
{
    return lw_sys.fcntl(fd, F_GETFD, 0) < 0;
}

/* ---- a close ends the reads of threads */

static void *read_until_closed(void *arg)
{
    char byte;

    /* Late, it may meet a bell that has the number now; of which it then reads too little to take
     * anything. */
    LW_SIM_CHECK(lw_read(pipes[(uintptr_t)arg][0], &byte, 1, LW_FOREVER) < 0);
    LW_SIM_CHECK(lw_semaphore_release(&finished, 1) == 0);
    return NULL;
}

static int close_one(void *arg)
{
    LW_SIM_CHECK(lw_close(pipes[(uintptr_t)arg][0]) == 0);
    return 0;
}

static int look_in_vain(void *arg)
{
    char byte;

    LW_SIM_CHECK(lw_read(pipes[(uintptr_t)arg][0], &byte, 1, lw_in(LW_US)) == -ETIMEDOUT);
    return 0;
}

static int close_under_readers(void *arg)
{
    pthread_t threads[READERS];
    lw_task tasks[READERS];

    (void)arg;
    finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < READERS; i++)
            open_pipe(i);
        if (sim_choose(2) == 1) {
            for (uintptr_t i = 0; i < READERS; i++)
                tasks[i] = start(look_in_vain, (void *)i);
            for (int i = 0; i < READERS; i++)
                LW_SIM_CHECK(end_of(tasks[i]) == 0);
        } /* else a close may meet the first call there is, which makes the record */
        for (uintptr_t i = 0; i < READERS; i++)
            LW_SIM_CHECK(pthread_create(&threads[i], NULL, read_until_closed, (void *)i) == 0);
        for (unsigned n = sim_choose(8); n > 0; n--)
            lw_yield();
        for (uintptr_t i = 0; i < READERS; i++)
            tasks[i] = start(close_one, (void *)i);
        LW_SIM_CHECK(lw_semaphore_acquire(&finished, READERS, LW_FOREVER) == 0);
        for (int i = 0; i < READERS; i++) {
            LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
            LW_SIM_CHECK(end_of(tasks[i]) == 0);
            LW_SIM_CHECK(lw_close(pipes[i][1]) == 0);
        }
    }
    return 0;
}

Test(close, a_close_ends_the_reads_of_threads)
{
    sim_all(close_under_readers, NULL);
}

/* ---- where there is no memory for records */

static void *read_in_vain(void *arg)
{
    char bytes[8]; /* less could not be read from an eventfd: a bell that has the number */

    LW_SIM_CHECK(lw_read(pipes[0][0], bytes, sizeof bytes, LW_FOREVER) < 0);
    return arg;
}

static void *close_it(void *arg)
{
    LW_SIM_CHECK(lw_close(pipes[0][0]) == 0);
    return arg;
}

static int close_without_memory(void *arg)
{
    pthread_t reader, closer;

    (void)arg;
    open_pipe(0);
    sim_settings->fault_kinds = 1u << SIM_FAULT_MAP;
    sim_settings->fault_one_in = 2;
    LW_SIM_CHECK(pthread_create(&reader, NULL, read_in_vain, NULL) == 0);
    LW_SIM_CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
    LW_SIM_CHECK(pthread_join(closer, NULL) == 0);
    LW_SIM_CHECK(pthread_join(reader, NULL) == 0);
    sim_settings->fault_kinds = sim_settings->fault_one_in = 0;
    return 0;
}

Test(close, a_close_without_memory_ends_a_first_read_that_had_some)
{
    sim_settings->plain = true;
    sim_every(close_without_memory, NULL, 2, 1000);
    sim_settings->plain = false;
    sim_plain(close_without_memory, NULL);
}

/* ---- a number that changes hands behind our back */

/* close(2) tells nobody; that the number is somebody else's now is what ends the read. */
static int make_anew_under_a_reader(void *arg)
{
    struct lw_descriptor *descriptor;
    pthread_t reader;
    int fd;

    (void)arg;
    open_pipe(0);
    LW_SIM_CHECK(pthread_create(&reader, NULL, read_in_vain, NULL) == 0);
    UNTIL((descriptor = lw_descriptor_of(pipes[0][0])) != NULL &&
          (lw_load_acq(&descriptor->state) & LW_FD_GUESTS) != 0);
    LW_SIM_CHECK(lw_sys.close(pipes[0][0]) == 0);
    fd = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER);
    LW_SIM_CHECK(fd == pipes[0][0]);
    LW_SIM_CHECK(pthread_join(reader, NULL) == 0);
    LW_SIM_CHECK(lw_close(fd) == 0);
    LW_SIM_CHECK(lw_close(pipes[0][1]) == 0);
    return 0;
}

Test(close, a_number_that_is_made_anew_ends_the_reads_of_threads)
{
    sim_all(make_anew_under_a_reader, NULL);
}

/* ---- a hang-up is heard while others come and go */

static int read_for_a_while(void *arg)
{
    char byte;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        ssize_t count = lw_read(pipes[0][0], &byte, 1, lw_in((1 + sim_choose(4)) * LW_US));

        LW_SIM_CHECK(count == 0 || count == -ETIMEDOUT);
    }
    return 0;
}

static int hang_up_beside_readers(void *arg)
{
    lw_task tasks[READERS];

    (void)arg;
    open_pipe(0);
    for (int i = 0; i < READERS; i++)
        tasks[i] = start(read_for_a_while, NULL);
    for (unsigned n = sim_choose(8); n > 0; n--)
        lw_yield();
    LW_SIM_CHECK(lw_close(pipes[0][1]) == 0);
    for (int i = 0; i < READERS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_close(pipes[0][0]) == 0);
    LW_SIM_CHECK(is_free(pipes[0][0])); /* nobody is counted as inside who is not */
    return 0;
}

Test(close, a_hang_up_is_heard_while_others_come_and_go)
{
    sim_all(hang_up_beside_readers, NULL);
}

/* ---- where registering fails */

static int socket_of_readers;

static int read_one_byte(void *arg)
{
    char byte;
    ssize_t count = lw_read(socket_of_readers, &byte, 1, LW_FOREVER);

    LW_SIM_CHECK(count == 1 || count == -ENOSPC || count == -ENOMEM);
    *(int *)arg += count == 1;
    return 0;
}

static int accept_it(void *arg)
{
    socket_of_readers = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER);
    return 0;
}

static int read_without_registration(void *arg)
{
    int listener = lw_listen_tcp("127.0.0.1", "7777", LW_FOREVER), client, got = 0;
    lw_task tasks[READERS], accepter = start(accept_it, &listener);

    (void)arg;
    client = lw_connect_tcp("127.0.0.1", "7777", LW_FOREVER);
    LW_SIM_CHECK(listener >= 0 && client >= 0 && end_of(accepter) == 0);
    sim_settings->fault_kinds = 1u << SIM_FAULT_POLL;
    sim_settings->fault_one_in = 2;
    for (int i = 0; i < READERS; i++)
        tasks[i] = start(read_one_byte, &got);
    for (unsigned n = sim_choose(8); n > 0; n--)
        lw_yield();
    for (int sent = 0; sent < READERS;) {
        ssize_t count = lw_write(client, "xyz", (size_t)(READERS - sent), LW_FOREVER);

        LW_SIM_CHECK(count > 0 || count == -ENOSPC || count == -ENOMEM);
        sent += count > 0 ? (int)count : 0;
    }
    for (int i = 0; i < READERS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    sim_settings->fault_kinds = sim_settings->fault_one_in = 0;
    LW_SIM_CHECK(lw_close(client) == 0 && lw_close(socket_of_readers) == 0 &&
                 lw_close(listener) == 0);
    return 0;
}

/* Those that rely on the one who tried are told to try themselves. */
Test(close, who_cannot_register_leaves_nobody_behind)
{
    sim_all(read_without_registration, NULL);
}
