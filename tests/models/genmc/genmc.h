/* SPDX-License-Identifier: MIT */
/* What the cores need of the library around them, for GenMC drivers: included before everything
 * (-include).  The headers themselves are the library's own.
 *
 * A driver is a small program of POSIX threads.  GenMC runs it in every way that RC11 or IMM
 * allows, and looks for failed assertions, races on plain fields, and, with --check-liveness, loops
 * that wait for ever.  So parking is a loop on what would wake the parked one.
 *
 * The asymmetric fence is a sequentially consistent one on both sides, as where membarrier(2) is
 * missing.
 *
 * Mutants that any driver may ask for:
 * -DNO_LIGHT -DNO_HEAVY      the asymmetric fence has no such side
 * -DWEAK_STORE               stores that release are relaxed
 * -DWEAK_LOAD                loads that acquire are relaxed
 * -DWEAK_CAS -DWEAK_SWAP     acq_rel read-modify-writes are relaxed
 * -DWEAK_ACQ                 compare-and-swaps that acquire are relaxed
 * -DWEAK_SC                  what is sequentially consistent is acquire and release */
#ifndef LW_TESTS_MODELS_GENMC_H
#define LW_TESTS_MODELS_GENMC_H

#include <assert.h>
#include <genmc.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "runtime/check.h"

#ifdef WEAK_CAS
#undef lw_cas_acq_rel
#define lw_cas_acq_rel lw_cas_rlx
#endif

/* One mutant of tools/check/mutants is compiled in: these are places, too. */
#ifndef LW_MUTANT
#define GENMC_GONE(place) false
#define GENMC_TORN_GUARD(word) false
#else
#undef lw_asym_light
#undef lw_asym_heavy
#undef lw_guard_take
#define GENMC_GONE(place) (LW_PLACE(place, "", 0) == LW_GONE)
#define GENMC_TORN_GUARD(word) (LW_PLACE("guard", #word, 0) == LW_TORN)
#endif

#ifdef NO_LIGHT
#define lw_asym_light() ((void)0)
#else
#define lw_asym_light() (GENMC_GONE("light") ? (void)0 : __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif
#ifdef NO_HEAVY
#define lw_asym_heavy() ((void)0)
#else
#define lw_asym_heavy() (GENMC_GONE("heavy") ? (void)0 : __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif

#ifdef WEAK_STORE
#undef lw_store_rel
#define lw_store_rel lw_store_rlx
#endif
#ifdef WEAK_LOAD
#undef lw_load_acq
#define lw_load_acq lw_load_rlx
#endif
#ifdef WEAK_ACQ
#undef lw_cas_acq
#define lw_cas_acq lw_cas_rlx
#endif
#ifdef WEAK_SWAP
#undef lw_swap_acq_rel
#define lw_swap_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELAXED)
#endif
#ifdef WEAK_SC
#undef lw_load_sc
#define lw_load_sc lw_load_acq
#undef lw_store_sc
#define lw_store_sc lw_store_rel
#undef lw_swap_sc
#define lw_swap_sc lw_swap_acq_rel
#undef lw_cas_sc
#define lw_cas_sc lw_cas_acq_rel
#endif

/* GenMC does not let a 32-bit sum wrap: one less is a difference here. */
#ifdef WEAK_SC
#define GENMC_ADD_ORDER __ATOMIC_ACQ_REL
#else
#define GENMC_ADD_ORDER __ATOMIC_SEQ_CST
#endif
#undef LW_ATOMIC_ADD
#define LW_ATOMIC_ADD(p, v, order)                                                                 \
    ((v) == (uint32_t)-1 ? __atomic_fetch_sub((p), 1, (order))                                     \
                         : __atomic_fetch_add((p), (v), (order)))
#undef lw_add_sc
#define lw_add_sc(p, v) LW_ADD(p, v, GENMC_ADD_ORDER)

/* Wait until it is true: the one kind of loop that GenMC is told to be one, with
 * --disable-spin-assume, since of its own it takes a loop around a compare-and-swap for one that
 * only waits, though what it goes on with is what the failure has read. */
#define await(truth)                                                                               \
    do {                                                                                           \
        bool true_;                                                                                \
                                                                                                   \
        __VERIFIER_loop_begin();                                                                   \
        do {                                                                                       \
            __VERIFIER_spin_start();                                                               \
            true_ = (truth);                                                                       \
            __VERIFIER_spin_end(true_);                                                            \
        } while (!true_);                                                                          \
    } while (0)

/* The guard, with the wait for it in a loop of its own. */
static inline uint64_t genmc_guard_take(uint64_t *word, uint64_t bit)
{
    for (;;) {
        uint64_t seen;

        await(((seen = __atomic_load_n(word, __ATOMIC_RELAXED)) & bit) == 0);
        if (lw_cas_acq(word, &seen, seen | bit))
            return seen | bit;
    }
}
#define lw_guard_take(word, bit)                                                                   \
    (GENMC_TORN_GUARD(word) ? LW_ATOMIC_OR(word, bit, __ATOMIC_ACQUIRE) | (bit)                    \
                            : genmc_guard_take(word, bit))
#define lw_spin(rounds) ((void)(rounds))
#define lw_panic(text, file, line) (assert(!(text)), abort())

/* The records lie in two arrays.  (GenMC's addresses have their top bit set, which the library's
 * own arithmetic would lose.) */
#define lw_record_cold real_record_cold
#define lw_cold_record real_cold_record
#include "runtime/record.h"
#undef lw_record_cold
#undef lw_cold_record

enum { RECORDS = 4 };

static struct lw_record hot_[RECORDS];
static struct lw_cold cold_[RECORDS];
struct lw_record *lw_records = hot_;
struct lw_cold *lw_colds = cold_;
uintptr_t lw_cold_offset;
uint32_t lw_slots_used = RECORDS;
uint32_t lw_coarse_ms;

static inline struct lw_cold *lw_record_cold(const struct lw_record *record)
{
    return &cold_[record - hot_];
}

static inline struct lw_record *lw_cold_record(const struct lw_cold *cold)
{
    return &hot_[cold - cold_];
}

/* First in main(). */
static inline void begin(void)
{
    for (int i = 0; i < RECORDS; i++)
        hot_[i].ctl = (UINT64_C(1) << 32) | LW_LIVE;
}

static inline void start(pthread_t *thread, void *(*run)(void *))
{
    if (pthread_create(thread, NULL, run, NULL) != 0)
        abort();
}

static inline void join(pthread_t thread)
{
    (void)pthread_join(thread, NULL);
}

#endif
