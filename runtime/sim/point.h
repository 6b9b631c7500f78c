/* SPDX-License-Identifier: MIT */
/* What stands before each atomic operation of the library in the simulation build: a count down to
 * the next step at which the engine wants to be asked. */
#ifndef LW_RUNTIME_SIM_POINT_H
#define LW_RUNTIME_SIM_POINT_H

#include <stdbool.h>
#include <stdint.h>

extern bool lw_sim_on; /* false: the library is on its own, and works as ever */
extern int64_t lw_sim_countdown;

void lw_sim_asked(void);

/* lw_start(): if the program is to be simulated and is not yet, it is from here on. */
void lw_sim_program_starts(uint64_t seed);

static inline __attribute__((always_inline)) void lw_sim_count(void)
{
    if (__builtin_expect(lw_sim_on, 0) && --lw_sim_countdown <= 0)
        lw_sim_asked();
}

#define LW_POINT() lw_sim_count()

/* ---- weak memory: see weak.c */

extern bool lw_sim_weak;      /* some stores of this schedule are seen late */
extern unsigned lw_sim_stale; /* stores that others have not seen yet */

uint64_t lw_sim_read(const void *word, unsigned size);
void lw_sim_write(void *word, unsigned size, uint64_t value, int order);
void lw_sim_modifies(const void *word, unsigned size, int order);
void lw_sim_fences(int order);

#define LW_SIM_RARELY(truth) __builtin_expect(!!(truth), 0)

/* The value, once it is known: another thread may run, and store there, while it is found out. */
static inline __attribute__((always_inline)) uint64_t lw_sim_before(uint64_t value,
                                                                    const void *word,
                                                                    unsigned size, int order)
{
    if (LW_SIM_RARELY(lw_sim_stale))
        lw_sim_modifies(word, size, order);
    return value;
}

#define LW_SIM_VALUE(p, v, order)                                                                  \
    ((__typeof__(*(p)))(uintptr_t)lw_sim_before((uint64_t)(uintptr_t)(v), (p), sizeof *(p),        \
                                                (order)))

#define LW_ATOMIC_LOAD(p, order)                                                                   \
    (LW_SIM_RARELY(lw_sim_stale) ? (__typeof__(*(p)))(uintptr_t)lw_sim_read((p), sizeof *(p))      \
                                 : __atomic_load_n((p), (order)))
#define LW_ATOMIC_STORE(p, v, order)                                                               \
    (LW_SIM_RARELY(lw_sim_weak)                                                                    \
         ? lw_sim_write((p), sizeof *(p), (uint64_t)(uintptr_t)(v), (order))                       \
         : __atomic_store_n((p), (v), (order)))
#define LW_ATOMIC_SWAP(p, v, order) __atomic_exchange_n((p), LW_SIM_VALUE(p, v, order), (order))
#define LW_ATOMIC_ADD(p, v, order) __atomic_fetch_add((p), LW_SIM_VALUE(p, v, order), (order))
#define LW_ATOMIC_SUB(p, v, order) __atomic_fetch_sub((p), LW_SIM_VALUE(p, v, order), (order))
#define LW_ATOMIC_OR(p, v, order) __atomic_fetch_or((p), LW_SIM_VALUE(p, v, order), (order))
#define LW_ATOMIC_AND(p, v, order) __atomic_fetch_and((p), LW_SIM_VALUE(p, v, order), (order))
#define LW_ATOMIC_CAS(p, e, v, order, fail)                                                        \
    __atomic_compare_exchange_n((p), (e), LW_SIM_VALUE(p, v, order), false, (order), (fail))
#define LW_ATOMIC_FENCE(order)                                                                     \
    (LW_SIM_RARELY(lw_sim_stale) ? lw_sim_fences(order) : (void)0, __atomic_thread_fence(order))

#endif
