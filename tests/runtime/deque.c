/* SPDX-License-Identifier: MIT */
/* Laws of the deque: newest first to its owner, oldest first to thieves, each element to exactly
 * one of them, over wraps and growth; a push that finds no memory changes nothing. */
#include "runtime/deque.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/os/os.h"
#include "tests/support.h"

TestSuite(deque, .init = watchdog);

/* The deque keeps pointers and never follows them: these are numbers. */
static struct lw_record *name(long number)
{
    return (struct lw_record *)(uintptr_t)((unsigned long)(number + 1) * sizeof(struct lw_record));
}

static long number_of(const struct lw_record *record)
{
    return (long)((uintptr_t)record / sizeof(struct lw_record)) - 1;
}

static struct lw_record *steal(struct lw_deque *deque)
{
    struct lw_record *record;
    bool lost;

    do
        record = lw_deque_steal(deque, &lost);
    while (record == NULL && lost);
    return record;
}

Test(deque, empty_gives_nothing)
{
    struct lw_deque deque = {0};

    cr_assert_eq(lw_deque_init(&deque), 0);
    cr_assert_null(lw_deque_pop(&deque));
    cr_assert_null(steal(&deque));
    cr_assert(lw_deque_push(&deque, name(1)));
    cr_assert_eq(lw_deque_pop(&deque), name(1));
    cr_assert_null(lw_deque_pop(&deque));
    cr_assert_null(steal(&deque));
    cr_assert_eq(lw_deque_size(&deque), 0);
    lw_deque_fini(&deque);
    assert_no_leaks();
}

Test(deque, newest_first_to_the_owner_oldest_first_to_thieves)
{
    struct lw_deque deque = {0};

    cr_assert_eq(lw_deque_init(&deque), 0);
    for (long i = 0; i < 10; i++)
        cr_assert(lw_deque_push(&deque, name(i)));
    for (long i = 0; i < 5; i++) {
        cr_assert_eq(lw_deque_pop(&deque), name(9 - i));
        cr_assert_eq(steal(&deque), name(i));
    }
    cr_assert_null(lw_deque_pop(&deque));
    lw_deque_fini(&deque);
}

/* Against a plain array, through many wraps and growths. */
Test(deque, keeps_its_order_over_wrap_and_growth)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct lw_deque deque = {0};
        long count = rounds(20000), *model = calloc((size_t)count + 1, sizeof *model);
        long bottom = 0, top = 0, pushed = 0;
        uint64_t random = seed;

        cr_assert_eq(lw_deque_init(&deque), 0);
        while (pushed < count) {
            uint64_t draw = random_draw(&random) >> 32;
            bool grows = (draw >> 8) % 4 != 0; /* in stretches, one of the two prevails */

            if (draw % 4 < (grows ? 3u : 1u)) {
                cr_assert(lw_deque_push(&deque, name(pushed)));
                model[bottom++] = pushed++;
            } else if (draw % 2 != 0) {
                struct lw_record *record = lw_deque_pop(&deque);

                cr_assert_eq(record, bottom > top ? name(model[--bottom]) : NULL);
            } else {
                struct lw_record *record = steal(&deque);

                cr_assert_eq(record, bottom > top ? name(model[top++]) : NULL);
            }
            cr_assert_eq(lw_deque_size(&deque), bottom - top);
        }
        while (bottom > top)
            cr_assert_eq(lw_deque_pop(&deque), name(model[--bottom]));
        lw_deque_fini(&deque);
        free(model);
    }
    assert_no_leaks();
}

Test(deque, push_without_memory_says_so_and_loses_nothing)
{
    struct lw_deque deque = {0};
    long pushed = 0;

    sys_watch();
    sys_fail(SYS_CALLOC, 1, false);
    cr_assert_eq(lw_deque_init(&deque), -ENOMEM);
    cr_assert_eq(lw_deque_init(&deque), 0);
    sys_fail(SYS_CALLOC, 1, true);
    while (lw_deque_push(&deque, name(pushed)))
        pushed++;
    cr_assert(sys_failed());
    cr_assert_eq(lw_deque_size(&deque), pushed);
    cr_assert_not(lw_deque_push(&deque, name(pushed)), "still no memory");
    sys_fail(SYS_CALLOC, 0, false);
    cr_assert(lw_deque_push(&deque, name(pushed)));
    for (long i = pushed; i >= 0; i--)
        cr_assert_eq(lw_deque_pop(&deque), name(i));
    lw_deque_fini(&deque);
    cr_assert_eq(count_resources().blocks, 0);
}

/* ---- with threads */

enum { THIEVES = 3 };

static struct {
    struct lw_deque deque;
    uint8_t *taken; /* how often each element was */
    long count;
    uint32_t done;
} race;

static void take_note(const struct lw_record *record)
{
    long number = number_of(record);

    cr_assert(number >= 0 && number < race.count, "an element that was never pushed: %ld", number);
    cr_assert_eq(lw_add_acq_rel(&race.taken[number], 1), 0, "element %ld was taken twice", number);
}

static void *thief(void *arg)
{
    long last = -1;

    while (!lw_load_acq(&race.done)) {
        bool lost;
        struct lw_record *record = lw_deque_steal(&race.deque, &lost);

        if (record == NULL)
            continue;
        take_note(record);
        cr_assert_gt(number_of(record), last, "one thief sees the oldest first");
        last = number_of(record);
    }
    return arg;
}

/* The owner pushes all numbers once, in bursts of a drawn length, and pops in between. */
static void race_once(uint64_t seed, unsigned burst_max)
{
    pthread_t threads[THIEVES];
    uint64_t random = seed;
    struct lw_record *record;

    race.count = rounds(200000);
    race.taken = calloc((size_t)race.count, 1);
    race.done = 0;
    race.deque = (struct lw_deque){0};
    cr_assert_eq(lw_deque_init(&race.deque), 0);
    for (int i = 0; i < THIEVES; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, thief, NULL), 0);
    for (long pushed = 0; pushed < race.count;) {
        uint64_t draw = random_draw(&random) >> 32;

        for (unsigned i = 0; i < draw % burst_max + 1 && pushed < race.count; i++)
            cr_assert(lw_deque_push(&race.deque, name(pushed++)));
        for (unsigned i = 0; i < (draw >> 16) % burst_max + 1; i++)
            if ((record = lw_deque_pop(&race.deque)) != NULL)
                take_note(record);
    }
    while ((record = lw_deque_pop(&race.deque)) != NULL)
        take_note(record);
    lw_store_rel(&race.done, 1);
    for (int i = 0; i < THIEVES; i++)
        (void)pthread_join(threads[i], NULL);
    for (long i = 0; i < race.count; i++)
        cr_assert_eq(race.taken[i], 1, "element %ld was lost", i);
    lw_deque_fini(&race.deque);
    free(race.taken);
}

/* Bursts of one: nearly each pop is a race for the last element. */
Test(deque, last_element_goes_to_exactly_one)
{
    race_once(7, 1);
    race_once(8, 2);
}

Test(deque, each_element_goes_to_exactly_one_while_it_grows)
{
    race_once(9, 40);
    race_once(10, 3000);
    assert_no_leaks();
}
