/* SPDX-License-Identifier: MIT */
/* An lw_barrier is a meeting point: tasks wait there until so many, its parties, have come.  It is
 * cyclic: once they have met, the next ones can.  An lw_stateful_barrier is one where each party
 * leaves a pointer, and gets those of all; it is for one meeting.
 *
 *     static lw_barrier step = LW_BARRIER_INIT("step", 4);
 *
 *     err = lw_barrier_wait(&step, NULL, LW_FOREVER);     // in each of four tasks, again and again
 *
 * A party whose deadline passes breaks the barrier: the others get -EPIPE, now and later, for the
 * meeting they are in can no longer be complete.  One that is cancelled just leaves, as if it had
 * not come; so does one that does not wait (LW_NOW) and is not the last.  What a party wrote before
 * it came is seen by all when they have met; then all are woken, in the order in which they came.
 *
 * Its memory may end, and a stateful one may be made anew, once all waits on it have returned. */
#ifndef LATCHWORK_BARRIER_H
#define LATCHWORK_BARRIER_H

#include <latchwork/waitable.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_barrier {
    lw_waitable wait;
    uint32_t parties; /* how many meet; constant */
    uint32_t _waiting;
} lw_barrier;
#define LW_BARRIER_INIT(name, parties) { LW_WAITABLE_INIT_(name), (parties), 0 }

/* Wait for the others; position (NULL: not asked for) is the place among them in which the caller
 * came, 0 to parties - 1.  The last one does not wait.
 * Returns 0: they have met; -ETIMEDOUT: the deadline passed, and the barrier is broken, but not
 * with LW_NOW; -EPIPE: it is broken; -EINVAL: a barrier without parties.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_barrier_wait(lw_barrier *barrier, uint32_t *position,
                                         lw_nsec deadline);

/* Break it: those who wait, and who come later, get -EPIPE.  Once more it does nothing, and to
 * those who have met already neither.  Anyone.  Never switches. */
LW_API void lw_barrier_abort(lw_barrier *barrier);

/* Whether it is broken; a stateful one is, too, once its parties have met.  Anyone; a snapshot. */
LW_API bool lw_barrier_broken(const lw_barrier *barrier);

/* How many have come, and wait for the others.  Anyone; a snapshot. */
LW_API uint32_t lw_barrier_waiting(const lw_barrier *barrier);

typedef struct lw_stateful_barrier {
    lw_barrier barrier;
    void **_states;
    uint32_t _room, _first, _count;
} lw_stateful_barrier;

/* What a party gets: the states in the order in which they came, in the caller's own array. */
typedef struct lw_barrier_states {
    void **states;
    uint32_t states_max; /* room in it; the oldest that do not fit are left out */
    uint32_t count;      /* so many were stored */
    uint32_t position;   /* as of lw_barrier_wait() */
} lw_barrier_states;

/* Make a barrier with an array for states_max states, of which the first `count` are there already
 * and precede what parties leave; the newest are kept.
 * Returns 0; -EINVAL: no parties, or more states than there is room for.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_stateful_barrier_init(lw_stateful_barrier *barrier, const char *name,
                                                  uint32_t parties, void **states,
                                                  uint32_t states_max, uint32_t count);

/* As lw_barrier_wait(), but it adds *state (state NULL: none) to the states, and result (NULL: not
 * asked for) gets a copy of all there were when the parties met.  Whoever leaves takes its state
 * along.
 * Returns as lw_barrier_wait(); -EPIPE, too, once the parties have met.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_stateful_barrier_wait(lw_stateful_barrier *barrier, void *const *state,
                                                  lw_barrier_states *result, lw_nsec deadline);

#ifdef __cplusplus
}
#endif
#endif
