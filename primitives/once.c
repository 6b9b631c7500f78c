/* SPDX-License-Identifier: MIT */
/* lw_once: who runs it, in the word; and a queue of all who wait for that.
 *
 *     id of who runs it:56 << 8 | DONE 4 | QUEUED 2 | GUARD 1
 *
 *     runner  DONE
 *       0      0     nobody has done it
 *      id      0     somebody does
 *       0      1     it is done, and stays so; the status is there
 *
 * The runner has a hold of it, in the mode of one who will wake others: for the detector.
 *
 * [O1] what fn wrote -> who gets its status: DONE stored with release -> load with acquire; who
 *      waited comes through its wait word (wait.h, W2).
 * [O2] section to section: GUARD dropped by a release store -> taken by CAS acquire. */
#include <latchwork/once.h>

#include <errno.h>

#include "primitives/lock.h"

enum { GUARD = 1, QUEUED = 2, DONE = 4, RUNNER_SHIFT = 8 };

enum { TO_RUN = 1, TO_WAIT = 2 }; /* enter(): beside 0 and negative codes */

static uint64_t take_guard(lw_once *once)
{
    return lw_guard_take(&once->wait._word._value, GUARD); /* [O2] */
}

static void drop_guard(lw_once *once, uint64_t word)
{
    word &= ~(uint64_t)(GUARD | QUEUED);
    lw_store_rel(&once->wait._word._value,
                 once->wait._queue != NULL ? word | QUEUED : word); /* [O1] [O2] */
}

/* The head of those who wait says who runs it. */
static void hint(lw_once *once, uint64_t word)
{
    struct lw_node *head = lw_queue_head(&once->wait._queue);

    if (head != NULL)
        lw_store_rlx(&lw_node_cold(head)->owner, word >> RUNNER_SHIFT);
}

static int enter(lw_once *once, struct lw_record *me, int *status, lw_nsec deadline,
                 const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t mine = lw_load_rlx(&cold->id) << RUNNER_SHIFT, word = take_guard(once);
    int err = 0;

    if (lw_recheck((word & DONE) != 0)) { /* else it is done twice */
        *status = once->_status;
    } else if (word >> RUNNER_SHIFT == 0 || lw_owner_is_gone(word)) {
        word = mine; /* of one that is gone the hold was lost, which would have told */
        hint(once, word);
        err = TO_RUN;
    } else if (word >> RUNNER_SHIFT == mine >> RUNNER_SHIFT) {
        err = -EDEADLK;
    } else if (deadline == LW_NOW) {
        err = lw_timeout_error(LW_NOW);
    } else {
        lw_wait_begin(me, LW_WAIT_ONCE, once, once->wait.name, deadline, site);
        cold->data = status;
        lw_store_rlx(&cold->owner, 0);
        lw_queue_push(&once->wait._queue, &cold->node);
        hint(once, word);
        err = TO_WAIT;
    }
    drop_guard(once, word);
    return err;
}

/* Run it, and tell all who wait. */
static int run(lw_once *once, struct lw_record *me, lw_fn *fn, void *arg, const void *site)
{
    struct lw_wake_batch waiters = {0};
    uint64_t word;
    int status;

    /* Where it ends inside fn (pthread_exit), lw_once_abandon() is told of it. */
    lw_hold_push_waker(lw_record_cold(me), once, site);
    status = fn(arg);
    (void)lw_hold_remove(lw_record_cold(me), (const lw_lock *)(const void *)once);
    word = take_guard(once) & ~(~UINT64_C(0) << RUNNER_SHIFT);
    if (status >= 0) {
        once->_status = status;
        word |= DONE;
    }
    lw_queue_claim_all(&once->wait._queue, &waiters);
    for (struct lw_record *waiter = waiters.first; waiter != NULL;
         waiter = lw_load_rlx(&waiter->next))
        *(int *)lw_record_cold(waiter)->data = status;
    drop_guard(once, word);
    lw_wake_collected(&waiters, LW_GRANTED);
    return status;
}

/* True: look again, who ran it has ended inside.  False: *status is the result. */
static bool wait_for_it(lw_once *once, struct lw_record *me, int *status)
{
    enum lw_outcome outcome;
    uint64_t word;

    lw_owner_hint(me);
    outcome = lw_wait_finish(me);
    if (outcome == LW_GRANTED || outcome == LW_RETRY)
        return outcome == LW_RETRY;
    word = take_guard(once);
    lw_queue_remove(&once->wait._queue, &lw_record_cold(me)->node);
    hint(once, word);
    drop_guard(once, word);
    *status = lw_wait_error(me, outcome);
    return false;
}

void lw_once_abandon(void *of, struct lw_record *me)
{
    lw_once *once = of;
    struct lw_wake_batch waiters = {0};
    uint64_t word = take_guard(once);

    if (word >> RUNNER_SHIFT == lw_load_rlx(&lw_record_cold(me)->id)) {
        word &= ~(~UINT64_C(0) << RUNNER_SHIFT);
        lw_queue_claim_all(&once->wait._queue, &waiters);
    }
    drop_guard(once, word);
    lw_wake_collected(&waiters, LW_RETRY);
}

static LW_NOINLINE int run_slow(lw_once *once, lw_fn *fn, void *arg, lw_nsec deadline,
                                const void *site)
{
    struct lw_record *me;
    int status = 0, err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    do
        err = enter(once, me, &status, deadline, site);
    while (err == TO_WAIT && wait_for_it(once, me, &status));
    if (err == TO_RUN)
        return run(once, me, fn, arg, site);
    return err < 0 ? err : status;
}

int lw_once_run(lw_once *once, lw_fn *fn, void *arg, lw_nsec deadline)
{
    if (lw_likely((lw_load_acq(&once->wait._word._value) & DONE) != 0)) /* [O1] */
        return once->_status;
    return run_slow(once, fn, arg, deadline, __builtin_return_address(0));
}
