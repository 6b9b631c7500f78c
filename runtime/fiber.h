/* SPDX-License-Identifier: MIT */
/* What the sanitizers must be told of a switch between stacks.  Empty in ordinary builds.
 *
 * ASan: the bounds of the stack that is gone to, and the fake stack of the one that is left.
 *
 * TSan: to it the tasks of one worker are as far apart as threads, so that it sees races between
 * them.  That takes more than a switch that does not synchronise.  The queues, caches and counters
 * of a worker are used by whatever task runs there: with a context per task TSan would see races
 * where there is one owner; and what is atomic of them would order all that these tasks do, as the
 * head of the ready ring orders any two that yield.  So there are two kinds of contexts, tasks and
 * schedulers.
 *
 *     task ---- lw_apart_begin: no edge ---> scheduler of the thread ---- a resume: edge ---> task
 *
 * All that belongs to a worker is touched in the scheduler's context, that of the thread's own
 * stack; a guest has one made for it.  Schedulers are ordered among themselves by the runtime's own
 * atomics, which TSan checks as it does any others, and know nothing of what tasks do.  So nothing
 * passes from task to task but what is promised:
 *
 *     spawn  ->  first run    ctl: release by the spawner          ->  lw_fiber_begin
 *     wake   ->  waiter       wait: release by who ends the wait   ->  acquire after the park, [W2]
 *     end    ->  join, group  peer, running: see task.c, group.c
 *
 * and what each primitive orders by its own word.  The rules that follow from it:
 * - What a task writes and a scheduler reads (links of records, the budget) is accessed with
 *   relaxed atomics.
 * - Where a scheduler must look into a task's words with acquire (a timer into the wait word, the
 *   poller into a descriptor's), it does so deaf: lw_deaf_begin.
 * - On a task's stack the scheduler's plain accesses are not seen: its frames lie where the task's
 *   lay a moment before.  On the thread's own stack, where it searches, steals and sleeps, they
 *   are.
 * - Those who have the same slot or stack one after the other are ordered: lw_fiber_begin,
 *   lw_fiber_end.  So of tasks that follow each other there without a switch in between TSan misses
 *   races; it reports none that are not.
 * - A thread that has no struct lw_thread (a helper, the tick thread) is its own scheduler: what it
 *   wakes lets the workers know of its past.
 * - A context's shadow call stack must fit: begin and end in one function; who leaves one stack and
 *   ends on another is LW_UNSEEN.
 *
 * LATCHWORK_TSAN=together in the environment: switches synchronise, tasks and scheduler are one,
 * and all that is done on whatever stack is seen.  So races of the scheduler itself show that are
 * hidden otherwise, and those of tasks of one worker do not.
 *
 * Rejected: not to instrument the scheduler at all; a release and an acquire of a token per worker,
 * which would order the tasks again. */
#ifndef LW_RUNTIME_FIBER_H
#define LW_RUNTIME_FIBER_H

#include "runtime/os/sanitizer.h"
#include "runtime/stack.h"
#include "runtime/thread.h"

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

/* TSan instruments nothing of it: neither accesses, nor the call. */
#if defined(LW_TSAN) && defined(__clang__)
#define LW_UNSEEN __attribute__((disable_sanitizer_instrumentation))
#elif defined(LW_TSAN)
#define LW_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define LW_UNSEEN
#endif

#ifdef LW_TSAN
/* Exported by TSan's runtime, declared in none of its headers. */
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *address, size_t size,
                             const char *text);
void AnnotateIgnoreReadsBegin(const char *file, int line); /* of writes too */
void AnnotateIgnoreReadsEnd(const char *file, int line);

extern bool lw_fibers_together; /* LATCHWORK_TSAN=together */
#endif

/* From the task's context to the scheduler's, if it is not there already; then back. */
LW_MUST_CHECK LW_INLINE void *lw_apart_begin(const struct lw_thread *thread)
{
#ifdef LW_TSAN
    void *task = __tsan_get_current_fiber();

    if (thread != NULL && thread->idle_fiber != NULL && thread->idle_fiber != task &&
        !lw_fibers_together) {
        __tsan_switch_to_fiber(thread->idle_fiber, __tsan_switch_to_fiber_no_sync);
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        return task;
    }
#endif
    (void)thread;
    return NULL;
}

LW_INLINE void lw_apart_end(void *task)
{
#ifdef LW_TSAN
    if (task != NULL) {
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        __tsan_switch_to_fiber(task, __tsan_switch_to_fiber_no_sync);
    }
#endif
    (void)task;
}

/* The scheduler looks into words of tasks: nothing in between is seen, or orders anything. */
LW_INLINE void lw_deaf_begin(void)
{
#ifdef LW_TSAN
    if (lw_fibers_together)
        return;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
#endif
}

LW_INLINE void lw_deaf_end(void)
{
#ifdef LW_TSAN
    if (lw_fibers_together)
        return;
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
}

/* An edge between schedulers that TSan has to be told of: it came through tasks. */
LW_INLINE void lw_fiber_release(void *word)
{
#ifdef LW_TSAN
    __tsan_release(word);
#endif
    (void)word;
}

LW_INLINE void lw_fiber_acquire(void *word)
{
#ifdef LW_TSAN
    __tsan_acquire(word);
#endif
    (void)word;
}

/* A task begins, in its own context, on that stack; and ends, before its record may be reused. */
LW_INLINE void lw_fiber_begin(const struct lw_record *record, const struct lw_stack_head *head)
{
#ifdef LW_TSAN
    __tsan_acquire((void *)(uintptr_t)&record->ctl);
    __tsan_acquire((void *)(uintptr_t)lw_record_cold(record));
    __tsan_acquire((void *)(uintptr_t)head);
#endif
    (void)record;
    (void)head;
}

LW_INLINE void lw_fiber_end(const struct lw_record *record)
{
#ifdef LW_TSAN
    __tsan_release((void *)(uintptr_t)lw_record_cold(record));
    if (!lw_record_is_guest(record))
        __tsan_release(lw_record_stack(record));
#endif
    (void)record;
}

/* One more in a counter of the worker's own, of which others learn what was done before.  To TSan
 * the tasks that count are several threads, and only a read-modify-write keeps what the others
 * released. */
LW_INLINE void lw_fiber_count(uint64_t *counter)
{
#ifdef LW_TSAN
    (void)__atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
#else
    lw_store_rel(counter, lw_load_rlx(counter) + 1);
#endif
}

/* Before the switch away, in the scheduler's context, to which lw_apart_begin() came from `task`:
 * `to` NULL is the idle stack; `saved_sp` is where the stack pointer will be published [S1], `fake`
 * where the fake stack is kept, both NULL when this stack is left for ever. */
LW_INLINE void lw_fiber_leave(struct lw_thread *thread, const struct lw_record *to, void *task,
                              void **saved_sp, void **fake)
{
#ifdef LW_SIMULATED
    if (LW_SIM_RARELY(lw_sim_weak) && saved_sp != NULL)
        lw_sim_releases(saved_sp, sizeof *saved_sp); /* the switch's own store, [S1] */
#endif
#if defined(LW_TSAN)
    struct lw_stack_head *head = to != NULL ? lw_record_stack(to) : NULL;

    if (saved_sp != NULL)
        __tsan_release(saved_sp);
    if (head != NULL) {
        __tsan_acquire((void *)(uintptr_t)&to->sp);
        if (head->fiber == NULL)
            head->fiber = __tsan_create_fiber(0);
    }
    if (task != NULL) /* we stand on a task's stack */
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    if (head != NULL)
        __tsan_switch_to_fiber(head->fiber, 0);
    else if (lw_fibers_together)
        __tsan_switch_to_fiber(thread->idle_fiber, 0);
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
    (void)task;
    (void)saved_sp;
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

/* On the stack of a worker's thread; of a guest. */
void lw_fiber_thread_init(struct lw_thread *thread);
void lw_fiber_guest_init(struct lw_thread *thread);
void lw_fiber_guest_fini(struct lw_thread *thread);

#endif
