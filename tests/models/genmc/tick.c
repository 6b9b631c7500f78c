/* SPDX-License-Identifier: MIT */
/* How the tick thread falls asleep while all workers do, is woken by the first that runs again, and
 * ended: runtime/tick.c as it is, and runtime/idle.h.  One runtime with one worker, asleep in its
 * last stage.
 *
 * WAKES: the worker runs again.  Holds: it is looked at; the thread ends when it is told to.  (Of
 * time only that it passes: each wait that has a limit ends at once, but from when the worker has
 * been looked at until the thread has been told to end.)
 *
 * holds:
 * holds: -DWAKES
 * fails: -DWEAK_LOAD
 * fails: -DWAKES -DNO_LIGHT
 * fails: -DWAKES -DNO_HEAVY
 */
#include <latchwork/time.h>

/* ---- runtime/os/os.h */
#define LW_RUNTIME_OS_H

static bool looked_at; /* the tick thread's */
static uint32_t over; /* it has been told to end */

static int64_t sys_now(void)
{
    return 1;
}

static void sys_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline)
{
    if (deadline == LW_FOREVER)
        await(__atomic_load_n(word, __ATOMIC_RELAXED) != expected);
    else if (looked_at)
        await(__atomic_load_n(word, __ATOMIC_RELAXED) != expected ||
              __atomic_load_n(&over, __ATOMIC_RELAXED) != 0);
}

static void sys_futex_wake(uint32_t *word, int count)
{
}

static void sys_thread_name(const char *name)
{
}

static char sys_thread_state(int thread)
{
    return 'R';
}

static int sys_thread_create(pthread_t *thread, void *attributes, void *(*run)(void *), void *arg)
{
    return pthread_create(thread, NULL, run, arg);
}

static int sys_thread_join(pthread_t thread, void **result)
{
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    return pthread_join(thread, NULL);
}

static struct {
    int64_t (*now)(void);
    void (*futex_wait)(uint32_t *word, uint32_t expected, int64_t deadline);
    void (*futex_wake)(uint32_t *word, int count);
    void (*thread_name)(const char *name);
    char (*thread_state)(int thread);
    int (*thread_create)(pthread_t *thread, void *attributes, void *(*run)(void *), void *arg);
    int (*thread_join)(pthread_t thread, void **result);
} lw_sys = {sys_now,          sys_futex_wait,    sys_futex_wake, sys_thread_name,
            sys_thread_state, sys_thread_create, sys_thread_join};

/* ---- runtime/worker.h: what the thread looks at; nothing is queued anywhere */
#define LW_RUNTIME_WORKER_H
#define LW_IDLE_TYPES
#define LW_TICK_NAME "tick"

enum { LW_RUNTIMES_MAX = 1, LW_WORKERS_MAX = 1, LW_UNPOLLED_MAX_NS = 5000000 };
enum { LW_RUNTIME_RUNNING, LW_RUNTIME_LEAVING };

struct lw_thread {
    struct lw_record *current;
    int tid;
};

struct poller {
    uint32_t registered;
};

struct lw_worker {
    struct lw_thread *thread;
    struct lw_runtime *runtime;
    uint64_t dispatches, dispatches_seen, look_at;
    struct lw_record *next;
    int64_t polled_at;
    uint32_t quiet_looks, sleeps_long, asleep, help;
    int ready, fresh, wheel;
    struct poller poller;
};

struct lw_runtime {
    uint32_t state, worker_count, worker_goal, worker_limit, sleeping, searching;
    int inject;
    struct lw_worker *workers[LW_WORKERS_MAX];
};

#define lw_ring_size(ring) 0
#define lw_deque_size(deque) 0
#define lw_wheel_is_due(wheel, now) false
#define lw_poller_ring(poller) ((void)(poller))
#define lw_worker_start(runtime, index) 0

/* Asked of a worker that is awake: something has been injected. */
static inline bool lw_inject_is_empty(const int *inject)
{
    looked_at = true;
    return false;
}

#define lw_stack_counts(carved, idle) (*(carved) = *(idle) = 0)
#define lw_stack_trim(most) ((size_t)0)
#define lw_record_trim() ((size_t)0)
#define lw_records_idle() ((size_t)0)

static struct lw_runtime *lw_runtimes[LW_RUNTIMES_MAX];
static pthread_mutex_t lock;

static void lw_runtimes_lock(void)
{
    pthread_mutex_lock(&lock);
}

static void lw_runtimes_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

extern uint32_t lw_tick_asleep;
void lw_tick_wake(void);

/* Inlined: GenMC takes an object on a stack for a freed one that lay there before. */
static inline __attribute__((always_inline)) bool look_at_all(void);

#include "runtime/tick.c"

static struct lw_thread thread;
static struct lw_worker worker;
static struct lw_runtime runtime = {.worker_count = 1, .worker_goal = 1, .workers = {&worker}};

void lw_wake_a_worker(struct lw_runtime *of)
{
}

/* As the end of sleep_a_while() does it. */
static void *wake(void *arg)
{
    (void)lw_idle_get_up(&runtime, &worker);
    lw_tick_awake();
    await(lw_load_rlx(&worker.look_at) == 0); /* whoever watches it asks it to look outside */
    return arg;
}

int main(void)
{
    pthread_t worker_thread;

    pthread_mutex_init(&lock, NULL);
    worker.thread = &thread;
    worker.runtime = &runtime;
    worker.asleep = LW_ASLEEP;
    worker.sleeps_long = worker.look_at = 1;
    runtime.sleeping = 1;
    lw_runtimes[0] = &runtime;
    assert(lw_tick_start() == 0);
#ifdef WAKES
    start(&worker_thread, wake);
    join(worker_thread);
#endif
    lw_runtimes_lock();
    lw_runtimes[0] = NULL;
    lw_tick_stop();
    lw_runtimes_unlock();
    return 0;
}
