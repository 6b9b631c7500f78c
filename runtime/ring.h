/* SPDX-License-Identifier: MIT */
/* A bounded FIFO ring: one worker owns it and pushes at the tail; the owner and any thief take at
 * the head, a thief up to half of what is there in one compare-and-swap.
 *
 * Invariants.
 * - head and tail only grow, as 64-bit numbers: no ABA.  head <= tail <= head + LW_RING_SIZE.
 * - tail is written by the owner alone.  A slot in head .. tail - 1 is never written: so a taker
 *   reads
 *   the slots first and the successful CAS of head proves that what it read was still there.
 *
 * Ordering.
 * [Q1] push publishes the slot:  tail, release  ->  tail, acquire in steal (the owner knows its
 *      own).
 * [Q2] taking frees the slot:  head, CAS acq_rel  ->  head, acquire in push. */
#ifndef LW_RUNTIME_RING_H
#define LW_RUNTIME_RING_H

#include "runtime/record.h"

#ifdef LW_TINY
enum { LW_RING_SIZE = 8 };
#else
enum { LW_RING_SIZE = 1024 };
#endif

struct lw_ring {
    uint64_t tail;
    uint64_t head_seen; /* the owner's last look at head: a lower bound */
    struct lw_record *slots[LW_RING_SIZE];
    uint64_t head __attribute__((aligned(64))); /* the takers' line */
};

/* Owner.  False: full. */
LW_INLINE bool lw_ring_push(struct lw_ring *ring, struct lw_record *record)
{
    uint64_t tail = lw_load_rlx(&ring->tail);

    if (lw_unlikely(tail - ring->head_seen >= LW_RING_SIZE)) {
        ring->head_seen = lw_load_acq(&ring->head); /* [Q2] */
        if (lw_recheck(tail - ring->head_seen >= LW_RING_SIZE)) /* else it would be overwritten */
            return false;
    }
    lw_store_rlx(&ring->slots[tail % LW_RING_SIZE], record);
    lw_store_rel(&ring->tail, tail + 1); /* [Q1] */
    return true;
}

/* Owner: the oldest, or NULL. */
LW_INLINE struct lw_record *lw_ring_pop(struct lw_ring *ring)
{
    uint64_t head = lw_load_rlx(&ring->head);

    while (head != lw_load_rlx(&ring->tail)) {
        struct lw_record *record = lw_load_rlx(&ring->slots[head % LW_RING_SIZE]);

        if (lw_likely(lw_cas_acq_rel(&ring->head, &head, head + 1))) /* [Q2] */
            return record;
    }
    return NULL;
}

/* Anyone: take half, rounded up, at most `max`; how many.  0: empty, or another was faster. */
LW_INLINE unsigned lw_ring_steal(struct lw_ring *ring, struct lw_record **taken, unsigned max)
{
    uint64_t head = lw_load_acq(&ring->head);
    uint64_t tail = lw_load_acq(&ring->tail); /* [Q1] */
    uint64_t count = tail - head;

    /* The two loads are of different moments: without the look more than there is would be read,
     * and lost where the compare-and-swap succeeds. */
    if (count == 0 || lw_recheck(count > LW_RING_SIZE))
        return 0;
    count -= count / 2;
    if (count > max)
        count = max;
    for (uint64_t i = 0; i < count; i++)
        taken[i] = lw_load_rlx(&ring->slots[(head + i) % LW_RING_SIZE]);
    return lw_cas_acq_rel(&ring->head, &head, head + count) ? (unsigned)count : 0; /* [Q2] */
}

/* Anyone: about how many. */
LW_INLINE uint64_t lw_ring_size(const struct lw_ring *ring)
{
    uint64_t head = lw_load_rlx(&ring->head), tail = lw_load_rlx(&ring->tail);
    return tail - head <= LW_RING_SIZE ? tail - head : 0;
}

#endif
