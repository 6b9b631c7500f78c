/* SPDX-License-Identifier: MIT */
/* Locks whose owner ended inside, and those who know it and take them all the same.
 *
 * The word of a lock that is LW_DATA_ROBUST then is (lock.h):
 *
 *     owner  INCONSISTENT  DEAD
 *       0         1         0    marked: an acquire gives -EOWNERDEAD, and nobody waits
 *      id         1         0    taken by one who knows; others wait for it as for any owner
 *      id         0         0    it has said that the data is whole: as any other lock
 *       0         1         1    it has released without saying so, and all who waited were told
 *
 * From INCONSISTENT and nobody to an owner it goes here only; only the owner takes the mark away.
 *
 * A bounded semaphore has no owner: who acquires knowing gets a permit as long as there is one, and
 * who has all that are held may take the mark away.  While others have some each of them may end,
 * and mark anew what was just said to be whole. */
#include <errno.h>

#include "primitives/lock.h"
#include "runtime/fork.h"

/* A lock that is marked and nobody's becomes the caller's; false: it is not so any more. */
static bool take_marked(lw_lock *lock, struct lw_record *me)
{
    uint64_t word = lw_lock_take(lock); /* [L2] */
    /* Without the look two who know are inside. */
    bool taken = lw_recheck(lw_lock_end_error(word) == -EOWNERDEAD);

    lw_lock_drop(lock, taken ? word | lw_owner_word(me) : word);
    return taken;
}

int lw_acquire_inconsistent(lw_lock *lock, lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);

    for (;;) {
        int err = lw_lock_acquire_at(lock, deadline, site);
        struct lw_record *me = lw_current();
        uint64_t word;

        if (err >= 0) /* an owner that nests has it marked perhaps */
            return lw_lock_is_marked(lock);
        if (err != -EOWNERDEAD || me == NULL)
            return err;
        word = lw_load_rlx(&lock->_word._value);
        if (lw_lock_is_to_read(word)) /* one who reads repairs nothing */
            return err;
        if (lw_lock_has_faces(word)) {
            if (!lw_rwlock_take_marked(lock, me))
                continue;
            (void)lw_hold_push(lw_record_cold(me), lock, site);
            return 1;
        }
        if ((word & LW_LOCK_SORT) == LW_LOCK_COUNT)
            return lw_bounded_semaphore_acquire_marked(lock, deadline, site);
        if (take_marked(lock, me)) {
            (void)lw_hold_push(lw_record_cold(me), lock, site);
            return 1;
        }
        if (lock->kind != NULL && lock->kind->_self != lock->kind)
            return err; /* a kind of the user's, which says so of a lock that is not marked */
    }
}

/* Under the guard, and the caller has so many permits of a semaphore. */
static int may_say_so(const lw_lock *lock, const struct lw_record *me, uint64_t word,
                      uint64_t permits)
{
    bool counts = (word & LW_LOCK_SORT) == LW_LOCK_COUNT;

    if ((word & LW_LOCK_DEAD) != 0 ||
        (counts ? permits == 0 : (word & ~LW_LOCK_FLAGS) != lw_owner_word(me)))
        return -EPERM;
    if ((word & LW_LOCK_INCONSISTENT) == 0)
        return -EINVAL;
    return counts && permits != lw_load_rlx(&lock->_number) ? -EBUSY : 0;
}

static int say_so(uint64_t *word, void *me)
{
    int err = may_say_so(NULL, me, *word, 0);

    if (err == 0)
        *word &= ~LW_LOCK_INCONSISTENT;
    return err;
}

int lw_consistent(lw_lock *lock)
{
    struct lw_record *me = lw_current();
    uint64_t permits, word;
    int err;

    if (me == NULL)
        return -EPERM;
    if (lw_forked())
        return -ECHILD;
    if (lw_is_given(me))
        (void)lw_given_take(me);
    word = lw_load_rlx(&lock->_word._value);
    if (lw_lock_is_to_read(word))
        return -EPERM;
    if (lw_lock_has_faces(word))
        return lw_rwlock_rewrite(lock, say_so, me);
    permits = lw_hold_units_of(lw_record_cold(me), lock);
    word = lw_lock_take(lock); /* [L2] */
    err = may_say_so(lock, me, word, permits);
    if (err == 0)
        lw_lock_drop(lock, word & ~LW_LOCK_INCONSISTENT);
    else
        lw_guard_drop(&lock->_word._value, LW_LOCK_GUARD); /* whatever it is */
    return err;
}
