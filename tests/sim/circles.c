/* SPDX-License-Identifier: MIT */
/* Circles of which one hides another: a writer waits for two readers, each of whom is in a circle.
 * One of the circles is the writer's; of the other one nobody can be made to give way, and the
 * writer's is broken all the same.  And circles that a deadline ends, behind which there is
 * another. */
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
    int refused, told[2]; /* of these: that end by a deadline */
} it;

static void count(const lw_report *report, void *arg)
{
    (void)arg;
    LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK ||
                 report->verdict == LW_VERDICT_TIMED_DEADLOCK);
    LW_SIM_CHECK(!report->unforceable && report->member_count == 2);
    it.told[report->verdict == LW_VERDICT_TIMED_DEADLOCK]++;
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

/* ---- behind a deadline */

/* Who wants to write waits for one or two who read, and they for what that one has.  All are
 * shielded, and one of the readers has a deadline.  When that has passed there is another circle,
 * or was all the time: of the other reader, and nobody begins a wait for it; or, if there is none,
 * of the same one, who waits again, now for ever. */
static struct {
    lw_rwlock rw;
    lw_mutex mutex;
    bool holding[3];
    bool alone; /* there is one reader, who waits again */
    int took_first;
    lw_nsec until;
    lw_task tasks[3];
    int timed, unforceable;
} late;

static void count_late(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_TIMED_DEADLOCK) {
        LW_SIM_CHECK(!report->unforceable);
        late.timed++;
    } else {
        LW_SIM_CHECK(report->verdict == LW_VERDICT_DEADLOCK && report->unforceable);
        LW_SIM_CHECK(report->members[0].deadline == LW_FOREVER);
        LW_SIM_CHECK(report->members[1].deadline == LW_FOREVER);
        late.unforceable++;
    }
}

static int read_and_want(void *arg)
{
    int reader = (int)(intptr_t)arg, err;

    LW_SIM_CHECK(lw_shield_enter() == 0);
    if (reader != late.took_first)
        UNTIL(late.holding[late.took_first]);
    LW_SIM_CHECK(lw_acquire(&late.rw.read, LW_FOREVER) == 0);
    late.holding[reader] = true;
    UNTIL(late.holding[2]);
    if (reader == 1) /* the circle with the deadline is there first, and has the writer */
        while (late.timed == 0 && lw_now() < late.until) /* time may pass unseen */
            LW_SIM_CHECK(lw_sleep(lw_in(LW_SEC)) == 0);
    err = lw_mutex_acquire(&late.mutex, reader == 0 ? late.until : LW_FOREVER);
    if (err == -ETIMEDOUT && late.alone)
        err = lw_mutex_acquire(&late.mutex, LW_FOREVER);
    LW_SIM_CHECK(err == (reader == 0 && !late.alone ? -ETIMEDOUT : 0));
    if (err == 0)
        LW_SIM_CHECK(lw_mutex_release(&late.mutex) == 0);
    LW_SIM_CHECK(lw_release(&late.rw.read) == 0);
    (void)lw_shield_exit();
    return 0;
}

static int want_to_write(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_shield_enter() == 0);
    LW_SIM_CHECK(lw_mutex_acquire(&late.mutex, LW_FOREVER) == 0);
    UNTIL(late.holding[0] && (late.alone || late.holding[1]));
    late.holding[2] = true;
    LW_SIM_CHECK(lw_acquire(&late.rw.write, LW_FOREVER) == -EPIPE);
    LW_SIM_CHECK(lw_mutex_release(&late.mutex) == 0);
    (void)lw_shield_exit();
    return 0;
}

static int end_one_by_its_deadline(void *arg)
{
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE,
                                   .long_hold = 10 * STANDS,
                                   .long_wait = 10 * STANDS,
                                   .on_report = count_late};

    memset(&late, 0, sizeof late);
    late.until = lw_now() + STANDS;
    late.alone = arg != NULL;
    late.took_first = late.alone ? 0 : (int)sim_choose(2);
    late.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", 0);
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    for (intptr_t i = 0; i < 3; i++)
        if (i != 1 || !late.alone)
            late.tasks[i] = start(i == 2 ? want_to_write : read_and_want, (void *)i);
    LW_SIM_CHECK(lw_sleep(late.until + STANDS) == 0);
    LW_SIM_CHECK(lw_sleep(late.until + 2 * STANDS) == 0);
    LW_SIM_CHECK(late.timed <= 1 && late.unforceable >= 1);
    LW_SIM_CHECK(lw_purge_waiters(&late.rw.write) == 1);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK((i == 1 && late.alone) || end_of(late.tasks[i]) == 0);
    return 0;
}

Test(circles, what_stands_behind_a_deadline_is_told_of_when_that_has_passed)
{
    sim_all(end_one_by_its_deadline, NULL);
    sim_all(end_one_by_its_deadline, &late);
}
