/* SPDX-License-Identifier: MIT */
/* A mailer that may send five at once, and then one each 20 ms.  Newsletters are sent if there is
 * room for them at once; an alarm waits for its turn. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_rate_limit mails;

static int run(void *arg)
{
    int sent = 0, left_out = 0, err;
    lw_nsec begin;

    (void)arg;
    err = lw_rate_limit_init(&mails, "mails", 50.0, 5.0, 0);
    for (int i = 0; i < 5 && err == 0; i++, sent++)
        err = lw_rate_limit_acquire(&mails, 1.0, LW_NOW);
    if (err < 0)
        return err;

    begin = lw_now();
    err = lw_rate_limit_acquire(&mails, 2.0, LW_FOREVER); /* two alarms */
    printf("%d at once, then %s\n", sent,
           lw_now() - begin > 20 * LW_MS ? "the alarms wait" : "the alarms at once");

    if (err == 0)
        err = lw_rate_limit_set_rate(&mails, 0.0); /* from now on nothing comes by itself */
    for (int i = 0; i < 3 && err == 0; i++)
        if (lw_rate_limit_acquire(&mails, 1.0, LW_NOW) == -ETIMEDOUT)
            left_out++;
    printf("%s newsletters are left out\n", left_out >= 2 ? "some" : "no");
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     5 at once, then the alarms wait
 *     some newsletters are left out
 */
