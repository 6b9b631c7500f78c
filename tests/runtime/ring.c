/* SPDX-License-Identifier: MIT */
/* Laws of the ready ring: first in, first out over wraps; a full one refuses and changes nothing; a
 * thief takes the older half in one step; each element goes to exactly one taker. */
#include "runtime/ring.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support.h"

TestSuite(ring, .init = watchdog);

static struct lw_record *name(long number)
{
    return (struct lw_record *)(uintptr_t)((unsigned long)(number + 1) * sizeof(struct lw_record));
}

static long number_of(const struct lw_record *record)
{
    return (long)((uintptr_t)record / sizeof(struct lw_record)) - 1;
}

static struct lw_ring ring;

Test(ring, first_in_first_out_over_wraps)
{
    long in = 0, out = 0;

    for (long lap = 0; lap < 5 * LW_RING_SIZE; lap++) {
        for (int i = 0; i < 3; i++)
            if (lw_ring_push(&ring, name(in)))
                in++;
            else
                cr_assert_eq(in - out, LW_RING_SIZE, "refused with room left");
        cr_assert_eq(lw_ring_size(&ring), (uint64_t)(in - out));
        cr_assert_eq(lw_ring_pop(&ring), name(out));
        out++;
    }
    while (out < in)
        cr_assert_eq(lw_ring_pop(&ring), name(out++));
    cr_assert_null(lw_ring_pop(&ring));
}

Test(ring, full_refuses_and_changes_nothing)
{
    for (long i = 0; i < LW_RING_SIZE; i++)
        cr_assert(lw_ring_push(&ring, name(i)));
    cr_assert_not(lw_ring_push(&ring, name(-1)));
    cr_assert_not(lw_ring_push(&ring, name(-1)));
    cr_assert_eq(lw_ring_pop(&ring), name(0));
    cr_assert(lw_ring_push(&ring, name(LW_RING_SIZE)), "one place became free");
    for (long i = 1; i <= LW_RING_SIZE; i++)
        cr_assert_eq(lw_ring_pop(&ring), name(i));
}

Test(ring, thief_takes_the_older_half_rounded_up_and_no_more_than_asked)
{
    struct lw_record *taken[LW_RING_SIZE];

    cr_assert_eq(lw_ring_steal(&ring, taken, LW_RING_SIZE), 0);
    for (long i = 0; i < 7; i++)
        cr_assert(lw_ring_push(&ring, name(i)));
    cr_assert_eq(lw_ring_steal(&ring, taken, 2), 2);
    cr_assert_eq(taken[0], name(0));
    cr_assert_eq(taken[1], name(1));
    cr_assert_eq(lw_ring_steal(&ring, taken, LW_RING_SIZE), 3);
    cr_assert_eq(taken[2], name(4));
    cr_assert_eq(lw_ring_steal(&ring, taken, LW_RING_SIZE), 1);
    cr_assert_eq(lw_ring_steal(&ring, taken, LW_RING_SIZE), 1);
    cr_assert_eq(taken[0], name(6));
    cr_assert_eq(lw_ring_steal(&ring, taken, LW_RING_SIZE), 0);
    cr_assert_null(lw_ring_pop(&ring));
}

/* ---- with threads */

enum { THIEVES = 3 };

static struct {
    uint8_t *taken;
    long count;
    uint32_t done;
} race;

static void take_note(const struct lw_record *record, long *last)
{
    long number = number_of(record);

    cr_assert(number >= 0 && number < race.count, "an element that was never pushed: %ld", number);
    cr_assert_eq(lw_add_acq_rel(&race.taken[number], 1), 0, "element %ld was taken twice", number);
    cr_assert_gt(number, *last, "each taker sees them in order");
    *last = number;
}

static void *thief(void *arg)
{
    unsigned max = 1 + 5 * (unsigned)(uintptr_t)arg;
    long last = -1;

    while (!lw_load_acq(&race.done)) {
        struct lw_record *taken[16];
        unsigned count = lw_ring_steal(&ring, taken, max);

        for (unsigned i = 0; i < count; i++)
            take_note(taken[i], &last);
    }
    return NULL;
}

static void race_once(uint64_t seed, unsigned burst_max)
{
    pthread_t threads[THIEVES];
    uint64_t random = seed;
    struct lw_record *record;
    long last = -1;

    race.count = rounds(300000);
    race.taken = calloc((size_t)race.count, 1);
    race.done = 0;
    for (uintptr_t i = 0; i < THIEVES; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, thief, (void *)i), 0);
    for (long pushed = 0; pushed < race.count;) {
        uint64_t draw = random_draw(&random) >> 32;

        for (unsigned i = 0; i < draw % burst_max + 1 && pushed < race.count; i++)
            if (lw_ring_push(&ring, name(pushed)))
                pushed++;
        for (unsigned i = 0; i < (draw >> 16) % burst_max; i++)
            if ((record = lw_ring_pop(&ring)) != NULL)
                take_note(record, &last);
    }
    while ((record = lw_ring_pop(&ring)) != NULL)
        take_note(record, &last);
    lw_store_rel(&race.done, 1);
    for (int i = 0; i < THIEVES; i++)
        (void)pthread_join(threads[i], NULL);
    for (long i = 0; i < race.count; i++)
        cr_assert_eq(race.taken[i], 1, "element %ld was lost", i);
    free(race.taken);
}

Test(ring, each_element_goes_to_exactly_one_when_nearly_empty)
{
    race_once(1, 2);
}

Test(ring, each_element_goes_to_exactly_one_when_often_full)
{
    race_once(2, 3 * LW_RING_SIZE);
}
