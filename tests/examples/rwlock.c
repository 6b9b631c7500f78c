/* SPDX-License-Identifier: MIT */
/* A cache that many tasks read at once.  One that does not find its key upgrades, without a gap in
 * which another could add the same key, unless another does just that: then it looks again. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

enum { KEYS = 4 };

static lw_rwlock cache = LW_RWLOCK_INIT("cache", LW_RWLOCK_PHASE_FAIR);
static long squares[KEYS];
static int computed;

/* With the cache read; it is still read afterwards, also after an error. */
static int fill(long key)
{
    int err = lw_rwlock_upgrade(&cache, LW_FOREVER);

    if (err < 0)
        return err;
    squares[key] = key * key;
    computed++;
    return lw_rwlock_downgrade(&cache);
}

static int look_up(long key, long *square)
{
    int err;

    do
        LW_WITH(&cache.read, LW_FOREVER, err) {
            if (squares[key] == 0)
                err = fill(key); /* -EDEADLK: let go, so that the other can */
            *square = squares[key];
        }
    while (err == -EDEADLK);
    return err;
}

static int reader(void *arg)
{
    long square = 0, sum = 0;
    int err = 0;

    for (long key = 1; key < KEYS && err == 0; key++) {
        err = look_up(key, &square);
        sum += square;
    }
    *(long *)arg = sum;
    return err;
}

static int run(void *arg)
{
    lw_group readers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    long sums[5] = { 0 };
    int err;

    (void)arg;
    LW_SCOPE(&readers.scope, LW_FOREVER, err)
        for (int i = 0; i < 5 && err == 0; i++)
            err = lw_group_spawn(&readers, reader, &sums[i], NULL);
    for (int i = 0; i < 5; i++)
        printf("%ld ", sums[i]);
    printf("of %d squares computed\n", computed);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     14 14 14 14 14 of 3 squares computed
 */
