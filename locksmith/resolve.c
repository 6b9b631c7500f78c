/* SPDX-License-Identifier: MIT */
/* Who gives way.
 *
 * All waits of the set are claimed; then what was found is so, and stays so (detector.h).  If a
 * mark is in one of the words, its time has passed, or a cancel has come: the circle breaks by
 * itself, and nobody is to give way for it.  If one of the waits has a deadline that is near, it
 * does so before long; one that is far away is waited for only when nobody can be made to give way.
 * If one of them waits to read what others read, behind a writer, or for permits that are there,
 * behind one that wants more, it may overtake that one, and nobody has to give way (deadlocks by
 * the order of a queue: PostgreSQL, storage/lmgr/deadlock.c).  Else the victim's wait is ended with
 * -EDEADLK: one of them, and no more; what is still there afterwards is found again.  All others
 * are let go, with what became due meanwhile.
 *
 * The victim: one whose wait may fail, and then
 *
 *     the least important by its priority
 *     who gave way least often of late: within a second from one time to the next, and not since
 *     it got what it was denied
 *     who waits for several of those who are stuck: of overlapping circles one ends more
 *     who holds the least, and the cleanest
 *     who came last
 *
 * A record is read here while its wait is claimed.  That keeps the wait neither from being granted
 * nor from being purged, and then its task goes on: so what is written is a field in which a late
 * store does no harm. */
#include "locksmith/detector.h"

#include <latchwork/cancel.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

/* A set that will break by itself within that time is not forced. */
#define PATIENCE (100 * LW_MS)

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

/* ---- who gave way how often */

/* In a row: not since it got what it was denied. */
static uint32_t forces_of(const struct lw_record *record)
{
    uint64_t object;
    uint32_t forces = lw_forces_of(record, &object) & LW_FORCES_MAX;

    return lw_holds_against(lw_record_cold(record), object, ~0u) == 0 ? forces : 0;
}

/* lw_wait_gave_way of wait.h.  Whose wait was ended by a request was denied nothing. */
static void note_force(struct lw_record *me, bool asked)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t object;
    uint32_t forces = lw_forces_of(me, &object) & LW_FORCES_MAX;

    if (!asked) {
        forces = at_most(forces_of(me) + 1, LW_FORCES_MAX);
        object = lw_load_rlx(&cold->object);
        lw_store_rlx(&cold->forced_at, lw_load_rlx(&lw_coarse_ms));
    } else if (forces == 0) {
        object = 0;
    }
    lw_store_rlx(&cold->forces, (uint8_t)(forces | LW_FORCED_RECENTLY));
    lw_store_rlx(&cold->denied, lw_denial(me, object));
}

__attribute__((constructor)) static void hook_forced_waits(void)
{
    lw_wait_gave_way = note_force;
}

/* ---- who is the best victim */

static bool may_fail(const struct lw_cold *cold)
{
    unsigned kind = lw_load_rlx(&cold->kind);

    if (lw_load_rlx(&cold->shields) != 0)
        return false;
    if (kind == LW_WAIT_GROUP)
        return lw_load_rlx(&cold->mode) == LW_GROUP_WAIT_MAY_FAIL;
    return lw_modes_against(kind) != 0 || kind == LW_WAIT_JOIN;
}

static bool is_clean(const struct lw_cold *cold)
{
    struct lw_hold_look look = {.cold = cold};
    struct lw_hold hold;

    while (lw_hold_look(&look, &hold))
        if (((hold.site >> LW_HOLD_CLASS_SHIFT) & LW_HOLD_CLASS_MASK) == LW_DATA_OPAQUE)
            return false;
    return true;
}

/* priority:16 | forces:4 | keepers:2 | holds:5 | clean:1 | last:1 */
int lw_score(const struct lw_suspect *suspect, bool joined_last)
{
    const struct lw_record *record = suspect->record;
    const struct lw_cold *cold = lw_record_cold(record);
    bool said = (lw_load_rlx(&record->place) & LW_PLACE_OPTIONS) != 0;
    uint32_t score;

    if (!may_fail(cold))
        return -1;
    score = (uint32_t)((said ? lw_load_rlx(&cold->priority) : 0) - INT16_MIN);
    score = score << 4 | (15 - at_most(forces_of(record), 15));
    score = score << 2 | at_most(suspect->keepers > 0 ? suspect->keepers - 1 : 0, 3);
    score = score << 5 | (31 - at_most(lw_load_rlx(&cold->nheld), 31));
    score = score << 2 | (unsigned)is_clean(cold) << 1 | joined_last;
    return (int)score;
}

/* Who began to wait last: the caller, if it is one of them. */
static uint32_t last_to_join(const struct lw_suspect *set, uint32_t count,
                             const struct lw_record *me)
{
    uint32_t last = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t since = lw_load_rlx(&lw_record_cold(set[i].record)->since);

        if (set[i].record == me)
            return i;
        if ((int32_t)(since - lw_load_rlx(&lw_record_cold(set[last].record)->since)) > 0)
            last = i;
    }
    return last;
}

/* ---- in hand */

static void let_go(const struct lw_suspect *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        lw_wait_let_go(set[i].record, set[i].wait);
}

/* None was granted, or sent away. */
static bool are_in_hand(const struct lw_suspect *set, uint32_t count)
{
    uint64_t word;

    for (uint32_t i = 0; i < count; i++)
        if (!lw_wait_is_in_hand(lw_record_cold(set[i].record), set[i].wait, &word))
            return false;
    return true;
}

/* All are there, and nothing has become due. */
static bool are_firm(const struct lw_suspect *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word;

        if (!lw_wait_is_in_hand(lw_record_cold(set[i].record), set[i].wait, &word) ||
            (word & (LW_TIMEOUT_PENDING | LW_CANCEL_PENDING)) != 0)
            return false;
    }
    return true;
}

/* All of them, or none. */
static bool claim_all(const struct lw_suspect *set, uint32_t count)
{
    uint32_t claimed = 0;

    while (claimed < count &&
           lw_wait_claim(lw_record_cold(set[claimed].record), set[claimed].wait)) /* [W6] */
        claimed++;
    /* Without the look at the marks one gives way for a circle that breaks by itself. */
    if (claimed == count && !lw_recheck(!are_firm(set, count)))
        return true;
    let_go(set, claimed);
    return false;
}

/* False: it is no deadlock, or none any more. */
static bool take_in_hand(const struct lw_suspect *set, uint32_t count)
{
    bool taken = claim_all(set, count);

    if (!taken)
        lw_detector_count(&lw_detector_counted.phantoms_refused);
    return taken;
}

/* ---- the decision */

static lw_nsec earliest_deadline(const struct lw_suspect *set, uint32_t count)
{
    lw_nsec earliest = LW_FOREVER;

    for (uint32_t i = 0; i < count; i++) {
        lw_nsec deadline = lw_load_rlx(&lw_record_cold(set[i].record)->deadline);

        if (deadline < earliest)
            earliest = deadline;
    }
    return earliest;
}

/* The user's choice, if it makes one.  Meanwhile all are let go: that they can be claimed again, as
 * the same waits, says that nothing has changed. */
static bool ask_for_victim(const struct lw_suspect *set, uint32_t count, lw_report *report,
                           const lw_detector_options *options)
{
    size_t choice;

    let_go(set, count);
    lw_detector_calls(true);
    choice = options->choose_victim(report, options->arg);
    lw_detector_calls(false);
    if (choice < report->member_count && report->members[choice].score >= 0)
        report->victim = choice;
    return take_in_hand(set, count);
}

/* The victim's wait fails.  *own: it is the caller's. */
static bool force(const struct lw_suspect *victim, const struct lw_record *me, bool *own)
{
    *own = victim->record == me;
    if (*own) /* it has not left yet, and just goes on */
        return lw_wait_end_claimed(lw_record_cold(victim->record), victim->wait, LW_FORCED);
    return lw_wait_force(victim->record, victim->wait, LW_FORCED);
}

static void let_others_go(const struct lw_suspect *set, uint32_t count, uint32_t but)
{
    for (uint32_t i = 0; i < count; i++)
        if (i != but)
            lw_wait_let_go(set[i].record, set[i].wait);
}

/* One that waits behind a writer only; `count`: there is none. */
static uint32_t find_soft(const struct lw_suspect *set, uint32_t count)
{
    uint32_t soft = 0;

    while (soft < count && !set[soft].soft)
        soft++;
    return soft;
}

/* Who overtakes in the queue for permits is to be in front of the first one of the set.  Where that
 * is written there is else when it last gave way: at worst that counts as long ago. */
static void say_whom(const struct lw_suspect *set, uint32_t count, struct lw_cold *soft)
{
    uint64_t object = lw_load_rlx(&soft->object), first = lw_load_rlx(&soft->arrival);

    for (uint32_t i = 0; i < count; i++) {
        const struct lw_cold *cold = lw_record_cold(set[i].record);
        uint64_t arrival = lw_load_rlx(&cold->arrival);

        if (lw_load_rlx(&cold->kind) == LW_WAIT_UNITS && lw_load_rlx(&cold->object) == object &&
            arrival < first)
            first = arrival;
    }
    lw_store_rlx(&soft->overtaken, (uint32_t)first);
}

static void reorder(const struct lw_suspect *set, uint32_t count, uint32_t soft,
                    lw_report *report)
{
    struct lw_cold *cold = lw_record_cold(set[soft].record);
    bool done;

    if (lw_load_rlx(&cold->kind) == LW_WAIT_UNITS)
        say_whom(set, count, cold);
    done = lw_wait_force(set[soft].record, set[soft].wait, LW_OVERTAKE);
    let_others_go(set, count, done ? soft : count);
    report->victim = report->member_count;
    if (!done) {
        lw_detector_count(&lw_detector_counted.phantoms_refused);
        report->verdict = LW_VERDICT_NONE;
        return;
    }
    lw_verdict_step(1, soft, NULL, "reordered");
    lw_detector_count(&lw_detector_counted.forced[1]);
}

static bool break_it(const struct lw_suspect *set, uint32_t count, const struct lw_record *me,
                     lw_report *report, const lw_detector_options *options)
{
    uint32_t victim;
    bool own = false, forced;

    if (options->choose_victim != NULL && !ask_for_victim(set, count, report, options)) {
        report->verdict = LW_VERDICT_NONE;
        return false;
    }
    victim = (uint32_t)report->victim;
    forced = force(&set[victim], me, &own);
    if (forced) {
        lw_verdict_step(2, victim, NULL, "its wait failed with -EDEADLK");
        lw_detector_count(&lw_detector_counted.forced[2]);
    } else { /* it was granted, or ended otherwise: by whom, is no member */
        lw_detector_count(&lw_detector_counted.phantoms_refused);
        report->verdict = LW_VERDICT_NONE;
    }
    let_others_go(set, count, forced ? victim : count);
    return forced && own;
}

/* ---- beyond that */

/* How often in a row one has to have given way before it is no use any more. */
enum { STUBBORN = 16 };

static bool is_stubborn(const struct lw_record *record, const lw_detector_options *options)
{
    return (options->levels & LW_LEVEL(8)) != 0 && forces_of(record) >= STUBBORN;
}

/* A cancel ends its wait. */
static bool may_be_ended(const struct lw_suspect *suspect)
{
    const struct lw_cold *cold = lw_record_cold(suspect->record);

    return !lw_record_is_guest(suspect->record) && lw_load_rlx(&cold->shields) == 0 &&
           lw_load_rlx(&cold->kind) != LW_WAIT_CALL;
}

/* The best one first; `count`: nobody. */
static uint32_t whom_to_end(const struct lw_suspect *set, uint32_t count,
                            const lw_detector_options *options)
{
    uint32_t best = count;

    for (uint32_t i = 0; i < count && (options->levels & LW_LEVEL(8)) != 0; i++)
        if (may_be_ended(&set[i]) &&
            (best == count || lw_score(&set[i], false) > lw_score(&set[best], false)))
            best = i;
    return best;
}

static void note_standing(const struct lw_suspect *set, uint32_t count)
{
    lw_standing_note(set, count);
    lw_sweep_stands(earliest_deadline(set, count));
}

/* Nobody can break it.  Whether it stays: a deadline ends one of its waits, however late; then that
 * is another wait, or none, and what is still there is another set, to be told of. */
static void stand(const struct lw_suspect *set, uint32_t count, lw_report *report)
{
    if (earliest_deadline(set, count) != LW_FOREVER)
        report->verdict = LW_VERDICT_TIMED_DEADLOCK;
    else
        report->unforceable = true;
    note_standing(set, count);
}

/* A set that is claimed, and that the levels up to 3 have not broken.  Who waits for a group
 * cancels that when he is cancelled. */
static void go_further(const struct lw_suspect *set, uint32_t count, lw_report *report,
                       const lw_detector_options *options)
{
    uint32_t victim = whom_to_end(set, count, options);

    report->victim = report->member_count;
    if (victim < count && lw_cancel((lw_task){lw_record_id(set[victim].record)}) == 0) {
        report->victim = at_most(victim, (uint32_t)report->member_count);
        lw_verdict_step(8, victim, NULL, "cancelled");
        lw_detector_count(&lw_detector_counted.forced[8]);
    } else if ((options->levels & LW_LEVEL(9)) != 0) {
        lw_verdict_step(9, SIZE_MAX, NULL, "the process is aborted");
        lw_detector_count(&lw_detector_counted.forced[9]);
    } else {
        stand(set, count, report);
    }
    let_go(set, count);
}

bool lw_resolve_further(const struct lw_suspect *set, uint32_t count, lw_report *report,
                        const lw_detector_options *options)
{
    if (!claim_all(set, count))
        return false;
    go_further(set, count, report, options);
    return true;
}

/* True: an owner is asked, and all are let go. */
static bool ask_owner(const struct lw_suspect *set, uint32_t count, lw_nsec now,
                      const lw_detector_options *options)
{
    uint32_t whom = lw_ask_whom(set, count, options, now);
    struct lw_asked asked = {.member = whom, .set = set, .count = count};

    if (whom == count) {
        lw_verdict_step(3, SIZE_MAX, NULL, "not asked: nobody hears it in time");
        return false;
    }
    asked.owner = (lw_task){lw_record_id(set[whom].record)};
    asked.lock = lw_ask_for_what(set, count, whom);
    (void)lw_ask(&asked, options, now); /* or it is found again */
    let_go(set, count);
    return true;
}

/* Whoever is just beginning a wait is neither asked nor cancelled: that is left to the detector's
 * thread. */
static bool is_for_thread(const struct lw_suspect *set, uint32_t count, lw_nsec now,
                          const lw_detector_options *options)
{
    return lw_tick_runs() && (((options->levels & LW_LEVEL(3)) != 0 &&
                               lw_ask_whom(set, count, options, now) < count) ||
                              whom_to_end(set, count, options) < count);
}

/* Neither a queue's order nor a wait that fails breaks it.  False: it is not to be told of yet. */
static bool try_all_else(const struct lw_suspect *set, uint32_t count, const struct lw_record *me,
                         lw_report *report, const lw_detector_options *options)
{
    bool asks = (options->levels & LW_LEVEL(3)) != 0;

    report->victim = report->member_count;
    if ((asks && lw_ask_is_about(set, count)) ||
        (me != NULL && is_for_thread(set, count, report->at, options))) {
        let_go(set, count);
        return false;
    }
    if (asks && ask_owner(set, count, report->at, options))
        return false;
    go_further(set, count, report, options);
    return true;
}

/* ---- all of it */

/* All are let go.  *over: the caller's wait was ended.  False: there is nothing to tell. */
static bool decide(const struct lw_suspect *set, uint32_t count, struct lw_record *me,
                   const lw_detector_options *options, bool *over)
{
    lw_nsec now = lw_sys.now();
    uint32_t soft = find_soft(set, count);
    lw_report *report = lw_verdict_write(set, count, last_to_join(set, count, me), now);

    if (!are_in_hand(set, count)) { /* what was written down may be of others, and no name */
        lw_detector_count(&lw_detector_counted.phantoms_refused);
        let_go(set, count);
        return false;
    }
    if (earliest_deadline(set, count) - PATIENCE < now) {
        report->verdict = LW_VERDICT_TIMED_DEADLOCK;
        lw_verdict_hush(); /* a program that has given such a deadline knows why */
    }
    if (report->verdict == LW_VERDICT_TIMED_DEADLOCK || options->mode != LW_DETECTOR_FORCE) {
        report->victim = report->member_count;
        note_standing(set, count);
        let_go(set, count);
    } else if (soft < count && (options->levels & LW_LEVEL(1)) != 0) {
        reorder(set, count, soft, report);
    } else if (report->victim == report->member_count || !(options->levels & LW_LEVEL(2)) ||
               is_stubborn(set[report->victim].record, options)) {
        return try_all_else(set, count, me, report, options);
    } else {
        *over = break_it(set, count, me, report, options);
    }
    return report->verdict != LW_VERDICT_NONE;
}

bool lw_resolve(const struct lw_suspect *set, uint32_t count, struct lw_record *me, bool *told)
{
    lw_detector_options options;
    bool over = false;

    *told = false;
    lw_detector_options_now(&options);
    if (options.mode == LW_DETECTOR_OFF)
        return false;
    if (lw_standing_is(set, count)) {
        lw_sweep_stands(earliest_deadline(set, count));
        return false;
    }
    if (!take_in_hand(set, count))
        return false;
    *told = decide(set, count, me, &options, &over);
    if (*told)
        lw_verdict_tell(&options);
    return over;
}
