/* SPDX-License-Identifier: MIT */
/* The detector in many schedules, against an oracle of its own: who has what and who waits for what
 * is noted by the program, beside the library's records.  At each verdict the members are a circle
 * by these notes; nobody is refused but by a verdict; and nobody is left in a circle. */
#include <pthread.h>

#include "locksmith/detector.h"
#include "primitives/lock.h"
#include "tests/sim/explore.h"

TestSuite(deadlock, .init = watchdog);

enum { TASKS = 3, GUEST = TASKS, CHILD, USERS, DEPTH_MAX = 4 };

enum { MUTEX, RLOCK, PRIORITY, RW, PERMITS, KINDS };

enum { BOUND = 3 }; /* of the permits */

/* One that uses them, and the program's own notes of it. */
struct user {
    lw_lock *holds[DEPTH_MAX];
    bool reads[DEPTH_MAX];
    uint32_t units[DEPTH_MAX];
    int depth;
    lw_lock *wants;
    bool to_read;
    bool upgrades, met_another; /* what it reads already; and another one did so meanwhile */
    uint32_t wants_units;
    struct user *joins;
    bool gave_way, joined;
    bool stuck; /* as the oracle finds */
};

static struct {
    lw_mutex mutex;
    lw_rlock rlock;
    lw_priority_lock priority;
    lw_rwlock rw;
    lw_bounded_semaphore permits;
    struct user users[USERS];
    int verdicts, refused, cancelled, ended; /* the last: children that were joined */
    bool shares, outside; /* what a deadline or a cancel may have ended */
} it;

static lw_lock *lock_number(unsigned number, bool reads)
{
    switch (number) {
    case MUTEX:
        return &it.mutex.lock;
    case RLOCK:
        return &it.rlock.lock;
    case PRIORITY:
        return &it.priority.lock;
    case PERMITS:
        return &it.permits.lock;
    default:
        return reads ? &it.rw.read : &it.rw.write;
    }
}

/* ---- the oracle */

/* By its notes it has the lock, so that the other has to wait. */
static bool keeps_out(const struct user *holder, const struct user *waiter)
{
    if (waiter->joins != NULL)
        return waiter->joins == holder;
    if (waiter->upgrades && holder == waiter)
        return false;
    for (int i = 0; i < holder->depth; i++)
        if (holder->holds[i] == waiter->wants && !(holder->reads[i] && waiter->to_read))
            return true;
    return false;
}

static uint32_t permits_of(const struct user *user)
{
    uint32_t permits = 0;

    for (int i = 0; i < user->depth; i++)
        permits += user->holds[i] == &it.permits.lock ? user->units[i] : 0;
    return permits;
}

/* It waits, and those who are stuck keep it waiting: one of them, or they have too many permits.  A
 * queue's order keeps nobody waiting for ever, so nobody is to give way for that. */
static bool is_kept(const struct user *user)
{
    uint32_t permits = user->wants_units;
    int stuck = 0;

    if (user->wants == NULL && user->joins == NULL)
        return false;
    for (int i = 0; i < USERS; i++) {
        stuck += it.users[i].stuck && keeps_out(&it.users[i], user);
        permits += it.users[i].stuck ? permits_of(&it.users[i]) : 0;
    }
    return user->wants == &it.permits.lock ? permits > BOUND : stuck > 0;
}

/* Nobody who can still go on will ever let it go on. */
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

/* How many were made to give way so far; plain, as this is no step of the test's. */
static uint64_t forced(void)
{
    return lw_detector_counted.forced[2];
}

/* It has been refused, and has done nothing since: all others of its circle are still there, but
 * who may have gone for other reasons, or had to give way for another circle. */
static void check_refusal(struct user *user, uint64_t forced_before)
{
    it.refused++;
    user->gave_way = true;
    LW_SIM_CHECK(it.outside || forced() > forced_before + 1 || is_stuck(user));
}

static void count_verdict(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK ||
                 (report->verdict == LW_VERDICT_TIMED_DEADLOCK && it.outside));
    LW_SIM_CHECK(report->member_count >= (it.shares ? 1 : 2) && report->member_count <= USERS);
    if (report->verdict != LW_VERDICT_DEADLOCK)
        return;
    LW_SIM_CHECK(!report->unforceable && report->step_count == 1);
    if (report->steps[0].level == 1)
        return; /* nobody gives way */
    LW_SIM_CHECK(report->victim < report->member_count);
    it.verdicts++;
}

static size_t choose(const lw_report *report, void *arg)
{
    (void)arg;
    return sim_choose((unsigned)report->member_count);
}

/* ---- who deadlocks */

static bool has(const struct user *user, const lw_lock *lock)
{
    for (int i = 0; i < user->depth; i++)
        if (user->holds[i] == lock)
            return true;
    return false;
}

/* What it reads it may write, and read again.  Of two who want that at once the second is refused
 * without more ado; for all else somebody has to decide. */
static void upgrade(struct user *user, int hold)
{
    const uint64_t *wait = &lw_record_cold(lw_current())->wait, waited = *wait;
    uint64_t before = forced();
    int err;

    user->wants = &it.rw.write;
    user->to_read = false;
    user->wants_units = 0;
    user->upgrades = true;
    user->met_another = false;
    for (int i = 0; i < USERS; i++)
        if (&it.users[i] != user && it.users[i].upgrades)
            user->met_another = it.users[i].met_another = true;
    err = lw_rwlock_upgrade(&it.rw, LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || (err == -ECANCELED && it.outside));
    if (err == -EDEADLK && *wait != waited)
        check_refusal(user, before);
    else
        LW_SIM_CHECK(err != -EDEADLK || user->met_another);
    it.cancelled += err == -ECANCELED;
    user->upgrades = false;
    user->wants = NULL;
    user->reads[hold] = err < 0;
    if (err == 0 && sim_choose(2) == 0) {
        user->reads[hold] = true;
        LW_SIM_CHECK(lw_rwlock_downgrade(&it.rw) == 0);
    }
}

static void maybe_upgrade(struct user *user)
{
    for (int i = 0; i < user->depth; i++)
        if (user->holds[i] == &it.rw.write && user->reads[i] && sim_choose(2) == 0)
            upgrade(user, i);
}

/* True: it has it. */
static bool take_one(struct user *user, bool may_be_cancelled)
{
    unsigned number = sim_choose(it.shares ? KINDS : PERMITS);
    bool reads = number == RW && it.shares && sim_choose(2) == 0;
    lw_lock *lock = lock_number(number, reads), *key = lock_number(number, false);
    uint32_t units = number == PERMITS ? 1 + sim_choose(BOUND) : 0;
    lw_nsec deadline = LW_FOREVER;
    uint64_t before;
    int err;

    if (number != PERMITS && has(user, key))
        return false;
    if (it.outside && sim_choose(3) == 0)
        deadline = lw_in((1 + sim_choose(6)) * 60 * LW_MS);
    user->wants = key;
    user->to_read = reads;
    user->wants_units = units;
    before = forced();
    err = units > 0 ? lw_bounded_semaphore_acquire(&it.permits, units, deadline)
                    : lw_acquire(lock, deadline);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || (err == -ETIMEDOUT && deadline != LW_FOREVER) ||
                 (err == -ECANCELED && may_be_cancelled));
    if (err == -EDEADLK)
        check_refusal(user, before);
    it.cancelled += err == -ECANCELED;
    user->wants = NULL;
    if (err < 0)
        return false;
    user->holds[user->depth] = key;
    user->units[user->depth] = units;
    user->reads[user->depth++] = reads;
    return true;
}

static void drop_all(struct user *user)
{
    while (user->depth > 0) {
        int last = user->depth - 1;
        lw_lock *lock = user->holds[last];

        user->depth--;
        if (lock == &it.permits.lock)
            LW_SIM_CHECK(lw_bounded_semaphore_release(&it.permits, user->units[last]) == 0);
        else
            LW_SIM_CHECK(lw_release(lock == &it.rw.write && user->reads[last] ? &it.rw.read
                                                                              : lock) == 0);
    }
}

/* With nothing held: whoever gave way may ask when to start over, once; and nobody else.  A join
 * that gives way may have succeeded. */
static void back_off(struct user *user)
{
    int err = lw_backoff(LW_NOW);

    LW_SIM_CHECK(err == 0 ? user->gave_way || user->joined : err == -EDEADLK && !user->gave_way);
    user->gave_way = user->joined = false;
}

static void take_some(struct user *user, bool may_be_cancelled)
{
    for (int i = 0; i < 3 && user->depth < DEPTH_MAX; i++) {
        if (!take_one(user, may_be_cancelled) && sim_choose(2) == 0)
            break;
        lw_sim_point();
        maybe_upgrade(user);
    }
}

static int use_as_child(void *arg)
{
    struct user *user = arg;

    take_some(user, false);
    drop_all(user);
    back_off(user);
    return 0;
}

/* With what it holds it waits for the end of one that may want it. */
static void join_a_child(struct user *user)
{
    lw_task child = start(use_as_child, &it.users[CHILD]);
    uint64_t before;
    int err;

    lw_sim_point();
    before = forced();
    user->joins = &it.users[CHILD];
    user->joined = true;
    err = lw_join(child, NULL, LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err == -EDEADLK)
        check_refusal(user, before);
    it.ended += err == 0;
    user->joins = NULL;
    drop_all(user);
    if (err == -EDEADLK)
        LW_SIM_CHECK(end_of(child) == 0);
}

static int use_locks(void *arg)
{
    uintptr_t index = (uintptr_t)arg;
    struct user *user = &it.users[index];

    for (int round = 0; round < 2; round++) {
        take_some(user, it.outside && index == 1);
        if (index == 0)
            join_a_child(user);
        drop_all(user);
        back_off(user);
    }
    return 0;
}

static void *use_locks_as_guest(void *arg)
{
    (void)use_locks((void *)(uintptr_t)GUEST);
    return arg;
}

static int deadlock(void *arg)
{
    const bool *how = arg;
    lw_detector_options options;
    lw_task tasks[TASKS];
    pthread_t guest;

    memset(&it, 0, sizeof it);
    it.shares = how[0];
    it.outside = how[1];
    it.rlock = (lw_rlock)LW_RLOCK_INIT("rlock");
    it.priority = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("priority");
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", 0);
    it.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", BOUND);
    lw_detector_get(&options);
    options.on_report = count_verdict;
    if (sim_choose(2) == 0)
        options.choose_victim = choose;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(use_locks, (void *)i);
    LW_SIM_CHECK(pthread_create(&guest, NULL, use_locks_as_guest, NULL) == 0);
    if (it.outside && sim_choose(2) == 0)
        (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    UNTIL(it.verdicts >= it.refused); /* the detector's thread may be about to tell */
    /* A join that gives way succeeds all the same if the task has ended by then, as it may if that
     * one gave way to somebody else meanwhile. */
    LW_SIM_CHECK((it.refused + it.ended >= it.verdicts || it.outside) && it.cancelled <= 1);
    LW_SIM_CHECK(it.refused == it.verdicts || it.shares || it.outside);
    LW_SIM_CHECK(it.mutex.lock._word._value == 0 && it.rw.write._queue == NULL);
    return 0;
}

static const bool ways[][2] = {{false, false}, {false, true}, {true, false}, {true, true}};

Test(deadlock, all_circles_are_broken_and_nothing_else)
{
    sim_all(deadlock, (void *)(uintptr_t)ways[0]);
}

Test(deadlock, also_with_deadlines_and_a_cancel)
{
    sim_all(deadlock, (void *)(uintptr_t)ways[1]);
}

Test(deadlock, also_among_readers_and_holders_of_permits)
{
    sim_all(deadlock, (void *)(uintptr_t)ways[2]);
}

Test(deadlock, also_among_all_of_them_with_deadlines_and_a_cancel)
{
    sim_all(deadlock, (void *)(uintptr_t)ways[3]);
}

/* ---- two, in every order */

static lw_mutex pair[2];

static int take_pair(void *arg)
{
    uintptr_t first = (uintptr_t)arg;
    int err;

    LW_SIM_CHECK(lw_mutex_acquire(&pair[first], LW_FOREVER) == 0);
    err = lw_mutex_acquire(&pair[1 - first], LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    LW_SIM_CHECK(lw_owned(&pair[first].lock) && lw_owned(&pair[1 - first].lock) == (err == 0));
    it.refused += err == -EDEADLK;
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&pair[1 - first]) == 0);
    return lw_mutex_release(&pair[first]);
}

static int close_one(void *arg)
{
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    memset(&it, 0, sizeof it);
    memset(pair, 0, sizeof pair);
    lw_detector_get(&options);
    options.on_report = count_verdict;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (uintptr_t i = 0; i < 2; i++)
        tasks[i] = start(take_pair, (void *)i);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    UNTIL(it.verdicts >= it.refused);
    LW_SIM_CHECK(it.refused <= 1 && it.verdicts == it.refused);
    LW_SIM_CHECK(pair[0].lock._word._value == 0 && pair[1].lock._word._value == 0);
    return 0;
}

Test(deadlock, s01_in_every_order)
{
    sim_every(close_one, NULL, 1, 400);
}

/* ---- of two that join one task, the one that comes too late closes no circle */

static struct {
    lw_mutex mutex;
    lw_task wanting;
    bool refused, over;
} late;

static int want_it(void *arg)
{
    int err = lw_mutex_acquire(&late.mutex, LW_FOREVER);

    (void)arg;
    late.refused = err == -EDEADLK;
    return err == 0 ? lw_mutex_release(&late.mutex) : 0;
}

static int join_it(void *arg)
{
    (void)arg;
    (void)!lw_join(late.wanting, NULL, LW_FOREVER);
    return 0;
}

static int scan_on(void *arg)
{
    (void)arg;
    while (!late.over) {
        (void)lw_detector_scan();
        lw_yield();
    }
    return 0;
}

/* If another has it, it has not waited for that task, which wants what we hold. */
static int join_with_another(void *arg)
{
    lw_task scanning, joining;
    int err;

    (void)arg;
    memset(&late, 0, sizeof late);
    LW_SIM_CHECK(lw_mutex_acquire(&late.mutex, LW_FOREVER) == 0);
    late.wanting = start_waiting(want_it, NULL);
    scanning = start(scan_on, NULL);
    joining = start(join_it, NULL);
    err = lw_join(late.wanting, NULL, LW_FOREVER);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -EDEADLK);
    LW_SIM_CHECK((err == 0) == late.refused);
    LW_SIM_CHECK(lw_mutex_release(&late.mutex) == 0);
    LW_SIM_CHECK(end_of(joining) == 0);
    late.over = true;
    if (err == -EDEADLK)
        (void)!lw_join(late.wanting, NULL, LW_FOREVER);
    return end_of(scanning);
}

Test(deadlock, a_join_that_comes_too_late_closes_no_circle)
{
    sim_all(join_with_another, NULL);
    sim_every(join_with_another, NULL, 1, 400);
}
