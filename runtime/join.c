/* SPDX-License-Identifier: MIT */
/* Join and detach: the joiner's half of the word `peer`, see peer.h.
 *
 * A join that would close a cycle of joins does not wait: -EDEADLK.  Each task has at most one
 * joiner, so a cycle is found by going up from the caller: who waits for me, who waits for that
 * one, until it is the one I am about to wait for.  A join that has a deadline ends by itself, so
 * it is no part of a cycle.  Of a cycle that several tasks close at once the last one, in the
 * order of [J2], sees all of it.
 *
 * A cancel that has ended the joiner's wait is not lost when the task it waited for ends all the
 * same before the joiner runs: the join succeeds, and the cancel waits for the next wait.
 *
 * [J2] CAS of the target's peer; load of my own peer, and of those on the way up  <->  the same of
 *      another: all seq_cst.  A wait is published before the peer word that names it (release ->
 *      acquire).
 * [J3] of a joiner, whose wait it is:  the deadline of its next wait (release)  ->  deadline, fence
 *      (acquire), the joiner's wait once more */
#include <latchwork/task.h>

#include <errno.h>

#include "runtime/fiber.h"
#include "runtime/fork.h"
#include "runtime/peer.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

/* Whoever finds DONE claims the record by ending this life of the slot: exactly one does. */
LW_INLINE int reap(struct lw_record *record, uint64_t ctl, int *status)
{
    int value = (int)lw_load_rlx(&record->status); /* another may be reaping it */
    struct lw_worker *worker;

    if (!lw_ctl_end(record, ctl))
        return -ESRCH;
    worker = lw_worker_here();
    if (lw_likely(worker != NULL)) {
        void *task = lw_apart_begin(lw_thread_self());

        lw_record_put(&worker->records, record);
        lw_apart_end(task);
    } else {
        lw_guest_record_put(record);
    }
    if (status != NULL)
        *status = value;
    return 0;
}

/* The record of a handle in the life that the handle means, with its ctl and peer; negative if
 * there is none, or it is nothing to join. */
LW_INLINE int look_up(lw_task task, struct lw_record **record, uint64_t *ctl, uint64_t *peer)
{
    uint64_t place;

    *record = lw_record_of(task.id);
    if (*record == NULL)
        return -ESRCH;
    /* ctl first: what is read after it is of this life, or of a later one, whose ctl is another. */
    *ctl = lw_load_acq(&(*record)->ctl); /* [R1] */
    /* Both before the second look at whose they are.  By a fence as well, but TSan knows of none,
     * and would take what the task has done for unordered with what its joiner does then. */
    place = lw_load_acq(&(*record)->place); /* [R4] */
    *peer = lw_load_acq(&(*record)->peer);  /* [J1] [R4] */
    if (LW_CTL_GENERATION(*ctl) != lw_id_generation(task.id) || (*ctl & LW_LIVE) == 0 ||
        /* Without the second look they may be those of the slot's next life. */
        lw_recheck(LW_CTL_GENERATION(lw_load_rlx(&(*record)->ctl)) != lw_id_generation(task.id)))
        return -ESRCH;
    if ((place & (LW_PLACE_GUEST | LW_PLACE_CHILD)) != 0 ||
        lw_peer_is(*peer, LW_PEER_DETACHED))
        return -EINVAL;
    return 0;
}

/* ---- cycles of joins */

/* Who waits for the end of the record's task, for as long as it takes; NULL: nobody.  (Of a child
 * the word is a pointer, whose tag is NONE; of a guest it is DETACHED.) */
static struct lw_record *joiner_for_ever(const struct lw_record *record)
{
    uint64_t peer = lw_load_sc(&record->peer), wait, again; /* [J2] */
    struct lw_record *joiner;
    const struct lw_cold *cold;
    bool for_ever;

    if (!lw_peer_is(peer, LW_PEER_JOINER))
        return NULL;
    joiner = lw_peer_record(peer);
    cold = lw_record_cold(joiner);
    wait = lw_load_acq(&cold->wait); /* [W1] */
    for_ever = lw_load_rlx(&cold->deadline) == LW_FOREVER &&
               lw_load_rlx(&cold->kind) == LW_WAIT_JOIN; /* a select has other ways out */
    lw_fence_acq(); /* [J3] */
    again = lw_load_rlx(&cold->wait);
    /* Without the second look the deadline may be that of its next wait: a cycle that is none. */
    if (!lw_peer_means(peer, wait) || !lw_wait_is_blocked(wait) ||
        lw_recheck(!lw_wait_is_still(wait, again)))
        return NULL;
    return for_ever ? joiner : NULL;
}

/* From me up to who waits for me, who waits for that one, ...: target is among them. */
static bool is_cycle(const struct lw_record *me, const struct lw_record *target)
{
    const struct lw_record *record = me;

    for (uint32_t steps = lw_records_used(); steps > 0; steps--) { /* all may change meanwhile */
        record = joiner_for_ever(record);
        if (record == NULL || record == target)
            return record != NULL;
    }
    return false;
}

/* The caller's wait, just begun, closes a cycle: then it is over. */
static LW_NOINLINE bool closes_cycle(struct lw_record *me, const struct lw_record *target)
{
    static uint64_t guard;
    bool closes;

    /* Who never ran waits for nobody: so the usual descent of fork and join costs no walk. */
    if ((lw_load_sc(&target->place) & LW_PLACE_STACK) == 0 || !is_cycle(me, target))
        return false;
    /* Several may see it: one gives way, and the others then see a cycle no more. */
    (void)lw_guard_take(&guard, 1);
    /* Without the second look all of a cycle's joins fail, where one is enough. */
    closes = !lw_recheck(!is_cycle(me, target)) && lw_wait_end_own(me, LW_FORCED);
    lw_guard_drop(&guard, 1);
    return closes;
}

/* ---- join, detach */

static LW_NOINLINE int join_slow(lw_task task, int *status, lw_nsec deadline, const void *site)
{
    struct lw_record *me, *record = NULL;
    enum lw_outcome outcome;
    uint64_t ctl = 0, peer = 0, mine;
    int err = lw_wait_enter(&me, deadline);

    if (err == 0)
        err = look_up(task, &record, &ctl, &peer);
    if (err < 0)
        return err;
    if (peer == LW_PEER_DONE)
        return reap(record, ctl, status);
    if (record == me)
        return -EDEADLK;
    if (lw_peer_is_taken(peer))
        return -EBUSY;
    if (deadline == LW_NOW)
        return -ETIMEDOUT;

    lw_store_rlx(&lw_record_cold(me)->target, task.id);
    lw_wait_begin(me, LW_WAIT_JOIN, record, NULL, deadline, site);
    mine = lw_peer_joiner(me);
    if (!lw_peer_join(record, ctl, mine, &peer)) { /* [J1] [J2] */
        lw_wait_abort(me);
        if (peer == LW_PEER_DONE)
            return reap(record, ctl, status);
        return lw_peer_is_taken(peer) ? -EBUSY : -ESRCH;
    }
    /* Who waits for me has looked before I could be seen to wait: without the look the last one of
     * a cycle waits like the others. */
    if (lw_unlikely(deadline == LW_FOREVER &&
                    lw_recheck(lw_peer_is(lw_load_sc(&me->peer), LW_PEER_JOINER)) && /* [J2] */
                    closes_cycle(me, record)))
        outcome = LW_FORCED;
    else
        outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED && lw_peer_leave(record, ctl, mine))
        return lw_wait_error(me, outcome);
    lw_wait_restore(me, outcome);
    return reap(record, ctl, status);
}

int lw_join(lw_task task, int *status, lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_record *record = lw_record_of(task.id);
    uint64_t ctl;

    /* Ended already, and the budget is not: nothing to wait for. */
    if (lw_likely(thread != NULL && record != NULL && lw_load_rlx(&thread->budget) > 1)) {
        ctl = lw_load_acq(&record->ctl); /* [R1] */
        if (LW_CTL_GENERATION(ctl) == lw_id_generation(task.id) && (ctl & LW_LIVE) != 0 &&
            lw_load_acq(&record->peer) == LW_PEER_DONE && /* [J1] */
            (lw_load_rlx(&record->place) & (LW_PLACE_GUEST | LW_PLACE_CHILD)) == 0) {
            (void)lw_thread_spend(thread, 1);
            return reap(record, ctl, status);
        }
    }
    return join_slow(task, status, deadline, __builtin_return_address(0));
}

/* ---- an arm of lw_select() */

int lw_join_watch(lw_task task, struct lw_record *me)
{
    struct lw_record *record;
    uint64_t ctl, peer, mine = lw_peer_joiner(me);
    int err = look_up(task, &record, &ctl, &peer);

    if (err < 0)
        return err;
    if (record == me)
        return -EDEADLK;
    if (lw_peer_join(record, ctl, mine, &peer)) /* [J1] [J2] */
        return 0;
    if (peer == mine) /* two arms */
        return -EINVAL;
    return lw_peer_is_taken(peer) ? -EBUSY : 1;
}

/* Nobody but the caller can reap it, so its record is the same as before. */
bool lw_join_leave(lw_task task, struct lw_record *me, bool keep)
{
    struct lw_record *record = lw_record_of(task.id);
    uint64_t mine = lw_peer_joiner(me);
    uint64_t ctl = lw_load_rlx(&record->ctl);

    if (lw_peer_leave(record, ctl, mine))
        return false;
    if (!keep)
        lw_store_rel(&record->peer, LW_PEER_DONE); /* [J1] for the next joiner, or detach */
    return true;
}

int lw_join_take(lw_task task, int *status)
{
    struct lw_record *record = lw_record_of(task.id);

    return reap(record, lw_load_rlx(&record->ctl), status);
}

int lw_detach(lw_task task)
{
    struct lw_record *record;
    uint64_t ctl, peer;
    int err = lw_forked() ? -ECHILD : look_up(task, &record, &ctl, &peer);

    if (err < 0)
        return err;
    if (lw_peer_is_taken(peer))
        return -EBUSY;
    if (lw_peer_detach(record, ctl, &peer))
        return 0;
    if (peer == LW_PEER_DONE)
        return reap(record, ctl, NULL);
    /* Without the look what the slot's next life has for a peer would be this one's.  Relaxed: what
     * was found of that life was found with acquire, and nothing is read after it. */
    if (lw_recheck(LW_CTL_GENERATION(lw_load_rlx(&record->ctl)) != lw_id_generation(task.id)))
        return -ESRCH;
    return lw_peer_is_taken(peer) ? -EBUSY : -EINVAL;
}

