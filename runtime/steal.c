/* SPDX-License-Identifier: MIT */
/* What a worker takes from others.
 *
 * A thief takes from a victim only what has not moved for an age by the thief's own clock (5 us,
 * doubling to 100 us while what it took lasted less than 20 us), or from a ready ring with 16 or
 * more in it; `next` only after ten ages without a dispatch.  Ungated stealing makes fine-grained
 * work five times slower. */
#include "runtime/idle.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"
#ifdef LW_SIMULATED
#include "runtime/sim/engine.h"
#endif

enum {
    AGE_MAX_NS = 100000,
    SHORT_LOOT_NS = 20000,
    NEXT_AGES = 10,
    LOOT_MAX = 128,
    STALE_NS = 1000000, /* a poller that nobody has looked at; a quarter of it: a timer */
};

static unsigned take_ready(struct lw_worker *worker, struct lw_worker *victim)
{
    struct lw_record *loot[LOOT_MAX];
    unsigned room = LW_RING_SIZE - (unsigned)lw_ring_size(&worker->ready);
    unsigned count = lw_ring_steal(&victim->ready, loot, room < LOOT_MAX ? room : LOOT_MAX);

    for (unsigned i = 0; i < count; i++)
        lw_make_ready(loot[i], false);
    return count;
}

/* Up to half of the victim's fresh ones, one at a time: each is a race of its own. */
static unsigned take_fresh(struct lw_worker *worker, struct lw_worker *victim)
{
    int64_t half = (lw_deque_size(&victim->fresh) + 1) / 2;
    unsigned count = 0;
    bool lost = false;

    while (count < LOOT_MAX && count < half && !lost) {
        struct lw_record *record = lw_deque_steal(&victim->fresh, &lost);

        if (record == NULL)
            break;
        if (!lw_deque_push(&worker->fresh, record))
            lw_make_injected(worker->runtime, record, record);
        count++;
    }
    return count;
}

static unsigned take_next_of(struct lw_worker *victim, struct lw_record *next)
{
    if (!lw_cas_acq(&victim->next, &next, NULL)) /* [N1] */
        return 0;
    lw_make_ready(next, false);
    return 1;
}

/* Note what has moved since the last look, and take what has not for long enough. */
static unsigned steal_from(struct lw_worker *worker, struct lw_worker *victim, unsigned long now)
{
    struct lw_sight *sight = &worker->sights[victim->index];
    uint64_t fresh = (uint64_t)lw_load_rlx(&victim->fresh.top),
             ready = lw_load_rlx(&victim->ready.head);
    uint64_t dispatches = lw_load_rlx(&victim->dispatches),
             ready_size = lw_ring_size(&victim->ready);
    struct lw_record *next = lw_load_rlx(&victim->next);
    unsigned long age = worker->age;

    if (fresh != sight->fresh || lw_deque_size(&victim->fresh) == 0) {
        sight->fresh = fresh;
        sight->fresh_since = now;
    }
    if (ready != sight->ready || ready_size == 0) {
        sight->ready = ready;
        sight->ready_since = now;
    }
    if (next == NULL || next != sight->next || dispatches != sight->dispatches) {
        sight->next = next;
        sight->dispatches = dispatches;
        sight->next_since = now;
    }
#ifdef LW_SIMULATED
    if (lw_sim_on && sim_chance(2)) /* as if it had looked for longer */
        age = 0;
#endif
    if (now - sight->fresh_since > age)
        return take_fresh(worker, victim);
    if (ready_size >= LW_MANY_READY || now - sight->ready_since > age)
        return take_ready(worker, victim);
    if (now - sight->next_since > NEXT_AGES * age)
        return take_next_of(victim, next);
    return 0;
}

/* What was stolen last is used up: was it worth it? */
void lw_judge_loot(struct lw_worker *worker, unsigned long now)
{
    if (worker->looted_at == 0)
        return;
    if (now - worker->looted_at < SHORT_LOOT_NS) {
        worker->age = worker->age * 2 < AGE_MAX_NS ? worker->age * 2 : AGE_MAX_NS;
    } else if (now - worker->looted_at > 5 * SHORT_LOOT_NS) {
        worker->age = LW_AGE_MIN_NS;
        worker->nap_ns = 0;
    }
    worker->looted_at = 0;
}

/* Timers and descriptors of workers that are too busy to look, or stuck. */
static bool help_out(struct lw_worker *victim, lw_nsec now)
{
    bool found = false;

    if (lw_wheel_is_due(&victim->wheel, now - STALE_NS / 4))
        found = lw_wheel_run(&victim->wheel, now, LW_EXPIRE_MAX) > 0;
    if (lw_load_rlx(&victim->poller.registered) != 0 && lw_load_rlx(&victim->asleep) == LW_AWAKE &&
        now - lw_load_rlx(&victim->polled_at) > STALE_NS) {
        lw_store_rlx(&victim->polled_at, now);
        found |= lw_poller_look(&victim->poller) > 0;
    }
    return found;
}

/* One look at all the others. */
bool lw_look_around(struct lw_worker *worker, lw_nsec now)
{
    struct lw_runtime *runtime = worker->runtime;
    uint32_t count = lw_worker_count(runtime), first = 0;

#ifdef LW_SIMULATED
    if (lw_sim_on && count > 2)
        first = sim_choose(count - 1);
#endif
    for (uint32_t i = 1; i < count; i++) { /* count is 0 while the first of them starts */
        uint32_t distance = 1 + (first + i - 1) % (count - 1);
        struct lw_worker *victim = runtime->workers[(worker->index + distance) % count];

        if (help_out(victim, now))
            return true;
        if (steal_from(worker, victim, (unsigned long)now) > 0) {
            worker->looted_at = (unsigned long)now;
            return true;
        }
    }
    return false;
}
