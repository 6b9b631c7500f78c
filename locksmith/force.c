/* SPDX-License-Identifier: MIT */
/* lw_locksmith_force(): one lock, step by step.
 *
 *     audit                                   negative: that was it
 *     mutex { claim the lock; can_force }     no: UNFORCEABLE; it is claimed: it is busy
 *     get_info
 *     no owner, or the caller                 release: RELEASED, or what it says
 *     another                                 ask, and wait: for_owner()
 *     handler
 *     look                                    its owner has it as before: FAILURE; else SUCCESS
 *     purge                                   if it is wanted; also after an error
 *
 * While a lock is claimed (request.c) nobody else forces it: no lock is released twice for two
 * forces.
 *
 * Waiting for the owner is to acquire the lock, in front of all others, and to ask once one stands
 * there.  Then it has been let go of, whatever kind it is, and the caller gives it to whom it
 * belongs next; the detector sees the wait as that of any other, and so what it waits for.  An
 * answer, or the end of the owner, ends that wait as a request does (LW_ANSWERED).  In a shield
 * nothing ends it, so there the caller looks from time to time.  A kind of the program's whose
 * acquire waits by means that are not the library's never says that one stands there, and its
 * owner is not asked. */
#include <errno.h>

#include "locksmith/request.h"
#include "locksmith/smith.h"
#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"

#define LOOK_EVERY (10 * LW_MS) /* in a shield */

struct force {
    struct lw_first first; /* the first member */
    struct lw_forcing *with;
    lw_locksmith *smith;
    lw_lock *lock;
    const void *site;
    struct lw_request *request; /* the claim */
    lw_locksmith *other;        /* who has asked the owner already */
    lw_task owner;              /* as it was */
    int asked;                  /* what came of the request, 1: it was not made yet */
    bool released;              /* by who had it; we have seen it */
    bool abandoned;             /* the lock says that its owner has ended inside */
};

/* The caller is a task, which could be asked, or nobody is. */
static bool is_task(void)
{
    struct lw_record *me = lw_current();

    return me != NULL && !lw_record_is_guest(me);
}

/* ---- another does it already */

/* `other` was kept for us. */
static int busy(const struct force *it, lw_locksmith *other)
{
    int result = LW_FORCE_ALREADY_BEING_FORCED;

    if (other == it->smith)
        result = LW_HOOK(it->smith, already_forcing)(it->smith, it->lock);
    else
        LW_HOOK(it->smith, lock_busy)(it->smith, it->lock, other, 0);
    if (other != NULL)
        lw_smith_let_go(other);
    return result;
}

/* ---- the owner is asked */

/* The caller's wait is to end, or not, as if there were news. */
static void set_answered(bool answered)
{
    struct lw_record *me = lw_current();
    uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&me->ctl));

    if (answered)
        (void)lw_ctl_raise(me, generation, LW_ANSWERED);
    else
        (void)lw_ctl_lower(me, generation, LW_ANSWERED);
}

/* The caller stands in front of the queue.  Who lets go from here on lets go to us, and to nobody
 * who has waited before: so not until now is it asked. */
static void ask(struct lw_first *first)
{
    struct force *it = (struct force *)(void *)first;
    lw_nsec deadline = it->with->deadline;

    if (it->asked <= 0)
        return;
    it->asked =
        lw_request_post(it->request, it->owner.id, it->with->info, deadline, deadline, &it->other);
    if (it->asked < 0) /* nobody else ends our wait */
        set_answered(true);
}

/* Until when the owner has time. */
static lw_nsec end_of_grace(const struct force *it, const struct lw_request_news *news)
{
    return it->asked == 0 ? news->until : it->with->deadline;
}

/* Until when the next wait for the lock may last. */
static lw_nsec wait_until(lw_nsec until)
{
    lw_nsec soon;

    if (lw_load_rlx(&lw_record_cold(lw_current())->shields) == 0)
        return until;
    soon = lw_in(LOOK_EVERY);
    return soon < until ? soon : until;
}

/* The lock is the caller's. */
static int pass_on(struct force *it)
{
    int err;

    it->released = true;
    if (it->with->keep) {
        it->with->kept = true;
        return 0;
    }
    err = lw_release(it->lock);
    return err > 0 ? -EPERM : err; /* it should be free, and is ours */
}

/* It has said its last word. */
static bool is_settled(const struct lw_request_news *news)
{
    return news->ended || (news->answered && news->answer != LW_ANSWER_LATER &&
                           news->answer != LW_ANSWER_RELEASED);
}

/* A wait for the lock has ended so: 0: it is ours, or its owner has ended inside, or its time is
 * up; 1: look whether there are news; negative: an error of the caller's. */
static int after_wait(struct force *it, const struct lw_request_news *news, int err)
{
    if (err >= 0)
        return pass_on(it);
    if (err == -ETIMEDOUT) {
        it->with->expired = lw_now() >= end_of_grace(it, news);
        return it->with->expired ? 0 : 1;
    }
    if (err == -EDEADLK)
        return 1;
    if (err != -ENOTRECOVERABLE && err != -EOWNERDEAD)
        return err;
    it->abandoned = true;
    if (it->asked > 0)
        it->asked = -ESRCH;
    return 0;
}

/* It needs so long; that is told, and the wait goes on. */
static void take_note_of_later(const struct force *it, struct lw_request_news *news)
{
    if (!news->answered || news->answer != LW_ANSWER_LATER)
        return;
    LW_HOOK(it->smith, answer_received)(it->smith, it->lock, news->answer, news->value);
    news->answered = false;
}

/* Until the owner has let go, or has said all it has to say, or its time is up. */
static int await_owner(struct force *it, struct lw_request_news *news)
{
    lw_request_look(it->request, news);
    while (!is_settled(news)) {
        struct lw_request_news before;
        int err, more;

        take_note_of_later(it, news);
        before = *news;
        err = lw_lock_acquire_first(it->lock, wait_until(end_of_grace(it, news)), it->site,
                                    &it->first);
        more = after_wait(it, news, err);
        lw_request_look(it->request, news);
        if (more <= 0)
            return more;
        if (it->asked < 0)
            return 0;
        /* Nothing has come that would have ended the wait: it was meant for the caller. */
        if (err == -EDEADLK && news->answered == before.answered && news->ended == before.ended)
            return err;
    }
    return 0;
}

static bool is_as_before(const struct force *it)
{
    if (it->released)
        return false;
    if (it->owner.id == 0)
        return lw_locked(it->lock);
    return LW_HOOK(it->smith, find_owner)(it->smith, it->lock).id == it->owner.id;
}

/* The owner has ended with the lock, and without an answer. */
static int tell_end(const struct force *it, int status)
{
    if (status >= 0)
        return LW_HOOK(it->smith, eager_fallback)(it->smith, it->lock);
    if (lw_critical(status))
        return LW_HOOK(it->smith, task_raised_critical)(it->smith, it->lock, status);
    if (status == -EDEADLK)
        LW_HOOK(it->smith, task_propagated_request)(it->smith, it->lock);
    else
        LW_HOOK(it->smith, task_raised_other)(it->smith, it->lock, status);
    return 0;
}

/* What the owner has said, or not; 0: go on. */
static int tell(const struct force *it, const struct lw_request_news *news)
{
    if (news->answered) {
        LW_HOOK(it->smith, answer_received)(it->smith, it->lock, news->answer, news->value);
    } else if (it->released || (news->ended && !it->abandoned && !is_as_before(it))) {
        LW_HOOK(it->smith, answer_received)(it->smith, it->lock, LW_ANSWER_RELEASED, 0);
    } else if (news->ended) {
        return tell_end(it, news->status);
    }
    return 0;
}

/* 0: go on; else the result. */
static int ask_owner(struct force *it)
{
    struct lw_request_news news = {0};
    int err;

    if (it->with->deadline == LW_NOW)
        return 0;
    it->asked = 1;
    it->first.queued = ask;
    err = await_owner(it, &news);
    lw_request_close(it->request, &news);
    if (it->asked < 0)
        set_answered(false);
    take_note_of_later(it, &news);
    it->with->expired &= !news.answered && !news.ended;
    if (it->asked == -EALREADY && !it->released && err == 0)
        return busy(it, it->other);
    if (it->asked == -EALREADY && it->other != NULL)
        lw_smith_let_go(it->other);
    if (it->asked == -ESRCH && err == 0 && (it->abandoned || is_as_before(it)))
        return LW_HOOK(it->smith, eager_fallback)(it->smith, it->lock);
    if (err < 0 && news.answered)
        LW_HOOK(it->smith, answer_received)(it->smith, it->lock, news.answer, news.value);
    return err < 0 || it->asked != 0 ? err : tell(it, &news);
}

/* ---- the steps */

/* A lock that names its owners has none while it is free, so one look would not tell it from one
 * that never does. */
static bool has_no_owner(const struct force *it)
{
    for (int looks = 0; looks < 2; looks++)
        if (!lw_locked(it->lock) || LW_HOOK(it->smith, find_owner)(it->smith, it->lock).id != 0)
            return false;
    return true;
}

/* Nobody has it who could be asked, and its release was refused: 0: go on; else the result. */
static int refused(struct force *it, int err)
{
    if (err == -ECANCELED || lw_critical(err))
        return err;
    if (it->owner.id != 0)
        return 0;
    it->released = !has_no_owner(it); /* who had it has let go, and another may have taken it */
    if (it->released || is_task())
        return 0;
    return LW_HOOK(it->smith, throw_fallback)(it->smith, it->lock);
}

static int make_let_go(struct force *it)
{
    const lw_locksmith_hooks *hooks = it->smith->hooks;
    int result;

    it->owner = LW_HOOK(it->smith, find_owner)(it->smith, it->lock);
    if (it->owner.id != 0 && it->owner.id != lw_self().id) {
        result = ask_owner(it);
    } else {
        result = lw_release(it->lock);
        if (result >= 0)
            return result == 0 ? LW_FORCE_RELEASED
                               : LW_HOOK(it->smith, release_returned_false)(it->smith, it->lock);
        result = refused(it, result);
    }
    if (result != 0)
        return result;
    result = lw_handlers_run(hooks != NULL ? hooks->handlers : NULL, it->smith, it->lock);
    if (result < 0)
        return result;
    return is_as_before(it) ? LW_FORCE_FAILURE : LW_FORCE_SUCCESS;
}

static int get_info(struct force *it)
{
    const lw_locksmith_hooks *hooks = it->smith->hooks;
    int err = 0;

    if ((it->with->flags & LW_INFO_GIVEN) != 0)
        return 0;
    if (hooks != NULL && hooks->get_info != NULL) {
        it->with->info = hooks->get_info(it->smith, it->lock, &err);
        return err < 0 ? err : 0;
    }
    lw_default_info(it->lock, lw_request_text(it->request), LW_REQUEST_TEXT);
    it->with->info = lw_request_text(it->request);
    return 0;
}

/* With the lock claimed. */
static int force_claimed(struct force *it)
{
    int result = get_info(it), err;

    if (result < 0)
        return result;
    result = make_let_go(it);
    if ((it->with->flags & LW_PURGE_WAITERS) == 0)
        return result;
    err = LW_HOOK(it->smith, purge_waiters)(it->smith, it->lock);
    return result >= 0 && err < 0 ? err : result;
}

/* Claim the lock, and see whether it may be forced at all: 0, or the result. */
static int claim(struct force *it)
{
    lw_locksmith *other = NULL;
    bool may;
    int err = lw_mutex_acquire(&it->smith->_mutex, it->with->deadline);

    if (err < 0)
        return err;
    /* First the claim: what is found then, no other force is about to change. */
    err = lw_request_claim(it->lock, it->smith, &it->request, &other);
    may = LW_HOOK(it->smith, can_force)(it->smith, it->lock);
    (void)lw_mutex_release(&it->smith->_mutex);
    if (err == -EALREADY && may)
        return busy(it, other);
    if (err == -EALREADY && other != NULL)
        lw_smith_let_go(other);
    if (err == 0 && !may)
        lw_request_give(it->request);
    return may ? err : LW_FORCE_UNFORCEABLE;
}

int lw_force_run(struct lw_forcing *forcing, const void *site)
{
    struct force it = {
        .with = forcing, .smith = forcing->smith, .lock = forcing->lock, .site = site};
    int result = LW_HOOK(it.smith, audit)(it.smith, it.lock);

    if (result < 0)
        return result;
    result = claim(&it);
    if (result != 0)
        return result;
    result = force_claimed(&it);
    lw_request_give(it.request);
    return result;
}

int lw_locksmith_force(lw_locksmith *smith, lw_lock *lock, const void *info, uint32_t flags,
                       lw_nsec deadline)
{
    struct lw_forcing forcing = {
        .smith = smith, .lock = lock, .info = info, .flags = flags, .deadline = deadline};
    int result;

    if ((flags & ~(LW_INFO_GIVEN | LW_PURGE_WAITERS)) != 0)
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    lw_smith_keep(smith);
    result = lw_force_run(&forcing, __builtin_return_address(0));
    lw_smith_let_go(smith);
    return result;
}
