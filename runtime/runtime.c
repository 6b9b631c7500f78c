/* SPDX-License-Identifier: MIT */
/* Starting and stopping.
 *
 * Stop: 1 STOPPING: nothing new is spawned.  2 every live task of this runtime is cancelled; those
 * that were being spawned meanwhile are found by looking again.  3 wait until all have ended, or
 * the deadline. 4 whoever is left is reported, and the runtime stays: a stop may be tried again.
 * 5 LEAVING: workers give their caches back and end, idle helpers are joined.
 *
 * How many live: spawned - ended, counted by each worker for itself.  All `ended` are read before
 * any `spawned`: both only grow, so equal sums prove that at the moment between the two nobody
 * lived.  Threads that are none of the workers pin the runtimes while they hand something over:
 * a stop that has set STOPPING waits once for those who had not seen it, and the memory goes
 * when nobody can be left who had seen the runtime.
 *
 * [T1] what a task did  ->  the stopper:  ended (release)  ->  ended (acquire). */
#include <latchwork/blocking.h>
#include <latchwork/cancel.h>
#include <latchwork/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/fiber.h"
#include "runtime/fork.h"
#include "runtime/helpers.h"
#include "runtime/idle.h"
#include "runtime/os/os.h"
#include "runtime/thread_mutex.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

enum { STOP_LOOK_NS = 5000000 };

uint32_t lw_runtimes_pins[2], lw_runtimes_phase;

/* starts, stops, the tick thread's scans */
static struct lw_thread_mutex runtimes_mutex;

void lw_runtimes_lock(void)
{
    lw_thread_mutex_lock(&runtimes_mutex);
}

void lw_runtimes_unlock(void)
{
    lw_thread_mutex_unlock(&runtimes_mutex);
}

/* Everybody who pinned before has unpinned.  Who pins meanwhile comes with the other phase, but
 * for the few who had read the old one: so each count does come to 0. */
static void flush_pins(void)
{
    static struct lw_thread_mutex mutex;
    uint32_t phase;

    lw_thread_mutex_lock(&mutex);
    phase = lw_load_rlx(&lw_runtimes_phase);
    LW_AWAIT(lw_load_sc(&lw_runtimes_pins[(phase + 1) % 2]) == 0); /* [T2] */
    lw_store_sc(&lw_runtimes_phase, phase + 1);
    LW_AWAIT(lw_load_sc(&lw_runtimes_pins[phase % 2]) == 0); /* [T2] */
    lw_thread_mutex_unlock(&mutex);
}

#ifdef LW_TSAN
bool lw_fibers_together;

__attribute__((constructor)) static void read_mode(void)
{
    const char *mode = getenv("LATCHWORK_TSAN");

    lw_fibers_together = mode != NULL && strcmp(mode, "together") == 0;
}

/* Each task has its own errno, though all of a worker's have it at one address: a switch saves and
 * restores it. */
static void own_errno(void)
{
    AnnotateBenignRaceSized(__FILE__, __LINE__, &errno, sizeof errno, "errno");
}
#endif

void lw_fiber_thread_init(struct lw_thread *thread)
{
#if defined(LW_TSAN)
    thread->idle_fiber = __tsan_get_current_fiber();
    own_errno();
#elif defined(LW_ASAN)
    lw_sys.thread_stack(&thread->idle_bottom, &thread->idle_bytes);
#endif
    (void)thread;
}

void lw_fiber_guest_init(struct lw_thread *thread)
{
#ifdef LW_TSAN
    thread->idle_fiber = __tsan_create_fiber(0);
    own_errno();
#endif
    (void)thread;
}

void lw_fiber_guest_fini(struct lw_thread *thread)
{
    lw_fiber_free(thread->idle_fiber);
}

/* ---- start */

static int read_options(struct lw_runtime *runtime, const lw_options *options)
{
    static const lw_options defaults;
    int class;

    if (options == NULL)
        options = &defaults;
    class = lw_stack_class(options->stack_bytes);
    if (class < 0)
        return class;
    if (options->stop_within < 0)
        return -EINVAL;
#ifndef LW_SIMULATED
    if (options->workers > LW_WORKERS_MAX / 2 || options->sim != 0)
        return -EINVAL; /* sim: this build has no simulator */
#endif
    runtime->name = options->name != NULL ? options->name : "lw";
    runtime->stack_class = (unsigned)class;
    runtime->helpers_max = options->helpers != 0 ? options->helpers : LW_HELPERS_DEFAULT;
    runtime->stop_within = options->stop_within != 0 ? options->stop_within : 5 * LW_SEC;
    runtime->worker_goal = options->workers != 0 ? options->workers : lw_sys.usable_cpus();
    if (runtime->worker_goal > LW_WORKERS_MAX / 2)
        runtime->worker_goal = LW_WORKERS_MAX / 2;
    runtime->worker_limit = runtime->worker_goal;
    return 0;
}

/* A number, and with it a place in the table. */
static int enlist(struct lw_runtime *runtime)
{
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++) {
        if (lw_runtimes[i] == NULL) {
            runtime->number = i;
            lw_store_rel(&lw_runtimes[i], runtime);
            return 0;
        }
    }
    return -EAGAIN;
}

/* Ends the workers and frees all; no task lives (or none was ever spawned). */
static void dismiss(struct lw_runtime *runtime)
{
    uint32_t count = runtime->worker_count;

    lw_store_rel(&runtime->state, LW_RUNTIME_LEAVING);
    for (uint32_t i = 0; i < count; i++)
        lw_poller_ring(&runtime->workers[i]->poller);
    for (uint32_t i = 0; i < count; i++)
        (void)lw_sys.thread_join(runtime->workers[i]->pthread, NULL);
    lw_helpers_fini(runtime);
    lw_store_sc(&lw_runtimes[runtime->number], NULL); /* [T2] */
    flush_pins();
    /* Else some push found a searcher, or a sleeper, that there was not.  Not before the flush: who
     * handed over the last task may still be counted while it looks for whom to wake. */
    lw_debug_check(runtime->searching == 0 && runtime->sleeping == 0);
    for (uint32_t i = 0; i < count; i++)
        lw_worker_free(runtime->workers[i]);
    lw_sys.free(runtime->defaults);
    lw_sys.free(runtime);
}

/* In a program that is linked with the simulator, if it is to be simulated: before anything of the
 * library is used, which then is as it was at load time. */
static void simulate(const lw_options *options)
{
#ifdef LW_SIMULATED
    lw_sim_program_starts(options != NULL ? options->sim : 0);
#else
    (void)options;
#endif
}

int lw_start(lw_runtime **started, const lw_options *options)
{
    struct lw_runtime *runtime;
    int err;

    if (started == NULL)
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    simulate(options);
    runtime = lw_sys.calloc(1, sizeof *runtime);
    if (runtime == NULL)
        return -ENOMEM;
    err = read_options(runtime, options);
    if (err == 0)
        err = lw_fork_init();
    if (err == 0)
        err = lw_records_init();
    if (err == 0)
        err = lw_overflow_init();
    if (err == 0)
        err = lw_helpers_init(runtime);
    if (err < 0) {
        lw_sys.free(runtime);
        return err;
    }
    runtime->state = LW_RUNTIME_STOPPING; /* nothing is spawned into it before all of it is there */
    lw_runtimes_lock();
    err = enlist(runtime);
    for (unsigned i = 0; err == 0 && i < runtime->worker_goal; i++)
        err = lw_worker_start(runtime, i);
    if (err == 0)
        err = lw_tick_start();
    if (err == 0) {
        lw_store_rel(&runtime->state, LW_RUNTIME_RUNNING);
        lw_tick_wake(); /* it may sleep, since all workers of other runtimes do */
    } else if (lw_runtimes[runtime->number] == runtime) {
        dismiss(runtime);
    } else {
        lw_helpers_fini(runtime);
        lw_sys.free(runtime);
    }
    lw_runtimes_unlock();
    if (err == 0)
        *started = runtime;
    return err;
}

/* ---- stop */

static uint64_t count_live(struct lw_runtime *runtime)
{
    uint32_t count = lw_worker_count(runtime);
    uint64_t spawned = 0, ended = 0;

    for (uint32_t i = 0; i < count; i++)
        ended += lw_load_acq(&runtime->workers[i]->ended); /* [T1] */
    for (uint32_t i = 0; i < lw_worker_count(runtime); i++)
        spawned += lw_load_acq(&runtime->workers[i]->spawned);
    return spawned + lw_load_acq(&runtime->guest_spawned) - ended;
}

static bool lives_in(const struct lw_record *record, const struct lw_runtime *runtime, uint64_t ctl)
{
    return (ctl & LW_LIVE) != 0 && !lw_record_is_guest(record) &&
           lw_record_runtime(record) == runtime->number && !lw_record_is_done(record);
}

/* Note in its ctl that this life was cancelled by a stop. */
static void note_asked(struct lw_record *record, uint32_t generation)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);

    while (LW_CTL_GENERATION(ctl) == generation && (ctl & LW_LIVE) != 0 &&
           !lw_cas_acq_rel(&record->ctl, &ctl, ctl | LW_STOP_ASKED))
        continue;
}

/* Cancel everybody, or (anew false) whoever a stop has not cancelled yet: one heavy fence for
 * all. */
static void cancel_all(struct lw_runtime *runtime, bool anew)
{
    uint32_t used = lw_records_used();

    for (uint32_t slot = 0; slot < used; slot++) {
        struct lw_record *record = &lw_records[slot];
        uint64_t ctl = lw_load_acq(&record->ctl);

        if (!lives_in(record, runtime, ctl) || (!anew && (ctl & LW_STOP_ASKED) != 0))
            continue;
        if (lw_cancel_request(record, LW_CTL_GENERATION(ctl)))
            note_asked(record, LW_CTL_GENERATION(ctl));
    }
    lw_asym_heavy(); /* [W3] */
    for (uint32_t slot = 0; slot < used; slot++) {
        struct lw_record *record = &lw_records[slot];
        uint64_t ctl = lw_load_acq(&record->ctl);

        if (lives_in(record, runtime, ctl) && (ctl & LW_CTL_FRESH_MASK) != 0)
            lw_cancel_wait(record, LW_CTL_GENERATION(ctl), NULL);
    }
}

static void report_left(struct lw_runtime *runtime, uint64_t live)
{
    uint32_t used = lw_records_used();
    char line[160];
    int size =
        snprintf(line, sizeof line, "latchwork: runtime '%s' was to stop, and %llu task%s left:\n",
                 runtime->name, (unsigned long long)live, live == 1 ? " is" : "s are");

    (void)!lw_sys.write(STDERR_FILENO, line, (size_t)size);
    for (uint32_t slot = 0; slot < used; slot++)
        if (lives_in(&lw_records[slot], runtime, lw_load_acq(&lw_records[slot].ctl)))
            (void)lw_dump_record(STDERR_FILENO, &lw_records[slot]);
}

struct stop {
    struct lw_runtime *runtime;
    lw_nsec deadline;
};

/* Blocks the thread. */
static int stop_here(void *arg)
{
    struct lw_runtime *runtime = ((struct stop *)arg)->runtime;
    lw_nsec deadline = ((struct stop *)arg)->deadline;
    uint64_t live;

    lw_store_sc(&runtime->state, LW_RUNTIME_STOPPING); /* [T2] */
    flush_pins();
    for (bool first = true;; first = false) {
        uint32_t seen = lw_load_acq(&runtime->idle_word);
        lw_nsec now = lw_sys.now();

        live = count_live(runtime);
        if (live > 0 && (first || now < deadline))
            cancel_all(runtime, first); /* and again: a spawn that was under way */
        if (live == 0 || now >= deadline)
            break;
        lw_sys.futex_wait(&runtime->idle_word, seen,
                          now + STOP_LOOK_NS < deadline ? now + STOP_LOOK_NS : deadline);
    }
    if (live > 0) {
        report_left(runtime, live);
        return live < INT32_MAX ? (int)live : INT32_MAX;
    }
    lw_runtimes_lock();
    dismiss(runtime);
    lw_tick_stop();
    lw_runtimes_unlock();
    return 0;
}

int lw_stop(lw_runtime *runtime, lw_nsec deadline)
{
    struct stop stop = {runtime, deadline};
    struct lw_worker *worker = lw_worker_here();
    int left = 0, err;

    if (runtime == NULL)
        return 0;
    if (lw_forked())
        return -ECHILD;
    if (worker == NULL)
        return stop_here(&stop);
    if (worker->runtime == runtime)
        return -EDEADLK;
    /* By a task of another runtime, whose worker has other things to do. */
    err = lw_shield_enter();
    if (err == 0) {
        err = lw_blocking(stop_here, &stop, &left, LW_FOREVER);
        (void)lw_shield_exit();
    }
    return err == 0 ? left : stop_here(&stop); /* without a helper, after all */
}

int lw_run(const lw_options *options, lw_fn *fn, void *arg)
{
    lw_task_options here = {.name = "main"};
    struct lw_thread *thread = lw_thread_self();
    lw_runtime *runtime;
    lw_task task;
    int status = 0, err;

    if (fn == NULL)
        return -EINVAL;
    if (thread != NULL && thread->worker != NULL)
        return -EPERM;
    simulate(options);
    err = lw_thread_attach();
    if (err == 0)
        err = lw_start(&runtime, options);
    if (err < 0)
        return err;
    here.runtime = runtime;
    err = lw_task_spawn(&task, fn, arg, &here, __builtin_return_address(0), NULL, 0);
    if (err == 0)
        err = lw_join(task, &status, LW_FOREVER);
    (void)lw_stop(runtime, lw_in(runtime->stop_within)); /* who is left was reported, and goes on */
    return err < 0 ? err : status;
}

void lw_trim(void)
{
    struct lw_thread *thread = lw_thread_self();
    void *task;

    if (lw_forked())
        return;
    task = lw_apart_begin(thread);
    if (thread != NULL && thread->worker != NULL) {
        lw_record_drain(&thread->worker->records);
        lw_stack_drain(&thread->worker->stacks);
    }
    lw_guest_records_drain();
    (void)lw_stack_trim(SIZE_MAX);
    (void)lw_record_trim();
    lw_apart_end(task);
}
