/* SPDX-License-Identifier: MIT */
/* The queue of an object that serves by priority: a leftist heap of the waiting records (Crane,
 * "Linear lists and priority queues as balanced binary trees", 1972).  Smaller priorities come
 * first, and of equal ones whoever came first.  Push, pop and the removal of any waiter each take
 * O(log n) steps, also in the worst case: all are done under the object's guard.
 *
 *     node.prev   the parent; of the root: itself; NULL: in no heap
 *     node.next   the left child
 *     child       the right child
 *     mode        the rank: how many nodes the path of right children from here has
 *     data        the priority
 *     arrival     when it came, by a count of all that ever waited so
 *
 * Invariants: a parent is before its children; the rank of a left child is not less than that of
 * the right one.  So ranks are at most log2(n + 1), and so long are the paths that a merge
 * follows. */
#ifndef LW_PRIMITIVES_HEAP_H
#define LW_PRIMITIVES_HEAP_H

#include <limits.h>

#include "runtime/queue.h"

LW_INLINE int lw_heap_priority(struct lw_node *node)
{
    return (int)(intptr_t)lw_node_cold(node)->data;
}

LW_INLINE struct lw_node *lw_heap_right(struct lw_node *node)
{
    return (struct lw_node *)lw_node_cold(node)->child;
}

LW_INLINE unsigned lw_heap_rank(struct lw_node *node)
{
    return node != NULL ? lw_load_rlx(&lw_node_cold(node)->mode) : 0;
}

LW_INLINE bool lw_heap_is_before(struct lw_node *a, struct lw_node *b)
{
    int of_a = lw_heap_priority(a), of_b = lw_heap_priority(b);

    if (of_a != of_b)
        return of_a < of_b;
    return lw_load_rlx(&lw_node_cold(a)->arrival) < lw_load_rlx(&lw_node_cold(b)->arrival);
}

/* Put the children in their order, and say the rank. */
LW_INLINE void lw_heap_settle(struct lw_node *node)
{
    struct lw_cold *cold = lw_node_cold(node);
    struct lw_node *left = node->next, *right = (struct lw_node *)cold->child;

    if (lw_heap_rank(left) < lw_heap_rank(right)) {
        node->next = right;
        cold->child = left;
        right = left;
    }
    lw_store_rlx(&cold->mode, (uint8_t)(lw_heap_rank(right) + 1));
}

/* One heap of two; its root, whose parent the caller says. */
LW_INLINE struct lw_node *lw_heap_merge(struct lw_node *a, struct lw_node *b)
{
    struct lw_node *root = NULL, *last = NULL, *rest;

    /* Down the paths of right children, which become one. */
    while (a != NULL && b != NULL) {
        struct lw_node *first = lw_heap_is_before(b, a) ? b : a;

        b = first == b ? a : b;
        if (last == NULL) {
            root = first;
        } else {
            lw_node_cold(last)->child = first;
            lw_store_rlx(&first->prev, last);
        }
        last = first;
        a = lw_heap_right(first);
    }
    rest = a != NULL ? a : b;
    if (last == NULL)
        return rest;
    lw_node_cold(last)->child = rest;
    if (rest != NULL)
        lw_store_rlx(&rest->prev, last);
    for (;; last = last->prev) { /* and up again */
        lw_heap_settle(last);
        if (last == root)
            return root;
    }
}

LW_INLINE void lw_heap_root(void **heap, struct lw_node *root)
{
    *heap = root;
    if (root != NULL)
        lw_store_rlx(&root->prev, root);
}

/* The waiter's place in line, for a push that follows: under the guard, so that the one who comes
 * first has the smaller count. */
extern uint64_t lw_heap_arrivals;

LW_INLINE void lw_heap_arrive(struct lw_cold *cold, int priority)
{
    cold->data = (void *)(intptr_t)priority;
    lw_store_rlx(&cold->arrival, lw_add_rlx(&lw_heap_arrivals, 1)); /* 64 bits do not wrap */
}

/* The same of one that goes in front of all, also of those that have done so before. */
LW_INLINE void lw_heap_arrive_first(struct lw_cold *cold)
{
    cold->data = (void *)(intptr_t)INT_MIN;
    lw_store_rlx(&cold->arrival, ~lw_add_rlx(&lw_heap_arrivals, 1));
}

/* A record that has arrived, and is in no queue. */
LW_INLINE void lw_heap_push(void **heap, struct lw_node *node)
{
    node->next = NULL;
    lw_node_cold(node)->child = NULL;
    lw_store_rlx(&lw_node_cold(node)->mode, 1);
    lw_heap_root(heap, lw_heap_merge((struct lw_node *)*heap, node));
}

/* Unlink if it is linked. */
LW_INLINE void lw_heap_remove(void **heap, struct lw_node *node)
{
    struct lw_node *parent = node->prev, *rest;

    if (parent == NULL)
        return;
    rest = lw_heap_merge(node->next, lw_heap_right(node));
    node->next = NULL;
    lw_store_rlx(&node->prev, NULL);
    if (parent == node) {
        lw_heap_root(heap, rest);
        return;
    }
    if (rest != NULL)
        lw_store_rlx(&rest->prev, parent);
    if (parent->next == node)
        parent->next = rest;
    else
        lw_node_cold(parent)->child = rest;
    for (;; parent = parent->prev) { /* ranks, as far up as they change */
        unsigned rank = lw_heap_rank(parent);

        lw_heap_settle(parent);
        if (parent->prev == parent || lw_heap_rank(parent) == rank)
            return;
    }
}

/* Pop until one is claimed for a grant: that record, or NULL. */
LW_INLINE struct lw_record *lw_heap_claim(void **heap)
{
    struct lw_node *root;

    while ((root = (struct lw_node *)*heap) != NULL) {
        lw_heap_remove(heap, root);
        if (lw_node_claim(root))
            return lw_node_record(root);
    }
    return NULL;
}

#endif
