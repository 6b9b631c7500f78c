/* SPDX-License-Identifier: MIT */
/* lw_futex_*: the one way to wait, for words of the user's.
 *
 * Waiters on any word wait in one of 256 queues, chosen by the word's address; the guard of the
 * queue orders the test of the word against the wakes: a waker changes the word first, then takes
 * the guard.  A wait may count as one for another object than the word: lw_lock_wait().
 *
 * [F1] word changed by the user  ->  guard of the queue (acq_rel)  ->  test under the guard. */
#include <latchwork/futex.h>

#include <errno.h>

#include "runtime/fork.h"
#include "runtime/futex.h"

#ifdef LW_SIMULATED
enum { QUEUES = 1, GUARD = 1 }; /* nothing may depend on an address */
#else
enum { QUEUES = 256, GUARD = 1 };
#endif

static struct queue {
    uint64_t guard __attribute__((aligned(64)));
    void *tail;
} queues[QUEUES];

static struct queue *queue_of(const void *word)
{
    uint64_t hash = ((uintptr_t)word >> 2) * UINT64_C(0x9e3779b97f4a7c15);

    return &queues[(hash >> 56) % QUEUES];
}

int lw_futex_wait_as(const struct lw_futex_wait *wait, const void *word, uint32_t expected,
                     lw_nsec deadline)
{
    struct queue *queue = queue_of(word);
    struct lw_record *me;
    enum lw_outcome outcome;
    int err;

    if (word == NULL || (uintptr_t)word % sizeof(uint32_t) != 0)
        return -EINVAL;
    err = lw_wait_enter(&me, deadline);
    if (err < 0)
        return err;
    (void)lw_guard_take(&queue->guard, GUARD);
    /* One look: it may change back.  Without it a wake that came before is lost. */
    if (lw_recheck(lw_load_acq((const uint32_t *)word) != expected)) /* [F1] */
        err = -EAGAIN;
    else if (deadline == LW_NOW)
        err = -ETIMEDOUT;
    if (err < 0) {
        lw_guard_drop(&queue->guard, GUARD);
        return err;
    }
    lw_wait_begin(me, wait->kind, wait->object, wait->name, deadline, wait->site);
    lw_record_cold(me)->data = (void *)(uintptr_t)word;
    lw_store_rlx(&lw_record_cold(me)->owner, wait->owner);
    lw_queue_push(&queue->tail, &lw_record_cold(me)->node);
    lw_guard_drop(&queue->guard, GUARD);

    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED) {
        (void)lw_guard_take(&queue->guard, GUARD);
        lw_queue_remove(&queue->tail, &lw_record_cold(me)->node);
        lw_guard_drop(&queue->guard, GUARD);
    }
    return lw_wait_error(me, outcome);
}

int lw_futex_wait(const void *word, uint32_t expected, lw_nsec deadline)
{
    struct lw_futex_wait wait = {LW_WAIT_FUTEX, word, NULL, 0, __builtin_return_address(0)};

    return lw_futex_wait_as(&wait, word, expected, deadline);
}

/* Under the guard: take up to `count` waiters of the word out, oldest first. */
static void take_waiters(struct queue *queue, const void *word, uint32_t count,
                         struct lw_wake_batch *batch)
{
    struct lw_node *node = lw_queue_head(&queue->tail), *next, *last = queue->tail;

    while (node != NULL && batch->count < count) {
        struct lw_record *record = lw_node_record(node);

        next = node == last ? NULL : node->next;
        if (lw_record_cold(record)->data == word) {
            lw_queue_remove(&queue->tail, node);
            if (lw_wake_claim(record))
                lw_wake_batch_add(batch, record);
        }
        node = next;
    }
}

unsigned lw_futex_wake(const void *word, uint32_t count)
{
    struct queue *queue = queue_of(word);
    struct lw_wake_batch batch = {0};
    unsigned woken;

    if (lw_forked())
        return 0;
    (void)lw_guard_take(&queue->guard, GUARD); /* [F1] */
    take_waiters(queue, word, count, &batch);
    lw_guard_drop(&queue->guard, GUARD);
    woken = batch.count;
    lw_wake_batch_run(&batch, LW_GRANTED);
    return woken;
}
