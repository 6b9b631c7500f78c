/* SPDX-License-Identifier: MIT */
/* The laws of the detector's options, counts and callbacks; of what becomes of a circle that nobody
 * is to break, or that is no longer what it was; and of deadlines in one.  Who gives way:
 * victim.c. */
#include "locksmith/detector.h"

#include <sys/mman.h>
#include <unistd.h>

#include "locksmith/printer.h"
#include "tests/locksmith/two.h"

TestSuite(detector, .init = hear);

/* ---- options */

Test(detector, what_is_not_said_is_the_default)
{
    lw_detector_options options = at_first, zero = {0};

    cr_assert_eq(options.mode, LW_DETECTOR_FORCE, "it need not be turned on");
    cr_assert_eq(options.levels, LW_LEVELS_DEFAULT);
    cr_assert_eq(options.period_min, 1 * LW_MS);
    cr_assert_eq(options.period_max, 1 * LW_SEC);
    cr_assert_eq(options.grace, 100 * LW_MS);
    cr_assert_null(options.on_report);
    options.period_max = 2 * LW_SEC;
    cr_assert_eq(lw_detector_set(&options), 0);
    lw_detector_get(&options);
    cr_assert_eq(options.period_max, 2 * LW_SEC);
    cr_assert_eq(lw_detector_set(&zero), 0);
    lw_detector_get(&options);
    cr_assert_eq(options.mode, LW_DETECTOR_OFF, "the mode stands for itself");
    cr_assert_eq(options.long_wait, 30 * LW_SEC);
    cr_assert_eq(lw_detector_set(NULL), 0);
    lw_detector_get(&options);
    cr_assert_eq(options.mode, LW_DETECTOR_FORCE);
}

Test(detector, what_is_not_to_be_had_is_refused)
{
    static const lw_detector_options wrong[] = {
        {.mode = (lw_detector_mode)3},
        {.levels = LW_LEVEL(4)},
        {.levels = LW_LEVEL(31)},
        {.period_min = -1},
        {.period_max = -1},
        {.long_hold = -1},
        {.long_wait = -1},
        {.grace = -1},
        {.period_min = 2 * LW_SEC},
        {.period_min = 2, .period_max = 1},
        {.immunity = true},
        {.order_lint = true},
        {._reserved = {0, 0, 0, 0, 0, 1}},
    };
    lw_detector_options before, after;

    lw_detector_get(&before);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(lw_detector_set(&wrong[i]), -EINVAL, "%zu", i);
    lw_detector_get(&after);
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "nothing has changed");
}

/* ---- in a callback, and in a child */

static int in_callback[3];

static void change_from_inside(const lw_report *report, void *arg)
{
    lw_detector_options options;
    lw_detector_counts counts;

    lw_detector_get(&options);
    lw_detector_read(&counts);
    in_callback[0] = lw_detector_set(NULL);
    in_callback[1] = lw_detector_scan();
    in_callback[2] = options.arg == arg && counts.verdicts[LW_VERDICT_DEADLOCK] != 0;
    keep_report(report, arg);
}

static int call_back(void *arg)
{
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    lw_detector_get(&options);
    options.on_report = change_from_inside;
    options.arg = tasks;
    cr_assert_eq(lw_detector_set(&options), 0);
    start_two(tasks, NULL);
    join_two(tasks);
    AWAIT(told() == 1);
    cr_assert_eq(in_callback[0], -EDEADLK);
    cr_assert_eq(in_callback[1], -EDEADLK);
    cr_assert_eq(in_callback[2], 1, "it is counted before it is told");
    cr_assert_eq(lw_detector_set(NULL), 0, "outside it is to be had");
    return 0;
}

Test(detector, a_callback_may_look_and_not_change)
{
    run_all(call_back, NULL);
}

/* TSan has a thread of its own, and starts no others in a child. */
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN true
#endif
#endif
#ifndef WITH_TSAN
#define WITH_TSAN false
#endif

static int close_one(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    start_two(tasks, NULL);
    for (int i = 0; i < 2; i++)
        if (lw_join(tasks[i], NULL, LW_FOREVER) != 0)
            return -1;
    return the_two.results[0] + the_two.results[1] == -EDEADLK ? 0 : -1;
}

/* One is made, and broken. */
static int deadlock(void)
{
    lw_options options = {.workers = 2};

    return lw_run(&options, close_one, NULL);
}

static int look_in_child(void *arg)
{
    lw_detector_options options;

    lw_detector_get(&options);
    if (arg == NULL) /* the library had no threads: all is as it was */
        return options.mode != LW_DETECTOR_FORCE || lw_detector_scan() != 0 ||
               (!WITH_TSAN && deadlock() != 0) || lw_detector_set(NULL) != 0;
    return options.mode != LW_DETECTOR_OFF || lw_detector_set(NULL) != -ECHILD ||
           lw_detector_scan() != -ECHILD;
}

static int fork_in_runtime(void *arg)
{
    char heard_there[256];

    cr_assert_eq(run_in_child(look_in_child, &the_two, heard_there, sizeof heard_there), 0, "S63");
    return arg != NULL;
}

Test(detector, s63_in_the_child_of_a_fork_it_is_off_if_threads_are_missing)
{
    char heard_there[256];

    cr_assert_eq(lw_thread_attach(), 0);
    cr_assert_eq(run_in_child(look_in_child, NULL, heard_there, sizeof heard_there), 0);
    run_with(2, fork_in_runtime, NULL);
}

/* ---- modes and levels */

static int only_report(void *arg)
{
    lw_detector_counts before, after;
    lw_task tasks[2];

    (void)arg;
    hear_with(LW_DETECTOR_REPORT, 0);
    lw_detector_read(&before);
    start_two(tasks, NULL);
    AWAIT(told() == 1);
    for (int i = 0; i < 5; i++)
        cr_assert_leq(lw_detector_scan(), 0, "it is told of once");
    cr_assert_eq(heard.victim, heard.members);
    cr_assert_not(heard.unforceable);
    assert_is_circle();
    cr_assert_eq(the_two.results[0] + the_two.results[1], 0);
    hear_with(LW_DETECTOR_OFF, 0);
    forget_heard(); /* while nobody tells */
    hear_with(LW_DETECTOR_FORCE, 0);
    AWAIT(lw_detector_scan() == 1 || told() != 0); /* now something is done about it */
    join_two(tasks);
    AWAIT(told() == 1);
    lw_detector_read(&after);
    cr_assert_eq(after.verdicts[LW_VERDICT_DEADLOCK] - before.verdicts[LW_VERDICT_DEADLOCK], 2);
    cr_assert_eq(after.forced[2] - before.forced[2], 1);
    cr_assert_gt(after.scans, before.scans);
    return 0;
}

Test(detector, to_report_is_to_change_nothing)
{
    run_all(only_report, NULL);
}

static int off(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    hear_with(LW_DETECTOR_OFF, 0);
    start_two(tasks, NULL);
    for (int i = 0; i < 2; i++)
        AWAIT(is_waiting(tasks[i]));
    cr_assert_eq(lw_detector_scan(), 0);
    cr_assert_eq(told(), 0);
    hear_with(LW_DETECTOR_FORCE, 0);
    join_two(tasks);
    return 0;
}

Test(detector, off_is_off_and_what_was_there_is_found_when_it_is_on)
{
    run_all(off, NULL);
}

static int without_levels(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    hear_with(LW_DETECTOR_FORCE, LW_LEVEL(0) | LW_LEVEL(1));
    start_two(tasks, NULL);
    AWAIT(told() == 1);
    cr_assert(heard.unforceable);
    cr_assert_eq(heard.victim, heard.members);
    hear_with(LW_DETECTOR_FORCE, 0);
    AWAIT(lw_detector_scan() == 1 || told() == 2);
    join_two(tasks);
    return 0;
}

Test(detector, without_a_level_that_can_it_is_unforceable)
{
    run_all(without_levels, NULL);
}

/* ---- what has changed since it was looked at */

static int wait_for_first(void *arg)
{
    (void)arg;
    the_two.results[1] = lw_mutex_acquire(&the_two.mutexes[0], LW_FOREVER);
    return the_two.results[1] < 0 ? 0 : lw_mutex_release(&the_two.mutexes[0]);
}

/* One of those that a choice is asked for is in other hands for a moment, and then as before. */
static struct lw_record *in_hand;
static uint64_t in_hand_wait;

static size_t take_it_in_hand(const lw_report *report, void *arg)
{
    (void)arg;
    if (in_hand == NULL) {
        struct lw_record *first = lw_record_of(report->members[0].task.id);

        in_hand_wait = lw_load_acq(&lw_record_cold(first)->wait);
        cr_assert(lw_wait_claim(lw_record_cold(first), in_hand_wait));
        lw_store_rel(&in_hand, first);
    }
    return report->victim;
}

static int refuse_once(void *arg)
{
    lw_detector_counts before, after;
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    forget_heard();
    in_hand = NULL;
    hear_with(LW_DETECTOR_OFF, 0);
    start_two(tasks, NULL);
    AWAIT(is_waiting(tasks[0]) && is_waiting(tasks[1]));
    lw_detector_read(&before);
    lw_detector_get(&options);
    options.mode = LW_DETECTOR_FORCE;
    options.choose_victim = take_it_in_hand;
    cr_assert_eq(lw_detector_set(&options), 0);
    do
        lw_detector_read(&after);
    while (after.phantoms_refused == before.phantoms_refused);
    AWAIT(lw_load_acq(&in_hand) != NULL);
    lw_wait_let_go(in_hand, in_hand_wait);
    AWAIT(told() == 1);
    join_two(tasks);
    return 0;
}

Test(detector, what_was_refused_is_looked_at_again)
{
    run_all(refuse_once, NULL);
}

/* S29, S32: of a set of which one wait is another by now nobody gives way. */
static int resolve_old_ones(void *arg)
{
    struct lw_suspect set[2] = {0};
    lw_detector_counts before, after;
    lw_task tasks[2];
    bool told_of = true;

    (void)arg;
    forget_heard();
    cr_assert_eq(lw_mutex_acquire(&the_two.mutexes[0], LW_FOREVER), 0);
    for (int i = 0; i < 2; i++) {
        tasks[i] = start_waiter(wait_for_first, NULL);
        set[i].record = lw_record_of(tasks[i].id);
        set[i].wait = lw_load_acq(&lw_record_cold(set[i].record)->wait);
    }
    lw_detector_read(&before);
    for (int i = 0; i < 2; i++) {
        AWAIT(lw_deciding_begin());
        set[i].wait -= UINT64_C(1) << LW_STATE_BITS;
        cr_assert_not(lw_resolve(set, 2, NULL, &told_of));
        set[i].wait += UINT64_C(1) << LW_STATE_BITS;
        cr_assert_not(told_of);
        lw_deciding_end();
    }
    lw_detector_read(&after);
    cr_assert_eq(after.phantoms_refused - before.phantoms_refused, 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_load_acq(&lw_record_cold(set[i].record)->wait), set[i].wait, "let go");
    cr_assert_eq(lw_mutex_release(&the_two.mutexes[0]), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(told(), 0);
    return 0;
}

Test(detector, s29_s32_what_has_changed_is_no_deadlock)
{
    run_all(resolve_old_ones, NULL);
}

/* ---- deadlines */

static int with_deadline(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    the_two.within = 50 * LW_MS;
    start_two(tasks, NULL);
    join_two(tasks);
    cr_assert_eq(the_two.results[0], -ETIMEDOUT, "S28: it breaks itself");
    cr_assert_eq(the_two.results[1], 0, "S28");
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_TIMED_DEADLOCK, "S28");
    the_two.within = 1000 * LW_SEC;
    start_two(tasks, NULL);
    join_two(tasks);
    cr_assert_eq((the_two.results[0] == -EDEADLK) + (the_two.results[1] == -EDEADLK), 1,
                 "nobody waits that long");
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    the_two.within = 0;
    return 0;
}

Test(detector, s28_what_a_deadline_breaks_before_long_is_not_forced)
{
    run_all(with_deadline, NULL);
}

/* Nobody can be made to give way; but it does not stay. */
static int shielded_with_deadline(void *arg)
{
    lw_detector_counts before, after;
    lw_task tasks[2];

    (void)arg;
    lw_detector_read(&before);
    the_two.within = 1000 * LW_SEC;
    the_two.shielded = true;
    start_two(tasks, NULL);
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_TIMED_DEADLOCK);
    cr_assert_not(heard.unforceable);
    cr_assert_eq(heard.victim, heard.members);
    for (int i = 0; i < 5; i++)
        cr_assert_leq(lw_detector_scan(), 0, "it is told of once");
    cr_assert_eq(lw_purge_waiters(&the_two.mutexes[0].lock), 1);
    join_two(tasks);
    lw_detector_read(&after);
    cr_assert_eq(after.verdicts[LW_VERDICT_DEADLOCK], before.verdicts[LW_VERDICT_DEADLOCK]);
    cr_assert_eq(after.verdicts[LW_VERDICT_TIMED_DEADLOCK] -
                     before.verdicts[LW_VERDICT_TIMED_DEADLOCK], 1);
    the_two = (struct two){.within = 0};
    return 0;
}

Test(detector, what_only_a_deadline_can_break_is_not_said_to_stay)
{
    run_all(shielded_with_deadline, NULL);
}

static int print_timed(void *arg)
{
    lw_nsec within = *(lw_nsec *)arg;
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE};
    lw_detector_counts before, after;
    lw_task tasks[2];

    cr_assert_eq(lw_detector_set(&options), 0);
    the_two.within = within;
    the_two.shielded = within > LW_SEC;
    lw_detector_read(&before);
    do { /* again, if the deadline has passed before the other one came */
        start_two(tasks, NULL);
        if (within < LW_SEC)
            join_two(tasks);
        lw_detector_read(&after);
    } while (within < LW_SEC && after.verdicts[LW_VERDICT_TIMED_DEADLOCK] ==
                                    before.verdicts[LW_VERDICT_TIMED_DEADLOCK]);
    if (within < LW_SEC)
        return 0;
    do {
        lw_yield();
        lw_detector_read(&after);
    } while (after.verdicts[LW_VERDICT_TIMED_DEADLOCK] ==
             before.verdicts[LW_VERDICT_TIMED_DEADLOCK]);
    cr_assert_eq(lw_purge_waiters(&the_two.mutexes[0].lock), 1);
    join_two(tasks);
    return 0;
}

/* What is printed of a circle with that deadline. */
static void print_within(lw_nsec within, char *said, size_t size)
{
    int fd = memfd_create("said", MFD_CLOEXEC), before = dup(STDERR_FILENO);

    memset(said, 0, size);
    cr_assert_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    run_with(2, print_timed, &within);
    cr_assert(lw_printer_await(lw_in(60 * LW_SEC)));
    cr_assert_eq(dup2(before, STDERR_FILENO), STDERR_FILENO);
    cr_assert_geq(pread(fd, said, size - 1, 0), 0);
    (void)close(fd);
    (void)close(before);
}

Test(detector, what_a_deadline_breaks_before_long_is_not_printed)
{
    char said[4096];

    print_within(50 * LW_MS, said, sizeof said);
    cr_assert_str_eq(said, "");
}

Test(detector, what_a_deadline_breaks_much_later_is_printed)
{
    char said[4096];

    print_within(1000 * LW_SEC, said, sizeof said);
    cr_assert_not_null(strstr(said, "latchwork: TIMED_DEADLOCK of 2,"), "%s", said);
    cr_assert_null(strstr(said, "UNFORCEABLE"), "%s", said);
}
