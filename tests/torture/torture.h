/* SPDX-License-Identifier: MIT */
/* What the tortures share: each is one law of the library, given here as a struct, and torture.c
 * has the main() that holds it against everything at once.
 *
 *     torture-<name> [seconds [seed]]     or LW_TORTURE_SECONDS, LW_TORTURE_SEED; 60 s
 *
 * It goes on until LW_TORTURE_OPERATIONS have been counted, too, however long that takes.
 *
 * A run is a row of laps.  A lap is a runtime of 1 to 8 workers, in turn, whose tasks, together
 * with plain threads, act until the lap is over; then what they counted must add up, and no stack
 * and no record may be lost (lost.h).  Meanwhile
 *
 * - threads are stalled: a signal makes any of them, workers included, sleep for up to 5 ms
 *   between any two of its instructions, which is where two CPUs alone hardly ever switch;
 * - if asked for, tasks are cancelled at random.
 *
 * Whoever is not woken stays: when nothing was counted for 20 s (200 s under a sanitizer) a wakeup
 * was lost, and the run ends with a dump of all tasks.  When something does not add up, it ends,
 * too; both say the seed.  A seed gives the same draws to the same actors; what the machine makes
 * of them differs.
 *
 * With TORTURE_BREAK each law is broken on purpose, now and then, and the run has to say so. */
#ifndef LW_TESTS_TORTURE_H
#define LW_TESTS_TORTURE_H

#include <errno.h>
#include <latchwork.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/atomic.h"

enum { ACTORS_MAX = 1024, COUNTS = 20, OPERATIONS = 0 /* the first count is for progress */ };

/* A task or a plain thread that acts.  Its counts are its own: no atomic operation of the torture
 * stands between those of the library, and orders what they should have. */
struct actor {
    uint64_t random;
    uint64_t counts[COUNTS];
    lw_task task; /* {0}: a plain thread */
    int index;    /* tasks come first */
} __attribute__((aligned(128)));

struct torture {
    const char *name;
    int tasks, guests;                /* guests: plain threads */
    bool cancels;                     /* cancel the tasks at random */
    void (*setup)(void);              /* before a lap, in the main thread; may be NULL */
    bool (*act)(struct actor *actor); /* one round; false: this actor has done with the lap */
    void (*finish)(void); /* the lap is over: end the waits that nobody else ends; called again and
                             again until all have done, in a task; may be NULL */
    void (*check)(void);  /* all have done and the runtime has stopped; in the main thread */
    void (*report)(void); /* print the oracle's number, without a newline */
};
extern const struct torture torture;

/* Whether actors should come to an end. */
bool torture_over(void);

/* The lap's number, from 0. */
unsigned torture_lap(void);

/* A member of the lap, by index. */
struct actor *torture_actor(int index);

/* What all actors counted in this lap (in check), and in all laps so far (in report). */
uint64_t torture_sum(int count);
uint64_t torture_total(int count);

/* For tasks that come and go and are no actors: atomic. */
void torture_add(int count, uint64_t by);

/* Print the seed and why, and abort. */
_Noreturn void torture_fail(const char *truth, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define CHECK(truth, ...)                                                                          \
    do {                                                                                           \
        if (!(truth))                                                                              \
            torture_fail(#truth, __VA_ARGS__);                                                     \
    } while (0)

/* splitmix64: any seed does. */
static inline uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A stream of its own for a task that is no actor. */
uint64_t torture_stream(void);

static inline void count(struct actor *actor, int which, uint64_t by)
{
    lw_store_rlx(&actor->counts[which], lw_load_rlx(&actor->counts[which]) + by);
}

/* LW_NOW, up to 100 us, or for ever. */
static inline lw_nsec draw_deadline(uint64_t *random)
{
    uint64_t number = draw(random);

    return number % 4 == 0   ? LW_NOW
           : number % 4 == 1 ? lw_in((lw_nsec)(number >> 8) % (100 * LW_US))
                             : LW_FOREVER;
}

/* Let others run, whatever one is. */
static inline void give_way(void)
{
    lw_yield();
    (void)sched_yield();
}

/* True once in `every` calls in a build that has to be caught, never in others; a torture that has
 * several oracles is built once for each, with its number from 1 on. */
#ifdef TORTURE_BREAK
#define BROKEN(oracle, random, every) (TORTURE_BREAK == (oracle) && draw(random) % (every) == 0)
#else
#define BROKEN(oracle, random, every) ((void)(random), false)
#endif

static inline unsigned long long ull(uint64_t number)
{
    return number;
}

#endif
