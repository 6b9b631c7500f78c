/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of simulation: tasks and plain threads that come to a lock in an
 * order that nobody promises, and a day's sleep.  See program. */
#include <latchwork.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

enum { TASKS = 6, THREADS = 2 };

static lw_mutex mutex = LW_MUTEX_INIT("order");
static int order[TASKS + THREADS], count;

static int come(void *arg)
{
    int err;

    LW_WITH(&mutex.lock, LW_FOREVER, err)
        order[count++] = (int)(intptr_t)arg;
    return err;
}

static void *come_as_thread(void *arg)
{
    return come(arg) < 0 ? arg : NULL;
}

static int root(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    pthread_t threads[THREADS];
    int err = 0;

    (void)arg;
    for (intptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, come_as_thread, (void *)(TASKS + i)) != 0)
            return -1;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (intptr_t i = 0; i < TASKS && err == 0; i++)
            err = lw_group_spawn(&group, come, (void *)i, NULL);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    return err < 0 ? err : lw_sleep(lw_in(86400 * LW_SEC));
}

int main(void)
{
    int err = lw_run(NULL, root, NULL);

    for (int i = 0; i < count; i++)
        printf("%d ", order[i]);
    printf("of %d, %s\n", count, err == 0 ? "well" : "badly");
    return err < 0;
}
