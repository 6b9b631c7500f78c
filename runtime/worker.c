/* SPDX-License-Identifier: MIT */
/* The thread of a worker: run what there is, look for more, sleep.
 *
 * Looking (steal.c) for up to 50 us, but only after work that came from outside (injected or
 * stolen); after a doorbell for two ages; after work from its own timers and poller once.
 *
 * Sleeping, in stages, always in the worker's own poller.  Stage 0, after a doorbell that led to
 * nothing: a nap of 100 us, twice as long with each such doorbell until it is 800 us, in which
 * tasks that push do not ring again, since what was pushed was run by who pushed it.  Its own
 * timers and descriptors, and guests, do interrupt it.  Stage 1: asleep = 1, look again at all
 * queues, sleep at most 1 ms.  Stage 2, after a stage 1 that found nothing: the same with a heavy
 * fence before the look, and until the next timer.  So pushes need no fence: what a pusher misses
 * in stage 1 costs a millisecond, and in stage 2 it cannot miss.
 *
 * Waking: the words, and the order in which they are changed and looked at, are in idle.h. */
#include "runtime/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "runtime/fiber.h"
#include "runtime/idle.h"
#include "runtime/os/os.h"

enum {
    SEARCH_NS = 50000, /* after work from outside */
    SEARCH_RUNG_NS = 12000, /* after a doorbell: enough to see twice that a thing did not move */
    NAP_MIN_NS = 100000,
    NAP_MAX_NS = 800000,
    STAGE_1_NS = 1000000,
};

static bool is_leaving(const struct lw_worker *worker)
{
    return lw_load_acq(&worker->runtime->state) == LW_RUNTIME_LEAVING;
}

/* ---- searching */

static bool begin_search(struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    uint32_t limit = lw_load_rlx(&runtime->worker_count) / 2;

    if (worker->searching)
        return true;
    if (lw_load_rlx(&runtime->searching) >= (limit > 0 ? limit : 1))
        return false;
    (void)lw_add_sc(&runtime->searching, 1);
    worker->searching = true;
    return true;
}

/* After the search; if it found something and nobody else searches, the next one may come. */
static void end_search(struct lw_worker *worker, bool found)
{
    struct lw_runtime *runtime = worker->runtime;

    if (!worker->searching)
        return;
    worker->searching = false;
    /* Who pushed meanwhile has not rung, since somebody searched: without the look what is left
     * waits for us alone. */
    if (lw_idle_search_less(runtime) && found && /* [P3] */
        lw_recheck(lw_ring_size(&worker->ready) > 0 || lw_deque_size(&worker->fresh) > 0 ||
                   !lw_inject_is_empty(&runtime->inject)))
        lw_maybe_wake_a_worker(runtime);
}

/* Look for work for a while; true: something is in our own queues now. */
static bool search(struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    lw_nsec now = lw_sys.now(), until = now + worker->search_ns;
    unsigned spins = 0;
    bool found;

    lw_judge_loot(worker, (unsigned long)now);
    if (!begin_search(worker))
        until = now;
    worker->search_ns = 0;
    do {
        found = !lw_inject_is_empty(&runtime->inject) || lw_look_around(worker, now);
        if (found || lw_wheel_is_due(&worker->wheel, now) || is_leaving(worker))
            break;
        if (now >= until)
            break;
        for (int i = 0; i < 8; i++)
            lw_pause();
        if (++spins % 32 == 0)
            lw_sys.yield(); /* who is to post may need this CPU */
        now = lw_sys.now();
    } while (now < until);
    if (found)
        worker->search_ns = SEARCH_NS;
    if (!lw_inject_is_empty(&runtime->inject))
        worker->nap_ns = 0; /* this doorbell led to something; of loot that is to be seen */
    return found;
}

/* ---- sleeping */

/* Something that a sleeper could do. */
static bool is_work_about(struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    uint32_t count = lw_worker_count(runtime);

    if (!lw_inject_is_empty(&runtime->inject) || is_leaving(worker))
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (lw_ring_size(&runtime->workers[i]->ready) >= LW_MANY_READY)
            return true;
    return false;
}

/* Work that its owner is likely to get to itself: worth a look in a millisecond. */
static bool is_work_pending(const struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    uint32_t count = lw_worker_count(runtime);

    for (uint32_t i = 0; i < count; i++) {
        const struct lw_worker *other = runtime->workers[i];

        if (other != worker &&
            (lw_ring_size(&other->ready) > 0 || lw_deque_size(&other->fresh) > 0 ||
             lw_load_rlx(&other->next) != NULL))
            return true;
    }
    return false;
}

static lw_nsec sleep_time(const struct lw_worker *worker, bool final)
{
    lw_nsec due = lw_load_rlx(&worker->wheel.next_due), time = -1;

    if (due != LW_TIMER_NONE) {
        time = due - lw_sys.now();
        if (time < 0)
            time = 0;
    }
    if (!final && (time < 0 || time > STAGE_1_NS))
        time = STAGE_1_NS;
    return time;
}

bool lw_worker_is_spare(const struct lw_worker *worker)
{
    return worker->index >= lw_load_rlx(&worker->runtime->worker_limit) && !is_leaving(worker);
}

/* Only its own descriptors and timers wake it: it is not counted as a sleeper, so nobody does for
 * work. */
static void sleep_as_spare(struct lw_worker *worker)
{
    lw_nsec time = sleep_time(worker, true);
    int events;

    end_search(worker, true); /* it looks at nothing once more: what came meanwhile is for others */
    lw_store_rlx(&worker->sleeps_long, 1);
    lw_store_rlx(&worker->asleep, LW_ASLEEP_SPARE);
    /* No second look: who allows it to work, or lets it leave, rings whether it sleeps or not, and
     * the doorbell keeps. */
    events = lw_poller_sleep(&worker->poller, time);
    lw_store_rlx(&worker->asleep, LW_AWAKE);
    (void)lw_poller_handle(&worker->poller, events);
    lw_tick_awake();
}

/* Stage 0: not counted as a sleeper. */
static void nap(struct lw_worker *worker, lw_nsec rest)
{
    lw_nsec time = sleep_time(worker, false);
    int events = 0;

    end_search(worker, false);
    (void)lw_swap_sc(&worker->asleep, LW_NAPPING); /* [P4] */
    /* Who injected while it searched, or was awake, has left it to us: without the look that waits
     * until the nap is over. */
    if (!lw_recheck(!lw_inject_is_empty(&worker->runtime->inject))) {
        events = lw_poller_sleep(&worker->poller, time < rest ? time : rest);
        lw_store_rlx(&worker->polled_at, lw_sys.now());
    }
    lw_store_rlx(&worker->asleep, LW_AWAKE);
    (void)lw_poller_handle(&worker->poller, events);
    lw_tick_awake();
}

/* How much of its nap is left; <= 0: none. */
static lw_nsec nap_left(struct lw_worker *worker)
{
    if (worker->sleep_stage == 0) { /* a doorbell has led to nothing */
        worker->sleep_stage = 1;
        worker->nap_ns *= 2;
        if (worker->nap_ns < NAP_MIN_NS)
            worker->nap_ns = NAP_MIN_NS;
        if (worker->nap_ns > NAP_MAX_NS)
            worker->nap_ns = NAP_MAX_NS;
        worker->nap_until = lw_sys.now() + worker->nap_ns;
    }
    return worker->nap_until != 0 ? worker->nap_until - lw_sys.now() : 0;
}

static void sleep_a_while(struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    bool final = worker->sleep_stage >= 2 && !is_work_pending(worker), rung;
    lw_nsec rest;
    int events = 0;

    if (lw_worker_is_spare(worker)) {
        sleep_as_spare(worker);
        return;
    }
    rest = nap_left(worker);
    if (rest > 0) {
        nap(worker, rest);
        return;
    }
    worker->nap_until = 0;
    lw_store_rlx(&worker->sleeps_long, final);
    lw_idle_lie_down(runtime, worker);
    end_search(worker, false);
    if (final)
        lw_asym_heavy(); /* [P1] */
    /* Who pushed before it could see us asleep has not rung: without the looks what it pushed waits
     * until something else wakes us. */
    if (!lw_recheck(is_work_about(worker)) && !(final && lw_recheck(is_work_pending(worker)))) {
        events = lw_poller_sleep(&worker->poller, sleep_time(worker, final));
        lw_store_rlx(&worker->polled_at, lw_sys.now());
    }
    rung = lw_idle_get_up(runtime, worker); /* [P2] */
    if (rung) {
        worker->searching = true; /* counted by the waker, as is `sleeping` */
        worker->search_ns = SEARCH_RUNG_NS;
    }
    /* Awake: whom the events make ready is not rung for at our own door. */
    events = lw_poller_handle(&worker->poller, events);
    if (rung)
        worker->sleep_stage = 0;
    else if (events > 0)
        worker->sleep_stage = 1;
    else if (worker->sleep_stage < 2)
        worker->sleep_stage++;
    lw_tick_awake();
}

void lw_wake_a_napper(struct lw_runtime *runtime)
{
    uint32_t count = lw_worker_count(runtime);

    for (uint32_t i = 0; i < count; i++) {
        struct lw_worker *worker = runtime->workers[i];
        uint32_t napping = LW_NAPPING;

        if (lw_load_sc(&worker->asleep) == LW_AWAKE) /* [P4] */
            return; /* it will look */
        if (lw_load_rlx(&worker->asleep) == LW_NAPPING &&
            lw_cas_acq_rel(&worker->asleep, &napping, LW_WOKEN)) {
            lw_poller_ring(&worker->poller);
            return;
        }
    }
}

void lw_wake_a_worker(struct lw_runtime *runtime)
{
    lw_idle_wake(runtime);
}

/* ---- the loop */

static struct lw_record *find_work(struct lw_worker *worker)
{
    struct lw_record *record;

    while (!is_leaving(worker)) {
        lw_store_rlx(&worker->attended_at, 0);
        /* Who is about to sleep sees its events then: one system call less. */
        lw_attend(worker, worker->search_ns != 0);
        worker->retiring = lw_worker_is_spare(worker);
        if (worker->retiring) {
            end_search(worker, true); /* whoever woke us for work has to be heard by another */
            lw_give_away(worker);
        }
        record = lw_pick(worker);
        if (record == NULL && !worker->retiring && search(worker)) {
            record = lw_pick(worker);
            if (record == NULL)
                lw_sys.yield(); /* another takes what there is, and may need this CPU to be done */
        }
        if (record != NULL) {
            end_search(worker, true);
            worker->sleep_stage = 1;
            return record;
        }
        if (lw_load_rlx(&worker->runtime->state) == LW_RUNTIME_STOPPING) {
            (void)lw_add_sc(&worker->runtime->idle_word, 1);
            lw_sys.futex_wake(&worker->runtime->idle_word, INT32_MAX);
        }
        sleep_a_while(worker);
    }
    end_search(worker, false);
    return NULL;
}

static void enter_thread(struct lw_worker *worker, struct lw_thread *thread)
{
    char name[16];

    thread->worker = worker;
    lw_store_rlx(&thread->budget, LW_BUDGET);
    thread->tid = lw_sys.thread_number();
    lw_store_rel(&worker->thread, thread);
    lw_thread_tls = thread;
    /* It may run its first tasks without a look at the clock, before the tick thread's first. */
    lw_store_rlx(&lw_coarse_ms, (uint32_t)(lw_sys.now() / LW_MS));
    lw_fiber_thread_init(thread);
    (void)lw_overflow_thread_enter(&thread->altstack); /* without memory: overflow is not named */
    (void)snprintf(name, sizeof name, "%.8s-%u", worker->runtime->name, worker->index);
    lw_sys.thread_name(name);
}

static void *worker_main(void *arg)
{
    struct lw_worker *worker = arg;
    struct lw_thread thread = {0};

    enter_thread(worker, &thread);
    while (!is_leaving(worker)) {
        struct lw_record *record = lw_pick(worker);

        if (record == NULL)
            record = find_work(worker);
        if (record != NULL)
            lw_run_from_idle(lw_thread_self(), record);
    }
    lw_record_drain(&worker->records);
    lw_stack_drain(&worker->stacks);
    lw_overflow_thread_leave(thread.altstack);
    lw_thread_tls = NULL;
    return NULL;
}

static int worker_init(struct lw_worker *worker, struct lw_runtime *runtime, unsigned index)
{
    int err;

    worker->runtime = runtime;
    worker->index = index;
    worker->age = LW_AGE_MIN_NS;
    worker->sleep_stage = 1;
    worker->search_ns = SEARCH_NS;
    worker->poller = (struct lw_poller){.epoll = -1, .doorbell = -1};
    worker->sights = lw_sys.calloc(LW_WORKERS_MAX, sizeof *worker->sights);
    err = worker->sights != NULL ? lw_deque_init(&worker->fresh) : -ENOMEM;
    if (err == 0)
        err = lw_wheel_init(&worker->wheel);
    if (err == 0)
        err = lw_poller_init(&worker->poller);
    return err;
}

void lw_worker_free(struct lw_worker *worker)
{
    if (worker == NULL)
        return;
    lw_poller_fini(&worker->poller);
    lw_wheel_fini(&worker->wheel);
    lw_deque_fini(&worker->fresh);
    lw_sys.free(worker->sights);
    lw_sys.free(worker->memory);
}

int lw_worker_start(struct lw_runtime *runtime, unsigned index)
{
    char *memory = lw_sys.calloc(1, sizeof(struct lw_worker) + 63);
    struct lw_worker *worker;
    int err;

    if (memory == NULL)
        return -ENOMEM;
    worker = (struct lw_worker *)(void *)(memory + (64 - (uintptr_t)memory % 64) % 64);
    worker->memory = memory;
    err = worker_init(worker, runtime, index);
    if (err == 0) {
        runtime->workers[index] = worker;
        err = -lw_sys.thread_create(&worker->pthread, NULL, worker_main, worker);
    }
    if (err < 0) {
        runtime->workers[index] = NULL;
        lw_worker_free(worker);
        return err;
    }
    lw_store_rel(&runtime->worker_count, index + 1); /* [G1] of idle.h */
    return 0;
}
