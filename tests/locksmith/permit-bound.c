/* SPDX-License-Identifier: MIT */
/* The laws of how many permits there are, and of who has them: in circles of those who wait for
 * more.  The order in which they wait is in permit-order.c. */
#include "tests/locksmith/permits.h"

#include <latchwork/select.h>

TestSuite(permit_bound, .init = hear);

static struct scene *shared;

/* ---- nobody else is to give way for one that stands in its own way */

static void have_two_and_a_mutex(struct scene *scene, int index)
{
    if (index == 0)
        take(&scene->m[0].lock);
    take_permits(scene, index == 0 ? 2 : 1);
}

static void want_too_many(struct scene *scene, int index)
{
    if (index == 0) {
        AWAIT((__atomic_load_n(&scene->m[0].lock._word._value, __ATOMIC_ACQUIRE) &
               LW_LOCK_QUEUED) != 0);
        try_permits(scene, index, 2);
        drop(&scene->m[0].lock);
        drop_permits(scene, 2);
    } else {
        try(scene, index, &scene->m[0].lock);
        drop_permits(scene, 1);
    }
}

static int too_many(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 2; threads++) {
        struct scene scene = make_scene(2, have_two_and_a_mutex, want_too_many);

        cr_assert_eq(perform(&scene, threads), 1);
        cr_assert_eq(scene.results[0], -EDEADLK);
        AWAIT(told() == 1);
        cr_assert_eq(heard.members, 1);
    }
    return 0;
}

Test(permit_bound, who_has_too_many_itself_gives_way_and_nobody_else)
{
    run_all(too_many, NULL);
}

/* ---- what there is in all */

static int have_one_and_want_mutex(void *arg)
{
    (void)arg;
    take_permits(shared, 1);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) == 2);
    try(shared, 0, &shared->m[0].lock);
    drop_permits(shared, 1);
    return 0;
}

static int have_mutex_and_want_two(void *arg)
{
    (void)arg;
    take(&shared->m[0].lock);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    try_permits(shared, 1, 2);
    drop(&shared->m[0].lock);
    return 0;
}

static int lower(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[2];

    (void)arg;
    shared = &scene;
    forget_heard();
    take_permits(&scene, 1); /* ours: with it there is enough for both */
    cr_assert_eq(lw_spawn(&tasks[0], have_one_and_want_mutex, NULL, NULL), 0);
    AWAIT(__atomic_load_n(&scene.arrived, __ATOMIC_ACQUIRE) == 1);
    tasks[1] = start_waiter(have_mutex_and_want_two, NULL);
    AWAIT(is_waiting(tasks[0]));
    cr_assert_eq(lw_bounded_semaphore_set_bound(&scene.permits, 2), 0);
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    cr_assert_eq(heard.members, 2);
    cr_assert_eq(heard.level, 2);
    drop_permits(&scene, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert((scene.results[0] == -EDEADLK) != (scene.results[1] == -EDEADLK));
    return 0;
}

Test(permit_bound, a_bound_that_is_lowered_closes_a_circle)
{
    run_all(lower, NULL);
}

/* ---- one that waits for other things, too, is in front */

static int choose(void *arg)
{
    lw_arm arms[] = {lw_arm_acquire(&shared->permits.lock), lw_arm_event(&shared->over, NULL)};

    (void)arg;
    cr_assert_eq(lw_select(arms, 2, LW_FOREVER), 0);
    drop_permits(shared, 1);
    return 0;
}

static int have_one_and_want_another(void *arg)
{
    int index = (int)(intptr_t)arg;

    take_permits(shared, 1);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) == 4);
    try_permits(shared, index, 1);
    drop_permits(shared, 1);
    return 0;
}

static int behind_a_choice(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[4];

    (void)arg;
    shared = &scene;
    forget_heard();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&tasks[i], have_one_and_want_another, (void *)(intptr_t)i, NULL), 0);
    AWAIT(__atomic_load_n(&scene.arrived, __ATOMIC_ACQUIRE) == 3);
    tasks[3] = start_waiter(choose, NULL);
    (void)__atomic_add_fetch(&scene.arrived, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    AWAIT(told() == 1);
    cr_assert_eq(heard.members, 3);
    cr_assert_eq(heard.level, 2);
    return 0;
}

Test(permit_bound, those_behind_one_that_waits_for_other_things_too_are_found)
{
    run_all(behind_a_choice, NULL);
}
