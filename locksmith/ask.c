/* SPDX-License-Identifier: MIT */
/* The detector asks (level 3): the owner of a lock is told that others need it, sees it when it
 * asks whether it is asked (lw_force_pending()), and has a grace to answer, or to let go.  Nobody
 * waits for that: what is asked is in a table, with the evidence, and is looked at again with each
 * look at all waits, at least each 10 ms.  When it has come to an end, that is written down, what
 * comes next is tried (resolve.c), and then the verdict is told.
 *
 *     found -> asked -> "released"               it does not hold it any more
 *                    -> "downgraded" "refused" "answered with a value"
 *                    -> "its owner has ended"
 *                    -> "nobody waits for it any more"
 *                    -> "no answer"              the grace is over
 *                    -> "withdrawn"              other options are in force; or nobody will look
 *
 * An owner may say that it needs more time, which moves the end of the grace, up to GRACES of them.
 *
 * Who waits hears nothing before his wait is over.  So of those who wait for each other one is
 * asked only if its wait ends by its own deadline before the grace does, or by being asked, which
 * is so of one that was spawned with LW_TASK_FORCIBLE.
 *
 * Where nothing else helps, a set in which one is being asked, or waits for what is asked for, is
 * left alone until that is over: it is the same again, with other waits, or it may help.  A
 * locksmith of the program's that forces the lock, or asks its owner, goes first:
 * then nobody is asked twice, and it is only looked on. */
#include <errno.h>

#include "locksmith/detector.h"
#include "locksmith/request.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { GRACES = 10 };
#define GRACE_MAX (1000000 * LW_SEC) /* so that no moment overflows */
#define LOOK_EVERY (10 * LW_MS)

struct ask {
    bool used;
    bool extended; /* it has said so */
    bool missed;   /* not found among its holds, at the last look */
    struct lw_request *request; /* NULL: a locksmith of the program's does it */
    uint64_t owner;
    lw_lock *lock;
    lw_nsec until;
    size_t member; /* which it is, in the report */
    uint32_t count;
    struct lw_suspect set[LW_TOLD_MAX];
};

static struct ask asks[LW_ASKS];
static bool postponed;           /* something was not asked, for want of room */
static lw_nsec due = LW_FOREVER; /* anyone reads it */

/* ---- whom */

/* Of one in a set of claimed waits. */
static bool is_forcible(const struct lw_suspect *suspect)
{
    return (lw_load_rlx(&suspect->record->ctl) & LW_FORCIBLE) != 0 && lw_score(suspect, false) >= 0;
}

static bool hears(const struct lw_suspect *suspect, lw_nsec until)
{
    return is_forcible(suspect) ||
           lw_load_rlx(&lw_record_cold(suspect->record)->deadline) <= until;
}

lw_lock *lw_ask_for_what(const struct lw_suspect *set, uint32_t count, uint32_t owner)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct lw_cold *cold = lw_record_cold(set[i].record);
        unsigned kind = lw_load_rlx(&cold->kind);
        uint64_t object = lw_load_rlx(&cold->object);

        if (i != owner && kind != LW_WAIT_ONCE &&
            lw_holds_against(lw_record_cold(set[owner].record), object, lw_modes_against(kind)))
            return (lw_lock *)(uintptr_t)object;
    }
    return NULL;
}

/* Who hears it first. */
static bool is_better(const struct lw_suspect *one, const struct lw_suspect *other)
{
    if (is_forcible(one) != is_forcible(other))
        return is_forcible(one);
    return lw_load_rlx(&lw_record_cold(one->record)->deadline) <
           lw_load_rlx(&lw_record_cold(other->record)->deadline);
}

static lw_nsec grace_of(const lw_detector_options *options)
{
    return options->grace < GRACE_MAX ? options->grace : GRACE_MAX;
}

uint32_t lw_ask_whom(const struct lw_suspect *set, uint32_t count,
                     const lw_detector_options *options, lw_nsec now)
{
    lw_nsec until = now + grace_of(options);
    uint32_t best = count;

    /* Nobody would look at it again; and of a larger one not all that it is can be kept. */
    if (!lw_tick_runs() || count > LW_TOLD_MAX)
        return count;
    for (uint32_t i = 0; i < count; i++)
        if (hears(&set[i], until) && (best == count || is_better(&set[i], &set[best])) &&
            lw_ask_for_what(set, count, i) != NULL)
            best = i;
    return best;
}

bool lw_ask_is_about(const struct lw_suspect *set, uint32_t count)
{
    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++)
        for (uint32_t i = 0; ask->used && i < count; i++)
            if (lw_record_id(set[i].record) == ask->owner ||
                lw_load_rlx(&lw_record_cold(set[i].record)->object) == (uintptr_t)ask->lock)
                return true;
    return false;
}

/* ---- to ask */

static void set_due(lw_nsec now)
{
    lw_nsec earliest = postponed ? now + LOOK_EVERY : LW_FOREVER;

    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++) {
        lw_nsec next = ask->until < now + LOOK_EVERY ? ask->until : now + LOOK_EVERY;

        if (ask->used && next < earliest)
            earliest = next;
    }
    lw_store_rlx(&due, earliest);
}

lw_nsec lw_ask_due(void)
{
    return lw_load_rlx(&due);
}

static struct ask *free_one(void)
{
    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++)
        if (!ask->used)
            return ask;
    return NULL;
}

/* 0, or an error. */
static int post(struct ask *ask, lw_nsec now, lw_nsec grace)
{
    int err = lw_request_claim(ask->lock, NULL, &ask->request, NULL);

    if (err < 0)
        return err;
    err = lw_request_post(ask->request, ask->owner, NULL, now + grace, now + GRACES * grace, NULL);
    if (err < 0) {
        lw_request_give(ask->request);
        ask->request = NULL;
    }
    return err;
}

/* We ask for it already, or its owner for another one. */
static bool is_busy(const struct lw_asked *asked)
{
    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++)
        if (ask->used && (ask->owner == asked->owner.id || ask->lock == asked->lock))
            return true;
    return false;
}

bool lw_ask(const struct lw_asked *asked, const lw_detector_options *options, lw_nsec now)
{
    lw_nsec grace = grace_of(options);
    struct ask *ask = is_busy(asked) ? NULL : free_one();
    int err = -EAGAIN;

    if (ask != NULL) {
        *ask = (struct ask){.owner = asked->owner.id,
                            .lock = asked->lock,
                            .until = now + grace,
                            .member = asked->member,
                            .count = asked->count};
        for (uint32_t i = 0; i < asked->count; i++)
            ask->set[i] = asked->set[i];
        err = post(ask, now, grace);
    }
    if (err == -EALREADY)
        lw_verdict_step(3, asked->member, asked->lock, "a locksmith is forcing it already");
    if (err == 0 || err == -EALREADY) {
        lw_verdict_keep((unsigned)(ask - asks));
        ask->used = true;
    } else { /* there is no room, or its owner has just ended */
        postponed = true;
    }
    set_due(now);
    return err == 0 || err == -EALREADY;
}

/* ---- what comes of it */

struct outcome {
    const char *text;
    bool lets_go; /* it has done something about it */
    bool over;    /* nobody need be kept waiting any more */
};

static const struct outcome released = {"released", true, true};
static const struct outcome released_late = {"released late", true, true};
static const struct outcome ended = {"its owner has ended", false, true};
static const struct outcome in_vain = {"nobody waits for it any more", false, true};
static const struct outcome no_answer = {"no answer", false, false};
static const struct outcome withdrawn = {"withdrawn", false, true};
static const struct outcome answers[] = {
    [LW_ANSWER_DOWNGRADED] = {"downgraded", true, true},
    [LW_ANSWER_REFUSED] = {"refused", false, false},
    [LW_ANSWER_VALUE] = {"answered with a value", false, false},
};

/* None of those who waited for it still does.  To be asked before its owner's holds are looked at,
 * who has let go of it before a wait for it ends [W2]. */
static bool nobody_waits(const struct ask *ask)
{
    for (uint32_t i = 0; i < ask->count; i++) {
        const struct lw_cold *cold = lw_record_cold(ask->set[i].record);
        bool wants = lw_load_rlx(&cold->object) == (uintptr_t)ask->lock;

        if (wants && lw_wait_is_still(ask->set[i].wait, lw_load_acq(&cold->wait))) /* [W2] */
            return false;
    }
    return true;
}

/* Its owner may be running, and shift its holds while they are looked at: unless it is the last
 * look, what is not found twice is not there. */
static bool is_released(struct ask *ask, bool last)
{
    const struct lw_record *record = lw_record_of(ask->owner);
    bool missed = lw_record_id(record) != ask->owner ||
                  lw_holds_against(lw_record_cold(record), (uintptr_t)ask->lock, ~0u) == 0;
    bool is = missed && (ask->missed || last);

    ask->missed = missed;
    return is;
}

/* All that it has to say. */
static bool is_answer(const struct lw_request_news *news)
{
    return news->answered && news->answer != LW_ANSWER_LATER && news->answer != LW_ANSWER_RELEASED;
}

/* NULL: it is not over yet. */
static const struct outcome *look_at(struct ask *ask, lw_nsec now)
{
    struct lw_request_news news = {.until = ask->until};
    bool waited_for = !nobody_waits(ask);

    if (ask->request != NULL)
        lw_request_look(ask->request, &news);
    ask->until = news.until;
    ask->extended |= news.extended;
    if (is_answer(&news))
        return &answers[news.answer];
    if (news.ended) /* with it */
        return &ended;
    if (is_released(ask, !waited_for || now >= ask->until))
        return ask->extended ? &released_late : &released;
    if (!waited_for)
        return &in_vain;
    return now >= ask->until ? &no_answer : NULL;
}

/* All is told that there is to tell; further: the next levels are tried, if it did not help. */
static void finish(struct ask *ask, const struct outcome *outcome, bool further)
{
    lw_report *report = lw_verdict_take_back((unsigned)(ask - asks));
    struct lw_request_news news = {0};
    lw_detector_options options;
    bool stays;

    if (ask->request != NULL) {
        lw_request_close(ask->request, &news); /* what was said since we looked */
        lw_request_give(ask->request);
    }
    if (is_answer(&news))
        outcome = &answers[news.answer];
    stays = !outcome->over;
    ask->used = false;
    lw_detector_options_now(&options);
    if (ask->extended)
        lw_verdict_step(3, ask->member, ask->lock, "more time");
    lw_verdict_step(3, ask->member, ask->lock, outcome->text);
    if (report->verdict == LW_VERDICT_DEADLOCK && further)
        stays = lw_resolve_further(ask->set, ask->count, report, &options);
    else
        report->unforceable = stays;
    if (outcome->lets_go && !stays)
        lw_detector_count(&lw_detector_counted.forced[3]);
    lw_verdict_tell(&options);
}

int lw_ask_look(lw_nsec now)
{
    int verdicts = 0;
    bool again = postponed;

    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++) {
        const struct outcome *outcome = ask->used ? look_at(ask, now) : NULL;

        if (outcome != NULL) {
            finish(ask, outcome, true);
            verdicts++;
        }
    }
    /* What is left of it may be found now, or what had to wait for it. */
    if (verdicts != 0 || again)
        lw_sweep_again();
    postponed = false;
    set_due(now);
    return verdicts;
}

void lw_ask_withdraw(void)
{
    lw_nsec now = lw_sys.now();

    for (struct ask *ask = asks; ask < asks + LW_ASKS; ask++) {
        const struct outcome *outcome = ask->used ? look_at(ask, now) : NULL;

        if (ask->used)
            finish(ask, outcome != NULL ? outcome : &withdrawn, false);
    }
    set_due(now);
}
