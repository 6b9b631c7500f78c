/* SPDX-License-Identifier: MIT */
/* A table that is loaded by whoever needs it first; the others wait for that.  The first attempt
 * fails, which does not count: the next one who comes tries again. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_once loaded = LW_ONCE_INIT("table");
static int attempts, table[10];

static int load(void *arg)
{
    (void)arg;
    if (++attempts == 1)
        return -EIO;
    for (int i = 0; i < 10; i++)
        table[i] = i * i;
    return lw_sleep(lw_in(1 * LW_MS)); /* loading takes time, in which others come */
}

static int look_up(void *arg)
{
    int *key = arg, err = lw_once_run(&loaded, load, NULL, LW_FOREVER);

    if (err == 0)
        *key = table[*key];
    return err;
}

static int run(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int keys[] = { 3, 4, 5, 6 }, err;

    (void)arg;
    if (lw_once_run(&loaded, load, NULL, LW_FOREVER) == -EIO)
        printf("not loaded\n");
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < 4 && err == 0; i++)
            err = lw_group_spawn(&group, look_up, &keys[i], NULL);
    printf("%d %d %d %d, after %d attempts\n", keys[0], keys[1], keys[2], keys[3], attempts);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     not loaded
 *     9 16 25 36, after 2 attempts
 */
