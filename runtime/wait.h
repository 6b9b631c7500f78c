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
 * The word that decides all this, and its memory-order pairs, are in wait_word.h; the queue is in
 * queue.h. */
#ifndef LW_RUNTIME_WAIT_H
#define LW_RUNTIME_WAIT_H

#include "runtime/queue.h"
#include "runtime/thread.h"
#include "runtime/wait_word.h"

extern const char *const lw_wait_kind_names[LW_WAIT_KINDS];

/* On entry of a call that may wait, before anything takes effect: makes a guest's record, and lets
 * others run first when the task's budget is spent.  0; -ENOMEM (a guest's first use), -ECHILD
 * (after fork).  Never delivers anything.  With LW_NOW never switches. */
LW_INLINE int lw_wait_enter(struct lw_record **me, lw_nsec deadline);

/* After the guard was dropped: wait until the wait has ended.  [S] switches.  A cancel that is due
 * ends the wait with LW_CANCELLED and is hereby delivered.  The caller unlinks its node under the
 * object's guard unless the outcome says a waker took it (GRANTED, RETRY). */
enum lw_outcome lw_wait_finish(struct lw_record *me);

/* lw_wait_finish() of a plain thread, which looks after something else every so often: look(arg),
 * which may not wait: true: the wait ends with LW_RETRY. */
enum lw_outcome lw_wait_finish_looking(struct lw_record *me, lw_nsec every, bool (*look)(void *arg),
                                       void *arg);

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

/* The caller says something else than how its wait ended: a cancel, or a request, that has ended it
 * is due again at the next one. */
void lw_wait_restore(struct lw_record *me, enum lw_outcome outcome);

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
/* All who wait in a queue, under its guard. */
LW_INLINE void lw_queue_claim_all(void **queue, struct lw_wake_batch *batch);
void lw_wake_batch_run(struct lw_wake_batch *batch, enum lw_outcome outcome);

/* The same for waits that were ended from outside: their outcome is there already. */
void lw_wake_batch_run_ended(struct lw_wake_batch *batch);

/* End a wait from outside (timer, cancel, force): CAS of exactly the word `seen`, which was loaded
 * with acquire before what justifies ending it was looked at.  True: won, and the task is being
 * made runnable. */
bool lw_wait_end(struct lw_record *record, uint64_t seen, enum lw_outcome outcome);

/* Who looks at waits as they begin (locksmith/walk.c); NULL: nobody.  Called by who is about to
 * leave, if it is a plain thread, holds something, goes in front of others, or its end is waited
 * for, and by a child that waits for the end of others; with the word of its wait: true: that has
 * ended the caller's wait, with LW_FORCED, and it goes on. */
extern bool (*lw_wait_watcher)(struct lw_record *me, uint64_t wait);

/* Who keeps count of it (locksmith/resolve.c); NULL: nobody.  Called by a task or thread whose wait
 * was ended by force, before it goes on; asked: by a request, and else by the detector. */
extern void (*lw_wait_gave_way)(struct lw_record *me, bool asked);

/* Who is told (locksmith/sweep.c) that the wait of a plain thread is over without a grant: by that
 * one, before it goes on; NULL: nobody. */
extern void (*lw_wait_in_vain)(void);

/* LW_FORCE or LW_ANSWERED was raised in the task's word: end the wait there is, unless it is
 * shielded; else its next one sees the flag. */
void lw_wait_disturb(struct lw_record *record, uint32_t generation);

/* A locksmith has claimed the wait that had the word `seen` (lw_wait_claim()): end it by force, or
 * (false: it has been granted, or something has become due) let it go, which does what is due. */
bool lw_wait_force(struct lw_record *record, uint64_t seen, enum lw_outcome outcome);
void lw_wait_let_go(struct lw_record *record, uint64_t seen);

/* ---- arms of lw_select() on what the runtime has.  watch: 0: the wait that the caller has begun
 * will be ended by it; 1: it is worth trying now; or an error.  After 0, when the wait is over,
 * leave. */

/* leave: the task has ended; `keep`: and it is the caller's to take; else whoever comes next. */
int lw_join_watch(lw_task task, struct lw_record *me);
bool lw_join_leave(lw_task task, struct lw_record *me, bool keep);
int lw_join_take(lw_task task, int *status);

/* armed: by this call, in an earlier wait. */
int lw_poll_watch(int fd, short events, bool *armed, struct lw_record *me, struct lw_node *node);
void lw_poll_leave(int fd, struct lw_node *node);
bool lw_poll_look(int fd, short events); /* it is worth a call now; by a plain thread */

/* ---- inline parts */

/* Which half of the wait word a guest sleeps on. */
enum { LW_WAIT_LOW_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

void lw_wait_yield(void);                          /* the budget is spent */
int lw_wait_enter_slow(struct lw_record **me);     /* a thread without a record */

LW_INLINE int lw_wait_enter(struct lw_record **me, lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();

    if (lw_unlikely(thread == NULL || (*me = lw_load_rlx(&thread->current)) == NULL))
        return lw_wait_enter_slow(me);
    if (deadline != LW_NOW && lw_unlikely(lw_thread_spend(thread, 1) <= 0))
        lw_wait_yield();
    return 0;
}

LW_INLINE void lw_wake_batch_add(struct lw_wake_batch *batch, struct lw_record *record)
{
    lw_store_rlx(&record->next, NULL);
    if (batch->last != NULL)
        lw_store_rlx(&batch->last->next, record);
    else
        batch->first = record;
    batch->last = record;
    batch->count++;
}

LW_INLINE void lw_queue_claim_all(void **queue, struct lw_wake_batch *batch)
{
    struct lw_record *record;

    while ((record = lw_queue_claim(queue)) != NULL)
        lw_wake_batch_add(batch, record);
}

#endif
