/* SPDX-License-Identifier: MIT */
/* The thread that watches the workers; the same one looks for deadlocks (lw_tick_duty).
 *
 * Each 10 ms, while any worker is awake, it looks at each of them.
 *
 * - One that runs tasks, but has not looked at its clock, its descriptors or the injection stack
 *   for milliseconds, since its tasks go on for long between two dispatches, is asked to do so at
 *   the next one; and a sleeper, if there is one, is woken to help it.  So what is due or ready
 *   waits for a task's slice and one period, not for sixteen slices.
 * - One that has tasks queued rings for a sleeper: the pushes of a yield do not.
 * - One that has not dispatched since the last look runs one task for long.  If nobody sleeps, the
 *   other workers are asked to look around: else its tasks, timers and descriptors would wait
 *   until it is done, however much the others could do.  lw_dump() says for how long it has run.
 * - When the kernel says that such a one sleeps in a system call, for two looks in a row, a spare
 *   worker joins, so that as many as were asked for can run.  When the stuck one returns there is
 *   one too many: spares whose number is above what is allowed give away what they have and go to
 *   sleep, and are not woken for work.
 * - When all who are allowed to run sleep so, and tasks are ready, others are told
 *   (lw_tick_exhausted), also whether a spare could be had.
 *
 * What it asks for are hints, relaxed: one that is overlooked is made again at the next look.
 *
 * Idle costs nothing: after three looks at which all workers slept in their last stage, memory of
 * a peak is given back and the thread sleeps until a worker wakes up.
 *
 * [K3] a spare: worker_limit raised; its doorbell  ->  its sleep ends; load worker_limit.  Lowered,
 *      and rung for too: who sleeps as a worker would be woken for work, and have to hand it on.
 * [K2] trimming: release store -> CAS acquire: the statics of a trim go from thread to thread.
 * [K1] asleep = 1; heavy; look at the workers once more  <->  worker: awake; light; load asleep. */
#include <errno.h>
#include <latchwork/time.h>

#include "runtime/idle.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum {
    PERIOD_NS = 10000000,
    QUIET_LOOKS = 3,
    TRIM_LOOKS = 500,      /* 5 s */
    TRIM_STACKS_MIN = 256, /* idle in the depot for that long */
    TRIM_SLICE = 2048,     /* stacks in one go: some milliseconds */
    TRIM_RECORDS_MIN = 16384, /* 5 MB */
    OVERDUE_NS = 1000000,     /* a timer */
    BUSY_MAX = 64,
};

static struct {
    pthread_t thread;
    uint32_t users;       /* runtimes; written under the runtimes' lock */
    uint32_t word;        /* futex: changes when somebody wants the thread */
    uintptr_t generation; /* of the thread that is to run; an older one leaves */
} tick;

uint32_t lw_tick_asleep;
lw_nsec (*lw_tick_duty)(lw_nsec now, bool quiet);
void (*lw_tick_over)(void);
bool (*lw_tick_exhausted)(const struct lw_exhausted *exhausted);

void lw_tick_wake(void)
{
    lw_store_rlx(&lw_tick_asleep, 0);
    (void)lw_add_sc(&tick.word, 1);
    lw_sys.futex_wake(&tick.word, 1);
}

/* ---- one look */

/* The tasks that run for long just now; for lw_dump. */
static struct {
    uint64_t id;
    uint32_t since; /* coarse ms */
} busy[BUSY_MAX];

uint32_t lw_busy_ms(uint64_t id, uint32_t now_ms)
{
    for (unsigned i = 0; i < BUSY_MAX; i++)
        if (lw_load_rlx(&busy[i].id) == id)
            return now_ms - lw_load_rlx(&busy[i].since);
    return 0;
}

struct look {
    lw_nsec now;
    uint32_t stuck;
    uint32_t blocked;  /* of these: the kernel says so */
    bool queued;       /* somebody has tasks that are ready */
    struct lw_exhausted exhausted;
    bool neglect;      /* somebody runs one task for long, and has others that wait */
    unsigned busy;     /* notes in busy[], over all runtimes */
};

static void note_busy(struct look *look, const struct lw_worker *worker,
                      const struct lw_thread *thread)
{
    const struct lw_record *record = lw_load_rlx(&thread->current);
    uint32_t looks = worker->quiet_looks, now = (uint32_t)(look->now / LW_MS);

    if (record == NULL || look->busy == BUSY_MAX)
        return;
    lw_store_rlx(&busy[look->busy].since, now - looks * (uint32_t)(PERIOD_NS / LW_MS));
    lw_store_rlx(&busy[look->busy++].id, lw_load_rlx(&lw_record_cold(record)->id));
}

/* The worker is inside a system call that does not return; or that cannot be told, for want of a
 * descriptor: then a spare too many is better than none. */
static void look_into(struct look *look, const struct lw_thread *thread)
{
    char state = lw_sys.thread_state(thread->tid);
    const struct lw_record *record = lw_load_rlx(&thread->current);
    bool blocked = state == 'S' || state == 'D';

    look->stuck += blocked || state == 0;
    look->blocked += blocked;
    if (blocked && record != NULL && look->exhausted.count < LW_EXHAUSTED_TOLD)
        look->exhausted.tasks[look->exhausted.count++] = lw_load_rlx(&lw_record_cold(record)->id);
}

/* It has not looked outside for long, though there is something. */
static bool is_overdue(const struct lw_worker *worker, lw_nsec now)
{
    return lw_wheel_is_due(&worker->wheel, now - OVERDUE_NS) ||
           (lw_load_rlx(&worker->poller.registered) != 0 &&
            now - lw_load_rlx(&worker->polled_at) > LW_UNPOLLED_MAX_NS) ||
           !lw_inject_is_empty(&worker->runtime->inject);
}

static bool has_queued(const struct lw_worker *worker)
{
    return lw_load_rlx(&worker->next) != NULL || lw_ring_size(&worker->ready) > 0 ||
           lw_deque_size(&worker->fresh) > 0;
}

static void look_at(struct lw_worker *worker, struct look *look)
{
    uint64_t dispatches = lw_load_rlx(&worker->dispatches);
    const struct lw_thread *thread = lw_load_acq(&worker->thread);
    bool moves = dispatches != worker->dispatches_seen, overdue;

    worker->dispatches_seen = dispatches;
    if (lw_load_rlx(&worker->asleep) != LW_AWAKE || thread == NULL) {
        worker->quiet_looks = 0;
        return;
    }
    worker->quiet_looks = moves ? 0 : worker->quiet_looks + 1;
    overdue = is_overdue(worker, look->now);
    if (overdue)
        lw_store_rlx(&worker->look_at, 0);
    if (overdue || has_queued(worker)) {
        look->queued |= has_queued(worker) || !lw_inject_is_empty(&worker->runtime->inject);
        lw_maybe_wake_a_worker(worker->runtime);
        look->neglect |= worker->quiet_looks >= 2;
    }
    if (worker->quiet_looks < 2)
        return;
    note_busy(look, worker, thread);
    look_into(look, thread);
}

/* Those who do dispatch are asked to look around, at their next one. */
static void ask_for_help(struct lw_runtime *runtime, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct lw_worker *worker = runtime->workers[i];

        if (worker->quiet_looks == 0 && lw_load_rlx(&worker->asleep) == LW_AWAKE) {
            lw_store_rlx(&worker->help, 1);
            lw_store_rlx(&worker->look_at, 0);
        }
    }
}

/* All who were allowed to run are blocked, and tasks are ready.  Told of once, until nobody is
 * blocked any more; and again, if there is no spare any more. */
static void tell_of_exhausted(struct lw_runtime *runtime, struct look *look, bool spare)
{
    unsigned told = spare ? 1 : 2;

    look->exhausted.runtime = runtime->name;
    look->exhausted.spare = spare;
    look->exhausted.blocked = look->blocked;
    if (runtime->exhaustion_told < told && lw_tick_exhausted != NULL &&
        lw_tick_exhausted(&look->exhausted))
        runtime->exhaustion_told = (uint8_t)told;
}

/* All asleep in the last stage. */
static bool look_at_runtime(struct lw_runtime *runtime, struct look *look)
{
    uint32_t count = lw_worker_count(runtime), stuck, asleep = 0, limit, before;
    bool spare;

    look->stuck = look->blocked = look->exhausted.count = 0;
    look->neglect = look->queued = false;
    for (uint32_t i = 0; i < count; i++) {
        look_at(runtime->workers[i], look);
        asleep += lw_load_rlx(&runtime->workers[i]->asleep) % 2 != 0 &&
                  lw_load_rlx(&runtime->workers[i]->sleeps_long);
    }
    stuck = look->stuck;
    if (look->neglect)
        ask_for_help(runtime, count);
    limit = runtime->worker_goal + stuck;
    before = lw_load_rlx(&runtime->worker_limit);
    lw_store_rlx(&runtime->worker_limit, limit); /* [K3] the write(2) of the doorbell orders it */
    /* Rung for after they are allowed: else they would see that they are not, and sleep on. */
    for (uint32_t i = before; i < count && i < limit; i++)
        lw_poller_ring(&runtime->workers[i]->poller);
    /* Those that sleep as workers shall sleep as spares: nobody else wakes them for work then. */
    for (uint32_t i = limit; i < count && i < before; i++)
        lw_poller_ring(&runtime->workers[i]->poller);
    spare = before < count && before < limit;
    if (stuck > 0 && count < limit && count < LW_WORKERS_MAX &&
        lw_load_rlx(&runtime->state) != LW_RUNTIME_LEAVING)
        spare |= lw_worker_start(runtime, count) == 0; /* without threads it stays as it is */
    if (stuck == 0)
        runtime->exhaustion_told = 0;
    else if (look->queued && look->blocked >= (count < before ? count : before))
        tell_of_exhausted(runtime, look, spare);
    return asleep == count;
}

static bool look_at_all(void)
{
    struct look look = {.now = lw_sys.now()};
    bool quiet = true;

    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++)
        if (lw_runtimes[i] != NULL)
            quiet &= look_at_runtime(lw_runtimes[i], &look);
    for (; look.busy < BUSY_MAX && lw_load_rlx(&busy[look.busy].id) != 0; look.busy++)
        lw_store_rlx(&busy[look.busy].id, 0);
    return quiet;
}

/* ---- memory after a peak */

/* A slice of it at each look, so that the looks go on and the thread can be ended.  Not under the
 * runtimes' lock; trimming: a thread of an earlier life may not have left yet.  True: there is more
 * to do. */
static bool trim_now_and_then(bool quiet)
{
    static uint32_t trimming;
    static size_t least_idle, least_records; /* in the depots since the last trim */
    static size_t kept_records;              /* that the last trim left there */
    static unsigned looks;
    static bool unfinished;
    size_t carved, idle, records = lw_records_idle();
    uint32_t nobody = 0;
    bool more;

    if (!lw_cas_acq(&trimming, &nobody, 1)) /* [K2] */
        return false;
    lw_stack_counts(&carved, &idle);
    if (looks == 0 || idle < least_idle)
        least_idle = idle;
    if (looks == 0 || records < least_records)
        least_records = records;
    if (records < kept_records)
        kept_records = records;
    if (++looks >= TRIM_LOOKS || quiet) {
        looks = 0;
        unfinished |= (quiet ? idle : least_idle) >= TRIM_STACKS_MIN ||
                      (quiet ? records : least_records) >= kept_records + TRIM_RECORDS_MIN;
    }
    if (unfinished && lw_stack_trim(TRIM_SLICE) < TRIM_SLICE) {
        (void)lw_record_trim();
        kept_records = lw_records_idle();
        unfinished = false;
    }
    more = unfinished;
    lw_store_rel(&trimming, 0); /* [K2] */
    return more;
}

/* ---- the thread */

static lw_nsec do_duty(bool quiet)
{
    lw_nsec (*duty)(lw_nsec now, bool quiet) = lw_load_rlx(&lw_tick_duty);

    return duty != NULL ? duty(lw_sys.now(), quiet) : LW_FOREVER;
}

/* Until then, or until somebody wants the thread; with what it does besides. */
static void rest(uint32_t seen, lw_nsec until)
{
    lw_nsec due;

    while ((due = do_duty(false)) < until && lw_load_rlx(&tick.word) == seen)
        lw_sys.futex_wait(&tick.word, seen, due);
    lw_sys.futex_wait(&tick.word, seen, until);
}

static void *tick_main(void *arg)
{
    unsigned quiet_looks = 0;

    lw_sys.thread_name(LW_TICK_NAME);
    for (;;) {
        uint32_t seen = lw_load_acq(&tick.word); /* before all that a wake may have changed */
        bool quiet, trims;

        if (lw_load_acq(&tick.generation) != (uintptr_t)arg)
            return NULL;
        lw_store_rlx(&lw_coarse_ms, (uint32_t)(lw_sys.now() / LW_MS));
        lw_runtimes_lock();
        quiet = look_at_all();
        quiet_looks = quiet ? quiet_looks + 1 : 0;
        lw_runtimes_unlock();
        trims = trim_now_and_then(quiet_looks == QUIET_LOOKS);
        if (quiet_looks > QUIET_LOOKS && !trims) {
            lw_store_rlx(&lw_tick_asleep, 1);
            lw_asym_heavy(); /* [K1] */
            lw_runtimes_lock();
            /* Who woke up before it could see us asleep has not woken us: without the look nobody
             * watches it. */
            quiet = !lw_recheck(!look_at_all());
            lw_runtimes_unlock();
            if (quiet)
                lw_sys.futex_wait(&tick.word, seen, do_duty(true));
            lw_store_rlx(&lw_tick_asleep, 0);
            quiet_looks = 0;
        } else {
            rest(seen, lw_sys.now() + PERIOD_NS);
        }
    }
}

int lw_tick_start(void)
{
    int err = 0;

    if (tick.users == 0)
        err = -lw_sys.thread_create(&tick.thread, NULL, tick_main, (void *)tick.generation);
    if (err == 0)
        lw_store_rlx(&tick.users, tick.users + 1);
    return err;
}

bool lw_tick_runs(void)
{
    return lw_load_sc(&tick.users) != 0; /* [S3] of locksmith/sweep.c */
}

void lw_tick_stop(void)
{
    pthread_t thread = tick.thread;

    lw_store_sc(&tick.users, tick.users - 1); /* [S3] of locksmith/sweep.c */
    if (tick.users > 0)
        return;
    lw_store_rel(&tick.generation, tick.generation + 1);
    lw_tick_wake();
    lw_runtimes_unlock(); /* the thread may be about to take it; another start makes a new one */
    (void)lw_sys.thread_join(thread, NULL);
    if (lw_tick_over != NULL)
        lw_tick_over();
    lw_runtimes_lock();
}
