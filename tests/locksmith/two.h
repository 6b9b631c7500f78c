/* SPDX-License-Identifier: MIT */
/* A circle of two, that closes when both have arrived. */
#ifndef LW_TESTS_LOCKSMITH_TWO_H
#define LW_TESTS_LOCKSMITH_TWO_H

#include "tests/locksmith/heard.h"

struct two {
    lw_mutex mutexes[2];
    int arrived, results[2];
    lw_nsec within; /* the deadline of the first; 0: none */
    bool shielded;
};

static void take_other(struct two *two, int index)
{
    lw_mutex *own = &two->mutexes[index], *other = &two->mutexes[1 - index];
    lw_nsec deadline = LW_FOREVER;

    cr_assert_eq(lw_mutex_acquire(own, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&two->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&two->arrived, __ATOMIC_ACQUIRE) == 2);
    if (index == 0 && two->within != 0)
        deadline = lw_in(two->within);
    if (two->shielded)
        cr_assert_eq(lw_shield_enter(), 0);
    two->results[index] = lw_mutex_acquire(other, deadline);
    if (two->shielded)
        (void)lw_shield_exit();
    if (two->results[index] == 0)
        cr_assert_eq(lw_mutex_release(other), 0);
    cr_assert_eq(lw_mutex_release(own), 0);
}

static struct two the_two;

static int take_other_as_task(void *arg)
{
    take_other(&the_two, (int)(intptr_t)arg);
    return 0;
}

static inline void start_two(lw_task tasks[2], const int priorities[2])
{
    the_two = (struct two){.within = the_two.within, .shielded = the_two.shielded};
    forget_heard();
    for (intptr_t i = 0; i < 2; i++) {
        lw_task_options options = {.name = i == 0 ? "first" : "second",
                                   .priority = priorities != NULL ? priorities[i] : 0};

        cr_assert_eq(lw_spawn(&tasks[i], take_other_as_task, (void *)i, &options), 0);
    }
}

static inline void join_two(const lw_task tasks[2])
{
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
}

#endif
