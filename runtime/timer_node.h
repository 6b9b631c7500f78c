/* SPDX-License-Identifier: MIT */
/* Lazy timers: how the one node of a record and the wait there is now find each other.
 *
 * A wait that ends does not touch its node.  The next wait of the task does nothing if the node is
 * linked at an earlier or equal time; when it comes up, it is compared with the wait there is then,
 * and linked again or dropped.
 *
 * [W4] The task publishes its wait, light fence, reads timer_when (linked early enough?); the
 *      expiry writes timer_when = NONE, heavy fence, reads the wait once more.  So either the task
 *      sees that it must link, or the expiry sees the new wait and links for it.  The heavy fence
 *      is paid only for nodes that do not end a wait at once.
 *
 * Header-only, without system calls: tests/models runs these very lines.  The wheels are in
 * timer.c. */
#ifndef LW_RUNTIME_TIMER_NODE_H
#define LW_RUNTIME_TIMER_NODE_H

#include "runtime/wait_word.h"

#define LW_TIMER_NONE INT64_MAX

/* The task, after it has published its wait and fenced: its node comes up early enough. */
LW_INLINE bool lw_timer_is_armed(const struct lw_cold *cold, int64_t deadline)
{
    return lw_load_rlx(&cold->timer_home) != 0 &&
           lw_load_rlx(&cold->timer_when) <= deadline; /* [W4] */
}

/* A node that has come up, out of its wheel, whose guard the caller has.  True: it has ended the
 * wait, and the caller makes the task runnable.  Else lw_timer_is_wanted() is to be asked, after a
 * heavy fence. */
LW_INLINE bool lw_timer_expire(struct lw_cold *cold, int64_t now)
{
    uint64_t seen = lw_load_acq(&cold->wait); /* [W1] */

    lw_store_rlx(&cold->timer_when, LW_TIMER_NONE); /* [W4] */
    if (lw_load_rlx(&cold->deadline) > now)
        return false;
    if (lw_unlikely(lw_wait_is_claimed(seen))) {
        (void)lw_wait_mark(cold, seen, LW_TIMEOUT_PENDING); /* else it is looked at again soon */
        return false;
    }
    return lw_wait_can_end(seen) && lw_wait_end_word(cold, seen, LW_TIMEOUT);
}

/* The wait there is now relies on the node: it is to be linked again, for *deadline. */
LW_INLINE bool lw_timer_is_wanted(const struct lw_cold *cold, int64_t *deadline)
{
    uint64_t phase = lw_load_acq(&cold->wait) & LW_PHASE_MASK; /* [W1] [W4] */

    *deadline = lw_load_rlx(&cold->deadline);
    return phase >= LW_PHASE_ARMED && phase <= LW_PHASE_CLAIMED && *deadline != LW_FOREVER;
}

#endif
