/* SPDX-License-Identifier: MIT */
/* All workers of a runtime are blocked in calls of the system, while tasks are ready.  The thread
 * that watches the workers has found that, and has done what it can about it (tick.c): here it is
 * told, after its look.  One that leaves may still be telling when the next one looks.
 *
 * [E1] what was found -> pending: true, release; acquire -> what is told.
 * [E2] it was told -> pending: false, release; acquire -> the next one is written over it. */
#include "locksmith/detector.h"

#include <stdio.h>

#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { NAME_BYTES = 24 };

static struct {
    struct lw_exhausted found;
    char runtime[NAME_BYTES];
    bool pending;
} it;

/* Under the runtimes' lock. */
static bool note(const struct lw_exhausted *found)
{
    if (lw_load_acq(&it.pending)) /* [E2] */
        return false;
    it.found = *found;
    (void)snprintf(it.runtime, sizeof it.runtime, "%s",
                   found->runtime != NULL ? found->runtime : "?");
    lw_store_rel(&it.pending, true); /* [E1] */
    return true;
}

static void tell(const lw_detector_options *options)
{
    char what[96];

    (void)lw_verdict_begin(LW_VERDICT_WORKER_EXHAUSTION, lw_sys.now());
    for (uint32_t i = 0; i < it.found.count; i++) {
        struct lw_record *record = lw_record_of(it.found.tasks[i]);

        if (record != NULL && lw_record_id(record) == it.found.tasks[i])
            lw_verdict_add_runner(record);
    }
    (void)snprintf(what, sizeof what, "runtime '%s': %u workers blocked; %s", it.runtime,
                   (unsigned)it.found.blocked,
                   it.found.spare ? "a spare one has joined" : "no spare one could be had");
    lw_verdict_note(what, 0);
    if (it.found.spare) /* the others go on */
        lw_verdict_hush();
    lw_verdict_tell(options);
}

void lw_exhausted_tell(void)
{
    lw_detector_options options;

    if (!lw_load_rlx(&it.pending) || !lw_deciding_begin())
        return;
    if (lw_load_acq(&it.pending)) { /* [E1] nobody else has told of it */
        lw_detector_options_now(&options);
        if (options.mode != LW_DETECTOR_OFF)
            tell(&options);
        lw_store_rel(&it.pending, false); /* [E2] */
    }
    lw_deciding_end();
}

__attribute__((constructor)) static void hear_of_it(void)
{
    lw_tick_exhausted = note;
}
