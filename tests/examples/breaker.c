/* SPDX-License-Identifier: MIT */
/* A service that is down is not asked any more after two failures; when half a minute has passed,
 * one call tries whether it is back.  The minutes pass on a clock of the program's own. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_breaker billing;
static lw_nsec clock_now;
static bool down = true;
static int asked;

static lw_nsec now(void) { return clock_now; }

static int ask(void *arg)
{
    asked++;
    *(int *)arg = 42;
    return down ? -ETIMEDOUT : 0;
}

static const char *call(void)
{
    int answer = 0, status = 0, err = lw_breaker_call(&billing, ask, &answer, &status);

    return err == -EHOSTDOWN ? "was not asked" : err < 0 ? "?" : status < 0 ? "failed" : "works";
}

static int run(void *arg)
{
    lw_breaker_options options = { .failures_max = 2, .reset_after = 30 * LW_SEC, .now = now };
    int err = lw_breaker_init(&billing, "billing", &options);

    (void)arg;
    if (err < 0)
        return err;
    for (int i = 0; i < 4; i++)
        printf("it %s\n", call());
    clock_now += 31 * LW_SEC;
    down = false;
    printf("it %s\n", call());
    printf("%d calls of five reached it, it is %s\n", asked,
           lw_breaker_read(&billing) == LW_BREAKER_CLOSED ? "CLOSED" : "OPEN");
    return 0;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     it failed
 *     it failed
 *     it was not asked
 *     it was not asked
 *     it works
 *     3 calls of five reached it, it is CLOSED
 */
