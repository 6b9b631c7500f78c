/* SPDX-License-Identifier: MIT */
/* The wait word: one wait, of a waker, a timer, a canceller (runtime/wait_word.h).
 *
 * Holds: exactly one of them ends it and makes the task runnable, unless the task ends it itself
 * and is in no run queue; who was granted has what was delivered; a cancel that ended no wait is
 * still due; nobody waits for ever who was cancelled.  There is always a canceller (but of a
 * GUEST); CANCEL2: two; WAKER, TIMER: those, too; ARMED: the wait begins so.  AGAIN and SHIELDED
 * are those of cancel.c.
 *
 * Mutants: -DNO_CLAIM  a waker does not ask whether the wait has ended otherwise
 *          -DEARLY_COUNT  the task says how many requests it took before it has ended the wait
 *
 * holds:
 * holds: -DWAKER
 * holds: -DTIMER
 * holds: -DCANCEL2
 * holds: -DWAKER -DARMED
 * holds: -DWAKER -DTIMER -DARMED
 * holds: -DWAKER -DGUEST
 * fails: -DNO_LIGHT
 * fails: -DNO_HEAVY
 * fails: -DWAKER -DGUEST -DWEAK_STORE
 * fails: -DWAKER -DGUEST -DWEAK_LOAD
 * fails: -DWAKER -DNO_CLAIM
 * fails: -DCANCEL2 -DEARLY_COUNT
 */
#include "runtime/queue.h"

#ifdef ARMED
#define KIND LW_WAIT_LOCK
#else
#define KIND LW_WAIT_EVENT
#endif

static uint64_t guard;    /* of the object */
static void *queue;
static int delivered;     /* plain: a race is an error */
static uint32_t runnable; /* how often the task was put into a run queue */

static void make_ready(void)
{
    (void)__atomic_fetch_add(&runnable, 1, __ATOMIC_RELEASE);
}

static void *waker(void *arg)
{
    struct lw_record *record;

    (void)lw_guard_take(&guard, 1);
#ifdef NO_CLAIM
    record = queue != NULL ? lw_node_record(lw_queue_pop(&queue)) : NULL;
#else
    record = lw_queue_claim(&queue);
#endif
    if (record != NULL)
        delivered = 1;
    lw_guard_drop(&guard, 1);
    if (record != NULL) {
        lw_wake_state(record, LW_GRANTED);
        make_ready();
    }
    return arg;
}

static void *timer(void *arg)
{
    uint64_t seen = lw_load_acq(&cold_[0].wait);

    if (lw_wait_can_end(seen) && lw_load_rlx(&cold_[0].deadline) == 7 &&
        lw_wait_end_word(&cold_[0], seen, LW_TIMEOUT))
        make_ready();
    return arg;
}

static void *canceller(void *arg)
{
    if (!lw_ctl_request(&hot_[0], 1))
        return arg;
    lw_asym_heavy();
    if (lw_wait_cancel(&hot_[0], 1))
        make_ready();
    return arg;
}

#ifdef EARLY_COUNT
static bool is_cancelled(struct lw_record *me, uint64_t wait)
{
    if (!lw_wait_deliver(me))
        return false;
    if (lw_wait_end_word(lw_record_cold(me), wait, LW_CANCELLED))
        return true;
    lw_wait_undeliver(me);
    return false;
}
#else
#define is_cancelled lw_wait_is_cancelled
#endif

/* As lw_wait_finish() does it.  A guest looks at its clock itself. */
static enum lw_outcome finish(struct lw_record *me)
{
#ifdef GUEST
    uint64_t seen;

    /* Its time has passed. */
    seen = lw_wait_block(lw_record_cold(me));
    if (lw_wait_can_end(seen) && lw_wait_end_word(&cold_[0], seen, LW_TIMEOUT))
        return LW_TIMEOUT;
    await(((seen = lw_load_acq(&cold_[0].wait)) & LW_PHASE_MASK) == LW_PHASE_ENDED);
    return (enum lw_outcome)(seen >> LW_OUTCOME_SHIFT & 7);
#else
    uint64_t wait = lw_wait_block(lw_record_cold(me));

    if ((wait & LW_PHASE_MASK) == LW_PHASE_WAITING && lw_wait_sees_cancel(me) &&
        is_cancelled(me, wait))
        return LW_CANCELLED;
    await(__atomic_load_n(&runnable, __ATOMIC_ACQUIRE) != 0);
    return (enum lw_outcome)(lw_load_rlx(&cold_[0].wait) >> LW_OUTCOME_SHIFT & 7);
#endif
}

#ifdef SHIELDED
/* Nobody else ends it. */
static void *task(void *arg)
{
    uint64_t wait;

    lw_store_rlx(&cold_[0].shields, 1);
    lw_wait_begin(&hot_[0], KIND, NULL, NULL, 7, NULL);
    wait = lw_wait_block(&cold_[0]);
    assert(!lw_wait_sees_cancel(&hot_[0]) || !is_cancelled(&hot_[0], wait));
    assert(lw_wait_take_back(&cold_[0]));
    lw_store_rlx(&cold_[0].shields, 0);
    return arg;
}
#else
static void *task(void *arg)
{
    enum lw_outcome outcome;

    (void)lw_guard_take(&guard, 1);
    lw_wait_begin(&hot_[0], KIND, NULL, NULL, 7, NULL);
    lw_queue_push(&queue, &cold_[0].node);
    lw_guard_drop(&guard, 1);
    outcome = finish(&hot_[0]);
    if (outcome == LW_GRANTED) {
        assert(delivered == 1);
    } else {
        (void)lw_guard_take(&guard, 1);
        lw_queue_remove(&queue, &cold_[0].node);
        lw_guard_drop(&guard, 1);
        assert(queue == NULL);
    }
#ifdef AGAIN
    if (outcome != LW_CANCELLED) {
        (void)__atomic_fetch_sub(&runnable, 1, __ATOMIC_RELAXED);
        lw_wait_begin(&hot_[0], KIND, NULL, NULL, 7, NULL);
        outcome = finish(&hot_[0]);
        assert(outcome == LW_CANCELLED);
    }
#endif
    if (outcome == LW_CANCELLED)
        assert(lw_load_rlx(&cold_[0].cancels) > 0);
    return arg;
}
#endif

int main(void)
{
    pthread_t threads[4];
    uint64_t fresh, wait;
    unsigned requests = 1;
    int count = 0;

    begin();
    start(&threads[count++], task);
#ifndef GUEST
    start(&threads[count++], canceller);
#endif
#ifdef CANCEL2
    start(&threads[count++], canceller);
    requests++;
#endif
#ifdef WAKER
    start(&threads[count++], waker);
#endif
#ifdef TIMER
    start(&threads[count++], timer);
#endif
    for (int i = 0; i < count; i++)
        join(threads[i]);
    wait = cold_[0].wait >> LW_OUTCOME_SHIFT & 7;
    fresh = (hot_[0].ctl & LW_CTL_FRESH_MASK) >> LW_CTL_FRESH_SHIFT;
    assert(runnable <= 1);
#if !defined(GUEST) && !defined(SHIELDED)
    assert(runnable == 1 || wait == LW_CANCELLED);
#endif
#ifndef GUEST
    assert(fresh + (wait == LW_CANCELLED ? cold_[0].cancels : 0) == requests);
#endif
    return 0;
}
