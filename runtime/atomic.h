/* SPDX-License-Identifier: MIT */
/* Atomic operations, with the memory order in the name, and what the simulator needs to know of
 * them.
 *
 * They work on plain integer and pointer lvalues (the words in public structs are plain fields of
 * one-member structs, so that C++ can read the headers).  Whoever shares a field accesses it only
 * through these.  LW_POINT() stands before each operation of the lock-free cores: in the simulation
 * build a task or a virtual thread may be switched there; elsewhere it is nothing.
 *
 * The asymmetric fence is a store-load fence whose cost lies on the rare side: lw_asym_light() on
 * the frequent side is a compiler barrier, lw_asym_heavy() on the rare side is membarrier(2),
 * which executes a full fence on every running thread of the process.  Where membarrier is
 * missing, and under TSan and in the simulator, both are sequentially consistent fences. */
#ifndef LW_RUNTIME_ATOMIC_H
#define LW_RUNTIME_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/check.h"

#if !defined(LW_POINT) && defined(LW_SIMULATED)
#include "runtime/sim/point.h"
#endif
#ifndef LW_POINT
#define LW_POINT() ((void)0)
#endif

/* What the operations below are made of; a build with a memory of its own defines them before. */
#ifndef LW_ATOMIC_LOAD
#define LW_ATOMIC_LOAD(p, order) __atomic_load_n((p), (order))
#define LW_ATOMIC_STORE(p, v, order) __atomic_store_n((p), (v), (order))
#define LW_ATOMIC_SWAP(p, v, order) __atomic_exchange_n((p), (v), (order))
#define LW_ATOMIC_ADD(p, v, order) __atomic_fetch_add((p), (v), (order))
#define LW_ATOMIC_SUB(p, v, order) __atomic_fetch_sub((p), (v), (order))
#define LW_ATOMIC_OR(p, v, order) __atomic_fetch_or((p), (v), (order))
#define LW_ATOMIC_AND(p, v, order) __atomic_fetch_and((p), (v), (order))
#define LW_ATOMIC_CAS(p, e, v, order, fail)                                                        \
    __atomic_compare_exchange_n((p), (e), (v), false, (order), (fail))
#define LW_ATOMIC_FENCE(order) __atomic_thread_fence(order)
#endif

#ifdef LW_MUTANT
#include "runtime/mutant.h" /* the same, with the weakness of the place where it is used */
#else
#define LW_LOAD LW_ATOMIC_LOAD
#define LW_STORE LW_ATOMIC_STORE
#define LW_SWAP LW_ATOMIC_SWAP
#define LW_ADD LW_ATOMIC_ADD
#define LW_SUB LW_ATOMIC_SUB
#define LW_OR LW_ATOMIC_OR
#define LW_AND LW_ATOMIC_AND
#define LW_CAS LW_ATOMIC_CAS
#define LW_FENCE LW_ATOMIC_FENCE

/* A second look at something that another may have changed since the first, or a look back after
 * having said something.  The comment beside it says what is lost without it. */
#define lw_recheck(truth) (truth)

/* A decision that looks as if one could do without it.  tests/sim/planted.c does, and shows that
 * the simulator notices. */
#define lw_needed(truth) (truth)
#endif

#define lw_load_rlx(p) (LW_POINT(), LW_LOAD(p, __ATOMIC_RELAXED))
#define lw_load_acq(p) (LW_POINT(), LW_LOAD(p, __ATOMIC_ACQUIRE))
#define lw_load_sc(p) (LW_POINT(), LW_LOAD(p, __ATOMIC_SEQ_CST))
#define lw_store_rlx(p, v) (LW_POINT(), LW_STORE(p, v, __ATOMIC_RELAXED))
#define lw_store_rel(p, v) (LW_POINT(), LW_STORE(p, v, __ATOMIC_RELEASE))
#define lw_store_sc(p, v) (LW_POINT(), LW_STORE(p, v, __ATOMIC_SEQ_CST))
#define lw_swap_acq(p, v) (LW_POINT(), LW_SWAP(p, v, __ATOMIC_ACQUIRE))
#define lw_swap_rel(p, v) (LW_POINT(), LW_SWAP(p, v, __ATOMIC_RELEASE))
#define lw_swap_acq_rel(p, v) (LW_POINT(), LW_SWAP(p, v, __ATOMIC_ACQ_REL))
#define lw_swap_sc(p, v) (LW_POINT(), LW_SWAP(p, v, __ATOMIC_SEQ_CST))
#define lw_add_rlx(p, v) (LW_POINT(), LW_ADD(p, v, __ATOMIC_RELAXED))
#define lw_add_acq_rel(p, v) (LW_POINT(), LW_ADD(p, v, __ATOMIC_ACQ_REL))
#define lw_add_sc(p, v) (LW_POINT(), LW_ADD(p, v, __ATOMIC_SEQ_CST))
#define lw_sub_rel(p, v) (LW_POINT(), LW_SUB(p, v, __ATOMIC_RELEASE))
#define lw_sub_acq_rel(p, v) (LW_POINT(), LW_SUB(p, v, __ATOMIC_ACQ_REL))
#define lw_or_rlx(p, v) (LW_POINT(), LW_OR(p, v, __ATOMIC_RELAXED))
#define lw_or_acq_rel(p, v) (LW_POINT(), LW_OR(p, v, __ATOMIC_ACQ_REL))
#define lw_and_rlx(p, v) (LW_POINT(), LW_AND(p, v, __ATOMIC_RELAXED))
#define lw_and_acq_rel(p, v) (LW_POINT(), LW_AND(p, v, __ATOMIC_ACQ_REL))
#define lw_and_rel(p, v) (LW_POINT(), LW_AND(p, v, __ATOMIC_RELEASE))

/* Strong compare-and-swap; on failure *e is what was there (read relaxed, or acquire where
 * named). */
#define lw_cas_rlx(p, e, v) (LW_POINT(), LW_CAS(p, e, v, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
#define lw_cas_acq(p, e, v) (LW_POINT(), LW_CAS(p, e, v, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
#define lw_cas_rel(p, e, v) (LW_POINT(), LW_CAS(p, e, v, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
#define lw_cas_acq_rel(p, e, v)                                                                    \
    (LW_POINT(), LW_CAS(p, e, v, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
#define lw_cas_sc(p, e, v) (LW_POINT(), LW_CAS(p, e, v, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))

#define lw_fence_acq() LW_FENCE(__ATOMIC_ACQUIRE)
#define lw_fence_rel() LW_FENCE(__ATOMIC_RELEASE)

#define lw_likely(truth) __builtin_expect(!!(truth), 1)
#define lw_unlikely(truth) __builtin_expect(!!(truth), 0)
#define LW_NOINLINE __attribute__((noinline))
#define LW_INLINE static inline __attribute__((always_inline))

/* Set at load time: membarrier(2) is not to be had, so the light side must fence as well. */
extern bool lw_asym_symmetric;
void lw_asym_heavy(void);

LW_INLINE void lw_asym_light(void)
{
    if (lw_unlikely(lw_asym_symmetric))
        LW_ATOMIC_FENCE(__ATOMIC_SEQ_CST);
    else
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* One round of a spin: pause, and every thousandth time let another thread have the CPU. */
void lw_spin(unsigned *rounds);

#ifndef LW_AWAIT
#define LW_AWAIT(truth)                                                                            \
    do {                                                                                           \
        for (unsigned rounds_ = 0; !(truth);)                                                      \
            lw_spin(&rounds_);                                                                     \
    } while (0)
#endif

/* A guard: one bit of an object's word that is held for a few instructions.  Nothing may be called
 * under it that waits, switches, allocates, or is the user's.  Returns the word with the bit
 * set. */
LW_INLINE uint64_t lw_guard_take(uint64_t *word, uint64_t bit)
{
    uint64_t seen = lw_load_rlx(word);
    unsigned rounds = 0;

    for (;;) {
        if (lw_unlikely(seen & bit)) {
            lw_spin(&rounds);
            seen = lw_load_rlx(word);
        } else if (lw_likely(lw_cas_acq(word, &seen, seen | bit))) {
            return seen | bit;
        }
    }
}

LW_INLINE void lw_guard_drop(uint64_t *word, uint64_t bit)
{
    uint64_t seen = lw_and_rel(word, ~bit);

    lw_debug_check((seen & bit) != 0); /* else there were two that had it */
    (void)seen;
}

#ifdef LW_MUTANT /* these are places too */
#define lw_guard_take(word, bit) LW_GUARD_TAKE(word, bit)
#define lw_asym_light() (LW_PLACE("light", "", 0) == LW_GONE ? (void)0 : lw_asym_light())
#define lw_asym_heavy() (LW_PLACE("heavy", "", 0) == LW_GONE ? (void)0 : lw_asym_heavy())
#endif

#endif
