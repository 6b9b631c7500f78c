/* SPDX-License-Identifier: MIT */
/* A hierarchical timing wheel (Varghese and Lauck, 1987) per worker, lazy at both ends.
 *
 * Level l has 256 slots of 2^(16 + 8 l) ns: 65 us, 16.8 ms, 4.3 s; what lies beyond 18 minutes is
 * in the `far` list and looked at each 18 minutes.  A node is due in the tick at or after its
 * deadline: never early.  There is one node per record.
 *
 * Lazy: a wait that ends does not touch its node (timer_node.h, with [W4]).  So a deadline on each
 * of many short waits costs a comparison, and cancelling a deadline nothing.
 *
 * Who may touch.  All timer fields of a record and the wheel they link it into are protected by the
 * guard of the wheel that timer_home names.  timer_home itself is written by the record's own task
 * only, under the guard of the wheel it names until then.  The task reads timer_when without the
 * guard. */
#include "runtime/timer.h"

#include <errno.h>
#include <latchwork/time.h>

#include "runtime/fiber.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"

#ifdef LW_SIMULATED
enum { WHEELS_MAX = 64, GUARD = 1 };
#else
enum { WHEELS_MAX = 4096, GUARD = 1 };
#endif

static struct lw_wheel *wheels[WHEELS_MAX]; /* by home - 1 */
static uint64_t wheels_guard;

int lw_wheel_init(struct lw_wheel *wheel)
{
    int err = -ENOMEM;

    lw_guard_take(&wheels_guard, GUARD);
    for (uint32_t i = 0; i < WHEELS_MAX; i++) {
        if (wheels[i] == NULL) {
            wheels[i] = wheel;
            wheel->home = i + 1;
            wheel->next_due = LW_TIMER_NONE;
            err = 0;
            break;
        }
    }
    lw_guard_drop(&wheels_guard, GUARD);
    return err;
}

void lw_wheel_fini(struct lw_wheel *wheel)
{
    if (wheel->home == 0)
        return;
    lw_guard_take(&wheels_guard, GUARD);
    wheels[wheel->home - 1] = NULL;
    lw_guard_drop(&wheels_guard, GUARD);
}

/* ---- slots; all under the wheel's guard */

static void link_into(struct lw_cold **slot, struct lw_cold *cold)
{
    cold->timer_next = *slot;
    cold->timer_prev = slot;
    if (*slot != NULL)
        (*slot)->timer_prev = &cold->timer_next;
    *slot = cold;
}

static void take_out(struct lw_wheel *wheel, struct lw_cold *cold)
{
    *cold->timer_prev = cold->timer_next;
    if (cold->timer_next != NULL)
        cold->timer_next->timer_prev = cold->timer_prev;
    cold->timer_next = NULL;
    cold->timer_prev = NULL;
    lw_store_rlx(&wheel->count, wheel->count - 1);
}

static int64_t tick_of(int64_t when)
{
    return (when >> LW_TICK_SHIFT) + ((when & ((1 << LW_TICK_SHIFT) - 1)) != 0);
}

/* In no tick before `earliest`, which is wheel->tick or the one after it. */
static void insert(struct lw_wheel *wheel, struct lw_cold *cold, int64_t when, int64_t earliest)
{
    int64_t tick = tick_of(when);

    if (tick < earliest)
        tick = earliest;
    if (tick > INT64_MAX >> LW_TICK_SHIFT) /* rounded up from the very last one */
        tick = INT64_MAX >> LW_TICK_SHIFT;
    lw_store_rlx(&cold->timer_when, when);
    lw_store_rlx(&wheel->count, wheel->count + 1);
    if (tick << LW_TICK_SHIFT < wheel->next_due)
        lw_store_rlx(&wheel->next_due, tick << LW_TICK_SHIFT);

    for (unsigned level = 0; level < LW_WHEEL_LEVELS; level++) {
        unsigned shift = level * LW_WHEEL_BITS;

        if ((tick >> shift) - (wheel->tick >> shift) < LW_WHEEL_SLOTS) {
            unsigned index = (unsigned)(tick >> shift) % LW_WHEEL_SLOTS;

            link_into(&wheel->slots[level][index], cold);
            wheel->used[level][index / 64] |= UINT64_C(1) << (index % 64);
            return;
        }
    }
    link_into(&wheel->far, cold);
}

/* How far from `from`, 0 to 255, the next used slot is, going round; -1: none is. */
static int next_used(const uint64_t used[LW_WHEEL_SLOTS / 64], unsigned from)
{
    for (unsigned step = 0; step <= LW_WHEEL_SLOTS / 64; step++) {
        unsigned word = (from / 64 + step) % (LW_WHEEL_SLOTS / 64);
        uint64_t bits = used[word];

        if (step == 0)
            bits &= ~UINT64_C(0) << (from % 64);
        if (step == LW_WHEEL_SLOTS / 64)
            bits &= ~(~UINT64_C(0) << (from % 64));
        if (bits != 0) {
            unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
            return (int)((index - from) % LW_WHEEL_SLOTS);
        }
    }
    return -1;
}

/* The next tick at which a slot comes up or is to be spread over the level below. */
static int64_t next_tick(const struct lw_wheel *wheel)
{
    int64_t next = INT64_MAX >> LW_TICK_SHIFT;

    for (unsigned level = 0; level < LW_WHEEL_LEVELS; level++) {
        unsigned shift = level * LW_WHEEL_BITS;
        int64_t from = (wheel->tick >> shift) + 1;
        int ahead = next_used(wheel->used[level], (unsigned)(from % LW_WHEEL_SLOTS));

        if (ahead >= 0 && (from + ahead) << shift < next)
            next = (from + ahead) << shift;
    }
    if (wheel->far != NULL) {
        unsigned shift = LW_WHEEL_LEVELS * LW_WHEEL_BITS;
        int64_t lap = ((wheel->tick >> shift) + 1) << shift;

        if (lap < next)
            next = lap;
    }
    return next;
}

static struct lw_cold *cut(struct lw_wheel *wheel, unsigned level, unsigned index)
{
    struct lw_cold *list = wheel->slots[level][index];

    wheel->slots[level][index] = NULL;
    wheel->used[level][index / 64] &= ~(UINT64_C(1) << (index % 64));
    return list;
}

static void spread(struct lw_wheel *wheel, struct lw_cold *list)
{
    while (list != NULL) {
        struct lw_cold *next = list->timer_next;

        if (next != NULL)
            __builtin_prefetch(next->timer_next);
        lw_store_rlx(&wheel->count, wheel->count - 1);
        insert(wheel, list, list->timer_when, wheel->tick);
        list = next;
    }
}

/* wheel->tick has just become a new tick: bring down what the levels above hold for it.  What is
 * due in this very tick goes into its slot, which comes up right afterwards. */
static void cascade(struct lw_wheel *wheel)
{
    int64_t tick = wheel->tick;

    if ((tick & ((INT64_C(1) << LW_WHEEL_LEVELS * LW_WHEEL_BITS) - 1)) == 0) {
        struct lw_cold *list = wheel->far;

        wheel->far = NULL;
        spread(wheel, list);
    }
    for (unsigned level = LW_WHEEL_LEVELS; level-- > 1;) {
        unsigned shift = level * LW_WHEEL_BITS;

        if ((tick & ((INT64_C(1) << shift) - 1)) == 0)
            spread(wheel, cut(wheel, level, (unsigned)(tick >> shift) % LW_WHEEL_SLOTS));
    }
}

/* ---- arming */

static struct lw_wheel *home_of(const struct lw_cold *cold)
{
    return wheels[cold->timer_home - 1];
}

static void arm(struct lw_wheel *wheel, struct lw_cold *cold, int64_t deadline)
{
    if (lw_timer_is_armed(cold, deadline)) /* [W4] */
        return;
    if (cold->timer_home != 0 && cold->timer_home != wheel->home) {
        struct lw_wheel *old = home_of(cold);

        lw_guard_take(&old->guard, GUARD);
        if (cold->timer_prev != NULL)
            take_out(old, cold);
        lw_store_rlx(&cold->timer_home, 0);
        lw_guard_drop(&old->guard, GUARD);
    }
    lw_guard_take(&wheel->guard, GUARD);
    if (cold->timer_home == 0) {
        lw_store_rlx(&cold->timer_home, wheel->home);
        cold->timer_prev = NULL;
    } else if (cold->timer_prev != NULL) {
        take_out(wheel, cold);
    }
    if (wheel->count == 0)
        wheel->tick = lw_sys.now() >> LW_TICK_SHIFT; /* it did not move while it was empty */
    insert(wheel, cold, deadline, wheel->tick + 1);
    lw_guard_drop(&wheel->guard, GUARD);
}

void lw_timer_arm(struct lw_wheel *wheel, struct lw_cold *cold, int64_t deadline)
{
    void *task = lw_apart_begin(lw_thread_self());

    lw_fiber_acquire(&cold->timer_home);
    arm(wheel, cold, deadline);
    lw_apart_end(task);
}

void lw_timer_unlink_slow(struct lw_cold *cold)
{
    void *task = lw_apart_begin(lw_thread_self());
    struct lw_wheel *wheel = home_of(cold);

    lw_guard_take(&wheel->guard, GUARD);
    if (cold->timer_prev != NULL)
        take_out(wheel, cold);
    lw_store_rlx(&cold->timer_home, 0);
    lw_guard_drop(&wheel->guard, GUARD);
    lw_fiber_release(&cold->timer_home); /* to who has the slot next */
    lw_apart_end(task);
}

/* ---- expiry */

struct expiry {
    int64_t now;
    struct lw_wake_batch batch;
    struct lw_cold *leftovers; /* by timer_next; unlinked */
    unsigned looked_at;
};

/* A node that has come up, out of the wheel: end its wait, or put it aside. */
static void expire(struct expiry *expiry, struct lw_cold *cold)
{
    bool ended;

    expiry->looked_at++;
    lw_deaf_begin();
    ended = lw_timer_expire(cold, expiry->now);
    lw_deaf_end();
    if (ended) {
        lw_wake_batch_add(&expiry->batch, lw_cold_record(cold));
        return;
    }
    cold->timer_next = expiry->leftovers;
    expiry->leftovers = cold;
}

/* Those that ended no wait: link again for the wait they are in now, if any. */
static void relink(struct lw_wheel *wheel, struct expiry *expiry)
{
    if (expiry->leftovers == NULL)
        return;
    lw_asym_heavy(); /* [W4] */
    while (expiry->leftovers != NULL) {
        struct lw_cold *cold = expiry->leftovers;
        int64_t deadline;
        bool wanted;

        lw_deaf_begin();
        wanted = lw_timer_is_wanted(cold, &deadline);
        lw_deaf_end();

        expiry->leftovers = cold->timer_next;
        cold->timer_next = NULL;
        /* A wait that found its node linked early enough counts on us: without the look it never
         * times out. */
        if (lw_recheck(wanted))
            insert(wheel, cold, deadline, wheel->tick + 1);
    }
}

unsigned lw_wheel_run(struct lw_wheel *wheel, int64_t now, unsigned max)
{
    struct expiry expiry = {.now = now};
    int64_t target = now >> LW_TICK_SHIFT, tick = 0;
    uint64_t guard = lw_load_rlx(&wheel->guard);
    bool more = false;

    if (!lw_wheel_is_due(wheel, now) || (guard & GUARD) != 0 ||
        !lw_cas_acq(&wheel->guard, &guard, guard | GUARD))
        return 0;
    while (!more && wheel->count > 0 && (tick = next_tick(wheel)) <= target) {
        unsigned index = (unsigned)tick % LW_WHEEL_SLOTS;
        struct lw_cold *cold;

        wheel->tick = tick;
        cascade(wheel);
        while ((cold = wheel->slots[0][index]) != NULL && !(more = expiry.looked_at >= max)) {
            if (cold->timer_next != NULL)
                __builtin_prefetch(&cold->timer_next->wait);
            take_out(wheel, cold);
            expire(&expiry, cold);
        }
        if (cold == NULL)
            wheel->used[0][index / 64] &= ~(UINT64_C(1) << (index % 64));
        else
            wheel->tick = tick - 1; /* come back to this slot */
    }
    if (!more && wheel->tick < target)
        wheel->tick = target;
    relink(wheel, &expiry);
    lw_store_rlx(&wheel->next_due,
                 wheel->count == 0 ? LW_TIMER_NONE : next_tick(wheel) << LW_TICK_SHIFT);
    lw_guard_drop(&wheel->guard, GUARD);
    lw_wake_batch_run_ended(&expiry.batch);
    return expiry.looked_at;
}
