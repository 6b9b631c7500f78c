/* SPDX-License-Identifier: MIT */
/* The queue of an object that is waited for: circular, `tail` is the object's one pointer (void *
 * in public structs).  All under the object's guard; but a detector follows the links `prev` of
 * records without it (locksmith/walk.c). */
#ifndef LW_RUNTIME_QUEUE_H
#define LW_RUNTIME_QUEUE_H

#include "runtime/wait_word.h"

/* A node is in a cold record: a task's, or one that an arm of lw_select() brings, so that a task
 * can be in many queues at once.  Of an arm's only what queues and wakers look at is there, up to
 * LW_ARM_BYTES, and `wait` is the address of the record that waits.  It lies in memory of the task:
 * nobody touches it but under the guard of its object, or, having claimed its wait, until that is
 * over. */
enum { LW_ARM_BYTES = 128 };
_Static_assert(offsetof(struct lw_cold, ticket) + 4 <= LW_ARM_BYTES, "all that is said of a wait");

LW_INLINE struct lw_cold *lw_node_cold(struct lw_node *node)
{
    return (struct lw_cold *)(void *)((char *)node - offsetof(struct lw_cold, node));
}

LW_INLINE bool lw_node_is_arm(const struct lw_node *node)
{
    return (uintptr_t)node - (uintptr_t)lw_colds >= (uintptr_t)LW_SLOTS_MAX * sizeof *lw_colds;
}

LW_INLINE struct lw_record *lw_node_record(struct lw_node *node)
{
    struct lw_cold *cold = lw_node_cold(node);

    if (lw_unlikely(lw_node_is_arm(node)))
        return (struct lw_record *)(uintptr_t)lw_load_rlx(&cold->wait);
    return lw_cold_record(cold);
}

/* A waker wins the wait of a node: lw_wake_claim().  Which arm it was is noted in `child`, and what
 * a waker looks at afterwards is then as of any other wait. */
LW_INLINE bool lw_node_claim(struct lw_node *node)
{
    struct lw_record *record = lw_node_record(node);

    if (!lw_wake_claim(record))
        return false;
    if (lw_unlikely(lw_node_is_arm(node))) {
        lw_record_cold(record)->data = lw_node_cold(node)->data;
        lw_record_cold(record)->child = lw_node_cold(node);
    }
    return true;
}

LW_INLINE struct lw_node *lw_queue_head(void *const *tail)
{
    struct lw_node *last = (struct lw_node *)*tail;
    return last != NULL ? last->next : NULL;
}

/* Who waits there, if anybody, is that task alone, by its arms. */
LW_INLINE bool lw_queue_is_of(void *const *tail, const struct lw_record *record)
{
    struct lw_node *head = lw_queue_head(tail), *node = head;

    while (node != NULL && lw_node_record(node) == record) {
        node = node->next;
        if (node == head)
            return true;
    }
    return node == NULL;
}

LW_INLINE void lw_queue_push(void **tail, struct lw_node *node)
{
    struct lw_node *last = (struct lw_node *)*tail;

    if (last == NULL) {
        node->next = node;
        lw_store_rlx(&node->prev, node);
    } else {
        node->next = last->next;
        lw_store_rlx(&node->prev, last);
        lw_store_rlx(&last->next->prev, node);
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

/* Before one that is queued, and is not the head. */
LW_INLINE void lw_queue_push_before(struct lw_node *next, struct lw_node *node)
{
    struct lw_node *last = next->prev;

    node->next = next;
    lw_store_rlx(&node->prev, last);
    lw_store_rlx(&next->prev, node);
    last->next = node;
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
        lw_store_rlx(&node->next->prev, node->prev);
        if (*tail == (void *)node)
            *tail = node->prev;
    }
    node->next = NULL;
    lw_store_rlx(&node->prev, NULL);
}

LW_INLINE struct lw_node *lw_queue_pop(void **tail)
{
    struct lw_node *head = lw_queue_head(tail);

    if (head != NULL)
        lw_queue_remove(tail, head);
    return head;
}

/* Pop nodes until one is claimed for a grant: that one, or NULL.  Under the guard. */
LW_INLINE struct lw_node *lw_queue_claim_node(void **tail)
{
    struct lw_node *node;

    while ((node = lw_queue_pop(tail)) != NULL && !lw_node_claim(node))
        continue;
    return node;
}

LW_INLINE struct lw_record *lw_queue_claim(void **tail)
{
    struct lw_node *node = lw_queue_claim_node(tail);

    return node != NULL ? lw_node_record(node) : NULL;
}

#endif
