/* SPDX-License-Identifier: MIT */
/* The laws of deadlocks that only a look at all waits finds: through groups and calls, and among
 * many.  The scenarios are named in the tests. */
#include "tests/locksmith/scenes.h"

#include "primitives/rwlock.h"

TestSuite(sweep_wide, .init = hear);

/* ---- groups */

static int want_in_group(void *arg)
{
    struct scene *scene = arg;

    scene->results[0] = lw_acquire(&scene->m[0].lock, LW_FOREVER);
    if (scene->results[0] == 0)
        drop(&scene->m[0].lock);
    return 0;
}

static int wait_for_group(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        struct scene scene = make_scene(0, NULL, NULL);
        int err = 0;

        forget_heard();
        take(&scene.m[0].lock);
        cr_assert_eq(lw_group_spawn(&scene.group, want_in_group, &scene, NULL), 0);
        if (i % 2 == 0)
            err = lw_group_wait(&scene.group, LW_FOREVER);
        if (i % 2 == 0 && err == -EDEADLK)
            drop(&scene.m[0].lock);
        cr_assert_eq(lw_group_end(&scene.group, 0), 0, "its end cannot fail");
        cr_assert_eq((err == -EDEADLK) + (scene.results[0] == -EDEADLK), 1);
        if (err == 0)
            drop(&scene.m[0].lock);
        AWAIT(told() == 1);
        cr_assert_eq(heard.members, 2);
    }
    return 0;
}

Test(sweep_wide, s24_who_waits_for_a_group_of_which_one_wants_its_lock)
{
    run_all(wait_for_group, NULL);
}

/* ---- S57: through a thread of its own */

static int take_in_helper(void *arg)
{
    struct scene *scene = arg;

    return lw_acquire(&scene->m[0].lock, LW_FOREVER);
}

static int call_helper(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        struct scene scene = make_scene(0, NULL, NULL);
        int status = 0;

        forget_heard();
        take(&scene.m[0].lock);
        cr_assert_eq(lw_blocking(take_in_helper, &scene, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -EDEADLK, "S57");
        drop(&scene.m[0].lock);
        AWAIT(told() == 1);
        cr_assert_eq(heard.members, 2, "S57: a task, and a thread");
    }
    return 0;
}

Test(sweep_wide, s57_a_task_that_waits_for_its_own_call)
{
    run_all(call_helper, NULL);
}

/* ---- S48, S62: many waits, and no memory */

enum { CROWD = 600 };

static int wait_in_line(void *arg)
{
    struct scene *scene = arg;
    int err = lw_acquire(&scene->m[2].lock, LW_FOREVER);

    if (err == 0)
        drop(&scene->m[2].lock);
    return err;
}

static int find_one_among_many(void *arg)
{
    static lw_task line[CROWD];
    struct scene all = make_scene(0, NULL, NULL);

    take(&all.m[2].lock);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(lw_spawn(&line[i], wait_in_line, &all, NULL), 0);
    for (int i = 0; i < CROWD; i++)
        AWAIT(is_waiting(line[i]));
    if (arg != NULL)
        sys_fail(SYS_MMAP, 1, true);
    for (int round = 0; round < 3; round++) {
        struct scene scene = make_scene(3, take_a_permit, take_another);

        cr_assert_eq(perform(&scene, 3), 1, "S48, S62");
        AWAIT(told() == 1);
        cr_assert_eq(heard.members, 3, "S48, S62");
    }
    if (arg != NULL)
        sys_fail(SYS_MMAP, 0, false);
    drop(&all.m[2].lock);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(join_status(line[i]), 0);
    return 0;
}

Test(sweep_wide, s48_a_deadlock_among_many_waits_is_found)
{
    run_all(find_one_among_many, NULL);
}

Test(sweep_wide, s62_without_memory_it_is_found_all_the_same)
{
    sys_watch();
    run_with(2, find_one_among_many, &heard);
}

enum { SHELVES = 20, BROWSERS = 60 };

static lw_rwlock shelves[SHELVES];

static int browse(void *arg)
{
    struct scene *scene = arg;

    for (int i = 0; i < SHELVES; i++)
        take(&shelves[i].read);
    take(&scene->m[2].lock);
    drop(&scene->m[2].lock);
    for (int i = 0; i < SHELVES; i++)
        drop(&shelves[i].read);
    return 0;
}

static int rearrange(void *shelf)
{
    int err = lw_acquire(shelf, LW_FOREVER);

    return err < 0 ? err : lw_release(shelf);
}

static int find_one_among_full_hands(void *arg)
{
    struct scene all = make_scene(0, NULL, NULL);
    struct scene scene = make_scene(3, take_a_permit, take_another);
    lw_task tasks[BROWSERS + SHELVES];

    (void)arg;
    take(&all.m[2].lock);
    for (int i = 0; i < SHELVES; i++)
        shelves[i] = (lw_rwlock)LW_RWLOCK_INIT("shelf", 0);
    for (int i = 0; i < BROWSERS + SHELVES; i++) {
        cr_assert_eq(i < BROWSERS ? lw_spawn(&tasks[i], browse, &all, NULL)
                                  : lw_spawn(&tasks[i], rearrange, &shelves[i - BROWSERS].write,
                                             NULL),
                     0);
        AWAIT(is_waiting(tasks[i]));
    }
    cr_assert_eq(perform(&scene, 0), 1);
    AWAIT(told() == 1);
    drop(&all.m[2].lock);
    for (int i = 0; i < BROWSERS + SHELVES; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    return 0;
}

/* More holds than there is room for at first: what did not fit must not count as let go of. */
Test(sweep_wide, those_who_hold_much_hide_no_deadlock)
{
    run_with(2, find_one_among_full_hands, NULL);
}

/* ---- S47, S52: looks all the time, and nothing to be found */

static bool over;

static int look_on(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        cr_assert_leq(lw_detector_scan(), 0);
        lw_yield();
    }
    return 0;
}

static void *look_on_thread(void *arg)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        cr_assert_leq(lw_detector_scan(), 0);
    return arg;
}

/* While a task and a thread look. */
static void with_looks(void (*act)(void))
{
    pthread_t thread;
    lw_task task;

    forget_heard();
    over = false;
    cr_assert_eq(lw_spawn(&task, look_on, NULL, NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, look_on_thread, NULL), 0);
    act();
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(told(), 0);
}

static lw_event gate;
static lw_mutex in_turn = LW_MUTEX_INIT("in turn");

static int wait_and_pass(void *arg)
{
    int err = lw_event_wait(&gate, LW_FOREVER);

    (void)arg;
    if (err == 0)
        err = lw_mutex_acquire(&in_turn, LW_FOREVER);
    return err < 0 ? err : lw_mutex_release(&in_turn);
}

static void release_many(void)
{
    enum { MANY = 10000 };
    static lw_task tasks[MANY];
    int many = (int)rounds(MANY);

    gate = (lw_event)LW_EVENT_INIT("gate");
    for (int i = 0; i < many; i++)
        cr_assert_eq(lw_spawn(&tasks[i], wait_and_pass, NULL, NULL), 0);
    for (int i = 0; i < many; i++)
        AWAIT(is_waiting(tasks[i]));
    lw_event_set(&gate);
    for (int i = 0; i < many; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
}

static int release_many_while_looked_at(void *arg)
{
    (void)arg;
    with_looks(release_many);
    return 0;
}

Test(sweep_wide, s52_ten_thousand_that_go_on_at_once_are_no_verdict)
{
    run_with(2, release_many_while_looked_at, NULL);
    run_with(4, release_many_while_looked_at, NULL);
}

/* Each ends with nothing, and its slot is the next one's, which holds and wants the same. */
static int nest(void *arg)
{
    lw_mutex *locks = arg;

    for (int i = 0; i < 3; i++)
        take(&locks[i].lock);
    for (int i = 2; i >= 0; i--)
        drop(&locks[i].lock);
    return 0;
}

static void reuse_slots(void)
{
    enum { AT_ONCE = 8 };
    lw_mutex locks[3] = {LW_MUTEX_INIT("a"), LW_MUTEX_INIT("b"), LW_MUTEX_INIT("c")};
    lw_task tasks[AT_ONCE];

    for (long i = rounds(3000); i > 0; i--) {
        for (int j = 0; j < AT_ONCE; j++)
            cr_assert_eq(lw_spawn(&tasks[j], nest, locks, NULL), 0);
        for (int j = 0; j < AT_ONCE; j++)
            cr_assert_eq(join_status(tasks[j]), 0);
    }
}

static int reuse_slots_while_looked_at(void *arg)
{
    (void)arg;
    with_looks(reuse_slots);
    return 0;
}

Test(sweep_wide, s47_slots_that_are_used_again_are_no_verdict)
{
    run_with(2, reuse_slots_while_looked_at, NULL);
}
