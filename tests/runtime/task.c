/* SPDX-License-Identifier: MIT */
/* Laws of tasks: spawn, join and detach and their codes; handles; options; errno and data per task;
 * what refused memory does; what a burst of spawns costs, and that a steady state allocates
 * nothing. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "tests/support.h"

#include <latchwork/errno.h> /* last: it redefines errno */

TestSuite(task, .init = watchdog);

static uint32_t count, go;

static int give_back(void *arg)
{
    (void)lw_add_acq_rel(&count, 1);
    return (int)(intptr_t)arg;
}

static int wait_for_go(void *arg)
{
    (void)lw_add_acq_rel(&count, 1);
    while (!lw_load_acq(&go))
        lw_yield();
    return (int)(intptr_t)arg;
}

/* ---- join and detach */

static int statuses(void *arg)
{
    static const int values[] = {0, 1, -1, INT32_MAX, INT32_MIN, -ECANCELED};
    lw_task task;
    int status;

    (void)arg;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_assert_eq(lw_spawn(&task, give_back, (void *)(intptr_t)values[i], NULL), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, values[i]);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), -ESRCH, "once");
        cr_assert_eq(lw_detach(task), -ESRCH);
        cr_assert_eq(lw_spawn(&task, give_back, (void *)(intptr_t)values[i], NULL), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    }
    return 0;
}

Test(task, join_gives_the_status_once)
{
    run_all(statuses, NULL);
}

static int join_self(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_join(lw_self(), NULL, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_join(lw_self(), NULL, LW_NOW), -EDEADLK);
    return 0;
}

Test(task, join_of_oneself_is_refused)
{
    run_with(1, join_self, NULL);
}

static int join_it(void *arg)
{
    int status = 0, err = lw_join(*(lw_task *)arg, &status, LW_FOREVER);

    return err < 0 ? err : status;
}

static int codes(void *arg)
{
    lw_task task, other;
    int status;

    (void)arg;
    go = count = 0;
    cr_assert_eq(lw_spawn(&task, wait_for_go, (void *)9, NULL), 0);
    cr_assert_eq(lw_join(task, NULL, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_join(task, NULL, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_join(task, NULL, LW_MS), -EINVAL, "a duration");
    cr_assert_eq(lw_spawn(&other, join_it, &task, NULL), 0);
    AWAIT(is_waiting(other));
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), -EBUSY);
    cr_assert_eq(lw_detach(task), -EBUSY);
    cr_assert_eq(lw_cancel(other), 0);
    cr_assert_eq(lw_join(other, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED);
    cr_assert_eq(lw_join(task, NULL, LW_NOW), -ETIMEDOUT, "a join that failed may be repeated");
    lw_store_rel(&go, 1);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 9);
    cr_assert_eq(lw_join((lw_task){0}, NULL, LW_FOREVER), -ESRCH);
    cr_assert_eq(lw_join((lw_task){UINT64_MAX}, NULL, LW_FOREVER), -ESRCH);
    return 0;
}

Test(task, join_codes)
{
    run_all(codes, NULL);
}

static int detaches(void *arg)
{
    lw_task tasks[3];

    (void)arg;
    go = count = 0;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&tasks[i], wait_for_go, NULL, NULL), 0);
    cr_assert_eq(lw_detach(tasks[0]), 0, "before it runs");
    AWAIT(lw_load_acq(&count) == 3);
    cr_assert_eq(lw_detach(tasks[1]), 0, "while it runs");
    cr_assert_eq(lw_detach(tasks[1]), -EINVAL);
    cr_assert_eq(lw_join(tasks[1], NULL, LW_FOREVER), -EINVAL);
    lw_store_rel(&go, 1);
    AWAIT(lw_cancel(tasks[2]) == -ESRCH);
    cr_assert_eq(lw_detach(tasks[2]), 0, "after its end");
    cr_assert_eq(lw_detach(tasks[2]), -ESRCH);
    AWAIT(lw_detach(tasks[0]) == -ESRCH && lw_detach(tasks[1]) == -ESRCH);
    return 0;
}

Test(task, detach_codes)
{
    run_all(detaches, NULL);
}

/* A plain thread spawns and joins, with and without a deadline. */
static void *join_as_guest(void *arg)
{
    lw_task_options options = {.runtime = arg};
    lw_task task;
    int status;

    for (long i = 0; i < rounds(2000); i++) {
        int err;

        cr_assert_eq(lw_spawn(&task, give_back, (void *)(intptr_t)i, &options), 0);
        do
            err = lw_join(task, &status, i % 2 != 0 ? LW_FOREVER : lw_in(i % 7 * LW_US));
        while (err == -ETIMEDOUT);
        cr_assert_eq(err, 0);
        cr_assert_eq(status, i);
    }
    return NULL;
}

Test(task, plain_threads_spawn_and_join)
{
    pthread_t threads[3];
    lw_options options = {.workers = 2};
    lw_runtime *runtime;

    cr_assert_eq(lw_start(&runtime, &options), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, join_as_guest, runtime), 0);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_eq(lw_stop(runtime, LW_FOREVER), 0);
    assert_no_leaks();
}

/* ---- handles */

static int stale_for_ever(void *arg)
{
    enum { OLD = 2000 };
    static lw_task old[OLD];
    long laps = rounds(200000);
    lw_task task;

    (void)arg;
    for (long i = 0; i < laps; i++) {
        cr_assert_eq(lw_spawn(&task, give_back, NULL, NULL), 0);
        for (int k = 0; k < 3 && i > 0; k++) {
            lw_task past = old[(i * 7 + k * 31) % (i < OLD ? i : OLD)];

            cr_assert_neq(past.id, task.id, "an id came back");
            cr_assert_eq(lw_cancel(past), -ESRCH);
            cr_assert_eq(lw_join(past, NULL, LW_FOREVER), -ESRCH);
        }
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        if (i < OLD)
            old[i] = task;
        if (i % 1000 == 999)
            lw_trim();
    }
    return 0;
}

Test(task, handle_of_an_ended_task_is_stale_for_ever)
{
    run_with(1, stale_for_ever, NULL);
    run_with(2, stale_for_ever, NULL);
}

static int handle_is_there(void *arg)
{
    return ((lw_task *)arg)->id == lw_self().id ? 0 : -EINVAL;
}

static int spawn_handles(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        lw_task task = {0};
        int status;

        cr_assert_eq(lw_spawn(&task, handle_is_there, &task, NULL), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0, "fn does not find its handle where its spawner keeps it");
    }
    return 0;
}

Test(task, finds_its_own_handle_where_it_was_stored)
{
    run_all(spawn_handles, NULL);
}

/* ---- options, data, errno */

static int check_data(void *arg)
{
    int mine = 0;

    cr_assert_eq(lw_data(), arg);
    lw_yield();
    lw_set_data(&mine);
    for (int i = 0; i < 10; i++) {
        lw_yield();
        cr_assert_eq(lw_data(), &mine);
    }
    return 0;
}

static int data_per_task(void *arg)
{
    lw_task tasks[20];

    for (int i = 0; i < 20; i++) {
        lw_task_options options = {.name = "with data", .data = &tasks[i]};

        cr_assert_eq(lw_spawn(&tasks[i], check_data, i % 2 != 0 ? &tasks[i] : NULL,
                              i % 2 != 0 ? &options : NULL),
                     0);
    }
    cr_assert_null(lw_data());
    lw_set_data(&arg);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_data(), &arg);
    return 0;
}

Test(task, data_is_each_ones_own)
{
    int here;

    run_all(data_per_task, NULL);
    cr_assert_null(lw_data());
    lw_set_data(&here); /* in a plain thread too */
    cr_assert_eq(lw_data(), &here);
}

/* errno of its own, whichever thread it is on after a switch. */
static int keep_errno(void *arg)
{
    int mine = 1000 + (int)(intptr_t)arg;

    cr_assert_eq(errno, 0, "a new task begins with errno 0");
    for (int i = 0; i < 200; i++) {
        errno = mine;
        if (i % 5 == 0)
            cr_assert_eq(lw_sleep(lw_in(20 * LW_US)), 0);
        else
            lw_yield();
        cr_assert_eq(errno, mine);
        mine++;
    }
    return 0;
}

static int errno_per_task(void *arg)
{
    lw_task tasks[30];

    (void)arg;
    for (intptr_t i = 0; i < 30; i++)
        cr_assert_eq(lw_spawn(&tasks[i], keep_errno, (void *)(i * 500), NULL), 0);
    for (int i = 0; i < 30; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(task, errno_is_each_ones_own)
{
    run_all(errno_per_task, NULL);
}

static int use_stack(void *arg)
{
    volatile char room[200 * 1024];

    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = 1;
    (void)arg;
    return room[1024];
}

static int stack_sizes(void *arg)
{
    lw_task_options options = {.stack_bytes = 256 * 1024};
    lw_task task;
    int status;

    (void)arg;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(lw_spawn(&task, use_stack, NULL, &options), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 1);
        cr_assert_eq(lw_spawn(&task, give_back, NULL, NULL), 0); /* of another class, in between */
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    }
    count = 0;
    options.stack_bytes = SIZE_MAX;
    cr_assert_eq(lw_spawn(&task, give_back, NULL, &options), -EINVAL);
    options.stack_bytes = (size_t)1 << 40;
    cr_assert_eq(lw_spawn(NULL, give_back, NULL, &options), -EINVAL);
    cr_assert_eq(lw_spawn(&task, NULL, NULL, NULL), -EINVAL);
    lw_yield();
    cr_assert_eq(count, 0, "what was refused does not run");
    return 0;
}

Test(task, stack_is_as_large_as_asked_for)
{
    run_all(stack_sizes, NULL);
}

Test(task, spawn_without_a_runtime_says_so)
{
    lw_task task;

    cr_assert_eq(lw_self().id, 0);
    cr_assert_eq(lw_spawn(&task, give_back, NULL, NULL), -EINVAL);
    lw_yield();
    cr_assert_eq(lw_thread_attach(), 0);
    cr_assert_neq(lw_self().id, 0);
    cr_assert_eq(lw_thread_attach(), 0);
    cr_assert_eq(lw_join(lw_self(), NULL, LW_FOREVER), -EINVAL, "a thread is nothing to join");
}
