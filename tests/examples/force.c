/* SPDX-License-Identifier: MIT */
/* A task has a lock while it waits for a slow friend.  Somebody needs the lock: the wait ends, the
 * task looks who asks and why, puts things in order and lets go. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_mutex table = LW_MUTEX_INIT("table");
static lw_event waiting;

static int hold_the_table(void *arg)
{
    lw_force_request asked;
    int err = lw_mutex_acquire(&table, LW_FOREVER);

    (void)arg;
    if (err < 0)
        return err;
    lw_event_set(&waiting);
    err = lw_sleep(lw_in(100 * LW_SEC)); /* the friend */
    if (err == -EDEADLK && lw_force_pending(&asked)) {
        printf("asked for '%s': %s\n", asked.lock->name, (const char *)asked.info);
        err = lw_force_answer(&asked, LW_ANSWER_RELEASED, 3); /* three guests less */
    }
    (void)lw_mutex_release(&table);
    return err;
}

static void print_answer(lw_locksmith *smith, lw_lock *lock, lw_answer answer, intptr_t value)
{
    (void)smith;
    (void)lock;
    if (answer == LW_ANSWER_RELEASED)
        printf("the owner lets go, and says %d\n", (int)value);
}

static const lw_locksmith_hooks hooks = { .answer_received = print_answer };
static lw_locksmith smith = LW_LOCKSMITH_INIT(&hooks, NULL);

static int run(void *arg)
{
    static const char why[] = "there is a fire";
    lw_task owner;
    int err = lw_locksmith_recognize(&smith, &table.lock, LW_FOREVER);

    (void)arg;
    if (err > 0)
        err = lw_spawn(&owner, hold_the_table, NULL, NULL);
    if (err == 0)
        err = lw_event_wait(&waiting, LW_FOREVER);
    if (err == 0)
        err = lw_locksmith_force(&smith, &table.lock, why, LW_INFO_GIVEN, lw_in(10 * LW_SEC));
    printf("%s\n", lw_force_name(err));
    if (err >= 0)
        err = lw_join(owner, NULL, LW_FOREVER);
    return err < 0 ? err : lw_locksmith_fini(&smith);
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     asked for 'table': there is a fire
 *     the owner lets go, and says 3
 *     SUCCESS
 */
