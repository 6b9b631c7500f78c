/* SPDX-License-Identifier: MIT */
/* A request that takes several steps has one deadline for all of them: what the first steps take is
 * no longer there for the last. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_event never;

static int step(lw_nsec takes, lw_nsec deadline)
{
    int err = lw_event_wait(&never, lw_in(takes) < deadline ? lw_in(takes) : deadline);

    return lw_now() < deadline && err == -ETIMEDOUT ? 0 : err;
}

static int request(void *arg)
{
    lw_nsec deadline = lw_in(100 * LW_MS);
    int steps = 0, err = 0;

    (void)arg;
    for (; err == 0; steps++)
        err = step(steps == 0 ? LW_MS : 60 * LW_SEC, deadline);
    printf("step %d of many: %s\n", steps, err == -ETIMEDOUT ? "the deadline passed" : "?");
    if (lw_sleep(deadline) == 0)
        printf("to sleep until then takes no time any more\n");
    return 0;
}

int main(void) { return lw_run(NULL, request, NULL) < 0; }

/* It prints
 *
 *     step 2 of many: the deadline passed
 *     to sleep until then takes no time any more
 */
