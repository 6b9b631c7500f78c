/* SPDX-License-Identifier: MIT */
/* The wait word, in the cold record: who decides how a wait ends.
 *
 *     wait = sequence:56 | state:8
 *
 *     phase (bits 0-2)  meaning                                   who leaves it
 *     IDLE 0            not waiting                               the task: lw_wait_begin
 *     ARMED 1           queued, still running; may be ended       task -> WAITING, ender -> ENDED
 *     WAITING 2         blocked, or about to be; record frozen    waker -> GRANTING, ender -> ENDED
 *     CLAIMED 3         as WAITING; a locksmith has it in hand    locksmith, waker -> GRANTING
 *     GRANTING 4        a waker delivers                          that waker -> ENDED
 *     ENDED 5           outcome in bits 3-5                       task -> IDLE, at its next wait
 *
 * Whoever wins the compare-and-swap out of ARMED or WAITING decides how the wait ends, and makes
 * the task runnable, exactly once.  The one exception: a task that ends its own wait before it has
 * left (a cancel it sees in time) just goes on.
 *
 * A locksmith that is about to decide claims each of the waits that it has looked at.  While a wait
 * is claimed its time may pass, or a cancel come: that leaves a mark in the word, TIMEOUT_PENDING
 * or CANCEL_PENDING, and who lets the wait go does what is due.  A grant goes through at once.
 *
 * A request to let go (LW_FORCE in ctl), or news of one that the task has made (LW_ANSWERED), goes
 * the way of a cancel, [W3] and CANCEL_PENDING included, and ends a wait as FORCED.  Only, nobody
 * takes the flag before he has ended the wait: the task itself takes it, once its wait was ended
 * so.  So it ends one wait, and whoever raised it may lower it at any time.
 *
 * Pairs.
 * [W1] the record of the wait  -> a waker, timer, canceller:  wait = WAITING (release) -> load,
 *      CAS (acquire)
 * [W2] outcome and what was delivered -> the waiter: ENDED (release) -> load (acquire)
 * [W3] wait published against a cancel or a request: store wait; light; load ctl  <->  CAS ctl;
 *      heavy; load wait
 * [W6] what the task wrote before it blocked  ->  who has claimed it:  CAS of exactly the word that
 *      was read before the rest was (acq_rel: locks.md D3, with acquire it may read of a later
 *      wait)
 * [W4] against the expiry of a leftover timer node: timer.c
 * [W5] the end of the wait  ->  who reads what the task changes after it, and then the word again:
 *      fence (release) of the task, when its wait is over; relaxed stores -> relaxed loads; fence
 *      (acquire), wait.  locksmith/registry.h
 *
 * Header-only, without system calls: tests/models runs these very lines.  What is done with a
 * decision (queues of tasks, futexes, timers) is in wait.c, cancel.c and timer.c. */
#ifndef LW_RUNTIME_WAIT_WORD_H
#define LW_RUNTIME_WAIT_WORD_H

#include <latchwork/time.h>

#include "runtime/ctl.h"

enum {
    LW_PHASE_IDLE = 0,
    LW_PHASE_ARMED = 1,
    LW_PHASE_WAITING = 2,
    LW_PHASE_CLAIMED = 3,
    LW_PHASE_GRANTING = 4,
    LW_PHASE_ENDED = 5,
    LW_PHASE_MASK = 7,
    LW_OUTCOME_SHIFT = 3,
    LW_TIMEOUT_PENDING = 0x40, /* with CLAIMED */
    LW_CANCEL_PENDING = 0x80,
    LW_STATE_BITS = 8,
    LW_STATE_MASK = 255,
};

enum lw_outcome {
    LW_GRANTED,
    LW_RETRY,     /* woken to contend */
    LW_TIMEOUT,
    LW_CANCELLED,
    LW_FORCED,
    LW_CLOSED,
    LW_OVERTAKE,
    LW_DEAD,      /* its runtime was stopped around it; never seen by a task */
};

/* The word of the wait `seen` once it has ended. */
LW_INLINE uint64_t lw_wait_ended(uint64_t seen, enum lw_outcome outcome)
{
    return (seen & ~(uint64_t)LW_STATE_MASK) | LW_PHASE_ENDED |
           (uint64_t)outcome << LW_OUTCOME_SHIFT;
}

/* A waker may take the wait of `seen`. */
LW_INLINE bool lw_wait_can_be_granted(uint64_t seen)
{
    uint64_t phase = seen & LW_PHASE_MASK;
    return phase == LW_PHASE_ARMED || phase == LW_PHASE_WAITING || phase == LW_PHASE_CLAIMED;
}

/* Blocked, and so is all that it says; be it that a locksmith has it in hand. */
LW_INLINE bool lw_wait_is_blocked(uint64_t seen)
{
    uint64_t phase = seen & LW_PHASE_MASK;
    return phase == LW_PHASE_WAITING || phase == LW_PHASE_CLAIMED;
}

/* `again`, read later, says that the task has been blocked all the time since `seen` was read, when
 * it was.  That a locksmith has claimed it, or let it go, meanwhile does not end a wait. */
LW_INLINE bool lw_wait_is_still(uint64_t seen, uint64_t again)
{
    return again >> LW_STATE_BITS == seen >> LW_STATE_BITS && lw_wait_is_blocked(again);
}

/* A locksmith has it in hand; marks or not. */
LW_INLINE bool lw_wait_is_claimed(uint64_t seen)
{
    return (seen & LW_PHASE_MASK) == LW_PHASE_CLAIMED;
}

/* Leave a mark in a wait that is claimed, of exactly the word `seen`: false, it has changed. */
LW_INLINE bool lw_wait_mark(struct lw_cold *cold, uint64_t seen, uint64_t mark)
{
    return lw_cas_acq_rel(&cold->wait, &seen, seen | mark);
}

LW_INLINE uint64_t lw_wait_granting(uint64_t seen)
{
    return (seen & ~(uint64_t)LW_STATE_MASK) | LW_PHASE_GRANTING;
}

/* The wait of `seen` may be ended from outside (timer; cancel also needs it unshielded). */
LW_INLINE bool lw_wait_can_end(uint64_t seen)
{
    uint64_t phase = seen & LW_PHASE_MASK;
    return phase == LW_PHASE_ARMED || phase == LW_PHASE_WAITING;
}

/* ---- the waiter's side */

/* Waits that the detector follows begin ARMED: what the task holds may still change until it
 * parks.  So do a select, which is not in all of its queues yet, and a wait for tokens, which lets
 * go of a mutex. */
LW_INLINE bool lw_wait_is_in_graph(enum lw_wait_kind kind)
{
    return kind == LW_WAIT_LOCK || kind == LW_WAIT_UNITS || kind == LW_WAIT_CONDITION ||
           kind == LW_WAIT_ONCE || kind == LW_WAIT_SHARED || kind == LW_WAIT_UPGRADE ||
           kind == LW_WAIT_SELECT || kind == LW_WAIT_TOKENS;
}

/* Fill in and publish the wait: ARMED, sequence + 1.  Under the object's guard, the caller then
 * queues its node.  deadline must not be LW_NOW: who cannot wait does not come here.  No
 * failure. */
LW_INLINE void lw_wait_begin(struct lw_record *me, enum lw_wait_kind kind, const void *object,
                             const char *name, lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t sequence = (lw_load_rlx(&cold->wait) >> LW_STATE_BITS) + 1;
    uint64_t phase = lw_wait_is_in_graph(kind) ? LW_PHASE_ARMED : LW_PHASE_WAITING;

    lw_store_rlx(&cold->object, (uint64_t)(uintptr_t)object);
    lw_store_rel(&cold->deadline, deadline); /* [J3] of join.c */
    lw_store_rlx(&cold->since, lw_load_rlx(&lw_coarse_ms));
    lw_store_rlx(&cold->site, site);
    lw_store_rlx(&cold->object_name, name);
    lw_store_rlx(&cold->kind, (uint8_t)kind);
    lw_store_rel(&cold->wait, sequence << LW_STATE_BITS | phase); /* [W1] */
}

/* The caller is about to leave: ARMED becomes WAITING, unless the wait has ended.  The word as it
 * is then; of a wait that is claimed already as it was before. */
LW_INLINE uint64_t lw_wait_block(struct lw_cold *cold)
{
    uint64_t wait = lw_load_rlx(&cold->wait);

    if ((wait & LW_PHASE_MASK) == LW_PHASE_ARMED) {
        uint64_t blocked = (wait & ~(uint64_t)LW_PHASE_MASK) | LW_PHASE_WAITING;

        if (lw_cas_sc(&cold->wait, &wait, blocked)) /* [W1] */
            wait = blocked;
    }
    /* It began as WAITING.  Its time, and a cancel, are to be seen to all the same. */
    if (lw_unlikely(lw_wait_is_claimed(wait)))
        wait = (wait & ~(uint64_t)LW_STATE_MASK) | LW_PHASE_WAITING;
    return wait;
}

/* Ends the wait of exactly the word `wait`, which can end: who wins makes the task runnable, unless
 * it is the task itself, which just goes on. */
LW_INLINE bool lw_wait_end_word(struct lw_cold *cold, uint64_t wait, enum lw_outcome outcome)
{
    return lw_cas_acq_rel(&cold->wait, &wait, lw_wait_ended(wait, outcome));
}

/* The caller's wait, as the task itself may end it: not while a locksmith has it in hand, which it
 * has for a moment. */
LW_INLINE uint64_t lw_wait_own(struct lw_cold *cold)
{
    uint64_t wait;

    LW_AWAIT(!lw_wait_is_claimed(wait = lw_load_rlx(&cold->wait)));
    return wait;
}

/* The caller's wait, published, was not needed: over, without an outcome.  False: it has been ended
 * from outside, or is just being ended. */
LW_INLINE bool lw_wait_take_back(struct lw_cold *cold)
{
    uint64_t wait;

    do {
        wait = lw_wait_own(cold);
        if (!lw_wait_can_end(wait))
            return false;
    } while (!lw_cas_acq_rel(&cold->wait, &wait, wait & ~(uint64_t)LW_STATE_MASK));
    return true;
}

/* ---- a waker's side */

/* A waker wins the wait: WAITING, ARMED or CLAIMED -> GRANTING.  Under the object's guard.  False:
 * the wait has ended otherwise, take the next node. */
LW_INLINE bool lw_wake_claim(struct lw_record *record)
{
    struct lw_cold *cold = lw_record_cold(record);
    uint64_t seen = lw_load_rlx(&cold->wait);

    while (lw_wait_can_be_granted(seen))
        if (lw_cas_acq_rel(&cold->wait, &seen, lw_wait_granting(seen))) /* [W1] */
            return true;
    return false;
}

/* The state of a claimed wait becomes its outcome; from here on a guest may be gone. */
LW_INLINE void lw_wake_state(struct lw_record *record, enum lw_outcome outcome)
{
    struct lw_cold *cold = lw_record_cold(record);
    uint64_t wait = lw_load_rlx(&cold->wait);

    lw_debug_check((wait & LW_PHASE_MASK) == LW_PHASE_GRANTING);
    lw_store_rel(&cold->wait, lw_wait_ended(wait, outcome)); /* [W2] */
}

/* ---- a cancel against a wait */

/* A cancel is due for the caller (not shielded): true, and it is delivered. */
LW_INLINE bool lw_wait_deliver(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    unsigned count;

    if (cold->shields != 0)
        return false;
    count = lw_ctl_take(me, LW_CTL_GENERATION(lw_load_rlx(&me->ctl)));
    if (count != 0)
        lw_store_rlx(&cold->cancels, (uint8_t)count);
    return count != 0;
}

/* A cancel that was delivered to the caller, who passed it on, is due again. */
LW_INLINE void lw_wait_undeliver(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);

    lw_ctl_give_back(me, LW_CTL_GENERATION(lw_load_rlx(&me->ctl)), lw_load_rlx(&cold->cancels));
    lw_store_rlx(&cold->cancels, 0);
}

/* The caller has published its wait: a cancel is there that was not delivered, or LW_FORCE, or
 * LW_ANSWERED. */
LW_INLINE bool lw_wait_sees_cancel(const struct lw_record *me)
{
    lw_asym_light(); /* [W3] */
    /* What came before the wait: without the look it ends nothing, and the task waits for what may
     * never come. */
    return lw_unlikely(
        lw_recheck((lw_load_rlx(&me->ctl) & (LW_CTL_FRESH_MASK | LW_CTL_FORCE_MASK)) != 0));
}

/* The caller could not end its own wait: it has ended otherwise; or it is claimed, and whoever lets
 * it go has to be told.  The word as it is then. */
LW_INLINE uint64_t lw_wait_tell_claimant(struct lw_cold *cold)
{
    uint64_t seen;

    do
        seen = lw_load_acq(&cold->wait);
    while (lw_recheck(lw_wait_is_claimed(seen)) && !lw_wait_mark(cold, seen, LW_CANCEL_PENDING));
    return seen;
}

/* Then: true: a cancel was due, is delivered, and has ended the wait of the word `wait`, as
 * lw_wait_block() has told it; the caller is in no run queue.  `cancels` is of who has ended the
 * wait: a canceller may be writing it while the caller still runs. */
LW_INLINE bool lw_wait_is_cancelled(struct lw_record *me, uint64_t wait)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&me->ctl));

    do {
        unsigned count = cold->shields == 0 ? lw_ctl_take(me, generation) : 0;

        if (count == 0)
            return false;
        if (lw_wait_end_word(cold, wait, LW_CANCELLED)) {
            lw_store_rlx(&cold->cancels, (uint8_t)count);
            return true;
        }
        lw_ctl_give_back(me, generation, count);
    } while (lw_wait_tell_claimant(cold) == wait);
    return false;
}

/* After the request and the heavy fence: end the wait there is, unless it is shielded.  True: won,
 * and the caller makes the task runnable. */
LW_INLINE bool lw_wait_cancel(struct lw_record *record, uint32_t generation)
{
    struct lw_cold *cold = lw_record_cold(record);

    for (;;) {
        uint64_t wait = lw_load_acq(&cold->wait); /* [W1] [W3] */
        bool claimed = lw_wait_is_claimed(wait);
        unsigned count;

        if ((!lw_wait_can_end(wait) && !claimed) || lw_load_rlx(&cold->shields) != 0)
            return false;
        if (claimed) {
            if (lw_wait_mark(cold, wait, LW_CANCEL_PENDING))
                return false;
            continue;
        }
        count = lw_ctl_take(record, generation);
        if (count == 0)
            return false;
        if (lw_wait_end_word(cold, wait, LW_CANCELLED)) {
            /* It does not read it before it is queued. */
            lw_store_rlx(&cold->cancels, (uint8_t)count);
            return true;
        }
        /* It went from ARMED to WAITING, was claimed, or ended.  The task may be in its next wait
         * already, which began without our request: look again. */
        lw_ctl_give_back(record, generation, count);
        lw_asym_heavy(); /* [W3] */
    }
}

/* ---- a request against a wait */

/* A wait of the task may be ended so now.  The task reads of itself; others what they have raised
 * themselves: relaxed. */
LW_INLINE bool lw_wait_may_force(const struct lw_record *record)
{
    return (lw_load_rlx(&record->ctl) & LW_CTL_FORCE_MASK) != 0 &&
           lw_load_rlx(&lw_record_cold(record)->shields) == 0;
}

/* As lw_wait_is_cancelled(). */
LW_INLINE bool lw_wait_is_forced(struct lw_record *me, uint64_t wait)
{
    struct lw_cold *cold = lw_record_cold(me);

    do {
        if (!lw_wait_may_force(me))
            return false;
        if (lw_wait_end_word(cold, wait, LW_FORCED))
            return true;
    } while (lw_wait_tell_claimant(cold) == wait);
    return false;
}

/* The caller's wait was ended by force: what has done it does so once.  News go first, since they
 * are for the wait that is over, and a request keeps.  Which flag it was; 0: none, it was the
 * detector. */
LW_INLINE unsigned lw_wait_take_force(struct lw_record *me)
{
    uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&me->ctl));
    uint64_t taken = lw_ctl_lower(me, generation, LW_ANSWERED);

    if (taken == 0)
        taken = lw_ctl_lower(me, generation, LW_FORCE);
    lw_store_rlx(&lw_record_cold(me)->cancels, (uint8_t)taken);
    return (unsigned)taken;
}

/* After the flag was raised and the heavy fence: end the wait there is, unless it is shielded.
 * True: won, and the caller makes the task runnable. */
LW_INLINE bool lw_wait_interrupt(struct lw_record *record, uint32_t generation)
{
    struct lw_cold *cold = lw_record_cold(record);

    for (;;) {
        uint64_t wait = lw_load_acq(&cold->wait); /* [W1] [W3] */
        bool claimed = lw_wait_is_claimed(wait);

        if (!lw_wait_can_end(wait) && !claimed)
            return false;
        /* After the word: one that began when the flag was down again shows so. */
        if (!lw_wait_may_force(record) ||
            lw_ctl_is_over(lw_load_rlx(&record->ctl), generation))
            return false;
        if (claimed ? lw_wait_mark(cold, wait, LW_CANCEL_PENDING)
                    : lw_wait_end_word(cold, wait, LW_FORCED))
            return !claimed;
    }
}

/* ---- a locksmith's side */

/* Take a wait in hand, of exactly the word `seen`, which was loaded with acquire before what is to
 * be decided by was looked at: then all of that is still so.  False: it is not. */
LW_INLINE bool lw_wait_claim(struct lw_cold *cold, uint64_t seen)
{
    uint64_t claimed = seen - LW_PHASE_WAITING + LW_PHASE_CLAIMED;

    return (seen & LW_PHASE_MASK) == LW_PHASE_WAITING &&
           lw_cas_acq_rel(&cold->wait, &seen, claimed); /* [W6] */
}

/* The wait that was claimed as `seen` is still in hand; *word: with its marks. */
LW_INLINE bool lw_wait_is_in_hand(struct lw_cold *cold, uint64_t seen, uint64_t *word)
{
    *word = lw_load_acq(&cold->wait);
    return (*word & ~(uint64_t)(LW_TIMEOUT_PENDING | LW_CANCEL_PENDING)) ==
           seen - LW_PHASE_WAITING + LW_PHASE_CLAIMED;
}

/* End a claimed wait, if nothing has become due.  True: won, and the caller makes the task
 * runnable.  False: it has been granted, or has a mark: let it go. */
LW_INLINE bool lw_wait_end_claimed(struct lw_cold *cold, uint64_t seen, enum lw_outcome outcome)
{
    return lw_wait_end_word(cold, seen - LW_PHASE_WAITING + LW_PHASE_CLAIMED, outcome);
}

/* End a claimed wait by the cancel, or else the request, that is marked.  True: the caller makes
 * the task runnable, and has nothing in hand any more. */
LW_INLINE bool lw_wait_cancel_claimed(struct lw_record *record, uint64_t seen, bool *in_hand)
{
    struct lw_cold *cold = lw_record_cold(record);
    uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&record->ctl));
    unsigned count;
    uint64_t word;

    /* First the mark, then the look: what is given back after it is marked again. */
    if (!lw_wait_is_in_hand(cold, seen, &word)) {
        *in_hand = false;
        return false;
    }
    if (!lw_cas_acq_rel(&cold->wait, &word, word & ~(uint64_t)LW_CANCEL_PENDING))
        return false;
    count = lw_ctl_take(record, generation);
    if (count == 0 && !lw_wait_may_force(record))
        return false; /* it was withdrawn, or another has it just now */
    while (lw_wait_is_in_hand(cold, seen, &word))
        if (lw_wait_end_word(cold, word, count != 0 ? LW_CANCELLED : LW_FORCED)) {
            if (count != 0)
                lw_store_rlx(&cold->cancels, (uint8_t)count);
            return true;
        }
    *in_hand = false; /* it was granted: as for any canceller */
    if (count == 0)
        return false; /* nobody took the flag, and the next wait sees it [W3] */
    lw_ctl_give_back(record, generation, count);
    lw_asym_heavy(); /* [W3] */
    return lw_wait_cancel(record, generation);
}

/* Let go of a wait that was claimed as `seen`, with what has become due meanwhile.  True: that has
 * ended it, and the caller makes the task runnable. */
LW_INLINE bool lw_wait_unclaim(struct lw_record *record, uint64_t seen)
{
    struct lw_cold *cold = lw_record_cold(record);
    bool in_hand = true;
    uint64_t word;

    while (in_hand && lw_wait_is_in_hand(cold, seen, &word)) {
        if ((word & LW_TIMEOUT_PENDING) != 0) {
            if (lw_wait_end_word(cold, word, LW_TIMEOUT))
                return true;
        } else if ((word & LW_CANCEL_PENDING) != 0) {
            if (lw_wait_cancel_claimed(record, seen, &in_hand))
                return true;
        } else if (lw_cas_acq_rel(&cold->wait, &word, seen)) {
            return false;
        }
    }
    return false;
}

#endif
