/* SPDX-License-Identifier: MIT */
/* Latches, barriers and a once in many schedules: who waits is told exactly once, nobody is
 * forgotten, and who leaves takes nobody along. */
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
    int before, written, runs, running, ended[TASKS], met, broken, cut_short;
    uint32_t positions;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

/* It waits already, or comes when it likes. */
static lw_task start_now_or_later(lw_fn *fn, void *arg)
{
    return sim_choose(2) == 0 ? start(fn, arg) : start_waiting(fn, arg);
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

/* Two count the last of it while two wait, of which one is cancelled, and waits again. */
static int wait_at_latch(void *arg)
{
    int err = lw_latch_wait(&it.latch, LW_FOREVER);

    if (arg != NULL && err == -ECANCELED)
        err = lw_latch_wait(&it.latch, LW_FOREVER);
    LW_SIM_CHECK(err == 0 && it.before == 2);
    return 0;
}

static int count_one(void *arg)
{
    (void)arg;
    it.before++;
    return lw_latch_count_down(&it.latch, 1);
}

static int open_at_the_last_moment(void *arg)
{
    lw_task waiter, cancelled, counter;

    (void)arg;
    set_up();
    it.latch = (lw_latch)LW_LATCH_INIT("latch", 2);
    cancelled = start_now_or_later(wait_at_latch, &it);
    waiter = start_now_or_later(wait_at_latch, NULL);
    (void)lw_cancel(cancelled);
    counter = start(count_one, NULL);
    LW_SIM_CHECK(count_one(NULL) == 0);
    LW_SIM_CHECK(end_of(waiter) == 0 && end_of(cancelled) == 0 && end_of(counter) == 0);
    LW_SIM_CHECK(it.latch.wait._word._value == 0 && it.latch.wait._queue == NULL);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(gates, a_latch_opens_in_every_order)
{
    sim_every(open_at_the_last_moment, NULL, 1, 300);
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

/* One waits for a key, and then for both; another for both, is cancelled, and waits again. */
static int wait_for_all(void *arg)
{
    int err = lw_multi_latch_wait_all(&it.several, LW_FOREVER);

    (void)arg;
    if (err == -ECANCELED)
        err = lw_multi_latch_wait_all(&it.several, LW_FOREVER);
    LW_SIM_CHECK(err == 0 && it.before == 2);
    return 0;
}

static int wait_for_one_and_all(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_multi_latch_wait(&it.several, 1, LW_STRICT, LW_FOREVER) == 0 && it.written);
    LW_SIM_CHECK(lw_multi_latch_wait_all(&it.several, LW_FOREVER) == 0 && it.before == 2);
    return 0;
}

static int open_both(void *arg)
{
    lw_task cancelled, waiter, counter;

    (void)arg;
    set_up();
    it.entries[0] = (lw_latch_entry){2, 1, NULL};
    it.entries[1] = (lw_latch_entry){1, 1, NULL};
    LW_SIM_CHECK(lw_multi_latch_init(&it.several, NULL, it.entries, 2) == 0);
    cancelled = start_now_or_later(wait_for_all, NULL);
    waiter = start_now_or_later(wait_for_one_and_all, NULL);
    (void)lw_cancel(cancelled);
    counter = start(count_some, (void *)2);
    it.before++;
    it.written = 1;
    LW_SIM_CHECK(lw_multi_latch_count_down(&it.several, 1, LW_STRICT) == 0);
    LW_SIM_CHECK(end_of(waiter) == 0 && end_of(cancelled) == 0 && end_of(counter) == 0);
    LW_SIM_CHECK(it.several.wait._queue == NULL && it.several._open == 0);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(gates, keys_of_a_latch_open_in_every_order)
{
    sim_every(open_both, NULL, 1, 300);
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

/* One is cancelled, and needs it all the same; and the first run may fail. */
static int need_it_for_ever(void *arg)
{
    int status = lw_once_run(&it.once, fill_in, &it, LW_FOREVER);

    if (status == -ECANCELED && arg != NULL)
        status = lw_once_run(&it.once, fill_in, &it, LW_FOREVER);
    LW_SIM_CHECK(status == 7 ? it.written == 1 : status == -EIO);
    it.broken += status == -EIO;
    return 0;
}

static int all_need_it_for_ever(void *arg)
{
    lw_task tasks[TASKS];

    (void)arg;
    set_up();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(need_it_for_ever, i == 1 ? &it : NULL);
    if (sim_choose(2) == 1) /* one runs it, the others wait */
        lw_yield();
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.runs >= 1 && it.runs <= 2 && (it.runs == 1 || it.broken >= 1));
    LW_SIM_CHECK(it.once.wait._queue == NULL && nobody_waited());
    LW_SIM_CHECK(it.written == 1 && lw_once_run(&it.once, fill_in, &it, LW_NOW) == 7);
    return 0;
}

Test(gates, once_is_once_in_every_order)
{
    sim_every(all_need_it_for_ever, NULL, 1, 300);
}
