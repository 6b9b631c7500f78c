/* SPDX-License-Identifier: MIT */
/* One way to wait.
 *
 * A primitive is an object with a guard bit and a circular queue of nodes; everything else about
 * waiting (deadline, cancel, shield, what others see of the wait, guests) is here.
 *
 *     int lw_x_wait(struct lw_x *x, lw_nsec deadline)
 *     {
 *         struct lw_record *me;
 *         int err;
 *
 *         if (x is there)                                    // the fast path
 *             return 0;
 *         err = lw_wait_enter(&me, deadline);                // record, budget, LW_NOW
 *         if (err < 0)
 *             return err;
 *         guard(x);
 *         if (x is there) { unguard(x); return 0; }
 *         lw_wait_begin(me, LW_WAIT_X, x, name, deadline, __builtin_return_address(0));
 *         lw_queue_push(&x->queue, &lw_record_cold(me)->node);
 *         unguard(x);
 *         enum lw_outcome outcome = lw_wait_finish(me);      // switches
 *         if (outcome != LW_GRANTED) { guard(x); lw_queue_remove(&x->queue, node); unguard(x); }
 *         return lw_wait_error(me, outcome);
 *     }
 *
 *     wake:  guard(x);
 *            do
 *                record = lw_node_record(lw_queue_pop(&x->queue));   // none: unguard, nobody waits
 *            while (!lw_wake_claim(record));                 // it has ended otherwise: the next
 *            deliver into lw_record_cold(record)->data;
 *            unguard(x);                                     // first: who is woken may free x
 *            lw_wake(record, LW_GRANTED, LW_WAKE_TAIL);
 *
 * The wait word, in the cold record: sequence:56 | state:8.
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
 * [W2] outcome and what was delivered -> the waiter: a task through its run queue; a guest: ENDED
 *      (release) -> load (acquire)
 * [W3] wait published against a cancel: store wait; light; load ctl  <->  CAS ctl; heavy; load wait
 * [W4] against the expiry of a leftover timer node: timer.c */
#ifndef LW_RUNTIME_WAIT_H
#define LW_RUNTIME_WAIT_H

#include <latchwork/time.h>

#include "runtime/thread.h"

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
    LW_WAIT_KINDS,
};

extern const char *const lw_wait_kind_names[LW_WAIT_KINDS];

/* On entry of a call that may wait, before anything takes effect: makes a guest's record, and lets
 * others run first when the task's budget is spent.  0; -ENOMEM (a guest's first use), -ECHILD
 * (after fork).  Never delivers anything.  With LW_NOW never switches. */
LW_INLINE int lw_wait_enter(struct lw_record **me, lw_nsec deadline);

/* Fill in and publish the wait: ARMED, sequence + 1.  Under the object's guard, the caller then
 * queues its node.  deadline must not be LW_NOW: who cannot wait does not come here.  No
 * failure. */
LW_INLINE void lw_wait_begin(struct lw_record *me, enum lw_wait_kind kind, const void *object,
                   const char *name, lw_nsec deadline, const void *site);

/* After the guard was dropped: wait until the wait has ended.  [S] switches.  A cancel that is due
 * ends the wait with LW_CANCELLED and is hereby delivered.  The caller unlinks its node under the
 * object's guard unless the outcome says a waker took it (GRANTED, RETRY). */
enum lw_outcome lw_wait_finish(struct lw_record *me);

/* The same pair for a wait that neither cancel nor force ends (a re-acquire): both calls, or
 * neither. */
void lw_wait_begin_shielded(struct lw_record *me, enum lw_wait_kind kind, const void *object,
                            const char *name, lw_nsec deadline, const void *site);
enum lw_outcome lw_wait_finish_shielded(struct lw_record *me);

/* Instead of lw_wait_finish: the caller ends its own wait, before it has left.  False: it has ended
 * otherwise, or is just ending, and lw_wait_finish has to be called. */
bool lw_wait_end_own(struct lw_record *me, enum lw_outcome outcome);

/* Instead of lw_wait_finish, when the wait turned out not to be needed: it is over, and has
 * delivered nothing.  [S] when it was ended from outside in between: then the caller is queued
 * already. */
void lw_wait_abort(struct lw_record *me);

/* The negative errno value for an outcome: 0, -ETIMEDOUT (-EINVAL for a deadline that was a
 * duration), -ECANCELED, -EDEADLK, -EPIPE.  RETRY and OVERTAKE are the caller's. */
int lw_wait_error(const struct lw_record *me, enum lw_outcome outcome);

/* -ETIMEDOUT, or -EINVAL for a positive deadline from before the library was loaded. */
int lw_timeout_error(lw_nsec deadline);

/* A cancel is due for the caller (not shielded): -ECANCELED and it is delivered; else 0. */
int lw_deliver_cancel(struct lw_record *me);

/* A cancel was delivered to the caller: those that came since are part of it. */
void lw_deliver_more(struct lw_record *me);

enum lw_wake_place {
    LW_WAKE_NEXT, /* runs next on the waker's worker: hand-offs, rendezvous, joins */
    LW_WAKE_TAIL, /* at the end of the ready ones: locks, semaphores, broadcasts */
};

/* A waker wins the wait: WAITING, ARMED or CLAIMED -> GRANTING.  Under the object's guard.  False:
 * the wait has ended otherwise, take the next node. */
LW_INLINE bool lw_wake_claim(struct lw_record *record);

/* After the guard was dropped: state the outcome and make the claimed record runnable.  Never
 * fails, switches or allocates.  The record may run, and its object be gone, before this
 * returns. */
void lw_wake(struct lw_record *record, enum lw_outcome outcome, enum lw_wake_place place);

/* Many at once, FIFO: collect claimed ones under the guard, wake them after it. */
struct lw_wake_batch {
    struct lw_record *first, *last;
    uint32_t count;
};
LW_INLINE void lw_wake_batch_add(struct lw_wake_batch *batch, struct lw_record *record);
void lw_wake_batch_run(struct lw_wake_batch *batch, enum lw_outcome outcome);

/* The same for waits that were ended from outside: their outcome is there already. */
void lw_wake_batch_run_ended(struct lw_wake_batch *batch);

/* The word of the wait `seen` once it has ended. */
LW_INLINE uint64_t lw_wait_ended(uint64_t seen, enum lw_outcome outcome)
{
    return (seen & ~(uint64_t)LW_STATE_MASK) | LW_PHASE_ENDED |
           (uint64_t)outcome << LW_OUTCOME_SHIFT;
}

/* End a wait from outside (timer, cancel, force): CAS of exactly the word `seen`, which was loaded
 * with acquire before what justifies ending it was looked at.  True: won, and the task is being
 * made runnable. */
bool lw_wait_end(struct lw_record *record, uint64_t seen, enum lw_outcome outcome);

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

/* ---- the queue of an object: circular, `tail` is the object's one pointer (void * in public
 * structs) */

LW_INLINE struct lw_record *lw_node_record(const struct lw_node *node)
{
    /* Embedded nodes only; select brings nodes of its own later. */
    const struct lw_cold *cold =
        (const struct lw_cold *)(const void *)((const char *)node - offsetof(struct lw_cold, node));
    return lw_cold_record(cold);
}

LW_INLINE struct lw_node *lw_queue_head(void *const *tail)
{
    struct lw_node *last = (struct lw_node *)*tail;
    return last != NULL ? last->next : NULL;
}

LW_INLINE void lw_queue_push(void **tail, struct lw_node *node)
{
    struct lw_node *last = (struct lw_node *)*tail;

    if (last == NULL) {
        node->next = node->prev = node;
    } else {
        node->next = last->next;
        node->prev = last;
        last->next->prev = node;
        last->next = node;
    }
    *tail = node;
}

LW_INLINE void lw_queue_push_front(void **tail, struct lw_node *node)
{
    void *last = *tail;

    lw_queue_push(tail, node);
    if (last != NULL)
        *tail = last;
}

/* Unlink if it is linked. */
LW_INLINE void lw_queue_remove(void **tail, struct lw_node *node)
{
    if (node->next == NULL)
        return;
    if (node->next == node) {
        *tail = NULL;
    } else {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        if (*tail == (void *)node)
            *tail = node->prev;
    }
    node->next = node->prev = NULL;
}

LW_INLINE struct lw_node *lw_queue_pop(void **tail)
{
    struct lw_node *head = lw_queue_head(tail);

    if (head != NULL)
        lw_queue_remove(tail, head);
    return head;
}

/* Pop nodes until one is claimed for a grant: that record, or NULL.  Under the guard. */
LW_INLINE struct lw_record *lw_queue_claim(void **tail)
{
    struct lw_node *node;

    while ((node = lw_queue_pop(tail)) != NULL) {
        struct lw_record *record = lw_node_record(node);

        if (lw_wake_claim(record))
            return record;
    }
    return NULL;
}

/* ---- inline parts */

/* Which half of the wait word a guest sleeps on. */
enum { LW_WAIT_LOW_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

/* Waits that the detector follows begin ARMED: what the task holds may still change until it
 * parks. */
LW_INLINE bool lw_wait_is_in_graph(enum lw_wait_kind kind)
{
    return kind == LW_WAIT_LOCK || kind == LW_WAIT_UNITS || kind == LW_WAIT_CONDITION;
}

LW_INLINE void lw_wait_begin(struct lw_record *me, enum lw_wait_kind kind, const void *object,
                             const char *name, lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t sequence = (lw_load_rlx(&cold->wait) >> LW_STATE_BITS) + 1;
    uint64_t phase = lw_wait_is_in_graph(kind) ? LW_PHASE_ARMED : LW_PHASE_WAITING;

    lw_store_rlx(&cold->object, (uint64_t)(uintptr_t)object);
    lw_store_rlx(&cold->deadline, deadline);
    lw_store_rlx(&cold->since, lw_load_rlx(&lw_coarse_ms));
    lw_store_rlx(&cold->site, site);
    lw_store_rlx(&cold->object_name, name);
    lw_store_rlx(&cold->kind, (uint8_t)kind);
    lw_store_rel(&cold->wait, sequence << LW_STATE_BITS | phase); /* [W1] */
}

LW_INLINE bool lw_wake_claim(struct lw_record *record)
{
    struct lw_cold *cold = lw_record_cold(record);
    uint64_t seen = lw_load_rlx(&cold->wait);

    while (lw_wait_can_be_granted(seen))
        if (lw_cas_acq_rel(&cold->wait, &seen, lw_wait_granting(seen))) /* [W1] */
            return true;
    return false;
}

void lw_wait_yield(void);                          /* the budget is spent */
int lw_wait_enter_slow(struct lw_record **me);     /* a thread without a record */

LW_INLINE int lw_wait_enter(struct lw_record **me, lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();

    if (lw_unlikely(thread == NULL || thread->current == NULL))
        return lw_wait_enter_slow(me);
    *me = thread->current;
    if (deadline != LW_NOW && lw_unlikely(--thread->budget <= 0))
        lw_wait_yield();
    return 0;
}

LW_INLINE void lw_wake_batch_add(struct lw_wake_batch *batch, struct lw_record *record)
{
    record->next = NULL;
    if (batch->last != NULL)
        batch->last->next = record;
    else
        batch->first = record;
    batch->last = record;
    batch->count++;
}

#endif
