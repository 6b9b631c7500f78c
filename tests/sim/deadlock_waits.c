/* SPDX-License-Identifier: MIT */
/* The detector in many schedules where waits of other sorts are part of the circles: for a group,
 * for a function on a helper thread, for one that runs what is run once.  As in deadlock.c an
 * oracle of the test's own says who is stuck: by the notes of the program. */
#include <pthread.h>

#include "locksmith/detector.h"
#include "tests/sim/explore.h"

TestSuite(deadlock_waits, .init = watchdog);

enum { TASKS = 3, GUEST = TASKS, ADULTS, CHILDREN = 2, USERS = ADULTS * (1 + CHILDREN) };
enum { MUTEXES = 3, TRIES = 3 };

struct user {
    bool holds[MUTEXES];
    int wants;      /* a mutex; MUTEXES: none */
    bool wants_run; /* what is run once, by whoever does so just then */
    uint32_t waits; /* a bit for each: for the ends of these users */
    bool gave_way, may_have;
    bool stuck; /* as the oracle finds */
};

static struct {
    lw_mutex mutexes[MUTEXES];
    lw_once once;
    struct user *runs; /* who is in its function */
    struct user users[USERS];
    int verdicts, refused, in_time;
} it;

/* ---- the oracle */

static bool is_kept(const struct user *user)
{
    if (user->wants_run && it.runs != NULL && it.runs->stuck)
        return true;
    for (int i = 0; i < USERS; i++)
        if (it.users[i].stuck && ((user->waits & 1u << i) != 0 ||
                                  (user->wants < MUTEXES && it.users[i].holds[user->wants])))
            return true;
    return false;
}

static bool is_stuck(const struct user *user)
{
    bool changed = true;

    for (int i = 0; i < USERS; i++)
        it.users[i].stuck = true;
    while (changed) {
        changed = false;
        for (int i = 0; i < USERS; i++)
            if (it.users[i].stuck && !is_kept(&it.users[i])) {
                it.users[i].stuck = false;
                changed = true;
            }
    }
    return user->stuck;
}

static uint64_t forced(void)
{
    return lw_detector_counted.forced[2];
}

/* All others of its circle are still there, but who had to give way for another circle. */
static void check_refusal(struct user *user, uint64_t forced_before)
{
    it.refused++;
    user->gave_way = true;
    LW_SIM_CHECK(forced() > forced_before + 1 || is_stuck(user));
}

static void count_verdict(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_WORKER_EXHAUSTION)
        return; /* who waits for the plain thread blocks its worker */
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK && !report->unforceable);
    LW_SIM_CHECK(report->step_count == 1 && report->steps[0].level == 2);
    LW_SIM_CHECK(report->member_count >= 2 && report->member_count <= USERS);
    LW_SIM_CHECK(report->victim < report->member_count);
    it.verdicts++;
}

static size_t choose(const lw_report *report, void *arg)
{
    (void)arg;
    return sim_choose((unsigned)report->member_count);
}

/* ---- what one may wait for */

static void take(struct user *user)
{
    unsigned number = sim_choose(MUTEXES);
    uint64_t before = forced();
    int err;

    if (user->holds[number])
        return;
    user->wants = (int)number;
    err = lw_mutex_acquire(&it.mutexes[number], LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err < 0)
        check_refusal(user, before);
    user->wants = MUTEXES;
    user->holds[number] = err == 0;
}

/* All but those of `kept`. */
static void drop(struct user *user, const bool kept[MUTEXES])
{
    for (int i = MUTEXES - 1; i >= 0; i--) {
        if (!user->holds[i] || kept[i])
            continue;
        user->holds[i] = false;
        LW_SIM_CHECK(lw_mutex_release(&it.mutexes[i]) == 0);
    }
}

static int index_of(const struct user *user)
{
    return (int)(user - it.users);
}

/* A task's children are the users behind the adults. */
static struct user *child_of(const struct user *user, int number)
{
    return &it.users[ADULTS + index_of(user) * CHILDREN + number];
}

static void run(struct user *user);
static void do_some(struct user *user, bool may_wait);

static int act_as_child(void *arg)
{
    const bool none[MUTEXES] = {false};
    struct user *user = arg;

    do_some(user, false);
    drop(user, none);
    user->gave_way = user->may_have = false;
    return 0;
}

/* The children are done with when the group ends, and until then the caller waits as often as it is
 * refused. */
static void wait_for_group(struct user *user)
{
    lw_group group = LW_GROUP_INIT(0);
    uint64_t before;
    int err;

    for (int i = 0; i < CHILDREN; i++)
        LW_SIM_CHECK(lw_group_spawn(&group, act_as_child, child_of(user, i), NULL) == 0);
    lw_sim_point();
    before = forced();
    for (int i = 0; i < CHILDREN; i++)
        user->waits |= 1u << index_of(child_of(user, i));
    user->may_have = true;
    err = lw_group_wait(&group, LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err < 0)
        check_refusal(user, before);
    it.in_time += err == 0;
    /* This one cannot be refused: a child is, where there is a circle. */
    LW_SIM_CHECK(lw_group_end(&group, 0) == 0);
    sim_weak_flush_all();
    user->waits = 0;
}

static void call(struct user *user)
{
    int status = -1;

    user->waits = 1u << index_of(child_of(user, 0));
    LW_SIM_CHECK(lw_blocking(act_as_child, child_of(user, 0), &status, LW_FOREVER) == 0);
    sim_weak_flush_all();
    LW_SIM_CHECK(status == 0);
    user->waits = 0;
}

/* It fails, and so it is run again by the next. */
static int fail(void *arg)
{
    struct user *user = arg;
    bool kept[MUTEXES];

    memcpy(kept, user->holds, sizeof kept);
    LW_SIM_CHECK(it.runs == NULL);
    it.runs = user;
    user->wants_run = false;
    do_some(user, index_of(user) < ADULTS);
    drop(user, kept);
    it.runs = NULL;
    return -EIO;
}

static void run(struct user *user)
{
    uint64_t before = forced();
    int err;

    if (it.runs == user)
        return;
    user->wants_run = true;
    err = lw_once_run(&it.once, fail, user, LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == -EIO || err == -EDEADLK);
    if (err == -EDEADLK)
        check_refusal(user, before);
    user->wants_run = false;
}

static void do_some(struct user *user, bool may_wait)
{
    bool waited = false;

    for (int i = 0; i < TRIES; i++) {
        /* A thread would call it itself. */
        unsigned what = sim_choose(!may_wait || waited ? 4 : index_of(user) < TASKS ? 6 : 5);

        if (what == 3)
            run(user);
        else if (what == 4)
            wait_for_group(user);
        else if (what == 5)
            call(user);
        else
            take(user);
        waited |= what > 3;
        lw_sim_point();
    }
}

/* ---- all of them */

static int act(void *arg)
{
    const bool none[MUTEXES] = {false};
    struct user *user = &it.users[(uintptr_t)arg];
    int err;

    do_some(user, true);
    drop(user, none);
    err = lw_backoff(LW_NOW);
    LW_SIM_CHECK(err == 0 ? user->gave_way || user->may_have
                          : err == -EDEADLK && !user->gave_way);
    return 0;
}

static void *act_as_guest(void *arg)
{
    (void)act((void *)(uintptr_t)GUEST);
    return arg;
}

static int waits(void *arg)
{
    lw_detector_options options;
    lw_task tasks[TASKS];
    pthread_t guest;

    (void)arg;
    memset(&it, 0, sizeof it);
    for (int i = 0; i < USERS; i++)
        it.users[i].wants = MUTEXES;
    it.once = (lw_once)LW_ONCE_INIT("once");
    lw_detector_get(&options);
    options.on_report = count_verdict;
    if (sim_choose(2) == 0)
        options.choose_victim = choose;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(act, (void *)i);
    LW_SIM_CHECK(pthread_create(&guest, NULL, act_as_guest, NULL) == 0);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    UNTIL(it.verdicts >= it.refused); /* the detector's thread may be about to tell */
    LW_SIM_CHECK(it.refused + it.in_time >= it.verdicts); /* a group may have ended by then */
    for (int i = 0; i < MUTEXES; i++)
        LW_SIM_CHECK(it.mutexes[i].lock._word._value == 0);
    return 0;
}

Test(deadlock_waits, of_all_sorts_in_a_circle_are_broken_and_nothing_else)
{
    sim_all(waits, NULL);
}
