/* SPDX-License-Identifier: MIT */
/* An lw_once is something that is to be done once, by whoever comes first.  All zero is one that
 * has not been done.
 *
 *     static lw_once loaded;
 *
 *     err = lw_once_run(&loaded, load_tables, &tables, LW_FOREVER);
 *
 * All who wait are woken, in order.  What fn wrote is seen by all to whom its status was given. */
#ifndef LATCHWORK_ONCE_H
#define LATCHWORK_ONCE_H

#include <latchwork/waitable.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_once { lw_waitable wait; int _status; } lw_once;
#define LW_ONCE_INIT(name) { LW_WAITABLE_INIT_(name), 0 }

/* Run fn(arg) in the caller if nobody has; if somebody does just now, wait for it.  All get its
 * status.  One that fails (is negative) has not done it: those who wait get that status as well
 * (also an -ECANCELED: it was the one who ran fn that was cancelled, and not they), and who comes
 * next runs it again.  So does one of those who wait when a thread ends inside fn.
 * fn must not be left by a longjmp or an exception.
 * Returns fn's status; or of its own -EDEADLK: fn itself calls this.
 * Anyone.  May switch task.  Cancellation point, unless the caller is the one who runs fn. */
LW_API LW_MUST_CHECK int lw_once_run(lw_once *once, lw_fn *fn, void *arg, lw_nsec deadline);

#ifdef __cplusplus
}
#endif
#endif
