/* SPDX-License-Identifier: MIT */
/* The word `peer` of a task that is in no group decides between its end and its joiner:
 *
 *     NONE --join: CAS--> JOINER(who, in which wait) --end: CAS--> DONE(who ...), who is woken
 *     NONE --detach: CAS--> DETACHED, for good: at its end the task gives its record back
 *     NONE --end: CAS--> DONE, and the next join or detach gives the record back
 *     JOINER --its wait ended otherwise: CAS--> NONE; finding DONE, the join has succeeded all the
 *     same
 *
 * DONE(who ...) is that joiner's alone, though it may not have run yet: others find it busy.
 *
 * [J1] status  ->  joiner:  peer = DONE (CAS, acq_rel)  ->  load or CAS of peer (acquire).
 * That is the ending task's last access to its record.
 * [J2] is in join.c.
 *
 * Header-only, without system calls: tests/models runs these very lines. */
#ifndef LW_RUNTIME_PEER_H
#define LW_RUNTIME_PEER_H

#include "runtime/wait_word.h"

enum { LW_PEER_SEQUENCE_BITS = 38, LW_PEER_TAG_BITS = 2 };
#define LW_PEER_SEQUENCE_MASK ((UINT64_C(1) << LW_PEER_SEQUENCE_BITS) - 1)

LW_INLINE uint64_t lw_peer_none(uint64_t ctl)
{
    return (uint64_t)LW_CTL_GENERATION(ctl) << 32 | LW_PEER_NONE;
}

LW_INLINE bool lw_peer_is(uint64_t peer, uint64_t tag)
{
    return (peer & LW_PEER_TAG) == tag;
}

/* A joiner has it: it waits, or it has been woken and will take the status. */
LW_INLINE bool lw_peer_is_taken(uint64_t peer)
{
    return lw_peer_is(peer, LW_PEER_JOINER) ||
           (lw_peer_is(peer, LW_PEER_DONE) && peer != LW_PEER_DONE);
}

/* What becomes of the word at the task's end. */
LW_INLINE uint64_t lw_peer_done(uint64_t peer)
{
    return lw_peer_is(peer, LW_PEER_JOINER) ? (peer & ~(uint64_t)LW_PEER_TAG) | LW_PEER_DONE
                                            : LW_PEER_DONE;
}

/* The wait that the joiner is about to leave for. */
LW_INLINE uint64_t lw_peer_joiner(const struct lw_record *joiner)
{
    uint64_t sequence = lw_load_rlx(&lw_record_cold(joiner)->wait) >> LW_STATE_BITS;

    return (uint64_t)lw_record_slot(joiner) << (LW_PEER_SEQUENCE_BITS + LW_PEER_TAG_BITS) |
           (sequence & LW_PEER_SEQUENCE_MASK) << LW_PEER_TAG_BITS | LW_PEER_JOINER;
}

LW_INLINE struct lw_record *lw_peer_record(uint64_t peer)
{
    return &lw_records[peer >> (LW_PEER_SEQUENCE_BITS + LW_PEER_TAG_BITS)];
}

/* That wait word is of the wait that the joiner noted. */
LW_INLINE bool lw_peer_means(uint64_t peer, uint64_t wait)
{
    return ((wait >> LW_STATE_BITS) & LW_PEER_SEQUENCE_MASK) ==
           ((peer >> LW_PEER_TAG_BITS) & LW_PEER_SEQUENCE_MASK);
}

/* ---- what may become of it */

/* A joiner that has published its wait: `mine` is lw_peer_joiner() of it.  False: *peer is what was
 * there. */
LW_INLINE bool lw_peer_join(struct lw_record *record, uint64_t ctl, uint64_t mine, uint64_t *peer)
{
    *peer = lw_peer_none(ctl);
    return lw_cas_sc(&record->peer, peer, mine); /* [J1] [J2] */
}

/* The joiner's wait has ended otherwise: take the claim to be told back.  False: the task has
 * ended. */
LW_INLINE bool lw_peer_leave(struct lw_record *record, uint64_t ctl, uint64_t mine)
{
    return lw_cas_acq_rel(&record->peer, &mine, lw_peer_none(ctl)); /* [J1] */
}

/* False: *peer is what was there. */
LW_INLINE bool lw_peer_detach(struct lw_record *record, uint64_t ctl, uint64_t *peer)
{
    *peer = lw_peer_none(ctl);
    return lw_cas_acq_rel(&record->peer, peer, LW_PEER_DETACHED); /* [J1] */
}

/* The status is there.  Returns what peer was: a joiner is to be woken.  DETACHED stays: over DONE,
 * be it for an instant, somebody else would reap the record that the task is about to give back. */
LW_INLINE uint64_t lw_peer_end(struct lw_record *record)
{
    uint64_t peer = lw_load_rlx(&record->peer);

    while (!lw_recheck(lw_peer_is(peer, LW_PEER_DETACHED)) &&
           !lw_cas_acq_rel(&record->peer, &peer, lw_peer_done(peer))) /* [J1] */
        continue;
    return peer;
}

/* Claim the wait of the joiner that `peer` names: true: it is to be woken.  False: it is not in
 * that wait any more; it finds DONE and succeeds by itself. */
LW_INLINE bool lw_peer_claim(uint64_t peer)
{
    struct lw_cold *cold = lw_record_cold(lw_peer_record(peer));
    uint64_t wait = lw_load_acq(&cold->wait);

    while (!lw_recheck(!lw_peer_means(peer, wait)) && lw_wait_can_be_granted(wait))
        if (lw_cas_acq_rel(&cold->wait, &wait, lw_wait_granting(wait))) /* [W1] */
            return true;
    return false;
}

#endif
