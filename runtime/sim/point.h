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

/* lw_run(), lw_start(): if the program is to be simulated and is not yet, it is from here on. */
void lw_sim_program_starts(uint64_t seed);

static inline __attribute__((always_inline)) void lw_sim_count(void)
{
    if (__builtin_expect(lw_sim_on, 0) && --lw_sim_countdown <= 0)
        lw_sim_asked();
}

#define LW_POINT() lw_sim_count()

/* ---- weak memory: see weak.c */

extern bool lw_sim_weak; /* loads of this schedule may find old values */

uint64_t lw_sim_read(const void *at, unsigned size, int order);
void lw_sim_write(void *at, unsigned size, uint64_t value, int order);
void lw_sim_releases(const void *at, unsigned size); /* before a release store by others' means */
void lw_sim_modifies(const void *at, unsigned size, int order);
void lw_sim_compares(const void *at, unsigned size, uint64_t expected, int order, int fail);
void lw_sim_fences(int order);

#define LW_SIM_RARELY(truth) __builtin_expect(!!(truth), 0)

#define LW_ATOMIC_LOAD(p, order)                                                                   \
    (LW_SIM_RARELY(lw_sim_weak)                                                                    \
         ? (__typeof__(*(p)))(uintptr_t)lw_sim_read((p), sizeof *(p), (order))                     \
         : __atomic_load_n((p), (order)))
#define LW_ATOMIC_STORE(p, v, order)                                                               \
    (LW_SIM_RARELY(lw_sim_weak)                                                                    \
         ? lw_sim_write((p), sizeof *(p), (uint64_t)(uintptr_t)(v), (order))                       \
         : __atomic_store_n((p), (v), (order)))

/* The value first: there may be points in it. */
#define LW_SIM_MODIFY(operation, p, v, order)                                                      \
    __extension__({                                                                                \
        __typeof__((__typeof__(*(p)))0) value_ = (__typeof__(value_))(v);                          \
        if (LW_SIM_RARELY(lw_sim_weak))                                                            \
            lw_sim_modifies((p), sizeof *(p), (order));                                            \
        operation((p), value_, (order));                                                           \
    })
#define LW_ATOMIC_SWAP(p, v, order) LW_SIM_MODIFY(__atomic_exchange_n, p, v, order)
#define LW_ATOMIC_ADD(p, v, order) LW_SIM_MODIFY(__atomic_fetch_add, p, v, order)
#define LW_ATOMIC_SUB(p, v, order) LW_SIM_MODIFY(__atomic_fetch_sub, p, v, order)
#define LW_ATOMIC_OR(p, v, order) LW_SIM_MODIFY(__atomic_fetch_or, p, v, order)
#define LW_ATOMIC_AND(p, v, order) LW_SIM_MODIFY(__atomic_fetch_and, p, v, order)
#define LW_ATOMIC_CAS(p, e, v, order, fail)                                                        \
    __extension__({                                                                                \
        __typeof__((__typeof__(*(p)))0) value_ = (__typeof__(value_))(v);                          \
        if (LW_SIM_RARELY(lw_sim_weak))                                                            \
            lw_sim_compares((p), sizeof *(p), (uint64_t)(uintptr_t) * (e), (order), (fail));       \
        __atomic_compare_exchange_n((p), (e), value_, false, (order), (fail));                     \
    })
#define LW_ATOMIC_FENCE(order)                                                                     \
    (LW_SIM_RARELY(lw_sim_weak) ? lw_sim_fences(order) : (void)0, __atomic_thread_fence(order))

#endif
