/* SPDX-License-Identifier: MIT */
/* Jobs take a slot each, and an operator changes how many there are while the jobs run: to none,
 * which is a pause, and up again.  Only who has a slot can give it back. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>
#include <string.h>

static lw_bounded_semaphore slots = LW_BOUNDED_SEMAPHORE_INIT("slots", 2);

static int job(void *arg)
{
    int err;

    LW_WITH(&slots.lock, LW_FOREVER, err)
        *(int *)arg = 1;
    return err;
}

static int operate(void *arg)
{
    lw_task task;
    int done = 0, err;

    (void)arg;
    err = lw_bounded_semaphore_set_bound(&slots, 0);
    if (err == 0)
        err = lw_spawn(&task, job, &done, NULL);
    if (err < 0)
        return err;

    err = lw_join(task, NULL, lw_in(5 * LW_MS));
    printf("paused: %s, done %d\n", err == -ETIMEDOUT ? "it waits" : strerror(-err), done);

    err = lw_bounded_semaphore_set_bound(&slots, 4);
    if (err == 0)
        err = lw_join(task, NULL, LW_FOREVER);
    printf("going on: done %d\n", done);

    if (lw_bounded_semaphore_release(&slots, 1) == -EPERM)
        printf("none of the %d slots is the operator's\n", (int)lw_bounded_semaphore_bound(&slots));
    return err;
}

int main(void) { return lw_run(NULL, operate, NULL) < 0; }

/* It prints
 *
 *     paused: it waits, done 0
 *     going on: done 1
 *     none of the 4 slots is the operator's
 */
