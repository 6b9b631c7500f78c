/* SPDX-License-Identifier: MIT */
/* A recorder that runs until it is asked to end: the request ends its wait, once, and what it does
 * to end well, also if it waits for that, is not cut in half. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_event started;

static int write_trailer(void)
{
    int err = lw_sleep(lw_in(1 * LW_MS)); /* a wait like any other */

    if (err == 0)
        printf("the trailer is written\n");
    return err;
}

static int record(void *arg)
{
    int err = 0, ended;

    (void)arg;
    lw_event_set(&started);
    while (err == 0)
        err = lw_sleep(lw_in(1 * LW_SEC)); /* for the next second's data */
    printf("asked to end: %s\n", err == -ECANCELED ? "yes" : "no");

    LW_SHIELD() { /* whoever asks again has to wait until it is done */
        (void)lw_cancel(lw_self());
        ended = write_trailer();
    }
    if (lw_checkpoint() == -ECANCELED)
        printf("asked again meanwhile\n");
    return ended < 0 ? ended : err;
}

static int run(void *arg)
{
    lw_task recorder;
    int status = 0, err = lw_spawn(&recorder, record, arg, NULL);

    if (err == 0)
        err = lw_event_wait(&started, LW_FOREVER);
    if (err == 0)
        err = lw_cancel(recorder);
    if (err == 0)
        err = lw_join(recorder, &status, LW_FOREVER);
    printf("its status is %s\n", status == -ECANCELED ? "-ECANCELED" : "another");
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     asked to end: yes
 *     the trailer is written
 *     asked again meanwhile
 *     its status is -ECANCELED
 */
