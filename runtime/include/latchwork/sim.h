/* SPDX-License-Identifier: MIT */
/* Simulation: the same program, in many orders, each of which can be had again.
 *
 * Linked with liblatchwork-sim (pkg-config latchwork-sim) instead of liblatchwork, the whole
 * runtime runs on one OS thread and a virtual clock.  Which task or worker goes on, whom a lock is
 * handed to, when a timer fires, how much a read gets, when a thread is preempted: all of it is
 * drawn from a seed, and the same seed gives the same run, on any machine and in a debugger.
 * Nothing sleeps: a timeout of 30 days is over at once.  Plain threads (pthread_create and what
 * they wait with) and sockets made by lw_listen_x and lw_connect_x are simulated, too.
 *
 * lw_sim_run() runs a test in many such schedules.  For a whole program: LW_SIM=<seed> ./program
 * loads the simulation library before liblatchwork and runs it in one schedule.
 *
 * A schedule can be switched at each operation of this library and at lw_sim_point(), nowhere else:
 * between two of them the program's own code runs undisturbed.  Sequentially consistent: it finds
 * wrong orders of events, not missing fences of the program's own atomics.
 *
 * Strategies: random preemption with a rate drawn per schedule; PCT (Burckhardt et al., ASPLOS
 * 2010): random priorities and depth - 1 changes of them; exhaustive: every schedule with at most
 * `depth` preemptions (Musuvathi and Qadeer, PLDI 2007). */
#ifndef LATCHWORK_SIM_H
#define LATCHWORK_SIM_H

#include <latchwork/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { LW_SIM_RANDOM, LW_SIM_PCT, LW_SIM_EXHAUSTIVE } lw_sim_strategy;

/* All zero: 1,000 random schedules from seed 1. */
typedef struct lw_sim_options {
    lw_sim_strategy strategy;
    /* PCT: how many steps must come in the right order (0: 3); exhaustive: how many preemptions
     * there are at most (0: 2). */
    unsigned depth;
    uint64_t seed;      /* of the first schedule, the next one has the next; 0: 1 */
    uint64_t schedules; /* at most; 0: 1,000; exhaustive: no bound but this one, 0: all */
    uint64_t steps_max; /* of one schedule; 0: 1,000,000 */
    const char *replay; /* the choices of a result: that one schedule; NULL: by strategy */
    bool quiet;         /* say nothing on the standard error */
    /* One in so many of the calls that may fail does: memory (-ENOMEM), threads, descriptors
     * (EMFILE), connections (ECONNRESET); 0: none.  What connections do anyway (short reads and
     * writes, delays, readiness in any order) is drawn without being asked for. */
    uint64_t faults;
    uint64_t _reserved[3];
} lw_sim_options;

typedef enum {
    LW_SIM_PASSED,
    LW_SIM_FAILED_STATUS, /* test returned a negative status */
    LW_SIM_FAILED_CHECK,  /* an LW_SIM_CHECK did not hold */
    LW_SIM_CRASHED,       /* a fatal signal, or a check of the library's own */
    LW_SIM_STUCK,         /* nobody can run, and not all are done */
    LW_SIM_ENDLESS,       /* steps_max was reached */
} lw_sim_verdict;

typedef struct lw_sim_result {
    int status;          /* of test, in the last schedule */
    uint64_t schedules;  /* how many were run; exhaustive: all there are, unless one failed */
    uint64_t seed;       /* of the schedule that failed, or of the last one */
    uint64_t hash;       /* of its choices: two runs with the same hash were the same */
    char choices[256];   /* of a failed one, shortened; empty: too many to fit */
    uint64_t _reserved[4];
} lw_sim_result;

/* Run test(arg) as the first task of a runtime (of 1 to 3 workers, drawn), in one schedule after
 * the other until one fails.  test starts afresh each time: it sets up what it uses.  What failed
 * is said on the standard error, with the seed and the choices that bring it back.  result may be
 * NULL.
 * Returns an lw_sim_verdict, 0: all passed; or a negative error: -EPERM in a task, in a simulation
 * or while a runtime runs, -EINVAL, -ENOMEM, -ENOTSUP (the program is not linked with
 * liblatchwork-sim).  With LW_SIM=<seed> in the environment only that seed is run.  Blocks the
 * thread. */
LW_API LW_MUST_CHECK int lw_sim_run(const lw_sim_options *options, lw_fn *test, void *arg,
                                    lw_sim_result *result);

/* A simulation runs, and the caller is in it. */
LW_API bool lw_sim_active(void);

/* Here the simulator may let others go on; elsewhere nothing. */
LW_API void lw_sim_point(void);

/* False: the schedule has failed, and ends here; outside a simulation: abort(). */
#define LW_SIM_CHECK(truth) ((truth) ? (void)0 : lw_sim_check_failed(#truth, __FILE__, __LINE__))

__attribute__((noreturn)) LW_API void lw_sim_check_failed(const char *text, const char *file,
                                                          int line);

#ifdef __cplusplus
}
#endif

#endif
