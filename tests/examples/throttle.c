/* SPDX-License-Identifier: MIT */
/* A crawler that spaces its requests out, asks less often while a site answers with errors, and
 * more often when it answers again. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_throttle throttle;

static int request(int status)
{
    int err;

    LW_SCOPE(&throttle.scope, LW_FOREVER, err) {
        err = status; /* what the site said: negative counts as a failure */
    } else {
        return err;
    }
    return 0;
}

static int crawl(void *arg)
{
    lw_throttle_options options = {
        .window = 4, .rate_max = 4000, .factor_down = 0.5, .factor_up = 2, .jitter = -1,
    };
    int err = lw_throttle_init(&throttle, "site", 1000, &options);

    (void)arg;
    for (int i = 0; i < 5 && err == 0; i++) /* the fifth sees a window of four */
        err = request(-EAGAIN);
    printf("it fails: %.0f requests a second\n", lw_throttle_rate(&throttle));

    lw_throttle_reset(&throttle);
    for (int i = 0; i < 9 && err == 0; i++)
        err = request(0);
    printf("it works: %.0f requests a second\n", lw_throttle_rate(&throttle));
    return err;
}

int main(void) { return lw_run(NULL, crawl, NULL) < 0; }

/* It prints
 *
 *     it fails: 500 requests a second
 *     it works: 2000 requests a second
 */
