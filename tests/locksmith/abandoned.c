/* SPDX-License-Identifier: MIT */
/* The laws of locks whose owner has ended with them: it is told once, at once, of the one who has
 * ended and of what it left, whether anybody waits or not.  Scenarios are named in the tests. */
#include "tests/locksmith/heard.h"

#include <sched.h>

TestSuite(abandoned, .init = hear);

/* ---- who ends, in one way or another */

static int repairs;

static int repair(lw_lock *lock)
{
    (void)lock;
    repairs++;
    return 0;
}

static int cannot_repair(lw_lock *lock)
{
    (void)lock;
    repairs++;
    return -EIO;
}

static struct {
    lw_mutex mutex, second;
    lw_rwlock rw;
    lw_bounded_semaphore permits;
    lw_lock *lock;
    lw_lock_kind kind; /* as a mutex, but it can be repaired, or not */
    lw_event go;
    lw_task owner;
    bool both, has_it;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.mutex = (lw_mutex)LW_MUTEX_INIT("left");
    it.second = (lw_mutex)LW_MUTEX_INIT("second");
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", 0);
    it.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 1);
    it.go = (lw_event)LW_EVENT_INIT("go");
    it.kind = lw_mutex_kind;
    it.lock = &it.mutex.lock;
    forget_heard();
}

static int end_with_it(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_acquire(it.lock, LW_FOREVER), 0);
    it.owner = lw_self(); /* a thread has none before */
    if (it.both)
        cr_assert_eq(lw_acquire(&it.second.lock, LW_FOREVER), 0);
    __atomic_store_n(&it.has_it, true, __ATOMIC_RELEASE);
    return lw_event_wait(&it.go, LW_FOREVER);
}

static void *thread_ends(void *arg)
{
    cr_assert_eq(end_with_it(arg), 0);
    return arg;
}

static int want_it(void *arg)
{
    int err = lw_acquire(it.lock, LW_FOREVER);

    (void)arg;
    if (err == 0 || err == -EOWNERDEAD)
        (void)!lw_release(it.lock);
    return err;
}

/* What the one who waits gets; 1: nobody waits. */
static int leave_it(bool by_thread, bool is_waited_for)
{
    lw_task_options options = {.name = "leaver"};
    lw_task task, waiter;
    pthread_t thread;
    int status = 1;

    if (by_thread)
        cr_assert_eq(pthread_create(&thread, NULL, thread_ends, NULL), 0);
    else
        cr_assert_eq(lw_spawn(&task, end_with_it, NULL, &options), 0);
    AWAIT(__atomic_load_n(&it.has_it, __ATOMIC_ACQUIRE) && is_waiting(it.owner));
    if (is_waited_for) {
        cr_assert_eq(lw_spawn(&waiter, want_it, NULL, NULL), 0);
        AWAIT(is_waiting(waiter));
    }
    lw_event_set(&it.go);
    if (by_thread)
        cr_assert_eq(pthread_join(thread, NULL), 0);
    else
        cr_assert_eq(join_status(task), 0);
    if (is_waited_for)
        status = join_status(waiter);
    AWAIT(told() != 0);
    cr_assert_eq(heard.of[LW_VERDICT_ABANDONED], 1);
    cr_assert_eq(told(), 1);
    cr_assert_eq(heard.members, 1);
    cr_assert_eq(heard.member[0].task.id, it.owner.id);
    cr_assert_null(heard.member[0].kind, "it waits no more");
    cr_assert_not(heard.unforceable);
    cr_assert_eq(heard.victim, heard.members);
    if (!by_thread)
        cr_assert_str_eq(heard.task_name, "leaver");
    return status;
}

static void is_said_of(const lw_lock *lock, const char *name, unsigned level, const char *outcome)
{
    cr_assert_eq(heard.member[0].holds[0], lock);
    cr_assert_str_eq(heard.name, name);
    cr_assert_eq(heard.level, level);
    cr_assert(strncmp(heard.outcome, outcome, strlen(outcome)) == 0, "%s", heard.outcome);
}

/* ---- S25, S26, S27 */

static int leave_a_mutex(void *arg)
{
    const bool by_thread = arg != NULL;

    for (int robust = 0; robust <= 1; robust++)
        for (int is_waited_for = 1; is_waited_for >= 0; is_waited_for--) {
            int status;

            set_up();
            it.mutex.lock.data = robust ? LW_DATA_ROBUST : 0;
            status = leave_it(by_thread, is_waited_for);
            is_said_of(it.lock, "left", 7, robust ? "marked: who gets it" : "marked: nobody gets");
            if (is_waited_for)
                cr_assert_eq(status, robust ? -EOWNERDEAD : -ENOTRECOVERABLE);
            cr_assert_leq(lw_detector_scan(), 0, "S26: once"); /* or another looks */
            cr_assert_eq(told(), 1, "S26: once");
        }
    return 0;
}

Test(abandoned, s25_s26_a_task_that_ends_with_a_lock_is_told_of_once)
{
    run_all(leave_a_mutex, NULL);
}

Test(abandoned, s27_so_is_a_thread)
{
    run_all(leave_a_mutex, &it);
}

static int leave_alone(void *arg)
{
    set_up();
    it.lock = &it.mutex.lock;
    lw_event_set(&it.go);
    return end_with_it(arg);
}

static void *thread_leaves(void *arg)
{
    cr_assert_eq(leave_alone(arg), 0);
    return arg;
}

Test(abandoned, s27_also_where_there_is_no_runtime)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, thread_leaves, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(told(), 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_ABANDONED);
    cr_assert_eq(heard.member[0].task.id, it.owner.id);
}

/* ---- what becomes of it */

static int leave_what_can_be_repaired(void *arg)
{
    (void)arg;
    for (int can = 0; can <= 1; can++)
        for (int by_thread = 0; by_thread <= 1; by_thread++) {
            lw_detector_counts before, after;
            int status;

            set_up();
            repairs = 0;
            it.kind.repair = can ? repair : cannot_repair;
            it.mutex.lock.kind = &it.kind;
            lw_detector_read(&before);
            status = leave_it(by_thread, true);
            lw_detector_read(&after);
            is_said_of(it.lock, "left", can ? 6 : 7, can ? "repaired" : "marked: nobody");
            cr_assert_eq(repairs, 1);
            cr_assert_eq(status, can ? 0 : -ENOTRECOVERABLE);
            cr_assert_eq(after.forced[6] - before.forced[6], (uint64_t)can);
            cr_assert_eq(after.forced[7] - before.forced[7], (uint64_t)!can);
            cr_assert_eq(after.verdicts[LW_VERDICT_ABANDONED],
                         before.verdicts[LW_VERDICT_ABANDONED] + 1);
        }
    return 0;
}

Test(abandoned, what_can_be_repaired_is_level_6)
{
    run_with(2, leave_what_can_be_repaired, NULL);
}

static lw_once once = LW_ONCE_INIT("once");

static int end_inside(void *arg)
{
    pthread_exit(arg);
}

static void *thread_ends_inside(void *arg)
{
    (void)!lw_once_run(&once, end_inside, arg, LW_FOREVER);
    return arg;
}

static int leave_a_once(void)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, thread_ends_inside, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(told(), 1);
    is_said_of((const lw_lock *)(const void *)&once, "once", 7, "released");
    return 0;
}

static int leave_others(void *arg)
{
    (void)arg;
    for (int by_thread = 0; by_thread <= 1; by_thread++) {
        set_up();
        it.lock = &it.rw.read;
        (void)leave_it(by_thread, false);
        is_said_of(&it.rw.write, "rw", 7, "released");
        cr_assert_eq(lw_acquire(&it.rw.write, LW_NOW), 0, "its readers are gone");
        cr_assert_eq(lw_release(&it.rw.write), 0);

        set_up();
        it.lock = &it.rw.write;
        (void)leave_it(by_thread, false);
        is_said_of(&it.rw.write, "rw", 7, "marked: nobody");

        set_up();
        it.lock = &it.permits.lock;
        (void)leave_it(by_thread, false);
        is_said_of(it.lock, "permits", 7, "marked: nobody");
    }
    set_up();
    (void)leave_a_once();
    return 0;
}

Test(abandoned, locks_that_are_read_and_permits_are_told_of_as_well)
{
    run_with(2, leave_others, NULL);
}

static int leave_two(void *arg)
{
    (void)arg;
    set_up();
    it.both = true;
    (void)leave_it(false, true);
    cr_assert_eq(heard.member[0].hold_count, 2);
    cr_assert_eq(heard.steps, 2);
    cr_assert_eq(heard.member[0].holds[0], &it.second.lock, "the newest first");
    cr_assert_eq(heard.member[0].holds[1], &it.mutex.lock);
    return 0;
}

Test(abandoned, of_all_that_one_leaves_there_is_one_report)
{
    run_with(2, leave_two, NULL);
}

/* ---- nobody is told */

static int release_in_time(void *arg)
{
    (void)arg;
    set_up();
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(lw_acquire(it.lock, LW_FOREVER), 0);
        cr_assert_eq(lw_release(it.lock), 0);
    }
    return 0;
}

static int end_cleanly(void *arg)
{
    lw_task task;

    (void)arg;
    forget_heard();
    cr_assert_eq(lw_spawn(&task, release_in_time, NULL, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(told(), 0);
    hear_with(LW_DETECTOR_OFF, LW_LEVELS_DEFAULT);
    set_up();
    lw_event_set(&it.go);
    cr_assert_eq(lw_spawn(&task, end_with_it, NULL, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    hear_with(LW_DETECTOR_FORCE, LW_LEVELS_DEFAULT);
    cr_assert_leq(lw_detector_scan(), 0);
    cr_assert_eq(told(), 0, "nobody looked");
    return 0;
}

Test(abandoned, is_nothing_that_was_released_or_that_nobody_looked_at)
{
    run_with(2, end_cleanly, NULL);
}

/* ---- many at once, and one in whose function it is told */

enum { LEAVERS = 200 };

static lw_mutex left[LEAVERS];

static int leave_one(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static int leave_many(void *arg)
{
    lw_detector_counts before, after;
    lw_task tasks[LEAVERS];

    (void)arg;
    forget_heard();
    lw_detector_read(&before);
    for (int i = 0; i < LEAVERS; i++) {
        left[i] = (lw_mutex)LW_MUTEX_INIT("one of many");
        cr_assert_eq(lw_spawn(&tasks[i], leave_one, &left[i].lock, NULL), 0);
    }
    for (int i = 0; i < LEAVERS; i++) {
        (void)lw_detector_scan(); /* so that others decide when they end */
        cr_assert_eq(join_status(tasks[i]), 0);
    }
    do
        lw_detector_read(&after);
    while (after.verdicts[LW_VERDICT_ABANDONED] - before.verdicts[LW_VERDICT_ABANDONED] < LEAVERS);
    cr_assert_eq(after.verdicts[LW_VERDICT_ABANDONED] - before.verdicts[LW_VERDICT_ABANDONED],
                 LEAVERS);
    return 0;
}

Test(abandoned, each_of_many_counts_once)
{
    run_all(leave_many, NULL);
}
