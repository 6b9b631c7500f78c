/* SPDX-License-Identifier: MIT */
/* Two licences for a program, and four who wait for one: those with a deadline tomorrow go before
 * those who try it out, and of each whoever came first. */
#include <latchwork.h>
#include <stdatomic.h>
#include <stdio.h>

enum { URGENT = -1, TRYING = 1 };

static lw_priority_semaphore licences = LW_PRIORITY_SEMAPHORE_INIT("licences", 2);
static atomic_int waiting;

struct user {
    const char *name;
    int priority;
};

static int use(void *arg)
{
    const struct user *user = arg;
    int err;

    atomic_fetch_add(&waiting, 1);
    err = lw_priority_semaphore_acquire(&licences, user->priority, LW_FOREVER);
    if (err == 0) {
        printf("%s\n", user->name);
        err = lw_priority_semaphore_release(&licences, LW_STRICT);
    }
    return err;
}

static int office(void *arg)
{
    static struct user users[] = {
        { "a student", TRYING }, { "Ada", URGENT }, { "a visitor", TRYING }, { "Grace", URGENT },
    };
    lw_group group = LW_GROUP_INIT(0);
    int err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (int i = 0; i < 2 && err == 0; i++) /* both are taken, so that they queue up */
            err = lw_priority_semaphore_acquire(&licences, 0, LW_FOREVER);
        for (int i = 0; i < 4 && err == 0; i++) {
            err = lw_group_spawn(&group, use, &users[i], NULL);
            while (err == 0 && atomic_load(&waiting) <= i)
                err = lw_sleep(lw_in(1 * LW_MS));
        }
        if (err == 0)
            err = lw_priority_semaphore_release(&licences, LW_STRICT);
    }
    return err;
}

/* One worker: between its word that it waits and the wait itself no other task runs. */
int main(void) { return lw_run(&(lw_options){ .workers = 1 }, office, NULL) < 0; }

/* It prints
 *
 *     Ada
 *     Grace
 *     a student
 *     a visitor
 */
