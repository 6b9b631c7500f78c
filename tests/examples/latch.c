/* SPDX-License-Identifier: MIT */
/* A server answers only when its four parts are up: each counts the latch down once, and whoever
 * needs them all waits for zero. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_latch started = LW_LATCH_INIT("started", 4);
static int ready[4];

static int start(void *arg)
{
    *(int *)arg = 1;
    return lw_latch_count_down(&started, 1);
}

static int serve(void *arg)
{
    lw_group parts = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    (void)arg;
    if (lw_latch_wait(&started, LW_NOW) == -ETIMEDOUT)
        printf("%d parts to wait for\n", (int)lw_latch_count(&started));
    LW_SCOPE(&parts.scope, LW_FOREVER, err) {
        for (int i = 0; i < 4 && err == 0; i++)
            err = lw_group_spawn(&parts, start, &ready[i], NULL);
        if (err == 0)
            err = lw_latch_wait(&started, lw_in(60 * LW_SEC));
        printf("%d are up\n", ready[0] + ready[1] + ready[2] + ready[3]);
    }
    return err;
}

int main(void) { return lw_run(NULL, serve, NULL) < 0; }

/* It prints
 *
 *     4 parts to wait for
 *     4 are up
 */
