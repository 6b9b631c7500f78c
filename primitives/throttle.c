/* SPDX-License-Identifier: MIT */
/* lw_throttle: when the newest slot is, and how it went lately; under a guard, bit 0 of a word that
 * has no other.
 *
 * An entry takes its slot at once, under the guard, and then sleeps until it is due, without it: so
 * entries at the same time are as far apart as others.
 *
 *     _last ---- gap ----> the next slot, if that is not past: else it is now
 *
 * Moments are those of the clock `now` and are compared by their distances, which are signed: no
 * moment is too late to be counted on from.  A distance is FAR at most.
 *
 * Invariants, under the guard.
 * - _seen is the latest moment that an entry came at.  A clock that is found before it although it
 *   was asked after it has gone back: then _last goes with it.
 * - _newest is the number of the newest entry that has kept its slot, and _last that slot.
 * - _counts: failures:32 << 32 | successes:32, together window at most.
 *
 * [T1] section to section: GUARD dropped by release -> taken by CAS acquire.
 * [T2] _seen, and all that came before that moment -> who asks the clock next: store release ->
 *      load acquire. */
#include <latchwork/throttle.h>

#include <errno.h>
#include <float.h>

#include "primitives/defaults.h"
#include "primitives/number.h"
#include "runtime/fork.h"
#include "runtime/wait.h"

enum { GUARD = 1, FAILURES_SHIFT = 32 };

#define FAR (INT64_MAX / 4) /* 73 years */
#define CHANGE_MIN 0.02     /* of the rate, in adjustments */

struct entry {
    double stretch;     /* of its gap, by jitter; 0 to 2 */
    lw_nsec came;       /* by lw_now() */
    lw_nsec due, moved; /* the distance to its slot; that by which it moved _last */
    uint64_t number;
};

static void take_guard(lw_throttle *throttle)
{
    (void)lw_guard_take(&throttle->_word._value, GUARD); /* [T1] */
}

static void drop_guard(lw_throttle *throttle)
{
    lw_guard_drop(&throttle->_word._value, GUARD); /* [T1] */
}

static double clamp(double number, double low, double high)
{
    return number < low ? low : number > high ? high : number;
}

/* ---- the gap */

/* Evenly spread from -1 to 1 (splitmix64). */
static double draw(lw_throttle *throttle)
{
    uint64_t z = lw_add_rlx(&throttle->_random._value, UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(int64_t)(z >> 11) * 0x1p-52 - 1;
}

static double draw_stretch(lw_throttle *throttle)
{
    double jitter = lw_throttle_jitter(throttle);
    double share = throttle->options.random != NULL ? throttle->options.random(jitter)
                                                    : jitter * draw(throttle);

    return share != share ? 1 : 1 + clamp(share, -1, 1);
}

/* In whole nanoseconds, rounded up. */
static lw_nsec gap_of(const lw_throttle *throttle, double stretch)
{
    double gap = (double)LW_SEC / lw_throttle_rate(throttle) * stretch;
    lw_nsec whole;

    if (!(gap < (double)FAR))
        return FAR;
    whole = (lw_nsec)gap;
    return whole + ((double)whole < gap);
}

/* ---- slots */

static lw_nsec distance(uint64_t from, uint64_t to)
{
    return (lw_nsec)(to - from);
}

/* The throttle's own clock, and then lw_now(): so no sleep ends before its slot. */
static uint64_t read_clocks(const lw_throttle *throttle, lw_nsec *came)
{
    lw_nsec (*clock)(void) = throttle->options.now;
    lw_nsec now = clock != NULL ? clock() : 0;

    *came = lw_now();
    return (uint64_t)(clock != NULL ? now : *came);
}

/* Under the guard, of an entry that read the clock after it had seen `floor`. */
static void note_clock(lw_throttle *throttle, uint64_t floor, uint64_t now)
{
    uint64_t seen = lw_load_rlx(&throttle->_seen._value);
    bool before = distance(seen, now) < 0;

    if (before && distance(floor, now) >= 0)
        return; /* others came meanwhile */
    if (before)
        lw_store_rlx(&throttle->_last._value,
                     lw_load_rlx(&throttle->_last._value) + (now - seen));
    lw_store_rel(&throttle->_seen._value, now); /* [T2] */
}

/* Take the next slot, if it is not further away than the deadline. */
static bool take_slot(lw_throttle *throttle, struct entry *entry, lw_nsec deadline)
{
    uint64_t floor = lw_load_acq(&throttle->_seen._value); /* [T2] */
    uint64_t now = read_clocks(throttle, &entry->came);
    lw_nsec within = deadline > entry->came ? deadline - entry->came : 0, ahead;
    bool taken;

    take_guard(throttle);
    note_clock(throttle, floor, now);
    ahead = distance(now, lw_load_rlx(&throttle->_last._value));
    if (ahead < -FAR || ahead > FAR) /* as no slot is: the clock has come around */
        ahead = -FAR;
    entry->due = ahead + gap_of(throttle, entry->stretch);
    if (entry->due < 0)
        entry->due = 0;
    if (entry->due > FAR)
        entry->due = FAR;
    taken = entry->due <= within || deadline == LW_FOREVER;
    if (taken) {
        entry->moved = entry->due - ahead;
        entry->number = lw_load_rlx(&throttle->_newest._value) + 1;
        lw_store_rlx(&throttle->_newest._value, entry->number);
        lw_store_rlx(&throttle->_last._value, now + (uint64_t)entry->due);
    }
    drop_guard(throttle);
    return taken;
}

/* Behind the newest one nobody waits; the slots of others are spaced as they are. */
static void give_back(lw_throttle *throttle, const struct entry *entry)
{
    take_guard(throttle);
    if (lw_load_rlx(&throttle->_newest._value) == entry->number) {
        lw_store_rlx(&throttle->_newest._value, entry->number - 1);
        lw_store_rlx(&throttle->_last._value,
                     lw_load_rlx(&throttle->_last._value) - (uint64_t)entry->moved);
    }
    drop_guard(throttle);
}

/* Returns -ETIMEDOUT when it has come, or how the wait ended before. */
static int sleep_until(lw_throttle *throttle, struct lw_record *me, lw_nsec moment,
                       const void *site)
{
    lw_wait_begin(me, LW_WAIT_SLEEP, throttle, throttle->name, moment, site);
    return lw_wait_error(me, lw_wait_finish(me));
}

static int enter(lw_throttle *throttle, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    struct entry entry;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    if (throttle->options.window == 0)
        return -EINVAL;
    entry.stretch = draw_stretch(throttle);
    if (!take_slot(throttle, &entry, deadline)) {
        if (deadline == LW_NOW)
            return -ETIMEDOUT;
        err = sleep_until(throttle, me, deadline, site);
        /* One may have been given back meanwhile. */
        if (err != -ETIMEDOUT || !take_slot(throttle, &entry, LW_NOW))
            return err;
    }
    if (entry.due == 0)
        return 0;
    err = sleep_until(throttle, me, entry.came + entry.due, site);
    if (err == -ETIMEDOUT)
        return 0;
    give_back(throttle, &entry);
    return err;
}

int lw_throttle_enter(lw_throttle *throttle, lw_nsec deadline)
{
    return enter(throttle, deadline, __builtin_return_address(0));
}

/* ---- how it went */

static void set_rate(lw_throttle *throttle, double rate)
{
    lw_number_store(&throttle->_rate._value,
                    clamp(rate, throttle->options.rate_min, throttle->options.rate_max));
}

/* Under the guard, after a whole window. */
static void adjust(lw_throttle *throttle, uint32_t successes, uint32_t exits)
{
    const lw_throttle_options *options = &throttle->options;
    double ratio = (double)successes / exits, old = lw_throttle_rate(throttle), change;

    if (ratio > options->ratio_high)
        set_rate(throttle, old * options->factor_up);
    else if (ratio < options->ratio_low)
        set_rate(throttle, old * options->factor_down);
    change = 1 - old / lw_throttle_rate(throttle);
    if (change <= CHANGE_MIN && change >= -CHANGE_MIN)
        lw_number_store(&throttle->_rate._value, old);
}

void lw_throttle_exit(lw_throttle *throttle, int status)
{
    uint64_t counts;
    uint32_t successes, exits;

    if (throttle->options.window == 0 || lw_forked())
        return;
    take_guard(throttle);
    counts = lw_load_rlx(&throttle->_counts._value);
    successes = (uint32_t)counts;
    exits = successes + (uint32_t)(counts >> FAILURES_SHIFT);
    if (exits >= throttle->options.window) {
        adjust(throttle, successes, exits);
        counts = 0;
    }
    counts += status < 0 ? UINT64_C(1) << FAILURES_SHIFT : 1;
    lw_store_rlx(&throttle->_counts._value, counts);
    drop_guard(throttle);
}

void lw_throttle_reset(lw_throttle *throttle)
{
    if (lw_forked())
        return;
    take_guard(throttle);
    lw_store_rlx(&throttle->_counts._value, 0);
    drop_guard(throttle);
}

void lw_throttle_counts(const lw_throttle *throttle, uint32_t *successes, uint32_t *failures)
{
    uint64_t counts = lw_load_rlx(&throttle->_counts._value);

    if (successes != NULL)
        *successes = (uint32_t)counts;
    if (failures != NULL)
        *failures = (uint32_t)(counts >> FAILURES_SHIFT);
}

/* ---- its numbers */

double lw_throttle_rate(const lw_throttle *throttle)
{
    return lw_number_load(&throttle->_rate._value);
}

int lw_throttle_set_rate(lw_throttle *throttle, double calls_per_second)
{
    if (calls_per_second != calls_per_second || throttle->options.window == 0)
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    take_guard(throttle); /* else an adjustment takes it back */
    set_rate(throttle, calls_per_second);
    drop_guard(throttle);
    return 0;
}

double lw_throttle_jitter(const lw_throttle *throttle)
{
    return lw_number_load(&throttle->_jitter._value);
}

int lw_throttle_set_jitter(lw_throttle *throttle, double jitter)
{
    if (jitter != jitter)
        return -EINVAL;
    lw_number_store(&throttle->_jitter._value, clamp(jitter, 0, 1));
    return 0;
}

/* ---- making one */

bool lw_throttle_takes(const lw_throttle_options *options)
{
    return options->rate_min > 0 && options->rate_min <= options->rate_max &&
           options->rate_max <= DBL_MAX && options->window > 0 &&
           options->ratio_low <= options->ratio_high && options->factor_up >= 1 &&
           options->factor_down > 0 && options->factor_down <= 1 &&
           options->jitter == options->jitter;
}

static void complete_number(double *number, double with)
{
    if (*number == 0)
        *number = with;
}

static void complete(lw_throttle_options *options, const lw_throttle_options *with)
{
    complete_number(&options->rate_min, with->rate_min);
    complete_number(&options->rate_max, with->rate_max);
    complete_number(&options->ratio_high, with->ratio_high);
    complete_number(&options->ratio_low, with->ratio_low);
    complete_number(&options->factor_up, with->factor_up);
    complete_number(&options->factor_down, with->factor_down);
    complete_number(&options->jitter, with->jitter);
    if (options->window == 0)
        options->window = with->window;
    if (options->now == NULL)
        options->now = with->now;
    if (options->random == NULL)
        options->random = with->random;
}

int lw_throttle_init(lw_throttle *throttle, const char *name, double calls_per_second,
                     const lw_throttle_options *options)
{
    static uint32_t made;
    lw_throttle_options chosen = {0};
    lw_defaults defaults;
    uint64_t now;

    if (lw_forked())
        return -ECHILD;
    if (options != NULL)
        chosen = *options;
    lw_get_defaults(&defaults);
    complete(&chosen, &defaults.throttle);
    if (!lw_throttle_takes(&chosen) ||
        !(calls_per_second >= chosen.rate_min && calls_per_second <= chosen.rate_max))
        return -EINVAL;
    now = (uint64_t)(chosen.now != NULL ? chosen.now() : lw_now());
    *throttle = (lw_throttle){.scope = {&lw_throttle_kind},
                              .name = name,
                              .options = chosen,
                              ._last = {now - (uint64_t)FAR},
                              ._seen = {now}};
    /* Each has a stream of its own. */
    throttle->_random._value = (uint64_t)lw_now() ^ (uint64_t)lw_add_rlx(&made, 1) << 32;
    set_rate(throttle, calls_per_second);
    return lw_throttle_set_jitter(throttle, chosen.jitter);
}

/* ---- as a scope */

static int scope_enter(lw_scope *scope, lw_nsec deadline)
{
    return enter((lw_throttle *)(void *)scope, deadline, __builtin_return_address(0));
}

static int scope_exit(lw_scope *scope, int status)
{
    lw_throttle_exit((lw_throttle *)(void *)scope, status);
    return status;
}

const lw_scope_kind lw_throttle_kind = {"throttle", scope_enter, scope_exit, false};
