/* SPDX-License-Identifier: MIT */
/* lw_mutex: one compare-and-swap each way when nobody else wants it.
 *
 * The word is that of lock.h.  A release that finds waiters sends the head to try again (RETRY) and
 * goes on; whoever comes by meanwhile may be faster (barging).  So a mutex is never idle while its
 * heir is on its way, and is never passed on at the price of a switch.  WOKEN says that one is on
 * its way: until it is back no other is woken, and releases are one CAS again.  One that is back
 * and loses queues at the front; 1 ms after it first queued it sets FAIR: the next release hands
 * over.
 *
 *     owner  QUEUED WOKEN FAIR
 *       0      0     0     0     free
 *       0      *     1     0     free; somebody is on his way
 *      id      0     0     0     owned; the release is one CAS
 *      id      *     1     0     owned by one who barged; the release is one CAS
 *      id      1     0     0     owned; the release sends the head to try again
 *      id      1     0     1     owned; the release makes the head the owner
 *
 * Invariants.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - No owner and QUEUED: WOKEN.  So no waiter sleeps on a free mutex.
 * - FAIR belongs to the head that set it: nobody is pushed in front of it but one who is to be
 *   first of all (lw_lock_acquire_first()), who then is that head.
 * - The store that gives the mutex away is the last touch of it: who gets it may free it.
 *
 * Ordering.
 * [L1] section to section: release CAS acq_rel, or the store that drops GUARD -> acquire CAS; one
 *      who was granted comes through its wait word (wait.h, W2).  acq_rel, not release: the word it
 *      reads was stored after the grant, by the owner before, who must be done with the lock when
 *      this owner frees it.
 * [L3] the owner's record is alive -> its id in the word: acquire CAS acq_rel.  Who finds an owner
 *      that does not live yet would take the mutex for an orphan (is_orphaned).
 * [L2] queue: GUARD dropped by a release store -> GUARD taken by CAS acquire. */
#include "primitives/lock.h"

#include <errno.h>

#include "runtime/os/os.h"

#define GUARD LW_LOCK_GUARD
#define QUEUED LW_LOCK_QUEUED
#define WOKEN LW_LOCK_WOKEN
#define FAIR LW_LOCK_FAIR
#define INCONSISTENT LW_LOCK_INCONSISTENT
#define DEAD LW_LOCK_DEAD

/* try_under_guard(): beside 0 and negative codes.  GIVEN: lw_transfer() has made it the caller's
 * while that was on its way; the hold is noted there. */
enum { QUEUE_FOR_IT = 1, ORPHANED = 2, GIVEN = 3 };

/* One acquire that did not get the mutex at once. */
struct contender {
    struct lw_record *me;
    lw_nsec deadline;
    const void *site;
    lw_nsec since; /* when it first queued */
    bool back;     /* it was sent to try again: WOKEN is its own */
    bool starving;
};

/* Without the guard: take a mutex that is free, or free with somebody on his way.  seen: what the
 * word was a moment ago. */
static bool barge(lw_lock *lock, uint64_t mine, uint64_t seen)
{
    while (seen == 0 || (seen & ~QUEUED) == WOKEN) {
        if (lw_cas_acq_rel(&lock->_word._value, &seen, seen | mine)) { /* [L1] [L3] */
            lw_owner_guess(lw_thread_self(), seen);
            return true;
        }
    }
    return false;
}

/* Under the guard.  One who is to be first, or starves, is handed the mutex by the next release;
 * one who comes back queues in front, unless that is so of the head. */
static uint64_t queue_for_it(lw_lock *lock, const struct contender *self, uint64_t word)
{
    struct lw_node *node = &lw_record_cold(self->me)->node, *fair = NULL;
    bool first = lw_goes_first(self->me);

    if (!first && (word & FAIR) != 0)
        fair = self->back ? lw_queue_pop(&lock->_queue) : NULL;
    if (self->back || first) {
        lw_lock_unhint(lw_queue_head(&lock->_queue));
        lw_queue_push_front(&lock->_queue, node);
    } else {
        lw_queue_push(&lock->_queue, node);
    }
    if (fair != NULL)
        lw_queue_push_front(&lock->_queue, fair);
    if (self->starving) /* and who is on his way finds it taken */
        word = (word | FAIR) & ~WOKEN;
    return word;
}

/* Take it, or fail, or queue for it: one guard section. */
static int try_under_guard(lw_lock *lock, const struct contender *self, uint64_t mine)
{
    uint64_t word = lw_lock_take(lock); /* [L2] */
    uint64_t owner = word & ~LW_LOCK_FLAGS;
    int err = lw_lock_end_error(word);

    if (self->back)
        word &= ~WOKEN;
    if (lw_unlikely(err < 0)) {
        lw_lock_drop(lock, word);
        return err;
    }
    if (lw_unlikely(lw_recheck(owner != 0 && lw_owner_is_gone(owner)))) {
        err = ORPHANED; /* unseen, nobody would ever release it */
    } else if (lw_recheck(owner == 0)) { /* else we sleep on a mutex that nobody will release */
        word |= mine;
        lw_lock_hint(lock, word);
    } else if (self->deadline == LW_NOW) {
        err = lw_timeout_error(LW_NOW);
    } else if (owner == mine) {
        err = self->back ? GIVEN : -EDEADLK;
    } else {
        lw_wait_begin(self->me, LW_WAIT_LOCK, lock, lock->name, self->deadline, self->site);
        lw_store_rlx(&lw_record_cold(self->me)->owner, 0);
        word = queue_for_it(lock, self, word);
        lw_lock_hint(lock, word);
        err = QUEUE_FOR_IT;
    }
    lw_lock_drop(lock, word);
    return err;
}

/* The wait ended without the mutex: leave the queue. */
static void leave_queue(lw_lock *lock, const struct contender *self)
{
    struct lw_node *node = &lw_record_cold(self->me)->node;
    uint64_t word = lw_lock_take(lock); /* [L2] */

    if (node->next != NULL) { /* no release has met the dead wait yet */
        if (self->starving && lw_queue_head(&lock->_queue) == node)
            word &= ~FAIR;
        lw_queue_remove(&lock->_queue, node);
        lw_lock_hint(lock, word);
    }
    lw_lock_drop(lock, word);
}

static LW_NOINLINE int acquire_slow(lw_lock *lock, struct lw_record *me, lw_nsec deadline,
                                    const void *site)
{
    struct contender self = {
        .me = me, .deadline = deadline, .site = site, .starving = lw_goes_first(me)};
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t mine = lw_owner_word(me);

    if (barge(lock, mine, lw_load_rlx(&lock->_word._value)))
        return lw_hold_push(cold, lock, site);
    for (;;) {
        int err = try_under_guard(lock, &self, mine);
        enum lw_outcome outcome;

        if (err == 0)
            return lw_hold_push(cold, lock, site);
        if (err == ORPHANED) {
            lw_lock_mark(lock, DEAD);
            err = -ENOTRECOVERABLE;
        }
        if (err != QUEUE_FOR_IT)
            return err == GIVEN ? 0 : err;
        if (!self.back)
            self.since = lw_sys.now();
        lw_owner_hint(me);
        outcome = lw_wait_finish(me);
        if (outcome == LW_GRANTED)
            return lw_hold_push(cold, lock, site);
        if (outcome != LW_RETRY) {
            leave_queue(lock, &self);
            return lw_wait_error(me, outcome);
        }
        self.back = true;
        self.starving =
            lw_needed(lw_sys.now() - self.since >= LW_LOCK_FAIR_AFTER) || lw_goes_first(self.me);
    }
}

/* The first acquire since the task was switched to, or a budget that is spent. */
static LW_NOINLINE int acquire_entering(lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    lw_owner_note(me);
    return acquire_slow(lock, me, deadline, site);
}

/* The guess was wrong. */
static LW_NOINLINE int acquire_barging(lw_lock *lock, lw_nsec deadline, const void *site,
                                       uint64_t seen)
{
    struct lw_thread *thread = lw_thread_self();

    if (barge(lock, lw_owner_noted(thread), seen))
        return lw_hold_push(lw_load_rlx(&thread->cold), lock, site);
    return acquire_slow(lock, lw_load_rlx(&thread->current), deadline, site);
}

/* All calls are in tail position, so that the fast path saves no register. */
LW_INLINE int acquire(lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine, free;

    if (lw_unlikely(thread == NULL || (mine = lw_load_rlx(&thread->owner)) == 0 ||
                    lw_load_rlx(&thread->budget) <= 1))
        return acquire_entering(lock, deadline, site);
    (void)lw_thread_spend(thread, deadline != LW_NOW);
    free = mine & LW_LOCK_FLAGS;
    if (lw_unlikely(!lw_cas_acq_rel(&lock->_word._value, &free, mine))) /* [L1] [L3] */
        return acquire_barging(lock, deadline, site, free);
    return lw_hold_push(lw_load_rlx(&thread->cold), lock, site);
}

/* Give a mutex away whose GUARD and whose owner's leave the caller has. */
static void hand_on(lw_lock *lock, uint64_t word)
{
    struct lw_node *head = (word & WOKEN) != 0 ? NULL : lw_queue_claim_node(&lock->_queue);
    struct lw_record *heir = head != NULL ? lw_node_record(head) : NULL;
    enum lw_outcome outcome = LW_RETRY;
    uint64_t owner = 0;

    if ((word & FAIR) != 0 || (head != NULL && lw_node_is_arm(head)))
        outcome = LW_GRANTED; /* a select does not come back to contend */

    word &= WOKEN;
    if (heir != NULL && outcome == LW_GRANTED)
        owner = lw_owner_word(heir);
    else if (heir != NULL)
        word |= WOKEN;
    lw_lock_hint(lock, owner | word);
    lw_lock_drop(lock, owner | word);
    if (heir != NULL)
        lw_wake(heir, outcome, outcome == LW_GRANTED ? LW_WAKE_NEXT : LW_WAKE_TAIL);
}

/* The word is not just the owner's id. */
static LW_NOINLINE int release_slow(lw_lock *lock, struct lw_cold *cold)
{
    uint64_t mine = lw_load_rlx(&cold->id) << LW_LOCK_OWNER_SHIFT;
    uint64_t seen = lw_load_acq(&lock->_word._value); /* [G2] */

    if ((seen & ~LW_LOCK_FLAGS) != mine || (seen & DEAD) != 0)
        return -EPERM;
    (void)lw_owner_forget(cold, lock);
    if (lw_unlikely((seen & INCONSISTENT) != 0)) { /* only the owner clears it */
        lw_lock_mark(lock, INCONSISTENT | DEAD);
        return 0;
    }
    while (seen == mine || (seen & ~QUEUED) == (mine | WOKEN)) {
        if (lw_cas_acq_rel(&lock->_word._value, &seen, seen & ~mine)) /* [L1] */
            return 0;
    }
    hand_on(lock, lw_lock_take(lock)); /* [L2] */
    return 0;
}

/* The first release since the task was switched to, or none of ours. */
static LW_NOINLINE int release_entering(lw_lock *lock)
{
    struct lw_record *me = lw_current();

    if (me == NULL)
        return -EPERM;
    lw_owner_note(me);
    return release_slow(lock, lw_record_cold(me));
}

/* The guess was wrong, or somebody else waits. */
static LW_NOINLINE int release_barging(lw_lock *lock, uint64_t seen)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine = lw_owner_noted(thread);

    while (seen == mine || (seen & ~QUEUED) == (mine | WOKEN)) {
        if (!lw_cas_acq_rel(&lock->_word._value, &seen, seen & ~mine)) /* [L1] */
            continue;
        lw_owner_guess(thread, seen & LW_LOCK_FLAGS);
        if (lw_unlikely(!lw_hold_pop(lw_load_rlx(&thread->cold), lock)))
            return lw_owner_forget(lw_load_rlx(&thread->cold), lock);
        return 0;
    }
    return release_slow(lock, lw_load_rlx(&thread->cold));
}

/* The hold goes after the word: nothing that lies between two locked operations is overlapped with
 * them, and so there is less between an acquire and its release.  Only this task writes its holds,
 * and others read them while it waits. */
LW_INLINE int release(lw_lock *lock)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine;

    if (lw_unlikely(thread == NULL || (mine = lw_load_rlx(&thread->owner)) == 0))
        return release_entering(lock);
    if (lw_unlikely(!lw_cas_acq_rel(&lock->_word._value, &mine, mine & LW_LOCK_FLAGS))) /* [L1] */
        return release_barging(lock, mine);
    if (lw_unlikely(!lw_hold_pop(lw_load_rlx(&thread->cold), lock)))
        return lw_owner_forget(lw_load_rlx(&thread->cold), lock);
    return 0;
}

int lw_mutex_acquire(lw_mutex *mutex, lw_nsec deadline)
{
    return acquire(&mutex->lock, deadline, __builtin_return_address(0));
}

int lw_mutex_release(lw_mutex *mutex)
{
    return release(&mutex->lock);
}

int lw_mutex_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    return acquire(lock, deadline, site);
}

int lw_mutex_release_of(lw_lock *lock, struct lw_record *me)
{
    return release_slow(lock, lw_record_cold(me));
}

bool lw_mutex_locked(const lw_mutex *mutex)
{
    uint64_t word = lw_load_rlx(&mutex->lock._word._value);

    return (word & ~LW_LOCK_FLAGS) != 0 && !(word & DEAD);
}

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return acquire(lock, deadline, __builtin_return_address(0));
}

static int kind_release(lw_lock *lock)
{
    return release(lock);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)lock);
}

const lw_lock_kind lw_mutex_kind = {
    .name = "mutex",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
};
