/* SPDX-License-Identifier: MIT */
/* The shared injection stack of a runtime: tasks that come from other threads, and what does not
 * fit into a worker's ring.  Intrusive, so a push needs no memory and has no capacity.
 *
 *     push: Treiber stack `in` (one CAS per chain)
 *     take: the one who holds `taking` refills `out` with swap(in, NULL), reversed to FIFO, and
 *     takes from it
 *
 * Nobody waits for `taking`: who does not get it looks elsewhere.  No ABA: the only way out of
 * `in` is to take all of it.
 *
 * Ordering.
 * [I1] push publishes the chain:  in, CAS seq_cst  ->  in, swap acquire.  seq_cst, and before the
 *      load of
 *      `sleeping` by the pusher, against asleep = 1 and the re-check by a worker that goes to
 *      sleep.
 * [I2] taking: release store -> CAS acquire: `out` goes from taker to taker. */
#ifndef LW_RUNTIME_INJECT_H
#define LW_RUNTIME_INJECT_H

#include "runtime/record.h"

struct lw_inject {
    struct lw_record *in;
    struct lw_record *out;
    uint32_t taking;
};

/* Push a chain whose links run from the youngest to the oldest (`oldest->next` is overwritten). */
LW_INLINE void lw_inject_push(struct lw_inject *inject, struct lw_record *youngest,
                              struct lw_record *oldest)
{
    struct lw_record *in = lw_load_rlx(&inject->in);

    do
        lw_store_rlx(&oldest->next, in);
    while (!lw_cas_sc(&inject->in, &in, youngest)); /* [I1] */
}

LW_INLINE bool lw_inject_is_empty(const struct lw_inject *inject)
{
    return lw_load_sc(&inject->in) == NULL && lw_load_rlx(&inject->out) == NULL;
}

/* Take up to `max`, oldest first; how many. */
unsigned lw_inject_take(struct lw_inject *inject, struct lw_record **taken, unsigned max);

#endif
