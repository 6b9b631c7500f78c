/* SPDX-License-Identifier: MIT */
/* Circles of which one hides another: a writer waits for two readers, each of whom is in a circle.
 * One of the circles is the writer's; of the other one nobody can be made to give way, and the
 * writer's is broken all the same. */
#include "locksmith/detector.h"
#include "tests/sim/explore.h"

TestSuite(circles, .init = watchdog);

enum { BOUND_ONE, BOUND_OTHER, READER, WRITER, PLAYERS };

#define STANDS (100 * LW_SEC) /* so long the circle stands that nobody can be made to break */

static struct {
    lw_rwlock rw;
    lw_mutex mutexes[2], writers;
    bool holding[PLAYERS], ended[PLAYERS];
    lw_task tasks[PLAYERS];
    int refused, told[2]; /* of these: unforceable */
} it;

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK && report->member_count == 2);
    it.told[report->unforceable]++;
}

static void hold(int player)
{
    if (player == BOUND_ONE || player == READER)
        LW_SIM_CHECK(lw_acquire(&it.rw.read, LW_FOREVER) == 0);
    if (player != READER)
        LW_SIM_CHECK(lw_mutex_acquire(player == WRITER ? &it.writers : &it.mutexes[player],
                                      LW_FOREVER) == 0);
    it.holding[player] = true;
    for (int i = 0; i < PLAYERS; i++)
        UNTIL(it.holding[i]);
}

static void let_go(int player)
{
    if (player == BOUND_ONE || player == READER)
        LW_SIM_CHECK(lw_release(&it.rw.read) == 0);
    if (player != READER)
        LW_SIM_CHECK(lw_mutex_release(player == WRITER ? &it.writers : &it.mutexes[player]) == 0);
}

/* One of them ends it, after long. */
static void want_bound(int player)
{
    lw_nsec deadline = player == BOUND_ONE ? lw_in(STANDS) : LW_FOREVER;
    int err;

    LW_SIM_CHECK(lw_shield_enter() == 0);
    err = lw_mutex_acquire(&it.mutexes[1 - player], deadline);
    (void)lw_shield_exit();
    LW_SIM_CHECK(err == (player == BOUND_ONE ? -ETIMEDOUT : 0));
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&it.mutexes[1 - player]) == 0);
}

static void want(int player)
{
    lw_lock *lock = player == READER ? &it.writers.lock : &it.rw.write;
    lw_nsec from = lw_now();
    int err;

    for (int i = 0; player == WRITER && i < WRITER; i++)
        UNTIL(is_waiting(it.tasks[i]));
    err = lw_acquire(lock, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    LW_SIM_CHECK(err == 0 || lw_now() - from < STANDS / 2);
    it.refused += err == -EDEADLK;
    if (err == 0)
        LW_SIM_CHECK(lw_release(lock) == 0);
}

static int play(void *arg)
{
    int player = (int)(intptr_t)arg;

    hold(player);
    if (player == BOUND_ONE || player == BOUND_OTHER)
        want_bound(player);
    else
        want(player);
    let_go(player);
    return 0;
}

static int hide_one_behind_another(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .long_hold = 10 * STANDS,
                                   .long_wait = 10 * STANDS,
                                   .on_report = count};
    intptr_t first = (intptr_t)sim_choose(PLAYERS);

    (void)arg;
    memset(&it, 0, sizeof it);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", 0);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (intptr_t i = 0; i < PLAYERS; i++) {
        intptr_t player = (first + i) % PLAYERS;

        it.tasks[player] = start(play, (void *)player);
    }
    for (int i = 0; i < PLAYERS; i++)
        LW_SIM_CHECK(end_of(it.tasks[i]) == 0);
    LW_SIM_CHECK(it.refused == 1 && it.told[0] == 1 && it.told[1] == 1);
    return 0;
}

Test(circles, one_that_stands_hides_no_other_one)
{
    sim_all(hide_one_behind_another, NULL);
}
