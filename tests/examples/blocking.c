/* SPDX-License-Identifier: MIT */
/* Files block the thread that reads or writes them, so that is done on a helper thread: the only
 * worker goes on with other tasks meanwhile. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static int write_and_count(void *arg)
{
    FILE *file = tmpfile();
    int lines = 0;

    if (file == NULL)
        return -EIO;
    for (int i = 0; i < *(const int *)arg; i++)
        fprintf(file, "line %d\n", i);
    rewind(file);
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    return fclose(file) == 0 ? lines : -EIO;
}

static int tick(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int run(void *arg)
{
    int lines = 0, ticks = 0, count = 1000, err;
    lw_task other;

    (void)arg;
    err = lw_spawn(&other, tick, &ticks, NULL);
    if (err < 0)
        return err;
    err = lw_blocking(write_and_count, &count, &lines, lw_in(60 * LW_SEC));
    if (err == 0)
        err = lw_join(other, NULL, LW_FOREVER);
    printf("%d lines, %d tick\n", lines, ticks);
    return err;
}

int main(void) { return lw_run(&(lw_options){ .workers = 1 }, run, NULL) < 0; }

/* It prints
 *
 *     1000 lines, 1 tick
 */
