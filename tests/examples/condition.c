/* SPDX-License-Identifier: MIT */
/* A stack of jobs and those who work them off.  Who finds none waits on a condition, with the lock
 * released; who adds one notifies, holding it. */
#include <latchwork.h>
#include <stdio.h>

static struct {
    lw_mutex mutex;
    lw_condition filled;
    int jobs[100], count;
    bool over;
    long done;
} stack = { .mutex = LW_MUTEX_INIT("stack"), .filled = LW_CONDITION_INIT("filled") };

static bool is_filled(void *arg)
{
    (void)arg;
    return stack.count > 0 || stack.over;
}

static int worker(void *arg)
{
    bool more = true;
    int err = 0;

    while (more && err == 0)
        LW_WITH(&stack.mutex.lock, LW_FOREVER, err) {
            err = lw_condition_wait_for(&stack.filled, &stack.mutex.lock, is_filled, arg,
                                        LW_FOREVER);
            more = err == 0 && stack.count > 0;
            if (more)
                stack.done += stack.jobs[--stack.count];
        }
    return err;
}

static int run(void *arg)
{
    lw_group workers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    LW_SCOPE(&workers.scope, LW_FOREVER, err) {
        for (int i = 0; i < 3 && err == 0; i++)
            err = lw_group_spawn(&workers, worker, arg, NULL);
        for (int i = 1; i <= 100 && err == 0; i++)
            LW_WITH(&stack.mutex.lock, LW_FOREVER, err) {
                stack.jobs[stack.count++] = i;
                (void)lw_condition_notify(&stack.filled, 1);
            }
        if (err == 0)
            LW_WITH(&stack.mutex.lock, LW_FOREVER, err) {
                stack.over = true;
                (void)lw_condition_notify(&stack.filled, LW_ALL);
            }
    }
    printf("jobs worth %ld, %d left\n", stack.done, stack.count);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     jobs worth 5050, 0 left
 */
