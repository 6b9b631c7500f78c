/* SPDX-License-Identifier: MIT */
/* The laws of waiters by key: against plain lists, which are searched. */
#include "tests/support.h"

#include "primitives/key_tree.h"

TestSuite(key_tree, .init = watchdog);

enum { WAITERS = 300 };

static struct lw_cold waiters[WAITERS];
static bool queued[WAITERS];
static uint64_t came[WAITERS], arrivals;
static void *tree;

static void push(int i, uint64_t key)
{
    cr_assert_not(queued[i]);
    waiters[i].key = key;
    came[i] = arrivals++;
    lw_key_push(&tree, &waiters[i].node);
    queued[i] = true;
}

static void removed(int i)
{
    cr_assert_null(waiters[i].node.next);
    cr_assert_null(waiters[i].node.prev);
    queued[i] = false;
}

static int first_of(uint64_t key)
{
    int first = -1;

    for (int i = 0; i < WAITERS; i++)
        if (queued[i] && waiters[i].key == key && (first < 0 || came[i] < came[first]))
            first = i;
    return first;
}

/* How many waiters there are from here down; and the height. */
static int check_below(struct lw_node *node, uint64_t from, uint64_t to, int depth, int *height)
{
    struct lw_node *left = lw_key_left(node), *right = lw_key_right(node);
    uint64_t key = lw_key_of(node);
    struct lw_node *last = (struct lw_node *)lw_node_cold(node)->data, *behind = last;
    int count = 1;

    cr_assert(key >= from && key <= to, "the keys are in order");
    *height = depth > *height ? depth : *height;
    if (last != NULL)
        do {
            behind = behind->next;
            cr_assert_eq(lw_key_of(behind), key);
            cr_assert_eq(behind->next->prev, behind);
            count++;
        } while (behind != last);
    if (left != NULL) {
        cr_assert(left->prev == node && lw_key_rank(left) > lw_key_rank(node));
        count += check_below(left, from, key - 1, depth + 1, height);
    }
    if (right != NULL) {
        cr_assert(right->prev == node && lw_key_rank(right) > lw_key_rank(node));
        count += check_below(right, key + 1, to, depth + 1, height);
    }
    return count;
}

static int check_all(void)
{
    int count = 0, height = 0;

    for (int i = 0; i < WAITERS; i++) {
        int first = first_of(waiters[i].key);

        count += queued[i];
        cr_assert_eq(lw_key_find(tree, waiters[i].key),
                     first < 0 ? NULL : &waiters[first].node);
    }
    if (count == 0) {
        cr_assert_null(tree);
        return 0;
    }
    cr_assert_eq(((struct lw_node *)tree)->prev, tree);
    cr_assert_eq(check_below(tree, 0, UINT64_MAX, 1, &height), count);
    return height;
}

Test(key_tree, each_key_finds_its_first_waiter_whatever_comes_and_goes)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        uint64_t random = seed * 2 + 1, keys = 1 + seed % 9 * 20; /* few keys, or many */

        for (int step = 0; step < 1500; step++) {
            int i = (int)(random_draw(&random) % WAITERS), first;

            if (!queued[i]) {
                push(i, random_draw(&random) % keys - keys / 2); /* also very large ones */
            } else if (random_draw(&random) % 2 == 0) {
                lw_key_remove(&tree, &waiters[i].node);
                removed(i);
            } else {
                first = first_of(waiters[i].key);
                lw_key_remove_first(&tree, &waiters[first].node);
                removed(first);
            }
            if (step % 16 == 0)
                (void)check_all();
        }
        while (tree != NULL) {
            int first = first_of(lw_key_of(tree));

            lw_key_remove_first(&tree, &waiters[first].node);
            removed(first);
        }
        (void)check_all();
    }
}

/* Keys that come in order are what makes other trees a list. */
Test(key_tree, it_is_flat_also_for_keys_in_order)
{
    for (int i = 0; i < WAITERS; i++)
        push(i, (uint64_t)i);
    cr_assert_leq(check_all(), 30, "some 3 times the logarithm");
    for (int i = 0; i < WAITERS; i++)
        lw_key_remove(&tree, &waiters[i].node);
    cr_assert_null(tree);
}
