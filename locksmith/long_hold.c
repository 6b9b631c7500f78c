/* SPDX-License-Identifier: MIT */
/* What is done about a hold that lasts.  Its owner is no victim: its own wait, if it is in one,
 * ends well by itself.  But it may be asked, and hears it when it looks; told of it is when that is
 * over.  One that is being asked already, for this lock or another one, is told of at once. */
#include "locksmith/detector.h"
#include "runtime/worker.h"

bool lw_long_hold_decide(const struct lw_long_hold *found, const lw_detector_options *options)
{
    struct lw_asked asked = {.owner = found->owner,
                             .lock = (lw_lock *)(uintptr_t)found->object,
                             .set = found->waiters,
                             .count = found->count};
    bool asks = options->mode == LW_DETECTOR_FORCE && (options->levels & LW_LEVEL(3)) != 0;

    if (asks && lw_tick_runs() && lw_ask(&asked, options, found->report->at))
        return false;
    lw_verdict_tell(options);
    return true;
}
