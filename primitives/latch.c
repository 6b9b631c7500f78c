/* SPDX-License-Identifier: MIT */
/* lw_latch: a count in the word, and a queue of all who wait for it to be zero.
 *
 *     count:32 << 8 | QUEUED 2 | GUARD 1
 *
 * A count down that leaves something is one compare-and-swap on a word whose guard is free.  The
 * last one takes the guard: its store is the last touch, for whoever goes on may free the latch.
 *
 * Invariants.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - The count is zero: nobody waits, and it stays so.
 *
 * [C1] what was written before a count down -> after the wait: each count down is acq_rel, or drops
 *      the guard with release -> the next one, and the last: a load with acquire; one who was woken
 *      comes through its wait word (wait.h, W2).
 * [C2] queue: GUARD dropped by a release store -> taken by CAS acquire. */
#include <latchwork/latch.h>

#include <errno.h>

#include "primitives/lock.h"
#include "runtime/fork.h"

enum { GUARD = 1, QUEUED = 2, COUNT_SHIFT = 8 };
#define COUNT_MASK (~UINT64_C(0) << COUNT_SHIFT)

static uint64_t take_guard(lw_latch *latch)
{
    return lw_guard_take(&latch->wait._word._value, GUARD); /* [C2] */
}

static void drop_guard(lw_latch *latch, uint64_t word)
{
    word &= COUNT_MASK;
    lw_debug_check(word != 0 || latch->wait._queue == NULL);
    lw_store_rel(&latch->wait._word._value,
                 latch->wait._queue != NULL ? word | QUEUED : word); /* [C1] [C2] */
}

/* The last of them, or somebody has the guard. */
static LW_NOINLINE int count_down_slow(lw_latch *latch, uint32_t by)
{
    struct lw_wake_batch woken = {0};
    uint64_t word = take_guard(latch);
    int err = 0;

    if (by > word >> COUNT_SHIFT)
        err = -EOVERFLOW;
    else
        word -= (uint64_t)by << COUNT_SHIFT;
    if ((word & COUNT_MASK) == 0)
        lw_queue_claim_all(&latch->wait._queue, &woken);
    drop_guard(latch, word);
    lw_wake_collected(&woken, LW_GRANTED);
    return err;
}

int lw_latch_count_down(lw_latch *latch, uint32_t by)
{
    uint64_t word = lw_load_rlx(&latch->wait._word._value);

    if (lw_forked())
        return -ECHILD;
    while ((word & GUARD) == 0 && by < word >> COUNT_SHIFT)
        if (lw_cas_acq_rel(&latch->wait._word._value, &word,
                           word - ((uint64_t)by << COUNT_SHIFT))) /* [C1] */
            return 0;
    return count_down_slow(latch, by);
}

static LW_NOINLINE int wait_slow(lw_latch *latch, struct lw_record *me, lw_nsec deadline,
                                 const void *site)
{
    struct lw_node *node = &lw_record_cold(me)->node;
    uint64_t word = take_guard(latch);
    /* Without the look the last count down, which came before the guard was ours, is missed. */
    int err = lw_recheck((word & COUNT_MASK) == 0) ? 0
              : deadline == LW_NOW                 ? lw_timeout_error(LW_NOW)
                                                   : 1;
    enum lw_outcome outcome;

    if (err > 0) {
        lw_wait_begin(me, LW_WAIT_LATCH, latch, latch->wait.name, deadline, site);
        lw_queue_push(&latch->wait._queue, node);
    }
    drop_guard(latch, word);
    if (err <= 0)
        return err;
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED) {
        word = take_guard(latch);
        lw_queue_remove(&latch->wait._queue, node);
        drop_guard(latch, word);
    }
    return lw_wait_error(me, outcome);
}

int lw_latch_wait(lw_latch *latch, lw_nsec deadline)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (lw_unlikely(err < 0))
        return err;
    if ((lw_load_acq(&latch->wait._word._value) & COUNT_MASK) == 0) /* [C1] */
        return 0;
    return wait_slow(latch, me, deadline, __builtin_return_address(0));
}

int64_t lw_latch_count(const lw_latch *latch)
{
    return (int64_t)(lw_load_acq(&latch->wait._word._value) >> COUNT_SHIFT); /* [C1] */
}
