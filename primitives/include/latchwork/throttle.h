/* SPDX-License-Identifier: MIT */
/* An lw_throttle spaces calls out, and goes slower or faster as they fail or succeed.
 *
 *     lw_throttle_init(&throttle, "crawler", 10, NULL);     // ten a second to begin with
 *
 *     LW_SCOPE(&throttle.scope, LW_FOREVER, err) {
 *         err = fetch(page);                                // negative: it counts as a failure
 *     } else {
 *         return err;
 *     }
 *
 * Each entry has a slot, 1/rate after that of the entry before it, longer or shorter by a random
 * share of up to `jitter`; it waits for its slot, and holds nothing inside.  Slots are given in the
 * order of arrival (the virtual scheduling algorithm of ITU-T I.371, without a tolerance).  Who
 * comes late does not make up for it: no two slots are ever closer.
 *
 * After `window` exits, the next one looks at the share of successes among them: above ratio_high
 * the rate is multiplied by factor_up, below ratio_low by factor_down, and a window begins, with
 * that exit as its first.  Changes of 2 % or less are left out. */
#ifndef LATCHWORK_THROTTLE_H
#define LATCHWORK_THROTTLE_H

#include <latchwork/scope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero, or NULL in place of the struct: what lw_get_defaults() says.  Rates are calls a
 * second. */
typedef struct lw_throttle_options {
    double rate_min, rate_max;       /* 0: 0.01 and 100 */
    uint32_t window;                 /* exits; 0: 100 */
    double ratio_high, ratio_low;    /* 0: 0.75 and 0.25; a negative ratio_low: never slower */
    double factor_up, factor_down;   /* 0: 1.25 and 0.75 */
    double jitter;                   /* at most 1; 0: 0.2; negative: none */
    lw_nsec (*now)(void);            /* the clock of the slots; NULL: lw_now() */
    double (*random)(double jitter); /* a number from -jitter to jitter; NULL: evenly spread */
    uint64_t _reserved[2];
} lw_throttle_options;

typedef struct lw_throttle {
    lw_scope scope;
    const char *name;
    lw_throttle_options options; /* as they are in force, but for the jitter; not to be changed */
    lw_word64 _word;
    lw_word64 _rate, _jitter;
    lw_word64 _last, _seen, _newest;
    lw_word64 _counts, _random;
} lw_throttle;

LW_API extern const lw_scope_kind lw_throttle_kind;

/* Make a throttle.  The first entry does not wait.
 * Returns 0; -EINVAL: calls_per_second is not between rate_min and rate_max, or these are not
 * positive and in order, ratio_low is above ratio_high, factor_up below 1, factor_down not between
 * 0 and 1, or something is not a number; -ECHILD: after fork.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_throttle_init(lw_throttle *throttle, const char *name,
                                          double calls_per_second,
                                          const lw_throttle_options *options);

/* Wait for the next slot.  If it comes after the deadline no slot is taken, and the wait ends with
 * the deadline: with the slot that is due then, since others have given up theirs, or -ETIMEDOUT.
 * So LW_NOW is a try.  Who is cancelled gives the slot back if nobody has a later one; else it goes
 * by unused.  `random` is called once, and `now` once or twice, with nothing held.
 * Returns 0; -EINVAL: a zeroed throttle.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_throttle_enter(lw_throttle *throttle, lw_nsec deadline);

/* Say how it went: a negative status is a failure, -ECANCELED too.  Once for each entry.
 * Anyone.  Never switches. */
LW_API void lw_throttle_exit(lw_throttle *throttle, int status);

/* Begin a window: both counts are 0.  The rate and the slots stay.  Anyone.  Never switches. */
LW_API void lw_throttle_reset(lw_throttle *throttle);

/* The rate, in calls a second.  Anyone; a snapshot. */
LW_API double lw_throttle_rate(const lw_throttle *throttle);

/* Change the rate, to rate_min or rate_max at most; slots that were given stay.
 * Returns 0; -EINVAL: not a number, or a zeroed throttle; -ECHILD.  Anyone.  Never switches. */
LW_API int lw_throttle_set_rate(lw_throttle *throttle, double calls_per_second);

/* The share by which spaces vary.  Anyone; a snapshot. */
LW_API double lw_throttle_jitter(const lw_throttle *throttle);

/* Change the jitter; below 0 it is 0, above 1 it is 1.
 * Returns 0; -EINVAL: not a number.  Anyone.  Never switches. */
LW_API int lw_throttle_set_jitter(lw_throttle *throttle, double jitter);

/* The exits of this window so far, as they are at one moment; either may be NULL.
 * Anyone; a snapshot. */
LW_API void lw_throttle_counts(const lw_throttle *throttle, uint32_t *successes,
                               uint32_t *failures);

#ifdef __cplusplus
}
#endif
#endif
