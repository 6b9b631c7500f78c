/* SPDX-License-Identifier: MIT */
/* A program whose breakers are all to be less patient says so once, before it makes them; those
 * that are there already stay as they are. */
#include <latchwork.h>
#include <stdio.h>

static int run(void *arg)
{
    lw_breaker before, after;
    lw_defaults defaults;
    int err = lw_breaker_init(&before, "before", NULL);

    (void)arg;
    lw_get_defaults(&defaults);
    defaults.breaker.failures_max = 1;
    defaults.breaker.reset_after = 2 * LW_SEC;
    if (err == 0)
        err = lw_set_defaults(&defaults);
    if (err == 0)
        err = lw_breaker_init(&after, "after", NULL);
    if (err == 0)
        printf("%s: %u failures, %d s\n%s: %u failure, %d s\n",
               before.name, before.options.failures_max,
               (int)(before.options.reset_after / LW_SEC),
               after.name, after.options.failures_max, (int)(after.options.reset_after / LW_SEC));
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     before: 3 failures, 30 s
 *     after: 1 failure, 2 s
 */
