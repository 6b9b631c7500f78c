/* SPDX-License-Identifier: MIT */
/* An account is locked by a task that waits for something that does not come.  The locksmith makes
 * it let go, and has the account checked by a task that owns the lock before anybody else does. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_mutex account = LW_MUTEX_INIT("account");
static lw_event held, never;
static int amount = 70;

static int withdraw(void *arg)
{
    int err;

    (void)arg;
    LW_WITH(&account.lock, LW_FOREVER, err) {
        amount -= 100;
        lw_event_set(&held);
        err = lw_event_wait(&never, LW_FOREVER);
        if (err == -EDEADLK)
            printf("made to let go\n");
    }
    return err == -EDEADLK ? 0 : err;
}

static int check(void *arg)
{
    printf("checked by its %s: ", lw_owned(&account.lock) ? "owner" : "?");
    if (amount < 0)
        amount = *(int *)arg;
    printf("%d\n", amount);
    return 0;
}

static int look(void *arg)
{
    int err;

    (void)arg;
    LW_WITH(&account.lock, LW_FOREVER, err)
        printf("one who has waited finds %d\n", amount);
    return err;
}

static lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

static int run(void *arg)
{
    int before = amount, status = 0;
    int err = lw_locksmith_recognize(&smith, &account.lock, LW_FOREVER);
    lw_group group = LW_GROUP_INIT(0);

    (void)arg;
    if (!lw_recognition_ok(err))
        return err < 0 ? err : -EINVAL;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        err = lw_group_spawn(&group, withdraw, NULL, NULL);
        if (err == 0)
            err = lw_event_wait(&held, LW_FOREVER);
        if (err == 0)
            err = lw_group_spawn(&group, look, NULL, NULL);
        if (err == 0)
            err = lw_locksmith_host(&smith, &account.lock, check, &before, &status, NULL,
                                    LW_FOREVER);
    }
    return err < 0 ? err : lw_locksmith_fini(&smith);
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     made to let go
 *     checked by its owner: 70
 *     one who has waited finds 70
 */
