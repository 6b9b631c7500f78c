/* SPDX-License-Identifier: MIT */
/* lw_rate_limit: a bucket of tokens, and a queue of those who wait for some.
 *
 * There were _tokens at the moment _at; how many there are now follows from the rate.  So nothing
 * happens while nobody looks: no thread, no timer.  When an amount will be there is one function,
 * due_at(), and whether it is there now is asked of the same one: so what rounding does to a sum
 * never keeps a waiter from what it slept for.
 *
 * The first waiter keeps the time: it sleeps until its amount is due (its alarm) or its deadline
 * passes, and then takes its tokens itself.  The others sleep until their deadlines.  A section
 * that takes or adds tokens serves those who are due, in order; each section, at its end, sends the
 * one who is first then to look (RETRY), if its alarm is too late.  A waiter whose wait has ended
 * stays in its place until it has looked: as long as that takes the others are behind it.
 *
 * The word is GUARD and QUEUED, and COUNT and TIMED as its sort (lock.h); _number is the flags.
 * All else is read and written under the guard.
 *
 *     the first waiter          who sees to it that it looks
 *     sleeps                    its timer, at its alarm; no later than its amount is due
 *     was claimed (RETRY)       who claimed it, once it has dropped the guard
 *     its wait has ended        itself
 *
 * Invariants.
 * - Whenever GUARD is not set, the alarm of the first waiter, if it sleeps, is no later than what
 *   is due_at() for it.
 * - QUEUED exactly if the queue is not empty, whenever GUARD is not set.
 * - 0 <= _tokens <= _capacity, and _at never goes back: time is credited once.
 *
 * With a refill of the user's, which may not run under a guard, _refilling is held around each
 * section that looks at tokens: what is read before the refill is still so after it.
 *
 * [T1] section to section: GUARD dropped by a release store -> taken by CAS acquire.  A waiter that
 *      was served comes through its wait word (wait.h, W2). */
#include <latchwork/rate_limit.h>

#include <errno.h>
#include <stddef.h>

#include "primitives/defaults.h"
#include "primitives/lock.h"
#include "primitives/relock.h"
#include "runtime/fork.h"

#define IDLE (LW_LOCK_COUNT | LW_LOCK_TIMED) /* the word when nobody waits */

enum { WAIT = 1 }; /* look(): beside 0 and negative codes */

/* An acquire, on its caller's stack. */
struct waiter {
    struct lw_node node; /* not that of its record: it may wait for _refilling in between */
    struct lw_record *record;
    double tokens;
    lw_nsec deadline, alarm;
    const void *site;
    bool awake; /* whatever its record waits for, it is not the limit */
};

/* What a section found, and whom it has claimed. */
struct section {
    uint64_t word;
    lw_nsec now;
    struct lw_wake_batch served;
    bool refilling; /* has that mutex, too */
};

/* ---- the bucket; under the guard */

/* When there will be so many tokens, if nobody takes or adds any; LW_NOW: there are. */
static lw_nsec due_at(const lw_rate_limit *limit, double tokens)
{
    double missing = tokens - limit->_tokens, wait;
    lw_nsec due;

    if (missing <= 0)
        return LW_NOW;
    if (tokens > limit->_capacity || !(limit->_rate > 0))
        return LW_FOREVER;
    wait = missing / limit->_rate * (double)LW_SEC;
    if (wait >= 0x1p62) /* 146 years */
        return LW_FOREVER;
    due = (lw_nsec)wait;
    due += (double)due < wait;
    return __builtin_add_overflow(due, limit->_at, &due) ? LW_FOREVER : due;
}

static double tokens_at(const lw_rate_limit *limit, lw_nsec now)
{
    double elapsed = now > limit->_at ? (double)(now - limit->_at) * 1e-9 : 0;
    double tokens = limit->_tokens + elapsed * limit->_rate;

    return tokens < limit->_capacity ? tokens : limit->_capacity;
}

static void set_tokens(lw_rate_limit *limit, double tokens, lw_nsec now)
{
    limit->_tokens = tokens < limit->_capacity ? tokens : limit->_capacity;
    if (now > limit->_at)
        limit->_at = now;
}

/* They are due; rounding may lack a little. */
static void take(lw_rate_limit *limit, double tokens, lw_nsec now)
{
    double left = tokens_at(limit, now) - tokens;

    set_tokens(limit, left > 0 ? left : 0, now);
}

/* ---- the queue; under the guard */

static struct waiter *first_of(const lw_rate_limit *limit)
{
    return (struct waiter *)(void *)lw_queue_head(&limit->lock._queue);
}
_Static_assert(offsetof(struct waiter, node) == 0, "first_of()");

static bool is_fair(const lw_rate_limit *limit)
{
    return (limit->lock._number & LW_RATE_LIMIT_UNFAIR) == 0;
}

static void push(lw_rate_limit *limit, struct waiter *self)
{
    if (is_fair(limit))
        lw_queue_push(&limit->lock._queue, &self->node);
    else
        lw_queue_push_front(&limit->lock._queue, &self->node);
}

/* False: it is on its way here. */
static bool claim(struct waiter *waiter)
{
    return !waiter->awake && lw_wake_claim(waiter->record);
}

/* Whoever is first sleeps for too long: it is to be sent to look. */
static struct lw_record *send_first(lw_rate_limit *limit)
{
    struct waiter *first = first_of(limit);

    if (first == NULL || first->alarm <= due_at(limit, first->tokens) || !claim(first))
        return NULL;
    return first->record;
}

/* Give those their tokens that are due, in order. */
static void serve(lw_rate_limit *limit, struct section *section)
{
    struct waiter *first;

    while ((first = first_of(limit)) != NULL &&
           due_at(limit, first->tokens) <= section->now && claim(first)) {
        lw_queue_remove(&limit->lock._queue, &first->node);
        take(limit, first->tokens, section->now);
        lw_wake_batch_add(&section->served, first->record);
    }
}

/* ---- sections */

static uint64_t take_guard(lw_rate_limit *limit)
{
    return lw_guard_take(&limit->lock._word._value, LW_LOCK_GUARD); /* [T1] */
}

/* What the first invariant says. */
static bool looks_in_time(const lw_rate_limit *limit)
{
    const struct waiter *first = first_of(limit);

    return first == NULL || first->awake || first->alarm <= due_at(limit, first->tokens) ||
           !lw_wait_can_be_granted(lw_load_rlx(&lw_record_cold(first->record)->wait));
}

static void drop_guard(lw_rate_limit *limit, uint64_t word)
{
    lw_debug_check(limit->_tokens >= 0);
    lw_debug_check(limit->_tokens <= limit->_capacity);
    lw_debug_check(looks_in_time(limit));
    lw_lock_drop(&limit->lock, word); /* [T1] */
}

static bool has_refill(const lw_rate_limit *limit)
{
    return lw_unlikely(limit->refill != NULL);
}

static double refilled(const lw_rate_limit *limit, lw_nsec now)
{
    lw_nsec elapsed = now > limit->_at ? now - limit->_at : 0;
    double tokens = limit->refill(limit, limit->_tokens, elapsed);

    return tokens >= 0 ? tokens : limit->_tokens;
}

/* Of a limit with a refill the caller has _refilling. */
LW_INLINE struct section begin(lw_rate_limit *limit)
{
    struct section section = {.now = lw_now(), .refilling = has_refill(limit)};
    double tokens = section.refilling ? refilled(limit, section.now) : 0;

    section.word = take_guard(limit);
    if (section.refilling)
        set_tokens(limit, tokens, section.now);
    return section;
}

LW_INLINE void end(lw_rate_limit *limit, struct section *section)
{
    struct lw_record *sent = send_first(limit);

    drop_guard(limit, section->word);
    if (section->refilling)
        lw_mutex_release(&limit->_refilling);
    lw_wake_collected(&section->served, LW_GRANTED);
    if (sent != NULL)
        lw_wake(sent, LW_RETRY, LW_WAKE_TAIL);
}

/* It was initialised, not zeroed. */
static bool is_made(const lw_rate_limit *limit)
{
    return lw_lock_is_timed(lw_load_rlx(&limit->lock._word._value));
}

/* ---- acquire */

/* Take the tokens, or give up, or wait on: in the queue if not there yet. */
static int look(lw_rate_limit *limit, struct waiter *self, struct section *section)
{
    bool queued = self->node.next != NULL;
    bool first = queued ? first_of(limit) == self
                        : limit->lock._queue == NULL || !is_fair(limit);
    lw_nsec due = first ? due_at(limit, self->tokens) : LW_FOREVER;

    /* Without the look what was added before the guard was ours is missed. */
    if (lw_recheck(due <= section->now)) {
        lw_queue_remove(&limit->lock._queue, &self->node);
        take(limit, self->tokens, section->now);
        serve(limit, section);
        return 0;
    }
    if (self->deadline <= section->now) {
        lw_queue_remove(&limit->lock._queue, &self->node);
        return lw_timeout_error(self->deadline);
    }
    self->alarm = due < self->deadline ? due : self->deadline;
    self->awake = false;
    lw_wait_begin(self->record, LW_WAIT_TOKENS, limit, limit->lock.name, self->alarm, self->site);
    if (!queued)
        push(limit, self);
    return WAIT;
}

/* It is not going to look again. */
static int leave(lw_rate_limit *limit, struct waiter *self, int err)
{
    struct section section = {.word = take_guard(limit)};

    lw_queue_remove(&limit->lock._queue, &self->node);
    end(limit, &section);
    return err;
}

/* Get at the refill, if there is one; until then nobody takes us for a waiter that sleeps. */
static LW_NOINLINE int await_refill(lw_rate_limit *limit, struct waiter *self)
{
    uint64_t word = take_guard(limit);
    int err;

    self->awake = true;
    drop_guard(limit, word);
    err = lw_mutex_acquire_at(&limit->_refilling.lock, self->deadline, self->site);
    return err < 0 ? leave(limit, self, err) : 0;
}

static LW_NOINLINE int acquire_slow(lw_rate_limit *limit, struct lw_record *me, double tokens,
                                    lw_nsec deadline, const void *site)
{
    struct waiter self = {.record = me, .tokens = tokens, .deadline = deadline, .site = site};
    enum lw_outcome outcome;
    int err;

    if (!(tokens > 0) || !is_made(limit))
        return -EINVAL;
    do {
        struct section section;

        err = has_refill(limit) ? await_refill(limit, &self) : 0;
        if (err < 0)
            return err;
        section = begin(limit);
        err = look(limit, &self, &section);
        end(limit, &section);
        if (err <= 0)
            return err;
        outcome = lw_wait_finish(self.record);
    } while (outcome == LW_RETRY || outcome == LW_TIMEOUT);
    if (outcome == LW_GRANTED)
        return 0;
    return leave(limit, &self, lw_wait_error(self.record, outcome));
}

LW_INLINE int acquire(lw_rate_limit *limit, double tokens, lw_nsec deadline, const void *site)
{
    uint64_t idle = IDLE;
    struct lw_record *me;
    lw_nsec now;
    int err = lw_wait_enter(&me, deadline);

    if (lw_unlikely(err < 0))
        return err;
    now = lw_now();
    if (lw_likely(tokens > 0 && !has_refill(limit) &&
                  lw_cas_acq(&limit->lock._word._value, &idle, IDLE | LW_LOCK_GUARD))) { /* [T1] */
        bool enough = due_at(limit, tokens) <= now;

        if (lw_likely(enough))
            take(limit, tokens, now);
        lw_store_rel(&limit->lock._word._value, IDLE); /* [T1] */
        if (lw_likely(enough))
            return 0;
    }
    return acquire_slow(limit, me, tokens, deadline, site);
}

int lw_rate_limit_acquire(lw_rate_limit *limit, double tokens, lw_nsec deadline)
{
    return acquire(limit, tokens, deadline, __builtin_return_address(0));
}

/* ---- what anyone may do */

/* Begin a section that changes something. */
static int begin_change(lw_rate_limit *limit, struct section *section, const void *site)
{
    struct lw_record *me;
    int err = 0;

    if (!is_made(limit))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    if (has_refill(limit)) {
        if (lw_owned(&limit->_refilling.lock)) /* by its refill itself */
            return -EDEADLK;
        err = lw_wait_enter(&me, LW_NOW);
        if (err == 0)
            err = lw_relock_take(&limit->_refilling.lock, me, 1, site);
    }
    if (err == 0)
        *section = begin(limit);
    return err;
}

int lw_rate_limit_release(lw_rate_limit *limit, double tokens)
{
    struct section section;
    int err = tokens > 0 ? begin_change(limit, &section, __builtin_return_address(0)) : -EINVAL;

    if (err < 0)
        return err;
    set_tokens(limit, tokens_at(limit, section.now) + tokens, section.now);
    serve(limit, &section);
    end(limit, &section);
    return 0;
}

/* Those that are on their way to look count as newcomers. */
int lw_rate_limit_purge(lw_lock *lock)
{
    lw_rate_limit *limit = (lw_rate_limit *)(void *)lock;
    struct lw_wake_batch purged = {0};
    uint64_t word = take_guard(limit);
    struct waiter *waiter = first_of(limit), *last = limit->lock._queue, *next;
    int count;

    for (; waiter != NULL; waiter = next) {
        next = waiter != last ? (struct waiter *)(void *)waiter->node.next : NULL;
        if (!claim(waiter))
            continue;
        lw_queue_remove(&limit->lock._queue, &waiter->node);
        lw_wake_batch_add(&purged, waiter->record);
    }
    drop_guard(limit, word);
    count = (int)purged.count;
    lw_wake_collected(&purged, LW_CLOSED);
    return count;
}

static bool is_amount(double number)
{
    return number >= 0 && number <= __DBL_MAX__;
}

int lw_rate_limit_set_rate(lw_rate_limit *limit, double tokens_per_second)
{
    struct section section;
    int err = is_amount(tokens_per_second)
                  ? begin_change(limit, &section, __builtin_return_address(0))
                  : -EINVAL;

    if (err < 0)
        return err;
    set_tokens(limit, tokens_at(limit, section.now), section.now);
    limit->_rate = tokens_per_second;
    if (limit->_capacity < tokens_per_second)
        limit->_capacity = tokens_per_second;
    serve(limit, &section);
    end(limit, &section);
    return 0;
}

int lw_rate_limit_init(lw_rate_limit *limit, const char *name, double tokens_per_second,
                       double capacity, uint32_t flags)
{
    if (!is_amount(tokens_per_second) || !is_amount(capacity) ||
        (flags & ~LW_RATE_LIMIT_UNFAIR) != 0)
        return -EINVAL;
    if (!(capacity > 0))
        capacity = tokens_per_second;
    *limit = (lw_rate_limit){
        .lock = LW_LOCK_INIT_(&lw_rate_limit_kind, name, flags, IDLE),
        ._rate = tokens_per_second,
        ._capacity = capacity,
        ._tokens = capacity,
        ._default = lw_default_rate_limit_tokens(),
        ._at = lw_now(),
        ._refilling = LW_MUTEX_INIT("refill of a rate limit"),
    };
    return 0;
}

/* ---- numbers, read under the guard; in a forked child, where it may be stuck, without it */

static uint64_t begin_reading(const lw_rate_limit *limit)
{
    return lw_forked() ? 0 : take_guard((lw_rate_limit *)(uintptr_t)limit);
}

static void end_reading(const lw_rate_limit *limit, uint64_t word)
{
    if (word != 0)
        drop_guard((lw_rate_limit *)(uintptr_t)limit, word);
}

/* The moment for which the bucket knows how much there is: with a refill only that tells more. */
static lw_nsec latest(const lw_rate_limit *limit, lw_nsec now)
{
    return has_refill(limit) ? limit->_at : now;
}

static double read_number(const lw_rate_limit *limit, const double *number)
{
    uint64_t word = begin_reading(limit);
    double value = *number;

    end_reading(limit, word);
    return value;
}

double lw_rate_limit_rate(const lw_rate_limit *limit)
{
    return read_number(limit, &limit->_rate);
}

double lw_rate_limit_capacity(const lw_rate_limit *limit)
{
    return read_number(limit, &limit->_capacity);
}

double lw_rate_limit_tokens(const lw_rate_limit *limit)
{
    lw_nsec now = lw_now();
    uint64_t word = begin_reading(limit);
    double tokens = tokens_at(limit, latest(limit, now));

    end_reading(limit, word);
    return tokens;
}

bool lw_rate_limit_locked(const lw_rate_limit *limit)
{
    lw_nsec now = lw_now();
    uint64_t word = begin_reading(limit);
    bool behind = limit->lock._queue != NULL && is_fair(limit);
    bool locked = behind || due_at(limit, limit->_default) > latest(limit, now);

    end_reading(limit, word);
    return locked;
}

/* ---- as a lock: rate_limit_kind.c */

int lw_rate_limit_acquire_default(lw_lock *lock, lw_nsec deadline, const void *site)
{
    lw_rate_limit *limit = (lw_rate_limit *)(void *)lock;

    return acquire(limit, is_made(limit) ? limit->_default : 0, deadline, site);
}
