/* SPDX-License-Identifier: MIT */
/* Making tasks runnable: into the queues of the worker that the calling thread runs, or, by others
 * and where there is no room, onto the injection stack of the runtime.  Nothing here fails, sleeps
 * or allocates.
 *
 * [N1] next = record (release)  ->  CAS (acquire) of who takes it: the owner, or a thief. */
#include "runtime/fiber.h"
#include "runtime/idle.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

void lw_push_overflow(struct lw_worker *worker, struct lw_record *record)
{
    worker->overflowed = true;
    lw_inject_push(&worker->runtime->inject, record, record);
}

void lw_make_injected(struct lw_runtime *runtime, struct lw_record *youngest,
                      struct lw_record *oldest)
{
    void *task = lw_apart_begin(lw_thread_self());
    uint32_t pin = lw_runtimes_pin();

    lw_inject_push(&runtime->inject, youngest, oldest);
    if (lw_idle_is_to_ring(runtime)) /* [I1] [P3] */
        lw_wake_a_worker(runtime);
    if (lw_load_sc(&runtime->sleeping) == 0 && lw_load_sc(&runtime->searching) == 0) /* [P4] */
        lw_wake_a_napper(runtime);
    lw_runtimes_unpin(pin);
    lw_apart_end(task);
}

/* The worker of the calling thread if it belongs to the record's runtime; else NULL and
 * *runtime. */
LW_INLINE struct lw_worker *own_worker(const struct lw_record *record, struct lw_runtime **runtime)
{
    struct lw_thread *thread = lw_thread_self();

    *runtime = lw_load_rlx(&lw_runtimes[lw_record_runtime(record)]);
    if (thread == NULL || thread->worker == NULL || thread->worker->runtime != *runtime)
        return NULL;
    return thread->worker;
}

static LW_NOINLINE void make_ready_elsewhere(struct lw_record *record)
{
    struct lw_cold *cold = lw_record_cold(record);

    if (lw_record_is_guest(record))
        lw_sys.futex_wake((uint32_t *)(void *)&cold->wait + LW_WAIT_LOW_HALF, 1);
    else
        lw_make_injected(lw_load_rlx(&lw_runtimes[lw_record_runtime(record)]), record, record);
}

/* The slot is the worker's own to fill; when it is full, a thief may be emptying it. */
LW_INLINE void fill_next(struct lw_worker *worker, struct lw_record *record)
{
    lw_store_rel(&worker->next, record); /* [N1] */
}

static LW_NOINLINE void make_ready_here(struct lw_worker *worker, struct lw_record *record,
                                        bool next)
{
    if (next) {
        struct lw_record *before = lw_swap_acq(&worker->next, NULL);

        fill_next(worker, record);
        if (before == NULL)
            return;
        record = before;
    }
    lw_push_ready(worker, record);
    lw_maybe_wake_a_worker(worker->runtime);
}

void lw_make_ready(struct lw_record *record, bool next)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_worker *worker;
    void *task;

    if (lw_unlikely(thread == NULL || (worker = thread->worker) == NULL ||
                    lw_record_is_guest(record) ||
                    lw_record_runtime(record) != worker->runtime->number)) {
        make_ready_elsewhere(record);
        return;
    }
    task = lw_apart_begin(thread);
    if (next && lw_likely(lw_load_rlx(&worker->next) == NULL)) {
        fill_next(worker, record);
        lw_maybe_wake_a_worker(worker->runtime); /* the waker may go on for long */
    } else {
        make_ready_here(worker, record, next);
    }
    lw_apart_end(task);
}

static void make_all_ready(struct lw_record *first)
{
    struct lw_runtime *runtime;
    struct lw_worker *worker = own_worker(first, &runtime);
    struct lw_record *youngest = NULL, *oldest = NULL, *next;

    for (struct lw_record *record = first; record != NULL; record = next) {
        next = lw_load_rlx(&record->next);
        if (next != NULL)
            __builtin_prefetch(lw_load_rlx(&next->next));
        if (lw_unlikely(lw_load_rlx(&lw_runtimes[lw_record_runtime(record)]) != runtime)) {
            lw_make_ready(record, false); /* a batch over several runtimes: rare */
            continue;
        }
        if (worker != NULL && youngest == NULL && lw_ring_push(&worker->ready, record))
            continue;
        lw_store_rlx(&record->next, youngest); /* the rest as one chain, youngest first */
        youngest = record;
        if (oldest == NULL)
            oldest = record;
    }
    if (worker == NULL) {
        if (youngest != NULL)
            lw_make_injected(runtime, youngest, oldest);
        return;
    }
    if (youngest != NULL) {
        worker->overflowed = true;
        lw_inject_push(&runtime->inject, youngest, oldest);
    }
    lw_maybe_wake_a_worker(runtime);
}

void lw_make_all_ready(struct lw_record *first)
{
    void *task = lw_apart_begin(lw_thread_self());

    make_all_ready(first);
    lw_apart_end(task);
}

void lw_make_fresh(struct lw_worker *worker, struct lw_record *record)
{
    void *task = lw_apart_begin(worker->thread);

    if (lw_unlikely(!lw_deque_push(&worker->fresh, record)))
        lw_inject_push(&worker->runtime->inject, record, record);
    lw_maybe_wake_a_worker(worker->runtime);
    lw_apart_end(task);
}
