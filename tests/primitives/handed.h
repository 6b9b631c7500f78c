/* SPDX-License-Identifier: MIT */
/* What the suites of the locks that are handed on share. */
#ifndef LW_TESTS_PRIMITIVES_HANDED_H
#define LW_TESTS_PRIMITIVES_HANDED_H

#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

/* Nobody owns it, nobody waits, and it is as it was made. */
static inline void assert_free(lw_lock *lock)
{
    cr_assert_eq(lw_load_acq(&lock->_word._value) & ~LW_LOCK_SORT, 0);
    cr_assert_null(lock->_queue);
    cr_assert_eq(lock->_number, 0);
    cr_assert_not(lw_locked(lock));
    cr_assert_eq(lw_owner(lock).id, 0);
}

static inline uint32_t holds_of_caller(void)
{
    return lw_record_cold(lw_current())->nheld;
}

static inline int acquire_and_release(void *arg)
{
    lw_lock *lock = arg;
    int err = lw_acquire(lock, LW_FOREVER);

    return err < 0 ? err : lw_release(lock);
}

/* A line of waiters: who came when, and who was inside when. */
struct line {
    lw_lock *lock;
    int order[16], count; /* guarded by the lock */
};

struct place {
    struct line *line;
    int number, priority;
};

static inline int take_turn(void *arg)
{
    struct place *place = arg;
    int err = lw_acquire(place->line->lock, LW_FOREVER);

    if (err < 0)
        return err;
    place->line->order[place->line->count++] = place->number;
    return lw_release(place->line->lock);
}

static inline lw_task queue_up(struct place *place)
{
    lw_task_options options = {.priority = place->priority};
    lw_task task;

    cr_assert_eq(lw_spawn(&task, take_turn, place, &options), 0);
    AWAIT(is_waiting(task));
    return task;
}

#endif
