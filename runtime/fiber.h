/* SPDX-License-Identifier: MIT */
/* What the sanitizers must be told of a switch between stacks.  Empty in ordinary builds.
 *
 * TSan: one fiber per stack (kept in its head), not per task: tasks that follow each other on one
 * stack are ordered anyway, by the run queue.  ASan: the bounds of the stack that is gone to, and
 * the fake stack of the one that is left. */
#ifndef LW_RUNTIME_FIBER_H
#define LW_RUNTIME_FIBER_H

#include "runtime/stack.h"
#include "runtime/thread.h"

#if defined(__SANITIZE_THREAD__)
#define LW_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define LW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LW_TSAN 1
#elif __has_feature(address_sanitizer)
#define LW_ASAN 1
#endif
#endif

#if defined(LW_TSAN)
#include <sanitizer/tsan_interface.h>
#elif defined(LW_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

LW_INLINE struct lw_stack_head *lw_record_stack(const struct lw_record *record)
{
    return (struct lw_stack_head *)(uintptr_t)(lw_load_rlx(&record->place) & LW_PLACE_STACK);
}

LW_INLINE unsigned lw_record_class(const struct lw_record *record)
{
    return (unsigned)(lw_load_rlx(&record->place) >> LW_PLACE_CLASS_SHIFT) & 31u;
}

/* Before the switch away: `to` NULL is the idle stack; `fake` is where what is left is kept, NULL
 * when this stack is left for ever. */
LW_INLINE void lw_fiber_leave(struct lw_thread *thread, const struct lw_record *to, void **fake)
{
#ifdef LW_SIMULATED
    lw_sim_fences(__ATOMIC_RELEASE); /* that of the switch itself, which is not one of atomic.h */
#endif
#if defined(LW_TSAN)
    struct lw_stack_head *head = to != NULL ? lw_record_stack(to) : NULL;

    if (head != NULL && head->fiber == NULL)
        head->fiber = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(head != NULL ? head->fiber : thread->idle_fiber, 0);
#elif defined(LW_ASAN)
    if (to != NULL) {
        size_t bytes = lw_stack_bytes(lw_record_class(to));
        __sanitizer_start_switch_fiber(
            fake, (char *)lw_record_stack(to) + sizeof(struct lw_stack_head) - bytes, bytes);
    } else {
        __sanitizer_start_switch_fiber(fake, thread->idle_bottom, thread->idle_bytes);
    }
#endif
    (void)thread;
    (void)to;
    (void)fake;
}

/* After arriving; fake: what was kept when this stack was left, NULL on a fresh one. */
LW_INLINE void lw_fiber_arrive(void *fake)
{
#ifdef LW_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    (void)fake;
}

/* A stack changes hands while nothing lives on it but the trampoline. */
LW_INLINE void lw_fiber_clean(struct lw_stack_head *head, size_t bytes, const void *frame)
{
#ifdef LW_ASAN
    /* What a task that left by longjmp or was ended left poisoned, below the frame we stand on. */
    char *bottom = (char *)head + sizeof *head - bytes;
    __asan_unpoison_memory_region(bottom, (size_t)((const char *)frame - bottom));
#endif
    (void)head;
    (void)bytes;
    (void)frame;
}

/* A stack's memory goes: so does its fiber. */
LW_INLINE void lw_fiber_free(void *fiber)
{
#ifdef LW_TSAN
    if (fiber != NULL)
        __tsan_destroy_fiber(fiber);
#endif
    (void)fiber;
}

/* On the pthread's own stack. */
void lw_fiber_thread_init(struct lw_thread *thread);

#endif
