/* SPDX-License-Identifier: MIT */
/* What the suites of simulated laws share: one test in thousands of schedules, and what a law is
 * said with.
 *
 * A test is an lw_fn.  What it leaves in statics of its own is still there in the next schedule: it
 * sets up all it uses at its start.  A switch happens in calls of the library and at
 * lw_sim_point(), nowhere else: plain variables between them need no lock.
 *
 * In the environment LW_SIM_SCHEDULES is how many schedules each cell (a test and a strategy) runs,
 * LW_SIM_FIRST the seed of its first one (with which none is exhaustive, being the same each time),
 * LW_SIM_WEAK: memory is weak in one of so many of them,
 * LW_SIM_LOG the file to which each cell adds a line: see tests/sim/soak. */
#ifndef LW_TESTS_SIM_EXPLORE_H
#define LW_TESTS_SIM_EXPLORE_H

#include <errno.h>
#include <latchwork.h>
#include <latchwork/sim.h>
#include <string.h>

#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/support.h"

/* In schedules drawn at random and in as many by PCT test(arg) must pass: cr_assert says so. */
void sim_all(lw_fn *test, void *arg);

/* The same with fewer schedules, for a test that takes longer: so many times fewer. */
void sim_some(lw_fn *test, void *arg, unsigned fewer);

/* The same on a plain thread that has no runtime, and at its end no stack and no record may be lost
 * (lost.h); there in every schedule with at most that many preemptions; and in one only: the
 * verdict. */
void sim_plain(lw_fn *test, void *arg);
void sim_plain_every(lw_fn *test, void *arg, unsigned preemptions, uint64_t at_least);
int sim_plain_once(lw_fn *test, void *arg);

/* In every schedule with at most that many preemptions of the test, with one worker and, if it is
 * one preemption, with two; of which there must be at least that many.  The count is printed. */
void sim_every(lw_fn *test, void *arg, unsigned preemptions, uint64_t at_least);

/* The last of so many schedules is the same when its seed is run alone: nothing gets from a
 * schedule into those after it. */
void sim_alone(lw_fn *test, void *arg, uint64_t schedules);

/* ---- in a schedule */

static inline lw_task start(lw_fn *fn, void *arg)
{
    lw_task task;

    LW_SIM_CHECK(lw_spawn(&task, fn, arg, NULL) == 0);
    return task;
}

/* Its status. */
static inline int end_of(lw_task task)
{
    int status = 1;

    LW_SIM_CHECK(lw_join(task, &status, LW_FOREVER) == 0);
    return status;
}

/* Let others run until it is so; and then see all that they have done, of which a plain variable
 * tells no more than itself. */
#define UNTIL(truth)                                                                               \
    do {                                                                                           \
        while (!(truth))                                                                           \
            lw_yield();                                                                            \
        sim_weak_flush_all();                                                                      \
    } while (0)

static inline lw_task start_waiting(lw_fn *fn, void *arg)
{
    lw_task task = start(fn, arg);

    UNTIL(is_waiting(task));
    return task;
}

/* A worker may nap while what was pushed waits for it, a millisecond at most (worker.c); what waits
 * for the tick waits for up to ten.  In the few steps of a test there are few naps. */
#define NAPS (3 * LW_MS)

/* Nobody was forgotten until something else came by: in a test without deadlines. */
static inline bool nobody_waited(void)
{
    return sim_idle() < NAPS;
}

/* One of these is drawn: it has passed, it passes soon, it passes late, it never does. */
static inline lw_nsec draw_deadline(void)
{
    switch (sim_choose(4)) {
    case 1:
        return LW_NOW;
    case 2:
        return lw_in((1 + sim_choose(8)) * 5 * LW_US);
    case 3:
        return lw_in(20 * LW_MS);
    default:
        return LW_FOREVER;
    }
}

/* How a wait may end that is not granted. */
static inline bool is_cut_short(int err)
{
    return err == -ETIMEDOUT || err == -ECANCELED;
}

/* The object is over: who uses it from here on finds nonsense. */
#define BURN(object) ((void)memset((object), 0xdb, sizeof *(object)))

#endif
