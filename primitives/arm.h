/* SPDX-License-Identifier: MIT */
/* What lw_select() needs of what it selects from.  An arm brings a cold record of its own (queue.h)
 * with a node that waits in the queue of its object as any other does: whoever serves that queue
 * serves it in its turn, and ends the wait of its task.
 *
 *     watch   under the object's guard: it would have to wait, and is queued: 0; it is worth trying
 *             now: ARM_TRY; or an error
 *     leave   the wait is over: out of the queue, if it is still in it; whoever waited for this one
 *             only may go on
 *     take    it was served: the rest of what an acquire does */
#ifndef LW_PRIMITIVES_ARM_H
#define LW_PRIMITIVES_ARM_H

#include <latchwork/channel.h>
#include <latchwork/event.h>

#include "primitives/lock.h"

enum { ARM_TRY = 1 };

int lw_channel_watch(lw_channel *channel, bool send, struct lw_cold *arm, struct lw_record *me);
void lw_channel_leave(lw_channel *channel, bool send, struct lw_cold *arm);

int lw_event_watch(lw_event *event, struct lw_cold *arm);
void lw_event_leave(lw_event *event, struct lw_cold *arm);

/* A lock of one of the library's kinds (arm_lock.c); -EINVAL: of another. */
int lw_lock_watch(lw_lock *lock, struct lw_cold *arm, struct lw_record *me);
void lw_lock_leave(lw_lock *lock, struct lw_cold *arm);
void lw_lock_take_over(lw_lock *lock, struct lw_record *me, const void *site);

/* Of lw_rwlock, by its faces. */
int lw_rwlock_watch(lw_lock *face, struct lw_cold *arm, struct lw_record *me);
void lw_rwlock_unwatch(lw_lock *face, struct lw_cold *arm);
void lw_rwlock_take_over(lw_lock *face, struct lw_record *me, const void *site);

#endif
