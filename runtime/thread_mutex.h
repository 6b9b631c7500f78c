/* SPDX-License-Identifier: MIT */
/* A mutex of OS threads, for the rare paths of the library itself: starts, stops, the tick thread's
 * looks.  Blocks the thread.  On the table's futex and not pthread's, so that the simulator sees
 * who waits.
 *
 * The word: 0 free, 1 held, 2 held and maybe waited for (Drepper, "Futexes are tricky", 2011).
 *
 * [M1] what was done under it:  word = 0 (release)  ->  CAS or swap of the next one (acquire). */
#ifndef LW_RUNTIME_THREAD_MUTEX_H
#define LW_RUNTIME_THREAD_MUTEX_H

#include "runtime/atomic.h"
#include "runtime/os/os.h"

struct lw_thread_mutex {
    uint32_t word;
};

static inline void lw_thread_mutex_lock(struct lw_thread_mutex *mutex)
{
    uint32_t seen = 0;

    if (lw_cas_acq(&mutex->word, &seen, 1)) /* [M1] */
        return;
    while (lw_swap_acq(&mutex->word, 2) != 0) /* [M1] */
        lw_sys.futex_wait(&mutex->word, 2, INT64_MAX);
}

static inline void lw_thread_mutex_unlock(struct lw_thread_mutex *mutex)
{
    if (lw_swap_rel(&mutex->word, 0) == 2) /* [M1] */
        lw_sys.futex_wake(&mutex->word, 1);
}

#endif
