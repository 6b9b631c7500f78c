/* SPDX-License-Identifier: MIT */
/* The laws of deadlocks that are found as they close: of each circle one gives way, and what all
 * hold they still hold.  The scenarios S01, S02, ... are named in the tests. */
#include "tests/locksmith/heard.h"

TestSuite(deadlock, .init = hear);

/* ---- circles of mutexes */

enum { CIRCLE_MAX = 32 };

struct circle {
    lw_mutex mutexes[CIRCLE_MAX];
    int size, threads, arrived, refused, got;
    long data[CIRCLE_MAX]; /* plain: each guarded by its mutex */
};

/* Take one's own, wait for all to have theirs, take the next one's. */
static void take_two(struct circle *circle, int index)
{
    int next = (index + 1) % circle->size, err;

    cr_assert_eq(lw_mutex_acquire(&circle->mutexes[index], LW_FOREVER), 0);
    circle->data[index]++;
    (void)__atomic_add_fetch(&circle->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&circle->arrived, __ATOMIC_ACQUIRE) == circle->size);
    err = lw_mutex_acquire(&circle->mutexes[next], LW_FOREVER);
    cr_assert(err == 0 || err == -EDEADLK, "%d", err);
    cr_assert(lw_owned(&circle->mutexes[index].lock), "what it holds it still holds");
    cr_assert_eq(lw_owned(&circle->mutexes[next].lock), err == 0);
    (void)__atomic_add_fetch(err == 0 ? &circle->got : &circle->refused, 1, __ATOMIC_RELAXED);
    if (err == 0) {
        circle->data[next]++;
        cr_assert_eq(lw_mutex_release(&circle->mutexes[next]), 0);
    }
    cr_assert_eq(lw_mutex_release(&circle->mutexes[index]), 0);
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
}

static void take_two_as(struct member *member)
{
    take_two(member->crowd->object, member->index);
}

static void close_a_circle(int size, int threads)
{
    struct circle circle = {.size = size, .threads = threads};
    struct crowd crowd = {.tasks = size - threads,
                          .threads = threads,
                          .act = take_two_as,
                          .object = &circle,
                          .seed = 1};
    long visits = 0;

    forget_heard();
    crowd_run(&crowd);
    cr_assert_eq(circle.refused, 1, "%d of %d gave way", circle.refused, size);
    cr_assert_eq(circle.got, size - 1);
    for (int i = 0; i < size; i++) {
        visits += circle.data[i];
        cr_assert_eq(circle.mutexes[i].lock._word._value, 0);
        cr_assert_null(circle.mutexes[i].lock._queue);
    }
    cr_assert_eq(visits, 2 * size - 1);
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    cr_assert_eq(heard.members, (size_t)size);
    cr_assert_not(heard.unforceable);
    cr_assert_lt(heard.victim, heard.members);
    assert_is_circle();
}

static int circles_of_tasks(void *arg)
{
    (void)arg;
    for (long i = rounds(200); i > 0; i--) {
        close_a_circle(2, 0);
        close_a_circle(3, 0);
        close_a_circle(8, 0);
    }
    close_a_circle(CIRCLE_MAX, 0);
    return 0;
}

Test(deadlock, s01_s02_s03_of_a_circle_of_tasks_one_gives_way)
{
    run_all(circles_of_tasks, NULL);
}

static int circles_with_threads(void *arg)
{
    (void)arg;
    for (long i = rounds(60); i > 0; i--) {
        close_a_circle(2, 2);
        close_a_circle(2, 1);
        close_a_circle(3, 1);
        close_a_circle(5, 3);
    }
    return 0;
}

Test(deadlock, s01_s02_of_a_circle_with_threads_one_gives_way)
{
    run_all(circles_with_threads, NULL);
}

static void *two_threads(void *arg)
{
    take_two(arg, 1);
    return NULL;
}

Test(deadlock, plain_threads_alone_need_no_runtime)
{
    for (long i = rounds(100); i > 0; i--) {
        struct circle circle = {.size = 2};
        pthread_t thread;

        forget_heard();
        cr_assert_eq(pthread_create(&thread, NULL, two_threads, &circle), 0);
        take_two(&circle, 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(circle.refused, 1);
        AWAIT(told() == 1);
    }
}

enum { PAIRS = 8 };

struct couple {
    struct circle circle;
    pthread_t threads[2];
};

static void *first_of_pair(void *arg)
{
    take_two(arg, 0);
    return NULL;
}

/* Who comes while another decides has nobody to leave it to. */
Test(deadlock, many_pairs_of_plain_threads_alone)
{
    for (long i = rounds(40); i > 0; i--) {
        static struct couple pairs[PAIRS];

        forget_heard();
        for (int j = 0; j < PAIRS; j++) {
            struct couple *pair = &pairs[j];

            pair->circle = (struct circle){.size = 2};
            cr_assert_eq(pthread_create(&pair->threads[0], NULL, first_of_pair, &pair->circle), 0);
            cr_assert_eq(pthread_create(&pair->threads[1], NULL, two_threads, &pair->circle), 0);
        }
        for (int j = 0; j < PAIRS; j++) {
            cr_assert_eq(pthread_join(pairs[j].threads[0], NULL), 0);
            cr_assert_eq(pthread_join(pairs[j].threads[1], NULL), 0);
            cr_assert_eq(pairs[j].circle.refused, 1);
        }
        AWAIT(told() == PAIRS);
    }
}

/* ---- one alone */

static int alone(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("mutex");
    lw_rlock rlock = LW_RLOCK_INIT("rlock");

    (void)arg;
    forget_heard();
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), -EDEADLK, "S04: before it waits");
    cr_assert(lw_owned(&mutex.lock));
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_acquire(&rlock.lock, LW_FOREVER), 0, "S05");
    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_release(&rlock.lock), 0, "S05");
    cr_assert_eq(lw_join(lw_self(), NULL, LW_FOREVER), -EDEADLK, "S23");
    cr_assert_eq(heard.told, 0);
    return 0;
}

Test(deadlock, s04_s05_one_alone_is_told_at_once)
{
    run_all(alone, NULL);
}

/* ---- of other kinds */

struct pair {
    lw_lock *first[2], *second[2]; /* of each of the two */
    int arrived, results[2];
};

static void take_a_pair(struct pair *pair, int index)
{
    int err;

    cr_assert_eq(lw_acquire(pair->first[index], LW_FOREVER), 0);
    (void)__atomic_add_fetch(&pair->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&pair->arrived, __ATOMIC_ACQUIRE) == 2);
    err = lw_acquire(pair->second[index], LW_FOREVER);
    pair->results[index] = err;
    if (err == 0)
        cr_assert_eq(lw_release(pair->second[index]), 0);
    cr_assert_eq(lw_release(pair->first[index]), 0);
}

static void take_a_pair_as(struct member *member)
{
    take_a_pair(member->crowd->object, member->index);
}

static void close_a_pair(lw_lock *a, lw_lock *b, lw_lock *a_again, lw_lock *b_again)
{
    for (int threads = 0; threads <= 2; threads++) {
        struct pair pair = {.first = {a, b}, .second = {b_again, a_again}};
        struct crowd crowd = {.tasks = 2 - threads,
                              .threads = threads,
                              .act = take_a_pair_as,
                              .object = &pair,
                              .seed = 1};

        forget_heard();
        crowd_run(&crowd);
        cr_assert_eq((pair.results[0] == -EDEADLK) + (pair.results[1] == -EDEADLK), 1);
        cr_assert_eq((pair.results[0] == 0) + (pair.results[1] == 0), 1);
        AWAIT(told() == 1);
        assert_is_circle();
    }
}

static int other_kinds(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("mutex");
    lw_rlock rlock = LW_RLOCK_INIT("rlock");
    lw_priority_lock priority = LW_PRIORITY_LOCK_INIT("priority");
    lw_rwlock a = LW_RWLOCK_INIT("a", 0), b = LW_RWLOCK_INIT("b", LW_RWLOCK_PREFER_WRITERS);

    (void)arg;
    for (long i = rounds(100); i > 0; i--) {
        close_a_pair(&mutex.lock, &rlock.lock, &mutex.lock, &rlock.lock);
        close_a_pair(&priority.lock, &mutex.lock, &priority.lock, &mutex.lock);
        close_a_pair(&a.write, &b.write, &a.write, &b.write);
        close_a_pair(&a.write, &b.write, &a.read, &b.read); /* readers behind writers */
    }
    return 0;
}

Test(deadlock, s01_locks_of_all_kinds_are_alike)
{
    run_all(other_kinds, NULL);
}

/* ---- both of two readers want to write */

struct upgrade {
    lw_rwlock rw;
    int arrived, results[2];
};

static void read_and_upgrade(struct member *member)
{
    struct upgrade *upgrade = member->crowd->object;
    int err;

    cr_assert_eq(lw_acquire(&upgrade->rw.read, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&upgrade->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&upgrade->arrived, __ATOMIC_ACQUIRE) == 2);
    err = lw_rwlock_upgrade(&upgrade->rw, LW_FOREVER);
    upgrade->results[member->index] = err;
    cr_assert_eq(lw_release(err == 0 ? &upgrade->rw.write : &upgrade->rw.read), 0);
}

static int upgrade_both(void *arg)
{
    (void)arg;
    for (long i = rounds(100); i > 0; i--) {
        struct upgrade upgrade = {.rw = LW_RWLOCK_INIT("rw", 0)};
        struct crowd crowd = {
            .tasks = 2, .act = read_and_upgrade, .object = &upgrade, .seed = 1};

        crowd_run(&crowd);
        cr_assert_eq(upgrade.results[0] + upgrade.results[1], -EDEADLK, "S07");
    }
    return 0;
}

Test(deadlock, s07_of_two_that_upgrade_the_second_is_refused)
{
    run_all(upgrade_both, NULL);
}

/* ---- joins */

struct family {
    lw_mutex mutex;
    int child_result;
    bool child_is_last;
};

static int want_it(void *arg)
{
    struct family *family = arg;

    family->child_result = lw_mutex_acquire(&family->mutex, LW_FOREVER);
    return family->child_result < 0 ? 0 : lw_mutex_release(&family->mutex);
}

static int join_a_child(void *arg)
{
    for (long i = rounds(100); i > 0; i--) {
        struct family family = {.mutex = LW_MUTEX_INIT("mutex")};
        lw_task child;
        int err;

        (void)arg;
        forget_heard();
        cr_assert_eq(lw_mutex_acquire(&family.mutex, LW_FOREVER), 0);
        cr_assert_eq(lw_spawn(&child, want_it, &family, NULL), 0);
        if (i % 2 == 0)
            AWAIT(is_waiting(child));
        err = lw_join(child, NULL, LW_FOREVER);
        cr_assert((err == -EDEADLK) != (family.child_result == -EDEADLK), "S24: one of them");
        AWAIT(told() == 1);
        cr_assert_eq(lw_mutex_release(&family.mutex), 0);
        if (err == -EDEADLK)
            cr_assert_eq(join_status(child), 0, "it is still to be joined");
        assert_is_circle();
    }
    return 0;
}

Test(deadlock, s24_who_joins_a_task_that_wants_its_lock)
{
    run_all(join_a_child, NULL);
}

static lw_task partners[2];

static int join_partner(void *arg)
{
    int index = (int)(intptr_t)arg;

    AWAIT(__atomic_load_n(&partners[1].id, __ATOMIC_ACQUIRE) != 0);
    return lw_join(partners[1 - index], NULL, LW_FOREVER) == -EDEADLK;
}

static int join_each_other(void *arg)
{
    int status = 0;

    (void)arg;
    for (long i = rounds(100); i > 0; i--) {
        lw_task first, second;

        __atomic_store_n(&partners[1].id, 0, __ATOMIC_RELEASE);
        cr_assert_eq(lw_spawn(&first, join_partner, (void *)0, NULL), 0);
        partners[0] = first;
        cr_assert_eq(lw_spawn(&second, join_partner, (void *)1, NULL), 0);
        __atomic_store_n(&partners[1].id, second.id, __ATOMIC_RELEASE);
        /* One gives way, ends, and is reaped by the other; who then is ours. */
        while ((status = lw_join(first, NULL, LW_FOREVER)) == -EBUSY)
            lw_yield();
        if (status == -ESRCH)
            while ((status = lw_join(second, NULL, LW_FOREVER)) == -EBUSY)
                lw_yield();
        else if (status == 0)
            (void)!lw_join(second, NULL, LW_FOREVER);
        cr_assert(status == 0 || status == -ESRCH, "S23: %d", status);
    }
    return 0;
}

Test(deadlock, s23_of_two_that_join_each_other_one_is_refused)
{
    run_all(join_each_other, NULL);
}

/* ---- long ones */

enum { LONG_MAX = 5000 };

static struct {
    lw_mutex mutexes[LONG_MAX];
    lw_event all;
    int size, arrived, refused;
} ring;

static int take_next(void *arg)
{
    int index = (int)(intptr_t)arg, next = (index + 1) % ring.size, err;

    cr_assert_eq(lw_mutex_acquire(&ring.mutexes[index], LW_FOREVER), 0);
    if (__atomic_add_fetch(&ring.arrived, 1, __ATOMIC_ACQ_REL) == ring.size)
        lw_event_set(&ring.all);
    cr_assert_eq(lw_event_wait(&ring.all, LW_FOREVER), 0);
    err = lw_mutex_acquire(&ring.mutexes[next], LW_FOREVER);
    (void)__atomic_add_fetch(&ring.refused, err == -EDEADLK, __ATOMIC_RELAXED);
    if (err == 0)
        cr_assert_eq(lw_mutex_release(&ring.mutexes[next]), 0);
    return lw_mutex_release(&ring.mutexes[index]);
}

static int close_long_ones(void *arg)
{
    static const int sizes[] = {100, 512, 1000, LONG_MAX};
    static lw_task tasks[LONG_MAX];

    (void)arg;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(&ring, 0, sizeof ring);
        ring.size = is_slow() ? sizes[i] / 10 : sizes[i];
        forget_heard();
        for (intptr_t task = 0; task < ring.size; task++)
            cr_assert_eq(lw_spawn(&tasks[task], take_next, (void *)task, NULL), 0);
        for (int task = 0; task < ring.size; task++)
            cr_assert_eq(join_status(tasks[task]), 0);
        cr_assert_eq(ring.refused, 1, "S03");
        AWAIT(told() == 1);
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK, "S03");
        cr_assert_lt(heard.victim, heard.members, "S03: it is among those that are told of");
    }
    return 0;
}

Test(deadlock, s03_a_circle_of_thousands_has_one_victim)
{
    run_all(close_long_ones, NULL);
}
