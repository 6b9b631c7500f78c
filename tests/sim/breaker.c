/* SPDX-License-Identifier: MIT */
/* A breaker in many schedules: its states follow one another as they may, whoever looks; so many
 * trials run and no more, a result acts on its own epoch, and it always comes back. */
#include "tests/sim/explore.h"

TestSuite(breaker, .init = watchdog);

enum { TASKS = 3, CALLS = 3, FAILURES = 2, TRIALS = 2, RESET = 100, EPOCHS = 32 };

static struct {
    lw_breaker breaker;
    lw_event stay;
    lw_nsec now;
    int trials, ran, refused, opened;
    bool seen[EPOCHS];
    lw_breaker_state states[EPOCHS];
} it;

static bool may_follow(lw_breaker_state before, lw_breaker_state after)
{
    return after == (before == LW_BREAKER_OPEN ? LW_BREAKER_HALF_OPEN : LW_BREAKER_OPEN) ||
           (before == LW_BREAKER_HALF_OPEN && after == LW_BREAKER_CLOSED);
}

/* Each epoch has one state, and it is one that may follow the state of the one before. */
static void look(void)
{
    uint64_t word = it.breaker._word._value, epoch = word >> 3;
    lw_breaker_state state = (lw_breaker_state)(word >> 1 & 3);

    LW_SIM_CHECK(epoch < EPOCHS);
    LW_SIM_CHECK(!it.seen[epoch] || it.states[epoch] == state);
    it.seen[epoch] = true;
    it.states[epoch] = state;
    LW_SIM_CHECK(epoch == 0 || !it.seen[epoch - 1] || may_follow(it.states[epoch - 1], state));
}

/* It takes a switch to read the clock: what was read may be old when it is used. */
static lw_nsec read_clock(void)
{
    lw_nsec now = it.now;

    look();
    lw_sim_point();
    return now;
}

static bool expect_io(int status)
{
    look();
    lw_sim_point();
    return status == -EIO;
}

static void set_up(void)
{
    lw_breaker_options options = {.failures_max = FAILURES,
                                  .trials_max = TRIALS,
                                  .reset_after = RESET,
                                  .expected = expect_io,
                                  .now = read_clock};

    memset(&it, 0, sizeof it);
    LW_SIM_CHECK(lw_breaker_init(&it.breaker, "breaker", &options) == 0);
}

static lw_breaker_state state(void)
{
    return lw_breaker_read(&it.breaker);
}

/* What must hold whenever nobody is in the middle of something. */
static void check_counts(void)
{
    const lw_breaker *breaker = &it.breaker;
    bool half_open = state() == LW_BREAKER_HALF_OPEN;

    look();
    LW_SIM_CHECK((breaker->_word._value & 1) == 0);
    LW_SIM_CHECK(breaker->_failures._value < FAILURES);
    LW_SIM_CHECK(breaker->_failures._value == 0 || state() == LW_BREAKER_CLOSED);
    LW_SIM_CHECK(breaker->_trials._value == 0);
    LW_SIM_CHECK(breaker->_told_nothing._value < (half_open ? TRIALS : 1));
}

/* Whatever has been: after an interval a success closes it. */
static int succeed(void *arg)
{
    return (int)(intptr_t)arg;
}

static void check_it_recovers(void)
{
    int status = 1;

    sim_weak_flush_all();
    check_counts();
    it.now += RESET + 1;
    LW_SIM_CHECK(lw_breaker_call(&it.breaker, succeed, NULL, &status) == 0 && status == 0);
    LW_SIM_CHECK(state() == LW_BREAKER_CLOSED && lw_breaker_failures(&it.breaker) == 0);
    check_counts();
}

/* ---- calls that end in all ways */

static int stay_inside(void *arg)
{
    static const int statuses[] = {0, -EIO, -EIO, -ENOENT, -ESHUTDOWN};
    int status = statuses[sim_choose(5)];

    it.ran++;
    if (sim_choose(2) == 1) {
        int err = lw_event_wait(&it.stay, lw_in((1 + sim_choose(4)) * 5 * LW_US));

        if (err == -ECANCELED)
            status = err;
    } else {
        lw_sim_point();
    }
    *(int *)arg = status;
    return status;
}

static int call_some(void *arg)
{
    for (int i = 0; i < CALLS; i++) {
        int own = 1, status = 1, ran = it.ran;
        int err = lw_breaker_call(&it.breaker, stay_inside, &own, &status);

        if (err == -EHOSTDOWN || err == -EBUSY) {
            LW_SIM_CHECK(own == 1 && status == 1);
            it.refused++;
        } else {
            LW_SIM_CHECK(it.ran > ran && own <= 0 && status == own);
            LW_SIM_CHECK(err == (own == 0 || own == -EIO ? 0 : own == -ENOENT ? -EREMOTEIO : own));
        }
        LW_SIM_CHECK(err != -ECANCELED || arg != NULL);
        look();
        it.now += sim_choose(3) * RESET / 2 + 1;
    }
    return 0;
}

static int call_in_any_order(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(call_some, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.ran + it.refused == TASKS * CALLS);
    check_it_recovers();
    return 0;
}

Test(breaker, it_recovers_from_calls_in_any_order)
{
    sim_all(call_in_any_order, NULL);
}

/* ---- trials */

static void open_it(void)
{
    for (int i = 0; i < FAILURES; i++)
        LW_SIM_CHECK(lw_breaker_call(&it.breaker, succeed, (void *)(intptr_t)-EIO, NULL) == 0);
    LW_SIM_CHECK(state() == LW_BREAKER_OPEN);
    it.now += RESET + 1;
}

/* No verdict until all have come. */
static int be_a_trial(void *arg)
{
    int status = (int)(intptr_t)arg;

    LW_SIM_CHECK(++it.trials <= TRIALS);
    LW_SIM_CHECK(state() == LW_BREAKER_HALF_OPEN);
    it.ran++;
    UNTIL(it.ran + it.refused == TASKS);
    it.trials--;
    return status;
}

static int try_once(void *arg)
{
    int err = lw_breaker_call(&it.breaker, be_a_trial, arg, NULL);

    it.refused += err == -EBUSY;
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == (int)(intptr_t)arg || err == -EREMOTEIO);
    return 0;
}

/* Of three that come at once two are trials, one of which is who moved it. */
static int come_at_once(void *arg)
{
    lw_task tasks[TASKS];

    set_up();
    open_it();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(try_once, arg);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.ran == TRIALS && it.refused == 1);
    LW_SIM_CHECK(state() == (arg == NULL                             ? LW_BREAKER_CLOSED
                             : (intptr_t)arg == (intptr_t)-ECANCELED ? LW_BREAKER_HALF_OPEN
                                                                     : LW_BREAKER_OPEN));
    check_it_recovers();
    return 0;
}

Test(breaker, of_those_who_come_at_once_so_many_are_trials)
{
    static const intptr_t statuses[] = {0, -EIO, -ENOENT, -ECANCELED, -ENOTRECOVERABLE};

    for (int i = 0; i < 5; i++)
        sim_all(come_at_once, (void *)statuses[i]);
    sim_every(come_at_once, NULL, 1, 100);
}

/* ---- results of an earlier epoch */

static int be_late(void *arg)
{
    it.ran++;
    UNTIL(it.opened);
    return (int)(intptr_t)arg;
}

static int call_late(void *arg)
{
    return lw_breaker_call(&it.breaker, be_late, arg, NULL);
}

/* Results of CLOSED come while it opens, and is asked after the interval. */
static int come_late(void *arg)
{
    lw_task tasks[2];
    int status = 1;

    (void)arg;
    set_up();
    tasks[0] = start(call_late, (void *)(intptr_t)-EIO);
    tasks[1] = start(call_late, NULL);
    UNTIL(it.ran == 2);
    LW_SIM_CHECK(lw_breaker_call(&it.breaker, succeed, (void *)(intptr_t)-EIO, NULL) == 0);
    LW_SIM_CHECK(lw_breaker_call(&it.breaker, succeed, (void *)(intptr_t)-EIO, NULL) == 0);
    it.now += RESET + 1;
    it.opened = 1;
    LW_SIM_CHECK(lw_breaker_call(&it.breaker, succeed, NULL, &status) == 0 && status == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(state() == LW_BREAKER_CLOSED);
    check_counts();
    return 0;
}

Test(breaker, what_is_late_neither_opens_nor_closes)
{
    sim_all(come_late, NULL);
}

/* ---- who finds it open finds when it was opened */

static int call_beside(void *arg)
{
    bool refused = false;

    (void)arg;
    for (int i = 0; i < 8 * CALLS; i++) {
        int err = lw_breaker_call(&it.breaker, succeed, NULL, NULL);

        LW_SIM_CHECK(err == -EHOSTDOWN || (err == 0 && !refused));
        refused = err < 0;
    }
    return 0;
}

/* The clock stands still, long after it was made: once open it stays so. */
static int open_beside(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up();
    it.now = 10 * RESET;
    for (int i = 0; i < 2; i++)
        tasks[i] = start(call_beside, NULL);
    while (lw_breaker_call(&it.breaker, succeed, (void *)(intptr_t)-EIO, NULL) == 0)
        continue;
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    sim_weak_flush_all();
    LW_SIM_CHECK(state() == LW_BREAKER_OPEN && it.breaker._word._value >> 3 == 1);
    check_it_recovers();
    return 0;
}

Test(breaker, it_stays_open_for_the_interval)
{
    sim_all(open_beside, NULL);
}

/* ---- names that are given */

static int make_one(void *arg)
{
    return lw_breaker_init(arg, NULL, NULL);
}

static int make_two_at_once(void *arg)
{
    lw_breaker two[2];
    lw_task other;

    (void)arg;
    other = start(make_one, &two[0]);
    LW_SIM_CHECK(make_one(&two[1]) == 0 && end_of(other) == 0);
    LW_SIM_CHECK(strcmp(two[0].name, two[1].name) != 0);
    return 0;
}

Test(breaker, no_two_have_the_same_name)
{
    sim_all(make_two_at_once, NULL);
}

/* ---- consecutive failures */

static int fail_once(void *arg)
{
    return lw_breaker_call(&it.breaker, succeed, (void *)(intptr_t)-EIO, arg);
}

/* Two failures at once open it; with a success after them it was opened before, or not at all. */
static int fail_together(void *arg)
{
    lw_task tasks[2];
    int err, status = 1;

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        tasks[i] = start(fail_once, NULL);
    err = lw_breaker_call(&it.breaker, succeed, NULL, &status);
    LW_SIM_CHECK(err == 0 || err == -EHOSTDOWN);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    sim_weak_flush_all();
    LW_SIM_CHECK(err == 0 || state() == LW_BREAKER_OPEN);
    LW_SIM_CHECK(state() == LW_BREAKER_OPEN || lw_breaker_failures(&it.breaker) <= 1);
    check_it_recovers();
    return 0;
}

Test(breaker, failures_at_once_are_all_counted)
{
    sim_all(fail_together, NULL);
    sim_every(fail_together, NULL, 1, 100);
}
