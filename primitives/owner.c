/* SPDX-License-Identifier: MIT */
/* What the locks that have an owner share: whether it lives, what its waiters say of it, what is
 * left when it ends.  The word, and the rest of what they share, is in lock.h; [L1] to [L3] are in
 * mutex.c and handed.c. */
#include "primitives/heap.h"
#include "primitives/lock.h"

uint64_t lw_heap_arrivals; /* of all that ever queued by priority, for any lock */

bool lw_owner_is_gone(uint64_t word)
{
    uint64_t id = word >> LW_LOCK_OWNER_SHIFT;
    const struct lw_record *record = lw_record_of(id);
    uint64_t ctl = lw_load_rlx(&record->ctl); /* of that life, or of a later one: [L3] */

    return LW_CTL_GENERATION(ctl) != lw_id_generation(id) || (ctl & LW_LIVE) == 0 ||
           lw_record_is_done(record);
}

void lw_owner_hint_all(struct lw_cold *cold)
{
    struct lw_hold_place place = lw_hold_newest(cold);

    for (uint32_t left = lw_load_rlx(&cold->nheld); left > 0; left--) {
        struct lw_hold *hold = lw_hold_in(cold, place);
        lw_lock *own = lw_hold_lock(hold);
        uint64_t word;

        place = lw_hold_older(cold, place);
        if (lw_hold_mode(hold) != LW_HOLD_EXCLUSIVE ||
            !(lw_load_rlx(&own->_word._value) & LW_LOCK_QUEUED))
            continue;
        if (lw_lock_has_faces(lw_load_rlx(&own->_word._value))) {
            lw_rwlock_hint(own);
            continue;
        }
        word = lw_lock_take(own); /* [L2] */
        lw_lock_hint(own, word);
        lw_lock_drop(own, word);
    }
}

LW_NOINLINE int lw_owner_forget(struct lw_cold *cold, const lw_lock *lock)
{
    struct lw_record *me = lw_cold_record(cold);
    bool held = (lw_is_given(me) && lw_given_forget(me, lock)) || lw_hold_remove(cold, lock);

    lw_check(held); /* the word and the list of holds agree about who owns the lock */
    return 0;
}

void lw_lock_claim_all(lw_lock *lock, uint64_t word, struct lw_wake_batch *batch)
{
    bool ranked = (word & (LW_LOCK_SORT | LW_LOCK_RANKED)) == (LW_LOCK_COUNT | LW_LOCK_RANKED);
    struct lw_record *waiter;

    if (!ranked && !lw_lock_has_heap(word)) {
        lw_queue_claim_all(&lock->_queue, batch);
        return;
    }
    while ((waiter = lw_heap_claim(&lock->_queue)) != NULL)
        lw_wake_batch_add(batch, waiter);
}

void lw_lock_mark(lw_lock *lock, uint64_t flag)
{
    struct lw_wake_batch batch = {0};
    uint64_t word;

    if (lw_lock_has_faces(lw_load_rlx(&lock->_word._value))) {
        lw_rwlock_mark(lock, flag);
        return;
    }
    word = lw_lock_take(lock); /* [L2] */
    lw_lock_claim_all(lock, word, &batch);
    word &= ~LW_LOCK_FAIR;
    lw_store_rlx(&lock->_number, 0); /* depth */
    lw_lock_drop(lock, flag == LW_LOCK_DEAD ? word | flag : (word & LW_LOCK_FLAGS) | flag);
    lw_wake_collected(&batch, LW_RETRY);
}
