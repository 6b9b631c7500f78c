/* SPDX-License-Identifier: MIT */
/* A disk serves one request at a time, and of those that wait the most important one first: what a
 * user waits for before the backup, whoever came first. */
#include <latchwork.h>
#include <stdatomic.h>
#include <stdio.h>

static lw_priority_lock disk = LW_PRIORITY_LOCK_INIT("disk");
static atomic_int asked;

struct request {
    const char *what;
    int priority; /* smaller: more important */
};

static int serve(void *arg)
{
    const struct request *request = arg;
    int err;

    atomic_fetch_add(&asked, 1);
    err = lw_priority_lock_acquire(&disk, request->priority, LW_FOREVER);
    if (err == 0) {
        printf("%s\n", request->what);
        err = lw_priority_lock_release(&disk);
    }
    return err;
}

static int run(void *arg)
{
    static struct request requests[] = { { "backup", 10 }, { "web page", 0 }, { "login", -5 } };
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        err = lw_priority_lock_acquire(&disk, 0, LW_FOREVER); /* busy, so that they queue up */
        for (int i = 0; i < 3 && err == 0; i++)
            err = lw_group_spawn(&group, serve, &requests[i], NULL);
        while (err == 0 && atomic_load(&asked) < 3)
            err = lw_sleep(lw_in(1 * LW_MS));
        (void)lw_priority_lock_release(&disk);
    }
    return err;
}

/* One worker: between its word that it asks and the wait itself no other task runs. */
int main(void) { return lw_run(&(lw_options){ .workers = 1 }, run, NULL) < 0; }

/* It prints
 *
 *     login
 *     web page
 *     backup
 */
