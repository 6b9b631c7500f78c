/* SPDX-License-Identifier: MIT */
/* A warehouse whose operations lock it, and use each other: a transfer is two of them, and is seen
 * by nobody half done, since it owns the lock all the while. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_rlock lock = LW_RLOCK_INIT("warehouse");
static int shelves[2] = { 100, 0 };

static int add(int shelf, int count)
{
    int err;

    LW_WITH(&lock.lock, LW_FOREVER, err) {
        if (shelves[shelf] + count < 0)
            err = -ERANGE;
        else
            shelves[shelf] += count;
    }
    return err;
}

static int transfer(int from, int to, int count)
{
    int err;

    LW_WITH(&lock.lock, LW_FOREVER, err) { /* the lock is taken again in each add() */
        err = add(from, -count);
        if (err == 0)
            err = add(to, count);
    }
    return err;
}

static int porter(void *arg)
{
    int err = 0;

    (void)arg;
    for (int i = 0; i < 5 && err == 0; i++)
        err = transfer(0, 1, 4);
    return err;
}

static int work(void *arg)
{
    lw_group porters = LW_GROUP_INIT(0);
    int err;

    LW_SCOPE(&porters.scope, LW_FOREVER, err)
        for (int i = 0; i < 4 && err == 0; i++)
            err = lw_group_spawn(&porters, porter, arg, NULL);
    printf("shelves: %d and %d\n", shelves[0], shelves[1]);
    if (err == 0 && transfer(0, 1, 50) == -ERANGE)
        printf("no 50 are left: nothing was moved\n");
    return err;
}

int main(void) { return lw_run(NULL, work, NULL) < 0; }

/* It prints
 *
 *     shelves: 20 and 80
 *     no 50 are left: nothing was moved
 */
