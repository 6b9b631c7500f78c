/* SPDX-License-Identifier: MIT */
/* What the suites about permits share: scenes in which several are taken at once. */
#ifndef LW_TESTS_LOCKSMITH_PERMITS_H
#define LW_TESTS_LOCKSMITH_PERMITS_H

#include "primitives/permits.h"
#include "tests/locksmith/scenes.h"

/* How many wait. */
static inline int length(lw_bounded_semaphore *permits)
{
    uint64_t word = lw_permits_take_guard(&permits->lock);
    struct lw_node *head = lw_queue_head(&permits->lock._queue), *node = head;
    int count = 0;

    for (; node != NULL; node = node->next != head ? node->next : NULL)
        count++;
    lw_permits_drop_guard(LW_PERMITS_HELD, &permits->lock, word);
    return count;
}

static inline void take_permits(struct scene *scene, uint32_t permits)
{
    cr_assert_eq(lw_bounded_semaphore_acquire(&scene->permits, permits, LW_FOREVER), 0);
}

static inline void drop_permits(struct scene *scene, uint32_t permits)
{
    cr_assert_eq(lw_bounded_semaphore_release(&scene->permits, permits), 0);
}

static inline void try_permits(struct scene *scene, int index, uint32_t permits)
{
    scene->results[index] = lw_bounded_semaphore_acquire(&scene->permits, permits, LW_FOREVER);
    if (scene->results[index] == 0)
        drop_permits(scene, permits);
    else
        cr_assert_eq(scene->results[index], -EDEADLK);
}

#endif
