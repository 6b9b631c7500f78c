/* SPDX-License-Identifier: MIT */
/* The protocol of all locks: each call goes to the lock's kind, and a kind of NULL is a mutex.  And
 * what becomes of the locks that a task still holds when it ends.
 *
 * The end of an owner.  Nobody may enter a lock unaware that its owner ended inside, and nobody may
 * wait for it for ever.  So the ending task itself, newest hold first:
 *
 *     the kind has a repair  runs it, while the lock is still the task's, and releases it; when the
 *                            repair fails the lock is dead
 *     LW_DATA_ROBUST         makes the lock free and INCONSISTENT: acquires give -EOWNERDEAD
 *     else                   makes it DEAD: acquires give -ENOTRECOVERABLE
 *
 * A hold that was lost for want of memory (hold.h) escapes this: the next one who comes to take
 * that lock finds that its owner has ended, and marks it DEAD (mutex.c). */
#include <latchwork/once.h>

#include "primitives/lock.h"

#include <errno.h>
#include <limits.h>

#include "runtime/fork.h"
#include "runtime/futex.h"

extern void (*lw_holds_abandon)(struct lw_record *record);

static bool is_mutex(const lw_lock_kind *kind)
{
    return kind == NULL || kind == &lw_mutex_kind;
}

int lw_lock_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    if (lw_likely(is_mutex(lock->kind)))
        return lw_mutex_acquire_at(lock, deadline, site);
    if (lw_likely(lock->kind->_self == lock->kind))
        return lock->kind->_acquire_at(lock, deadline, site);
    if (!lw_kind_is_complete(lock->kind))
        return -EINVAL;
    return lock->kind->acquire(lock, deadline);
}

int lw_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_lock_acquire_at(lock, deadline, __builtin_return_address(0));
}

int lw_lock_acquire_first(lw_lock *lock, lw_nsec deadline, const void *site,
                          struct lw_first *first)
{
    struct lw_record *me;
    uint32_t generation;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    generation = LW_CTL_GENERATION(lw_load_rlx(&me->ctl));
    lw_record_cold(me)->first = first;
    (void)lw_ctl_raise(me, generation, LW_FIRST);
    err = lw_lock_acquire_at(lock, deadline, site);
    (void)lw_ctl_lower(me, generation, LW_FIRST);
    return err;
}

int lw_release(lw_lock *lock)
{
    if (lw_likely(is_mutex(lock->kind)))
        return lw_mutex_release((lw_mutex *)lock);
    return lw_kind_is_complete(lock->kind) ? lock->kind->release(lock) : -EINVAL;
}

bool lw_locked(const lw_lock *lock)
{
    if (is_mutex(lock->kind))
        return lw_mutex_locked((const lw_mutex *)lock);
    return lw_kind_is_complete(lock->kind) && lock->kind->locked(lock);
}

int lw_purge_waiters(lw_lock *lock)
{
    struct lw_wake_batch purged = {0};
    uint64_t word;
    uint32_t count;

    if (!is_mutex(lock->kind) && !lw_kind_is_complete(lock->kind))
        return -EINVAL;
    if (lock->kind != NULL && lock->kind->purge_waiters != NULL)
        return lock->kind->purge_waiters(lock);
    if (lw_forked())
        return -ECHILD;
    word = lw_load_rlx(&lock->_word._value);
    if (lw_lock_has_faces(word))
        return lw_rwlock_purge(lock);
    if (lw_lock_is_timed(word))
        return lw_rate_limit_purge(lock);
    word = lw_lock_take(lock); /* [L2] */
    lw_lock_claim_all(lock, word, &purged);
    if ((word & LW_LOCK_SORT) == 0)
        word &= ~LW_LOCK_FAIR; /* the head that set it is gone */
    lw_lock_drop(lock, word);
    count = purged.count;
    lw_wake_collected(&purged, LW_CLOSED);
    return count < INT_MAX ? (int)count : INT_MAX;
}

int lw_lock_wait(lw_lock *lock, const void *word, uint32_t expected, lw_nsec deadline)
{
    struct lw_record *me = lw_current();
    struct lw_futex_wait wait = {LW_WAIT_LOCK, lock, lock->name, lw_owner(lock).id,
                                 __builtin_return_address(0)};

    if (me != NULL)
        lw_owner_hint(me);
    return lw_futex_wait_as(&wait, word, expected, deadline);
}

void (*lw_lock_forgotten)(lw_lock *lock);

/* Under the guard: somebody has it, or waits, or was sent to take it. */
static bool is_in_use(const lw_lock *lock, uint64_t word)
{
    if ((word & LW_LOCK_QUEUED) != 0 || (word & LW_LOCK_DEAD) != 0)
        return (word & LW_LOCK_QUEUED) != 0;
    if ((word & LW_LOCK_SORT) == LW_LOCK_COUNT)
        return !(word & (LW_LOCK_RANKED | LW_LOCK_TIMED)) && lw_load_rlx(&lock->_number) != 0;
    return (word & (~LW_LOCK_FLAGS | LW_LOCK_WOKEN)) != 0;
}

int lw_lock_fini(lw_lock *lock)
{
    uint64_t word;
    bool used;

    if (!is_mutex(lock->kind) && !lw_kind_is_complete(lock->kind))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    word = lw_load_rlx(&lock->_word._value);
    if (lw_lock_has_faces(word)) {
        used = lw_rwlock_is_in_use(lock);
    } else {
        word = lw_lock_take(lock); /* [L2] */
        used = is_in_use(lock, word);
        lw_guard_drop(&lock->_word._value, LW_LOCK_GUARD); /* also of a semaphore, as it was */
    }
    if (used || (!(word & LW_LOCK_DEAD) && lw_owner(lock).id != 0))
        return -EBUSY;
    if (lw_lock_forgotten != NULL)
        lw_lock_forgotten(lock);
    return 0;
}

lw_task lw_owner(const lw_lock *lock)
{
    uint64_t word;

    if (lock->kind != NULL && lock->kind->owner != NULL)
        return lock->kind->owner(lock);
    word = lw_load_acq(&lock->_word._value); /* [G2] */
    return (lw_task){(word & LW_LOCK_SORT) != LW_LOCK_COUNT ? word >> LW_LOCK_OWNER_SHIFT : 0};
}

bool lw_owned(const lw_lock *lock)
{
    struct lw_record *me = lw_current();

    if (lw_lock_is_to_read(lw_load_rlx(&lock->_word._value)))
        return lw_rwlock_reads(lock);
    return me != NULL && lw_owner(lock).id == lw_load_rlx(&lw_record_cold(me)->id);
}

/* By what the lock is, not by its kind, which may be the user's. */
static void release_of(struct lw_record *me, lw_lock *lock)
{
    uint64_t word = lw_load_rlx(&lock->_word._value);

    if (lw_lock_has_faces(word))
        (void)lw_rwlock_release_of(lock, me);
    else if ((word & LW_LOCK_HANDED) != 0)
        (void)lw_handed_release_of(lock, me);
    else
        (void)lw_mutex_release_of(lock, me);
}

/* What becomes of the lock when the data in it is as its owner has left it; 0: it was repaired. */
static uint64_t flag_of_end(lw_lock *lock)
{
    int (*repair)(lw_lock *) = lock->kind != NULL ? lock->kind->repair : NULL;

    if (repair != NULL)
        return repair(lock) == 0 ? 0 : LW_LOCK_DEAD;
    return (lock->data & LW_DATA_ROBUST) != 0 ? LW_LOCK_INCONSISTENT : LW_LOCK_DEAD;
}

void (*lw_left_behind)(struct lw_record *me, const struct lw_hold *hold, const char *name,
                       enum lw_left how);

static void tell(struct lw_record *me, const struct lw_hold *hold, const char *name,
                 enum lw_left how)
{
    if (lw_left_behind != NULL)
        lw_left_behind(me, hold, name, how);
}

static enum lw_left left_as(uint64_t flag)
{
    if (flag == 0)
        return LW_LEFT_REPAIRED;
    return flag == LW_LOCK_DEAD ? LW_LEFT_DEAD : LW_LEFT_INCONSISTENT;
}

static void abandon_lock(struct lw_record *me, lw_lock *lock, const struct lw_hold *hold)
{
    uint64_t word = lw_load_rlx(&lock->_word._value), flag;

    if ((word & LW_LOCK_SORT) == LW_LOCK_COUNT || (word & ~LW_LOCK_FLAGS) != lw_owner_word(me))
        return; /* its memory became another lock: misuse */
    flag = flag_of_end(lock);
    tell(me, hold, lock->name, left_as(flag));
    if (flag == 0)
        release_of(me, lock);
    else
        lw_lock_mark(lock, flag);
}

/* All that the task has of a semaphore's, at once. */
static void abandon_units(struct lw_record *me, lw_lock *lock, const struct lw_hold *hold)
{
    uint64_t units = lw_hold_drop_all_units(lw_record_cold(me), lock), flag;
    uint64_t word = lw_load_rlx(&lock->_word._value);

    if ((word & LW_LOCK_SORT) != LW_LOCK_COUNT || lw_load_rlx(&lock->_number) < units)
        return;
    flag = flag_of_end(lock);
    tell(me, hold, lock->name, left_as(flag));
    lw_bounded_semaphore_give(lock, (uint32_t)units, flag);
}

/* The newest first. */
static void abandon_held(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint32_t count;

    while ((count = lw_load_rlx(&cold->nheld)) != 0) {
        const struct lw_hold hold = *lw_hold_in(cold, lw_hold_newest(cold));
        enum lw_hold_mode mode = lw_hold_mode(&hold);
        lw_lock *lock = lw_hold_lock(&hold);

        if (mode == LW_HOLD_WAKER) /* it is an lw_once */
            tell(me, &hold, ((const lw_once *)(const void *)lock)->wait.name, LW_LEFT_RELEASED);
        else if (mode == LW_HOLD_SHARED)
            tell(me, &hold, lock->name, LW_LEFT_RELEASED);
        if (mode == LW_HOLD_UNITS)
            abandon_units(me, lock, &hold);
        else if (mode == LW_HOLD_WAKER)
            lw_once_abandon(lock, me);
        else if (mode == LW_HOLD_SHARED)
            lw_rwlock_leave(lock);
        else
            abandon_lock(me, lock, &hold);
        if (lw_load_rlx(&cold->nheld) == count)
            (void)lw_hold_remove(cold, lock);
    }
}

/* Of what it was handed at least three fit into the record of one who has no holds. */
static void abandon_all(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    bool has_left = false;

    for (;;) {
        if (lw_is_given(me))
            (void)lw_given_take(me);
        if (lw_load_rlx(&cold->nheld) == 0)
            break;
        abandon_held(me);
        has_left = true;
    }
    lw_store_rlx(&cold->holds_lost, 0);
    if (has_left)
        tell(me, NULL, NULL, LW_LEFT_RELEASED);
}

__attribute__((constructor)) static void hook_the_end_of_tasks(void)
{
    lw_holds_abandon = abandon_all;
}
