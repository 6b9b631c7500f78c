/* SPDX-License-Identifier: MIT */
/* One task serves two queues, the urgent one and the other, and an event that tells it to stop; it
 * waits for all three at once, and each item is taken exactly once. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static int urgent_items[8], other_items[8];
static lw_channel urgent = LW_CHANNEL_INIT("urgent", urgent_items);
static lw_channel other = LW_CHANNEL_INIT("other", other_items);
static lw_event stop = LW_EVENT_INIT("stop");
static int served[2];

static int serve(void *arg)
{
    int item = 0;

    (void)arg;
    for (;;) {
        lw_arm arms[] = {
            lw_arm_receive(&urgent, &item),
            lw_arm_receive(&other, &item),
            lw_arm_event(&stop, NULL),
        };
        int which = lw_select(arms, 3, LW_FOREVER);

        if (which < 0 || which == 2)
            return which < 0 ? which : 0;
        served[which] += item;
    }
}

static int run(void *arg)
{
    lw_arm soon[1] = { lw_arm_event(&stop, NULL) };
    lw_task server;
    int item, err = lw_spawn(&server, serve, arg, NULL);

    if (err == 0 && lw_select(soon, 1, lw_in(1 * LW_MS)) == -ETIMEDOUT)
        printf("not stopped yet\n");
    for (item = 1; item <= 10 && err == 0; item++)
        err = lw_channel_send(item % 2 == 0 ? &urgent : &other, &item, LW_FOREVER);
    while (err == 0 && lw_channel_count(&urgent) + lw_channel_count(&other) > 0)
        err = lw_sleep(lw_in(1 * LW_MS));
    lw_event_set(&stop);
    if (err == 0)
        err = lw_join(server, NULL, LW_FOREVER);
    printf("urgent %d, other %d\n", served[0], served[1]);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     not stopped yet
 *     urgent 30, other 25
 */
