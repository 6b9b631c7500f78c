/* SPDX-License-Identifier: MIT */
/* Stacks and task records that are nowhere.  Their depots are never freed, so that no tool for
 * leaks sees one that was not given back: they are counted.  While no runtime is up,
 *
 *     stacks:   carved   =  idle in the depots
 *     promises: out      =  0
 *     records:  carved   =  idle in the depot + in the cache of the guests + retired
 *                           + of attached threads + of tasks that ended and that nobody joined
 *
 * exactly, unless a thread is attaching or leaving just now: then count again. */
#ifndef LW_TESTS_LOST_H
#define LW_TESTS_LOST_H

#include "runtime/worker.h"

struct lost {
    long stacks, promises, records;
    long guests;  /* not lost: attached threads */
    bool settled; /* no runtime is up, and nobody trims: else the counts say nothing */
};

static inline bool is_lost(const struct lost *lost)
{
    return lost->settled && (lost->stacks | lost->promises | lost->records) != 0;
}

static inline bool is_a_runtime_up(void)
{
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++)
        if (lw_load_sc(&lw_runtimes[i]) != NULL)
            return true;
    return false;
}

static inline struct lost count_lost(void)
{
    size_t carved = 0, idle = 0;
    struct lost lost = {.settled = !is_a_runtime_up() && lw_record_counts(&carved, &idle)};
    uint32_t used = lw_records_used();

    if (!lost.settled)
        return lost;
    lost.records = (long)carved - (long)idle - (long)lw_guest_records_idle();
    for (uint32_t slot = 0; slot < used; slot++) {
        const struct lw_record *record = &lw_records[slot];
        uint64_t ctl = lw_load_acq(&record->ctl);
        bool is_live = (ctl & LW_LIVE) != 0, is_guest = is_live && lw_record_is_guest(record);

        lost.guests += is_guest;
        lost.records -= is_guest || (is_live && lw_record_is_done(record)) ||
                        LW_CTL_GENERATION(ctl) == UINT32_MAX;
    }
    lw_stack_counts(&carved, &idle);
    lost.stacks = (long)carved - (long)idle;
    lost.promises = (long)lw_stack_promises();
    lost.settled = !is_a_runtime_up();
    return lost;
}

#endif
