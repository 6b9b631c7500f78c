/* SPDX-License-Identifier: MIT */
/* What the suites of lw_rwlock share. */
#ifndef LW_TESTS_PRIMITIVES_FACES_H
#define LW_TESTS_PRIMITIVES_FACES_H

#include "tests/primitives/crowd.h"

#include "primitives/rwlock.h"

static const uint32_t modes[] = {LW_RWLOCK_PHASE_FAIR, LW_RWLOCK_PREFER_READERS,
                                 LW_RWLOCK_PREFER_WRITERS};

/* Nobody has it, nobody waits, and it is as it was made. */
static inline void assert_free(lw_rwlock *rw)
{
    cr_assert_eq(lw_load_acq(&rw->write._word._value), LW_RW_FREE);
    cr_assert_eq(lw_load_acq(&rw->read._word._value), LW_RW_READ);
    cr_assert_null(rw->write._queue);
    cr_assert_null(rw->read._queue);
    cr_assert_not(lw_locked(&rw->write));
    cr_assert_not(lw_locked(&rw->read));
}

static inline uint64_t readers_inside(const lw_rwlock *rw)
{
    uint64_t word = lw_load_acq(&rw->write._word._value);

    return lw_rw_is_read(word) ? lw_rw_readers(word) : 0;
}

static inline struct lw_cold *caller(void)
{
    return lw_record_cold(lw_current());
}

/* The caller's newest hold is of that lock and mode. */
static inline bool holds(lw_rwlock *rw, enum lw_hold_mode mode)
{
    struct lw_hold *newest;

    if (lw_load_rlx(&caller()->nheld) == 0)
        return false;
    newest = lw_hold_in(caller(), lw_hold_newest(caller()));
    return lw_hold_lock(newest) == &rw->write && lw_hold_mode(newest) == mode;
}

/* Those who wait have waited for so long that the next release hands the lock on. */
static inline void let_starve(void)
{
    lw_nsec until = lw_in(2 * LW_MS);

    while (lw_now() < until)
        continue;
}

/* The same while the caller reads it: another reader leaves, and sees it. */
static inline void let_starve_for_reader(lw_rwlock *rw)
{
    cr_assert_eq(lw_acquire(&rw->read, LW_NOW), 0);
    let_starve();
    cr_assert_eq(lw_release(&rw->read), 0);
    cr_assert_neq(lw_rw_turns(rw), 0);
    cr_assert_eq(lw_load_acq(&rw->write._word._value) & LW_LOCK_WOKEN, 0);
}

static inline int pass(void *arg)
{
    lw_lock *face = arg;
    int err = lw_acquire(face, LW_FOREVER);

    return err < 0 ? err : lw_release(face);
}

#endif
