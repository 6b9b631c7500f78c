/* SPDX-License-Identifier: MIT */
/* condition: two tasks take turns, each waiting on a condition of its own; per round trip.
 * barrier8: eight tasks meet, again and again; per meeting. */
#include "crowd.h"

#include <stdatomic.h>

enum { PARTIES = 8 };

struct turns {
    lw_mutex mutex;
    lw_condition mine[2];
    long turn, rounds; /* the one whose number is turn % 2 is to go on */
};

static int take_turns(void *arg)
{
    const struct member *member = arg;
    struct turns *turns = member->shared;
    long rounds = turns->rounds;

    for (long i = 0; i < rounds; i++) {
        bench_check(lw_mutex_acquire(&turns->mutex, LW_FOREVER), "acquire");
        while (turns->turn % 2 != member->number)
            bench_check(lw_condition_wait(&turns->mine[member->number], &turns->mutex.lock,
                                          LW_FOREVER),
                        "wait");
        turns->turn++;
        lw_condition_notify(&turns->mine[1 - member->number], 1);
        bench_check(lw_mutex_release(&turns->mutex), "release");
    }
    return 0;
}

static double round_trips(long rounds)
{
    struct turns turns = { .mutex = LW_MUTEX_INIT("turns"), .rounds = rounds };
    double ns = crowd_run(2, take_turns, &turns);

    if (turns.turn != 2 * rounds)
        bench_fail("%ld of %ld turns", turns.turn, 2 * rounds);
    return ns / (double)rounds;
}

int condition(void *arg)
{
    struct bench *bench = arg;

    (void)round_trips(bench->n / 10 + 1);
    bench_add(bench, "", round_trips(bench->n), "ns");
    return 0;
}

struct meetings {
    lw_barrier barrier;
    long rounds;
    _Atomic long came; /* in all */
};

static int meet(void *arg)
{
    struct meetings *meetings = ((struct member *)arg)->shared;
    long rounds = meetings->rounds;

    for (long i = 0; i < rounds; i++) {
        atomic_fetch_add_explicit(&meetings->came, 1, memory_order_relaxed);
        bench_check(lw_barrier_wait(&meetings->barrier, NULL, LW_FOREVER), "wait");
        if (atomic_load_explicit(&meetings->came, memory_order_relaxed) < (i + 1) * PARTIES)
            bench_fail("let go before all had come");
    }
    return 0;
}

static double meet_often(long rounds)
{
    struct meetings meetings = { .barrier = LW_BARRIER_INIT("barrier", PARTIES), .rounds = rounds };

    return crowd_run(PARTIES, meet, &meetings) / (double)rounds;
}

int barrier8(void *arg)
{
    struct bench *bench = arg;

    (void)meet_often(bench->n / 10 + 1);
    bench_add(bench, "", meet_often(bench->n), "ns");
    return 0;
}
