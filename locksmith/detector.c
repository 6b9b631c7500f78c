/* SPDX-License-Identifier: MIT */
/* What the detector is set to, and what it counts.  See detector.h. */
#include "locksmith/detector.h"

#include <errno.h>
#include <string.h>

#include "locksmith/printer.h"
#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { GUARD = 1 };

/* Those that there are.  6 and 7 are the end of an owner's own, and of the kind of its lock. */
#define LEVELS                                                                                     \
    (LW_LEVELS_DEFAULT | LW_LEVEL(6) | LW_LEVEL(7) | LW_LEVEL(8) | LW_LEVEL(9))

static const lw_detector_options defaults = {
    .mode = LW_DETECTOR_FORCE,
    .levels = LW_LEVELS_DEFAULT,
    .period_min = 1 * LW_MS,
    .period_max = 1 * LW_SEC,
    .long_hold = 1 * LW_SEC,
    .long_wait = 30 * LW_SEC,
    .grace = 100 * LW_MS,
};

static struct {
    uint64_t guard; /* of the options: while they are copied */
    lw_detector_options options;
    uint64_t deciding; /* [D1] */
    int calls; /* the thread that is in a user's function; 0: none */
} detector;

lw_detector_counts lw_detector_counted;

/* ---- who decides */

bool lw_deciding_begin(void)
{
    uint64_t nobody = 0;

    return lw_cas_acq(&detector.deciding, &nobody, 1); /* [D1] */
}

bool lw_deciding_begin_now(void)
{
    return lw_add_sc(&detector.deciding, 0) == 0 && lw_deciding_begin(); /* [A2] [S4] */
}

/* And with it what others have left to who decides. */
void lw_deciding_end(void)
{
    lw_store_sc(&detector.deciding, 0); /* [D1] [A2] [S4] */
    while ((lw_abandoned_any() || lw_sweep_is_left()) && lw_deciding_begin()) {
        lw_abandoned_tell();
        if (lw_sweep_is_left())
            (void)lw_sweep_now();
        lw_store_sc(&detector.deciding, 0); /* [D1] [A2] [S4] */
    }
}

/* ---- the user's functions */

void lw_detector_calls(bool begin)
{
    lw_store_rlx(&detector.calls, begin ? lw_sys.thread_number() : 0);
}

static bool is_called_back(void)
{
    return lw_load_rlx(&detector.calls) == lw_sys.thread_number();
}

bool lw_deciding_await(void)
{
    uint32_t word = 0;

    if (is_called_back())
        return false;
    while (!lw_deciding_begin())
        lw_sys.futex_wait(&word, 0, lw_sys.now() + 1 * LW_MS);
    return true;
}

/* ---- the options */

void lw_detector_options_now(lw_detector_options *options)
{
    (void)lw_guard_take(&detector.guard, GUARD);
    *options = detector.options;
    lw_guard_drop(&detector.guard, GUARD);
}

void lw_detector_get(lw_detector_options *options)
{
    if (lw_forked()) { /* a thread that is gone may have the guard */
        *options = defaults;
        options->mode = LW_DETECTOR_OFF;
        return;
    }
    lw_detector_options_now(options);
}

static bool is_valid(const lw_detector_options *options)
{
    for (size_t i = 0; i < sizeof options->_reserved / sizeof options->_reserved[0]; i++)
        if (options->_reserved[i] != 0)
            return false;
    return (unsigned)options->mode <= LW_DETECTOR_FORCE &&
           (options->levels & ~LEVELS) == 0 && options->period_min >= 0 &&
           options->period_max >= 0 && options->long_hold >= 0 && options->long_wait >= 0 &&
           options->grace >= 0 && !options->immunity && !options->order_lint;
}

static void default_to(lw_nsec *option, lw_nsec value)
{
    if (*option == 0)
        *option = value;
}

/* What is not said. */
static void fill_in(lw_detector_options *options)
{
    if (options->levels == 0)
        options->levels = defaults.levels;
    default_to(&options->period_min, defaults.period_min);
    default_to(&options->period_max, defaults.period_max);
    default_to(&options->long_hold, defaults.long_hold);
    default_to(&options->long_wait, defaults.long_wait);
    default_to(&options->grace, defaults.grace);
}

static void put(const lw_detector_options *options)
{
    (void)lw_guard_take(&detector.guard, GUARD);
    detector.options = *options;
    lw_guard_drop(&detector.guard, GUARD);
    lw_store_rlx(&lw_wait_watcher, options->mode != LW_DETECTOR_OFF ? lw_walk : NULL);
    lw_store_rlx(&lw_owner_changed, options->mode != LW_DETECTOR_OFF ? lw_sweep_soon : NULL);
    lw_store_rlx(&lw_wait_in_vain, options->mode != LW_DETECTOR_OFF ? lw_sweep_in_vain : NULL);
    lw_store_rlx(&lw_tick_duty, options->mode != LW_DETECTOR_OFF ? lw_sweep : NULL);
}

int lw_detector_set(const lw_detector_options *options)
{
    lw_detector_options wanted = options != NULL ? *options : defaults;

    if (lw_forked())
        return -ECHILD;
    if (is_called_back())
        return -EDEADLK;
    fill_in(&wanted);
    if (!is_valid(&wanted) || wanted.period_min > wanted.period_max)
        return -EINVAL;
    (void)lw_deciding_await(); /* nobody is in the functions of before once we return */
    lw_ask_withdraw();
    put(&wanted);
    lw_standing_forget();
    lw_sweep_anew();
    lw_deciding_end();
    return 0;
}

int lw_detector_scan(void)
{
    int verdicts;

    if (lw_forked())
        return -ECHILD;
    if (is_called_back())
        return -EDEADLK;
    if (!lw_deciding_begin())
        return -EBUSY;
    verdicts = lw_sweep_now();
    lw_deciding_end();
    return verdicts;
}

void lw_detector_read(lw_detector_counts *counts)
{
    lw_detector_counts *counted = &lw_detector_counted;

    *counts = (lw_detector_counts){0};
    for (size_t i = 0; i < sizeof counts->verdicts / sizeof counts->verdicts[0]; i++)
        counts->verdicts[i] = lw_load_rlx(&counted->verdicts[i]);
    for (size_t i = 0; i < sizeof counts->forced / sizeof counts->forced[0]; i++)
        counts->forced[i] = lw_load_rlx(&counted->forced[i]);
    counts->scans = lw_load_rlx(&counted->scans);
    counts->phantoms_refused = lw_load_rlx(&counted->phantoms_refused);
}

/* ---- its beginning, and its end */

/* lw_tick_over of worker.h: nobody is left who would look.  What plain threads have left to it is
 * looked at here. */
static void withdraw_all(void)
{
    if (lw_ask_due() != LW_FOREVER && lw_deciding_await()) {
        lw_ask_withdraw();
        lw_deciding_end();
    }
    lw_sweep_soon();
}

/* In a child.  One that may go on (fork.c) has the detector as its parent had it: but whoever held
 * something, or printed, is not there. */
static void begin_anew_in_child(void)
{
    detector.guard = detector.deciding = 0;
    lw_printer_forked();
    lw_abandoned_forked();
    if (!lw_forked())
        return;
    detector.options.mode = LW_DETECTOR_OFF;
    put(&detector.options);
}

__attribute__((constructor)) static void turn_on(void)
{
    lw_forked_hook = begin_anew_in_child;
    lw_tick_over = withdraw_all;
    put(&defaults);
}
