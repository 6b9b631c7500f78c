/* SPDX-License-Identifier: MIT */
/* What is found by age, on a clock that the test moves: who holds for long is told of once, in
 * whatever order all that happens; and time in which nobody could do anything counts for nobody.
 * Beside the library's records the program notes who has what, and since when at the earliest.
 *
 * Who sleeps may wake up much later: simulated time goes on though others could.  So what is told
 * is compared with the clock, and not with what a test means to do. */
#include "locksmith/detector.h"
#include "tests/sim/explore.h"

#include <pthread.h>

TestSuite(ages, .init = watchdog);

enum { WAITERS = 3 };

#define COARSE (10 * LW_MS)

/* One more than those who want it. */
struct hold {
    lw_task owner;
    lw_nsec from;
    bool told;
};

static struct {
    lw_mutex mutex;
    lw_event never;
    struct hold holds[WAITERS + 3];
    int got, ended;   /* of these */
    lw_nsec free;     /* since then, or later, the mutex was not held by the one before */
    lw_nsec waits;    /* since then, or later, somebody waits for the event */
    lw_nsec resumed;  /* all were stopped until then */
    lw_nsec long_hold, long_wait;
    int of[16];
    bool till_told;
} it;

static lw_nsec later(lw_nsec one, lw_nsec other)
{
    return one > other ? one : other;
}

/* So long nobody was stopped. */
static lw_nsec age_at(lw_nsec at, lw_nsec from)
{
    return at - (at >= it.resumed ? later(from, it.resumed) : from);
}

/* Its owner may not have come to note it; then it is the next one who does. */
static struct hold *hold_of(lw_task owner)
{
    for (int i = 0; i <= it.got; i++)
        if (it.holds[i].owner.id == owner.id)
            return &it.holds[i];
    LW_SIM_CHECK(it.holds[it.got].owner.id == 0);
    it.holds[it.got] = (struct hold){.owner = owner, .from = it.free};
    return &it.holds[it.got];
}

static void note_got(void)
{
    (void)hold_of(lw_self());
    it.got++;
    sim_weak_flush_all();
}

static int give_back(void)
{
    it.ended++;
    it.free = lw_now();
    sim_weak_flush_all();
    return lw_mutex_release(&it.mutex);
}

static void hear(const lw_report *report, void *arg)
{
    const lw_report_member *owner = &report->members[0];
    struct hold *hold;

    (void)arg;
    it.of[report->verdict]++;
    if (report->verdict == LW_VERDICT_LONG_WAIT) {
        LW_SIM_CHECK(age_at(report->at, it.waits) >= it.long_wait - COARSE);
        return;
    }
    LW_SIM_CHECK(report->verdict == LW_VERDICT_LONG_HOLD);
    LW_SIM_CHECK(report->member_count >= 2 && report->victim == report->member_count);
    hold = hold_of(owner->task);
    LW_SIM_CHECK(age_at(report->at, hold->from) >= it.long_hold);
    LW_SIM_CHECK(!hold->told);
    hold->told = true;
    LW_SIM_CHECK(owner->hold_count == 1 && owner->holds[0].lock == &it.mutex.lock);
    LW_SIM_CHECK(owner->holds[0].since >= hold->from - COARSE);
    for (size_t i = 1; i < report->member_count; i++) {
        LW_SIM_CHECK(report->members[i].object == &it.mutex.lock);
        LW_SIM_CHECK(report->members[i].task.id != owner->task.id);
    }
}

static void set_up(lw_nsec long_hold, lw_nsec long_wait)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE, .on_report = hear};

    memset(&it, 0, sizeof it);
    it.long_hold = options.long_hold = long_hold;
    it.long_wait = options.long_wait = long_wait;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
}

static int want(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    (void)arg;
    note_got();
    return give_back();
}

static int want_that(void *mutex)
{
    LW_SIM_CHECK(lw_mutex_acquire(mutex, LW_FOREVER) == 0);
    return lw_mutex_release(mutex);
}

static void *want_on_thread(void *arg)
{
    LW_SIM_CHECK(want(arg) == 0);
    return arg;
}

/* Over all schedules. */
static unsigned long tried, told;

/* Until there is a verdict.  Time may go by in one go, as if all were stopped, however much others
 * could have done; in some schedules so often that nothing ever gets old. */
static void sleep_until_told(lw_verdict verdict)
{
    for (int i = 0; it.of[verdict] == 0 && i < 400; i++)
        LW_SIM_CHECK(lw_sleep(lw_in(50 * LW_MS)) == 0);
    LW_SIM_CHECK(it.of[verdict] <= 1);
    tried++;
    told += it.of[verdict] == 1;
}

/* As a rule it has been told. */
static void sim_told(lw_fn *test, unsigned fewer)
{
    tried = told = 0;
    sim_some(test, NULL, fewer);
    cr_assert_geq(told, tried - tried / 10, "%lu of %lu", told, tried);
    cr_assert_gt(told, 0ul);
}

/* The clock jumps: whoever looks at it before the note of it is seen finds that it has not. */
static void stop_for(lw_nsec time)
{
    if (time == 0)
        return;
    it.resumed = sim_world->now + time;
    sim_weak_flush_all();
    sim_world->now += time;
}

/* With it in hand, and others who want it: sleep, and the process may be stopped meanwhile. */
static void hold_for(lw_nsec before, lw_nsec stop, lw_nsec after)
{
    lw_task waiters[WAITERS];
    pthread_t thread;

    it.free = lw_now();
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    note_got();
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = start(want, NULL);
    LW_SIM_CHECK(pthread_create(&thread, NULL, want_on_thread, NULL) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(before)) == 0);
    if (it.till_told)
        sleep_until_told(LW_VERDICT_LONG_HOLD);
    stop_for(stop);
    if (after != 0)
        LW_SIM_CHECK(lw_sleep(lw_in(after)) == 0);
    LW_SIM_CHECK(give_back() == 0);
    for (int i = 0; i < WAITERS; i++)
        LW_SIM_CHECK(end_of(waiters[i]) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(it.ended == WAITERS + 2);
}

/* ---- long enough, and not */

static int hold_long(void *arg)
{
    (void)arg;
    set_up(200 * LW_MS, 3600 * LW_SEC);
    it.till_told = true;
    hold_for(200 * LW_MS, 3600 * LW_SEC, 3 * LW_SEC); /* nor again after that hour */
    return 0;
}

Test(ages, s37_a_hold_that_lasts_is_told_of_once)
{
    sim_told(hold_long, 4);
}

static int hold_short(void *arg)
{
    lw_nsec begun = lw_now();

    (void)arg;
    set_up(1 * LW_SEC, 3600 * LW_SEC);
    hold_for(700 * LW_MS, 0, 0);
    LW_SIM_CHECK(it.of[LW_VERDICT_LONG_HOLD] == 0 || lw_now() - begun >= it.long_hold);
    return 0;
}

Test(ages, a_hold_that_ends_in_time_is_not)
{
    sim_some(hold_short, NULL, 4);
}

/* ---- S64 */

static int wait_for_ever(void *arg)
{
    (void)arg;
    it.waits = lw_now();
    return lw_event_wait(&it.never, LW_FOREVER) == -ECANCELED ? 0 : -EIO;
}

static int stop_for_an_hour(void *arg)
{
    lw_task idle;

    (void)arg;
    set_up(1 * LW_SEC, 30 * LW_SEC);
    idle = start_waiting(wait_for_ever, NULL);
    hold_for(300 * LW_MS, 3600 * LW_SEC, 300 * LW_MS);
    LW_SIM_CHECK(lw_cancel(idle) == 0);
    return end_of(idle);
}

Test(ages, s64_an_hour_in_which_all_was_stopped_counts_for_nobody)
{
    sim_some(stop_for_an_hour, NULL, 4);
}

/* By one who looks at once, before the thread has come. */
static int stop_and_scan(void *arg)
{
    lw_task idle;

    (void)arg;
    set_up(1 * LW_SEC, 2 * LW_SEC);
    idle = start_waiting(wait_for_ever, NULL);
    LW_SIM_CHECK(lw_sleep(lw_in(100 * LW_MS)) == 0);
    stop_for(3600 * LW_SEC);
    (void)lw_detector_scan();
    sleep_until_told(LW_VERDICT_LONG_WAIT); /* then time goes on as usual */
    LW_SIM_CHECK(lw_cancel(idle) == 0);
    return end_of(idle);
}

Test(ages, s64_nor_for_who_looks_first)
{
    sim_told(stop_and_scan, 4);
}

/* ---- an idle process: the thread sleeps, and comes when something is old enough, and no more */

static int be_idle(void *arg)
{
    lw_detector_counts before, after;
    lw_task idle;

    (void)arg;
    set_up(1 * LW_SEC, 2 * LW_SEC);
    idle = start_waiting(wait_for_ever, NULL);
    LW_SIM_CHECK(lw_sleep(lw_in(1 * LW_SEC)) == 0);
    sleep_until_told(LW_VERDICT_LONG_WAIT);
    lw_detector_read(&before);
    LW_SIM_CHECK(lw_sleep(lw_in(3600 * LW_SEC)) == 0);
    lw_detector_read(&after);
    LW_SIM_CHECK(after.scans - before.scans <= 16);
    LW_SIM_CHECK(it.of[LW_VERDICT_LONG_WAIT] <= 1);
    LW_SIM_CHECK(lw_cancel(idle) == 0);
    return end_of(idle);
}

Test(ages, an_idle_process_is_looked_at_when_a_wait_has_become_old)
{
    sim_told(be_idle, 8);
}

/* ---- plain threads, while all workers sleep */

static lw_event both_ended;

static void *hold_on_thread(void *arg)
{
    it.free = lw_now();
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    note_got();
    sleep_until_told(LW_VERDICT_LONG_HOLD);
    LW_SIM_CHECK(give_back() == 0);
    return arg;
}

static void *want_late_on_thread(void *arg)
{
    LW_SIM_CHECK(lw_sleep(lw_in(500 * LW_MS)) == 0);
    LW_SIM_CHECK(want(arg) == 0);
    lw_event_set(&both_ended);
    return arg;
}

static int leave_it_to_threads(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    set_up(200 * LW_MS, 3600 * LW_SEC);
    both_ended = (lw_event)LW_EVENT_INIT("both ended");
    LW_SIM_CHECK(pthread_create(&threads[0], NULL, hold_on_thread, NULL) == 0);
    UNTIL(it.got != 0);
    LW_SIM_CHECK(pthread_create(&threads[1], NULL, want_late_on_thread, NULL) == 0);
    LW_SIM_CHECK(lw_event_wait(&both_ended, LW_FOREVER) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

Test(ages, s37_also_among_threads_while_all_workers_sleep)
{
    sim_told(leave_it_to_threads, 4);
}

/* ---- S47, S52: looks at any moment, and nothing to be found */

static int look_on(void *arg)
{
    (void)arg;
    while (it.ended < WAITERS + 2) {
        LW_SIM_CHECK(lw_detector_scan() <= 0);
        lw_yield();
    }
    return 0;
}

static int come_and_go(void *arg)
{
    lw_task looking;

    (void)arg;
    set_up(3600 * LW_SEC, 3600 * LW_SEC);
    looking = start(look_on, NULL);
    hold_for(1 * LW_MS, 0, 0);
    LW_SIM_CHECK(end_of(looking) == 0);
    for (int i = 0; i < 16; i++)
        LW_SIM_CHECK(it.of[i] == 0);
    return 0;
}

Test(ages, s47_s52_who_comes_and_goes_is_no_verdict)
{
    sim_some(come_and_go, NULL, 2);
}

/* ---- what it costs */

enum { OFTEN = 50 };
#define LOOK_COSTS (10 * LW_MS)
#define REST (10 * LOOK_COSTS) /* as each look takes a tenth of the time, if one is asked for */

/* Of this thread; each look asks twice. */
static int64_t use_much(void)
{
    static int64_t used;

    return used += LOOK_COSTS;
}

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    it.of[report->verdict]++;
}

/* Waits that get old one after the other, each of which would be worth a look. */
static int get_old_one_by_one(void *arg)
{
    static lw_mutex mutexes[OFTEN];
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE, .on_report = count};
    int64_t (*time_used)(void) = lw_sys.time_used;
    lw_task tasks[OFTEN];
    uint64_t scans;
    lw_nsec begun;

    (void)arg;
    memset(mutexes, 0, sizeof mutexes);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (int i = 0; i < OFTEN; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&mutexes[i], LW_FOREVER) == 0);
    begun = lw_now();
    scans = lw_detector_counted.scans;
    lw_sys.time_used = use_much;
    for (int i = 0; i < OFTEN; i++) {
        tasks[i] = start(want_that, &mutexes[i]);
        LW_SIM_CHECK(lw_sleep(lw_in(15 * LW_MS)) == 0);
    }
    for (int i = 0; i < OFTEN; i++) {
        LW_SIM_CHECK(lw_mutex_release(&mutexes[i]) == 0);
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    }
    scans = lw_detector_counted.scans - scans;
    LW_SIM_CHECK(scans <= 2 + (uint64_t)((lw_now() - begun) / REST));
    lw_sys.time_used = time_used;
    return 0;
}

Test(ages, a_look_that_costs_much_is_rare)
{
    sim_some(get_old_one_by_one, NULL, 4);
}
