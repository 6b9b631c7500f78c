/* SPDX-License-Identifier: MIT */
/* Cancel and shield.
 *
 * A cancel is a count of fresh requests in the task's ctl word; delivering takes them all at
 * once.  It is delivered by the task itself: by the wait that it ended, or by the next one that
 * begins.
 *
 * [W3] canceller: CAS ctl (fresh + 1); heavy fence; load wait  <->  task: store wait; light fence;
 *      load ctl.  So either the task sees the request before it leaves, or the canceller sees the
 *      wait.
 * The canceller loads the wait word before it takes the requests from ctl: those that are still
 * fresh were delivered by no wait before this one, so ending this one is right; if they were, the
 * CAS of exactly that word fails.  Whoever ends a wait has taken the requests first, so that what
 * lw_uncancel() took back is not delivered; and gives them back when the wait ends otherwise. */
#include <latchwork/cancel.h>

#include <errno.h>

#include "runtime/fork.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

bool lw_cancel_request(struct lw_record *record, uint32_t generation)
{
    return lw_ctl_request(record, generation);
}

void lw_cancel_wait(struct lw_record *record, uint32_t generation, struct lw_wake_batch *batch)
{
    if (!lw_wait_cancel(record, generation))
        return;
    if (batch == NULL)
        lw_make_ready(record, false);
    else
        lw_wake_batch_add(batch, record);
}

int lw_deliver_cancel(struct lw_record *me)
{
    return lw_wait_deliver(me) ? -ECANCELED : 0;
}

void lw_deliver_more(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    unsigned before = lw_load_rlx(&cold->cancels), all;

    if (lw_deliver_cancel(me) == 0)
        return;
    all = before + lw_load_rlx(&cold->cancels);
    lw_store_rlx(&cold->cancels, (uint8_t)(all < UINT8_MAX ? all : UINT8_MAX));
}

void (*lw_asked_again)(struct lw_record *me, uint64_t flags);

void lw_force_restore(struct lw_record *me, uint64_t flags)
{
    if (flags != 0 && lw_asked_again != NULL)
        lw_asked_again(me, flags);
}

void lw_wait_restore(struct lw_record *me, enum lw_outcome outcome)
{
    if (outcome == LW_CANCELLED)
        lw_wait_undeliver(me);
    else if (outcome == LW_FORCED)
        lw_force_restore(me, lw_load_rlx(&lw_record_cold(me)->cancels));
}

void lw_cancel_restore(struct lw_record *me)
{
    lw_wait_undeliver(me);
}

int lw_cancel(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    uint32_t generation = lw_id_generation(task.id);

    if (lw_forked())
        return -ECHILD;
    if (record == NULL || lw_ctl_is_over(lw_load_acq(&record->ctl), generation))
        return -ESRCH;
    if (lw_record_is_guest(record)) {
        lw_fence_acq(); /* [R4] it may be the slot's next life that is a plain thread's */
        return lw_ctl_is_over(lw_load_rlx(&record->ctl), generation) ? -ESRCH : -EPERM;
    }
    if (lw_record_is_done(record))
        return -ESRCH; /* fn has ended, nobody has joined */
    if (!lw_cancel_request(record, generation))
        return -ESRCH;
    lw_asym_heavy(); /* [W3] */
    lw_cancel_wait(record, generation, NULL);
    return 0;
}

int lw_uncancel(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    uint32_t generation = lw_id_generation(task.id);
    uint64_t ctl;

    if (lw_forked())
        return -ECHILD;
    if (record == NULL)
        return -ESRCH;
    if (lw_ctl_withdraw(record, generation, &ctl))
        return 0;
    return lw_ctl_is_over(ctl, generation) ? -ESRCH : -EINVAL;
}

/* The calling task; NULL: a plain thread.  A child of a group learns here what its group was
 * told. */
static struct lw_record *task_here(void)
{
    struct lw_record *me = lw_current();

    if (me == NULL || lw_record_is_guest(me))
        return NULL;
    if ((lw_load_rlx(&me->place) & (LW_PLACE_CHILD | LW_PLACE_ENROLLED)) == LW_PLACE_CHILD)
        lw_group_enroll(me);
    return me;
}

unsigned lw_cancel_requests(void)
{
    struct lw_record *me = task_here();

    return me == NULL ? 0
                      : (unsigned)((lw_load_rlx(&me->ctl) & LW_CTL_REQUESTS_MASK) >>
                                   LW_CTL_REQUESTS_SHIFT);
}

int lw_checkpoint(void)
{
    struct lw_record *me = task_here();

    return me == NULL ? 0 : lw_deliver_cancel(me);
}

int lw_shield_enter(void)
{
    struct lw_record *me = lw_current();
    struct lw_cold *cold;

    if (me == NULL || lw_record_is_guest(me))
        return -EPERM;
    cold = lw_record_cold(me);
    if (cold->shields == UINT16_MAX)
        return -EOVERFLOW;
    lw_store_rlx(&cold->shields, (uint16_t)(cold->shields + 1));
    return 0;
}

int lw_shield_exit(void)
{
    struct lw_record *me = lw_current();
    struct lw_cold *cold;

    if (me == NULL || lw_record_is_guest(me) || lw_record_cold(me)->shields == 0)
        return -EPERM;
    cold = lw_record_cold(me);
    lw_store_rlx(&cold->shields, (uint16_t)(cold->shields - 1));
    return 0;
}
