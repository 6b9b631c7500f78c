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

static uint64_t one_more(uint64_t ctl)
{
    if ((ctl & LW_CTL_FRESH_MASK) != LW_CTL_FRESH_MASK)
        ctl += UINT64_C(1) << LW_CTL_FRESH_SHIFT;
    if ((ctl & LW_CTL_REQUESTS_MASK) != LW_CTL_REQUESTS_MASK)
        ctl += UINT64_C(1) << LW_CTL_REQUESTS_SHIFT;
    return ctl;
}

/* The life of that generation is over. */
static bool is_over(uint64_t ctl, uint32_t generation)
{
    return LW_CTL_GENERATION(ctl) != generation || (ctl & LW_LIVE) == 0;
}

/* All fresh ones, to be delivered; the requests stay.  How many: 0 to 255. */
static unsigned take_fresh(struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_acq(&record->ctl);

    do {
        if (is_over(ctl, generation) || (ctl & LW_CTL_FRESH_MASK) == 0)
            return 0;
    } while (!lw_cas_acq_rel(&record->ctl, &ctl, ctl & ~LW_CTL_FRESH_MASK));
    return (unsigned)((ctl & LW_CTL_FRESH_MASK) >> LW_CTL_FRESH_SHIFT);
}

/* As many as were taken: each of them can be withdrawn by itself. */
static void give_back(struct lw_record *record, uint32_t generation, unsigned count)
{
    uint64_t ctl = lw_load_rlx(&record->ctl), next;

    do {
        uint64_t room = (LW_CTL_FRESH_MASK - (ctl & LW_CTL_FRESH_MASK)) >> LW_CTL_FRESH_SHIFT;

        if (is_over(ctl, generation))
            return;
        next = ctl + ((count < room ? count : room) << LW_CTL_FRESH_SHIFT);
    } while (!lw_cas_acq_rel(&record->ctl, &ctl, next));
}

bool lw_cancel_request(struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    do {
        if (is_over(ctl, generation))
            return false;
    } while (!lw_cas_acq_rel(&record->ctl, &ctl, one_more(ctl))); /* [W3] */
    return true;
}

void lw_cancel_wait(struct lw_record *record, uint32_t generation, struct lw_wake_batch *batch)
{
    struct lw_cold *cold = lw_record_cold(record);

    for (;;) {
        uint64_t wait = lw_load_acq(&cold->wait); /* [W1] [W3] */
        unsigned count;

        if (!lw_wait_can_end(wait) || lw_load_rlx(&cold->shields) != 0)
            return;
        count = take_fresh(record, generation);
        if (count == 0)
            return;
        if (lw_cas_acq_rel(&cold->wait, &wait, lw_wait_ended(wait, LW_CANCELLED))) {
            lw_store_rlx(&cold->cancels, (uint8_t)count); /* it does not run before it is queued */
            break;
        }
        /* It went from ARMED to WAITING, or ended.  The task may be in its next wait already,
         * which began without our request: look again. */
        give_back(record, generation, count);
        lw_asym_heavy(); /* [W3] */
    }
    if (batch == NULL)
        lw_make_ready(record, false);
    else
        lw_wake_batch_add(batch, record);
}

int lw_deliver_cancel(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    unsigned count;

    if (cold->shields != 0)
        return 0;
    count = take_fresh(me, LW_CTL_GENERATION(lw_load_rlx(&me->ctl)));
    if (count != 0)
        lw_store_rlx(&cold->cancels, (uint8_t)count);
    return count != 0 ? -ECANCELED : 0;
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

void lw_cancel_restore(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);

    give_back(me, LW_CTL_GENERATION(lw_load_rlx(&me->ctl)), lw_load_rlx(&cold->cancels));
    lw_store_rlx(&cold->cancels, 0);
}

int lw_cancel(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    uint32_t generation = lw_id_generation(task.id);

    if (lw_forked())
        return -ECHILD;
    if (record == NULL || is_over(lw_load_acq(&record->ctl), generation))
        return -ESRCH;
    if (lw_record_is_guest(record))
        return -EPERM;
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
    uint64_t ctl;

    if (lw_forked())
        return -ECHILD;
    if (record == NULL)
        return -ESRCH;
    ctl = lw_load_acq(&record->ctl);
    do {
        if (is_over(ctl, lw_id_generation(task.id)))
            return -ESRCH;
        if ((ctl & LW_CTL_FRESH_MASK) == 0)
            return -EINVAL;
    } while (!lw_cas_acq_rel(&record->ctl, &ctl,
                             ctl - (UINT64_C(1) << LW_CTL_FRESH_SHIFT) -
                                 (UINT64_C(1) << LW_CTL_REQUESTS_SHIFT)));
    return 0;
}

/* The calling task; NULL: a plain thread.  A child of a group learns here what its group was
 * told. */
static struct lw_record *task_here(void)
{
    struct lw_record *me = lw_current();

    if (me == NULL || lw_record_is_guest(me))
        return NULL;
    if ((me->place & (LW_PLACE_CHILD | LW_PLACE_ENROLLED)) == LW_PLACE_CHILD)
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
