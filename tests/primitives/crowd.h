/* SPDX-License-Identifier: MIT */
/* Many tasks and plain threads that do the same to one object, while somebody cancels tasks at
 * random.  What happens when is the machine's choice; what must hold is said by the test. */
#ifndef LW_TESTS_CROWD_H
#define LW_TESTS_CROWD_H

#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/wait.h"

enum { CROWD_MAX = 64 };

struct member {
    struct crowd *crowd;
    uint64_t random; /* its own stream */
    int index;
    lw_task task; /* {0}: a plain thread */
    pthread_t thread;
};

struct crowd {
    int tasks, threads;
    bool cancels;
    void (*act)(struct member *member);
    void *object;
    int ended;
    uint64_t seed;
    struct member members[CROWD_MAX];
};

static int crowd_member(void *arg)
{
    struct member *member = arg;

    member->crowd->act(member);
    (void)__atomic_add_fetch(&member->crowd->ended, 1, __ATOMIC_RELEASE);
    return 0;
}

static void *crowd_thread(void *arg)
{
    (void)crowd_member(arg);
    return NULL;
}

/* In a task: start them all, cancel at random until all have ended, see them off. */
static inline void crowd_run(struct crowd *crowd)
{
    int count = crowd->tasks + crowd->threads;
    uint64_t random = crowd->seed * 2 + 1;

    crowd->ended = 0;
    for (int i = 0; i < count; i++) {
        struct member *member = &crowd->members[i];

        *member = (struct member){.crowd = crowd, .random = random_draw(&random) | 1, .index = i};
        if (i < crowd->tasks)
            cr_assert_eq(lw_spawn(&member->task, crowd_member, member, NULL), 0);
        else
            cr_assert_eq(pthread_create(&member->thread, NULL, crowd_thread, member), 0);
    }
    while (__atomic_load_n(&crowd->ended, __ATOMIC_ACQUIRE) < count) {
        if (crowd->cancels)
            (void)lw_cancel(crowd->members[random_draw(&random) % (uint64_t)crowd->tasks].task);
        lw_yield();
        (void)sched_yield();
    }
    for (int i = 0; i < count; i++) {
        if (i < crowd->tasks)
            cr_assert_eq(lw_join(crowd->members[i].task, NULL, LW_FOREVER), 0);
        else
            cr_assert_eq(pthread_join(crowd->members[i].thread, NULL), 0);
    }
}

/* LW_NOW, a few microseconds, or for ever (but see who cancels a plain thread: nobody). */
static inline lw_nsec random_deadline(struct member *member)
{
    switch (random_draw(&member->random) % 4) {
    case 0:
        return LW_NOW;
    case 1:
        return lw_in((lw_nsec)(random_draw(&member->random) % 200) * LW_US);
    default:
        return LW_FOREVER;
    }
}

static inline void maybe_yield(struct member *member)
{
    if (random_draw(&member->random) % 4 == 0)
        lw_yield();
}

/* What a wait may say when somebody cancels and deadlines are short. */
static inline bool is_interruption(int err)
{
    return err == -ETIMEDOUT || err == -ECANCELED;
}

/* The task has queued, at least: a plain thread's wait stays ARMED. */
static inline bool is_queued(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    uint64_t phase;

    if (record == NULL)
        return false;
    phase = lw_load_acq(&lw_record_cold(record)->wait) & LW_PHASE_MASK;
    return phase == LW_PHASE_ARMED || phase == LW_PHASE_WAITING;
}

/* Start a task and let it get to its wait. */
static inline lw_task start_waiter(lw_fn *fn, void *arg)
{
    lw_task task;

    cr_assert_eq(lw_spawn(&task, fn, arg, NULL), 0);
    AWAIT(is_waiting(task));
    return task;
}

static inline int join_status(lw_task task)
{
    int status = 1;

    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    return status;
}

#endif
