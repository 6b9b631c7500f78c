/* SPDX-License-Identifier: MIT */
/* The ring, of eight slots and about to wrap: an owner that pushes and pops, THIEVES that take half
 * at once (runtime/ring.h).
 *
 * holds:
 * holds: -DFULL
 * fails: -DWEAK_LOAD
 * fails: -DWEAK_STORE
 * fails: -DFULL -DWEAK_CAS
 */
#define LW_TINY 1
#include "runtime/ring.h"

#include "queue.h"

#ifndef THIEVES
#define THIEVES 2
#endif

static struct lw_ring ring;

static void push(void)
{
    if (!lw_ring_push(&ring, make()))
        pushed--; /* full */
}

static void *thief(void *arg)
{
    struct lw_record *loot[2];
    unsigned count = lw_ring_steal(&ring, loot, 2);

    for (unsigned i = 0; i < count; i++)
        take(loot[i]);
    return arg;
}

int main(void)
{
    pthread_t threads[THIEVES];
    struct lw_record *record;

    begin();
#ifdef FULL /* the next push needs the slot of the oldest */
    ring.tail = LW_RING_SIZE - 1;
    for (int i = 0; i < LW_RING_SIZE - 1; i++)
        ring.slots[i] = &hot_[RECORDS - 1];
#else
    ring.head = ring.tail = ring.head_seen = LW_RING_SIZE - 1;
#endif
    push();
    for (int i = 0; i < THIEVES; i++)
        start(&threads[i], thief);
    push();
    take(lw_ring_pop(&ring));
    push();
    for (int i = 0; i < THIEVES; i++)
        join(threads[i]);
    while ((record = lw_ring_pop(&ring)) != NULL)
        take(record);
    check_all_taken();
    return 0;
}
