/* SPDX-License-Identifier: MIT */
/* The laws of the queue by priority: against a plain list, which is searched. */
#include "tests/support.h"

#include "primitives/heap.h"

TestSuite(heap, .init = watchdog);

enum { WAITERS = 300 };

static struct lw_cold waiters[WAITERS];
static bool queued[WAITERS];
static void *heap;
static uint64_t arrivals;

static void push(int i, int priority)
{
    cr_assert_not(queued[i]);
    waiters[i].data = (void *)(intptr_t)priority;
    waiters[i].arrival = arrivals++;
    lw_heap_push(&heap, &waiters[i].node);
    queued[i] = true;
}

static void take_out(int i)
{
    lw_heap_remove(&heap, &waiters[i].node);
    cr_assert_null(waiters[i].node.next);
    cr_assert_null(waiters[i].node.prev);
    queued[i] = false;
}

/* By the rule as it is written. */
static int first_of_all(void)
{
    int first = -1;

    for (int i = 0; i < WAITERS; i++) {
        intptr_t mine = (intptr_t)waiters[i].data;

        if (queued[i] && (first < 0 || mine < (intptr_t)waiters[first].data ||
                          (mine == (intptr_t)waiters[first].data &&
                           waiters[i].arrival < waiters[first].arrival)))
            first = i;
    }
    return first;
}

/* The invariants, from here down; how many there are. */
static int check_below(struct lw_node *node)
{
    struct lw_node *left = node->next, *right = lw_heap_right(node);
    int count = 1;

    cr_assert_geq(lw_heap_rank(left), lw_heap_rank(right));
    cr_assert_eq(lw_heap_rank(node), lw_heap_rank(right) + 1);
    for (int i = 0; i < 2; i++) {
        struct lw_node *child = i == 0 ? left : right;

        if (child == NULL)
            continue;
        cr_assert_eq(child->prev, node);
        cr_assert(lw_heap_is_before(node, child));
        count += check_below(child);
    }
    return count;
}

static void check_all(void)
{
    int count = 0, first = first_of_all();

    for (int i = 0; i < WAITERS; i++)
        count += queued[i];
    if (first < 0) {
        cr_assert_null(heap);
        return;
    }
    cr_assert_eq(heap, &waiters[first].node);
    cr_assert_eq(waiters[first].node.prev, &waiters[first].node);
    cr_assert_eq(check_below(heap), count);
}

Test(heap, the_root_is_the_first_whatever_comes_and_goes)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(60); seed++) {
        uint64_t random = seed * 2 + 1;
        unsigned kinds = 1 + (unsigned)(seed % 7) * 20; /* few priorities, or many */

        for (int step = 0; step < 1500; step++) {
            int i = (int)(random_draw(&random) % WAITERS);

            if (!queued[i])
                push(i, (int)(random_draw(&random) % kinds) - 10);
            else if (random_draw(&random) % 2 == 0)
                take_out(i);
            else
                take_out(first_of_all());
            if (step % 16 == 0)
                check_all();
        }
        while (heap != NULL) {
            take_out(first_of_all());
            check_all();
        }
    }
}

/* The path that a merge follows has no more nodes than this. */
Test(heap, ranks_grow_with_the_logarithm)
{
    for (int i = 0; i < WAITERS; i++) {
        push(i, i % 3);
        cr_assert_leq(1 << lw_heap_rank(heap), i + 2);
    }
    for (int i = 0; i < WAITERS; i++)
        take_out(first_of_all());
}

Test(heap, the_extreme_priorities_are_ordered)
{
    static const int order[] = {INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX};
    enum { COUNT = sizeof order / sizeof *order };

    for (int i = COUNT - 1; i >= 0; i--)
        push(i, order[i]);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(lw_heap_priority(heap), order[i]);
        take_out(i);
    }
    cr_assert_null(heap);
    lw_heap_remove(&heap, &waiters[0].node); /* is in none */
}
