/* SPDX-License-Identifier: MIT */
/* lw_rwlock: to take it and to give it back, by either of its faces.  The word, the invariants and
 * the pairs are in rwlock.h; whose turn it is, in rwlock_turn.c. */
#include "primitives/rwlock.h"

/* ---- acquire */

/* Nobody is inside who keeps the caller out, and it is nobody else's turn. */
static bool is_open(const lw_rwlock *rw, uint64_t word, const struct lw_rw_call *call)
{
    if (lw_rw_is_read(word))
        return call->face == LW_RW_TO_READ &&
               (call->reads || call->overtakes || lw_rw_may_join(rw));
    return (word & ~LW_LOCK_FLAGS) == 0;
}

/* What the word says to one who comes; 0: it is the caller's, by the word that is given back. */
int lw_rw_look(const lw_rwlock *rw, uint64_t *word, const struct lw_rw_call *call)
{
    uint64_t owner = *word & ~LW_LOCK_FLAGS, mine = lw_owner_word(call->me);
    int err = lw_lock_end_error(*word);

    if (err < 0)
        return err;
    if (lw_recheck(is_open(rw, *word, call))) { /* else we sleep, and nobody will hand it on */
        *word = call->face == LW_RW_TO_READ ? lw_rw_with_reader(*word) : *word | mine;
        return 0;
    }
    if (lw_recheck(!lw_rw_is_read(*word) && lw_owner_is_gone(owner)))
        return LW_RW_ORPHANED; /* unseen, nobody would ever release it */
    if (call->deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    if (!(lw_rw_is_read(*word) ? call->reads : owner == mine))
        return LW_RW_QUEUE_FOR_IT;
    return call->back && call->face == LW_RW_TO_WRITE ? LW_RW_GIVEN : -EDEADLK;
}

/* One that is back, or is to be first, goes in front, but after one who upgrades. */
static void push_back(lw_rwlock *rw, const struct lw_rw_call *call, struct lw_node *node)
{
    void **queue = lw_rw_queue(rw, call->face);
    struct lw_node *upgrader = NULL;

    if (call->face == LW_RW_TO_WRITE && (lw_rw_turns(rw) & LW_RW_UPGRADING) != 0)
        upgrader = lw_queue_pop(queue);
    lw_lock_unhint(lw_queue_head(queue));
    lw_queue_push_front(queue, node);
    if (upgrader != NULL)
        lw_queue_push_front(queue, upgrader);
}

static void queue_for_it(lw_rwlock *rw, struct lw_rw_call *call)
{
    struct lw_cold *cold = lw_record_cold(call->me);
    bool reads = call->face == LW_RW_TO_READ;

    lw_rw_begin(rw, reads ? LW_WAIT_SHARED : LW_WAIT_LOCK, call);
    if (call->since == 0) /* not earlier: most need not queue */
        call->since = lw_rw_moment();
    lw_store_rlx(&cold->ticket, call->since);
    if (call->back || lw_goes_first(call->me))
        push_back(rw, call, &cold->node);
    else
        lw_queue_push(lw_rw_queue(rw, call->face), &cold->node);
    if (call->back && lw_rw_is_long_ago(call->since))
        lw_rw_set_turns(rw, lw_rw_turns(rw) |
                                (reads ? LW_RW_READERS_STARVE : LW_RW_WRITER_STARVES));
}

/* Take it, or fail, or queue for it: one guard section. */
static int try_under_guard(lw_rwlock *rw, struct lw_rw_call *call)
{
    uint64_t word = lw_rw_take_guard(rw);
    int err;

    if (call->back) {
        word &= ~LW_LOCK_WOKEN;
        lw_store_rlx(&rw->write._number, rw->write._number - 1);
    }
    err = lw_rw_look(rw, &word, call);
    if (err == LW_RW_QUEUE_FOR_IT)
        queue_for_it(rw, call);
    lw_rw_look_after(rw, word);
    return err;
}

/* The wait ended without the lock.  Those who waited for this one only may go on. */
void lw_rw_leave_queue(lw_rwlock *rw, enum lw_rw_face face, struct lw_node *node)
{
    uint64_t word = lw_rw_take_guard(rw);

    lw_queue_remove(lw_rw_queue(rw, face), node);
    lw_rw_look_after(rw, word);
}

static int wait_for_it(lw_rwlock *rw, struct lw_rw_call *call)
{
    enum lw_outcome outcome;

    if (call->face == LW_RW_TO_READ) /* else what it was handed takes the room for its hold */
        lw_owner_hint_held(lw_record_cold(call->me));
    else
        lw_owner_hint(call->me);
    outcome = lw_wait_finish(call->me);
    if (outcome == LW_GRANTED)
        return 0;
    call->back = outcome == LW_RETRY;
    call->overtakes = outcome == LW_OVERTAKE;
    if (outcome == LW_RETRY)
        return LW_RW_QUEUE_FOR_IT;
    lw_rw_leave_queue(rw, call->face, &lw_record_cold(call->me)->node);
    return outcome == LW_OVERTAKE ? LW_RW_QUEUE_FOR_IT : lw_wait_error(call->me, outcome);
}

static int contend(lw_rwlock *rw, struct lw_rw_call *call)
{
    int err;

    if ((lw_load_rlx(&rw->write._word._value) & LW_LOCK_FACES) == 0) /* zeroed */
        return -EINVAL;
    do {
        err = try_under_guard(rw, call);
        if (err == LW_RW_QUEUE_FOR_IT)
            err = wait_for_it(rw, call);
    } while (err == LW_RW_QUEUE_FOR_IT);
    if (err != LW_RW_ORPHANED)
        return err;
    lw_lock_mark(&rw->write, LW_LOCK_DEAD);
    return -ENOTRECOVERABLE;
}

/* What a lock that is free, or will be, looks like, as the caller guesses (mutex.c). */
LW_INLINE uint64_t guessed(uint64_t owner_and_flags)
{
    return (owner_and_flags & LW_LOCK_FLAGS) | LW_RW_FREE;
}

/* ---- write */

static LW_NOINLINE int write_slow(lw_lock *lock, struct lw_record *me, lw_nsec deadline,
                                  const void *site)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t seen = lw_load_rlx(&lock->_word._value);
    struct lw_rw_call call = {.me = me, .deadline = deadline, .site = site, .face = LW_RW_TO_WRITE};
    int err;

    while ((seen & ~LW_RW_BARGING) == LW_RW_FREE && lw_rw_needs_no_guard(seen))
        if (lw_cas_acq_rel(&lock->_word._value, &seen, seen | lw_owner_word(me))) { /* [L1] [L3] */
            lw_owner_guess(thread, seen & LW_RW_BARGING);
            return lw_hold_push(cold, lock, site);
        }
    call.reads = lw_hold_shared(cold, lock) != 0;
    err = contend(lw_rw_of_write(lock), &call);
    if (err == LW_RW_GIVEN)
        return 0;
    return err == 0 ? lw_hold_push(cold, lock, site) : err;
}

static LW_NOINLINE int write_entering(lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    lw_owner_note(me);
    return write_slow(lock, me, deadline, site);
}

/* All calls are in tail position, here and below, so that the fast path saves no register. */
static int write_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine, free;

    if (lw_unlikely(thread == NULL || (mine = lw_load_rlx(&thread->owner)) == 0 ||
                    lw_load_rlx(&thread->budget) <= 1))
        return write_entering(lock, deadline, site);
    (void)lw_thread_spend(thread, deadline != LW_NOW);
    free = guessed(mine);
    if (lw_unlikely(!lw_cas_acq_rel(&lock->_word._value, &free, mine | LW_RW_FREE))) /* [L1] [L3] */
        return write_slow(lock, lw_load_rlx(&thread->current), deadline, site);
    return lw_hold_push(lw_load_rlx(&thread->cold), lock, site);
}

LW_NOINLINE int lw_rw_write_release(lw_lock *lock, struct lw_cold *cold)
{
    uint64_t mine = lw_load_rlx(&cold->id) << LW_LOCK_OWNER_SHIFT;
    uint64_t word = lw_load_acq(&lock->_word._value); /* [G2] of transfer.c */
    lw_rwlock *rw = lw_rw_of_write(lock);

    if ((word & LW_LOCK_FACES) == 0)
        return -EINVAL;
    if (!lw_rw_is_written_by(word, mine))
        return -EPERM;
    (void)lw_owner_forget(cold, lock);
    if (lw_unlikely((word & LW_LOCK_INCONSISTENT) != 0)) { /* only the owner clears it */
        lw_rwlock_mark(lock, LW_LOCK_INCONSISTENT | LW_LOCK_DEAD);
        return 0;
    }
    while (lw_rw_needs_no_guard(word))
        if (lw_cas_acq_rel(&lock->_word._value, &word, lw_rw_without(word))) /* [L1] */
            return 0;
    word = lw_rw_take_guard(rw);
    lw_rw_settle(rw, lw_rw_without(word),
                 rw->flags == LW_RWLOCK_PREFER_WRITERS ? LW_RW_TO_WRITE : LW_RW_TO_READ);
    return 0;
}

/* The guess was wrong, or somebody else waits. */
static LW_NOINLINE int write_release_slow(lw_lock *lock, uint64_t seen)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_record *me = lw_current();
    uint64_t mine;

    if (me == NULL)
        return -EPERM;
    lw_owner_note(me);
    mine = lw_owner_noted(thread) | LW_RW_FREE;
    while ((seen & ~LW_RW_BARGING) == mine && lw_rw_needs_no_guard(seen)) {
        if (!lw_cas_acq_rel(&lock->_word._value, &seen, lw_rw_without(seen))) /* [L1] */
            continue;
        lw_owner_guess(thread, seen & LW_RW_BARGING);
        if (lw_unlikely(!lw_hold_pop(lw_load_rlx(&thread->cold), lock)))
            return lw_owner_forget(lw_load_rlx(&thread->cold), lock);
        return 0;
    }
    return lw_rw_write_release(lock, lw_record_cold(me));
}

static int write_release(lw_lock *lock)
{
    struct lw_thread *thread = lw_thread_self();
    uint64_t mine;

    if (lw_unlikely(thread == NULL || (mine = lw_load_rlx(&thread->owner)) == 0))
        return write_release_slow(lock, lw_load_rlx(&lock->_word._value));
    mine |= LW_RW_FREE;
    if (lw_unlikely(!lw_cas_acq_rel(&lock->_word._value, &mine, guessed(mine)))) /* [L1] */
        return write_release_slow(lock, mine);
    if (lw_unlikely(!lw_hold_pop(lw_load_rlx(&thread->cold), lock)))
        return lw_owner_forget(lw_load_rlx(&thread->cold), lock);
    return 0;
}

/* Somebody writes or reads, be it the caller. */
static bool write_locked(const lw_lock *lock)
{
    uint64_t word = lw_load_rlx(&lock->_word._value);

    return (word & ~LW_LOCK_FLAGS) != 0 && !(word & LW_LOCK_DEAD);
}

/* ---- read */

enum { PAUSES = 16 };

/* How the lock is without the caller, and with, as it was the last time: of a lock that many read
 * somebody else is nearly always inside, and while one core has the line nobody comes or goes.  A
 * load would wait for the locked operation before it, and ask twice for a line that others have.
 * Of a thread that has guessed nothing yet both are 0: the lock is free. */
LW_INLINE uint64_t guessed_without(const struct lw_thread *thread)
{
    return lw_load_rlx(&thread->read[0]) ^ LW_RW_FREE;
}

LW_INLINE uint64_t guessed_with(const struct lw_thread *thread)
{
    return lw_load_rlx(&thread->read[1]) ^ (LW_RW_READ | LW_RW_READER);
}

/* Free or read, neither inconsistent nor dead, and without the guard. */
LW_INLINE bool may_be_joined(uint64_t word)
{
    return ((word & ~LW_RW_BARGING) == LW_RW_FREE ||
            (word & LW_LOCK_FLAGS & ~LW_RW_BARGING) == LW_RW_READ) &&
           lw_rw_needs_no_guard(word);
}

/* What is no such word would be joined by the next reader all the same.  No lock that is read is
 * inconsistent or dead. */
LW_INLINE void guess_next(struct lw_thread *thread, uint64_t without)
{
    lw_debug_check(may_be_joined(without));
    lw_store_rlx(&thread->read[0], without ^ LW_RW_FREE);
    lw_store_rlx(&thread->read[1], lw_rw_with_reader(without) ^ (LW_RW_READ | LW_RW_READER));
}

/* Another core has the line, and comes and goes with it: for some hundred nanoseconds it may.  That
 * is less than half as dear as to take the line from each other for every operation. */
static LW_NOINLINE void stand_back(void)
{
    for (int i = 0; i < PAUSES; i++)
        lw_pause();
}

/* Without the guard: one reader more.  seen: what the word was a moment ago. */
static LW_NOINLINE bool join_readers(lw_lock *write, uint64_t seen)
{
    while (may_be_joined(seen)) {
        if (!lw_cas_acq_rel(&write->_word._value, &seen, lw_rw_with_reader(seen))) { /* [L1] */
            stand_back();
            continue;
        }
        guess_next(lw_thread_self(), seen);
        return true;
    }
    return false;
}

LW_INLINE bool join_as_guessed(struct lw_thread *thread, lw_lock *write)
{
    uint64_t seen = guessed_without(thread);

    return lw_cas_acq_rel(&write->_word._value, &seen, guessed_with(thread)) || /* [L1] */
           join_readers(write, seen);
}

/* What is shielded is to happen: there a hold is rather lost than the acquire refused. */
static int read_slow(lw_rwlock *rw, struct lw_record *me, lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    bool reads = lw_hold_shared(cold, &rw->write) != 0;
    struct lw_rw_call call = {
        .me = me, .deadline = deadline, .site = site, .face = LW_RW_TO_READ, .reads = reads};
    int err;

    if (lw_is_given(me)) /* first: it takes room, too */
        (void)lw_given_take(me);
    err = lw_hold_reserve_units(cold, 1);
    if (err < 0 && lw_load_rlx(&cold->shields) == 0)
        return err;
    err = join_as_guessed(lw_thread_self(), &rw->write) ? 0 : contend(rw, &call);
    if (err == 0)
        return lw_hold_push_as(cold, &rw->write, LW_HOLD_SHARED, site);
    lw_hold_unreserve(cold);
    return err;
}

static LW_NOINLINE int read_entering(lw_rwlock *rw, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    lw_owner_note(me);
    return read_slow(rw, me, deadline, site);
}

static int read_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site)
{
    struct lw_thread *thread = lw_thread_self();
    lw_rwlock *rw = lw_rw_of_read(lock);

    if (lw_unlikely(thread == NULL || lw_load_rlx(&thread->owner) == 0 ||
                    lw_load_rlx(&thread->budget) <= 1 ||
                    !lw_hold_has_room(lw_load_rlx(&thread->cold))))
        return read_entering(rw, deadline, site);
    (void)lw_thread_spend(thread, deadline != LW_NOW);
    if (lw_unlikely(!join_as_guessed(thread, &rw->write)))
        return read_slow(rw, lw_load_rlx(&thread->current), deadline, site);
    return lw_hold_push_as(lw_load_rlx(&thread->cold), &rw->write, LW_HOLD_SHARED, site);
}

static LW_NOINLINE int leave_slow(lw_rwlock *rw, uint64_t seen)
{
    while (lw_rw_needs_no_guard(seen)) {
        uint64_t without = lw_rw_without(seen);

        if (!lw_cas_acq_rel(&rw->write._word._value, &seen, without)) { /* [L1] */
            stand_back();
            continue;
        }
        if (lw_thread_self() != NULL) /* else it is for one that has ended */
            guess_next(lw_thread_self(), without);
        return 0;
    }
    seen = lw_rw_take_guard(rw);
    lw_rw_settle(rw, lw_rw_without(seen),
                 rw->flags == LW_RWLOCK_PREFER_READERS ? LW_RW_TO_READ : LW_RW_TO_WRITE);
    return 0;
}

/* The caller's hold is gone. */
int lw_rw_leave_readers(lw_rwlock *rw)
{
    return leave_slow(rw, lw_load_rlx(&rw->write._word._value));
}

static LW_NOINLINE int read_release_slow(lw_rwlock *rw)
{
    uint64_t word = lw_load_rlx(&rw->write._word._value);
    struct lw_record *me = lw_current();

    if ((word & LW_LOCK_FACES) == 0)
        return -EINVAL;
    if (me == NULL || !lw_rw_is_read(word) || !lw_hold_remove(lw_record_cold(me), &rw->write))
        return -EPERM;
    return lw_rw_leave_readers(rw);
}

static int read_release(lw_lock *lock)
{
    struct lw_thread *thread = lw_thread_self();
    lw_rwlock *rw = lw_rw_of_read(lock);
    uint64_t seen;

    if (lw_unlikely(thread == NULL || lw_load_rlx(&thread->owner) == 0 ||
                    !lw_hold_pop_as(lw_load_rlx(&thread->cold), &rw->write, LW_HOLD_SHARED)))
        return read_release_slow(rw);
    seen = guessed_with(thread);
    if (lw_unlikely(
            !lw_cas_acq_rel(&rw->write._word._value, &seen, guessed_without(thread)))) /* [L1] */
        return leave_slow(rw, seen);
    return 0;
}

bool lw_rw_reads(const lw_rwlock *rw)
{
    struct lw_record *me = lw_current();

    return me != NULL && lw_hold_shared(lw_record_cold(me), &rw->write) != 0;
}

/* Who waits for a lock that is read is a writer, or waits for one; it keeps readers out while the
 * lock is handed on. */
static bool read_locked(const lw_lock *lock)
{
    const lw_rwlock *rw = lw_rw_of_read(lock);
    uint64_t word = lw_load_rlx(&rw->write._word._value);

    if (!lw_rw_is_read(word))
        return write_locked(&rw->write);
    return (word & LW_LOCK_QUEUED) != 0 && rw->flags != LW_RWLOCK_PREFER_READERS &&
           lw_rw_is_handed_on(rw) && !lw_rw_reads(rw);
}

/* ---- the kinds */

static int write_acquire(lw_lock *lock, lw_nsec deadline)
{
    return write_acquire_at(lock, deadline, __builtin_return_address(0));
}

static int read_acquire(lw_lock *lock, lw_nsec deadline)
{
    return read_acquire_at(lock, deadline, __builtin_return_address(0));
}

const lw_lock_kind lw_rwlock_write_kind = {
    .name = "rwlock, to write",
    .acquire = write_acquire,
    .release = write_release,
    .locked = write_locked,
    ._self = &lw_rwlock_write_kind,
    ._acquire_at = write_acquire_at,
};

const lw_lock_kind lw_rwlock_read_kind = {
    .name = "rwlock, to read",
    .acquire = read_acquire,
    .release = read_release,
    .locked = read_locked,
    ._self = &lw_rwlock_read_kind,
    ._acquire_at = read_acquire_at,
};
