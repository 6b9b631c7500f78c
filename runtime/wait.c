/* SPDX-License-Identifier: MIT */
/* The two ends of a wait, for tasks and guests.  The protocol is at the top of wait.h. */
#include "runtime/wait.h"

#include <errno.h>

#include "runtime/os/os.h"
#include "runtime/peer.h"
#include "runtime/worker.h"

const char *const lw_wait_kind_names[LW_WAIT_KINDS] = {
    [LW_WAIT_NONE] = "nothing",
    [LW_WAIT_SLEEP] = "sleep",
    [LW_WAIT_READ] = "read",
    [LW_WAIT_WRITE] = "write",
    [LW_WAIT_JOIN] = "join",
    [LW_WAIT_GROUP] = "group",
    [LW_WAIT_FUTEX] = "futex",
    [LW_WAIT_CALL] = "blocking call",
    [LW_WAIT_SIGNAL] = "signal",
    [LW_WAIT_LOCK] = "lock",
    [LW_WAIT_UNITS] = "semaphore",
    [LW_WAIT_EVENT] = "event",
    [LW_WAIT_CONDITION] = "condition",
    [LW_WAIT_SEND] = "channel to send",
    [LW_WAIT_RECEIVE] = "channel to receive",
    [LW_WAIT_LATCH] = "latch",
    [LW_WAIT_BARRIER] = "barrier",
    [LW_WAIT_ONCE] = "once",
    [LW_WAIT_SHARED] = "lock to read",
    [LW_WAIT_UPGRADE] = "lock to write as well",
    [LW_WAIT_SELECT] = "select",
    [LW_WAIT_TOKENS] = "rate limit",
};

int lw_wait_error(const struct lw_record *me, enum lw_outcome outcome)
{
    switch (outcome) {
    case LW_GRANTED:
        return 0;
    case LW_TIMEOUT:
        return lw_timeout_error(lw_record_cold(me)->deadline);
    case LW_CANCELLED:
        return -ECANCELED;
    case LW_FORCED:
        return -EDEADLK;
    case LW_CLOSED:
        return -EPIPE;
    case LW_RETRY:
    case LW_OVERTAKE:
        return -EAGAIN;
    case LW_DEAD:
        break;
    }
    lw_panic("a task of a runtime that was stopped runs", __FILE__, __LINE__);
}

/* ---- the waiter's side */

bool (*lw_wait_watcher)(struct lw_record *me, uint64_t wait);
void (*lw_wait_gave_way)(struct lw_record *me, bool asked);
void (*lw_wait_in_vain)(void);

/* Out of the usual way, as is_cancelled(). */
static LW_NOINLINE bool is_refused_by(bool (*watcher)(struct lw_record *me, uint64_t wait),
                                      struct lw_record *me, uint64_t wait)
{
    return watcher(me, wait);
}

/* A child may wait for one that waits for its group. */
LW_INLINE bool waits_for_elders(const struct lw_record *me, const struct lw_cold *cold)
{
    unsigned kind = lw_load_rlx(&cold->kind);

    return lw_unlikely(kind == LW_WAIT_JOIN || kind == LW_WAIT_GROUP) &&
           (lw_load_rlx(&me->place) & LW_PLACE_CHILD) != 0;
}

/* Somebody may wait for the caller, and then a circle may be closed by its wait.  LW_FIRST: it put
 * itself in front of others. */
LW_INLINE bool is_refused(struct lw_record *me, const struct lw_cold *cold, uint64_t wait)
{
    bool (*watcher)(struct lw_record *, uint64_t) = lw_load_rlx(&lw_wait_watcher);

    return lw_likely(watcher != NULL) &&
           (lw_load_rlx(&cold->nheld) != 0 ||
            (lw_load_rlx(&me->ctl) & (LW_GIVEN | LW_FIRST)) != 0 || waits_for_elders(me, cold) ||
            lw_peer_is(lw_load_sc(&me->peer), LW_PEER_JOINER)) && /* [J2] [G4] of transfer.c */
           is_refused_by(watcher, me, wait);
}

/* A thread does so in any case: where no worker is awake, nobody else may be. */
static void tell_watcher(struct lw_record *me, uint64_t wait)
{
    bool (*watcher)(struct lw_record *, uint64_t) = lw_load_rlx(&lw_wait_watcher);

    if (watcher != NULL)
        (void)watcher(me, wait);
}

static void tell_in_vain(void)
{
    void (*in_vain)(void) = lw_load_rlx(&lw_wait_in_vain);

    if (in_vain != NULL)
        in_vain();
}

LW_INLINE enum lw_outcome outcome_of(uint64_t wait)
{
    lw_debug_check((wait & LW_PHASE_MASK) == LW_PHASE_ENDED);
    return (enum lw_outcome)((wait >> LW_OUTCOME_SHIFT) & 7);
}

static void take_force(struct lw_record *me)
{
    unsigned taken = lw_wait_take_force(me);

    if (taken != LW_ANSWERED && lw_wait_gave_way != NULL)
        lw_wait_gave_way(me, taken != 0);
}

/* The wait was ended from outside, or so to say: those that have done it have had their way. */
static LW_NOINLINE void take(struct lw_record *me, enum lw_outcome outcome)
{
    if (outcome == LW_CANCELLED)
        lw_deliver_more(me);
    else if (outcome == LW_FORCED)
        take_force(me);
}

/* How it has ended, by the word that says so. */
LW_INLINE enum lw_outcome over(struct lw_record *me, uint64_t wait)
{
    lw_fence_rel(); /* [W5] */
    if (lw_unlikely(outcome_of(wait) >= LW_CANCELLED))
        take(me, outcome_of(wait));
    return outcome_of(wait);
}

/* A guest sleeps on the low half of its wait word. */
LW_INLINE uint32_t *low_half(struct lw_cold *cold)
{
    return (uint32_t *)(void *)&cold->wait + LW_WAIT_LOW_HALF;
}

/* look NULL: it has nothing to look after. */
static LW_NOINLINE enum lw_outcome guest_wait(struct lw_record *me, lw_nsec every,
                                              bool (*look)(void *arg), void *arg)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint32_t *word = low_half(cold);
    lw_nsec deadline = cold->deadline, now = lw_sys.now();
    lw_nsec look_at = look != NULL ? now + every : LW_FOREVER, until;
    int saved = lw_errno_get(lw_errno_offset);
    uint64_t seen;

    /* Nobody may have kept the coarse clock: all workers may sleep. */
    lw_store_rlx(&lw_coarse_ms, (uint32_t)(now / LW_MS));
    lw_store_rlx(&cold->since, (uint32_t)(now / LW_MS));
    seen = lw_wait_block(cold);
    /* Of a thread no cancel is ever asked.  However it ends, the word says so. */
    if ((seen & LW_PHASE_MASK) == LW_PHASE_WAITING &&
        !(lw_wait_sees_cancel(me) && lw_wait_is_forced(me, seen)))
        tell_watcher(me, seen);
    for (;;) {
        seen = lw_load_acq(&cold->wait); /* [W2] */
        if ((seen & LW_PHASE_MASK) == LW_PHASE_ENDED) {
            if (outcome_of(seen) >= LW_TIMEOUT)
                tell_in_vain();
            lw_errno_put(lw_errno_offset, saved);
            return over(me, seen);
        }
        until = deadline < look_at ? deadline : look_at;
        if (!lw_wait_can_end(seen) && !lw_wait_is_claimed(seen)) {
            lw_sys.futex_wait(word, (uint32_t)seen, LW_FOREVER); /* the waker is about to say so */
        } else if (until == LW_FOREVER || (now = lw_sys.now()) < until) {
            lw_sys.futex_wait(word, (uint32_t)seen, until);
        } else if (until != deadline) {
            look_at = now + every;
            if (look(arg) && lw_wait_can_end(seen))
                (void)lw_wait_end_word(cold, seen, LW_RETRY);
        } else if (lw_wait_can_end(seen)) {
            (void)lw_wait_end_word(cold, seen, LW_TIMEOUT);
        } else if ((seen & LW_TIMEOUT_PENDING) == 0) {
            (void)lw_wait_mark(cold, seen, LW_TIMEOUT_PENDING);
        } else {
            lw_sys.futex_wait(word, (uint32_t)seen, LW_FOREVER); /* who lets it go wakes us */
        }
    }
}

/* Out of the usual way, which would save more registers. */
static LW_NOINLINE bool is_cut_short(struct lw_record *me, uint64_t wait)
{
    return lw_wait_is_cancelled(me, wait) || lw_wait_is_forced(me, wait);
}

LW_INLINE enum lw_outcome finish(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    struct lw_worker *worker = lw_thread_self()->worker;
    uint64_t wait;

    if (lw_unlikely(worker == NULL))
        return guest_wait(me, 0, NULL, NULL);
    if (lw_unlikely((lw_load_rlx(&me->place) & (LW_PLACE_CHILD | LW_PLACE_ENROLLED)) ==
                    LW_PLACE_CHILD))
        lw_group_enroll(me);

    wait = lw_wait_block(cold);
    if (lw_likely((wait & LW_PHASE_MASK) == LW_PHASE_WAITING)) {
        if (lw_wait_sees_cancel(me) && is_cut_short(me, wait))
            return over(me, lw_load_rlx(&cold->wait));
        if (cold->deadline != LW_FOREVER && cold->deadline <= lw_load_rlx(&worker->attended_at) &&
            lw_wait_end_word(cold, wait, LW_TIMEOUT)) {
            lw_fence_rel(); /* [W5] */
            return LW_TIMEOUT;
        }
        if (is_refused(me, cold, wait))
            return over(me, lw_load_rlx(&cold->wait));
        if (cold->deadline != LW_FOREVER)
            lw_timer_arm(&worker->wheel, cold, cold->deadline);
    }
    lw_park();
    return over(me, lw_load_acq(&cold->wait)); /* [W2] */
}

bool lw_wait_end_own(struct lw_record *me, enum lw_outcome outcome)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t wait;

    do {
        wait = lw_wait_own(cold);
        if (!lw_wait_can_end(wait))
            return false;
    } while (!lw_wait_end_word(cold, wait, outcome));
    lw_store_rlx(&cold->cancels, 0); /* nobody has ended it */
    lw_fence_rel();                  /* [W5] */
    return true;
}

enum lw_outcome lw_wait_finish(struct lw_record *me)
{
    return finish(me);
}

enum lw_outcome lw_wait_finish_looking(struct lw_record *me, lw_nsec every, bool (*look)(void *arg),
                                       void *arg)
{
    return guest_wait(me, every, look, arg);
}

enum lw_outcome lw_wait_finish_shielded(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    enum lw_outcome outcome = finish(me);

    lw_store_rlx(&cold->shields, (uint16_t)(cold->shields - 1));
    return outcome;
}

void lw_wait_abort(struct lw_record *me)
{
    /* A canceller, or a timer of an earlier wait, may have seen it: the one who ends it queues the
     * task, and has to be waited for. */
    if (lw_wait_take_back(lw_record_cold(me))) {
        lw_fence_rel(); /* [W5] */
        return;
    }
    lw_wait_restore(me, finish(me));
}

void lw_wait_begin_shielded(struct lw_record *me, enum lw_wait_kind kind, const void *object,
                            const char *name, lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);

    /* Before the wait is published: a canceller reads it after the wait word. */
    lw_store_rlx(&cold->shields, (uint16_t)(cold->shields + 1));
    lw_wait_begin(me, kind, object, name, deadline, site);
}

void lw_wait_yield(void)
{
    struct lw_worker *worker = lw_worker_here();

    if (worker != NULL)
        lw_store_rlx(&worker->look_at, 0); /* so many operations are time enough for a look */
    lw_yield();
    /* Also of a plain thread, and of a task that was alone. */
    lw_store_rlx(&lw_thread_self()->budget, LW_BUDGET);
}

/* ---- the other side */

/* After the outcome was stated.  The guest may be gone, and the wake one too many: its record is
 * there for ever, and who sleeps on a wait word looks again. */
static LW_NOINLINE void wake_guest(const struct lw_record *record)
{
    lw_sys.futex_wake(low_half(lw_record_cold(record)), 1);
}

/* Whose wait has just been ended; guest: as it was before that, since the record may have another
 * life by now. */
LW_INLINE void set_going(struct lw_record *record, bool guest, enum lw_wake_place place)
{
    if (lw_unlikely(guest))
        wake_guest(record);
    else
        lw_make_ready(record, place == LW_WAKE_NEXT);
}

void lw_wake(struct lw_record *record, enum lw_outcome outcome, enum lw_wake_place place)
{
    /* Once the outcome is stated, a guest's record may be a task's: what it is must be asked
     * before. */
    bool guest = lw_record_is_guest(record);

    lw_wake_state(record, outcome);
    set_going(record, guest, place);
}

bool lw_wait_end(struct lw_record *record, uint64_t seen, enum lw_outcome outcome)
{
    bool guest = lw_record_is_guest(record);

    if (!lw_wait_end_word(lw_record_cold(record), seen, outcome))
        return false;
    set_going(record, guest, LW_WAKE_TAIL);
    return true;
}

void lw_wait_disturb(struct lw_record *record, uint32_t generation)
{
    bool guest = lw_record_is_guest(record);

    lw_asym_heavy(); /* [W3] */
    if (!lw_wait_interrupt(record, generation))
        return;
    set_going(record, guest, LW_WAKE_TAIL);
}

bool lw_wait_force(struct lw_record *record, uint64_t seen, enum lw_outcome outcome)
{
    bool guest = lw_record_is_guest(record);

    if (!lw_wait_end_claimed(lw_record_cold(record), seen, outcome))
        return false;
    set_going(record, guest, LW_WAKE_TAIL);
    return true;
}

void lw_wait_let_go(struct lw_record *record, uint64_t seen)
{
    bool guest = lw_record_is_guest(record);
    bool ended = lw_wait_unclaim(record, seen);

    if (lw_unlikely(guest)) /* it may sleep for as long as it is claimed */
        wake_guest(record);
    else if (ended)
        lw_make_ready(record, false);
}

void lw_wake_batch_run(struct lw_wake_batch *batch, enum lw_outcome outcome)
{
    /* A guest may reuse its record the moment its outcome is stated: it is woken by itself, first
     * unlinked.  Tasks stay where they are until they are queued. */
    struct lw_wake_batch tasks = {0};
    struct lw_record *next;

    for (struct lw_record *record = batch->first; record != NULL; record = next) {
        next = lw_load_rlx(&record->next);
        if (next != NULL)
            __builtin_prefetch(lw_record_cold(next));
        if (lw_unlikely(lw_record_is_guest(record))) {
            lw_wake(record, outcome, LW_WAKE_TAIL);
        } else {
            lw_wake_state(record, outcome);
            lw_wake_batch_add(&tasks, record);
        }
    }
    lw_wake_batch_run_ended(&tasks);
    batch->first = batch->last = NULL;
    batch->count = 0;
}

void lw_wake_batch_run_ended(struct lw_wake_batch *batch)
{
    if (batch->first != NULL)
        lw_make_all_ready(batch->first);
}
