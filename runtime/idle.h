/* SPDX-License-Identifier: MIT */
/* How workers fall asleep and are woken: the words, and who looks at what after having said what.
 *
 * Waking.  Whoever pushes and finds sleepers but no searcher makes one: `searching` is counted for
 * it by its waker, so at most one wake is on its way.  A searcher that finds work and was the last
 * one wakes the next if there is more.
 *
 * [P1] push; light; load sleeping  <->  asleep = 1, sleeping + 1; heavy; look at the queues.
 * [I1] inject: CAS seq_cst; load sleeping  <->  asleep = 1 (seq_cst); load in (seq_cst).
 * [P3] searching - 1, seq_cst; load in  <->  inject: CAS seq_cst; load searching.  So who stops to
 *      search sees what was not rung for because of it; of the queues of others the tick thread
 *      sees it.
 * [P4] inject: CAS seq_cst; load sleeping, searching, asleep (seq_cst)  <->  searching - 1
 *      (seq_cst); asleep = NAPPING (seq_cst); load in (seq_cst).  So who naps sees what was given
 *      while it searched or was awake, or is rung for.
 * [P2] asleep: CAS 1 -> 2 by the waker, acq_rel  ->  swap 0 by the sleeper: what the waker
 * pushed.
 * [K1] is in tick.c.
 * [G1] a worker joins: worker_count (release)  ->  worker_count (acquire): all that it is.
 *
 * Header-only, without system calls but the doorbell: tests/models runs these very lines, with
 * structs of its own (LW_IDLE_TYPES) that have the few fields which are named here. */
#ifndef LW_RUNTIME_IDLE_H
#define LW_RUNTIME_IDLE_H

#include "runtime/atomic.h"

enum lw_asleep { LW_AWAKE = 0, LW_ASLEEP = 1, LW_WOKEN = 2, LW_ASLEEP_SPARE = 3, LW_NAPPING = 4 };

#ifndef LW_IDLE_TYPES
#include "runtime/worker.h"
#endif

/* ---- who sleeps */

/* One searcher less; true: it was the last. */
LW_INLINE bool lw_idle_search_less(struct lw_runtime *runtime)
{
    return lw_add_sc(&runtime->searching, (uint32_t)-1) == 1; /* [P3] */
}

/* From here on it may be rung for; it looks at all queues once more before it sleeps, in the last
 * stage after a heavy fence. */
LW_INLINE void lw_idle_lie_down(struct lw_runtime *runtime, struct lw_worker *worker)
{
    (void)lw_swap_sc(&worker->asleep, LW_ASLEEP); /* [P1] [I1] */
    (void)lw_add_sc(&runtime->sleeping, 1);
}

/* True: it was rung for, and is a searcher. */
LW_INLINE bool lw_idle_get_up(struct lw_runtime *runtime, struct lw_worker *worker)
{
    if (lw_swap_acq_rel(&worker->asleep, LW_AWAKE) == LW_WOKEN) /* [P2] */
        return true;
    (void)lw_add_sc(&runtime->sleeping, (uint32_t)-1);
    return false;
}

/* ---- who looks at the workers */

/* Those with a smaller number than this are there, to be looked into. */
LW_INLINE uint32_t lw_worker_count(const struct lw_runtime *runtime)
{
    return lw_load_acq(&runtime->worker_count); /* [G1] */
}

/* A worker is about to run again: the tick thread may have gone to sleep because all of them
 * had. */
LW_INLINE void lw_tick_awake(void)
{
    lw_asym_light(); /* [K1] */
    if (lw_unlikely(lw_load_rlx(&lw_tick_asleep) != 0))
        lw_tick_wake();
}

/* ---- who wakes */

LW_INLINE bool lw_idle_is_anyone_asleep(struct lw_runtime *runtime)
{
    uint32_t count = lw_worker_count(runtime);

    for (uint32_t i = 0; i < count; i++)
        if (lw_load_sc(&runtime->workers[i]->asleep) == LW_ASLEEP)
            return true;
    return false;
}

/* Make one who sleeps a searcher; false: nobody sleeps. */
LW_INLINE bool lw_idle_wake_one(struct lw_runtime *runtime)
{
    uint32_t count = lw_worker_count(runtime);

    for (uint32_t i = 0; i < count; i++) {
        struct lw_worker *worker = runtime->workers[i];
        uint32_t asleep = LW_ASLEEP;

        if (lw_load_rlx(&worker->asleep) == LW_ASLEEP &&
            lw_cas_acq_rel(&worker->asleep, &asleep, LW_WOKEN)) { /* [P2] */
            (void)lw_add_sc(&runtime->sleeping, (uint32_t)-1);
            lw_poller_ring(&worker->poller);
            return true;
        }
    }
    return false;
}

/* While it looks for a sleeper, others who pushed rely on its searching: so having met nobody, it
 * looks once more, after it has said that it searches no more, for one who fell asleep behind its
 * back. */
LW_INLINE void lw_idle_wake(struct lw_runtime *runtime)
{
    do {
        uint32_t none = 0;

        if (!lw_cas_sc(&runtime->searching, &none, 1) || lw_idle_wake_one(runtime))
            return;
        (void)lw_add_sc(&runtime->searching, (uint32_t)-1);
    } while (lw_recheck(lw_idle_is_anyone_asleep(runtime)));
}

void lw_wake_a_worker(struct lw_runtime *runtime);

/* After a push that others could help with. */
LW_INLINE void lw_maybe_wake_a_worker(struct lw_runtime *runtime)
{
    lw_asym_light(); /* [P1] */
    if (lw_unlikely(lw_load_rlx(&runtime->sleeping) != 0) && lw_load_rlx(&runtime->searching) == 0)
        lw_wake_a_worker(runtime);
}

/* After a push onto the injection stack, which is a fence. */
LW_INLINE bool lw_idle_is_to_ring(const struct lw_runtime *runtime)
{
    return lw_load_sc(&runtime->sleeping) != 0 &&
           lw_load_sc(&runtime->searching) == 0; /* [I1] [P3] */
}

#endif
