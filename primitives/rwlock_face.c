/* SPDX-License-Identifier: MIT */
/* lw_rwlock, for the functions of all locks and for lw_select(): by one of its faces.  The word,
 * the invariants and the pairs are in rwlock.h. */
#include "primitives/arm.h"
#include "primitives/rwlock.h"

static lw_rwlock *of_face(const lw_lock *lock, enum lw_rw_face *face)
{
    bool is_read_face = lw_load_rlx(&lock->_word._value) == LW_RW_READ;

    *face = is_read_face ? LW_RW_TO_READ : LW_RW_TO_WRITE;
    return is_read_face ? lw_rw_of_read(lock) : lw_rw_of_write(lock);
}

bool lw_rwlock_reads(const lw_lock *read)
{
    return lw_rw_reads(lw_rw_of_read(read));
}

void lw_rwlock_hint(lw_lock *write)
{
    lw_rw_look_after(lw_rw_of_write(write), lw_rw_take_guard(lw_rw_of_write(write)));
}

/* ---- who ends inside */

int lw_rwlock_release_of(lw_lock *write, struct lw_record *me)
{
    return lw_rw_write_release(write, lw_record_cold(me));
}

void lw_rwlock_leave(lw_lock *write)
{
    if (lw_rw_is_read(lw_load_rlx(&write->_word._value)))
        (void)lw_rw_leave_readers(lw_rw_of_write(write));
}

void lw_rwlock_mark(lw_lock *write, uint64_t flag)
{
    lw_rwlock *rw = lw_rw_of_write(write);
    struct lw_wake_batch all = {0};
    uint64_t word = lw_rw_take_guard(rw);
    struct lw_node *node;

    for (int face = LW_RW_TO_WRITE; face <= LW_RW_TO_READ; face++)
        while ((node = lw_queue_claim_node(lw_rw_queue(rw, (enum lw_rw_face)face))) != NULL)
            lw_rw_send(rw, node, &all);
    lw_rw_set_turns(rw, 0);
    lw_rw_drop_guard(rw, flag == LW_LOCK_DEAD ? word | flag : LW_RW_FREE | flag);
    lw_wake_collected(&all, LW_RETRY);
}

/* ---- and who knows it */

bool lw_rwlock_take_marked(lw_lock *write, struct lw_record *me)
{
    lw_rwlock *rw = lw_rw_of_write(write);
    uint64_t word = lw_rw_take_guard(rw);
    /* Without the look two who know are inside. */
    bool taken = lw_recheck(lw_lock_end_error(word) == -EOWNERDEAD);

    lw_rw_look_after(rw, taken ? word | lw_owner_word(me) : word);
    return taken;
}

int lw_rwlock_rewrite(lw_lock *write, int (*change)(uint64_t *word, void *arg), void *arg)
{
    lw_rwlock *rw = lw_rw_of_write(write);
    uint64_t word = lw_rw_take_guard(rw);
    int err = lw_rw_is_read(word) ? -EPERM : change(&word, arg);

    lw_rw_look_after(rw, word);
    return err;
}

/* ---- waiters, uses */

/* Those that waited for writers that are gone go on. */
int lw_rwlock_purge(lw_lock *lock)
{
    struct lw_wake_batch purged = {0};
    enum lw_rw_face face;
    lw_rwlock *rw = of_face(lock, &face);
    uint64_t word = lw_rw_take_guard(rw);
    int count;

    lw_queue_claim_all(lw_rw_queue(rw, face), &purged);
    if (face == LW_RW_TO_WRITE)
        lw_rw_set_turns(rw, lw_rw_turns(rw) & ~(uint32_t)LW_RW_UPGRADING);
    lw_rw_settle(rw, word, LW_RW_TO_WRITE);
    count = (int)purged.count;
    lw_wake_collected(&purged, LW_CLOSED);
    return count;
}

bool lw_rwlock_is_in_use(lw_lock *lock)
{
    enum lw_rw_face face;
    lw_rwlock *rw = of_face(lock, &face);
    uint64_t word = lw_rw_take_guard(rw);
    bool waited_for = rw->write._queue != NULL || rw->read._queue != NULL;
    bool held = (word & ~LW_LOCK_FLAGS) != 0 && (word & LW_LOCK_DEAD) == 0;
    bool awaited = rw->write._number != 0; /* somebody is on his way */

    lw_rw_look_after(rw, word);
    return waited_for || held || awaited;
}

/* ---- arms of lw_select() */

int lw_rwlock_watch(lw_lock *face, struct lw_cold *arm, struct lw_record *me)
{
    struct lw_rw_call call = {.me = me, .deadline = LW_FOREVER};
    lw_rwlock *rw = of_face(face, &call.face);
    int err = lw_hold_reserve_units(lw_record_cold(me), 1);
    uint64_t word, seen;

    if (err < 0)
        return err;
    call.reads = lw_hold_shared(lw_record_cold(me), &rw->write) != 0;
    seen = word = lw_rw_take_guard(rw);
    /* Writers that wait are arms of the same task: to read it need not wait for them. */
    call.reads |= call.face == LW_RW_TO_READ && lw_queue_is_of(&rw->write._queue, me);
    err = lw_rw_look(rw, &seen, &call);
    if (err == LW_RW_QUEUE_FOR_IT) {
        lw_queue_push(lw_rw_queue(rw, call.face), &arm->node);
        err = 0;
    } else if (err != -EDEADLK) {
        err = ARM_TRY;
    }
    lw_rw_look_after(rw, word);
    return err;
}

void lw_rwlock_unwatch(lw_lock *face, struct lw_cold *arm)
{
    enum lw_rw_face which;
    lw_rwlock *rw = of_face(face, &which);

    lw_rw_leave_queue(rw, which, &arm->node);
}

void lw_rwlock_take_over(lw_lock *face, struct lw_record *me, const void *site)
{
    enum lw_rw_face which;
    lw_rwlock *rw = of_face(face, &which);

    (void)lw_hold_push_as(lw_record_cold(me), &rw->write,
                          which == LW_RW_TO_READ ? LW_HOLD_SHARED : LW_HOLD_EXCLUSIVE, site);
}
