/* SPDX-License-Identifier: MIT */
/* Sets of waits that stay, since nobody could be made to end one of them, or nobody is to: each is
 * told of once. */
#include "locksmith/detector.h"

enum { STANDING = 1024 }; /* then the oldest is forgotten, and told of again */

static uint64_t standing[STANDING];
static unsigned oldest;

/* Of exactly these waits, in whatever order. */
static uint64_t mark_of(const struct lw_suspect *set, uint32_t count)
{
    uint64_t mark = count;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t sequence = set[i].wait >> LW_STATE_BITS;
        uint64_t part = (sequence << LW_SLOT_BITS ^ lw_record_slot(set[i].record)) + 1;

        part *= UINT64_C(0x9e3779b97f4a7c15);
        mark += part ^ part >> 29;
    }
    return mark;
}

bool lw_standing_is(const struct lw_suspect *set, uint32_t count)
{
    uint64_t mark = mark_of(set, count);

    for (unsigned i = 0; i < STANDING; i++)
        if (standing[i] == mark)
            return true;
    return false;
}

void lw_standing_note(const struct lw_suspect *set, uint32_t count)
{
    standing[oldest] = mark_of(set, count);
    oldest = (oldest + 1) % STANDING;
}

void lw_standing_forget(void)
{
    for (unsigned i = 0; i < STANDING; i++)
        standing[i] = 0;
}
