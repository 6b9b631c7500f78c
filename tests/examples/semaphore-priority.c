/* SPDX-License-Identifier: MIT */
/* Two licences for a program, and five who want one: those with a deadline tomorrow go before those
 * who try it out, each in the order in which they came. */
#include <latchwork.h>
#include <stdio.h>

enum { URGENT = -1, TRYING = 1 };

static lw_priority_semaphore licences = LW_PRIORITY_SEMAPHORE_INIT("licences", 2);
static int waiting;

struct user {
    const char *name;
    int priority;
};

static int use(void *arg)
{
    const struct user *user = arg;
    int err;

    waiting++;
    err = lw_priority_semaphore_acquire(&licences, user->priority, LW_FOREVER);
    if (err == 0)
        printf("%s\n", user->name);
    return err;
}

static int office(void *arg)
{
    static struct user users[] = {
        { "a student", TRYING }, { "Ada", URGENT }, { "a visitor", TRYING }, { "Grace", URGENT },
    };
    int err = 0, count = (int)(sizeof users / sizeof *users);

    (void)arg;
    for (int i = 0; i < 2 && err == 0; i++) /* both are taken */
        err = lw_priority_semaphore_acquire(&licences, 0, LW_FOREVER);
    for (int i = 0; i < count && err == 0; i++) {
        err = lw_spawn(NULL, use, &users[i], NULL);
        while (err == 0 && waiting <= i)
            err = lw_sleep(lw_in(1 * LW_MS));
    }
    for (int i = 0; i < count && err == 0; i++) {
        err = lw_priority_semaphore_release(&licences, 0);
        if (err == 0)
            err = lw_sleep(lw_in(1 * LW_MS));
    }
    return err;
}

/* With one worker all tasks take turns on one thread, and `waiting` needs no lock. */
int main(void) { return lw_run(&(lw_options){ .workers = 1 }, office, NULL) < 0; }

/* It prints
 *
 *     Ada
 *     Grace
 *     a student
 *     a visitor
 */
