/* SPDX-License-Identifier: MIT */
/* Laws of the injection stack: first in, first out for each pusher; chains keep their order; each
 * record goes to exactly one taker, with many pushers and takers; it needs no memory and has no
 * capacity. */
#include "runtime/inject.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support.h"

enum { PUSHERS = 3, TAKERS = 3 };

TestSuite(inject, .init = watchdog);

static struct lw_inject inject;

static void push(struct lw_record *records, long first, long count)
{
    for (long i = 0; i < count; i++) /* youngest first: links run from the last to the first */
        records[first + i].next = i > 0 ? &records[first + i - 1] : NULL;
    lw_inject_push(&inject, &records[first + count - 1], &records[first]);
}

Test(inject, first_in_first_out_also_within_chains)
{
    struct lw_record records[100], *taken[7];
    long out = 0;
    unsigned count;

    cr_assert(lw_inject_is_empty(&inject));
    cr_assert_eq(lw_inject_take(&inject, taken, 7), 0);
    push(records, 0, 1);
    push(records, 1, 40);
    cr_assert_not(lw_inject_is_empty(&inject));
    cr_assert_eq(lw_inject_take(&inject, taken, 1), 1);
    cr_assert_eq(taken[0], &records[out++]);
    push(records, 41, 2);
    push(records, 43, 57); /* behind what is left of the first ones */
    while ((count = lw_inject_take(&inject, taken, 7)) > 0)
        for (unsigned i = 0; i < count; i++)
            cr_assert_eq(taken[i], &records[out++]);
    cr_assert_eq(out, 100);
    cr_assert(lw_inject_is_empty(&inject));
}

Test(inject, takes_no_more_than_asked)
{
    struct lw_record records[10], *taken[10] = {0};

    push(records, 0, 10);
    cr_assert_eq(lw_inject_take(&inject, taken, 0), 0);
    cr_assert_eq(lw_inject_take(&inject, taken, 4), 4);
    cr_assert_null(taken[4]);
    cr_assert_eq(lw_inject_take(&inject, taken, 10), 6);
}

/* ---- with threads */

static struct {
    struct lw_record *records; /* those of each pusher in one stretch; arg counts the takings */
    long each;
    uint32_t pushers_left;
} race;

static void *pusher(void *arg)
{
    long first = (long)(intptr_t)arg * race.each;
    uint64_t random = (uint64_t)first + 1;

    for (long i = 0; i < race.each;) {
        long count = (long)(random_draw(&random) >> 60) + 1;

        if (count > race.each - i)
            count = race.each - i;
        push(race.records, first + i, count);
        i += count;
    }
    (void)lw_sub_acq_rel(&race.pushers_left, 1);
    return NULL;
}

static void *taker(void *arg)
{
    unsigned max = 1 + 3 * (unsigned)(uintptr_t)arg;
    long last[PUSHERS] = {-1, -1, -1};

    for (;;) {
        struct lw_record *taken[16];
        bool all_pushed = lw_load_acq(&race.pushers_left) == 0;
        unsigned count = lw_inject_take(&inject, taken, max);

        for (unsigned i = 0; i < count; i++) {
            long number = taken[i] - race.records, whose = number / race.each;

            cr_assert_null(taken[i]->arg, "record %ld was taken twice", number);
            taken[i]->arg = taken[i];
            cr_assert_gt(number, last[whose], "of one pusher, the oldest comes first");
            last[whose] = number;
        }
        if (all_pushed && lw_inject_is_empty(&inject))
            return NULL;
    }
}

Test(inject, each_goes_to_exactly_one_with_many_pushers_and_takers)
{
    pthread_t threads[PUSHERS + TAKERS];
    long total;

    race.each = rounds(100000);
    total = race.each * PUSHERS;
    race.records = calloc((size_t)total, sizeof *race.records);
    race.pushers_left = PUSHERS;
    for (intptr_t i = 0; i < PUSHERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, pusher, (void *)i), 0);
    for (intptr_t i = 0; i < TAKERS; i++)
        cr_assert_eq(pthread_create(&threads[PUSHERS + i], NULL, taker, (void *)i), 0);
    for (int i = 0; i < PUSHERS + TAKERS; i++)
        (void)pthread_join(threads[i], NULL);
    for (long i = 0; i < total; i++)
        cr_assert_not_null(race.records[i].arg, "record %ld was lost", i);
    free(race.records);
}
