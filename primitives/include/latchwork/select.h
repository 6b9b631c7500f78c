/* SPDX-License-Identifier: MIT */
/* lw_select() waits for several things at once, until one of them happens: that one has had its
 * effect, once, and the others have had none.
 *
 *     lw_arm arms[] = {
 *         lw_arm_receive(&requests, &request),
 *         lw_arm_event(&stop, NULL),
 *         lw_arm_poll(fd, POLLIN),
 *     };
 *
 *     switch (lw_select(arms, 3, lw_in(1 * LW_SEC))) {
 *     case 0:                                   // arms[0].result is what the receive gave
 *         return arms[0].result < 0 ? arms[0].result : serve(&request);
 *     ...
 *     }
 *
 * An arm happens when its call would return, with 0 or with an error: a receive from a channel that
 * was closed happens with -EPIPE.  Each arm waits in line with those who wait in calls, and is
 * served in its turn; also a lock is handed to it, as a mutex otherwise is only to one who has
 * waited for long.  A descriptor that was ready and is not any more, and an awaitable whose poll
 * says "not yet" after its event was set, let all arms of a task begin at the end of their lines.
 * If several can happen at once, one of them is drawn, each as likely.
 *
 * To make an arm does nothing yet: anyone, never switches. */
#ifndef LATCHWORK_SELECT_H
#define LATCHWORK_SELECT_H

#include <latchwork/channel.h>
#include <latchwork/event.h>
#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_awaitable lw_awaitable;

/* What a program can let others wait for, in lw_await() or as an arm. */
typedef struct lw_awaitable_kind {
    const char *name;
    /* Try once: 0, and what it has given is in *value; -EAGAIN: not yet; or its error.  May not
     * wait.  It is called by whoever waits, several may at once. */
    int (*poll)(lw_awaitable *awaitable, void *value);
    /* An event that is set when poll is worth trying.  A poll that gives -EAGAIN leaves it cleared,
     * having cleared it before it looked; one that gives something leaves it set while there is
     * more: others may have found nothing just before, and not wait yet. */
    lw_event *(*changed)(lw_awaitable *awaitable);
} lw_awaitable_kind;

/* The first member of what can be awaited. */
struct lw_awaitable { const lw_awaitable_kind *kind; };

/* One of the things to wait for, made by a function below; the objects and the memory it is given
 * have to stay until the select is over.  All zero: it never happens. */
typedef struct lw_arm {
    int result; /* of the arm that happened: what its call would have returned */
    int _operation;
    void *_object;
    void *_value;
    int64_t _number;
    uint64_t _wait[16];
} lw_arm;

/* A copy of *item was sent. */
LW_API lw_arm lw_arm_send(lw_channel *channel, const void *item);

/* The oldest item was received into *item. */
LW_API lw_arm lw_arm_receive(lw_channel *channel, void *item);

/* The event is set; *value is its value then, unless value is NULL. */
LW_API lw_arm lw_arm_event(lw_event *event, void **value);

/* The task has ended, and is joined; status may be NULL. */
LW_API lw_arm lw_arm_join(lw_task task, int *status);

/* The caller has acquired the lock.  Its kind is the library's own, but no lw_rate_limit; of
 * another the result is -EINVAL, when it would have to wait. */
LW_API lw_arm lw_arm_acquire(lw_lock *lock);

/* The descriptor is ready for one of these events; result: the ready ones.  A plain thread that
 * waits looks at it every 10 ms. */
LW_API lw_arm lw_arm_poll(int fd, short events);

/* The awaitable's poll has given something, in *value and as the result. */
LW_API lw_arm lw_arm_await(lw_awaitable *awaitable, void *value);

/* Wait until one of the arms happens.
 * Returns its index; -ETIMEDOUT, with LW_NOW when none can happen now, -ECANCELED, -EDEADLK: none
 * has happened.  Without arms it is a sleep, and gives -ETIMEDOUT at its end.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_select(lw_arm *arms, size_t count, lw_nsec deadline);

/* Wait for one awaitable; what its poll gives at last is in *value.
 * Returns what that poll returned.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_await(lw_awaitable *awaitable, void *value, lw_nsec deadline);

#ifdef __cplusplus
}
#endif
#endif
