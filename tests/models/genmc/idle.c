/* SPDX-License-Identifier: MIT */
/* How workers sleep and are woken: runtime/idle.h, with the last stage, in which a sleeper has no
 * time limit.
 *
 * RING ([P1]): a worker pushes to its own ring and goes on for long; another looks, steals, sleeps.
 * Without ([I1], [P3]): a plain thread pushes to the injection stack, while the sleeper was a
 * searcher, on which pushers rely.  PUSHERS of them.  Holds: what was pushed is taken by the
 * sleeper.
 *
 * Mutants: -DNO_RECHECK    no look after it has said that it sleeps
 *          -DSEARCH_LATER  it says that it searches no more after that look
 *          -DGIVE_UP       a waker that met nobody does not look who lay down meanwhile
 *
 * holds:
 * holds: -DRING
 * holds: -DPUSHERS=2
 * fails: -DRING -DNO_LIGHT
 * fails: -DRING -DNO_HEAVY
 * fails: -DNO_RECHECK
 * fails: -DSEARCH_LATER
 * fails: -DWEAK_SC
 * fails: -DPUSHERS=2 -DGIVE_UP
 */
#define LW_TINY 1
#define LW_IDLE_TYPES

#include "runtime/inject.c"
#include "runtime/ring.h"

#include "queue.h"

#ifndef PUSHERS
#define PUSHERS 1
#endif

struct lw_worker {
    uint32_t asleep;
    uint32_t poller; /* its doorbell */
};

struct lw_runtime {
    uint32_t sleeping, searching, worker_count;
    struct lw_worker *workers[2];
};

static uint32_t lw_tick_asleep;

static void lw_tick_wake(void)
{
}

static void lw_poller_ring(uint32_t *poller)
{
    (void)__atomic_fetch_add(poller, 1, __ATOMIC_RELEASE);
}

#include "runtime/idle.h"

static struct lw_worker workers[2];
static struct lw_runtime runtime = {.worker_count = 2, .workers = {&workers[0], &workers[1]}};
static struct lw_ring ring;
static struct lw_inject inject;

void lw_wake_a_worker(struct lw_runtime *of)
{
#ifdef GIVE_UP
    uint32_t none = 0;

    if (lw_cas_sc(&of->searching, &none, 1) && !lw_idle_wake_one(of))
        (void)lw_add_sc(&of->searching, (uint32_t)-1);
#else
    lw_idle_wake(of);
#endif
}

static bool is_work_about(void)
{
    return lw_ring_size(&ring) > 0 || !lw_inject_is_empty(&inject);
}

static bool get_work(void)
{
    struct lw_record *taken[2];
#ifdef RING
    unsigned count = lw_ring_steal(&ring, taken, 2);
#else
    unsigned count = lw_inject_take(&inject, taken, 2);
#endif

    for (unsigned i = 0; i < count; i++)
        take(taken[i]);
    return count > 0;
}

/* As sleep_a_while() does it. */
static void *sleeper(void *arg)
{
    struct lw_worker *me = &workers[1];
    bool searching = true;

    for (int got = 0; got < PUSHERS;) {
        if (get_work()) {
            got = (int)(takers[0] + takers[1]);
            continue;
        }
        lw_idle_lie_down(&runtime, me);
#ifndef SEARCH_LATER
        if (searching)
            (void)lw_idle_search_less(&runtime);
#endif
        lw_asym_heavy(); /* [P1] */
#ifndef NO_RECHECK
        if (!is_work_about())
#endif
        {
#ifdef SEARCH_LATER
            if (searching)
                (void)lw_idle_search_less(&runtime);
            searching = false;
#endif
            await(__atomic_load_n(&me->poller, __ATOMIC_ACQUIRE) != 0);
            (void)__atomic_exchange_n(&me->poller, 0, __ATOMIC_RELAXED);
        }
#ifdef SEARCH_LATER
        if (searching)
            (void)lw_idle_search_less(&runtime);
#endif
        searching = lw_idle_get_up(&runtime, me);
    }
    return arg;
}

static void *pusher(void *arg)
{
    struct lw_record *record = arg;

    record->arg = record;
#ifdef RING
    assert(lw_ring_push(&ring, record));
    lw_maybe_wake_a_worker(&runtime);
#else
    lw_inject_push(&inject, record, record);
    if (lw_idle_is_to_ring(&runtime))
        lw_wake_a_worker(&runtime);
#endif
    return arg;
}

int main(void)
{
    pthread_t threads[PUSHERS + 1];

    begin();
    runtime.searching = 1;
    start(&threads[0], sleeper);
    for (int i = 0; i < PUSHERS; i++)
        if (pthread_create(&threads[i + 1], NULL, pusher, &hot_[i]) != 0)
            abort();
    for (int i = 0; i <= PUSHERS; i++)
        join(threads[i]);
    pushed = PUSHERS;
    check_all_taken();
    return 0;
}
