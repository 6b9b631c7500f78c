/* SPDX-License-Identifier: MIT */
/* The laws of level 3: who is asked for its locks, each answer that there is, whom nobody asks, and
 * what happens while one is asked.  The scenarios are named in the tests. */
#include "tests/locksmith/levels.h"
#include "tests/locksmith/two.h"

#include <unistd.h>

TestSuite(asked, .init = hear);

/* ---- who waits in a shield, and looks whether it is asked each time that its time is up */

enum answer { RELEASES, NEEDS_TIME, REFUSES, SAYS_A_VALUE, DOWNGRADES, ENDS };

/* A plain thread has no shield. */
static int acquire_shielded(lw_mutex *mutex, lw_nsec deadline)
{
    bool shielded = lw_shield_enter() == 0;
    int err = lw_mutex_acquire(mutex, deadline);

    if (shielded)
        (void)lw_shield_exit();
    return err;
}

/* Until it has heard, or the other one has let go. */
static bool wait_and_look(struct circle *circle, lw_force_request *asked)
{
    for (;;) {
        int err = acquire_shielded(&circle->mutexes[1], lw_in(LW_SEC));

        cr_assert(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            return false;
        if (lw_force_pending(asked))
            return true;
    }
}

static void answer(struct circle *circle, const lw_force_request *asked, enum answer with)
{
    static const lw_answer answers[] = {[REFUSES] = LW_ANSWER_REFUSED,
                                        [SAYS_A_VALUE] = LW_ANSWER_VALUE,
                                        [DOWNGRADES] = LW_ANSWER_DOWNGRADED};
    int index = (int)(circle - circles);

    cr_assert_eq(asked->lock, &circle->mutexes[0].lock);
    cr_assert_null(asked->requester);
    if (with == NEEDS_TIME)
        cr_assert_eq(lw_force_answer(asked, LW_ANSWER_LATER, 20 * LW_MS), 0);
    if (with < REFUSES || with == ENDS)
        return;
    cr_assert_eq(lw_force_answer(asked, answers[with], 1), 0);
    cr_assert_eq(lw_force_answer(asked, LW_ANSWER_RELEASED, 0), -EALREADY, "once");
    AWAIT(told_times(index) == 1); /* and it keeps it until then */
}

static void be_asked(struct circle *circle, enum answer with)
{
    lw_force_request asked;

    circle->selves[0] = lw_self();
    if (wait_and_look(circle, &asked)) {
        __atomic_store_n(&circle->asked, 1, __ATOMIC_RELEASE);
        answer(circle, &asked, with);
        if (with == ENDS)
            return;
    } else {
        cr_assert_eq(lw_mutex_release(&circle->mutexes[1]), 0);
    }
    cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
    cr_assert_not(lw_force_pending(&asked), "it has let go");
}

static void be_waited_for(struct circle *circle)
{
    int err = acquire_shielded(&circle->mutexes[0], LW_FOREVER);

    cr_assert_eq(err, circle->ends ? -ENOTRECOVERABLE : 0);
    if (err == 0)
        cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[1]), 0);
}

/* Members 2 * i and 2 * i + 1 are circle i, the first of whom is asked. */
static void play(struct member *member)
{
    int index = member->index / 2, which = member->index % 2;
    struct circle *circle = &circles[index];

    take_own(circle, which);
    if (which == 0)
        be_asked(circle, (enum answer)index);
    else
        be_waited_for(circle);
}

static void check_answers(void)
{
    static const char *const outcomes[] = {
        [RELEASES] = "released", [NEEDS_TIME] = "more time", [REFUSES] = "refused",
        [SAYS_A_VALUE] = "answered with a value", [DOWNGRADES] = "downgraded",
        [ENDS] = "its owner has ended"};

    for (int i = 0; i < CIRCLES; i++) {
        AWAIT(told_times(i) == 1);
        cr_assert_eq(told_of[i].verdict, LW_VERDICT_DEADLOCK);
        cr_assert_not(told_of[i].unforceable);
        cr_assert_eq(told_of[i].steps, i == NEEDS_TIME ? 2 : 1);
        assert_step(i, 0, 3, outcomes[i]);
        cr_assert_eq(told_of[i].locks[0], &circles[i].mutexes[0].lock);
        cr_assert_eq(told_of[i].tasks[0].id, circles[i].selves[0].id);
        cr_assert_eq(circles[i].asked, 1);
    }
    assert_step(NEEDS_TIME, 1, 3, "released late");
}

/* S38, S39: and all the while nothing else stands still. */
static int all_answers(void *arg)
{
    bool threads = arg != NULL;
    uint64_t before = forced(3);
    struct crowd crowd = {.tasks = threads ? 0 : 2 * CIRCLES,
                          .threads = threads ? 2 * CIRCLES : 0,
                          .act = play,
                          .seed = 1};

    allow(threads ? LW_LEVEL(0) | LW_LEVEL(3) : LW_LEVELS_DEFAULT, 100 * LW_SEC);
    circles[ENDS].ends = true;
    crowd_run(&crowd);
    check_answers();
    cr_assert_eq(forced(3) - before, 3, "two released theirs, and one says that it did enough");
    return 0;
}

Test(asked, s38_s39_of_owners_who_are_asked_each_answer_is_told)
{
    run_all(all_answers, NULL);
}

static char with_threads[] = "threads";

Test(asked, s38_s39_also_of_plain_threads)
{
    run_all(all_answers, with_threads);
}

/* ---- who was spawned to be forced */

/* The first of a circle: its wait ends, since it is asked for what it has. */
static void take_own_and_hear(struct circle *circle)
{
    lw_force_request asked;

    take_own(circle, 0);
    cr_assert_eq(lw_mutex_acquire(&circle->mutexes[1], LW_FOREVER), -EDEADLK);
    cr_assert(lw_force_pending(&asked));
    cr_assert_eq(asked.lock, &circle->mutexes[0].lock);
}

static int be_forced(void *arg)
{
    struct circle *circle = arg;

    take_own_and_hear(circle);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
    cr_assert_eq(lw_backoff(LW_FOREVER), 0, "it may start over");
    return 0;
}

static void be_second(struct circle *circle)
{
    take_own(circle, 1);
    cr_assert_eq(lw_mutex_acquire(&circle->mutexes[0], LW_FOREVER), 0);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[1]), 0);
}

static int be_second_as_task(void *arg)
{
    be_second(arg);
    return 0;
}

static void *be_second_as_thread(void *arg)
{
    be_second(arg);
    return NULL;
}

static int forcible(void *arg)
{
    lw_task_options options = {.flags = LW_TASK_FORCIBLE};
    uint64_t before = forced(3);

    (void)arg;
    for (int threads = 0; threads <= 1; threads++) {
        lw_task tasks[2];
        pthread_t thread;

        allow(LW_LEVEL(0) | LW_LEVEL(3), 100 * LW_SEC);
        cr_assert_eq(lw_spawn(&tasks[0], be_forced, &circles[0], &options), 0);
        if (threads == 0)
            cr_assert_eq(lw_spawn(&tasks[1], be_second_as_task, &circles[0], NULL), 0);
        else
            cr_assert_eq(pthread_create(&thread, NULL, be_second_as_thread, &circles[0]), 0);
        cr_assert_eq(join_status(tasks[0]), 0);
        if (threads == 0)
            cr_assert_eq(join_status(tasks[1]), 0);
        else
            cr_assert_eq(pthread_join(thread, NULL), 0);
        AWAIT(told_times(0) == 1);
        cr_assert_eq(told_of[0].steps, 1);
        assert_step(0, 0, 3, "released");
        cr_assert_eq(forced(3) - before, (uint64_t)threads + 1);
    }
    return 0;
}

Test(asked, one_that_may_be_forced_hears_it_at_once)
{
    run_all(forcible, NULL);
}

/* ---- a hold that lasts, of one who is in no circle */

enum { POLLS, READS, SAYS_NOTHING };

static int pipes[2];

/* It is busy, or waits for something else: nothing of that is disturbed. */
static void hold_for_long(int how)
{
    struct circle *circle = &circles[0];
    lw_force_request asked;
    char byte;

    cr_assert_eq(lw_mutex_acquire(&circle->mutexes[0], LW_FOREVER), 0);
    circle->selves[0] = lw_self();
    __atomic_store_n(&circle->arrived, 1, __ATOMIC_RELEASE);
    if (how == POLLS)
        AWAIT(lw_force_pending(&asked));
    if (how == READS)
        cr_assert_eq(lw_read(pipes[0], &byte, 1, LW_FOREVER), 1);
    if (how == SAYS_NOTHING)
        AWAIT(told_times(0) == 1);
    cr_assert_eq(lw_force_pending(&asked), how != SAYS_NOTHING);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
}

static int hold_for_long_as_task(void *arg)
{
    hold_for_long((int)(intptr_t)arg);
    return 0;
}

static void *hold_for_long_as_thread(void *arg)
{
    hold_for_long((int)(intptr_t)arg);
    return NULL;
}

static int want_it(void *arg)
{
    cr_assert_eq(lw_mutex_acquire(&circles[0].mutexes[0], LW_FOREVER), 0);
    (void)arg;
    return lw_mutex_release(&circles[0].mutexes[0]);
}

static void ask_who_holds(intptr_t how, bool by_thread)
{
    lw_detector_options options;
    lw_task tasks[2];
    pthread_t thread;

    allow(LW_LEVELS_DEFAULT, how == SAYS_NOTHING ? LW_MS : 100 * LW_SEC);
    lw_detector_get(&options);
    options.long_hold = 20 * LW_MS;
    cr_assert_eq(lw_detector_set(&options), 0);
    if (by_thread)
        cr_assert_eq(pthread_create(&thread, NULL, hold_for_long_as_thread, (void *)how), 0);
    else
        cr_assert_eq(lw_spawn(&tasks[0], hold_for_long_as_task, (void *)how, NULL), 0);
    AWAIT(__atomic_load_n(&circles[0].arrived, __ATOMIC_ACQUIRE) == 1);
    cr_assert_eq(lw_spawn(&tasks[1], want_it, NULL, NULL), 0);
    if (how == READS) {
        AWAIT(lw_ask_due() != LW_FOREVER);
        cr_assert_eq(write(pipes[1], "x", 1), 1);
    }
    cr_assert_eq(join_status(tasks[1]), 0);
    if (by_thread)
        cr_assert_eq(pthread_join(thread, NULL), 0);
    else
        cr_assert_eq(join_status(tasks[0]), 0);
    AWAIT(told_times(0) == 1);
}

static int ask_holders(void *arg)
{
    uint64_t before = forced(3);

    (void)arg;
    cr_assert_eq(pipe(pipes), 0);
    for (int how = POLLS; how <= SAYS_NOTHING; how++)
        for (int threads = 0; threads <= 1; threads++) {
            ask_who_holds(how, threads != 0);
            cr_assert_eq(told_of[0].verdict, LW_VERDICT_LONG_HOLD);
            cr_assert_eq(told_of[0].steps, 2);
            assert_step(0, 1, 3, how == SAYS_NOTHING ? "no answer" : "released");
            cr_assert_eq(told_of[0].unforceable, how == SAYS_NOTHING);
            cr_assert_eq(told_of[0].tasks[1].id, circles[0].selves[0].id);
        }
    cr_assert_eq(forced(3) - before, 4);
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

Test(asked, s36_s37_s39_who_holds_for_long_is_asked)
{
    run_all(ask_holders, NULL);
}

/* ---- nobody hears it */

static int nobody_hears(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    allow(LW_LEVELS_DEFAULT, 100 * LW_SEC);
    hear_with(LW_DETECTOR_FORCE, LW_LEVELS_DEFAULT);
    the_two.shielded = true;
    start_two(tasks, NULL);
    AWAIT(told() == 1);
    cr_assert(heard.unforceable, "at once");
    cr_assert_eq(heard.steps, 1);
    cr_assert_eq(heard.level, 3, "why is told");
    cr_assert_eq(lw_purge_waiters(&the_two.mutexes[0].lock), 1);
    join_two(tasks);
    the_two.shielded = false;
    return 0;
}

Test(asked, s39_where_nobody_hears_it_nobody_is_asked)
{
    run_all(nobody_hears, NULL);
}

/* ---- while one is asked */

/* The first of circle 0: it is asked, and does not let go before it is told to. */
static int hear_and_hold(void *arg)
{
    struct circle *circle = arg;
    lw_force_request asked;

    take_own_and_hear(circle);
    __atomic_store_n(&circle->asked, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&circle->asked, __ATOMIC_ACQUIRE) == 2);
    circle->ends = lw_force_pending(&asked);
    cr_assert_eq(lw_mutex_release(&circle->mutexes[0]), 0);
    return 0;
}

static void start_hearing(lw_task tasks[2])
{
    lw_task_options options = {.flags = LW_TASK_FORCIBLE};

    allow(LW_LEVEL(0) | LW_LEVEL(3), 100 * LW_SEC);
    cr_assert_eq(lw_spawn(&tasks[0], hear_and_hold, &circles[0], &options), 0);
    cr_assert_eq(lw_spawn(&tasks[1], be_second_as_task, &circles[0], NULL), 0);
    AWAIT(__atomic_load_n(&circles[0].asked, __ATOMIC_ACQUIRE) == 1);
    cr_assert_eq(told_times(0), 0, "it is told of when that is over");
}

static void end_hearing(const lw_task tasks[2])
{
    __atomic_store_n(&circles[0].asked, 2, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
}

static int set_meanwhile(void *arg)
{
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    start_hearing(tasks);
    lw_detector_get(&options);
    options.mode = LW_DETECTOR_OFF;
    cr_assert_eq(lw_detector_set(&options), 0);
    cr_assert_eq(told_times(0), 1, "before other options are in force");
    assert_step(0, 0, 3, "withdrawn");
    end_hearing(tasks);
    cr_assert_not(circles[0].ends, "nobody asks any more");
    cr_assert_eq(told_times(0), 1);
    return 0;
}

Test(asked, other_options_withdraw_what_was_asked)
{
    run_all(set_meanwhile, NULL);
}

static bool is_recognised(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return true;
}

static int busy;

static void note_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth)
{
    (void)smith;
    (void)lock;
    (void)depth;
    cr_assert_null(requester, "the detector");
    busy++;
}

/* S45: two who force one lock, of whom one is the detector. */
static int force_meanwhile(void *arg)
{
    static const lw_locksmith_hooks hooks = {.can_force = is_recognised, .lock_busy = note_busy};
    lw_locksmith smith = LW_LOCKSMITH_INIT(&hooks, NULL);
    lw_task tasks[2];

    (void)arg;
    busy = 0;
    start_hearing(tasks);
    cr_assert_eq(lw_locksmith_force(&smith, &circles[0].mutexes[0].lock, NULL, 0, LW_FOREVER),
                 LW_FORCE_ALREADY_BEING_FORCED);
    cr_assert_eq(busy, 1);
    end_hearing(tasks);
    cr_assert(circles[0].ends, "it was asked all the while");
    AWAIT(told_times(0) == 1);
    assert_step(0, 0, 3, "released");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(asked, s45_what_the_detector_asks_for_no_locksmith_forces)
{
    run_all(force_meanwhile, NULL);
}
