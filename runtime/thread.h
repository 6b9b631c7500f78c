/* SPDX-License-Identifier: MIT */
/* An OS thread as the runtime sees it: one that runs a worker, or a guest (any other thread that
 * uses the library).  Reached through lw_thread_self(); nothing from before a switch may be used
 * after it. */
#ifndef LW_RUNTIME_THREAD_H
#define LW_RUNTIME_THREAD_H

#include "runtime/arch/cpu.h"
#include "runtime/record.h"

struct lw_worker;

enum { LW_BUDGET = 128 }; /* operations that may wait, until the task lets others run */

struct lw_thread {
    /* The task that runs, or the guest's record; NULL: the idle stack, or no record yet. */
    struct lw_record *current;
    struct lw_worker *worker;  /* NULL: a guest */
    int32_t budget;
    /* Lock word of `current` as an owner, 0: not asked for since it was switched to; in the place
     * of the flags, those that a mutex had which it took last (mutex.c). */
    uint64_t owner;
    struct lw_cold *cold;      /* of `current`, once owner is set */
    uint64_t read[2];          /* how a rwlock is found when it is read, and left (rwlock.c) */
    void *idle_sp;             /* of the worker's own pthread stack, while a task runs */
    void *idle_fiber;          /* sanitizers: the context of the idle stack (TSan: fiber.h) */
    const void *idle_bottom;
    size_t idle_bytes;
    int tid;
    uint32_t draws;            /* of lw_select() */
    void *altstack;
};

/* The library's time begins at that moment (time.c). */
void lw_clock_begin(int64_t now);

extern ptrdiff_t lw_errno_offset; /* of errno from the thread pointer; set at load time */

/* Another task runs now; NULL: the idle stack. */
LW_INLINE void lw_thread_run(struct lw_thread *thread, struct lw_record *record)
{
    lw_store_rlx(&thread->current, record); /* the tick thread looks at it */
    lw_store_rlx(&thread->owner, 0);
    lw_store_rlx(&thread->budget, LW_BUDGET);
}

/* Take so much of the budget; what is left. */
LW_INLINE int32_t lw_thread_spend(struct lw_thread *thread, int32_t operations)
{
    int32_t left = lw_load_rlx(&thread->budget) - operations;

    lw_store_rlx(&thread->budget, left);
    return left;
}

/* The record of the caller.  NULL: a plain thread that has none yet. */
LW_INLINE struct lw_record *lw_current(void)
{
    struct lw_thread *thread = lw_thread_self();
    return lw_likely(thread != NULL) ? lw_load_rlx(&thread->current) : NULL;
}

/* The record of the caller, made now if it is a plain thread's first use.  NULL: no memory. */
struct lw_record *lw_current_or_attach(void);

#endif
