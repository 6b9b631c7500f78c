/* SPDX-License-Identifier: MIT */
/* lw_breaker: a word with the state and how often it has changed; and counts, of that epoch.
 *
 *     epoch:61 << 3 | state:2 << 1 | GUARD 1
 *
 *     state       _failures            _trials       _told_nothing                next state
 *     CLOSED      since a success      0             0                            OPEN
 *     OPEN        0                    0             0                            HALF_OPEN
 *     HALF_OPEN   0                    that run      that ended, with no verdict  CLOSED, OPEN
 *
 * A call keeps the word that let it in.  When it has ended and the word is another, its result is
 * an earlier epoch's, and no matter.  Counts, _opened and word are written under the guard, which
 * nobody has while fn or a hook runs; a call that is let in by CLOSED and succeeds only reads.
 *
 * Invariants, whenever GUARD is not set.
 * - CLOSED: _failures < failures_max.  HALF_OPEN: _trials <= trials_max; and if _trials is 0 some
 *   trial was cancelled, or fewer than trials_max told nothing: so who comes next is let in.
 * - _opened is when it was last opened, or a moment at which the clock was found to have gone back.
 *
 * [B1] section to section, and to who only looks: GUARD dropped by a release store -> CAS acquire,
 *      load acquire. */
#include <latchwork/breaker.h>

#include <errno.h>
#include <stdio.h>

#include "primitives/defaults.h"
#include "runtime/atomic.h"
#include "runtime/fork.h"

enum { GUARD = 1, STATE_SHIFT = 1, STATE_MASK = 3, EPOCH_SHIFT = 3 };

enum { CHANGED = 1 }; /* beside 0 and negative codes: look again */

/* What a status tells of what was called. */
enum verdict { SUCCEEDED, FAILED, NOTHING, CANCELLED };

static uint32_t numbers; /* given to breakers without a name */

/* ---- the word */

static lw_breaker_state state_of(uint64_t word)
{
    return (lw_breaker_state)(word >> STATE_SHIFT & STATE_MASK);
}

static uint64_t take_guard(lw_breaker *breaker)
{
    return lw_guard_take(&breaker->_word._value, GUARD) & ~(uint64_t)GUARD; /* [B1] */
}

static void drop_guard(lw_breaker *breaker, uint64_t word)
{
    lw_store_rel(&breaker->_word._value, word); /* [B1] */
}

/* The word of the next epoch; its counts are 0. */
static uint64_t change(lw_breaker *breaker, uint64_t word, lw_breaker_state state)
{
    lw_store_rlx(&breaker->_failures._value, 0);
    lw_store_rlx(&breaker->_trials._value, 0);
    lw_store_rlx(&breaker->_told_nothing._value, 0);
    return ((word >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT | (uint64_t)state << STATE_SHIFT;
}

static uint64_t trip(lw_breaker *breaker, uint64_t word, lw_nsec now)
{
    lw_store_rlx(&breaker->_opened._value, (uint64_t)now);
    return change(breaker, word, LW_BREAKER_OPEN);
}

static lw_nsec clock_of(const lw_breaker *breaker)
{
    return breaker->options.now != NULL ? breaker->options.now() : lw_now();
}

/* ---- before the call: 0, a code, or CHANGED: the word is not `seen` any more */

/* OPEN: after the interval the call is the first trial.  _opened was read before the clock: so if
 * it is later, the clock has gone back, and the interval begins anew. */
static int leave_open(lw_breaker *breaker, uint64_t seen, uint64_t *admitted)
{
    lw_nsec opened = (lw_nsec)lw_load_rlx(&breaker->_opened._value), now = clock_of(breaker);
    bool back = now < opened;
    uint64_t word;

    if (!back && (uint64_t)now - (uint64_t)opened <= (uint64_t)breaker->options.reset_after)
        return -EHOSTDOWN;
    word = take_guard(breaker);
    if (!lw_recheck(word == seen)) { /* else two are the first trial, each of an epoch */
        drop_guard(breaker, word);
        return CHANGED;
    }
    if (back) {
        lw_store_rlx(&breaker->_opened._value, (uint64_t)now);
    } else {
        *admitted = word = change(breaker, word, LW_BREAKER_HALF_OPEN);
        lw_store_rlx(&breaker->_trials._value, 1);
    }
    drop_guard(breaker, word);
    return back ? -EHOSTDOWN : 0;
}

static int begin_trial(lw_breaker *breaker, uint64_t seen, uint64_t *admitted)
{
    uint64_t word = take_guard(breaker);
    uint32_t trials = lw_load_rlx(&breaker->_trials._value);
    uint32_t most = breaker->options.trials_max;
    int err = 0;

    if (!lw_recheck(word == seen))
        err = CHANGED;
    else if (trials >= most || lw_load_rlx(&breaker->_told_nothing._value) >= most)
        err = -EBUSY;
    else
        lw_store_rlx(&breaker->_trials._value, trials + 1);
    drop_guard(breaker, word);
    *admitted = word;
    return err;
}

static int admit(lw_breaker *breaker, uint64_t *admitted)
{
    int err;

    do {
        *admitted = lw_load_acq(&breaker->_word._value) & ~(uint64_t)GUARD; /* [B1] */
        if (lw_likely(state_of(*admitted) == LW_BREAKER_CLOSED))
            return 0;
        err = state_of(*admitted) == LW_BREAKER_OPEN ? leave_open(breaker, *admitted, admitted)
                                                     : begin_trial(breaker, *admitted, admitted);
    } while (err == CHANGED);
    return err;
}

/* ---- after it */

static bool is_critical(int status)
{
    return status == -ESHUTDOWN || status == -ENOTRECOVERABLE;
}

static enum verdict judge(const lw_breaker *breaker, int status)
{
    bool (*expected)(int) = breaker->options.expected;

    if (lw_likely(status >= 0))
        return SUCCEEDED;
    if (status == -ECANCELED)
        return CANCELLED;
    if (is_critical(status))
        return NOTHING;
    return expected == NULL || expected(status) ? FAILED : NOTHING;
}

/* Of a call that CLOSED has let in.  Returns the word. */
static uint64_t end_call(lw_breaker *breaker, uint64_t word, enum verdict verdict, lw_nsec now)
{
    uint32_t failures = lw_load_rlx(&breaker->_failures._value);

    if (verdict == FAILED && failures + 1 >= breaker->options.failures_max)
        return trip(breaker, word, now);
    lw_store_rlx(&breaker->_failures._value, verdict == FAILED ? failures + 1 : 0);
    return word;
}

static uint64_t end_trial(lw_breaker *breaker, uint64_t word, enum verdict verdict, lw_nsec now)
{
    uint32_t trials = lw_load_rlx(&breaker->_trials._value) - 1;
    uint32_t told_nothing = lw_load_rlx(&breaker->_told_nothing._value) + (verdict == NOTHING);

    if (verdict == SUCCEEDED)
        return change(breaker, word, LW_BREAKER_CLOSED);
    if (verdict == FAILED || (trials == 0 && told_nothing >= breaker->options.trials_max))
        return trip(breaker, word, now);
    lw_store_rlx(&breaker->_trials._value, trials);
    lw_store_rlx(&breaker->_told_nothing._value, told_nothing);
    return word;
}

static LW_NOINLINE void settle(lw_breaker *breaker, uint64_t admitted, enum verdict verdict)
{
    bool trial = state_of(admitted) == LW_BREAKER_HALF_OPEN;
    lw_nsec now = verdict == SUCCEEDED ? 0 : clock_of(breaker);
    uint64_t word;

    if (lw_forked()) /* by fn */
        return;
    word = take_guard(breaker);
    if (lw_recheck(word == admitted)) /* else what is late acts on another epoch */
        word = trial ? end_trial(breaker, word, verdict, now)
                     : end_call(breaker, word, verdict, now);
    drop_guard(breaker, word);
}

/* A success matters while there are failures; what told nothing, to trials only. */
static bool matters(const lw_breaker *breaker, uint64_t admitted, enum verdict verdict)
{
    if (state_of(admitted) == LW_BREAKER_HALF_OPEN || verdict == FAILED)
        return true;
    return verdict == SUCCEEDED && lw_load_rlx(&breaker->_failures._value) != 0;
}

int lw_breaker_call(lw_breaker *breaker, lw_fn *fn, void *arg, int *status)
{
    enum verdict verdict;
    uint64_t admitted;
    int own, err;

    if (breaker->options.failures_max == 0)
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    err = admit(breaker, &admitted);
    if (lw_unlikely(err < 0))
        return err;
    own = fn(arg);
    verdict = judge(breaker, own);
    if (lw_unlikely(matters(breaker, admitted, verdict)))
        settle(breaker, admitted, verdict);
    if (status != NULL)
        *status = verdict == FAILED && breaker->options.fallback != NULL ? breaker->_fallback : own;
    if (verdict == CANCELLED || is_critical(own))
        return own;
    return verdict == NOTHING ? -EREMOTEIO : 0;
}

lw_breaker_state lw_breaker_read(const lw_breaker *breaker)
{
    return state_of(lw_load_rlx(&breaker->_word._value));
}

uint32_t lw_breaker_failures(const lw_breaker *breaker)
{
    return lw_load_rlx(&breaker->_failures._value);
}

/* ---- making one */

bool lw_breaker_takes(const lw_breaker_options *options)
{
    return options->failures_max > 0 && options->trials_max > 0 && options->reset_after > 0;
}

static void complete(lw_breaker_options *options, const lw_breaker_options *with)
{
    if (options->failures_max == 0)
        options->failures_max = with->failures_max;
    if (options->trials_max == 0)
        options->trials_max = with->trials_max;
    if (options->reset_after == 0)
        options->reset_after = with->reset_after;
    if (options->expected == NULL)
        options->expected = with->expected;
    if (options->fallback == NULL)
        options->fallback = with->fallback;
    if (options->now == NULL)
        options->now = with->now;
}

int lw_breaker_init(lw_breaker *breaker, const char *name, const lw_breaker_options *options)
{
    lw_breaker_options chosen = {0};
    lw_defaults defaults;

    if (lw_forked())
        return -ECHILD;
    if (options != NULL)
        chosen = *options;
    lw_get_defaults(&defaults);
    complete(&chosen, &defaults.breaker);
    if (!lw_breaker_takes(&chosen))
        return -EINVAL;
    *breaker = (lw_breaker){.name = name, .options = chosen};
    if (chosen.fallback != NULL)
        breaker->_fallback = *chosen.fallback;
    if (name == NULL) {
        (void)snprintf(breaker->_number, sizeof breaker->_number, "#%u",
                       (unsigned)(lw_add_rlx(&numbers, 1) + 1));
        breaker->name = breaker->_number;
    }
    return 0;
}
