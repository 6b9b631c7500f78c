/* SPDX-License-Identifier: MIT */
/* What a task holds, on the third line of its cold record, but for the count: the locks it owns, in
 * the order in which it took them, each with the place in the program where that was.  So the
 * detector, a report and the end of the task know it without a list of locks anywhere.
 *
 *     entry.lock   address of the lock | mode:3
 *     entry.site   call site:48 | class of the data:3 | coarse milliseconds when taken:13
 *
 * An entry of mode UNITS has the number of permits in the place of the milliseconds; of more than
 * fit there are several entries.
 *
 * Entries 0 to 2 lie in the record; those from the fourth on in a chain of chunks of type-stable
 * memory (hold.c).  Where there is no memory for a chunk the lock is granted all the same and only
 * counted in holds_lost.
 *
 * Invariants.
 * - Only the task itself writes its entries, and only while it runs; a release out of order shifts.
 *   What others hand it waits elsewhere until it takes it over (transfer.c).
 * - nheld entries are there; holds_lost more locks are owned.
 *
 * Ordering: relaxed.  Others read entries only of a task that waits, and the wait word (wait.h, W1)
 * is what publishes them. */
#ifndef LW_PRIMITIVES_HOLD_H
#define LW_PRIMITIVES_HOLD_H

#include <latchwork/lock.h>

#include "runtime/thread.h"

enum lw_hold_mode { LW_HOLD_EXCLUSIVE, LW_HOLD_SHARED, LW_HOLD_UNITS, LW_HOLD_WAKER };

enum {
    LW_HOLD_MODE_MASK = 7,
    LW_HOLD_CLASS_MASK = 7,
    LW_HOLD_CLASS_SHIFT = 48,
    LW_HOLD_TICK_SHIFT = 51, /* shifts all but 13 bits out */
};
#define LW_HOLD_UNITS_MAX 8191u /* of one entry */
#define LW_HOLD_SITE_MASK UINT64_C(0x0000ffffffffffff)

LW_INLINE lw_lock *lw_hold_lock(const struct lw_hold *hold)
{
    return (lw_lock *)(uintptr_t)(lw_load_rlx(&hold->lock) & ~(uint64_t)LW_HOLD_MODE_MASK);
}

LW_INLINE enum lw_hold_mode lw_hold_mode(const struct lw_hold *hold)
{
    return (enum lw_hold_mode)(lw_load_rlx(&hold->lock) & LW_HOLD_MODE_MASK);
}

LW_INLINE uint32_t lw_hold_units(const struct lw_hold *hold)
{
    return (uint32_t)(lw_load_rlx(&hold->site) >> LW_HOLD_TICK_SHIFT);
}

/* ticks: milliseconds, or units. */
LW_INLINE struct lw_hold lw_hold_of(const lw_lock *lock, enum lw_hold_mode mode, const void *site,
                                    uint64_t ticks)
{
    uint64_t class = lock->data & LW_HOLD_CLASS_MASK;

    return (struct lw_hold){(uint64_t)(uintptr_t)lock | mode,
                            ((uint64_t)(uintptr_t)site & LW_HOLD_SITE_MASK) |
                                class << LW_HOLD_CLASS_SHIFT | ticks << LW_HOLD_TICK_SHIFT};
}

LW_INLINE void lw_hold_fill(struct lw_hold *hold, struct lw_hold with)
{
    lw_store_rlx(&hold->lock, with.lock);
    lw_store_rlx(&hold->site, with.site);
}

/* The fourth hold and those after it.  Returns 0, the result of an acquire. */
int lw_hold_push_more(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                      const void *site);

/* Permits are never lost for want of memory: it is there before they are taken.  reserve: 0, or
 * -ENOMEM; then push, once they are the caller's, or unreserve. */
int lw_hold_reserve_units(struct lw_cold *cold, uint32_t units);
void lw_hold_unreserve(struct lw_cold *cold);
void lw_hold_push_units(struct lw_cold *cold, const lw_lock *lock, const void *site,
                        uint32_t units);

/* The caller will wake those who wait for the object.  Dropped by lw_hold_remove(). */
void lw_hold_push_waker(struct lw_cold *cold, const void *object, const void *site);

/* Of another's; false: no memory, and nothing was counted as lost. */
bool lw_hold_push_given(struct lw_cold *cold, struct lw_hold hold);

/* Memory for something that is type-stable as the chunks are, 256 bytes; NULL: none. */
void *lw_hold_chunk_take(void);
void lw_hold_chunk_give(void *chunk);

/* How many permits of that lock there are. */
uint64_t lw_hold_units_of(struct lw_cold *cold, const lw_lock *lock);

/* Drop so many permits, the newest first; false, and nothing is dropped: there are fewer. */
bool lw_hold_drop_units(struct lw_cold *cold, const lw_lock *lock, uint32_t units);

/* Drop all there are of that lock; how many. */
uint64_t lw_hold_drop_all_units(struct lw_cold *cold, const lw_lock *lock);

/* How often the lock is held with others. */
uint32_t lw_hold_shared(struct lw_cold *cold, const lw_lock *lock);

/* The newest hold of that lock, if there is one, is of that mode from now on. */
void lw_hold_turn(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                  const void *site);

LW_INLINE bool lw_hold_has_room(struct lw_cold *cold)
{
    return lw_load_rlx(&cold->nheld) < LW_HOLDS_INLINE;
}

/* The caller has just taken the lock.  Returns 0, so that an acquire can end with it. */
LW_INLINE int lw_hold_push_as(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                              const void *site)
{
    uint32_t count = lw_load_rlx(&cold->nheld);

    if (lw_unlikely(count >= LW_HOLDS_INLINE))
        return lw_hold_push_more(cold, lock, mode, site);
    lw_hold_fill(&cold->held[count], lw_hold_of(lock, mode, site, lw_load_rlx(&lw_coarse_ms)));
    lw_store_rlx(&cold->nheld, count + 1);
    return 0;
}

LW_INLINE int lw_hold_push(struct lw_cold *cold, const lw_lock *lock, const void *site)
{
    return lw_hold_push_as(cold, lock, LW_HOLD_EXCLUSIVE, site);
}

/* So many permits, at least one, are one entry, for which there is room in the record: nothing need
 * be reserved. */
LW_INLINE bool lw_hold_has_room_for_units(struct lw_cold *cold, uint32_t units)
{
    return units - 1 < LW_HOLD_UNITS_MAX && lw_hold_has_room(cold);
}

/* There is room for them, as above.  Returns 0, the result of an acquire. */
LW_INLINE int lw_hold_push_few(struct lw_cold *cold, const lw_lock *lock, const void *site,
                               uint32_t units)
{
    uint32_t count = lw_load_rlx(&cold->nheld);

    lw_hold_fill(&cold->held[count], lw_hold_of(lock, LW_HOLD_UNITS, site, units));
    lw_store_rlx(&cold->nheld, count + 1);
    return 0;
}

/* Drop the hold if it is the last one taken and lies in the record; false: lw_hold_remove(). */
LW_INLINE bool lw_hold_pop_as(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode)
{
    uint32_t last = lw_load_rlx(&cold->nheld) - 1;
    uint64_t entry = (uint64_t)(uintptr_t)lock | mode;

    if (lw_unlikely(last >= LW_HOLDS_INLINE || lw_load_rlx(&cold->held[last].lock) != entry))
        return false;
    lw_store_rlx(&cold->nheld, last);
    return true;
}

LW_INLINE bool lw_hold_pop(struct lw_cold *cold, const lw_lock *lock)
{
    return lw_hold_pop_as(cold, lock, LW_HOLD_EXCLUSIVE);
}

/* Drop so many permits if they are all of the last hold, in the record; false:
 * lw_hold_drop_units(). */
LW_INLINE bool lw_hold_pop_units(struct lw_cold *cold, const lw_lock *lock, uint32_t units)
{
    uint32_t last = lw_load_rlx(&cold->nheld) - 1;
    uint64_t entry = (uint64_t)(uintptr_t)lock | LW_HOLD_UNITS;

    if (lw_unlikely(last >= LW_HOLDS_INLINE || lw_load_rlx(&cold->held[last].lock) != entry ||
                    lw_hold_units(&cold->held[last]) != units))
        return false;
    lw_store_rlx(&cold->nheld, last);
    return true;
}

/* Drop the hold wherever it is; false: there is none, and none was lost. */
bool lw_hold_remove(struct lw_cold *cold, const lw_lock *lock);

/* For others than the task itself: a look at its holds, oldest first, and then at what it was
 * handed since, of which the caller has to find out whether they mean anything.  Begin with {cold};
 * false: there are no more. */
struct lw_hold_look {
    const struct lw_cold *cold;
    const void *chunk; /* NULL: in the record */
    uint32_t done;
};
bool lw_hold_look(struct lw_hold_look *look, struct lw_hold *hold);

/* The same: copy the oldest, `max` at most; the rest of to[] is zero.  How many. */
uint32_t lw_hold_copy(const struct lw_cold *cold, struct lw_hold *to, uint32_t max);

/* A walk over the holds, newest first: nheld steps, no more. */
struct lw_hold_place {
    void *chunk; /* NULL: in the record */
    uint32_t index;
};
struct lw_hold_place lw_hold_newest(struct lw_cold *cold); /* nheld > 0 */
struct lw_hold_place lw_hold_older(struct lw_cold *cold, struct lw_hold_place place);
struct lw_hold *lw_hold_in(struct lw_cold *cold, struct lw_hold_place place);

#endif
