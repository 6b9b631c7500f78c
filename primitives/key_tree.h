/* SPDX-License-Identifier: MIT */
/* Waiting records by key: a treap (Seidel and Aragon, "Randomized search trees", 1996) of the first
 * waiter of each key, whose place among others is drawn by a hash of the key; and behind it those
 * who came later, in order.  To find a key, to come and to leave take O(log n) steps of n keys.
 *
 *                   in the tree                    behind another of its key
 *     node.prev     the parent; the root: itself   the one before   } a circular
 *     node.next     the left child                 the one after    } queue
 *     child         the right child
 *     data          the queue behind it            unused
 *     key           the key                        the key
 *
 * node.prev is NULL: in neither.  Under the object's guard. */
#ifndef LW_PRIMITIVES_KEY_TREE_H
#define LW_PRIMITIVES_KEY_TREE_H

#include "runtime/queue.h"

LW_INLINE uint64_t lw_key_of(struct lw_node *node)
{
    return lw_load_rlx(&lw_node_cold(node)->key);
}

/* Who is nearer to the root: any order of the keys that looks drawn (Steele et al., "Fast
 * splittable pseudorandom number generators", 2014: the mixer of SplitMix64, one to one). */
LW_INLINE uint64_t lw_key_rank(struct lw_node *node)
{
    uint64_t mixed = lw_key_of(node) + UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

LW_INLINE struct lw_node *lw_key_left(struct lw_node *node)
{
    return node->next;
}

LW_INLINE struct lw_node *lw_key_right(struct lw_node *node)
{
    return (struct lw_node *)lw_node_cold(node)->child;
}

LW_INLINE void lw_key_set_left(struct lw_node *node, struct lw_node *child)
{
    node->next = child;
    if (child != NULL)
        lw_store_rlx(&child->prev, node);
}

LW_INLINE void lw_key_set_right(struct lw_node *node, struct lw_node *child)
{
    lw_node_cold(node)->child = child;
    if (child != NULL)
        lw_store_rlx(&child->prev, node);
}

/* `with` (NULL: nothing) comes to where `node` is below its parent. */
LW_INLINE void lw_key_replace(void **tree, struct lw_node *node, struct lw_node *with)
{
    struct lw_node *parent = node->prev;

    if (parent == node) {
        *tree = with;
        if (with != NULL)
            lw_store_rlx(&with->prev, with);
    } else if (lw_key_left(parent) == node) {
        lw_key_set_left(parent, with);
    } else {
        lw_key_set_right(parent, with);
    }
}

/* The parent becomes the child. */
LW_INLINE void lw_key_rotate_up(void **tree, struct lw_node *node)
{
    struct lw_node *parent = node->prev;
    bool is_left = lw_key_left(parent) == node;

    lw_key_replace(tree, parent, node);
    if (is_left) {
        lw_key_set_left(parent, lw_key_right(node));
        lw_key_set_right(node, parent);
    } else {
        lw_key_set_right(parent, lw_key_left(node));
        lw_key_set_left(node, parent);
    }
}

/* The first waiter of the key; NULL: none.  *above: below whom it would be. */
LW_INLINE struct lw_node *lw_key_search(void *tree, uint64_t key, struct lw_node **above)
{
    struct lw_node *node = (struct lw_node *)tree;

    *above = NULL;
    while (node != NULL && lw_key_of(node) != key) {
        *above = node;
        node = key < lw_key_of(node) ? lw_key_left(node) : lw_key_right(node);
    }
    return node;
}

LW_INLINE struct lw_node *lw_key_find(void *tree, uint64_t key)
{
    struct lw_node *above;

    return lw_key_search(tree, key, &above);
}

/* A waiter that is in no queue comes, with its key. */
LW_INLINE void lw_key_push(void **tree, struct lw_node *node)
{
    struct lw_node *above, *first = lw_key_search(*tree, lw_key_of(node), &above);

    if (first != NULL) {
        lw_queue_push(&lw_node_cold(first)->data, node);
        return;
    }
    lw_node_cold(node)->data = NULL;
    lw_node_cold(node)->child = NULL;
    node->next = NULL;
    if (above == NULL) {
        *tree = node;
        lw_store_rlx(&node->prev, node);
        return;
    }
    if (lw_key_of(node) < lw_key_of(above))
        lw_key_set_left(above, node);
    else
        lw_key_set_right(above, node);
    while (node->prev != node && lw_key_rank(node) < lw_key_rank(node->prev))
        lw_key_rotate_up(tree, node);
}

/* The first waiter of a key goes; the next one of that key, if there is one, takes its place. */
LW_INLINE void lw_key_remove_first(void **tree, struct lw_node *node)
{
    struct lw_node *next = lw_queue_pop(&lw_node_cold(node)->data);

    if (next != NULL) {
        lw_key_replace(tree, node, next);
        lw_key_set_left(next, lw_key_left(node));
        lw_key_set_right(next, lw_key_right(node));
        lw_node_cold(next)->data = lw_node_cold(node)->data;
    } else {
        struct lw_node *left, *right;

        while ((left = lw_key_left(node)) != NULL && (right = lw_key_right(node)) != NULL)
            lw_key_rotate_up(tree, lw_key_rank(left) < lw_key_rank(right) ? left : right);
        lw_key_replace(tree, node, left != NULL ? left : lw_key_right(node));
    }
    node->next = NULL;
    lw_store_rlx(&node->prev, NULL);
}

/* Any waiter that is there goes. */
LW_INLINE void lw_key_remove(void **tree, struct lw_node *node)
{
    struct lw_node *first = lw_key_find(*tree, lw_key_of(node));

    if (first == node)
        lw_key_remove_first(tree, node);
    else
        lw_queue_remove(&lw_node_cold(first)->data, node);
}

#endif
