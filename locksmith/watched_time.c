/* SPDX-License-Identifier: MIT */
/* How much of the time that has passed was watched, and may make waits and holds old.
 *
 * The monotonic clock does not go while the machine sleeps.  But a process that was stopped, or its
 * thread starved, finds that much time has passed in which nobody could do anything.  Whether the
 * thread came in time does not tell: it may have been woken, and then not have run.  So it comes
 * again and again while something becomes old, and where nobody came for longer than that, whatever
 * he meant to do, no wait and no hold is older than the moment when somebody did.
 *
 * While a worker is awake the thread comes each 10 ms; while all sleep, once in a step, and not at
 * all when nothing will be old.  A stop shorter than a step and LATE is not seen, and counts.  So
 * there are two clocks: what is told of soon needs short steps, of which what is told of late would
 * take too many.
 *
 * [A1] a gap: resumed  ->  came, acq_rel: who finds that somebody has come knows since when. */
#include "locksmith/ages.h"

#define LATE (250 * LW_MS)

struct clock {
    lw_nsec step;
    lw_nsec resumed; /* since then somebody has come in each step */
};

/* Anyone's. */
static struct clock holds, waits;
static lw_nsec came; /* somebody, last */

static void raise_to(lw_nsec *it, lw_nsec value)
{
    lw_nsec seen = lw_load_acq(it);

    while (seen < value && !lw_cas_acq_rel(it, &seen, value)) { /* [A1] */
    }
}

static void go_on(struct clock *clock, lw_nsec now, lw_nsec last)
{
    if (now - last > lw_load_rlx(&clock->step) + LATE)
        raise_to(&clock->resumed, now);
}

void lw_ages_come(lw_nsec now)
{
    lw_nsec last = lw_load_acq(&came); /* [A1] */

    go_on(&holds, now, last);
    go_on(&waits, now, last);
    raise_to(&came, now);
}

/* Nothing that may be told of a hold is as far away as the first of these. */
lw_nsec lw_ages_rest(lw_nsec now, lw_nsec next)
{
    lw_nsec soon = lw_load_rlx(&holds.step), step = lw_load_rlx(&waits.step);

    if (next - now <= 5 * soon)
        step = soon;
    return next == LW_FOREVER || next - now < step ? next : now + step;
}

uint32_t lw_in_ms(lw_nsec time)
{
    if (time < 0) /* of one who looked at the clock before another, and goes on after him */
        return 0;
    return time / LW_MS < INT32_MAX ? (uint32_t)(time / LW_MS) : INT32_MAX;
}

void lw_watched_time(lw_nsec now, const lw_detector_options *options, uint32_t *holds_ms,
                     uint32_t *waits_ms)
{
    lw_nsec soon = options->long_hold / 4 + 1 * LW_MS, late = options->long_wait / 8;

    lw_store_rlx(&holds.step, soon);
    lw_store_rlx(&waits.step, late > soon ? late : soon);
    *holds_ms = lw_in_ms(now - lw_load_rlx(&holds.resumed));
    *waits_ms = lw_in_ms(now - lw_load_rlx(&waits.resumed));
}
