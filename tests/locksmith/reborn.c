/* SPDX-License-Identifier: MIT */
/* S46: locks end, and others of other kinds begin at once in the memory where they were, while a
 * thread looks at all waits without a pause.  What is found of one is never said of the other. */
#include "tests/locksmith/heard.h"

TestSuite(reborn, .init = hear);

enum { TASKS = 4, LIVES = 1500 };

union any {
    lw_mutex mutex;
    lw_rlock rlock;
    lw_priority_lock priority;
    lw_bounded_semaphore permit;
    lw_rwlock rw;
};

static struct life {
    union any *memory[2];
    lw_lock *outer, *inner;
    bool in_heap, conflicting;
    int arrived;
} life;
static bool over;

static lw_lock *make_one(union any *any, unsigned kind)
{
    memset(any, 0, sizeof *any);
    switch (kind % 5) {
    case 0:
        any->mutex = (lw_mutex)LW_MUTEX_INIT("a mutex");
        return &any->mutex.lock;
    case 1:
        any->rlock = (lw_rlock)LW_RLOCK_INIT("an rlock");
        return &any->rlock.lock;
    case 2:
        any->priority = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("a priority lock");
        return &any->priority.lock;
    case 3:
        any->permit = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("a permit", 1);
        return &any->permit.lock;
    default:
        any->rw = (lw_rwlock)LW_RWLOCK_INIT("an rwlock", LW_RWLOCK_PHASE_FAIR);
        return &any->rw.write;
    }
}

/* The same two places, in turn the outer and the inner one, of other kinds each time. */
static void begin_life(unsigned number)
{
    static union any places[2];

    life.arrived = 0;
    for (unsigned i = 0; i < 2; i++)
        life.memory[i] = life.in_heap ? malloc(sizeof(union any)) : &places[i];
    life.outer = make_one(life.memory[number % 2], number);
    life.inner = make_one(life.memory[1 - number % 2], number / 2 + 1);
}

static void end_life(void)
{
    for (int i = 0; i < 2; i++) {
        if (life.in_heap)
            free(life.memory[i]);
    }
}

static int take_both(void *arg)
{
    bool turned = life.conflicting && *(int *)arg == 1;
    lw_lock *first = turned ? life.inner : life.outer, *second = turned ? life.outer : life.inner;
    int err;

    cr_assert_eq(lw_acquire(first, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&life.arrived, 1, __ATOMIC_RELEASE);
    if (life.conflicting)
        AWAIT(__atomic_load_n(&life.arrived, __ATOMIC_ACQUIRE) >= 2);
    lw_yield();
    err = lw_acquire(second, LW_FOREVER);
    if (err == 0)
        cr_assert_eq(lw_release(second), 0);
    cr_assert_eq(lw_release(first), 0);
    return err;
}

static int live(int count)
{
    static int numbers[TASKS] = {0, 1, 2, 3};
    lw_task tasks[TASKS];
    int refused = 0;

    for (int i = 0; i < count; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_both, &numbers[i], NULL), 0);
    for (int i = 0; i < count; i++)
        refused += join_status(tasks[i]) == -EDEADLK;
    return refused;
}

static int live_on(void *arg)
{
    (void)arg;
    for (unsigned number = 0; number < (unsigned)rounds(LIVES); number++) {
        life.in_heap = number % 3 == 0;
        life.conflicting = false;
        begin_life(number);
        cr_assert_eq(live(TASKS), 0, "life %u", number);
        end_life();
        if (number % 64 != 0)
            continue;
        cr_assert_eq(told(), 0, "life %u", number);
        life.conflicting = true;
        begin_life(number);
        cr_assert_eq(live(2), 1, "life %u", number);
        AWAIT(told() == 1);
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
        cr_assert_eq(heard.members, 2);
        forget_heard();
        end_life();
    }
    return 0;
}

static void *look_on(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
        (void)lw_detector_scan();
    return NULL;
}

Test(reborn, s46_a_lock_is_not_taken_for_one_that_was_there_before)
{
    pthread_t thread;

    hear_with(LW_DETECTOR_FORCE, at_first.levels);
    over = false;
    cr_assert_eq(pthread_create(&thread, NULL, look_on, NULL), 0);
    run_all(live_on, NULL);
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}
