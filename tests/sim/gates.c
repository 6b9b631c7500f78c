/* SPDX-License-Identifier: MIT */
/* Latches, barriers, a once and keyed conditions in many schedules: who waits is told exactly once,
 * nobody is forgotten, and who leaves takes nobody along.  And guards: each has its number. */
#include "tests/sim/explore.h"

TestSuite(gates, .init = watchdog);

enum { TASKS = 3 };

static struct {
    lw_latch latch;
    lw_multi_latch several;
    lw_latch_entry entries[2];
    lw_barrier barrier;
    lw_stateful_barrier stateful;
    void *room[TASKS];
    lw_once once;
    lw_keyed_condition keyed;
    int before, written, runs, running, ended[TASKS], met, broken, cut_short, notified, granted;
    uint32_t positions;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* ---- latches */

static int count_and_wait(void *arg)
{
    lw_nsec deadline = draw_deadline();
    int err;

    it.before++;
    LW_SIM_CHECK(lw_latch_count_down(&it.latch, 1) == 0);
    err = lw_latch_wait(&it.latch, deadline);
    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL) ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    LW_SIM_CHECK(err != 0 || it.before == TASKS);
    return 0;
}

static int open_the_latch(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    it.latch = (lw_latch)LW_LATCH_INIT("latch", TASKS);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(count_and_wait, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    LW_SIM_CHECK(lw_latch_wait(&it.latch, LW_FOREVER) == 0 && it.before == TASKS);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.latch.wait._word._value == 0 && it.latch.wait._queue == NULL);
    return 0;
}

Test(gates, a_latch_opens_when_all_have_counted)
{
    sim_all(open_the_latch, NULL);
}

static int wait_for_both(void *arg)
{
    LW_SIM_CHECK(lw_multi_latch_wait(&it.several, (uintptr_t)arg, LW_STRICT, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_multi_latch_wait_all(&it.several, LW_FOREVER) == 0);
    LW_SIM_CHECK(it.before == 3 && lw_multi_latch_broken(&it.several));
    return 0;
}

static int count_some(void *arg)
{
    it.before++;
    return lw_multi_latch_count_down(&it.several, (uintptr_t)arg, LW_STRICT);
}

static int open_several(void *arg)
{
    static const uintptr_t keys[TASKS] = {1, 2, 2};
    lw_task waiters[2], counters[TASKS];

    (void)arg;
    set_up();
    it.entries[0] = (lw_latch_entry){2, 2, NULL};
    it.entries[1] = (lw_latch_entry){1, 1, NULL};
    LW_SIM_CHECK(lw_multi_latch_init(&it.several, NULL, it.entries, 2) == 0);
    for (uintptr_t i = 0; i < 2; i++)
        waiters[i] = start(wait_for_both, (void *)(i + 1));
    for (int i = 0; i < TASKS; i++)
        counters[i] = start(count_some, (void *)keys[i]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(counters[i]) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(waiters[i]) == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(gates, each_key_of_a_latch_opens_by_itself)
{
    sim_all(open_several, NULL);
}

/* ---- barriers */

static int meet_twice(void *arg)
{
    for (int round = 1; round <= 2; round++) {
        uint32_t position;

        it.ended[(uintptr_t)arg] = round;
        LW_SIM_CHECK(lw_barrier_wait(&it.barrier, &position, LW_FOREVER) == 0);
        for (int i = 0; i < TASKS; i++)
            LW_SIM_CHECK(it.ended[i] >= round);
        it.positions += 1u << (4 * position);
    }
    return 0;
}

static int all_meet(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    it.barrier = (lw_barrier)LW_BARRIER_INIT("barrier", TASKS);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(meet_twice, (void *)i);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.positions == 0x222);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(gates, a_barrier_lets_all_go_when_all_have_come)
{
    sim_all(all_meet, NULL);
}

/* Two parties, and three who come: by deadline, with a cancel, or for ever. */
static int come_and_leave(void *arg)
{
    lw_nsec deadline = arg != NULL ? LW_FOREVER : draw_deadline();
    void *mine = &it.ended[0], *states[TASKS];
    lw_barrier_states got = {.states = states, .states_max = TASKS};
    int err = lw_stateful_barrier_wait(&it.stateful, &mine, &got, deadline);

    if (err == 0) {
        it.met++;
        LW_SIM_CHECK(got.count == 2 && states[0] == mine && states[1] == mine);
    } else if (err == -EPIPE) {
        it.broken++;
    } else {
        LW_SIM_CHECK(err == -ECANCELED ? arg != NULL
                                       : err == -ETIMEDOUT && deadline != LW_FOREVER);
        it.cut_short++;
    }
    return 0;
}

static int meet_or_not(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_stateful_barrier_init(&it.stateful, NULL, 2, it.room, TASKS, 0) == 0);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(come_and_leave, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    UNTIL(lw_barrier_broken(&it.stateful.barrier) || it.met + it.broken + it.cut_short >= 2);
    lw_barrier_abort(&it.stateful.barrier);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.met == 0 || it.met == 2);
    LW_SIM_CHECK(it.met + it.broken + it.cut_short == TASKS);
    LW_SIM_CHECK(lw_barrier_waiting(&it.stateful.barrier) == 0);
    return 0;
}

Test(gates, parties_meet_all_or_none)
{
    sim_all(meet_or_not, NULL);
}

/* A meeting, a deadline and a cancel at once. */
static int attend(void *arg)
{
    uint32_t position = 9;
    int err = lw_barrier_wait(&it.barrier, &position, arg != NULL ? lw_in(5 * LW_US) : LW_FOREVER);

    LW_SIM_CHECK((err == 0) == (position != 9));
    it.met += err == 0;
    it.broken += err == -EPIPE;
    it.cut_short += is_cut_short(err);
    return 0;
}

static int meet_at_the_last_moment(void *arg)
{
    lw_task first;

    (void)arg;
    set_up();
    it.barrier = (lw_barrier)LW_BARRIER_INIT("barrier", 2);
    first = start(attend, &it);
    (void)lw_cancel(first);
    (void)attend(&it);
    LW_SIM_CHECK(end_of(first) == 0);
    LW_SIM_CHECK(it.met == 0 || it.met == 2);
    LW_SIM_CHECK(lw_barrier_waiting(&it.barrier) == 0);
    return 0;
}

Test(gates, a_meeting_at_the_last_moment_in_every_order)
{
    sim_all(meet_at_the_last_moment, NULL);
    sim_every(meet_at_the_last_moment, NULL, 1, 100);
    sim_every(meet_at_the_last_moment, NULL, 2, 10000);
}

/* ---- once */

static int fill_in(void *arg)
{
    LW_SIM_CHECK(it.running++ == 0);
    it.runs++;
    lw_sim_point();
    if (sim_choose(2) == 1)
        lw_yield();
    it.written = arg != NULL ? 1 : 0;
    LW_SIM_CHECK(--it.running == 0);
    return it.runs == 1 && sim_choose(2) == 1 ? -EIO : 7;
}

static int need_it(void *arg)
{
    lw_nsec deadline = draw_deadline();
    int status = lw_once_run(&it.once, fill_in, &it, deadline);

    if (status == 7)
        LW_SIM_CHECK(it.written == 1);
    else
        LW_SIM_CHECK(status == -EIO || (status == -ECANCELED && arg != NULL) ||
                     (status == -ETIMEDOUT && deadline != LW_FOREVER));
    return 0;
}

static int all_need_it(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(need_it, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_once_run(&it.once, fill_in, &it, LW_NOW) == 7);
    LW_SIM_CHECK(it.runs <= 2 && it.once.wait._queue == NULL);
    LW_SIM_CHECK(lw_once_run(&it.once, fill_in, &it, LW_NOW) == 7);
    return 0;
}

Test(gates, once_is_once_or_again_after_a_failure)
{
    sim_all(all_need_it, NULL);
}

/* ---- the numbers of guards without a name */

enum { GUARDS = 4, TEXT = 40 };

static struct {
    lw_resource_guard guards[GUARDS];
    char texts[2][GUARDS][TEXT]; /* by who asks, and guard */
} named;

/* One from the first on, one from the last. */
static int ask_for_names(void *arg)
{
    for (int n = 0; n < GUARDS; n++) {
        int i = arg != NULL ? GUARDS - 1 - n : n;

        (void)lw_resource_guard_message(&named.guards[i], named.texts[arg != NULL][i], TEXT);
    }
    return 0;
}

static int name_guards(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    memset(&named, 0, sizeof named);
    tasks[0] = start(ask_for_names, NULL);
    tasks[1] = start(ask_for_names, &named);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (int i = 0; i < GUARDS; i++) {
        LW_SIM_CHECK(strcmp(named.texts[0][i], named.texts[1][i]) == 0);
        for (int n = 0; n < i; n++)
            LW_SIM_CHECK(strcmp(named.texts[0][i], named.texts[0][n]) != 0);
    }
    return 0;
}

Test(gates, a_guard_has_one_number_and_no_other_has_it)
{
    sim_all(name_guards, NULL);
}

/* ---- keyed conditions */

static int await_key(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    lw_nsec deadline = draw_deadline();
    int err;

    if (lw_acquire(it.keyed.lock, LW_FOREVER) < 0)
        LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
    err = lw_keyed_condition_wait(&it.keyed, i % 2, deadline);
    LW_SIM_CHECK(lw_owned(it.keyed.lock));
    LW_SIM_CHECK(err == 0 || is_cut_short(err));
    it.granted += err == 0;
    it.cut_short += err != 0;
    return lw_release(it.keyed.lock);
}

static int observe(void *arg)
{
    (void)arg;
    return lw_keyed_condition_wait_all(&it.keyed, LW_FOREVER);
}

static int notify_keys(void *arg)
{
    lw_task tasks[TASKS], observer;

    (void)arg;
    set_up();
    lw_keyed_condition_init(&it.keyed, "keyed", NULL);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(await_key, (void *)i);
    observer = start(observe, NULL);
    (void)lw_cancel(tasks[1]);
    while (it.granted + it.cut_short < TASKS) {
        uint64_t key = sim_choose(2);
        int woken;

        LW_SIM_CHECK(lw_acquire(it.keyed.lock, LW_FOREVER) == 0);
        woken = sim_choose(3) == 0 ? lw_keyed_condition_notify_all(&it.keyed)
                                   : lw_keyed_condition_notify(&it.keyed, key, 1, 0);
        LW_SIM_CHECK(woken >= 0);
        it.notified += woken;
        LW_SIM_CHECK(lw_release(it.keyed.lock) == 0);
        lw_yield();
    }
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(observer) == 0);
    LW_SIM_CHECK(it.granted == it.notified && it.keyed._waiting == 0);
    LW_SIM_CHECK(it.keyed.wait._queue == NULL && it.keyed._observers == NULL);
    return 0;
}

Test(gates, a_notify_of_a_key_ends_exactly_one_wait)
{
    sim_all(notify_keys, NULL);
}
