/* SPDX-License-Identifier: MIT */
/* Who closes a circle by a wait for a lock, and holds nothing itself, tells nobody: others wait for
 * its end.  One of those has a lock meanwhile, and so the circle is found soon, not when the next
 * look would have been; also in a program that is busy all the time. */
#include <time.h>

#include "tests/sim/explore.h"

TestSuite(knots, .init = watchdog);

#define PERIOD (1000 * LW_SEC)
#define SOON (1 * LW_SEC)     /* 30 ms, if nothing kept the thread from its work */
#define LATER (2700 * LW_MS) /* the last look was 10 * (1 + 2 + ... + 128) ms after the start */

static struct {
    lw_rwlock shared; /* the holder has it exclusively, but in the law of readers */
    lw_mutex next;    /* of another circle */
    lw_task root;
    lw_nsec closed;   /* 0: not yet */
    lw_nsec more;     /* until that */
    int told;
    bool over, reaped, goes_on;
    lw_bounded_semaphore permits; /* of a third one */
    int holding;
} circle;

static void hear_circle(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_WORKER_EXHAUSTION) /* it may be: one of them is blocked */
        return;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK);
    LW_SIM_CHECK(circle.closed != 0 && lw_now() - circle.closed < SOON);
    circle.told++;
}

/* When all others have waited for so long that nothing of that is news. */
static void before_close(void)
{
    lw_nsec time = 200 * LW_MS + (lw_nsec)sim_choose(100) * 100 * LW_US;

    LW_SIM_CHECK(lw_sleep(lw_in(time + circle.more)) == 0);
    circle.closed = lw_now();
}

static int close_circle(void *arg)
{
    int err;

    (void)arg;
    before_close();
    err = lw_acquire(&circle.shared.write, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
    return err == 0 ? lw_release(&circle.shared.write) : 0;
}

/* ---- the waits for its end */

static int wait_for_group(lw_fn *fn)
{
    lw_group group = LW_GROUP_INIT(0);
    int status = 0;

    LW_SCOPE(&group.scope, LW_FOREVER, status)
        status = lw_group_spawn(&group, fn, NULL, NULL);
    LW_SIM_CHECK(status == 0 || status == -EDEADLK || status == -ECANCELED);
    return 0;
}

static int have_child_close(void *arg)
{
    (void)arg;
    return wait_for_group(close_circle);
}

static int have_grandchild_close(void *arg)
{
    (void)arg;
    return wait_for_group(have_child_close);
}

static int have_other_join(void *arg)
{
    lw_task task = start(have_child_close, NULL);
    int err = lw_join(task, NULL, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err != 0)
        (void)lw_detach(task);
    return 0;
}

static int have_helper_close(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_blocking(close_circle, NULL, NULL, LW_FOREVER) == 0);
    return 0;
}

static int have_child_call(void *arg)
{
    (void)arg;
    return wait_for_group(have_helper_close);
}

/* ---- circles of such waits alone */

static int join_root(void *arg)
{
    int err = lw_join(circle.root, NULL, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
    circle.reaped |= err == 0;
    return 0;
}

static int close_and_join_root(void *arg)
{
    before_close();
    return join_root(arg);
}

static int have_child_join(void *arg)
{
    (void)arg;
    return wait_for_group(close_and_join_root);
}

static int have_helper_join(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_blocking(close_and_join_root, NULL, NULL, LW_FOREVER) == 0);
    return 0;
}

/* Here the root closes the circle: its child waits for it before it waits for its group. */
static int let_child_join_first(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    int status = 0;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, status) {
        status = lw_group_spawn(&group, join_root, NULL, NULL);
        LW_SIM_CHECK(status == 0);
        before_close();
    }
    LW_SIM_CHECK(status == 0 || status == -EDEADLK || status == -ECANCELED);
    return 0;
}

/* ---- groups of others */

static lw_group groups[2];

static void wait_for_other(lw_group *group)
{
    int err = lw_group_wait(group, LW_FOREVER);

    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
}

static int wait_for_second(void *arg)
{
    (void)arg;
    wait_for_other(&groups[1]);
    return 0;
}

static int close_and_wait_for_first(void *arg)
{
    (void)arg;
    before_close();
    wait_for_other(&groups[0]);
    return 0;
}

static int have_helper_wait_for_first(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_blocking(close_and_wait_for_first, NULL, NULL, LW_FOREVER) == 0);
    return 0;
}

static void open_groups(void)
{
    for (int i = 0; i < 2; i++)
        groups[i] = (lw_group)LW_GROUP_INIT(0);
}

static int have_two_wait(void *arg)
{
    (void)arg;
    open_groups();
    /* In this order: of the group that is waited for first there is a child. */
    LW_SIM_CHECK(lw_group_spawn(&groups[1], close_and_wait_for_first, NULL, NULL) == 0);
    LW_SIM_CHECK(lw_group_spawn(&groups[0], wait_for_second, NULL, NULL) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_group_end(&groups[i], 0) == 0);
    return 0;
}

static int have_helper_wait(void *arg)
{
    (void)arg;
    open_groups();
    LW_SIM_CHECK(lw_group_spawn(&groups[0], have_helper_wait_for_first, NULL, NULL) == 0);
    return lw_group_end(&groups[0], 0);
}

/* ---- who has it meanwhile */

static bool reads;

static int hold(void *arg)
{
    lw_lock *lock = reads ? &circle.shared.read : &circle.shared.write;

    LW_SIM_CHECK(lw_sleep(lw_in(LATER)) == 0);
    LW_SIM_CHECK(lw_acquire(lock, LW_FOREVER) == 0);
    LW_SIM_CHECK((*(lw_fn **)arg)(NULL) == 0);
    LW_SIM_CHECK(lw_release(lock) == 0);
    circle.over = true;
    return 0;
}

static int hold_nothing(void *arg)
{
    LW_SIM_CHECK(lw_sleep(lw_in(LATER)) == 0);
    LW_SIM_CHECK((*(lw_fn **)arg)(NULL) == 0);
    circle.over = true;
    return 0;
}

/* It gets the lock while it waits. */
static int be_given(void *arg)
{
    LW_SIM_CHECK(lw_sleep(lw_in(LATER)) == 0);
    LW_SIM_CHECK((*(lw_fn **)arg)(NULL) == 0);
    LW_SIM_CHECK(lw_release(&circle.shared.write) == 0);
    circle.over = true;
    return 0;
}

static int give(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&circle.shared.write, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(LATER + 50 * LW_MS)) == 0);
    while (!is_waiting(circle.root))
        LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    LW_SIM_CHECK(lw_transfer(&circle.shared.write, circle.root) == 0);
    return 0;
}

/* ---- one worker is awake: for that all sleep is a reason to look, too */

static void be_busy_for(lw_nsec time)
{
    const struct timespec busy = {.tv_nsec = 5 * LW_MS};
    lw_nsec until = lw_now() + time;

    do {
        (void)nanosleep(&busy, NULL);
        lw_yield();
    } while (lw_now() < until);
}

static void await_report(void)
{
    while (!circle.over || circle.told == 0) {
        be_busy_for(0);
        LW_SIM_CHECK(circle.told != 0 || circle.closed == 0 || lw_now() - circle.closed < SOON);
    }
    sim_weak_flush_all(); /* that it is over a plain variable has said */
}

static void begin(void (*hear)(const lw_report *report, void *arg))
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .period_min = PERIOD,
                                   .period_max = PERIOD,
                                   .long_hold = PERIOD,
                                   .long_wait = PERIOD,
                                   .on_report = hear};

    memset(&circle, 0, sizeof circle);
    circle.shared = (lw_rwlock)LW_RWLOCK_INIT("shared", LW_RWLOCK_PHASE_FAIR);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
}

struct law {
    lw_fn *root, *wait;
};

static int find_soon(void *arg)
{
    const struct law *law = arg;
    lw_fn *wait = law->wait;
    lw_detector_counts counts;
    lw_task giver = {0};
    uint64_t looks;

    begin(hear_circle);
    if (law->root == be_given) {
        circle.more = 2 * LATER; /* that it is given something is reason for a few looks */
        giver = start(give, NULL);
    }
    circle.root = start(law->root, &wait);
    await_report();
    LW_SIM_CHECK(circle.told == 1);
    if (giver.id != 0)
        LW_SIM_CHECK(end_of(giver) == 0);
    if (!circle.reaped)
        LW_SIM_CHECK(end_of(circle.root) == 0);
    be_busy_for(100 * LW_MS);
    lw_detector_read(&counts);
    looks = counts.scans;
    be_busy_for(200 * LW_MS);
    lw_detector_read(&counts);
    LW_SIM_CHECK(counts.scans <= looks + 3); /* it is no knot any more */
    return 0;
}

static void explore(lw_fn *wait, bool as_reader)
{
    struct law law = {hold, wait};

    reads = as_reader;
    sim_some(find_soon, &law, 4);
}

static void explore_without(lw_fn *wait)
{
    struct law law = {hold_nothing, wait};

    sim_some(find_soon, &law, 4);
}

Test(knots, a_circle_that_a_child_closes_is_found_soon)
{
    explore(have_child_close, false);
}

Test(knots, a_circle_that_a_grandchild_closes_is_found_soon)
{
    explore(have_grandchild_close, false);
}

Test(knots, a_circle_that_the_child_of_a_joined_one_closes_is_found_soon)
{
    explore(have_other_join, false);
}

Test(knots, a_circle_that_a_helper_closes_is_found_soon)
{
    explore(have_helper_close, false);
}

Test(knots, a_circle_that_the_helper_of_a_child_closes_is_found_soon)
{
    explore(have_child_call, false);
}

Test(knots, a_circle_that_a_child_of_a_reader_closes_is_found_soon)
{
    explore(have_child_close, true);
}

Test(knots, a_circle_through_a_lock_that_came_later_is_found_soon)
{
    struct law law = {be_given, have_child_close};

    sim_some(find_soon, &law, 4);
}

Test(knots, a_circle_of_a_child_that_joins_is_found_soon)
{
    explore_without(have_child_join);
}

Test(knots, a_circle_of_a_helper_that_joins_is_found_soon)
{
    explore_without(have_helper_join);
}

Test(knots, a_circle_that_a_parent_closes_is_found_soon)
{
    explore_without(let_child_join_first);
}

Test(knots, a_circle_of_two_who_wait_for_each_others_group_is_found_soon)
{
    explore_without(have_two_wait);
}

Test(knots, a_circle_of_a_helper_that_waits_for_its_callers_group_is_found_soon)
{
    explore_without(have_helper_wait);
}

/* ---- a knot that is made while a look goes on: here, while it tells of another circle */

static void let_next_wait(const lw_report *report, void *arg)
{
    const struct timespec brief = {.tv_nsec = LW_MS};

    (void)arg;
    if (report->verdict != LW_VERDICT_DEADLOCK)
        return;
    if (circle.told++ != 0)
        return;
    circle.goes_on = true;
    while (!is_waiting(circle.root))
        (void)nanosleep(&brief, NULL);
}

static int hold_next(void *arg)
{
    while (!circle.goes_on)
        LW_SIM_CHECK(lw_sleep(lw_in(20 * LW_MS)) == 0);
    LW_SIM_CHECK(lw_acquire(&circle.next.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK((*(lw_fn **)arg)(NULL) == 0);
    LW_SIM_CHECK(lw_release(&circle.next.lock) == 0);
    return 0;
}

static int close_next(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(lw_sleep(lw_in(200 * LW_MS)) == 0);
    circle.closed = lw_now();
    err = lw_acquire(&circle.next.lock, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED);
    return err == 0 ? lw_release(&circle.next.lock) : 0;
}

static int have_child_close_next(void *arg)
{
    (void)arg;
    return wait_for_group(close_next);
}

/* Another has the other permit, and wants this one. */
static int want_both(void *arg)
{
    int err;

    (void)arg;
    LW_SIM_CHECK(lw_acquire(&circle.permits.lock, LW_FOREVER) == 0);
    circle.holding++;
    while (circle.holding < 2)
        LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(LATER)) == 0);
    err = lw_acquire(&circle.permits.lock, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    if (err == 0)
        LW_SIM_CHECK(lw_release(&circle.permits.lock) == 0);
    return lw_release(&circle.permits.lock);
}

static int find_next_soon(void *arg)
{
    lw_fn *next = have_child_close_next;
    lw_task others[2];

    (void)arg;
    begin(let_next_wait);
    circle.next = (lw_mutex)LW_MUTEX_INIT("next");
    circle.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 2);
    circle.root = start(hold_next, &next);
    for (int i = 0; i < 2; i++)
        others[i] = start(want_both, NULL);
    while (circle.told < 2) {
        be_busy_for(0);
        LW_SIM_CHECK(circle.closed == 0 || circle.told == 2 || lw_now() - circle.closed < SOON);
    }
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    return end_of(circle.root);
}

Test(knots, one_that_is_made_during_a_look_is_seen)
{
    sim_some(find_next_soon, NULL, 4);
}
