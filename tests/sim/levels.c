/* SPDX-License-Identifier: MIT */
/* Deadlocks of which no wait may fail, in many schedules: owners are asked, and answer whatever
 * comes to their minds, or nothing, while others are cancelled, run out of time, or change the
 * options.  What was answered in time is told, once; who is said to have let go has; each verdict
 * is told of once; and no lock is lost. */
#include <pthread.h>

#include "locksmith/detector.h"
#include "tests/sim/explore.h"

TestSuite(levels, .init = watchdog);

enum { TASKS = 3, GUEST = TASKS, USERS, LOCKS = 3 };

/* Not so long that it is taken for standing still when one that was asked does nothing. */
#define GRACE (500 * LW_MS)

struct user {
    lw_nsec let_go[LOCKS]; /* when it last released that one; 0: never */
    bool shields, keeps_time, cancelled;
    lw_task self;
};

static struct {
    lw_mutex locks[LOCKS];
    int owners[LOCKS]; /* by the program's own notes: user + 1 */
    struct user users[USERS];
    int answered[5], told[5];
    int verdicts, asked;
    bool over;
} it;

/* ---- what is told */

static int user_of(lw_task task)
{
    for (int i = 0; i < USERS; i++)
        if (it.users[i].self.id == task.id)
            return i;
    return -1;
}

static int lock_of(const lw_lock *lock)
{
    for (int i = 0; i < LOCKS; i++)
        if (&it.locks[i].lock == lock)
            return i;
    return -1;
}

static void check_step(const lw_report *report, const lw_report_step *step)
{
    int user = user_of(step->task), lock = lock_of(step->lock);
    const char *outcome = step->outcome;

    if (strncmp(outcome, "not asked", 9) == 0)
        return;
    LW_SIM_CHECK(user >= 0 && lock >= 0);
    it.asked += strcmp(outcome, "more time") != 0;
    it.told[LW_ANSWER_REFUSED] += strcmp(outcome, "refused") == 0;
    it.told[LW_ANSWER_VALUE] += strcmp(outcome, "answered with a value") == 0;
    it.told[LW_ANSWER_DOWNGRADED] += strcmp(outcome, "downgraded") == 0;
    if (strncmp(outcome, "released", 8) == 0)
        LW_SIM_CHECK(it.users[user].let_go[lock] >= report->at);
    /* Who needs time says how much, and that may be less. */
    if (strcmp(outcome, "no answer") == 0 && strcmp(report->steps[0].outcome, "more time") != 0)
        LW_SIM_CHECK(lw_now() >= report->at + GRACE);
    if (strcmp(outcome, "no answer") == 0)
        LW_SIM_CHECK(lw_now() <= report->at + 10 * GRACE + LW_SEC);
    if (strcmp(outcome, "withdrawn") != 0)
        LW_SIM_CHECK(!report->unforceable || strncmp(outcome, "released", 8) != 0);
}

static void check_report(const lw_report *report, void *arg)
{
    int asked = it.asked;

    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK ||
                 report->verdict == LW_VERDICT_TIMED_DEADLOCK);
    it.verdicts++;
    for (size_t i = 0; i < report->step_count; i++)
        if (report->steps[i].level == 3)
            check_step(report, &report->steps[i]);
    LW_SIM_CHECK(it.asked <= asked + 1);
}

/* ---- who is asked */

static void answer(const lw_force_request *asked)
{
    lw_answer with = (lw_answer)(sim_choose(5));
    bool late;
    int err;

    if (sim_choose(8) == 0) /* it thinks about it for too long */
        LW_SIM_CHECK(lw_sleep(lw_in(GRACE)) != -ETIMEDOUT);
    late = lw_now() >= asked->deadline;
    err = lw_force_answer(asked, with, LW_MS);
    LW_SIM_CHECK(err == -ESTALE || (err == 0 && !late));
    if (err < 0)
        return;
    it.answered[with]++;
    if (with != LW_ANSWER_LATER) {
        err = lw_force_answer(asked, LW_ANSWER_REFUSED, 0);
        LW_SIM_CHECK(err == -EALREADY || err == -ESTALE);
    }
}

static void let_go(int user, int lock)
{
    LW_SIM_CHECK(it.owners[lock] == user + 1);
    it.owners[lock] = 0;
    it.users[user].let_go[lock] = lw_now();
    LW_SIM_CHECK(lw_mutex_release(&it.locks[lock]) == 0);
}

static void got(int user, int lock)
{
    LW_SIM_CHECK(it.owners[lock] == 0);
    it.owners[lock] = user + 1;
}

/* With the first one held.  True: it has the other one, too. */
static bool take_second(int index, int first, int second)
{
    struct user *user = &it.users[index];
    lw_force_request asked;

    for (int i = 0; i < 4; i++) {
        lw_nsec deadline = LW_FOREVER;
        int err;

        if (user->keeps_time || sim_choose(2) == 0)
            deadline = lw_in((2 + sim_choose(6)) * 60 * LW_MS);
        if (user->shields)
            LW_SIM_CHECK(lw_shield_enter() == 0);
        err = lw_mutex_acquire(&it.locks[second], deadline);
        if (user->shields)
            (void)lw_shield_exit();
        LW_SIM_CHECK(err == 0 || (err == -ETIMEDOUT && deadline != LW_FOREVER) ||
                     (err == -EDEADLK && !user->shields) ||
                     (err == -ECANCELED && user->cancelled && !user->shields));
        if (err == 0) {
            got(index, second);
            return true;
        }
        if (lw_force_pending(&asked)) {
            LW_SIM_CHECK(asked.lock == &it.locks[first].lock && asked.requester == NULL);
            if (sim_choose(4) != 0)
                answer(&asked);
            if (sim_choose(2) == 0)
                return false;
        }
        lw_sim_point();
    }
    return false;
}

static void use(int index)
{
    it.users[index].self = lw_self();
    for (int round = 0; round < 2; round++) {
        int first = (int)sim_choose(LOCKS), second = (first + 1 + (int)sim_choose(2)) % LOCKS;
        lw_force_request asked;

        if (lw_mutex_acquire(&it.locks[first], LW_FOREVER) != 0)
            continue; /* cancelled */
        got(index, first);
        lw_sim_point();
        if (take_second(index, first, second))
            let_go(index, second);
        let_go(index, first);
        LW_SIM_CHECK(!lw_force_pending(&asked));
    }
}

static int use_as_task(void *arg)
{
    use((int)(intptr_t)arg);
    return 0;
}

static void *use_as_guest(void *arg)
{
    LW_SIM_CHECK(lw_thread_attach() == 0);
    use(GUEST);
    return arg;
}

static void set_options(uint32_t levels)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .levels = levels,
                                   .grace = GRACE,
                                   .long_hold = 1000 * LW_SEC, /* deadlocks only */
                                   .long_wait = 1000 * LW_SEC,
                                   .on_report = check_report};

    LW_SIM_CHECK(lw_detector_set(&options) == 0);
}

static int ask_and_answer(void *arg)
{
    uint32_t levels = LW_LEVEL(0) | LW_LEVEL(1) | LW_LEVEL(3);
    lw_detector_counts counts;
    lw_task tasks[TASKS];
    pthread_t guest;

    (void)arg;
    memset(&it, 0, sizeof it);
    set_options(levels | (sim_choose(4) == 0 ? LW_LEVEL(2) : 0));
    for (intptr_t i = 0; i < TASKS; i++) {
        lw_task_options options = {.flags = sim_choose(3) == 0 ? LW_TASK_FORCIBLE : 0};

        it.users[i].shields = sim_choose(2) == 0;
        it.users[i].keeps_time = it.users[i].shields || options.flags == 0;
        LW_SIM_CHECK(lw_spawn(&tasks[i], use_as_task, (void *)i, &options) == 0);
    }
    it.users[GUEST].keeps_time = true;
    LW_SIM_CHECK(pthread_create(&guest, NULL, use_as_guest, NULL) == 0);
    if (sim_choose(2) == 0) {
        it.users[1].cancelled = true;
        (void)lw_cancel(tasks[1]);
    }
    if (sim_choose(4) == 0) {
        LW_SIM_CHECK(lw_sleep(lw_in(sim_choose(10) * 50 * LW_MS)) == 0);
        set_options(levels);
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    set_options(levels); /* what was asked is told of now */
    lw_detector_read(&counts);
    LW_SIM_CHECK(counts.verdicts[LW_VERDICT_DEADLOCK] +
                     counts.verdicts[LW_VERDICT_TIMED_DEADLOCK] == (uint64_t)it.verdicts);
    for (int i = LW_ANSWER_DOWNGRADED; i <= LW_ANSWER_VALUE; i++)
        LW_SIM_CHECK(it.answered[i] == it.told[i]);
    for (int i = 0; i < LOCKS; i++)
        LW_SIM_CHECK(it.locks[i].lock._word._value == 0 && it.owners[i] == 0);
    return 0;
}

Test(levels, what_is_answered_in_time_is_told_once)
{
    sim_all(ask_and_answer, NULL);
}

/* ---- S31: a cancel and the detector at the same wait: one of them ends it, or neither */

static lw_mutex pair[2];
static lw_task victim;
static bool asked_to_end;

/* The cancels that it has seen. */
static int take_pair(int first)
{
    uint64_t before = lw_detector_counted.forced[2];
    int err = lw_mutex_acquire(&pair[first], LW_FOREVER);

    if (err < 0) {
        LW_SIM_CHECK(err == -ECANCELED);
        return 1;
    }
    err = lw_mutex_acquire(&pair[1 - first], LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
    LW_SIM_CHECK(lw_owned(&pair[1 - first].lock) == (err == 0));
    LW_SIM_CHECK(err != -EDEADLK || lw_detector_counted.forced[2] == before + 1);
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&pair[1 - first]) == 0);
    LW_SIM_CHECK(lw_mutex_release(&pair[first]) == 0);
    it.told[0] += err == -EDEADLK;
    return err == -ECANCELED;
}

static int be_cancelled(void *arg)
{
    int cancels = take_pair(0);

    (void)arg;
    while (!asked_to_end)
        lw_yield();
    cancels += lw_sleep(lw_in(1)) == -ECANCELED;
    LW_SIM_CHECK(cancels == 1);
    LW_SIM_CHECK(lw_sleep(lw_in(1)) == 0);
    return 0;
}

static int be_waited_for(void *arg)
{
    (void)arg;
    return take_pair(1);
}

static int cancel_it(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_cancel(victim) == 0);
    asked_to_end = true;
    return 0;
}

static int cancel_and_force(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE, .on_report = check_report};
    lw_task others[2];

    (void)arg;
    memset(&it, 0, sizeof it);
    memset(pair, 0, sizeof pair);
    asked_to_end = false;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    victim = start(be_cancelled, NULL);
    others[0] = start(be_waited_for, NULL);
    others[1] = start(cancel_it, NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    LW_SIM_CHECK(end_of(victim) == 0);
    LW_SIM_CHECK(it.told[0] <= 1 && lw_detector_counted.forced[2] == (uint64_t)it.told[0]);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pair[i].lock._word._value == 0 && pair[i].lock._queue == NULL);
    return 0;
}

Test(levels, s31_a_cancel_or_the_detector_ends_a_wait)
{
    sim_all(cancel_and_force, NULL);
    sim_every(cancel_and_force, NULL, 1, 200);
}

/* ---- a hold that lasts: asked is for all who were told of, not only for who came first */

static lw_mutex kept;
static bool has_left;

static void hear_outcome(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_LONG_HOLD && report->member_count >= 2);
    for (size_t i = 0; i < report->step_count; i++)
        if (report->steps[i].level == 3)
            LW_SIM_CHECK(strcmp(report->steps[i].outcome, "refused") == 0);
    it.verdicts++;
}

static int want_for(void *arg)
{
    lw_nsec limit = *(lw_nsec *)arg;
    int err = lw_mutex_acquire(&kept, limit == LW_FOREVER ? LW_FOREVER : lw_in(limit));

    LW_SIM_CHECK(err == (limit == LW_FOREVER ? 0 : -ETIMEDOUT));
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&kept) == 0);
    has_left = true;
    return 0;
}

static int refuse_when_one_has_left(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .grace = GRACE,
                                   .long_wait = 1000 * LW_SEC,
                                   .on_report = hear_outcome};
    static lw_nsec limits[] = {1200 * LW_MS, LW_FOREVER};
    lw_force_request asked;
    lw_task tasks[2];

    (void)arg;
    it.verdicts = 0;
    has_left = false;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    LW_SIM_CHECK(lw_mutex_acquire(&kept, LW_FOREVER) == 0);
    for (int i = 0; i < 2; i++) {
        tasks[i] = start(want_for, &limits[i]);
        LW_SIM_CHECK(lw_sleep(lw_in(20 * LW_MS)) == 0);
    }
    while (!lw_force_pending(&asked))
        LW_SIM_CHECK(lw_sleep(lw_in(10 * LW_MS)) == 0 && it.verdicts == 0);
    while (!has_left)
        LW_SIM_CHECK(lw_sleep(lw_in(10 * LW_MS)) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(30 * LW_MS)) == 0 && it.verdicts == 0);
    LW_SIM_CHECK( lw_force_answer(&asked, LW_ANSWER_REFUSED, 0) == 0);
    while (it.verdicts == 0)
        LW_SIM_CHECK(lw_sleep(lw_in(10 * LW_MS)) == 0);
    LW_SIM_CHECK(lw_mutex_release(&kept) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.verdicts == 1);
    return 0;
}

Test(levels, an_owner_is_asked_while_any_of_them_waits)
{
    sim_all(refuse_when_one_has_left, NULL);
}
