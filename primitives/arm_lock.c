/* SPDX-License-Identifier: MIT */
/* Arms of lw_select() that acquire a lock: each waits in the lock's queue as an acquire does, and
 * is handed the lock in its turn.  A mutex, too, is handed to it: what has other things to wait for
 * does not come back to contend. */
#include "primitives/arm.h"

#include <errno.h>
#include <latchwork/priority_lock.h>
#include <latchwork/rlock.h>
#include <latchwork/rwlock.h>

#include "primitives/heap.h"
#include "primitives/permits.h"

/* ---- locks with an owner: mutex.c, handed.c */

static int owned_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me)
{
    uint64_t word = lw_lock_take(lock), owner = word & ~LW_LOCK_FLAGS; /* [L2] */
    int err = 0;

    if (owner == lw_owner_word(me) && (word & LW_LOCK_DEAD) == 0) {
        err = -EDEADLK;
    } else if (lw_recheck(owner == 0) || lw_lock_end_error(word) < 0 || lw_owner_is_gone(owner)) {
        err = ARM_TRY;
    } else if (lw_lock_has_heap(word)) {
        lw_heap_arrive(arm, lw_lock_priority());
        lw_lock_unhint((struct lw_node *)lock->_queue);
        lw_heap_push(&lock->_queue, &arm->node);
    } else {
        lw_queue_push(&lock->_queue, &arm->node);
    }
    lw_lock_hint(lock, word);
    lw_lock_drop(lock, word);
    return err;
}

static void owned_leave(lw_lock *lock, struct lw_cold *arm)
{
    uint64_t word = lw_lock_take(lock); /* [L2] */

    if (lw_lock_has_heap(word))
        lw_heap_remove(&lock->_queue, &arm->node);
    else
        lw_queue_remove(&lock->_queue, &arm->node);
    lw_lock_hint(lock, word);
    lw_lock_drop(lock, word);
}

/* ---- permits: one of them */

LW_INLINE int permits_watch(enum lw_permits sort, lw_lock *lock, struct lw_cold *arm)
{
    uint64_t word = lw_permits_take_guard(lock); /* [S1] */
    bool waits = !lw_recheck(lock->_queue == NULL && lw_permits_are_there(sort, lock, word, 1)) &&
                 (sort != LW_PERMITS_HELD || lw_lock_end_error(word & LW_LOCK_FLAGS) == 0);

    if (waits && sort == LW_PERMITS_RANKED) {
        lw_heap_arrive(arm, lw_lock_priority());
        lw_heap_push(&lock->_queue, &arm->node);
    } else if (waits) {
        arm->data = (void *)(uintptr_t)1;
        lw_permits_line_up(sort, lock, word, arm, NULL);
    }
    lw_permits_drop_guard(sort, lock, word);
    return waits ? 0 : ARM_TRY;
}

static int free_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me)
{
    (void)me;
    return permits_watch(LW_PERMITS_FREE, lock, arm);
}

/* There is room to note whose it is before it is granted. */
static int held_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me)
{
    int err = lw_hold_reserve_units(lw_record_cold(me), 1);

    return err < 0 ? err : permits_watch(LW_PERMITS_HELD, lock, arm);
}

static int ranked_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me)
{
    (void)me;
    return permits_watch(LW_PERMITS_RANKED, lock, arm);
}

static void free_leave(lw_lock *lock, struct lw_cold *arm)
{
    lw_permits_leave(LW_PERMITS_FREE, lock, &arm->node);
}

static void held_leave(lw_lock *lock, struct lw_cold *arm)
{
    lw_permits_leave(LW_PERMITS_HELD, lock, &arm->node);
}

static void ranked_leave(lw_lock *lock, struct lw_cold *arm)
{
    lw_permits_leave(LW_PERMITS_RANKED, lock, &arm->node);
}

/* ---- what a lock is held as */

static void hold_it(lw_lock *lock, struct lw_record *me, const void *site)
{
    (void)lw_hold_push(lw_record_cold(me), lock, site);
}

static void hold_unit(lw_lock *lock, struct lw_record *me, const void *site)
{
    lw_hold_push_units(lw_record_cold(me), lock, site, 1);
}

static void hold_nothing(lw_lock *lock, struct lw_record *me, const void *site)
{
    (void)lock, (void)me, (void)site;
}

/* ---- by kind: not a user's, whose acquire may do more */

struct arms {
    const lw_lock_kind *kind;
    int (*watch)(lw_lock *lock, struct lw_cold *arm, struct lw_record *me);
    void (*leave)(lw_lock *lock, struct lw_cold *arm);
    void (*take)(lw_lock *lock, struct lw_record *me, const void *site);
};

static const struct arms kinds[] = {
    {&lw_mutex_kind, owned_watch, owned_leave, hold_it},
    {&lw_rlock_kind, owned_watch, owned_leave, hold_it},
    {&lw_priority_lock_kind, owned_watch, owned_leave, hold_it},
    {&lw_priority_rlock_kind, owned_watch, owned_leave, hold_it},
    {&lw_semaphore_kind, free_watch, free_leave, hold_nothing},
    {&lw_bounded_semaphore_kind, held_watch, held_leave, hold_unit},
    {&lw_priority_semaphore_kind, ranked_watch, ranked_leave, hold_nothing},
    {&lw_rwlock_write_kind, lw_rwlock_watch, lw_rwlock_unwatch, lw_rwlock_take_over},
    {&lw_rwlock_read_kind, lw_rwlock_watch, lw_rwlock_unwatch, lw_rwlock_take_over},
};

static const struct arms *arms_of(const lw_lock *lock)
{
    const lw_lock_kind *kind = lock->kind != NULL ? lock->kind : &lw_mutex_kind;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

int lw_lock_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me)
{
    const struct arms *arms = arms_of(lock);

    return arms != NULL ? arms->watch(lock, arm, me) : -EINVAL;
}

void lw_lock_leave(lw_lock *lock, struct lw_cold *arm)
{
    arms_of(lock)->leave(lock, arm);
}

void lw_lock_take_over(lw_lock *lock, struct lw_record *me, const void *site)
{
    arms_of(lock)->take(lock, me, site);
}
