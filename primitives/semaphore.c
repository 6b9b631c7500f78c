/* SPDX-License-Identifier: MIT */
/* lw_semaphore: a number under a guard, and a queue that is served strictly in order.
 *
 * The word has two bits, GUARD and QUEUED, and is written under the guard only, so a section is one
 * compare-and-swap and one store.  A waiter's record says how many permits it wants (data); the
 * permits a release brings are taken off for the head before the head knows.
 *
 * Invariants.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - A head that still waits wants more permits than are free: each section that adds permits, or
 *   takes a head away, serves before it ends.
 *
 * [S1] section to section: GUARD dropped by a release store -> taken by CAS acquire.  A waiter that
 *      was served comes through its wait word (wait.h, W2). */
#include "primitives/lock.h"

#include <errno.h>

#include "runtime/fork.h"

#define GUARD LW_LOCK_GUARD
#define QUEUED LW_LOCK_QUEUED

static uint64_t take_guard(lw_lock *lock)
{
    return lw_guard_take(&lock->_word._value, GUARD); /* [S1] */
}

static uint32_t wanted(const struct lw_record *record)
{
    return (uint32_t)(uintptr_t)lw_record_cold(record)->data;
}

LW_INLINE bool is_served(const lw_lock *lock)
{
    struct lw_node *head = lw_queue_head(&lock->_queue);

    return head == NULL || wanted(lw_node_record(head)) > lw_load_rlx(&lock->_number);
}

static void drop_guard(lw_lock *lock)
{
    lw_debug_check(is_served(lock));
    lw_store_rel(&lock->_word._value, lock->_queue != NULL ? QUEUED : 0); /* [S1] */
}

/* Under the guard: give the head its permits as long as there are enough. */
static void serve(lw_lock *lock, struct lw_wake_batch *served)
{
    uint32_t free = lw_load_rlx(&lock->_number);
    struct lw_node *head;

    while ((head = lw_queue_head(&lock->_queue)) != NULL) {
        struct lw_record *record = lw_node_record(head);
        uint32_t units = wanted(record);

        if (units > free)
            break;
        lw_queue_remove(&lock->_queue, head);
        if (!lw_wake_claim(record))
            continue;
        free -= units;
        lw_wake_batch_add(served, record);
    }
    lw_store_rlx(&lock->_number, free);
}

/* The wait ended without permits.  Those behind a head that wanted many may be admissible now. */
static void leave_queue(lw_lock *lock, struct lw_record *me)
{
    struct lw_wake_batch served = {0};

    (void)take_guard(lock);
    lw_queue_remove(&lock->_queue, &lw_record_cold(me)->node);
    if (lw_needed(lock->_queue != NULL))
        serve(lock, &served);
    drop_guard(lock);
    lw_wake_collected(&served, LW_GRANTED);
}

static LW_NOINLINE int acquire_slow(lw_lock *lock, struct lw_record *me, uint32_t permits,
                                    lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    enum lw_outcome outcome;
    uint32_t free;

    if (permits == 0 || lock->kind == NULL)
        return -EINVAL;
    (void)take_guard(lock);
    free = lw_load_rlx(&lock->_number);
    /* Without the look the permits of a release that came before the guard was ours are missed. */
    if (lw_recheck(lock->_queue == NULL && free >= permits)) {
        lw_store_rlx(&lock->_number, free - permits);
        drop_guard(lock);
        return 0;
    }
    if (deadline == LW_NOW) {
        drop_guard(lock);
        return lw_timeout_error(LW_NOW);
    }
    lw_wait_begin(me, LW_WAIT_UNITS, lock, lock->name, deadline, site);
    cold->data = (void *)(uintptr_t)permits;
    lw_store_rlx(&cold->units, (uint16_t)(permits < UINT16_MAX ? permits : UINT16_MAX));
    lw_queue_push(&lock->_queue, &cold->node);
    drop_guard(lock);
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED)
        leave_queue(lock, me);
    return lw_wait_error(me, outcome);
}

LW_INLINE int acquire(lw_lock *lock, uint32_t permits, lw_nsec deadline, const void *site)
{
    uint64_t idle = 0;
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (lw_unlikely(err < 0))
        return err;
    if (lw_likely(permits != 0 && lw_cas_acq(&lock->_word._value, &idle, GUARD))) { /* [S1] */
        uint32_t free = lw_load_rlx(&lock->_number);
        bool enough = free >= permits;

        if (lw_likely(enough))
            lw_store_rlx(&lock->_number, free - permits);
        lw_store_rel(&lock->_word._value, 0); /* [S1] */
        if (lw_likely(enough))
            return 0;
    }
    return acquire_slow(lock, me, permits, deadline, site);
}

int lw_semaphore_acquire(lw_semaphore *semaphore, uint32_t permits, lw_nsec deadline)
{
    return acquire(&semaphore->lock, permits, deadline, __builtin_return_address(0));
}

int lw_semaphore_acquire_at(lw_lock *lock, uint32_t permits, lw_nsec deadline, const void *site)
{
    return acquire(lock, permits, deadline, site);
}

int lw_semaphore_release(lw_semaphore *semaphore, uint32_t permits)
{
    lw_lock *lock = &semaphore->lock;
    struct lw_wake_batch served = {0};
    uint32_t free;

    if (lw_unlikely(permits == 0 || lock->kind == NULL))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    (void)take_guard(lock);
    free = lw_load_rlx(&lock->_number);
    if (lw_unlikely(free > UINT32_MAX - permits)) {
        drop_guard(lock);
        return -EOVERFLOW;
    }
    lw_store_rlx(&lock->_number, free + permits);
    if (lock->_queue != NULL)
        serve(lock, &served);
    drop_guard(lock);
    lw_wake_collected(&served, LW_GRANTED);
    return 0;
}

bool lw_semaphore_locked(const lw_semaphore *semaphore)
{
    const lw_lock *lock = &semaphore->lock;

    return lw_load_rlx(&lock->_number) == 0 || (lw_load_rlx(&lock->_word._value) & QUEUED) != 0;
}

int64_t lw_semaphore_available(const lw_semaphore *semaphore)
{
    return lw_load_rlx(&semaphore->lock._number);
}

static int kind_acquire(lw_lock *lock, lw_nsec deadline)
{
    return acquire(lock, 1, deadline, __builtin_return_address(0));
}

static int kind_release(lw_lock *lock)
{
    return lw_semaphore_release((lw_semaphore *)lock, 1);
}

static bool kind_locked(const lw_lock *lock)
{
    return lw_semaphore_locked((const lw_semaphore *)lock);
}

/* Permits are nobody's. */
static lw_task kind_owner(const lw_lock *lock)
{
    (void)lock;
    return (lw_task){0};
}

const lw_lock_kind lw_semaphore_kind = {
    .name = "semaphore",
    .acquire = kind_acquire,
    .release = kind_release,
    .locked = kind_locked,
    .owner = kind_owner,
};
