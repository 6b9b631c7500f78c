/* SPDX-License-Identifier: MIT */
/* The look at all waits, for what no walk of one task finds: readers, permits, groups, long ways,
 * and circles whose members came at the same moment.
 *
 * The thread that watches the workers does it (tick.c).  Most looks are short: of each record the
 * wait word and the age, one line of memory, and nothing of tasks that never ran.  Only when there
 * are waits that are old, and others than at the last look, the graph is made.  So what it costs
 * does not depend on how much is held, and next to nothing while nobody waits for long; if it costs
 * more than a hundredth of the time it is done less often, or, if walks ask for it again and again,
 * than a tenth.  That is time on a processor: where others had the processor meanwhile, or nobody
 * did, it is not to be looked at less often for that.
 *
 * It is done after a walk that could not tell, and then less and less often, from every 10 ms to
 * `period_max`, until something is found again; but not while there are knots (walk.c).  A wait
 * that is young is left for the next time: not all that its task says of it need be written yet.
 * When all workers sleep nothing can change: if all waits have been looked at then, and none is
 * young, the thread sleeps, too.
 *
 * [S1] who begins a wait:  its page is used (once), wait word; load lw_tick_asleep, seq_cst  <->
 *      the thread:  asleep; heavy fence; look at all waits, of pages that are used.
 * Where no runtime is there is no such thread.  Then who begins a wait, or has changed something (a
 * hold was handed on, the detector turned on, a wait has ended in vain and with it perhaps a set
 * that has hidden another one) leaves a note, and looks if nobody decides just then; if somebody
 * does, that one looks when it has decided.  So nobody waits for who decides, and is in a user's
 * function perhaps: it may have been granted what it waits for.  What the thread has not come to is
 * looked at when it has ended.
 *
 * [S2] what a task says of its wait -> the look that it asks for:  due = 0, release  ->  swap,
 *      acquire.
 * [S3] what was changed; left = 1; load whether the thread is there  <->  the thread is not there
 *      any more; load left; all seq_cst.
 * [S4] what was changed; left = 1; look whether another decides  <->  decides no more; load left;
 *      all seq_cst.  Who looks takes the note first: swap, acquire.
 * [S5] a thread's wait ends in vain; vain += 1; load hides  <->  hides = 1; load vain, which is not
 *      what it was before the waits were looked at; all seq_cst.
 * [S6] a knot's wait; knots = 1, always  ->  a look that takes this back sees the wait: all swaps,
 *      so that each goes on where the one before it was.
 * [S7] who begins a wait:  its slot is there, its page is used (once), wait word; load whether
 *      somebody waits for what it has  <->  who is to look, since he has closed a circle:  queued
 *      for that, wait word; look at all slots, pages and waits; all seq_cst: here is no fence. */
#include "locksmith/ages.h"
#include "locksmith/graph.h"
#include "primitives/lock.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

#define OLD (10 * LW_MS) /* so long a wait is reason enough to look into all of them */
#define SHARE 100        /* a look takes so small a part of the time, ... */
#define SHARE_ASKED 10   /* ... but this one when walks ask for one again and again */
#define LOOKING LW_FOREVER /* in the place of the moment when the next one is due */
#define POKE_EVERY (1 * LW_MS)  /* the thread is woken for a look not more often, at first, ... */
#define POKE_MAX (100 * LW_MS)  /* ... and half as often after each that finds nothing, to this; */
#define POKE_REST (1 * LW_SEC)  /* until it was not woken for so long */

static struct {
    struct lw_graph graph;
    lw_nsec due;     /* anyone; 0: now */
    lw_nsec poked;   /* anyone; when the thread was last woken for that, ... */
    lw_nsec pause;   /* anyone; ... and how long it is not to be then */
    lw_nsec period;
    lw_nsec rest;    /* anyone; not before this moment, ... */
    lw_nsec unasked; /* anyone; ... and if nobody asks, not before this one */
    lw_nsec untied;  /* anyone; but now, if there are knots: */
    uint32_t knots;  /* anyone; 1: there is one (walk.c), or was just now */
    bool tied;       /* the last graph had one; the same waits still have */
    bool stands;     /* the last graph had a set that was told of before, ... */
    lw_nsec until;   /* ... and this is when a deadline ends the first of them */
    uint32_t left;   /* anyone; 1: a look, to who decides if there is no thread */
    uint32_t hides;  /* anyone; 1: behind a set that is there, or was just now, may be others */
    uint32_t vain;   /* anyone; so many waits of threads have ended in vain, ... */
    uint32_t seen;   /* ... and had when a look began */
    uint64_t judged; /* the waits of the last graph */
    uint32_t start;  /* the slot at which the next graph begins, if the last had no room for all */
} sweep = {.until = LW_FOREVER};

static lw_nsec earlier(lw_nsec one, lw_nsec other)
{
    return one < other ? one : other;
}

static lw_nsec later(lw_nsec one, lw_nsec other)
{
    return one > other ? one : other;
}

/* ---- the short look */

struct look {
    struct lw_ages ages;
    uint32_t graph; /* kinds of waits that are in it, bits 1 << kind, ... */
    uint32_t ends;  /* ... and of those the ones for the end of something that runs */
    bool all;       /* young ones, too */
    bool knots;     /* among the young ones */
    uint32_t old, young;
    uint64_t print; /* of the old ones */
};

/* *wait: its word; *age in ms. */
LW_INLINE bool waits(const struct lw_cold *cold, uint32_t now_ms, uint64_t *wait, unsigned *kind,
                     uint32_t *age)
{
    *wait = lw_load_sc(&cold->wait); /* [G1] [S1] [S7] */
    if ((*wait & LW_PHASE_MASK) != LW_PHASE_WAITING)
        return false;
    *kind = lw_load_rlx(&cold->kind);
    *age = now_ms - lw_load_rlx(&cold->since);
    if (*age > INT32_MAX) /* since a moment that the coarse clock has not come to yet */
        *age = 0;
    return true;
}

static bool is_old(const struct look *look, uint32_t age)
{
    return look->all || age >= OLD / LW_MS;
}

/* Of most tasks nothing is in a cache any more when all are looked at; neither is where their pages
 * are, which takes longer to find out than to read what lies there, and so is asked for earlier:
 * without that a look takes three times as long. */
LW_INLINE void prefetch(uint32_t slot, uint32_t slots)
{
    enum { NEAR = 4 * LW_COLD_PAGE, FAR = 16 * LW_COLD_PAGE };

    if (slot % LW_COLD_PAGE == 0 && slot + FAR < slots)
        __builtin_prefetch(&lw_colds[slot + FAR]);
    __builtin_prefetch(&lw_colds[slot + NEAR < slots ? slot + NEAR : slot]);
}

static void look_at_page(struct look *look, uint32_t first, uint32_t slots)
{
    uint32_t age;
    unsigned kind;
    uint64_t wait;

    for (uint32_t slot = first; slot < first + LW_COLD_PAGE; slot++) {
        prefetch(slot, slots);
        if (!waits(&lw_colds[slot], look->ages.now_ms, &wait, &kind, &age))
            continue;
        lw_ages_see(&look->ages, slot, wait, kind, age);
        if ((look->graph & 1u << kind) == 0)
            continue;
        if (!is_old(look, age)) {
            look->young++;
            look->knots |= (look->ends & 1u << kind) != 0 && lw_is_knot(&lw_records[slot]);
            continue;
        }
        look->old++;
        wait = (wait ^ (uint64_t)slot << 40) * UINT64_C(0x9e3779b97f4a7c15);
        look->print += wait ^ wait >> 31;
    }
}

static bool is_used(uint32_t slot)
{
    return lw_load_sc(&lw_cold_used[slot / LW_COLD_PAGE]) != 0; /* [S1] [S7] */
}

static void look_at_ages(struct look *look)
{
    uint32_t slots = lw_registry_slots();

    (void)lw_swap_acq_rel(&sweep.knots, 0); /* [S6] */
    for (unsigned kind = 0; kind < LW_WAIT_KINDS; kind++) {
        look->graph |= (uint32_t)lw_is_in_graph(kind) << kind;
        look->ends |= (uint32_t)(lw_is_in_graph(kind) && lw_modes_against(kind) == 0) << kind;
    }
    for (uint32_t first = 0; first < slots; first += LW_COLD_PAGE)
        if (is_used(first))
            look_at_page(look, first, slots);
}

/* ---- the long one */

/* Those for whom there is room.  The next time it begins in the middle of them, so that what is too
 * far apart for this time is not so the next time. */
static void make_graph(const struct look *look)
{
    uint32_t slots = lw_registry_slots(), start = sweep.start < slots ? sweep.start : 0, age;
    uint32_t middle = start;
    unsigned kind;
    uint64_t wait;

    lw_graph_begin(&sweep.graph, look->old + look->young);
    sweep.tied &= start != 0;
    sweep.start = 0;
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t slot = (start + i) % slots;

        prefetch(slot, slots);
        if (sweep.graph.node_count == sweep.graph.room / 2)
            middle = slot;
        if (!is_used(slot) || !waits(&lw_colds[slot], look->ages.now_ms, &wait, &kind, &age) ||
            (look->graph & 1u << kind) == 0)
            continue;
        if (!lw_graph_add(&sweep.graph, slot, wait)) {
            sweep.start = middle != 0 ? middle : slot;
            break;
        }
        sweep.tied |= (look->ends & 1u << kind) != 0 && lw_is_knot(&lw_records[slot]);
    }
}

static void reverse(struct lw_suspect *set, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        struct lw_suspect other = set[i];

        set[i] = set[count - 1 - i];
        set[count - 1 - i] = other;
    }
}

void lw_turn_to_victim(struct lw_suspect *set, uint32_t count)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < count; i++)
        if (lw_score(&set[i], false) > lw_score(&set[best], false))
            best = i;
    reverse(set, best);
    reverse(set + best, count - best);
    reverse(set, count);
}

/* True: somebody is stuck.  A second time, if there was no room for all that they hold, and then
 * there is. */
static bool solve(const struct look *look)
{
    uint32_t room, stuck;
    bool more;

    do {
        room = sweep.graph.room;
        make_graph(look);
        stuck = lw_graph_solve(&sweep.graph, &more);
    } while (more && sweep.graph.room != room);
    return stuck != 0;
}

static int judge(const struct look *look)
{
    int verdicts = 0;
    uint32_t count;
    bool told;

    sweep.stands = false;
    sweep.until = LW_FOREVER;
    lw_store_rlx(&sweep.hides, 0);
    if (!solve(look))
        return 0;
    while ((count = lw_graph_find(&sweep.graph)) != 0) {
        if (count > LW_TOLD_MAX)
            lw_turn_to_victim(sweep.graph.set, count);
        (void)lw_resolve(sweep.graph.set, count, NULL, &told);
        verdicts += told;
    }
    return verdicts;
}

static void note_knot(void)
{
    (void)lw_swap_sc(&sweep.knots, 1); /* [S6] */
}

/* By one who decides.  *settled: no circle will be found as long as nobody begins a wait.  *next:
 * when something will be old enough; LW_FOREVER: nothing. */
static int look(const lw_detector_options *options, lw_nsec now, bool all, bool *settled,
                lw_nsec *next)
{
    struct look looked = {.all = all};
    uint64_t refused = lw_detector_counted.phantoms_refused;
    int verdicts = 0;
    bool clear, hides;

    *settled = true;
    *next = LW_FOREVER;
    if (options->mode == LW_DETECTOR_OFF) /* since the thread set out, or for who looks himself */
        return 0;
    lw_ages_begin(&looked.ages, now, options);
    look_at_ages(&looked);
    lw_detector_count(&lw_detector_counted.scans);
    if (looked.old != 0 && (all || looked.print != sweep.judged || sweep.start != 0))
        verdicts = judge(&looked);
    sweep.tied &= looked.old != 0;
    if (looked.knots || sweep.tied)
        note_knot();
    /* What was refused may be there all the same, with the same waits: who was about to end one of
     * them has thought better of it. */
    clear = verdicts == 0 && lw_detector_counted.phantoms_refused == refused;
    /* The print is not of the young ones: one of whom may leave a set that hides another one. */
    hides = sweep.stands && (looked.young != 0 || sweep.until != LW_FOREVER);
    sweep.judged = clear && !hides ? looked.print : 0;
    *settled = clear && looked.young == 0 && sweep.start == 0;
    verdicts += lw_ages_judge(&looked.ages, options);
    if (looked.ages.next_ms < INT32_MAX)
        *next = now + ((lw_nsec)looked.ages.next_ms + 1) * LW_MS;
    if (sweep.until != LW_FOREVER)
        *next = earlier(*next, later(sweep.until, now) + LW_MS);
    return verdicts;
}

static void leave_note(void)
{
    lw_store_sc(&sweep.left, 1); /* [S3] [S4] */
}

/* All is to be looked at again once a wait has ended in vain: of circles with a member in common
 * only one is found, and whoever is let go need not wait for anything any more, and so tell us.  Of
 * a circle that a walk finds nobody waits for two. */
static void look_again_after_next(void)
{
    lw_store_sc(&sweep.hides, 1);              /* [S5] */
    if (lw_load_sc(&sweep.vain) != sweep.seen) /* [S5] */
        leave_note();
}

/* Another circle may be there that this one has hidden. */
void lw_sweep_stands(lw_nsec deadline)
{
    sweep.stands = true;
    sweep.until = earlier(sweep.until, deadline);
    look_again_after_next();
}

void lw_sweep_in_vain(void)
{
    (void)lw_add_sc(&sweep.vain, 1); /* [S5] */
    if (lw_load_sc(&sweep.hides) != 0) /* [S5] */
        lw_sweep_soon();
}

int lw_sweep_now(void)
{
    lw_detector_options options;
    lw_nsec now = lw_sys.now(), next;
    bool settled;
    int verdicts;

    (void)lw_swap_acq_rel(&sweep.left, 0); /* [S4] */
    sweep.seen = lw_load_sc(&sweep.vain);     /* [S5] */
    verdicts = lw_ask_look(now);
    lw_detector_options_now(&options);
    lw_ages_come(now);
    verdicts += look(&options, now, true, &settled, &next);
    if (!settled) /* a set that was none, since a wait ended just then, hides others, too */
        look_again_after_next();
    return verdicts;
}

/* ---- when */

/* Not more often than there is something to be gained by it: a program may wait for groups, say,
 * thousands of times a second with locks that others want, and never be in a circle. */
static bool may_poke(void)
{
    lw_nsec now = lw_sys.now(), since = now - lw_load_rlx(&sweep.poked);
    lw_nsec pause = since < POKE_REST ? lw_load_rlx(&sweep.pause) : 0;

    if (since < pause)
        return false;
    lw_store_rlx(&sweep.poked, now);
    lw_store_rlx(&sweep.pause, pause == 0 ? POKE_EVERY : earlier(2 * pause, POKE_MAX));
    return true;
}

void lw_sweep_notice(bool soon)
{
    bool asleep = lw_load_sc(&lw_tick_asleep) != 0; /* [S1] */

    if (soon || asleep)
        lw_store_rel(&sweep.due, 0); /* [S2] */
    if (asleep || (soon && may_poke()))
        lw_tick_wake();
}

void lw_sweep_notice_knot(void)
{
    note_knot();
}

bool lw_sweep_is_left(void)
{
    return lw_load_sc(&sweep.left) != 0 && !lw_tick_runs(); /* [S3] [S4] */
}

void lw_sweep_soon(void)
{
    leave_note();
    if (lw_tick_runs()) /* [S3] */
        lw_sweep_notice(true);
    else if (lw_deciding_begin_now()) /* [S4] */
        lw_deciding_end();
}

void lw_sweep_again(void)
{
    sweep.judged = 0;
    lw_store_rel(&sweep.due, 0); /* [S2] */
}

void lw_sweep_anew(void)
{
    sweep.judged = 0;
    lw_ages_anew();
    leave_note();
    lw_sweep_notice(true);
}

/* How long until the next one, after one that used so much time. */
static lw_nsec next_period(const lw_detector_options *options, lw_nsec used, bool found)
{
    if (found)
        lw_store_rlx(&sweep.pause, POKE_EVERY);
    if (found)
        sweep.period = options->period_min;
    else if (sweep.period < OLD || sweep.start != 0) /* the rest is still to be looked at */
        sweep.period = OLD;
    else
        sweep.period *= 2;
    if (sweep.period > options->period_max)
        sweep.period = options->period_max;
    if (sweep.period < used * SHARE)
        sweep.period = used * SHARE;
    return sweep.period;
}

/* By one who decides, since others may look as well (lw_detector_scan()).  Who asks for another
 * look meanwhile stores 0 over LOOKING, and that stays. */
static bool look_when_due(lw_nsec now, lw_nsec *next)
{
    lw_nsec looking = LOOKING, used = lw_sys.time_used(), due;
    lw_detector_options options;
    bool settled, found;

    lw_detector_options_now(&options);
    if (lw_swap_acq_rel(&sweep.due, LOOKING) == 0) { /* [S2] somebody has asked for it */
        sweep.period = 0;
        sweep.judged = 0; /* what was judged may not have said all that it says now */
    }
    found = look(&options, now, false, &settled, next) != 0;
    used = lw_sys.time_used() - used;
    lw_store_rlx(&sweep.rest, lw_sys.now() + used * SHARE_ASKED);
    lw_store_rlx(&sweep.unasked, now + used * SHARE);
    lw_store_rlx(&sweep.untied, now + later(OLD, used * SHARE));
    due = now + next_period(&options, used, found);
    (void)lw_cas_acq_rel(&sweep.due, &looking, earlier(due, later(*next, now + used * SHARE)));
    return settled;
}

static lw_nsec due_now(void)
{
    lw_nsec due = lw_load_rlx(&sweep.due);

    if (lw_load_sc(&sweep.knots) != 0)
        due = earlier(due, lw_load_rlx(&sweep.untied));
    return due;
}

/* When to come again. */
static lw_nsec look_if_due(lw_nsec now, bool quiet)
{
    lw_nsec due = later(due_now(), lw_load_rlx(&sweep.rest)), asked = lw_ask_due();
    lw_nsec next = LW_FOREVER;
    bool settled = false;

    if (quiet)
        due = earlier(due, lw_load_rlx(&sweep.unasked));
    if (now < due && now < asked)
        return quiet ? lw_ages_rest(now, earlier(due, asked)) : earlier(due, asked);
    if (!lw_deciding_begin())
        return now + 1 * LW_MS;
    if (now >= asked)
        (void)lw_ask_look(now);
    if (now >= due)
        settled = look_when_due(now, &next);
    lw_deciding_end();
    due = due_now();
    if (quiet && settled && due != 0)
        due = next;
    else
        due = later(due, lw_load_rlx(&sweep.rest));
    if (quiet && next != LW_FOREVER)
        due = lw_ages_rest(now, due);
    return earlier(due, lw_ask_due());
}

lw_nsec lw_sweep(lw_nsec now, bool quiet)
{
    lw_ages_come(now);
    lw_exhausted_tell();
    return look_if_due(now, quiet);
}
