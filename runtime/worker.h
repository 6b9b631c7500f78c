/* SPDX-License-Identifier: MIT */
/* A worker is what others may look into: queues, wheel, poller, counters.  The thread that runs it
 * is a struct lw_thread.  A runtime is a set of workers and an injection stack. */
#ifndef LW_RUNTIME_WORKER_H
#define LW_RUNTIME_WORKER_H

#include <latchwork/runtime.h>
#include <pthread.h>

#include "runtime/deque.h"
#include "runtime/inject.h"
#include "runtime/poller.h"
#include "runtime/ring.h"
#include "runtime/stack.h"
#include "runtime/thread.h"
#include "runtime/timer.h"

#ifdef LW_SIMULATED
enum { LW_WORKERS_MAX = 32, LW_RUNTIMES_MAX = 8 }; /* a step for each place that is looked at */
#else
enum { LW_WORKERS_MAX = 256, LW_RUNTIMES_MAX = 64 }; /* workers: per runtime, spares included */
#endif

enum {
    LW_CHAIN_MAX = 16,         /* hand-offs in a row through `next` */
    LW_READY_STREAK_MAX = 64,  /* picks from ready in a row while a fresh one waits */
    LW_ATTEND_EVERY = 16,
    LW_UNPOLLED_MAX_NS = 5000000, /* so long descriptors wait, however much there is to do */
    LW_EXPIRE_MAX = 256,       /* timers at one go */
    LW_MANY_READY = 16,        /* worth a thief's while */
    LW_AGE_MIN_NS = 5000,      /* how long a thief first sees something not move */
};

/* What a thief remembers of a victim. */
struct lw_sight {
    uint64_t fresh, ready, dispatches;
    struct lw_record *next;
    unsigned long fresh_since, ready_since, next_since;
};

struct lw_worker {
    /* the owner's */
    struct lw_thread *thread;
    struct lw_runtime *runtime;
    uint32_t index;             /* in its runtime */
    uint32_t chain, streak;
    uint32_t sleep_stage;
    /* The ring was full: yields go through the injection stack until that is empty. */
    uint32_t overflowed;
    bool searching;
    bool retiring;              /* it is a spare that is not needed now: others get what it has */
    int64_t search_ns;          /* how long the next search may look */
    int64_t nap_ns, nap_until;  /* how long the last nap was meant to be; 0: it naps no more */
    unsigned long looted_at, age;
    int64_t attended_at;
    struct lw_record_cache records;
    struct lw_stack_cache stacks;
    struct lw_sight *sights;    /* per worker of the runtime */

    /* written by the owner, read by all */
    uint64_t dispatches __attribute__((aligned(64)));
    uint64_t look_at;           /* the dispatch at which to look outside; the tick thread: 0 */
    uint64_t spawned, ended;
    int64_t polled_at;
    uint64_t dispatches_seen;   /* the tick thread's */
    uint32_t quiet_looks;       /* the tick thread's: looks without a dispatch */
    uint32_t sleeps_long;       /* its sleep is of the last stage */
    struct lw_record *next;     /* the task woken last; thieves may take it */

    /* written by all */
    uint32_t asleep __attribute__((aligned(64)));
    uint32_t help;              /* the tick asks the owner to look at the others, too */

    struct lw_deque fresh __attribute__((aligned(64))); /* never started, spawned here */
    struct lw_ring ready __attribute__((aligned(64)));  /* woken and yielded */
    struct lw_wheel wheel __attribute__((aligned(64)));
    struct lw_poller poller;
    pthread_t pthread;
    void *memory;               /* what to free: the worker lies aligned in it */
};

enum lw_runtime_state { LW_RUNTIME_RUNNING, LW_RUNTIME_STOPPING, LW_RUNTIME_LEAVING };

struct lw_helpers;
struct lw_wake_batch;

struct lw_runtime {
    const char *name;
    unsigned number;            /* in lw_runtimes */
    unsigned stack_class;
    unsigned helpers_max;
    lw_nsec stop_within;
    uint32_t state;             /* LW_RUNTIME_x */
    uint32_t worker_count;      /* grows when spares join */
    uint32_t worker_goal;       /* as configured */
    uint32_t worker_limit; /* workers with this number and above sleep: spares not needed now */
    uint8_t exhaustion_told; /* the tick thread's */
    uint32_t idle_word; /* changes when a worker finds nothing while stopping; a futex */
    uint64_t guest_spawned;
    struct lw_helpers *helpers; /* blocking.c */
    void *defaults;             /* the primitives' numbers for its tasks: one block, or NULL */

    uint32_t sleeping __attribute__((aligned(64)));  /* workers asleep */
    uint32_t searching;         /* workers looking for work, or being woken to look */
    struct lw_inject inject __attribute__((aligned(64)));
    struct lw_worker *workers[LW_WORKERS_MAX];
};

extern struct lw_runtime *lw_runtimes[LW_RUNTIMES_MAX];

/* The runtime of the calling task; of a plain thread: the only one that runs.  NULL: none or
 * several. */
struct lw_runtime *lw_runtime_here(void);

/* ---- ready.c */

/* Make a task runnable; never fails, sleeps or allocates.  The caller has won its wait (or it is
 * new). */
void lw_make_ready(struct lw_record *record, bool next);
/* Many, linked by next. */
void lw_make_all_ready(struct lw_record *first);
/* A new one, spawned by this worker's task; joinable ones newest first, detached ones in their
 * turn. */
void lw_make_fresh(struct lw_worker *worker, struct lw_record *record);
void lw_make_injected(struct lw_runtime *runtime, struct lw_record *youngest,
                      struct lw_record *oldest);

/* To the tail of the worker's ready ring; by its thread.  The ring full: to the injection stack. */
void lw_push_overflow(struct lw_worker *worker, struct lw_record *record);

LW_INLINE void lw_push_ready(struct lw_worker *worker, struct lw_record *record)
{
    if (lw_unlikely(!lw_ring_push(&worker->ready, record)))
        lw_push_overflow(worker, record);
}

/* ---- sched.c */

/* All that waits for its turn here goes to the others. */
void lw_give_away(struct lw_worker *worker);

/* The next task of this worker's own, or NULL. */
struct lw_record *lw_pick(struct lw_worker *worker);

/* Leave the running task, which has published its wait; returns when it runs again, maybe
 * elsewhere. */
void lw_park(void);

/* From the idle stack: run it until some task of this worker goes back to the idle stack. */
void lw_run_from_idle(struct lw_thread *thread, struct lw_record *record);

/* Clock and due timers, at most every 50 us; the poller too if `look`, or if it was not looked at
 * for long. */
void lw_attend(struct lw_worker *worker, bool look);

/* ---- steal.c */

/* One look at all the others: take work from them, and do for them what they do not get to.  True:
 * something is in our own queues now. */
bool lw_look_around(struct lw_worker *worker, lw_nsec now);
/* What was stolen last is used up: was it worth it? */
void lw_judge_loot(struct lw_worker *worker, unsigned long now);

/* ---- worker.c */
/* Another worker was stuck when this one was started, and is not any more. */
bool lw_worker_is_spare(const struct lw_worker *worker);
int lw_worker_start(struct lw_runtime *runtime, unsigned index); /* -ENOMEM, -EAGAIN, ... */
void lw_worker_free(struct lw_worker *worker);
void lw_wake_a_worker(struct lw_runtime *runtime);
/* By one who is no worker, where nobody sleeps in earnest: at best; a nap ends by itself. */
void lw_wake_a_napper(struct lw_runtime *runtime);

/* ---- task.c */

/* Spawn: group NULL: task NULL is detached; else a child of the group, of that epoch. */
int lw_task_spawn(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options,
                  const void *site, struct lw_group *group, uint16_t epoch);
/* The same for a child, quicker. */
int lw_task_spawn_child(lw_fn *fn, void *arg, const lw_task_options *options, const void *site,
                        struct lw_group *group, uint16_t epoch);
/* The end of a task, on its own stack; the record is not the caller's afterwards. */
void lw_task_finish(struct lw_worker *worker, struct lw_record *record, int status);

/* Records of guests. */
struct lw_record *lw_guest_record_take(void);
void lw_guest_record_give(struct lw_record *record);
void lw_guest_record_put(struct lw_record *record); /* its ctl says already that it is over */
void lw_guest_records_drain(void);
size_t lw_guest_records_idle(void); /* in the cache of all guests: for tests */

/* What a task that ends still holds is dealt with by the locks' own code; NULL until they are
 * linked. */
extern void (*lw_holds_abandon)(struct lw_record *record);

/* Requests to let go of locks are the locksmith's; NULL until it is linked.  ends: the task does,
 * with that status, and answers nothing any more; once before it abandons what it holds, and once
 * (over) after that.  again: what has ended a wait of the caller is due again, if it still
 * stands. */
extern void (*lw_asked_ends)(struct lw_record *me, int status, bool over);
extern void (*lw_asked_again)(struct lw_record *me, uint64_t flags);

/* The caller ends, and has something left to settle. */
void lw_task_settle(struct lw_record *me, int status);

/* The caller ends, and is handed nothing, nor asked for anything, from here on: true: it has
 * something to settle. */
LW_INLINE bool lw_task_is_to_settle(struct lw_record *me)
{
    const struct lw_cold *cold = lw_record_cold(me);

    lw_store_rel(&me->place, lw_load_rlx(&me->place) | LW_PLACE_ENDED); /* [R4] */
    lw_asym_light(); /* [G1] of transfer.c, [A1] of request.c */
    return (cold->nheld | cold->holds_lost) != 0 ||
           /* Without the look it leaves what it was handed, or asked, while it ended. */
           lw_recheck((lw_load_rlx(&me->ctl) & (LW_GIVEN | LW_ASKED)) != 0);
}

/* ---- group.c: hooks of the end of a child and of its first wait */
void lw_group_child_ended(struct lw_group *group, struct lw_record *child, int status);
void lw_group_child_left(struct lw_group *group);
void lw_group_enroll(struct lw_record *child);

/* ---- cancel.c */
/* Record a cancel in ctl; false: that life is over.  The caller then fences heavily, once for
 * many, and ends the wait. */
bool lw_cancel_request(struct lw_record *record, uint32_t generation);
/* After the heavy fence: end the wait there is, unless it is shielded.  batch NULL: wakes at
 * once. */
void lw_cancel_wait(struct lw_record *record, uint32_t generation, struct lw_wake_batch *batch);

/* A cancel that was delivered to the caller, who passed it on, is due again; flags of ctl that have
 * ended its wait are. */
void lw_cancel_restore(struct lw_record *me);
void lw_force_restore(struct lw_record *me, uint64_t flags);

/* ---- tick.c: the thread that watches the workers (and later looks for deadlocks) */
#define LW_TICK_NAME "lw-locksmith"
int lw_tick_start(void);
void lw_tick_stop(void);
void lw_tick_wake(void);
extern uint32_t lw_tick_asleep;

/* What the thread does besides; NULL: nothing.  Called at each look, and quiet: when all workers
 * sleep, and after lw_tick_asleep was set.  Returns when it is to be called again; LW_FOREVER:
 * after a wake.  Not under a lock. */
extern lw_nsec (*lw_tick_duty)(lw_nsec now, bool quiet);

/* What is done when the thread has ended, by who has ended it; NULL: nothing.  Whether it is
 * there. */
extern void (*lw_tick_over)(void);
bool lw_tick_runs(void);

/* All workers of a runtime are blocked in calls that it knows nothing of, and tasks are ready. */
enum { LW_EXHAUSTED_TOLD = 8 };
struct lw_exhausted {
    const char *runtime; /* its name; NULL */
    bool spare;          /* another worker has joined */
    uint32_t blocked;    /* workers */
    uint32_t count;      /* of tasks[]: ids of those that they run */
    uint64_t tasks[LW_EXHAUSTED_TOLD];
};

/* Who is told of that; NULL: nobody.  Under the runtimes' lock: it does not call the program.
 * False: it has no time; it will be called again. */
extern bool (*lw_tick_exhausted)(const struct lw_exhausted *exhausted);

/* For how long the task has run without a pause, if it has for long; else 0. */
uint32_t lw_busy_ms(uint64_t id, uint32_t now_ms);

/* ---- runtime.c */

/* The worker that the calling thread runs; NULL: none. */
LW_INLINE struct lw_worker *lw_worker_here(void)
{
    struct lw_thread *thread = lw_thread_self();

    return thread != NULL ? thread->worker : NULL;
}

/* Guards the table of runtimes, and with it that none of them is freed. */
void lw_runtimes_lock(void);
void lw_runtimes_unlock(void);

/* The same for a few instructions of a thread that is none of the runtime's workers: what it hands
 * to the runtime may end, and the runtime be stopped, before it has finished handing it over.
 * There are two counts, so that who waits for those who pinned before does not wait for those who
 * pin now.
 *
 * [T2] pin; look for the runtime, or at its state  <->  its state or its place in the table
 *      changes;
 *      see each count at 0 once; all seq_cst. */
extern uint32_t lw_runtimes_pins[2], lw_runtimes_phase;

LW_MUST_CHECK LW_INLINE uint32_t lw_runtimes_pin(void)
{
    uint32_t phase =
        lw_load_rlx(&lw_runtimes_phase) % 2; /* either would do: see lw_runtimes_flush() */

    (void)lw_add_sc(&lw_runtimes_pins[phase], 1); /* [T2] */
    return phase;
}

LW_INLINE void lw_runtimes_unpin(uint32_t pin)
{
    (void)lw_sub_rel(&lw_runtimes_pins[pin], 1);
}

/* ---- dump.c */
int lw_dump_record(int fd, struct lw_record *record); /* 0, or the error of write(2) */

#endif
