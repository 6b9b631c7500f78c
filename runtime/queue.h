/* SPDX-License-Identifier: MIT */
/* The queue of an object that is waited for: circular, `tail` is the object's one pointer (void *
 * in public structs).  All under the object's guard. */
#ifndef LW_RUNTIME_QUEUE_H
#define LW_RUNTIME_QUEUE_H

#include "runtime/wait_word.h"

/* Embedded nodes only; select brings nodes of its own later. */
LW_INLINE struct lw_cold *lw_node_cold(struct lw_node *node)
{
    return (struct lw_cold *)(void *)((char *)node - offsetof(struct lw_cold, node));
}

LW_INLINE struct lw_record *lw_node_record(struct lw_node *node)
{
    return lw_cold_record(lw_node_cold(node));
}

LW_INLINE struct lw_node *lw_queue_head(void *const *tail)
{
    struct lw_node *last = (struct lw_node *)*tail;
    return last != NULL ? last->next : NULL;
}

LW_INLINE void lw_queue_push(void **tail, struct lw_node *node)
{
    struct lw_node *last = (struct lw_node *)*tail;

    if (last == NULL) {
        node->next = node->prev = node;
    } else {
        node->next = last->next;
        node->prev = last;
        last->next->prev = node;
        last->next = node;
    }
    *tail = node;
}

LW_INLINE void lw_queue_push_front(void **tail, struct lw_node *node)
{
    void *last = *tail;

    lw_queue_push(tail, node);
    if (last != NULL)
        *tail = last;
}

/* Unlink if it is linked. */
LW_INLINE void lw_queue_remove(void **tail, struct lw_node *node)
{
    if (node->next == NULL)
        return;
    if (node->next == node) {
        *tail = NULL;
    } else {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        if (*tail == (void *)node)
            *tail = node->prev;
    }
    node->next = node->prev = NULL;
}

LW_INLINE struct lw_node *lw_queue_pop(void **tail)
{
    struct lw_node *head = lw_queue_head(tail);

    if (head != NULL)
        lw_queue_remove(tail, head);
    return head;
}

/* Pop nodes until one is claimed for a grant: that record, or NULL.  Under the guard. */
LW_INLINE struct lw_record *lw_queue_claim(void **tail)
{
    struct lw_node *node;

    while ((node = lw_queue_pop(tail)) != NULL) {
        struct lw_record *record = lw_node_record(node);

        if (lw_wake_claim(record))
            return record;
    }
    return NULL;
}

#endif
