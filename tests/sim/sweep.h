/* SPDX-License-Identifier: MIT */
/* Each call of the system that may fail, fails: the k-th one, k = 1, 2 ... until a run makes fewer,
 * once or from then on, each kind of call by itself and all together, in several schedules.
 *
 * A round uses many things.  While calls fail, each of its own calls has to succeed or to give an
 * error that is documented for it.  Then nothing fails any more, and a second round in the same
 * process has to succeed in all of it.  And at the end there is no more memory, there are no more
 * descriptors in use and no more threads attached than after two rounds without faults, and no
 * stack and no record is lost. */
#ifndef LW_TESTS_SIM_SWEEP_H
#define LW_TESTS_SIM_SWEEP_H

#include <latchwork.h>
#include <pthread.h>

/* A round: the first task of a runtime of two workers.  begin comes before it; NULL: nothing. */
struct sweep_round {
    void (*begin)(void);
    lw_fn *use_all;
};

/* How many seeds, unless LW_SIM_SCHEDULES says so. */
void sweep_all(const struct sweep_round *round, bool for_good, unsigned seeds);

/* The result of a call that has to have succeeded, or, where calls fail, to have failed for one of
 * these reasons.  MAY_END: the first one it may have at any time. */
int sweep_shall(int result, const char *call, int line, const int *errors); /* 0 ends them */

#define SHALL(call, ...) sweep_shall((int)(call), #call, __LINE__, (const int[]){1, __VA_ARGS__, 0})
#define MAY_END(call, at_any_time, ...)                                                            \
    sweep_shall((int)(call), #call, __LINE__, (const int[]){at_any_time, __VA_ARGS__, 0})

/* The deadline of a call that may fail with -ETIMEDOUT where calls fail.  Where none does it is
 * never: simulated time may go on while others could run. */
lw_nsec sweep_within(lw_nsec length);

/* A plain thread; it may not come where calls fail. */
bool sweep_thread(pthread_t *thread, void *(*main)(void *arg), void *arg);

#endif
