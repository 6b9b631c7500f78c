/* SPDX-License-Identifier: MIT */
/* Laws of the wheel, on a clock of our own: never early, in the tick at or after the deadline, in
 * the order of ticks, at all levels and beyond; lazy nodes follow the wait there is.  And of
 * sleeps, on the real clock: in order, past and endless deadlines, many at once, and an idle
 * process does nothing. */
#include "runtime/timer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"
#include "tests/support.h"

TestSuite(timer, .init = watchdog);

/* ---- the wheel alone */

#define TICK (INT64_C(1) << LW_TICK_SHIFT)

static int64_t clock_now;

static int64_t our_now(void)
{
    return clock_now;
}

enum { NODES = 300 };

static struct lw_wheel wheel;
static struct lw_runtime fake_runtime;
static struct lw_record *records[NODES];
static int64_t due
    [NODES]; /* not later than this: what had passed when it was armed comes up in the next tick */
static uint64_t random_state;

/* Records as of tasks that wait; the wheel makes those of which it ends the wait ready: they land
 * in the injection stack of a runtime that nobody runs. */
static void begin(int64_t start, uint64_t seed)
{
    struct lw_record_cache cache = {0};

    clock_now = start;
    random_state = seed;
    lw_sys.now = our_now;
    cr_assert_eq(lw_records_init(), 0);
    memset(&fake_runtime, 0, sizeof fake_runtime);
    fake_runtime.number = 5;
    lw_runtimes[5] = &fake_runtime;
    memset(&wheel, 0, sizeof wheel);
    cr_assert_eq(lw_wheel_init(&wheel), 0);
    for (int i = 0; i < NODES; i++) {
        records[i] = lw_record_take(&cache);
        records[i]->place = (uint64_t)5 << LW_PLACE_RUNTIME_SHIFT;
        memset(lw_record_cold(records[i]), 0, sizeof(struct lw_cold));
    }
}

static void wait_until(int i, int64_t deadline)
{
    struct lw_cold *cold = lw_record_cold(records[i]);

    cold->deadline = deadline;
    cold->wait = ((cold->wait >> LW_STATE_BITS) + 1) << LW_STATE_BITS | LW_PHASE_WAITING;
    due[i] = deadline;
    if (deadline == LW_FOREVER)
        return;
    due[i] = ((deadline > clock_now ? deadline - 1 : clock_now) / TICK + 1) * TICK;
    lw_timer_arm(&wheel, cold, deadline);
}

static bool waits(int i)
{
    return (lw_record_cold(records[i])->wait & LW_PHASE_MASK) == LW_PHASE_WAITING;
}

static bool was_ended(int i)
{
    uint64_t wait = lw_record_cold(records[i])->wait;

    return wait == lw_wait_ended(wait, LW_TIMEOUT);
}

static void end_otherwise(int i)
{
    struct lw_cold *cold = lw_record_cold(records[i]);

    cold->wait = lw_wait_ended(cold->wait, LW_GRANTED);
}

/* Those whose waits have ended since the last time, in that order. */
static unsigned collect(int *who, unsigned most)
{
    struct lw_record *taken[NODES];
    unsigned count = lw_inject_take(&fake_runtime.inject, taken, most);

    for (unsigned k = 0; k < count; k++) {
        who[k] = 0;
        while (records[who[k]] != taken[k])
            who[k]++;
    }
    return count;
}

static void run(unsigned max)
{
    while (lw_wheel_is_due(&wheel, clock_now) && lw_wheel_run(&wheel, clock_now, max) > 0)
        continue;
}

/* Of all magnitudes: a few ns to hours. */
static int64_t draw_step(void)
{
    uint64_t draw = random_draw(&random_state);

    return (int64_t)((draw >> 8) & ((UINT64_C(1) << (draw % 45)) - 1));
}

/* To a deadline: some have passed. */
static int64_t draw_distance(void)
{
    return draw_step() - (random_draw(&random_state) % 16 == 0 ? 1000000 : 0);
}

static void never_early_never_late(int64_t start, uint64_t seed, unsigned max)
{
    begin(start, seed);
    for (int i = 0; i < NODES; i++)
        wait_until(i, clock_now + draw_distance());
    for (int waiting = NODES; waiting > 0;) {
        int who[NODES];
        unsigned count;
        int64_t last = INT64_MIN;

        clock_now += draw_step() / 16 + 1;
        for (int i = 0; i < NODES; i++)
            if (waits(i))
                cr_assert_leq(lw_load_rlx(&wheel.next_due), due[i],
                              "an idle worker would oversleep");
        run(max);
        count = collect(who, NODES);
        for (unsigned k = 0; k < count; k++) {
            int64_t early = lw_record_cold(records[who[k]])->deadline - clock_now;

            cr_assert(was_ended(who[k]));
            cr_assert_leq(early, 0, "%ld ns early", (long)early);
            cr_assert_geq(due[who[k]], last, "out of order");
            last = due[who[k]];
        }
        waiting -= (int)count;
        for (int i = 0; i < NODES; i++)
            if (waits(i))
                cr_assert_gt(due[i], clock_now, "late");
    }
    cr_assert_eq(wheel.count, 0);
    cr_assert_eq(wheel.next_due, LW_TIMER_NONE);
}

Test(timer, wheel_is_never_early_and_never_ticks_late)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(200); seed++)
        never_early_never_late((int64_t)(seed * INT64_C(1099511627777) >> (seed % 20)), seed,
                               NODES + 1);
}

Test(timer, wheel_that_is_run_in_small_portions_loses_none)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(200); seed++)
        never_early_never_late((int64_t)seed << (seed % 40), seed, 1 + seed % 3);
}

/* Edges of every level: one tick before, at and after each power. */
Test(timer, wheel_knows_the_edges_of_its_levels)
{
    for (int shift = 0; shift <= 26; shift++) {
        for (int start = 0; start < 3; start++) {
            int n = 0, who[NODES];

            begin(((INT64_C(1) << shift) - 1 + start) * TICK + start, 1);
            for (int power = 0; power <= 26; power++)
                for (int64_t by = -1; by <= 1; by++, n++)
                    wait_until(n, clock_now + ((INT64_C(1) << power) + by) * TICK);
            for (int left = n; left > 0;) {
                unsigned count;

                cr_assert_neq(wheel.next_due, LW_TIMER_NONE);
                clock_now = wheel.next_due > clock_now ? wheel.next_due : clock_now + 1;
                run(NODES);
                count = collect(who, NODES);
                for (unsigned k = 0; k < count; k++) {
                    int64_t late = clock_now - lw_record_cold(records[who[k]])->deadline;

                    cr_assert(late >= 0 && late <= TICK, "%ld ns late", (long)late);
                }
                left -= (int)count;
            }
            lw_wheel_fini(&wheel);
        }
    }
}

/* Waits that end otherwise and begin anew, with other deadlines or none, while nodes stay
 * linked. */
Test(timer, lazy_node_follows_the_wait_there_is)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(100); seed++) {
        begin((int64_t)seed * 1000000007, seed);
        for (int i = 0; i < NODES; i++)
            wait_until(i, LW_FOREVER);
        for (int lap = 0; lap < 400; lap++) {
            int who[NODES], i = (int)(random_draw(&random_state) >> 40) % NODES;
            unsigned count;

            if (waits(i))
                end_otherwise(i);
            wait_until(i, lap % 5 == 0 ? LW_FOREVER : clock_now + draw_distance());
            if (lap % 3 == 0)
                clock_now += draw_step() / 8 + 1;
            run(lap % 2 != 0 ? NODES : 2);
            count = collect(who, NODES);
            for (unsigned k = 0; k < count; k++) {
                cr_assert(was_ended(who[k]));
                cr_assert_leq(lw_record_cold(records[who[k]])->deadline, clock_now,
                              "ended a wait before its deadline");
            }
            for (int j = 0; j < NODES; j++)
                if (waits(j))
                    cr_assert_gt(due[j], clock_now, "a deadline was forgotten");
        }
        for (int i = 0; i < NODES; i++) {
            lw_timer_unlink(lw_record_cold(records[i]));
            cr_assert_eq(lw_record_cold(records[i])->timer_home, 0);
        }
        cr_assert_eq(wheel.count, 0);
        lw_wheel_fini(&wheel);
    }
}

/* A node moves to the wheel of the worker that its task is on now. */
Test(timer, node_moves_from_wheel_to_wheel)
{
    static struct lw_wheel other;

    begin(1000 * TICK, 1);
    cr_assert_eq(lw_wheel_init(&other), 0);
    for (int i = 0; i < NODES; i++)
        wait_until(i, clock_now + (i + 10) * TICK);
    for (int i = 0; i < NODES; i += 2) {
        struct lw_cold *cold = lw_record_cold(records[i]);

        end_otherwise(i);
        cold->deadline = clock_now + TICK; /* earlier: has to be linked anew */
        cold->wait = ((cold->wait >> LW_STATE_BITS) + 1) << LW_STATE_BITS | LW_PHASE_WAITING;
        lw_timer_arm(&other, cold, cold->deadline);
    }
    cr_assert_eq(other.count, NODES / 2);
    cr_assert_eq(wheel.count, NODES - NODES / 2);
    clock_now += 2 * TICK;
    cr_assert_eq(lw_wheel_run(&other, clock_now, NODES), NODES / 2);
    for (int i = 0; i < NODES; i++)
        cr_assert_eq(waits(i), i % 2 != 0);
    cr_assert_eq(other.count, 0);
}

/* ---- homes */

enum { HOMES = 64, MOVES = 4000000 };

static struct lw_wheel wheels[3];
static uint32_t lodgers[HOMES];

static void *move_in_and_out(void *arg)
{
    struct lw_wheel *mine = arg;

    for (int i = 0; i < MOVES; i++) {
        cr_assert_eq(lw_wheel_init(mine), 0);
        cr_assert_eq(lw_add_acq_rel(&lodgers[mine->home % HOMES], 1), 0, "two have one home");
        (void)lw_sub_acq_rel(&lodgers[mine->home % HOMES], 1);
        lw_wheel_fini(mine);
    }
    return NULL;
}

Test(timer, a_home_is_one_wheels)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, move_in_and_out, &wheels[i]), 0);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
}
