/* SPDX-License-Identifier: MIT */
/* A work-stealing deque that grows, after Chase and Lev (SPAA 2005), without stand-alone fences.
 *
 * One worker owns it and pushes and pops at the bottom; any thread steals at the top.
 *
 *     top                 bottom
 *      |                     |
 *      v                     v
 *      [ old ][  ][  ][ new ]            element i lies in slots[i & mask]
 *      <- steal      pop, push ->
 *
 * Invariants.
 * - top only grows.  An element leaves when, and only when, top passes it or its owner wins it.
 * - bottom is written by the owner alone.  bottom - top may be -1 for the instant inside pop.
 * - 0 <= bottom - top <= mask + 1 at every push.
 * - An array that was grown out of stays readable until fini: a thief may still read it, and what
 *   it
 *   reads there is right, since elements keep their numbers.
 *
 * Ordering.
 * [D1] push publishes the element:  bottom, release  ->  bottom in steal.
 * [D2] steal releases the slot:  top, CAS  ->  top, acquire in push.
 * [D3] pop and steal agree on the last element: pop stores bottom then loads top, steal loads top
 *      then
 *      bottom, all four sequentially consistent, so at least one of them sees the other. */
#ifndef LW_RUNTIME_DEQUE_H
#define LW_RUNTIME_DEQUE_H

#include "runtime/record.h"

struct lw_deque_array {
    struct lw_deque_array *older;
    int64_t mask;
    struct lw_record *slots[];
};

struct lw_deque {
    int64_t bottom;
    int64_t top_seen; /* the owner's last look at top: a lower bound */
    struct lw_deque_array *array;
    int64_t top __attribute__((aligned(64))); /* the thieves' line */
};

/* -ENOMEM. */
int lw_deque_init(struct lw_deque *deque);
void lw_deque_fini(struct lw_deque *deque);

/* Make room for one more; false: no memory. */
bool lw_deque_grow(struct lw_deque *deque);

/* Owner.  False: full, and there is no memory to grow. */
LW_INLINE bool lw_deque_push(struct lw_deque *deque, struct lw_record *record)
{
    int64_t bottom = lw_load_rlx(&deque->bottom);

    if (lw_unlikely(bottom - deque->top_seen > deque->array->mask)) {
        deque->top_seen = lw_load_acq(&deque->top); /* [D2] */
        if (bottom - deque->top_seen > deque->array->mask && !lw_deque_grow(deque))
            return false;
    }
    lw_store_rlx(&deque->array->slots[bottom & deque->array->mask], record);
    lw_store_rel(&deque->bottom, bottom + 1); /* [D1] */
    return true;
}

/* Owner: the newest, or NULL. */
LW_INLINE struct lw_record *lw_deque_pop(struct lw_deque *deque)
{
    int64_t bottom = lw_load_rlx(&deque->bottom);
    struct lw_record *record;
    int64_t top;

    if (bottom - lw_load_rlx(&deque->top) <= 0)
        return NULL; /* empty: only the owner makes it grow, and top only grows */
    lw_store_sc(&deque->bottom, --bottom); /* [D3] claim first, then look */
    top = lw_load_sc(&deque->top);
    if (lw_unlikely(lw_recheck(top > bottom))) { /* else one that was stolen runs twice */
        lw_store_rel(&deque->bottom, bottom + 1);
        return NULL;
    }
    record = lw_load_rlx(&deque->array->slots[bottom & deque->array->mask]);
    /* The last one: race the thieves for it, who may see it too; else it runs twice. */
    if (lw_recheck(top == bottom)) {
        if (!lw_cas_sc(&deque->top, &top, top + 1))
            record = NULL;
        lw_store_rel(&deque->bottom, bottom + 1);
    }
    return record;
}

/* Anyone: the oldest; NULL: empty, or another took it (*lost then says so). */
LW_INLINE struct lw_record *lw_deque_steal(struct lw_deque *deque, bool *lost)
{
    int64_t top = lw_load_sc(&deque->top); /* [D3] */
    int64_t bottom = lw_load_sc(&deque->bottom); /* [D1] */
    struct lw_deque_array *array;
    struct lw_record *record;

    *lost = false;
    if (top >= bottom)
        return NULL;
    array = lw_load_acq(&deque->array);
    record = lw_load_rlx(&array->slots[top & array->mask]);
    if (!lw_cas_sc(&deque->top, &top, top + 1)) { /* [D2] */
        *lost = true;
        return NULL;
    }
    return record;
}

/* Anyone: about how many. */
LW_INLINE int64_t lw_deque_size(const struct lw_deque *deque)
{
    int64_t size = lw_load_rlx(&deque->bottom) - lw_load_rlx(&deque->top);
    return size > 0 ? size : 0;
}

#endif
