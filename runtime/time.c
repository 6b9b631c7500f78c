/* SPDX-License-Identifier: MIT */
/* The clock, and deadlines made from it. */
#include <latchwork/time.h>

#include <errno.h>

#include "runtime/os/os.h"
#include "runtime/wait.h"

/* When the library was loaded.  A positive deadline from before is a duration taken for a
 * moment. */
static int64_t loaded_at;

uint32_t lw_coarse_ms;

void lw_clock_begin(int64_t now)
{
    loaded_at = now;
    lw_coarse_ms = (uint32_t)(now / LW_MS);
}

__attribute__((constructor)) static void note_load(void)
{
    lw_clock_begin(lw_sys.now());
}

lw_nsec lw_now(void)
{
    return lw_sys.now();
}

lw_nsec lw_in(lw_nsec duration)
{
    lw_nsec moment;

    if (duration == LW_FOREVER || __builtin_add_overflow(lw_sys.now(), duration, &moment))
        return duration < 0 ? LW_NOW : LW_FOREVER;
    return moment < LW_NOW ? LW_NOW : moment;
}

int lw_timeout_error(lw_nsec deadline)
{
    return deadline > 0 && deadline < loaded_at ? -EINVAL : -ETIMEDOUT;
}

int lw_sleep(lw_nsec deadline)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    if (deadline <= LW_NOW)
        return 0;
    lw_wait_begin(me, LW_WAIT_SLEEP, NULL, NULL, deadline, __builtin_return_address(0));
    err = lw_wait_error(me, lw_wait_finish(me));
    return err == -ETIMEDOUT ? 0 : err;
}
