/* SPDX-License-Identifier: MIT */
/* The injection stack: two pushers, two takers (runtime/inject.h, inject.c).
 *
 * holds:
 * fails: -DWEAK_ACQ
 * fails: -DWEAK_STORE
 */
#include "runtime/inject.c"

#include "queue.h"

static struct lw_inject inject;

static void *pusher(void *arg)
{
    struct lw_record *record = arg;

    record->arg = record;
    lw_inject_push(&inject, record, record);
    return arg;
}

static void *taker(void *arg)
{
    struct lw_record *taken[RECORDS];
    unsigned count = lw_inject_take(&inject, taken, arg == NULL ? 1 : RECORDS);

    for (unsigned i = 0; i < count; i++)
        take(taken[i]);
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    struct lw_record *taken[RECORDS];
    unsigned count;

    begin();
    pushed = 2;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, pusher, &hot_[i]) != 0)
            abort();
    start(&threads[2], taker);
    taker(&inject);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    while ((count = lw_inject_take(&inject, taken, RECORDS)) > 0)
        for (unsigned i = 0; i < count; i++)
            take(taken[i]);
    assert(lw_inject_is_empty(&inject));
    check_all_taken();
    return 0;
}
