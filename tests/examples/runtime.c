/* SPDX-License-Identifier: MIT */
/* A library in a program whose main() belongs to somebody else: it starts a runtime, hands it work
 * from a plain thread, waits for that as a thread waits, and stops it. */
#include <latchwork.h>
#include <stdio.h>

static int count_primes(void *arg)
{
    int below = *(const int *)arg, count = 0;

    for (int n = 2; n < below; n++) {
        int divisor = 2;

        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        count += divisor * divisor > n;
    }
    return count;
}

int main(void)
{
    lw_options options = { .name = "primes", .workers = 2, .stack_bytes = 32 * 1024 };
    lw_runtime *runtime;
    lw_task task;
    int below = 1000, count = 0, err = lw_start(&runtime, &options);

    if (err < 0)
        return 1;
    err = lw_spawn(&task, count_primes, &below, NULL);
    if (err == 0)
        err = lw_join(task, &count, LW_FOREVER);
    printf("%d primes below %d\n", count, below);
    printf("%d tasks are left\n", lw_stop(runtime, lw_in(60 * LW_SEC)));
    return err < 0;
}

/* It prints
 *
 *     168 primes below 1000
 *     0 tasks are left
 */
