/* SPDX-License-Identifier: MIT */
/* Which task runs next, and getting there.
 *
 * Order: `next` (at most 16 hand-offs in a row), then the ready ones in the order they were woken,
 * then the fresh ones newest first: resume before start keeps few stacks in use and wakes
 * punctual.  After 64 picks from ready in a row while a fresh one waits, the oldest fresh; the
 * injection stack at least every 16th pick.
 *
 * Leaving a stack.  A task is queued before it has left its stack, by whoever wins its wait.  "On
 * a CPU" is sp == 0; lw_switch stores sp once the stack is left.  Who dequeues a task and finds 0
 * puts it back and takes another; when there is none, it first leaves its own task's stack for the
 * idle stack of the thread (which publishes its own sp), and only there waits: two workers that
 * each want the task on the other's CPU would otherwise wait for ever.
 *
 * [S1] stack contents:  sp, release, by lw_switch after leaving  ->  sp, acquire, by the
 * dequeuer. */
#include "runtime/worker.h"

#include <errno.h>
#include <latchwork/task.h>
#include <unistd.h>

#include "runtime/fiber.h"
#include "runtime/idle.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"

enum {
    COLOURS = 32,          /* first frames start at 32 different cache lines of the top page */
    ATTEND_NS = 50000,
    INJECT_BATCH = 64,
    ON_STACK_TRIES = 4,
    FETCH_MIN = 8,
};

struct lw_runtime *lw_runtimes[LW_RUNTIMES_MAX];
ptrdiff_t lw_errno_offset;
__thread struct lw_thread *lw_thread_tls;

__attribute__((constructor)) static void note_errno(void)
{
    lw_errno_offset = (char *)&errno - (char *)__builtin_thread_pointer();
}

/* ---- picking */

/* With many ready, new ones had better wait in the kernel's queue: in the ring they would take the
 * room from older ones that had to go to the injection stack. */
static bool has_room(const struct lw_worker *worker)
{
    return !worker->overflowed && lw_ring_size(&worker->ready) <= LW_RING_SIZE / 4;
}

void lw_attend(struct lw_worker *worker, bool look)
{
    lw_nsec now = lw_sys.now();

    if (now - worker->attended_at < ATTEND_NS)
        return;
    lw_store_rlx(&worker->attended_at, now);
    if (lw_load_rlx(&lw_coarse_ms) != (uint32_t)(now / LW_MS))
        lw_store_rlx(&lw_coarse_ms, (uint32_t)(now / LW_MS));
    if (lw_wheel_is_due(&worker->wheel, now))
        (void)lw_wheel_run(&worker->wheel, now, LW_EXPIRE_MAX);
    if (lw_load_rlx(&worker->poller.registered) != 0 &&
        ((look && has_room(worker)) ||
         now - lw_load_rlx(&worker->polled_at) >= LW_UNPOLLED_MAX_NS)) {
        lw_store_rlx(&worker->polled_at, now);
        (void)lw_poller_look(&worker->poller);
    }
}

/* Bring injected ones into the ring, as many as have room; false: there were none. */
static bool pull_injected(struct lw_worker *worker)
{
    struct lw_record *taken[INJECT_BATCH];
    unsigned room = LW_RING_SIZE - (unsigned)lw_ring_size(&worker->ready);
    unsigned count, max = room < INJECT_BATCH ? room : INJECT_BATCH;

    if (lw_unlikely(worker->retiring))
        return false;
    if (lw_inject_is_empty(&worker->runtime->inject)) {
        worker->overflowed = false;
        return false;
    }
    if (max == 0) {
        /* who yields makes room: else tasks that only yield would keep the ring full for ever */
        worker->overflowed = true;
        return false;
    }
    count = lw_inject_take(&worker->runtime->inject, taken, max);
    for (unsigned i = 0; i < count; i++)
        lw_push_ready(worker, taken[i]);
    /* There may be more; and one who looked while these were in our hands has seen nothing. */
    if (count > 1)
        lw_maybe_wake_a_worker(worker->runtime);
    return count > 0;
}

/* The oldest ready one.  Its stack is touched next; those of the ones behind it are fetched ahead,
 * since with many tasks each resume would wait for memory otherwise. */
LW_INLINE struct lw_record *pop_ready(struct lw_worker *worker)
{
    struct lw_record *record = lw_ring_pop(&worker->ready);
    uint64_t head;

    if (record == NULL)
        return NULL;
    head = lw_load_rlx(&worker->ready.head);
    if (lw_load_rlx(&worker->ready.tail) - head > FETCH_MIN) {
        const struct lw_record *ahead =
            lw_load_rlx(&worker->ready.slots[(head + 2) % LW_RING_SIZE]);
        uintptr_t sp = (uintptr_t)lw_load_rlx(&ahead->sp); /* 0: then what is fetched is nothing */

        __builtin_prefetch(lw_load_rlx(&worker->ready.slots[(head + 6) % LW_RING_SIZE]), 1);
        __builtin_prefetch((void *)(sp), 1);
        __builtin_prefetch((void *)(sp + 64), 1);
        __builtin_prefetch((void *)(sp + 128), 1);
        __builtin_prefetch((void *)(sp + 192), 1);
    }
    return record;
}

static struct lw_record *oldest_fresh(struct lw_worker *worker)
{
    struct lw_record *record;
    bool lost;

    do
        record = lw_deque_steal(&worker->fresh, &lost);
    while (record == NULL && lost);
    return record;
}

LW_INLINE struct lw_record *take_next(struct lw_worker *worker)
{
    struct lw_record *record = lw_load_rlx(&worker->next);

    if (record != NULL && !lw_cas_acq(&worker->next, &record, NULL)) /* [N1] */
        record = NULL; /* a thief has it */
    return record;
}

void lw_give_away(struct lw_worker *worker)
{
    struct lw_record *record = lw_swap_acq_rel(&worker->next, NULL); /* [N1] */
    struct lw_record *youngest = NULL, *oldest = NULL;

    if (record == NULL)
        record = lw_ring_pop(&worker->ready);
    for (; record != NULL || (record = oldest_fresh(worker)) != NULL;
         record = lw_ring_pop(&worker->ready)) {
        lw_store_rlx(&record->next, youngest);
        youngest = record;
        if (oldest == NULL)
            oldest = record;
    }
    if (youngest != NULL)
        lw_make_injected(worker->runtime, youngest, oldest);
}

/* Each 16th dispatch, or when the tick thread has asked for it: look outside. */
static LW_NOINLINE void look_outside(struct lw_worker *worker)
{
    lw_store_rlx(&worker->look_at, worker->dispatches + LW_ATTEND_EVERY);
    worker->retiring = lw_worker_is_spare(worker);
    if (lw_unlikely(worker->retiring)) {
        lw_store_rlx(&worker->look_at, 0);
        lw_give_away(worker);
        return;
    }
    (void)pull_injected(worker);
    if (lw_unlikely(lw_load_rlx(&worker->help) != 0)) {
        lw_store_rlx(&worker->help, 0);
        (void)lw_look_around(worker, lw_sys.now());
    }
    if (lw_load_rlx(&worker->wheel.count) != 0 || lw_load_rlx(&worker->poller.registered) != 0)
        lw_attend(worker, true);
}

LW_INLINE void count_dispatch(struct lw_worker *worker)
{
    uint64_t dispatches = worker->dispatches + 1;

    lw_store_rlx(&worker->dispatches, dispatches);
    if (lw_unlikely(dispatches >= lw_load_rlx(&worker->look_at)))
        look_outside(worker);
}

static LW_NOINLINE struct lw_record *pick_fresh(struct lw_worker *worker)
{
    struct lw_record *record = lw_deque_pop(&worker->fresh);

    worker->streak = 0;
    if (record == NULL && pull_injected(worker))
        record = lw_ring_pop(&worker->ready);
    return record;
}

static LW_NOINLINE struct lw_record *pick_ready(struct lw_worker *worker)
{
    struct lw_record *record;

    worker->chain = 0;
    if (lw_unlikely(worker->streak >= LW_READY_STREAK_MAX)) {
        worker->streak = 0;
        record = oldest_fresh(worker);
        if (record != NULL)
            return record;
    }
    record = pop_ready(worker);
    if (lw_unlikely(record == NULL))
        return pick_fresh(worker);
    worker->streak += lw_deque_size(&worker->fresh) != 0;
    return record;
}

/* `next` was there: it, or when it has gone, or the chain is long enough, another. */
LW_INLINE struct lw_record *pick_next(struct lw_worker *worker, struct lw_record *record)
{
    if (lw_unlikely(!lw_cas_acq(&worker->next, &record, NULL))) /* [N1] a thief has it */
        return pick_ready(worker);
    if (lw_likely(++worker->chain <= LW_CHAIN_MAX))
        return record;
    lw_push_ready(worker, record);
    return pick_ready(worker);
}

/* Tail calls only, so that the usual ways save no registers. */
LW_INLINE struct lw_record *pick(struct lw_worker *worker)
{
    struct lw_record *next;

    count_dispatch(worker);
    next = lw_load_rlx(&worker->next);
    if (next != NULL)
        return pick_next(worker, next);
    if (lw_load_rlx(&worker->ready.head) != lw_load_rlx(&worker->ready.tail))
        return pick_ready(worker);
    worker->chain = 0;
    return pick_fresh(worker);
}

struct lw_record *lw_pick(struct lw_worker *worker)
{
    return pick(worker);
}

/* ---- going there */

/* A task is about to run for the first time, on that stack. */
LW_INLINE void settle(struct lw_record *record, struct lw_stack_head *head)
{
    lw_record_begin(record);
    lw_store_rlx(&record->place, lw_load_rlx(&record->place) | (uintptr_t)head);
}

/* Bind a stack to a task that never ran.  False: there is none just now. */
LW_INLINE bool bind_stack(struct lw_worker *worker, struct lw_record *record)
{
    unsigned class = lw_record_class(record);
    struct lw_stack_head *head = lw_stack_take(&worker->stacks, class);

    if (head == NULL)
        return false;
    settle(record, head);
    return true;
}

LW_INLINE bool never_ran(const struct lw_record *record)
{
    /* It may be queued while it still runs, and enrols in its group. */
    return (lw_load_rlx(&record->place) & LW_PLACE_STACK) == 0;
}

LW_INLINE void *first_frame(const struct lw_record *record)
{
    struct lw_stack_head *head = lw_record_stack(record);

    return (char *)head - (head->slot * 5 % COLOURS) * 64;
}

/* Put back what cannot run just now. */
static void put_back(struct lw_worker *worker, struct lw_record *record)
{
    lw_push_ready(worker, record);
}

/* Where to go: a saved stack pointer, or the first frame of a fresh stack with bit 0 set. */
enum { FRESH = 1 };
struct way {
    struct lw_record *to;
    uintptr_t sp;
};

/* The way to `to`; 0: it cannot run just now and was put back. */
LW_INLINE uintptr_t way_to(struct lw_worker *worker, struct lw_record *to)
{
    if (lw_unlikely(never_ran(to))) {
        if (lw_likely(bind_stack(worker, to)))
            return (uintptr_t)first_frame(to) | FRESH;
    } else {
        void *sp = lw_record_take_sp(to); /* [S1] */

        if (lw_likely(sp != NULL))
            return (uintptr_t)sp;
    }
    put_back(worker, to);
    return 0;
}

/* The first choice cannot run just now: another.  to NULL: the idle stack; to the current task: it
 * was woken meanwhile, and is still here. */
static LW_NOINLINE struct way another_way(struct lw_thread *thread)
{
    for (int tries = 0; tries < ON_STACK_TRIES; tries++) {
        struct lw_record *to = lw_pick(thread->worker);
        uintptr_t sp;

        if (to == NULL)
            break;
        if (to == lw_load_rlx(&thread->current))
            return (struct way){to, 0};
        sp = way_to(thread->worker, to);
        if (sp != 0)
            return (struct way){to, sp};
    }
    return (struct way){NULL, (uintptr_t)thread->idle_sp};
}

/* The one place from which stacks are left to come back: one call of lw_switch, so that returns are
 * predicted.  to NULL: the idle stack.  Nothing read before the switch may be used after it. */
static LW_NOINLINE void switch_to(struct lw_thread *thread, struct lw_record *to)
{
    struct lw_record *from = lw_load_rlx(&thread->current);
    void **saved_sp = from != NULL ? &from->sp : &thread->idle_sp;
    int saved_errno = lw_errno_get(lw_errno_offset);
    void *fake = NULL, *task = lw_apart_begin(thread);
    uintptr_t sp = (uintptr_t)thread->idle_sp;

    if (lw_likely(to != NULL)) {
        sp = way_to(thread->worker, to);
        if (lw_unlikely(sp == 0)) {
            struct way other = another_way(thread);

            to = other.to;
            sp = other.sp;
        }
    }
    if (lw_unlikely(to == from)) { /* or on the idle stack already */
        lw_apart_end(task);
        return;
    }
    lw_thread_run(thread, to);
    lw_fiber_leave(thread, to, task, saved_sp, &fake);
    if (lw_unlikely((sp & FRESH) != 0)) {
        lw_errno_put(lw_errno_offset, 0);
        lw_switch_new(saved_sp, (void *)(sp & ~(uintptr_t)FRESH));
    } else {
        lw_switch(saved_sp, (void *)sp);
    }
    lw_fiber_arrive(fake);
    lw_errno_put(lw_errno_offset, saved_errno);
}

void lw_park(void)
{
    struct lw_thread *thread = lw_thread_self();
    void *task = lw_apart_begin(thread);
    struct lw_record *to = pick(thread->worker);

    lw_apart_end(task);
    if (lw_likely(to != lw_load_rlx(&thread->current)))
        switch_to(thread, to);
}

void lw_run_from_idle(struct lw_thread *thread, struct lw_record *record)
{
    switch_to(thread, record);
}

/* Who else may run now, with the caller queued behind it; NULL: nobody, and it is not queued unless
 * *away. */
LW_INLINE struct lw_record *pick_other(struct lw_thread *thread, bool *away)
{
    struct lw_worker *worker = thread->worker;
    struct lw_record *me = lw_load_rlx(&thread->current), *to;

    count_dispatch(worker);
    worker->chain = 0;
    to = take_next(worker);
    if (to != NULL)
        lw_push_ready(worker, to);
    to = lw_deque_size(&worker->fresh) != 0 ? oldest_fresh(worker) : NULL;
    if (to == NULL)
        to = pop_ready(worker);
    if (to == NULL && pull_injected(worker))
        to = lw_ring_pop(&worker->ready);
    *away = to != NULL;
    if (lw_unlikely(to == NULL && worker->retiring)) {
        *away = true;
        lw_make_injected(worker->runtime, me, me);
    }
    if (to == NULL)
        return NULL;
    /* The pushes here ring for nobody: the tick thread does, for who sleeps.  Once the ring has
     * overflowed, what yields goes behind what had to go to the injection stack. */
    if (lw_unlikely(worker->overflowed))
        lw_inject_push(&worker->runtime->inject, me, me);
    else
        lw_push_ready(worker, me);
    return to;
}

void lw_yield(void)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_record *to;
    void *task;
    bool away;

    if (thread == NULL || thread->worker == NULL)
        return;
    task = lw_apart_begin(thread);
    to = pick_other(thread, &away);
    lw_apart_end(task);
    if (lw_unlikely(!away))
        lw_store_rlx(&thread->budget, LW_BUDGET);
    else
        switch_to(thread, to);
}

/* The life of a stack: run the task it was bound to, then, as long as there are, others that never
 * ran.  Entered by a jump, left by a jump. */
__attribute__((noreturn, used, visibility("hidden"))) LW_UNSEEN void lw_task_main(void);

void lw_task_main(void)
{
    lw_fiber_arrive(NULL);
    for (;;) {
        struct lw_thread *thread = lw_thread_self();
        struct lw_record *me = thread->current, *to;
        struct lw_stack_head *head = lw_record_stack(me);
        unsigned class = lw_record_class(me);
        int status;
        uintptr_t sp;

        lw_fiber_begin(me, head);
        status = me->fn(me->arg);

        thread = lw_thread_self(); /* it may be another one now */
        if (lw_unlikely(thread == NULL))
            _exit(status); /* fn called fork(2), and this is the child: see fork.c */
        struct lw_worker *worker = thread->worker;

        lw_task_finish(worker, me, status);
        void *task = lw_apart_begin(thread);

        lw_fiber_clean(head, lw_stack_bytes(class), __builtin_frame_address(0));
        to = lw_pick(worker);
        if (to != NULL && never_ran(to) && lw_record_class(to) == class) {
            settle(to, head);
            lw_thread_run(thread, to);
            lw_errno_put(lw_errno_offset, 0);
            lw_apart_end(task);
            continue;
        }
        lw_thread_run(thread, NULL);
        lw_stack_give(&worker->stacks, class, head); /* still under our feet: see lw_stack_give() */
        if (to != NULL && never_ran(to)) {
            put_back(worker, to); /* of another class: from the idle stack */
            to = NULL;
        }
        sp = to != NULL ? way_to(worker, to) : 0;
        if (sp == 0) {
            to = NULL;
            sp = (uintptr_t)thread->idle_sp;
        }
        lw_thread_run(thread, to);
        lw_fiber_leave(thread, to, task, NULL, NULL);
        lw_leave_to((void *)sp);
    }
}
