/* SPDX-License-Identifier: MIT */
/* Simulation: the same program, in many orders, each of which can be had again.
 *
 * Linked with liblatchwork-sim (pkg-config latchwork-sim) instead of liblatchwork, the whole
 * runtime runs on one OS thread and a virtual clock.  Which task or worker goes on, whom a lock is
 * handed to, when a timer fires, how much a read gets, when a thread is preempted: all of it is
 * drawn from a seed, and the same seed gives the same run, on any machine and in a debugger.
 * Nothing sleeps: a timeout of 30 days is over at once.
 *
 * lw_sim_run() runs a test in many such schedules.  For a whole program: LW_SIM=<seed> ./program
 * loads the simulation library before liblatchwork and runs it in one schedule; anything but a
 * whole number there ends it.  It has to be linked with the shared liblatchwork: LW_SIM says
 * nothing to one that is linked statically, or with liblatchwork.a.
 *
 * Beside the library itself these calls of a program's are simulated:
 * - plain threads, by the names of POSIX and of C11: create, exit, join (try, timed, clock),
 *   detach, names, keys, once; mutexes, conditions, semaphores, read-write locks, barriers, spin
 *   locks; and futexes by syscall(2) (FUTEX_WAIT, FUTEX_WAKE, and _BITSET of all bits), by which
 *   libstdc++ waits.  All must be private to the process.
 * - clocks and sleeps, poll(2): all clocks are one, of no known date.  Not timers and select(2).
 * - exit() and its kin end a whole program, and fail a test.
 * - pipe, pipe2, eventfd, epoll; socket and socketpair of AF_INET, AF_INET6 and AF_UNIX, streams
 *   and datagrams; and what is done with them and with the library's own: read and write, send and
 *   recv and their kin, bind, listen, accept, connect, shutdown, names, options, fcntl, dup, close,
 *   fstat, ioctl (FIONREAD, FIONBIO).  Such a call waits without blocking other threads, and is
 *   never interrupted.  There is nobody else on the simulated network (the program's own
 *   getaddrinfo() asks the real one), and paths of unix sockets are in memory, where bind,
 *   connect, unlink, remove, stat and chmod find them; access, rename, unlinkat, statx do not.
 * - thread-local variables of the program, and of libraries that were there when the schedule
 *   began; with a sanitizer in the process all threads share those of the one real thread.
 * Simulated descriptors have numbers from 1024 on, of which the real kernel knows nothing: FILE
 * (fdopen, dprintf), dup2() to a lower number, sendfile, splice, recvmmsg, sendmmsg, epoll_pwait2
 * and select fail with them (EBADF), and so does a child process that inherits them.  They cannot
 * be passed on (SCM_RIGHTS), have not all options (no SO_RCVTIMEO, IP_TOS: ENOPROTOOPT,
 * EOPNOTSUPP), and a simulated epoll takes no real one (EPERM).  All other descriptors are the real
 * kernel's: files, terminals, raw and SOCK_SEQPACKET sockets, timers, and what was there before the
 * schedule.  The library's calls on one say -EPERM where they would have to wait, and the program's
 * own may block all threads.
 * No signals are sent: who waits for one (sigwait, pause) waits for ever.  pthread_kill() and
 * pthread_cancel() fail the schedule, and say so; so do pthread_exit() in a task and other
 * operations on futexes.  Priorities and affinities are taken, and nothing follows from them.
 * There are up to 512 threads at a time and 8 runtimes; each thread has 8 MiB of stack, with ASan
 * 1 MiB.
 *
 * A schedule can be switched at each operation of this library, at each of those calls and at
 * lw_sim_point(), nowhere else: between two of them the program's own code runs undisturbed.
 * Sequentially consistent: it finds wrong orders of events, not missing fences of the program's own
 * atomics.
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

/* How schedules are chosen; see above. */
typedef enum { LW_SIM_RANDOM, LW_SIM_PCT, LW_SIM_EXHAUSTIVE } lw_sim_strategy;

/* All zero: 1,000 random schedules from seed 1. */
typedef struct lw_sim_options {
    lw_sim_strategy strategy;
    /* PCT: how many steps must come in the right order (0: 3); exhaustive: how many preemptions
     * there are at most (0: 1, with which even a short test has hundreds or thousands of
     * schedules; with each more it has thousands of times as many). */
    unsigned depth;
    uint64_t seed;      /* of the first schedule, the next has the next; 0: 1; exhaustive: unused */
    uint64_t schedules; /* at most; 0: 1,000; exhaustive, 0: all there are */
    uint64_t steps_max; /* of one schedule; 0: 1,000,000 */
    const char *replay; /* the choices of a result, by the same options: that one schedule */
    bool quiet;         /* say nothing on the standard error */
    /* About one in so many of the calls that may fail does, from the beginning of test to its end
     * (0: none does; never when exhaustive).  Of the system: memory for the library, which says
     * -ENOMEM for it; threads, the program's own as well (-EAGAIN); new descriptors (-EMFILE,
     * -ENFILE) and epoll (-ENOMEM, -ENOSPC); names (-EAGAIN, -ENOMEM); bind(2) and listen(2)
     * (-EADDRINUSE; of a path -ENOMEM) and setsockopt(2) (-ENOMEM); TCP connections break
     * (-ECONNRESET, -EPIPE).  The program's own malloc() never fails.  What connections do anyway
     * (short reads and writes, delays, readiness in any order) is drawn without being asked for. */
    uint64_t faults;
    uint64_t _reserved[3];
} lw_sim_options;

/* What came of a run. */
typedef enum {
    LW_SIM_PASSED,
    LW_SIM_FAILED_STATUS, /* test returned a negative status */
    LW_SIM_FAILED_CHECK,  /* an LW_SIM_CHECK did not hold */
    LW_SIM_CRASHED,       /* a fatal signal, an exit, or a check of the library's own */
    LW_SIM_STUCK,         /* nobody can run, and not all are done */
    LW_SIM_ENDLESS,       /* steps_max was reached */
} lw_sim_verdict;

/* More of what came of it. */
typedef struct lw_sim_result {
    int status;          /* of test, in the last schedule */
    uint64_t schedules;  /* how many were run; exhaustive: the last one is that which failed */
    uint64_t seed;       /* of that which failed, or of the last; 0: exhaustive, or by replay */
    uint64_t hash;       /* of its choices: two runs with the same hash were the same */
    char choices[256];   /* of a failed one, shortened; empty: too many to fit */
    uint64_t _reserved[4];
} lw_sim_result;

/* Run test(arg) as the first task of a runtime (of 1 to 3 workers, drawn; exhaustive: of 2), in one
 * schedule after the other until one fails.  test starts afresh each time: it sets up what it uses.
 * Static variables of the program are as the schedule before has left them, and after a failure as
 * that one has.  A test that ends the process fails.  result may be NULL.
 *
 * What failed is said on the standard error, with the seed that brings it back and the choices in
 * it that are needed; of an exhaustive search, whose schedules have no seeds, the choices, which
 * bring it back as `replay`; and of a search that finds nothing, how many schedules there were.
 * Both are tried before they are said, in children of the process as it was before the first
 * schedule: what does not fail there as well needs the schedules before it, and that is said
 * instead.  (The children print nothing; what does not end is not tried again.)
 *
 * With LW_SIM=<seed> in the environment only that seed is run, unless the strategy is exhaustive or
 * there is something to replay.
 *
 * Returns an lw_sim_verdict, 0: all passed; or a negative error: -EPERM in a simulation, while
 * another thread is in one or while a runtime runs, -EINVAL, -ENOMEM, -ENOTSUP (the program
 * is not linked with liblatchwork-sim).  A simulation needs 265 GiB of addresses (`ulimit -v`), of
 * which it uses as much memory as its test does; without them it is -ENOMEM.  -EINVAL, too, if
 * LW_SIM is not a whole number.
 * Plain threads only (-EPERM in a task).  Blocks the thread. */
LW_API LW_MUST_CHECK int lw_sim_run(const lw_sim_options *options, lw_fn *test, void *arg,
                                    lw_sim_result *result);

/* Whether a simulation runs, and the caller is in it.  Anyone.  Never switches. */
LW_API bool lw_sim_active(void);

/* Here the simulator may preempt the thread; elsewhere nothing happens.
 * Anyone.  Never switches. */
LW_API void lw_sim_point(void);

/* False: the schedule has failed, and ends here; outside a simulation: abort(). */
#define LW_SIM_CHECK(truth) ((truth) ? (void)0 : lw_sim_check_failed(#truth, __FILE__, __LINE__))

/* What LW_SIM_CHECK() does when its truth is false.  Anyone.  Never switches, never returns. */
__attribute__((noreturn)) LW_API void lw_sim_check_failed(const char *text, const char *file,
                                                          int line);

#ifdef __cplusplus
}
#endif

#endif
