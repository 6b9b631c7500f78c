/* SPDX-License-Identifier: MIT */
/* Requests: a static array under one guard, since they are few and rare.
 *
 *     FREE -> CLAIMED -> POSTED -> CLAIMED -> FREE
 *
 * Which lock it is for, who owns that, who asks, and what has been answered is all in the entry.
 * What a request does to a wait goes the way of a cancel, through a flag in the word ctl of whose
 * wait it is (runtime/wait_word.h):
 *
 *     LW_ASKED     of the owner  it has been asked once: it looks here when it ends, and when it is
 *                                asked whether it is asked.  For good
 *     LW_FORCE     of the owner  the request is to end a wait of it, and has not yet
 *     LW_ANSWERED  of who asks   there are news that have not ended a wait of it
 *
 * Invariants.
 * - Of a lock there is one entry that is not FREE; of an owner one that is POSTED.
 * - LW_FORCE and LW_ANSWERED are raised under the guard while the entry is POSTED, and are down
 *   once it is not: so an entry that was closed ends no wait that begins after that.
 * - LW_ANSWERED is down once the news were looked at.
 * - Whether an answer is in time is decided under the guard.
 *
 * Ordering.
 * [A1] who asks: CAS ctl (ASKED); heavy fence; section; load place  <->  owner that ends: store
 *      place (ENDED); light fence; load ctl; section, if it was asked.  So either it is seen to
 *      have ended, or it looks; and if it looks before the section, that one sees it.
 * [A2] section to section: drop (release) -> CAS (acquire).
 * [W3] the flags against waits: wait_word.h. */
#include "locksmith/request.h"

#include <errno.h>

#include "locksmith/detector.h"
#include "locksmith/smith.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

enum { GUARD = 1 };
enum state { FREE, CLAIMED, POSTED };

struct lw_request {
    enum state state;
    bool interrupts, answered, extended, ended;
    lw_lock *lock;
    lw_locksmith *smith;
    const void *info;
    lw_nsec until, at_most;
    uint64_t owner, asker; /* ids; asker 0: nobody waits */
    uint64_t ticket;       /* of each post another one */
    intptr_t value;
    lw_answer answer;
    int status;
    char text[LW_REQUEST_TEXT];
};

static struct lw_request requests[LW_REQUESTS];
static uint64_t guard, tickets;

static void enter(void)
{
    (void)lw_guard_take(&guard, GUARD); /* [A2] */
}

static void leave(void)
{
    lw_guard_drop(&guard, GUARD); /* [A2] */
}

static uint64_t my_id(const struct lw_record *me)
{
    return lw_load_rlx(&lw_record_cold(me)->id);
}

/* Under the guard: what that task is asked for; NULL: nothing. */
static struct lw_request *posted_to(uint64_t owner)
{
    for (struct lw_request *each = requests; each < requests + LW_REQUESTS; each++)
        if (each->state == POSTED && each->owner == owner)
            return each;
    return NULL;
}

static void raise_flag(uint64_t id, uint64_t flag)
{
    (void)lw_ctl_raise(lw_record_of(id), lw_id_generation(id), flag);
}

static void lower_flag(uint64_t id, uint64_t flag)
{
    (void)lw_ctl_lower(lw_record_of(id), lw_id_generation(id), flag);
}

/* After the section in which a flag of it was raised. */
static void disturb(uint64_t id)
{
    lw_wait_disturb(lw_record_of(id), lw_id_generation(id));
}

/* ---- the side of the one who asks */

/* Under the guard: who has it is kept until the caller is done with him. */
static int taken_by(const struct lw_request *request, lw_locksmith **other)
{
    if (other != NULL) {
        *other = request->smith;
        if (*other != NULL)
            lw_smith_keep(*other);
    }
    return -EALREADY;
}

int lw_request_claim(lw_lock *lock, lw_locksmith *smith, struct lw_request **request,
                     lw_locksmith **other)
{
    struct lw_request *found = NULL;
    int err = -EAGAIN;

    if (lw_forked())
        return -ECHILD;
    enter();
    for (struct lw_request *each = requests; each < requests + LW_REQUESTS; each++) {
        if (each->state == FREE) {
            found = each;
            err = 0;
        } else if (each->lock == lock) {
            found = NULL;
            err = taken_by(each, other);
            break;
        }
    }
    if (found != NULL) {
        found->state = CLAIMED;
        found->lock = lock;
        found->smith = smith;
        found->asker = 0;
        found->answered = found->extended = found->ended = false;
    }
    leave();
    *request = found;
    return err;
}

char *lw_request_text(struct lw_request *request)
{
    return request->text;
}

/* Under the guard. */
static void post(struct lw_request *request, bool interrupts)
{
    struct lw_record *me = lw_current();

    request->state = POSTED;
    request->ticket = ++tickets;
    request->answered = request->extended = request->ended = false;
    request->interrupts = interrupts;
    request->asker = request->smith != NULL ? my_id(me) : 0;
    if (interrupts)
        raise_flag(request->owner, LW_FORCE); /* [W3] */
}

int lw_request_post(struct lw_request *request, uint64_t owner, const void *info, lw_nsec until,
                    lw_nsec at_most, lw_locksmith **other)
{
    struct lw_record *record = lw_record_of(owner);
    uint32_t generation = lw_id_generation(owner);
    const struct lw_request *before;
    bool interrupts;
    int err = 0;

    if (record == NULL || !lw_ctl_raise(record, generation, LW_ASKED)) /* [A1] */
        return -ESRCH;
    interrupts = request->smith != NULL || (lw_load_rlx(&record->ctl) & LW_FORCIBLE) != 0;
    lw_asym_heavy(); /* [A1] */
    enter();
    before = posted_to(owner);
    if (!lw_ctl_lives(record, generation)) { /* [A1] */
        err = -ESRCH;
    } else if (before != NULL) {
        err = taken_by(before, other);
    } else {
        request->owner = owner;
        request->info = info;
        request->until = until;
        request->at_most = at_most;
        post(request, interrupts);
    }
    leave();
    if (err == 0 && interrupts)
        disturb(owner);
    return err;
}

/* Under the guard. */
static void look(struct lw_request *request, struct lw_request_news *news)
{
    *news = (struct lw_request_news){
        .until = request->until,
        .value = request->value,
        .answer = request->answer,
        .status = request->status,
        .answered = request->answered,
        .extended = request->extended,
        .ended = request->ended,
    };
    if (request->answered && request->answer == LW_ANSWER_LATER)
        request->answered = false;
    if (request->asker != 0)
        lower_flag(request->asker, LW_ANSWERED);
}

void lw_request_look(struct lw_request *request, struct lw_request_news *news)
{
    enter();
    look(request, news);
    leave();
}

/* Under the guard. */
static void close_it(struct lw_request *request)
{
    if (request->state != POSTED)
        return;
    request->state = CLAIMED;
    if (request->interrupts)
        lower_flag(request->owner, LW_FORCE);
    if (request->asker != 0)
        lower_flag(request->asker, LW_ANSWERED);
}

void lw_request_close(struct lw_request *request, struct lw_request_news *news)
{
    enter();
    look(request, news);
    close_it(request);
    leave();
}

void lw_request_give(struct lw_request *request)
{
    enter();
    close_it(request);
    request->state = FREE;
    request->lock = NULL;
    leave();
}

/* ---- the owner's side */

/* For good. */
static bool is_answered(const struct lw_request *posted)
{
    return posted->answered && posted->answer != LW_ANSWER_LATER;
}

/* Of the detector's, who looks now and then: by the end of the grace, and by what the caller, its
 * owner, holds. */
static bool is_out_of_time(const struct lw_request *posted)
{
    return posted->smith == NULL && lw_sys.now() >= posted->until;
}

static bool is_let_go(const struct lw_request *posted, const struct lw_record *me)
{
    return posted->smith == NULL &&
           lw_holds_against(lw_record_cold(me), (uintptr_t)posted->lock, ~0u) == 0;
}

bool lw_force_pending(lw_force_request *request)
{
    struct lw_record *me = lw_current();
    const struct lw_request *found;

    if (me == NULL || (lw_load_rlx(&me->ctl) & LW_ASKED) == 0 || lw_forked())
        return false;
    enter();
    found = posted_to(my_id(me));
    if (found != NULL && (is_answered(found) || is_out_of_time(found) || is_let_go(found, me)))
        found = NULL;
    if (found != NULL)
        *request = (lw_force_request){found->lock, found->smith, found->info, found->until,
                                      found->ticket};
    leave();
    return found != NULL;
}

/* Under the guard: what that ticket is of, and whether it is the caller's to answer. */
static int find(struct lw_record *me, uint64_t ticket, struct lw_request **found)
{
    for (struct lw_request *each = requests; each < requests + LW_REQUESTS; each++) {
        if (each->state != POSTED || each->ticket != ticket)
            continue;
        *found = each;
        if (each->owner != my_id(me))
            return -EPERM;
        if (is_answered(each))
            return -EALREADY;
        return is_out_of_time(each) ? -ESTALE : 0;
    }
    return -ESTALE;
}

/* Whoever asked is to look; 0: the detector, which looks by itself. */
static uint64_t answered(const struct lw_request *posted)
{
    if (posted->asker != 0)
        raise_flag(posted->asker, LW_ANSWERED); /* [W3] */
    return posted->asker;
}

static void leave_for(uint64_t asker)
{
    leave();
    if (asker != 0)
        disturb(asker);
}

int lw_force_answer(const lw_force_request *request, lw_answer answer, intptr_t value)
{
    struct lw_record *me = lw_current();
    struct lw_request *posted = NULL;
    uint64_t asker = 0;
    lw_nsec later;
    int err;

    if (request == NULL || (unsigned)answer > LW_ANSWER_VALUE ||
        (answer == LW_ANSWER_LATER && value <= 0))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    if (me == NULL)
        return -EPERM;
    later = answer == LW_ANSWER_LATER ? lw_in(value) : 0;
    enter();
    err = find(me, request->_ticket, &posted);
    if (err == 0) {
        posted->answered = true;
        posted->answer = answer;
        posted->value = value;
        if (answer == LW_ANSWER_LATER) {
            posted->until = later < posted->at_most ? later : posted->at_most;
            posted->extended = true;
        }
        asker = answered(posted);
    }
    leave_for(asker);
    return err;
}

/* The caller ends.  Before it abandons what it holds: that is said.  After that: who asked is told,
 * if he has not heard so by the lock itself. */
static void owner_ends(struct lw_record *me, int status, bool over)
{
    struct lw_request *posted;
    uint64_t asker = 0;

    if (lw_forked())
        return;
    enter();
    posted = posted_to(my_id(me)); /* [A1] */
    if (posted != NULL && !over) {
        posted->ended = !is_let_go(posted, me);
        posted->status = status;
    } else if (posted != NULL) {
        asker = answered(posted);
    }
    leave_for(asker);
}

/* What has ended a wait of the caller is to end another one, if it is still so. */
static void again(struct lw_record *me, uint64_t flags)
{
    uint64_t id = my_id(me);

    if (lw_forked())
        return;
    enter();
    for (struct lw_request *each = requests; each < requests + LW_REQUESTS; each++) {
        if (each->state != POSTED)
            continue;
        if ((flags & LW_FORCE) != 0 && each->owner == id && each->interrupts)
            raise_flag(id, LW_FORCE);
        if ((flags & LW_ANSWERED) != 0 && each->asker == id)
            raise_flag(id, LW_ANSWERED);
    }
    leave();
}

__attribute__((constructor)) static void hook_the_ends_and_waits_of_tasks(void)
{
    lw_asked_ends = owner_ends;
    lw_asked_again = again;
}
