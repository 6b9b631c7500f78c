/* SPDX-License-Identifier: MIT */
/* The deque: an owner that pushes and pops, THIEVES that steal STEALS times each (runtime/deque.h;
 * with GROW its array, of one slot at first, is outgrown under them).
 *
 * holds:
 * holds: -DGROW
 * holds: -DTHIEVES=2 -DSTEALS=1
 * fails: -DWEAK_SC
 * fails: -DWEAK_STORE
 * fails: -DGROW -DWEAK_LOAD
 */
#include <errno.h>

#include "runtime/deque.h"

#include "queue.h"

#ifndef THIEVES
#define THIEVES 1
#endif
#ifndef STEALS
#define STEALS 2
#endif

static struct lw_deque deque;

/* ---- runtime/os/os.h */
#define LW_RUNTIME_OS_H

static void *sys_calloc(size_t count, size_t size)
{
    struct lw_deque_array *array = malloc(count * size);

    array->older = NULL;
    return array;
}

static struct {
    void *(*calloc)(size_t count, size_t size);
    void (*free)(void *memory);
} lw_sys = {sys_calloc, free};

#include "runtime/deque.c"

static void *thief(void *arg)
{
    bool lost;

    for (int i = 0; i < STEALS; i++)
        take(lw_deque_steal(&deque, &lost));
    return arg;
}

int main(void)
{
    pthread_t threads[THIEVES];
    struct lw_record *record;

    begin();
#ifdef GROW
    deque.array = array_new(1);
#else
    deque.array = array_new(4);
#endif
    lw_deque_push(&deque, make());
    for (int i = 0; i < THIEVES; i++)
        start(&threads[i], thief);
    lw_deque_push(&deque, make());
    take(lw_deque_pop(&deque));
    lw_deque_push(&deque, make());
    take(lw_deque_pop(&deque));
    for (int i = 0; i < THIEVES; i++)
        join(threads[i]);
    while ((record = lw_deque_pop(&deque)) != NULL)
        take(record);
    lw_deque_fini(&deque);
    check_all_taken();
    return 0;
}
