/* SPDX-License-Identifier: MIT */
/* What a look at all waits learns from their ages.  See ages.c. */
#ifndef LW_LOCKSMITH_AGES_H
#define LW_LOCKSMITH_AGES_H

#include "locksmith/detector.h"

struct lw_ages {
    lw_nsec now;
    uint32_t now_ms;
    uint32_t seen_ms, waits_seen_ms; /* no hold is older, nor who waits for it; no other wait */
    uint32_t hold_ms, wait_ms; /* options */
    uint32_t ripe[LW_WAIT_KINDS]; /* a wait of that kind is to be noted when it is so old */
    uint32_t next_ms; /* so soon one of them will be, or something else is to be looked at */
};

/* One who waits, as it was seen. */
struct lw_waiting {
    struct lw_suspect suspect; /* record NULL: nobody */
    uint32_t since;
};

/* Into a list of those who have waited longest, the longest first. */
LW_INLINE void lw_longest_add(struct lw_waiting *longest, unsigned max,
                              const struct lw_waiting *one)
{
    unsigned at = max;

    while (at > 0 && (longest[at - 1].suspect.record == NULL ||
                      (int32_t)(longest[at - 1].since - one->since) > 0)) {
        at--;
        if (at < max - 1)
            longest[at + 1] = longest[at];
    }
    if (at < max)
        longest[at] = *one;
}

/* ---- watched_time.c; by anyone.  It is `now`: before each look. */
void lw_ages_come(lw_nsec now);

/* Until when the thread may sleep while all workers do, if something may be old at `next`. */
lw_nsec lw_ages_rest(lw_nsec now, lw_nsec next);

/* For so long somebody has come: no hold, and no wait for one, is older; and no other wait. */
void lw_watched_time(lw_nsec now, const lw_detector_options *options, uint32_t *holds_ms,
                     uint32_t *waits_ms);
uint32_t lw_in_ms(lw_nsec time);

/* ---- all from here on by one who decides.
 *
 * Of one look: begin; note who waits long; judge.  How many verdicts. */
void lw_ages_begin(struct lw_ages *ages, lw_nsec now, const lw_detector_options *options);
void lw_ages_note(struct lw_ages *ages, uint32_t slot, uint64_t wait, unsigned kind, uint32_t age);
int lw_ages_judge(struct lw_ages *ages, const lw_detector_options *options);

/* Something else is to be found. */
void lw_ages_anew(void);

/* Somebody holds it, who need not wait. */
bool lw_is_held(uint64_t object);

/* ---- long_wait.c; the same for waits for what nobody owns */

bool lw_may_be_long(unsigned kind);
void lw_long_waits_begin(void);
bool lw_long_waits_wants(uint32_t slot);
void lw_long_waits_note(uint32_t slot, uint64_t wait, unsigned kind);
int lw_long_waits_judge(const struct lw_ages *ages, const lw_detector_options *options);
void lw_long_waits_anew(void);

/* ---- in the loop over all */

/* A wait of so many milliseconds. */
LW_INLINE void lw_ages_see(struct lw_ages *ages, uint32_t slot, uint64_t wait, unsigned kind,
                           uint32_t age)
{
    uint32_t ripe = ages->ripe[kind];

    if (age >= ripe)
        lw_ages_note(ages, slot, wait, kind, age);
    else if (ripe - age < ages->next_ms)
        ages->next_ms = ripe - age;
}

#endif
