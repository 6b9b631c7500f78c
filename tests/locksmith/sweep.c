/* SPDX-License-Identifier: MIT */
/* The laws of deadlocks that only a look at all waits finds: among readers and holders of permits,
 * and of waits that look like one and are none.  The scenarios are named in the tests. */
#include "tests/locksmith/scenes.h"

#include "primitives/rwlock.h"

TestSuite(sweep, .init = hear);

/* ---- S11: a writer, and one of its readers */

static void read_or_hold(struct scene *scene, int index)
{
    take(index == 0 ? &scene->m[0].lock : &scene->rw.read);
}

static void write_or_lock_or_linger(struct scene *scene, int index)
{
    if (index > 1) { /* so that others are slower than those two */
        cr_assert_eq(lw_event_wait(&scene->over, LW_FOREVER), 0);
        drop(&scene->rw.read);
        return;
    }
    try(scene, index, index == 0 ? &scene->rw.write : &scene->m[0].lock);
    if (scene->results[index] == -EDEADLK || index == 1)
        lw_event_set(&scene->over);
    drop(index == 0 ? &scene->m[0].lock : &scene->rw.read);
}

static int writer_and_readers(void *arg)
{
    (void)arg;
    for (int players = 2; players <= 51; players += 49)
        for (int threads = 0; threads <= 1; threads++) {
            struct scene scene = make_scene(players, read_or_hold, write_or_lock_or_linger);

            cr_assert_eq(perform(&scene, threads), 1, "S11");
            AWAIT(told() == 1);
            cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
            cr_assert_eq(heard.members, 2, "the others are untouched");
            assert_is_circle();
        }
    return 0;
}

Test(sweep, s11_a_writer_that_waits_for_a_reader_that_waits_for_it)
{
    run_all(writer_and_readers, NULL);
}

/* ---- S12, S13, S14: permits */

static int permits(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, take_a_permit, take_another);

        cr_assert_eq(perform(&scene, threads), 1, "S12");
        AWAIT(told() == 1);
        cr_assert_eq(heard.members, 3);
    }
    return 0;
}

Test(sweep, s12_of_holders_of_all_permits_who_want_more_one_gives_way)
{
    run_all(permits, NULL);
}

/* All three wait, and nothing else is found however often one looks. */
static void assert_all_wait_for_no_verdict(const lw_task *tasks, int count)
{
    for (int looks = 0; looks < 20; looks++) {
        for (int i = 0; i < count; i++)
            AWAIT(is_waiting(tasks[i]));
        int verdicts;

        while ((verdicts = lw_detector_scan()) == -EBUSY)
            lw_yield();
        cr_assert_eq(verdicts, 0);
        lw_yield();
    }
    cr_assert_eq(told(), 0);
}

static int take_two_permits(void *arg)
{
    struct scene *scene = arg;

    take(&scene->permits.lock);
    (void)__atomic_add_fetch(&scene->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&scene->arrived, __ATOMIC_ACQUIRE) == 3);
    take(&scene->permits.lock);
    drop(&scene->permits.lock);
    drop(&scene->permits.lock);
    return 0;
}

static int fourth_has_one(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[3];

    (void)arg;
    forget_heard();
    cr_assert_eq(lw_bounded_semaphore_set_bound(&scene.permits, 4), 0);
    take(&scene.permits.lock); /* ours */
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_two_permits, &scene, NULL), 0);
    AWAIT(__atomic_load_n(&scene.arrived, __ATOMIC_ACQUIRE) == 3);
    assert_all_wait_for_no_verdict(tasks, 3);
    drop(&scene.permits.lock);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(tasks[i]), 0, "S13");
    cr_assert_eq(told(), 0, "S13");
    return 0;
}

Test(sweep, s13_one_who_runs_and_has_a_permit_is_hope)
{
    run_all(fourth_has_one, NULL);
}

static int hold_and_await_signal(void *arg)
{
    struct scene *scene = arg;

    take(&scene->m[0].lock);
    take(&scene->signal.lock);
    drop(&scene->m[0].lock);
    return 0;
}

static int want_first(void *arg)
{
    struct scene *scene = arg;

    take(&scene->m[0].lock);
    drop(&scene->m[0].lock);
    return 0;
}

static int signals(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task tasks[2];

    (void)arg;
    forget_heard();
    tasks[0] = start_waiter(hold_and_await_signal, &scene);
    tasks[1] = start_waiter(want_first, &scene);
    assert_all_wait_for_no_verdict(tasks, 2);
    drop(&scene.signal.lock); /* by one who never had it */
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0, "S14");
    return 0;
}

Test(sweep, s14_permits_that_are_nobodys_accuse_nobody)
{
    run_all(signals, NULL);
}

/* ---- S08, S09: the order of a queue */

static void read_in_order(struct scene *scene, int index)
{
    if (index == 0)
        take(&scene->rw_in_order.read);
    else if (index == 2)
        take(&scene->m[0].lock);
}

static void wait_in_order(struct scene *scene, int index)
{
    lw_lock *read = &scene->rw_in_order.read;

    if (index == 0) { /* reads, and wants what the other reader has */
        try(scene, index, &scene->m[0].lock);
        drop(read);
    } else if (index == 1) {
        try(scene, index, &scene->rw_in_order.write);
    } else { /* wants to read, behind the writer */
        AWAIT((__atomic_load_n(&scene->rw_in_order.write._word._value, __ATOMIC_ACQUIRE) &
               LW_LOCK_QUEUED) != 0);
        try(scene, index, read);
        drop(&scene->m[0].lock);
    }
}

static int behind_a_writer(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, read_in_order, wait_in_order);

        cr_assert_eq(perform(&scene, threads), 0, "S09: nobody gives way");
        AWAIT(told() == 1);
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
        cr_assert_eq(heard.members, 3);
        cr_assert_eq(heard.victim, heard.members);
        cr_assert_eq(heard.steps, 1);
        cr_assert_eq(heard.level, 1);
        cr_assert_not(heard.unforceable);
        cr_assert_eq(scene.rw_in_order.write._word._value, LW_RW_FREE);
    }
    return 0;
}

Test(sweep, s09_a_reader_overtakes_a_writer_before_anybody_gives_way)
{
    run_all(behind_a_writer, NULL);
}

static int want_to_write(void *arg)
{
    struct scene *scene = arg;

    take(&scene->rw_in_order.write);
    drop(&scene->rw_in_order.write);
    return 0;
}

static int read_again(void *arg)
{
    struct scene scene = make_scene(0, NULL, NULL);
    lw_task writer;

    (void)arg;
    forget_heard();
    take(&scene.rw_in_order.read);
    writer = start_waiter(want_to_write, &scene);
    take(&scene.rw_in_order.read);
    drop(&scene.rw_in_order.read);
    drop(&scene.rw_in_order.read);
    cr_assert_eq(join_status(writer), 0);
    cr_assert_eq(told(), 0, "S08");
    return 0;
}

Test(sweep, s08_who_reads_already_reads_again_past_a_writer)
{
    run_all(read_again, NULL);
}

/* ---- S33, S34: several circles */

static void hold_for_overlap(struct scene *scene, int index)
{
    if (index == 0) {
        take(&scene->m[0].lock);
        take(&scene->m[1].lock);
    } else {
        take(&scene->rw.read);
    }
}

static void want_for_overlap(struct scene *scene, int index)
{
    if (index != 0) {
        try(scene, index, &scene->m[index - 1].lock);
        drop(&scene->rw.read);
        return;
    }
    /* The last, so that it closes both at once. */
    AWAIT(is_waiting(scene->selves[1]) && is_waiting(scene->selves[2]));
    try(scene, index, &scene->rw.write);
    drop(&scene->m[1].lock);
    drop(&scene->m[0].lock);
}

static int overlap(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, hold_for_overlap, want_for_overlap);

        cr_assert_eq(perform(&scene, threads), 1, "S33: one for both");
        cr_assert_eq(scene.results[0], -EDEADLK, "S33: the one they share");
        AWAIT(told() == 1);
    }
    return 0;
}

Test(sweep, s33_of_two_circles_the_one_they_share_gives_way)
{
    run_all(overlap, NULL);
}

static void hold_one_of_four(struct scene *scene, int index)
{
    if (index < 4)
        take(&scene->m[index].lock);
}

/* 0 and 1, 2 and 3 have what the other wants; the rest want one of these. */
static void want_one_of_four(struct scene *scene, int index)
{
    try(scene, index, &scene->m[index < 4 ? index ^ 1 : index % 4].lock);
    if (index < 4)
        drop(&scene->m[index].lock);
    else
        cr_assert_eq(scene->results[index], 0, "S34: a bystander");
}

static int bystanders(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 2; threads++) {
        struct scene scene = make_scene(PLAYERS_MAX, hold_one_of_four, want_one_of_four);

        cr_assert_eq(perform(&scene, threads), 2, "S34");
        AWAIT(told() == 2);
        cr_assert_eq(heard.members, 2, "S34");
    }
    return 0;
}

Test(sweep, s34_bystanders_are_left_alone)
{
    run_all(bystanders, NULL);
}

/* ---- S10: to let a reader past a writer closes another circle */

static void take_for_s10(struct scene *scene, int index)
{
    if (index == 0)
        take(&scene->rw_in_order.read);
    else
        take(&scene->m[index].lock);
}

/* 0 reads, and wants what 2 has; 1 wants to write; 2 wants to read behind it, and then what 1 has:
 * it gets to read, and now those two are in a circle. */
static void wait_for_s10(struct scene *scene, int index)
{
    lw_lock *read = &scene->rw_in_order.read;

    if (index == 0) {
        try(scene, index, &scene->m[2].lock);
        drop(read);
    } else if (index == 1) {
        try(scene, index, &scene->rw_in_order.write);
        drop(&scene->m[1].lock);
    } else {
        AWAIT((__atomic_load_n(&scene->rw_in_order.write._word._value, __ATOMIC_ACQUIRE) &
               LW_LOCK_QUEUED) != 0);
        take(read);
        try(scene, index, &scene->m[1].lock);
        drop(read);
        drop(&scene->m[2].lock);
    }
}

static int overtake_into_another(void *arg)
{
    (void)arg;
    for (int threads = 0; threads <= 3; threads++) {
        struct scene scene = make_scene(3, take_for_s10, wait_for_s10);

        cr_assert_eq(perform(&scene, threads), 1, "S10: one victim");
        AWAIT(told() == 2);
        cr_assert_eq(heard.of[LW_VERDICT_DEADLOCK], 2);
        cr_assert_eq(heard.level, 2, "S10: the second circle is no matter of order");
        cr_assert_eq(scene.rw_in_order.write._word._value, LW_RW_FREE);
    }
    return 0;
}

Test(sweep, s10_where_order_alone_does_not_help_one_gives_way)
{
    run_all(overtake_into_another, NULL);
}

/* ---- S56: a task and a thread, each with the lock that the other wants */

static void hold_own(struct scene *scene, int index)
{
    take(&scene->m[index].lock);
}

static void want_others(struct scene *scene, int index)
{
    try(scene, index, &scene->m[1 - index].lock);
    drop(&scene->m[index].lock);
}

static int task_and_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        struct scene scene = make_scene(2, hold_own, want_others);

        cr_assert_eq(perform(&scene, 1), 1, "S56: one of them");
        AWAIT(told() == 1);
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
        cr_assert_eq(heard.members, 2);
        assert_is_circle();
    }
    return 0;
}

Test(sweep, s56_a_task_and_a_thread_in_a_circle)
{
    run_all(task_and_thread, NULL);
}
