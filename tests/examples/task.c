/* SPDX-License-Identifier: MIT */
/* fib(15), with a task for one half of each step: its status is the value that it has found, and
 * a join takes it. */
#include <latchwork.h>
#include <stdio.h>

static int fib(void *arg)
{
    int n = *(const int *)arg, less = n - 1, least = n - 2, left, right, err;
    lw_task task;

    if (n < 2)
        return n;
    err = lw_spawn(&task, fib, &less, NULL);
    if (err < 0)
        return err;
    right = fib(&least);
    err = lw_join(task, &left, LW_FOREVER);
    if (err < 0)
        return err;
    return left < 0 ? left : right < 0 ? right : left + right;
}

int main(void)
{
    int n = 15;

    printf("fib(%d) is %d\n", n, lw_run(NULL, fib, &n));
    return 0;
}

/* It prints
 *
 *     fib(15) is 610
 */
