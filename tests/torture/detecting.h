/* SPDX-License-Identifier: MIT */
/* What the tortures share in which the detector is all that keeps actors going: it breaks every
 * deadlock, and whoever is refused is refused by a verdict. */
#ifndef LW_TESTS_TORTURE_DETECTING_H
#define LW_TESTS_TORTURE_DETECTING_H

#include "tests/torture/torture.h"

static uint64_t forced_before; /* in laps that are over */

/* How often the detector has made a wait fail. */
static inline uint64_t forced(void)
{
    lw_detector_counts counts;

    lw_detector_read(&counts);
    return counts.forced[2];
}

static inline void check_report(const lw_report *report, void *arg)
{
    (void)arg;
    CHECK(report->verdict != LW_VERDICT_DEADLOCK || !report->unforceable, "a standing deadlock");
}

/* In setup(). */
static inline void begin_to_detect(void)
{
    lw_detector_options options;

    lw_detector_get(&options);
    options.on_report = check_report;
    CHECK(lw_detector_set(&options) == 0, "the options");
    forced_before = forced();
}

/* In check(): so many were refused in this lap. */
static inline void check_refused(uint64_t refused)
{
    CHECK(forced() - forced_before == refused, "%llu verdicts, %llu were refused",
          ull(forced() - forced_before), ull(refused));
}

#endif
