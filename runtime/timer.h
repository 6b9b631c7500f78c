/* SPDX-License-Identifier: MIT */
/* Deadlines: one lazy hierarchical wheel per worker.  See timer.c. */
#ifndef LW_RUNTIME_TIMER_H
#define LW_RUNTIME_TIMER_H

#include "runtime/timer_node.h"

enum {
    LW_WHEEL_BITS = 8,
    LW_WHEEL_SLOTS = 1 << LW_WHEEL_BITS,
    LW_WHEEL_LEVELS = 3,
    LW_TICK_SHIFT = 16, /* 65,536 ns: the grid on which idle sleeps end */
};

struct lw_wheel {
    uint64_t
        guard; /* bit 0: spin guard over all that follows and over the timer line of its records */
    int64_t next_due;    /* atomic: no node is due earlier; LW_TIMER_NONE: none is linked */
    int64_t tick;        /* every node due in an earlier tick was taken out */
    uint64_t count;      /* atomic: how many are linked */
    uint64_t used[LW_WHEEL_LEVELS][LW_WHEEL_SLOTS / 64]; /* which slots are not empty */
    struct lw_cold *slots[LW_WHEEL_LEVELS][LW_WHEEL_SLOTS];
    struct lw_cold *far; /* beyond the last level */
    uint32_t home;       /* 1 + number of this wheel; what timer_home of its nodes says */
};

/* Wheels are numbered over all runtimes; -ENOMEM when there are too many. */
int lw_wheel_init(struct lw_wheel *wheel);
void lw_wheel_fini(struct lw_wheel *wheel);

/* A task, after it has published its wait: see to it that the wait is looked at when deadline
 * passes. */
void lw_timer_arm(struct lw_wheel *wheel, struct lw_cold *cold, int64_t deadline);

/* The task ends: out of whatever wheel it is in. */
void lw_timer_unlink_slow(struct lw_cold *cold);

LW_INLINE void lw_timer_unlink(struct lw_cold *cold)
{
    if (lw_unlikely(lw_load_rlx(&cold->timer_home) != 0))
        lw_timer_unlink_slow(cold);
}

/* End the waits that are due, at most `max` nodes; how many were looked at.  Does nothing while
 * another runs the same wheel. */
unsigned lw_wheel_run(struct lw_wheel *wheel, int64_t now, unsigned max);

LW_INLINE bool lw_wheel_is_due(const struct lw_wheel *wheel, int64_t now)
{
    return lw_load_rlx(&wheel->next_due) <= now;
}

#endif
