/* SPDX-License-Identifier: MIT */
/* A kind of lock of one's own: a mutex that counts how often it was taken, for a report.  LW_WITH,
 * conditions and all else that take an lw_lock take it, too. */
#include <latchwork.h>
#include <stdio.h>

typedef struct counted_mutex {
    lw_mutex mutex; /* first, so that its lock is the protocol's */
    long taken;     /* guarded by it */
} counted_mutex;

static int counted_acquire(lw_lock *lock, lw_nsec deadline)
{
    counted_mutex *counted = (counted_mutex *)(void *)lock;
    int err = lw_mutex_acquire(&counted->mutex, deadline);

    if (err == 0)
        counted->taken++;
    return err;
}

static int counted_release(lw_lock *lock) { return lw_mutex_release((lw_mutex *)(void *)lock); }

static bool counted_locked(const lw_lock *lock)
{
    return lw_mutex_locked((const lw_mutex *)(const void *)lock);
}

static const lw_lock_kind counted_kind = {
    .name = "counted_mutex",
    .acquire = counted_acquire,
    .release = counted_release,
    .locked = counted_locked,
};

static counted_mutex table = { .mutex = { LW_LOCK_INIT(&counted_kind, "table") } };
static long entries;

static int add(void *arg)
{
    int err;

    LW_WITH(&table.mutex.lock, LW_FOREVER, err)
        entries += *(const int *)arg;
    return err;
}

static int run(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int two = 2, err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < 50 && err == 0; i++)
            err = lw_group_spawn(&group, add, &two, NULL);
    printf("%ld entries, '%s' was taken %ld times\n", entries, table.mutex.lock.name, table.taken);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     100 entries, 'table' was taken 50 times
 */
