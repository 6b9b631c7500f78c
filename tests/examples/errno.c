/* SPDX-License-Identifier: MIT */
/* errno of a task is its own, also after it went on, on another thread perhaps: the header that
 * makes it so is included last. */
#include <latchwork.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <latchwork/errno.h>

static int parse(void *arg)
{
    const char *number = arg;

    errno = 0;
    (void)strtol(number, NULL, 10);
    lw_yield(); /* others run, and fail otherwise */
    return -errno;
}

static int run(void *arg)
{
    static char fine[] = "42", large[] = "99999999999999999999";
    lw_task tasks[2];
    int statuses[2] = { 0 }, err = lw_spawn(&tasks[0], parse, fine, NULL);

    (void)arg;
    if (err == 0)
        err = lw_spawn(&tasks[1], parse, large, NULL);
    for (int i = 0; i < 2 && err == 0; i++)
        err = lw_join(tasks[i], &statuses[i], LW_FOREVER);
    printf("%s: %s\n", fine, statuses[0] == 0 ? "fine" : strerror(-statuses[0]));
    printf("%s: %s\n", large, statuses[1] == -ERANGE ? "too large" : strerror(-statuses[1]));
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     42: fine
 *     99999999999999999999: too large
 */
