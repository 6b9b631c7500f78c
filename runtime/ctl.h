/* SPDX-License-Identifier: MIT */
/* The word ctl of a record: which life of the slot this is, and what was asked of it.
 *
 *     ctl = generation:32 | cancel requests:8 | fresh ones:8 | flags:16
 *
 * All changes but the spawner's are compare-and-swaps that compare the generation, so nobody ever
 * changes the word of a later life.  A cancel adds one request and one fresh one; delivering takes
 * all fresh ones at once; withdrawing takes one of each back while it is still fresh.  Both counts
 * saturate.
 *
 * [X1] what was done before a cancel -> who is cancelled: request (release) -> take (acquire).
 *      Between the two there are only compare-and-swaps, which are one release sequence: the
 *      others need no order.  (What a life has left is ordered by who hands the record on.)
 *
 * Header-only, without system calls: tests/models runs these very lines. */
#ifndef LW_RUNTIME_CTL_H
#define LW_RUNTIME_CTL_H

#include "runtime/record.h"

/* The life of that generation is over. */
LW_INLINE bool lw_ctl_is_over(uint64_t ctl, uint32_t generation)
{
    return LW_CTL_GENERATION(ctl) != generation || (ctl & LW_LIVE) == 0;
}

LW_INLINE uint64_t lw_ctl_one_more(uint64_t ctl)
{
    if ((ctl & LW_CTL_FRESH_MASK) != LW_CTL_FRESH_MASK)
        ctl += UINT64_C(1) << LW_CTL_FRESH_SHIFT;
    if ((ctl & LW_CTL_REQUESTS_MASK) != LW_CTL_REQUESTS_MASK)
        ctl += UINT64_C(1) << LW_CTL_REQUESTS_SHIFT;
    return ctl;
}

/* One request more; false: that life is over. */
LW_INLINE bool lw_ctl_request(struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    do {
        if (lw_ctl_is_over(ctl, generation))
            return false;
    } while (!lw_cas_rel(&record->ctl, &ctl, lw_ctl_one_more(ctl))); /* [W3] [X1] */
    return true;
}

/* All fresh ones, to be delivered; the requests stay.  How many: 0 to 255. */
LW_INLINE unsigned lw_ctl_take(struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    do {
        if (lw_ctl_is_over(ctl, generation) || (ctl & LW_CTL_FRESH_MASK) == 0)
            return 0;
    } while (!lw_cas_acq(&record->ctl, &ctl, ctl & ~LW_CTL_FRESH_MASK)); /* [X1] */
    return (unsigned)((ctl & LW_CTL_FRESH_MASK) >> LW_CTL_FRESH_SHIFT);
}

/* As many as were taken: each of them can be withdrawn by itself. */
LW_INLINE void lw_ctl_give_back(struct lw_record *record, uint32_t generation, unsigned count)
{
    uint64_t ctl = lw_load_rlx(&record->ctl), next;

    do {
        uint64_t room = (LW_CTL_FRESH_MASK - (ctl & LW_CTL_FRESH_MASK)) >> LW_CTL_FRESH_SHIFT;

        if (lw_ctl_is_over(ctl, generation))
            return;
        next = ctl + ((count < room ? count : room) << LW_CTL_FRESH_SHIFT);
    } while (!lw_cas_rlx(&record->ctl, &ctl, next));
}

/* One request less, if it was not delivered yet.  False: all were, or there is none, or that life
 * is over; *ctl says which. */
LW_INLINE bool lw_ctl_withdraw(struct lw_record *record, uint32_t generation, uint64_t *ctl)
{
    *ctl = lw_load_rlx(&record->ctl);
    do {
        if (lw_ctl_is_over(*ctl, generation) || (*ctl & LW_CTL_FRESH_MASK) == 0)
            return false;
    } while (!lw_cas_rlx(&record->ctl, ctl,
                         *ctl - (UINT64_C(1) << LW_CTL_FRESH_SHIFT) -
                             (UINT64_C(1) << LW_CTL_REQUESTS_SHIFT)));
    return true;
}

/* Set flags; false: that life is over. */
LW_INLINE bool lw_ctl_raise(struct lw_record *record, uint32_t generation, uint64_t flags)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    do {
        if (lw_ctl_is_over(ctl, generation))
            return false;
    } while (!lw_cas_rlx(&record->ctl, &ctl, ctl | flags)); /* [G1] [A1] [W3] */
    return true;
}

/* Take flags back, of that life only.  Those that were there. */
LW_INLINE uint64_t lw_ctl_lower(struct lw_record *record, uint32_t generation, uint64_t flags)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    do {
        if (lw_ctl_is_over(ctl, generation) || (ctl & flags) == 0)
            return 0;
    } while (!lw_cas_rlx(&record->ctl, &ctl, ctl & ~flags));
    return ctl & flags;
}

/* That life is there, and takes what others hand it: it has not said that it ends. */
LW_INLINE bool lw_ctl_lives(const struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_acq(&record->ctl), place = lw_load_acq(&record->place); /* [R1] [R4] */

    return !lw_ctl_is_over(ctl, generation) && (place & LW_PLACE_ENDED) == 0 &&
           /* Without the second look the place may be that of the slot's next life. */
           lw_recheck(!lw_ctl_is_over(lw_load_rlx(&record->ctl), generation));
}

/* End the life that was seen in `ctl`, whatever is asked of it meanwhile.  True for exactly one of
 * all who try. */
LW_INLINE bool lw_ctl_end(struct lw_record *record, uint64_t ctl)
{
    uint32_t generation = LW_CTL_GENERATION(ctl);

    while (lw_unlikely(!lw_cas_rlx(&record->ctl, &ctl, lw_ctl_next_life(ctl)))) /* [R1] */
        if (LW_CTL_GENERATION(ctl) != generation)
            return false;
    return true;
}

#endif
