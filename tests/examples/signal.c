/* SPDX-License-Identifier: MIT */
/* A daemon that reloads at SIGHUP and ends at SIGTERM: a task waits for both, as for anything else,
 * and does what no signal handler may. */
#include <latchwork.h>
#include <signal.h>
#include <stdio.h>

static int serve(void *arg)
{
    static const int numbers[] = { SIGHUP, SIGTERM };
    int number;

    (void)arg;
    if (lw_signal_wait(numbers, 2, LW_NOW) >= 0) /* from here on they come here only */
        return -1;
    raise(SIGHUP); /* as another process would */
    while ((number = lw_signal_wait(numbers, 2, LW_FOREVER)) == SIGHUP) {
        printf("reloaded\n");
        raise(SIGTERM);
    }
    printf("%s\n", number == SIGTERM ? "ended" : "?");
    return number < 0 ? number : 0;
}

int main(void) { return lw_run(NULL, serve, NULL) < 0; }

/* It prints
 *
 *     reloaded
 *     ended
 */
