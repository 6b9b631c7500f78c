/* SPDX-License-Identifier: MIT */
/* The laws of the order in which permits are waited for: who stands behind one that wants more than
 * it can ever get need not wait with it (deadlocks.md 2.3). */
#include "tests/locksmith/permits.h"

TestSuite(permit_order, .init = hear);

static void assert_was_reordered(size_t members)
{
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    cr_assert_eq(heard.members, members);
    cr_assert_eq(heard.victim, heard.members, "nobody gives way");
    cr_assert_eq(heard.steps, 1);
    cr_assert_eq(heard.level, 1);
    cr_assert_not(heard.unforceable);
}

/* ---- one that has some wants more, behind one that wants all of them */

static void have_one_or_none(struct scene *scene, int index)
{
    if (index == 0)
        take_permits(scene, 1);
}

static void want_more_behind_all(struct scene *scene, int index)
{
    if (index == 0) {
        AWAIT(length(&scene->permits) == 1);
        try_permits(scene, index, 1);
        drop_permits(scene, 1);
    } else {
        try_permits(scene, index, 3);
    }
}

static int more(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 2; threads++) {
        struct scene scene = make_scene(2, have_one_or_none, want_more_behind_all);

        cr_assert_eq(perform(&scene, threads), 0);
        assert_was_reordered(2);
    }
    return 0;
}

Test(permit_order, who_has_permits_overtakes_one_that_waits_for_them)
{
    run_all(more, NULL);
}

/* ---- the same by way of a mutex, and through several queues */

static void have_for_circle(struct scene *scene, int index)
{
    if (index == 0)
        take_permits(scene, 1);
    else if (index == 2)
        take(&scene->m[0].lock);
}

static void want_for_circle(struct scene *scene, int index)
{
    if (index == 0) {
        try(scene, index, &scene->m[0].lock);
        drop_permits(scene, 1);
    } else if (index == 1) {
        try_permits(scene, index, 3);
    } else {
        AWAIT(length(&scene->permits) == 1);
        try_permits(scene, index, 2);
        drop(&scene->m[0].lock);
    }
}

static int by_a_mutex(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, have_for_circle, want_for_circle);

        cr_assert_eq(perform(&scene, threads), 0);
        assert_was_reordered(3);
    }
    return 0;
}

Test(permit_order, who_holds_what_a_holder_wants_overtakes)
{
    run_all(by_a_mutex, NULL);
}

/* Where nobody may overtake, one gives way. */
static int without_level_one(void *arg)
{
    lw_detector_options options;

    (void)arg;
    lw_detector_get(&options);
    options.levels &= ~LW_LEVEL(1);
    cr_assert_eq(lw_detector_set(&options), 0);
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, have_for_circle, want_for_circle);

        cr_assert_eq(perform(&scene, threads), 1);
        AWAIT(told() == 1);
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
        cr_assert_eq(heard.members, 3);
        cr_assert_eq(heard.level, 2);
    }
    return 0;
}

Test(permit_order, without_overtaking_one_gives_way)
{
    run_all(without_level_one, NULL);
}

/* ---- those who overtake keep their order, and wait for what others still have */

static void have_for_order(struct scene *scene, int index)
{
    if (index < 4)
        have_for_circle(scene, index);
}

static int order[4], orders;

static void want_in_turn(struct scene *scene, int index)
{
    if (index == 0) /* closes it */
        AWAIT(length(&scene->permits) == 3);
    if (index < 2) {
        want_for_circle(scene, index);
        return;
    }
    AWAIT(length(&scene->permits) == index - 1);
    scene->results[index] = lw_bounded_semaphore_acquire(&scene->permits, 2, LW_FOREVER);
    if (scene->results[index] == 0) {
        order[orders++] = index; /* two of three: one has them at a time */
        drop_permits(scene, 2);
    }
    if (index == 2)
        drop(&scene->m[0].lock);
}

/* Two behind the one that wants all; the first of them is in the circle. */
static int in_turn(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 4; threads++) {
        struct scene scene = make_scene(4, have_for_order, want_in_turn);

        orders = 0;
        cr_assert_eq(perform(&scene, threads), 0);
        assert_was_reordered(3);
        cr_assert_eq(orders, 2);
        cr_assert_eq(order[0], 2);
    }
    return 0;
}

Test(permit_order, one_overtakes_and_the_rest_stay_as_they_are)
{
    run_all(in_turn, NULL);
}

/* Somebody who runs has one that it wants: it waits for that in front of the one that wants all. */
static struct scene *shared;

static int hold_and_want_mutex(void *arg)
{
    (void)arg;
    take_permits(shared, 1);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) == 2);
    take(&shared->m[0].lock);
    drop(&shared->m[0].lock);
    drop_permits(shared, 1);
    return 0;
}

static int want_all(void *arg)
{
    (void)arg;
    take_permits(shared, 3);
    drop_permits(shared, 3);
    return 0;
}

static int hold_mutex_and_want_two(void *arg)
{
    (void)arg;
    take(&shared->m[0].lock);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(length(&shared->permits) == 1);
    take_permits(shared, 2);
    drop_permits(shared, 2);
    drop(&shared->m[0].lock);
    return 0;
}

static int runner_has_one(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[3];

    (void)arg;
    shared = &scene;
    forget_heard();
    take_permits(&scene, 1); /* ours */
    cr_assert_eq(lw_spawn(&tasks[0], hold_and_want_mutex, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&tasks[1], hold_mutex_and_want_two, NULL, NULL), 0);
    AWAIT(is_waiting(tasks[0]));
    tasks[2] = start_waiter(want_all, NULL);
    assert_was_reordered(3);
    AWAIT(length(&scene.permits) == 2);
    drop_permits(&scene, 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(told(), 1, "it was in front of the one that wants all");
    return 0;
}

Test(permit_order, who_overtakes_still_waits_for_those_who_run)
{
    run_all(runner_has_one, NULL);
}

/* ---- so many overtake that there is no place left between two */

enum { MANY = 17 };

static struct {
    lw_bounded_semaphore permits;
    lw_mutex mutexes[MANY];
    int ready, got;
} many;

static int have_permit_and_want_mutex(void *arg)
{
    lw_mutex *mutex = &many.mutexes[(intptr_t)arg];

    cr_assert_eq(lw_bounded_semaphore_acquire(&many.permits, 1, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&many.ready, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&many.ready, __ATOMIC_ACQUIRE) >= 2 * MANY);
    take(&mutex->lock);
    drop(&mutex->lock);
    return lw_bounded_semaphore_release(&many.permits, 1);
}

static int have_mutex_and_want_permit(void *arg)
{
    lw_mutex *mutex = &many.mutexes[(intptr_t)arg];

    take(&mutex->lock);
    (void)__atomic_add_fetch(&many.ready, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&many.ready, __ATOMIC_ACQUIRE) == 2 * MANY + 1);
    cr_assert_eq(lw_bounded_semaphore_acquire(&many.permits, 1, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&many.got, 1, __ATOMIC_RELEASE);
    cr_assert_eq(lw_bounded_semaphore_release(&many.permits, 1), 0);
    drop(&mutex->lock);
    return 0;
}

static int want_permits(void *arg)
{
    uint32_t permits = (uint32_t)(uintptr_t)arg;

    cr_assert_eq(lw_bounded_semaphore_acquire(&many.permits, permits, LW_FOREVER), 0);
    return lw_bounded_semaphore_release(&many.permits, permits);
}

/* In front waits one that wants more than there are, so those who overtake the next one wait there,
 * and the last of them, for whom there is no place, goes to the very front. */
static int no_place(void *arg)
{
    enum { SPARE = 10 };
    lw_task tasks[2 * MANY + 2];

    (void)arg;
    memset(&many, 0, sizeof many);
    many.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", MANY + SPARE);
    for (intptr_t i = 0; i < MANY; i++) {
        cr_assert_eq(lw_spawn(&tasks[i], have_permit_and_want_mutex, (void *)i, NULL), 0);
        cr_assert_eq(lw_spawn(&tasks[MANY + i], have_mutex_and_want_permit, (void *)i, NULL), 0);
    }
    AWAIT(__atomic_load_n(&many.ready, __ATOMIC_ACQUIRE) == 2 * MANY);
    tasks[2 * MANY] = start_waiter(want_permits, (void *)(uintptr_t)(2 * MANY + SPARE));
    tasks[2 * MANY + 1] = start_waiter(want_permits, (void *)(uintptr_t)(MANY + SPARE));
    (void)__atomic_add_fetch(&many.ready, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&many.got, __ATOMIC_ACQUIRE) >= 1);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&many.permits, 3 * MANY + SPARE), 0);
    for (int i = 0; i < 2 * MANY + 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    return 0;
}

Test(permit_order, where_there_is_no_place_left_one_goes_to_the_front_and_is_served)
{
    run_all(no_place, NULL);
}

/* ---- one deadlock is one, however many have permits */

enum { HOLDERS = 40 };

static int have_one_and_want_half(void *arg)
{
    (void)arg;
    take_permits(shared, 1);
    (void)__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) == HOLDERS);
    take_permits(shared, HOLDERS / 2 + 1);
    drop_permits(shared, HOLDERS / 2 + 2);
    return 0;
}

static int of_many_holders(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[HOLDERS];

    (void)arg;
    shared = &scene;
    hear_with(LW_DETECTOR_REPORT, 0);
    forget_heard();
    scene.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", HOLDERS * 5 / 4);
    for (int i = 0; i < HOLDERS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], have_one_and_want_half, NULL, NULL), 0);
    AWAIT(length(&scene.permits) == HOLDERS);
    AWAIT(told() >= 1);
    for (int i = 0; i < 5; i++)
        AWAIT(lw_detector_scan() >= 0);
    cr_assert_eq(told(), 1);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&scene.permits, HOLDERS * 2), 0);
    for (int i = 0; i < HOLDERS; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    return 0;
}

Test(permit_order, one_deadlock_of_many_holders_is_one)
{
    run_all(of_many_holders, NULL);
}
