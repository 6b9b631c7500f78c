/* SPDX-License-Identifier: MIT */
/* Ten tellers pay into one till; a mutex keeps each payment whole.
 * The manager, who is in a hurry, gives up when somebody else has the till for too long. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static struct {
    lw_mutex mutex;
    long cents, payments;
} till = { .mutex = LW_MUTEX_INIT("till") };

static int teller(void *arg)
{
    int err = 0;

    (void)arg;
    for (int i = 0; i < 100 && err == 0; i++)
        LW_WITH(&till.mutex.lock, LW_FOREVER, err) {
            till.cents += 250;
            till.payments++;
        }
    return err;
}

static int manager(void *arg)
{
    int err = lw_mutex_acquire(&till.mutex, lw_in(10 * LW_MS));

    (void)arg;
    if (err == 0)
        err = lw_mutex_release(&till.mutex);
    return err;
}

static int shop(void *arg)
{
    lw_group tellers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    lw_task hasty;
    int err, status = 0;

    LW_SCOPE(&tellers.scope, LW_FOREVER, err)
        for (int i = 0; i < 10 && err == 0; i++)
            err = lw_group_spawn(&tellers, teller, arg, NULL);
    printf("%ld payments, %ld cents\n", till.payments, till.cents);

    if (err == 0)
        LW_WITH(&till.mutex.lock, LW_FOREVER, err) {
            err = lw_spawn(&hasty, manager, NULL, NULL);
            if (err == 0)
                err = lw_join(hasty, &status, LW_FOREVER);
        }
    printf("the manager %s\n", status == -ETIMEDOUT ? "gave up" : "had the till");
    return err;
}

int main(void) { return lw_run(NULL, shop, NULL) < 0; }

/* It prints
 *
 *     1000 payments, 250000 cents
 *     the manager gave up
 */
