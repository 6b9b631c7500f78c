/* SPDX-License-Identifier: MIT */
/* Blocking calls that stay inside until they are let through. */
#ifndef LW_TESTS_RUNTIME_GATE_H
#define LW_TESTS_RUNTIME_GATE_H

#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "runtime/atomic.h"
#include "tests/support.h"

static inline void sem_take(sem_t *sem)
{
    while (sem_wait(sem) < 0)
        cr_assert_eq(errno, EINTR);
}

/* A function that blocks its helper until told to go on. */
struct gate {
    sem_t open;
    uint32_t entered, ended;
};

static inline void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    cr_assert_eq(sem_init(&gate->open, 0, 0), 0);
}

static inline int pass_gate(void *arg)
{
    struct gate *gate = arg;

    (void)lw_add_acq_rel(&gate->entered, 1);
    sem_take(&gate->open);
    (void)lw_add_acq_rel(&gate->ended, 1);
    return 5;
}

static inline void await(const uint32_t *word, uint32_t least)
{
    while (lw_load_acq(word) < least)
        cr_assert_eq(lw_sleep(lw_in(100 * LW_US)), 0);
}

/* A task that calls pass_gate with a deadline. */
struct caller {
    struct gate *gate;
    lw_nsec within; /* LW_FOREVER; else from the call on */
    int err, status, after;
    lw_task task;
};

static inline int call_gate(void *arg)
{
    struct caller *caller = arg;

    caller->status = -77;
    int err = lw_blocking(pass_gate, caller->gate, &caller->status, lw_in(caller->within));

    caller->after = lw_checkpoint();
    lw_store_rel(&caller->err, err);
    return 0;
}

static inline void start(struct caller *caller, struct gate *gate, lw_nsec within)
{
    *caller = (struct caller){.gate = gate, .within = within};
    cr_assert_eq(lw_spawn(&caller->task, call_gate, caller, NULL), 0);
}

static inline void finish(struct caller *caller)
{
    int status = -1;

    cr_assert_eq(lw_join(caller->task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
}

static inline int count_up(void *arg)
{
    (void)lw_add_acq_rel((uint32_t *)arg, 1);
    return 0;
}

#endif
