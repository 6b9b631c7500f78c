/* SPDX-License-Identifier: MIT */
/* The operations of atomic.h in a mutation build (-Dmutant): each use of one is a place, and one
 * place of the program can be made weaker, to see who notices.
 *
 * A place describes itself and lies in a list that the linker makes; mutant.c finds the chosen one
 * in it before anything runs.  The names of the weaknesses, and which operation has which, are
 * known to tools/check/places.py.  Built with -Wno-shadow: operations stand in arguments of
 * others. */
#ifndef LW_RUNTIME_MUTANT_H
#define LW_RUNTIME_MUTANT_H

#include <stdbool.h>

enum lw_weakness {
    LW_SOUND,
    LW_NO_ACQUIRE, /* what is read afterwards may be old */
    LW_NO_RELEASE, /* what was written before may be seen later */
    LW_NO_TOTAL,   /* seq_cst: no more than acquire and release */
    LW_NO_FAILED,  /* compare-and-swap: no acquire when it fails */
    LW_TORN,       /* a load, and then a store: others come in between */
    LW_GONE,       /* does nothing; a re-check sees nothing */
};

struct lw_place {
    const char *file, *operation, *argument;
    int line, order;
    enum lw_weakness weakness;
};

/* Between the halves of a torn operation. */
void lw_mutant_gap(void);

#ifndef LW_MUTANT_GAP
#define LW_MUTANT_GAP() lw_mutant_gap()
#endif

/* How the place is weakened. */
#ifdef LW_MUTANT_FILE
/* Compiled in, and folded: for a model checker, which has no load time. */
#define LW_PLACE_ENDS(file)                                                                        \
    (sizeof(file) >= sizeof(LW_MUTANT_FILE) &&                                                     \
     __builtin_strcmp((file) + sizeof(file) - sizeof(LW_MUTANT_FILE), LW_MUTANT_FILE) == 0)
#define LW_PLACE(operation, argument, order)                                                       \
    (__LINE__ >= LW_MUTANT_FIRST && __LINE__ <= LW_MUTANT_LAST && (order) == LW_MUTANT_ORDER &&    \
             __builtin_strcmp(operation, LW_MUTANT_OPERATION) == 0 &&                              \
             __builtin_strcmp(argument, LW_MUTANT_ARGUMENT) == 0 && LW_PLACE_ENDS(__FILE__)        \
         ? LW_MUTANT_WEAKNESS                                                                      \
         : LW_SOUND)
#else
#define LW_PLACE(operation, argument, order)                                                       \
    __extension__({                                                                                \
        static struct lw_place place_ = {__FILE__, operation, argument, __LINE__,                  \
                                         order,    LW_SOUND};                                      \
        static struct lw_place *const entry_ __attribute__((section("lw_places"), used)) =         \
            &place_;                                                                               \
        place_.weakness;                                                                           \
    })
#endif

#define LW_LESS_ACQUIRE(order) ((order) == __ATOMIC_ACQ_REL ? __ATOMIC_RELEASE : __ATOMIC_RELAXED)
#define LW_LESS_RELEASE(order) ((order) == __ATOMIC_ACQ_REL ? __ATOMIC_ACQUIRE : __ATOMIC_RELAXED)

#define LW_LOAD(p, order)                                                                          \
    __extension__({                                                                                \
        enum lw_weakness weakness_ = LW_PLACE("load", #p, order);                                  \
        weakness_ == LW_NO_ACQUIRE ? LW_ATOMIC_LOAD(p, __ATOMIC_RELAXED)                           \
        : weakness_ == LW_NO_TOTAL ? LW_ATOMIC_LOAD(p, __ATOMIC_ACQUIRE)                           \
                                   : LW_ATOMIC_LOAD(p, order);                                     \
    })

#define LW_STORE(p, v, order)                                                                      \
    __extension__({                                                                                \
        enum lw_weakness weakness_ = LW_PLACE("store", #p, order);                                 \
        __typeof__(*(p)) new_ = (v);                                                               \
        if (weakness_ == LW_NO_RELEASE)                                                            \
            LW_ATOMIC_STORE(p, new_, __ATOMIC_RELAXED);                                            \
        else if (weakness_ == LW_NO_TOTAL)                                                         \
            LW_ATOMIC_STORE(p, new_, __ATOMIC_RELEASE);                                            \
        else                                                                                       \
            LW_ATOMIC_STORE(p, new_, order);                                                       \
        (void)0;                                                                                   \
    })

/* Swap, add, ...: `torn` is the new value, made of old_ and new_. */
#define LW_MODIFY(name, operation, p, v, order, torn)                                              \
    __extension__({                                                                                \
        enum lw_weakness weakness_ = LW_PLACE(name, #p, order);                                    \
        __typeof__(*(p)) new_ = (v), old_;                                                         \
        if (weakness_ == LW_NO_ACQUIRE) {                                                          \
            old_ = operation(p, new_, LW_LESS_ACQUIRE(order));                                     \
        } else if (weakness_ == LW_NO_RELEASE) {                                                   \
            old_ = operation(p, new_, LW_LESS_RELEASE(order));                                     \
        } else if (weakness_ == LW_NO_TOTAL) {                                                     \
            old_ = operation(p, new_, __ATOMIC_ACQ_REL);                                           \
        } else if (weakness_ == LW_TORN) {                                                         \
            old_ = LW_ATOMIC_LOAD(p, __ATOMIC_ACQUIRE);                                            \
            LW_MUTANT_GAP();                                                                       \
            LW_ATOMIC_STORE(p, (__typeof__(old_))(torn), __ATOMIC_RELEASE);                        \
        } else {                                                                                   \
            old_ = operation(p, new_, order);                                                      \
        }                                                                                          \
        old_;                                                                                      \
    })

#define LW_SWAP(p, v, order) LW_MODIFY("swap", LW_ATOMIC_SWAP, p, v, order, new_)
#define LW_ADD(p, v, order) LW_MODIFY("add", LW_ATOMIC_ADD, p, v, order, old_ + new_)
#define LW_SUB(p, v, order) LW_MODIFY("sub", LW_ATOMIC_SUB, p, v, order, old_ - new_)
#define LW_OR(p, v, order) LW_MODIFY("or", LW_ATOMIC_OR, p, v, order, old_ | new_)
#define LW_AND(p, v, order) LW_MODIFY("and", LW_ATOMIC_AND, p, v, order, old_ & new_)

#define LW_CAS(p, e, v, order, fail)                                                               \
    __extension__({                                                                                \
        enum lw_weakness weakness_ = LW_PLACE("cas", #p, order);                                   \
        __typeof__(*(p)) new_ = (v), old_;                                                         \
        bool won_;                                                                                 \
        if (weakness_ == LW_NO_ACQUIRE) {                                                          \
            won_ = LW_ATOMIC_CAS(p, e, new_, LW_LESS_ACQUIRE(order), __ATOMIC_RELAXED);            \
        } else if (weakness_ == LW_NO_RELEASE) {                                                   \
            won_ = LW_ATOMIC_CAS(p, e, new_, LW_LESS_RELEASE(order), __ATOMIC_RELAXED);            \
        } else if (weakness_ == LW_NO_TOTAL) {                                                     \
            won_ = LW_ATOMIC_CAS(p, e, new_, __ATOMIC_ACQ_REL, fail);                              \
        } else if (weakness_ == LW_NO_FAILED) {                                                    \
            won_ = LW_ATOMIC_CAS(p, e, new_, order, __ATOMIC_RELAXED);                             \
        } else if (weakness_ == LW_TORN) {                                                         \
            old_ = LW_ATOMIC_LOAD(p, __ATOMIC_ACQUIRE);                                            \
            won_ = old_ == *(e);                                                                   \
            LW_MUTANT_GAP();                                                                       \
            if (won_)                                                                              \
                LW_ATOMIC_STORE(p, new_, __ATOMIC_RELEASE);                                        \
            else                                                                                   \
                *(e) = old_;                                                                       \
        } else {                                                                                   \
            won_ = LW_ATOMIC_CAS(p, e, new_, order, fail);                                         \
        }                                                                                          \
        won_;                                                                                      \
    })

#define LW_FENCE(order)                                                                            \
    (LW_PLACE("fence", "", order) == LW_GONE ? (void)0 : LW_ATOMIC_FENCE(order))

#define lw_recheck(truth) (LW_PLACE("recheck", #truth, 0) != LW_GONE && (truth))
#define lw_needed(truth) (LW_PLACE("needed", #truth, 0) != LW_GONE && (truth))

/* Torn: it does not see that somebody has the guard. */
#define LW_GUARD_TAKE(word, bit)                                                                   \
    (LW_PLACE("guard", #word, 0) == LW_TORN                                                        \
         ? (LW_POINT(), LW_ATOMIC_OR(word, bit, __ATOMIC_ACQUIRE) | (bit))                         \
         : lw_guard_take(word, bit))

#endif
