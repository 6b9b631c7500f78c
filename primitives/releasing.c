/* SPDX-License-Identifier: MIT */
/* A lock that its owner lets go of for a while. */
#include <latchwork/releasing.h>

#include <errno.h>

#include "primitives/relock.h"
#include "runtime/thread.h"

int lw_releasing_enter(lw_lock *lock)
{
    int err;

    if (!lw_relock_has(lock))
        return -EPERM;
    err = lw_release(lock);
    return err > 0 ? -EPERM : err;
}

int lw_releasing_exit(lw_lock *lock)
{
    struct lw_record *me = lw_current();

    return me != NULL ? lw_relock_take(lock, me, 1, __builtin_return_address(0)) : -EPERM;
}
