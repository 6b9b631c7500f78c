/* SPDX-License-Identifier: MIT */
/* The wait word, in the cold record: who decides how a wait ends.
 *
 *     wait = sequence:56 | state:8
 *
 *     phase (bits 0-2)  meaning                                   who leaves it
 *     IDLE 0            not waiting                               the task: lw_wait_begin
 *     ARMED 1           queued, still running; may be ended       task -> WAITING, ender -> ENDED
 *     WAITING 2         blocked, or about to be; record frozen    waker -> GRANTING, ender -> ENDED
 *     CLAIMED 3         as WAITING, looked at by a locksmith      locksmith, waker -> GRANTING
 *     GRANTING 4        a waker delivers                          that waker -> ENDED
 *     ENDED 5           outcome in bits 3-5                       task -> IDLE, at its next wait
 *
 * Whoever wins the compare-and-swap out of ARMED or WAITING decides how the wait ends, and makes
 * the task runnable, exactly once.  The one exception: a task that ends its own wait before it has
 * left (a cancel it sees in time) just goes on.
 *
 * Pairs.
 * [W1] the record of the wait  -> a waker, timer, canceller:  wait = WAITING (release) -> load,
 *      CAS (acquire)
 * [W2] outcome and what was delivered -> the waiter: ENDED (release) -> load (acquire)
 * [W3] wait published against a cancel: store wait; light; load ctl  <->  CAS ctl; heavy; load wait
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

enum lw_wait_kind {
    LW_WAIT_NONE,
    LW_WAIT_SLEEP,
    LW_WAIT_READ,
    LW_WAIT_WRITE,
    LW_WAIT_JOIN,
    LW_WAIT_GROUP,
    LW_WAIT_FUTEX,
    LW_WAIT_CALL,
    LW_WAIT_SIGNAL,
    LW_WAIT_LOCK,
    LW_WAIT_UNITS,
    LW_WAIT_EVENT,
    LW_WAIT_CONDITION,
    LW_WAIT_SEND,
    LW_WAIT_RECEIVE,
    LW_WAIT_LATCH,
    LW_WAIT_BARRIER,
    LW_WAIT_ONCE,
    LW_WAIT_SHARED,
    LW_WAIT_UPGRADE,
    LW_WAIT_SELECT,
    LW_WAIT_TOKENS,
    LW_WAIT_KINDS,
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
 * is then. */
LW_INLINE uint64_t lw_wait_block(struct lw_cold *cold)
{
    uint64_t wait = lw_load_rlx(&cold->wait);

    if ((wait & LW_PHASE_MASK) == LW_PHASE_ARMED) {
        uint64_t blocked = (wait & ~(uint64_t)LW_PHASE_MASK) | LW_PHASE_WAITING;

        if (lw_cas_sc(&cold->wait, &wait, blocked)) /* [W1] */
            wait = blocked;
    }
    return wait;
}

/* Ends the wait of exactly the word `wait`, which can end: who wins makes the task runnable, unless
 * it is the task itself, which just goes on. */
LW_INLINE bool lw_wait_end_word(struct lw_cold *cold, uint64_t wait, enum lw_outcome outcome)
{
    return lw_cas_acq_rel(&cold->wait, &wait, lw_wait_ended(wait, outcome));
}

/* The caller's wait, published, was not needed: over, without an outcome.  False: it has been ended
 * from outside, or is just being ended. */
LW_INLINE bool lw_wait_take_back(struct lw_cold *cold)
{
    uint64_t wait = lw_load_rlx(&cold->wait);

    return lw_wait_can_end(wait) &&
           lw_cas_acq_rel(&cold->wait, &wait, wait & ~(uint64_t)LW_STATE_MASK);
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

/* The caller has published its wait: a request is there that was not delivered. */
LW_INLINE bool lw_wait_sees_cancel(const struct lw_record *me)
{
    lw_asym_light(); /* [W3] */
    /* A cancel that came before the wait: without the look it ends nothing, and the task waits for
     * what may never come. */
    return lw_unlikely(lw_recheck((lw_load_rlx(&me->ctl) & LW_CTL_FRESH_MASK) != 0));
}

/* Then: true: a cancel was due, is delivered, and has ended the wait of the word `wait`, as
 * lw_wait_block() has told it; the caller is in no run queue.  `cancels` is of who has ended the
 * wait: a canceller may be writing it while the caller still runs. */
LW_INLINE bool lw_wait_is_cancelled(struct lw_record *me, uint64_t wait)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint32_t generation = LW_CTL_GENERATION(lw_load_rlx(&me->ctl));
    unsigned count = cold->shields == 0 ? lw_ctl_take(me, generation) : 0;

    if (count == 0)
        return false;
    if (lw_wait_end_word(cold, wait, LW_CANCELLED)) {
        lw_store_rlx(&cold->cancels, (uint8_t)count);
        return true;
    }
    lw_ctl_give_back(me, generation, count); /* the wait has ended otherwise */
    return false;
}

/* After the request and the heavy fence: end the wait there is, unless it is shielded.  True: won,
 * and the caller makes the task runnable. */
LW_INLINE bool lw_wait_cancel(struct lw_record *record, uint32_t generation)
{
    struct lw_cold *cold = lw_record_cold(record);

    for (;;) {
        uint64_t wait = lw_load_acq(&cold->wait); /* [W1] [W3] */
        unsigned count;

        if (!lw_wait_can_end(wait) || lw_load_rlx(&cold->shields) != 0)
            return false;
        count = lw_ctl_take(record, generation);
        if (count == 0)
            return false;
        if (lw_wait_end_word(cold, wait, LW_CANCELLED)) {
            /* It does not read it before it is queued. */
            lw_store_rlx(&cold->cancels, (uint8_t)count);
            return true;
        }
        /* It went from ARMED to WAITING, or ended.  The task may be in its next wait already,
         * which began without our request: look again. */
        lw_ctl_give_back(record, generation, count);
        lw_asym_heavy(); /* [W3] */
    }
}

#endif
