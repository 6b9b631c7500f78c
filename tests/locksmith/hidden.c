/* SPDX-License-Identifier: MIT */
/* The laws of plain threads that no runtime is there for, where circles have a member in common: of
 * them one is found, and the others when that one is over, however it has ended. */
#include <pthread.h>

#include "locksmith/detector.h"
#include "tests/locksmith/heard.h"

TestSuite(hidden, .init = hear);

/* 2 has the mutexes, and is to write what the two others read, who wait for one of them each: two
 * circles. */
enum { READERS = 2, WRITER = READERS, PLAYERS };

static struct {
    lw_mutex mutexes[READERS];
    lw_rwlock shared;
    lw_nsec deadlines[READERS];
    bool keeps[READERS]; /* it goes on reading, and waits for nothing, until `end` */
    bool go[PLAYERS], end;
    pthread_t threads[PLAYERS];
    lw_task selves[PLAYERS];
    int results[PLAYERS];
    int first; /* the reader in the circle that was told of first */
} knot;

static void say_who_and_await(int index)
{
    cr_assert_eq(lw_thread_attach(), 0);
    __atomic_store_n(&knot.selves[index].id, lw_self().id, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&knot.go[index], __ATOMIC_ACQUIRE));
}

static void *read_then_lock(void *arg)
{
    int index = (int)(intptr_t)arg, err;
    lw_mutex *mutex = &knot.mutexes[index];

    cr_assert_eq(lw_acquire(&knot.shared.read, LW_FOREVER), 0);
    say_who_and_await(index);
    err = lw_mutex_acquire(mutex, knot.deadlines[index]);
    __atomic_store_n(&knot.results[index], err, __ATOMIC_RELEASE);
    if (err == 0)
        cr_assert_eq(lw_mutex_release(mutex), 0);
    AWAIT(!knot.keeps[index] || __atomic_load_n(&knot.end, __ATOMIC_ACQUIRE));
    cr_assert_eq(lw_release(&knot.shared.read), 0);
    return NULL;
}

static void *lock_then_write(void *arg)
{
    int err;

    (void)arg;
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(lw_mutex_acquire(&knot.mutexes[i], LW_FOREVER), 0);
    say_who_and_await(WRITER);
    err = lw_acquire(&knot.shared.write, LW_FOREVER);
    __atomic_store_n(&knot.results[WRITER], err, __ATOMIC_RELEASE);
    if (err == 0)
        cr_assert_eq(lw_release(&knot.shared.write), 0);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(lw_mutex_release(&knot.mutexes[i]), 0);
    return NULL;
}

static int index_of(lw_task task)
{
    int index = 0;

    while (index < PLAYERS && knot.selves[index].id != task.id)
        index++;
    return index;
}

static int reader_in(const lw_report *report)
{
    for (size_t i = 0; i < report->member_count; i++)
        if (index_of(report->members[i].task) < READERS)
            return index_of(report->members[i].task);
    return PLAYERS;
}

/* Before it is told. */
static void keep_first(const lw_report *report, void *arg)
{
    if (told() == 0)
        knot.first = reader_in(report);
    keep_report(report, arg);
}

/* A reader. */
static size_t choose_reader(const lw_report *report, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < report->member_count; i++)
        if (index_of(report->members[i].task) < READERS)
            return i;
    return report->member_count;
}

static void set_mode(lw_detector_mode mode)
{
    lw_detector_options options;

    lw_detector_get(&options);
    options.mode = mode;
    options.on_report = keep_first;
    options.choose_victim = choose_reader;
    cr_assert_eq(lw_detector_set(&options), 0);
}

static void start_player(int index)
{
    void *(*act)(void *) = index == WRITER ? lock_then_write : read_then_lock;

    cr_assert_eq(pthread_create(&knot.threads[index], NULL, act, (void *)(intptr_t)index), 0);
    AWAIT(__atomic_load_n(&knot.selves[index].id, __ATOMIC_ACQUIRE) != 0);
}

/* Which circle is told of first depends on where the records are. */
static int reader_in_lower_slot(void)
{
    return lw_record_of(knot.selves[0].id) < lw_record_of(knot.selves[1].id) ? 0 : 1;
}

static void start_knot(lw_detector_mode mode)
{
    memset(&knot, 0, sizeof knot);
    for (int i = 0; i < READERS; i++) {
        knot.mutexes[i] = (lw_mutex)LW_MUTEX_INIT("mutex");
        knot.deadlines[i] = LW_FOREVER;
    }
    knot.shared = (lw_rwlock)LW_RWLOCK_INIT("shared", LW_RWLOCK_PHASE_FAIR);
    set_mode(mode);
    forget_heard();
    for (int i = PLAYERS - 1; i >= 0; i--)
        start_player(i);
}

static void go(int index)
{
    __atomic_store_n(&knot.go[index], true, __ATOMIC_RELEASE);
}

/* In mode FORCE the last one may have been let go by then.  Until nobody decides, for what happens
 * before that is left to who does, and told of later. */
static void tie(void)
{
    for (int i = 0; i < PLAYERS; i++) {
        go(i);
        AWAIT(i == WRITER ? told() != 0 : is_waiting(knot.selves[i]));
    }
    AWAIT(lw_deciding_begin());
    lw_deciding_end();
}

static int result_of(int index)
{
    return __atomic_load_n(&knot.results[index], __ATOMIC_ACQUIRE);
}

static void assert_told_of(int reader)
{
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    cr_assert_eq(heard.members, 2);
    for (size_t i = 0; i < heard.members; i++)
        cr_assert(index_of(heard.member[i].task) == reader ||
                  index_of(heard.member[i].task) == WRITER);
}

static void end_knot(void)
{
    __atomic_store_n(&knot.end, true, __ATOMIC_RELEASE);
    set_mode(LW_DETECTOR_FORCE);
    for (int i = 0; i < PLAYERS; i++)
        cr_assert_eq(pthread_join(knot.threads[i], NULL), 0);
}

/* ---- by a deadline */

static bool time_out(bool lower)
{
    int timed, other;

    start_knot(LW_DETECTOR_REPORT);
    timed = lower ? reader_in_lower_slot() : 1 - reader_in_lower_slot();
    other = 1 - timed;
    knot.deadlines[timed] = lw_in(LW_SEC); /* so long the circles have to close */
    knot.keeps[timed] = true;
    tie();
    AWAIT(result_of(timed) != 0);
    cr_assert_eq(result_of(timed), -ETIMEDOUT);
    cr_assert_eq(told(), 1 + (knot.first == timed), "before that one goes on");
    assert_told_of(other);
    end_knot();
    return knot.first == timed;
}

Test(hidden, a_circle_behind_one_that_a_deadline_ends_is_told_of_by_then)
{
    bool hidden = time_out(false);

    cr_assert(time_out(true) != hidden, "or the law says nothing");
}

/* ---- by force */

Test(hidden, a_circle_behind_one_that_is_broken_is_broken_too)
{
    for (long i = rounds(10); i > 0; i--) {
        start_knot(LW_DETECTOR_FORCE);
        knot.keeps[0] = knot.keeps[1] = true;
        tie();
        for (int reader = 0; reader < READERS; reader++) {
            AWAIT(result_of(reader) != 0);
            cr_assert_eq(result_of(reader), -EDEADLK);
        }
        AWAIT(told() == 2);
        end_knot();
        cr_assert_eq(result_of(WRITER), 0);
    }
}

/* ---- since one is sent away */

Test(hidden, a_circle_behind_one_whose_member_is_sent_away_is_told_of)
{
    for (long i = rounds(10); i > 0; i--) {
        start_knot(LW_DETECTOR_REPORT);
        knot.keeps[0] = knot.keeps[1] = true;
        tie();
        AWAIT(is_waiting(knot.selves[WRITER]));
        cr_assert_eq(lw_purge_waiters(&knot.mutexes[knot.first].lock), 1);
        AWAIT(result_of(knot.first) != 0);
        cr_assert_eq(result_of(knot.first), -EPIPE);
        cr_assert_eq(told(), 2, "before that one goes on");
        assert_told_of(1 - knot.first);
        end_knot();
    }
}

/* ---- while another decides */

Test(hidden, who_ends_while_another_decides_leaves_it_to_that_one)
{
    for (long i = rounds(10); i > 0; i--) {
        start_knot(LW_DETECTOR_REPORT);
        knot.keeps[0] = knot.keeps[1] = true;
        tie();
        AWAIT(is_waiting(knot.selves[WRITER]));
        AWAIT(lw_deciding_begin());
        cr_assert_eq(lw_purge_waiters(&knot.mutexes[knot.first].lock), 1);
        AWAIT(result_of(knot.first) != 0);
        cr_assert_eq(told(), 1);
        lw_deciding_end();
        cr_assert_eq(told(), 2);
        assert_told_of(1 - knot.first);
        end_knot();
    }
}
