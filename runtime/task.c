/* SPDX-License-Identifier: MIT */
/* Spawn, and how a task ends.  Who learns of its end: join.c, group.c.
 *
 * [R4] the end of the slot's last life -> who looks up one of its handles: what the next life
 *      stores into peer (or group) and place (release) -> a load of it, and then of ctl once more
 *      (acquire; look_up() of join.c).  Who has found something of the next life finds that the
 *      last one is over. */
#include <latchwork/task.h>

#include <errno.h>

#include "runtime/fiber.h"
#include "runtime/fork.h"
#include "runtime/peer.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define SITE_MASK ((UINT64_C(1) << 48) - 1)

void (*lw_holds_abandon)(struct lw_record *record);
void (*lw_asked_ends)(struct lw_record *me, int status, bool over);

/* ---- records and caches of threads that have no worker */

static uint64_t guests_guard;
static struct lw_record_cache guest_records;

struct lw_record *lw_guest_record_take(void)
{
    struct lw_record *record;

    if (lw_records_init() < 0)
        return NULL;
    lw_guard_take(&guests_guard, 1);
    record = lw_record_take(&guest_records);
    lw_guard_drop(&guests_guard, 1);
    return record;
}

void lw_guest_record_put(struct lw_record *record)
{
    lw_guard_take(&guests_guard, 1);
    lw_record_put(&guest_records, record);
    lw_guard_drop(&guests_guard, 1);
}

void lw_guest_record_give(struct lw_record *record)
{
    lw_store_rel(&record->ctl, lw_ctl_next_life(lw_load_rlx(&record->ctl))); /* [R1] */
    lw_guest_record_put(record);
}

void lw_guest_records_drain(void)
{
    lw_guard_take(&guests_guard, 1);
    lw_record_drain(&guest_records);
    lw_guard_drop(&guests_guard, 1);
}

size_t lw_guest_records_idle(void)
{
    size_t count;

    lw_guard_take(&guests_guard, 1);
    count = guest_records.count;
    lw_guard_drop(&guests_guard, 1);
    return count;
}

/* ---- spawn */

static LW_NOINLINE uint64_t take_options(struct lw_record *record, const lw_task_options *options)
{
    struct lw_cold *cold = lw_record_cold(record);

    lw_store_rlx(&cold->name, options->name);
    lw_store_rlx(&cold->user_data, options->data);
    lw_store_rlx(&cold->priority, (int16_t)(options->priority > INT16_MAX   ? INT16_MAX
                                            : options->priority < INT16_MIN ? INT16_MIN
                                                                            : options->priority));
    return LW_PLACE_OPTIONS;
}

/* The runtime and stack class that the options ask for; *worker becomes NULL when it is not the
 * caller's runtime. */
static LW_NOINLINE int choose(struct lw_worker **worker, struct lw_runtime **runtime,
                              const lw_task_options *options, unsigned *class)
{
    int chosen;

    if (*worker == NULL && lw_forked())
        return -ECHILD;
    if (options != NULL && options->runtime != NULL)
        *runtime = options->runtime;
    else
        *runtime = *worker != NULL ? (*worker)->runtime : lw_runtime_here();
    if (*runtime == NULL)
        return -EINVAL;
    if (*worker != NULL && (*worker)->runtime != *runtime)
        *worker = NULL;
    *class = (*runtime)->stack_class;
    if (options != NULL && options->stack_bytes != 0) {
        chosen = lw_stack_class(options->stack_bytes);
        if (chosen < 0)
            return chosen;
        *class = (unsigned)chosen;
    }
    return 0;
}

/* All that a new task is, in one cache line. */
LW_INLINE void fill(struct lw_record *record, uint64_t ctl, lw_fn *fn, void *arg, uint64_t place,
                    const void *site, uint16_t epoch)
{
    lw_store_rlx(&record->sp, NULL); /* relaxed: what others may look at while it changes hands */
    lw_store_rlx(&record->fn, fn);
    lw_store_rlx(&record->arg, arg);
    lw_store_rlx(&record->site, ((uintptr_t)site & SITE_MASK) | (uint64_t)epoch << 48);
    lw_store_rel(&record->place, place); /* [R4] */
    lw_store_rel(&record->ctl, ctl | LW_LIVE);
}

LW_INLINE void name_task(lw_task *task, const struct lw_record *record, uint64_t ctl)
{
    /* Before it may run: fn may read the handle where its spawner keeps it. */
    task->id = (uint64_t)LW_CTL_GENERATION(ctl) << LW_SLOT_BITS | lw_record_slot(record);
}

/* What a place says of a task before it runs. */
LW_INLINE uint64_t place_in(const struct lw_runtime *runtime, unsigned class)
{
    return (uint64_t) class << LW_PLACE_CLASS_SHIFT | (uint64_t)runtime->number
                                                          << LW_PLACE_RUNTIME_SHIFT;
}

LW_INLINE void publish(struct lw_worker *worker, struct lw_runtime *runtime,
                       struct lw_record *record, bool detached)
{
    if (lw_unlikely(worker == NULL)) {
        (void)lw_add_acq_rel(&runtime->guest_spawned, 1);
        lw_make_injected(runtime, record, record);
        return;
    }
    lw_store_rlx(&worker->spawned, lw_load_rlx(&worker->spawned) + 1);
    if (detached)
        lw_make_ready(record, false);
    else
        lw_make_fresh(worker, record);
}

/* A record, and the promise of a stack. */
static int obtain(struct lw_worker *worker, unsigned class, struct lw_record **record)
{
    struct lw_stack_cache *stacks = worker != NULL ? &worker->stacks : NULL;
    void *task = lw_apart_begin(lw_thread_self());
    int err = lw_stack_promise(stacks, class);

    if (err == 0) {
        *record = worker != NULL ? lw_record_take(&worker->records) : lw_guest_record_take();
        if (*record == NULL) {
            lw_stack_unpromise(stacks, class);
            err = -ENOMEM;
        }
    }
    lw_apart_end(task);
    return err;
}

static int spawn_in(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options,
                    const void *site, struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = lw_worker_here();
    struct lw_runtime *runtime;
    struct lw_record *record = NULL; /* gcc -O3 does not see that an error leaves it unused */
    unsigned class;
    uint64_t ctl;
    int err = choose(&worker, &runtime, options, &class);

    if (err < 0)
        return err;
    if (lw_load_sc(&runtime->state) != LW_RUNTIME_RUNNING) /* [T2] */
        return -ESHUTDOWN;
    if (fn == NULL)
        return -EINVAL;
    err = obtain(worker, class, &record);
    if (err < 0)
        return err;
    ctl = lw_load_rlx(&record->ctl);
    if (group != NULL) /* [R4] */
        lw_store_rel(&record->group, group);
    else
        lw_store_rel(&record->peer, task == NULL ? (uint64_t)LW_PEER_DETACHED : lw_peer_none(ctl));
    if (task != NULL)
        name_task(task, record, ctl);
    if (options != NULL && (options->flags & LW_TASK_FORCIBLE) != 0)
        ctl |= LW_FORCIBLE;
    fill(record, ctl, fn, arg,
         place_in(runtime, class) | (group != NULL ? LW_PLACE_CHILD : 0) |
             (options != NULL ? take_options(record, options) : 0),
         site, epoch);
    publish(worker, runtime, record, task == NULL && group == NULL);
    return 0;
}

int lw_task_spawn(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options,
                  const void *site, struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = lw_worker_here();
    uint32_t pin;
    int err;

    /* A task keeps its own runtime there by being one of it. */
    if (worker != NULL &&
        (options == NULL || options->runtime == NULL || options->runtime == worker->runtime))
        return spawn_in(task, fn, arg, options, site, group, epoch);
    pin = lw_runtimes_pin();
    err = spawn_in(task, fn, arg, options, site, group, epoch);
    lw_runtimes_unpin(pin);
    return err;
}

/* The usual spawn, by a task, with no options: NULL when it needs the long way. */
LW_INLINE struct lw_record *take_quickly(struct lw_worker *worker)
{
    struct lw_runtime *runtime = worker->runtime;
    uint32_t *promises = &worker->stacks.promises[runtime->stack_class];
    void *task = lw_apart_begin(worker->thread);
    struct lw_record *record = worker->records.head;

    if (lw_unlikely(*promises == 0 || record == NULL ||
                    lw_load_rlx(&runtime->state) != LW_RUNTIME_RUNNING)) {
        record = NULL;
    } else {
        --*promises;
        worker->records.head = lw_load_rlx(&record->next);
        worker->records.count--;
    }
    lw_apart_end(task);
    return record;
}

int lw_spawn(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options)
{
    struct lw_worker *worker = lw_worker_here();
    struct lw_record *record;
    uint64_t ctl;

    if (lw_unlikely(worker == NULL || options != NULL || task == NULL || fn == NULL ||
                    (record = take_quickly(worker)) == NULL))
        return lw_task_spawn(task, fn, arg, options, __builtin_return_address(0), NULL, 0);
    ctl = lw_load_rlx(&record->ctl);
    lw_store_rel(&record->peer, lw_peer_none(ctl)); /* [R4] */
    name_task(task, record, ctl);
    fill(record, ctl, fn, arg, place_in(worker->runtime, worker->runtime->stack_class),
         __builtin_return_address(0), 0);
    lw_store_rlx(&worker->spawned, lw_load_rlx(&worker->spawned) + 1);
    lw_make_fresh(worker, record);
    return 0;
}

int lw_task_spawn_child(lw_fn *fn, void *arg, const lw_task_options *options, const void *site,
                        struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = lw_worker_here();
    struct lw_record *record;

    if (lw_unlikely(worker == NULL || options != NULL || fn == NULL ||
                    (record = take_quickly(worker)) == NULL))
        return lw_task_spawn(NULL, fn, arg, options, site, group, epoch);
    lw_store_rel(&record->group, group); /* [R4] */
    fill(record, lw_load_rlx(&record->ctl), fn, arg,
         place_in(worker->runtime, worker->runtime->stack_class) | LW_PLACE_CHILD, site, epoch);
    lw_store_rlx(&worker->spawned, lw_load_rlx(&worker->spawned) + 1);
    lw_make_fresh(worker, record);
    return 0;
}

/* ---- the end */

LW_NOINLINE void lw_task_settle(struct lw_record *me, int status)
{
    bool asked = (lw_load_rlx(&me->ctl) & LW_ASKED) != 0 && lw_asked_ends != NULL;

    if (asked)
        lw_asked_ends(me, status, false);
    if (lw_holds_abandon != NULL)
        lw_holds_abandon(me);
    if (asked)
        lw_asked_ends(me, status, true);
}

/* What of the task lay in its cold record. */
LW_INLINE void leave_cold(struct lw_record *record, int status)
{
    struct lw_cold *cold = lw_record_cold(record);

    if (lw_unlikely(lw_task_is_to_settle(record)))
        lw_task_settle(record, status);
    lw_timer_unlink(cold);
    if (cold->shields != 0) /* else a task that never waited would touch one line more */
        lw_store_rlx(&cold->shields, 0);
}

static void give(struct lw_worker *worker, struct lw_record *record)
{
    void *task = lw_apart_begin(worker->thread);

    lw_record_give(&worker->records, record);
    lw_apart_end(task);
}

void lw_task_finish(struct lw_worker *worker, struct lw_record *record, int status)
{
    uint64_t place = lw_load_rlx(&record->place), peer;
    struct lw_group *group = NULL;
    void *task;

    leave_cold(record, status);
    task = lw_apart_begin(worker->thread);
    lw_stack_unpromise(&worker->stacks, (unsigned)(place >> LW_PLACE_CLASS_SHIFT) & 31u);
    lw_apart_end(task);
    if ((place & LW_PLACE_CHILD) != 0) {
        group = lw_load_rlx(&record->group); /* a stale joiner may try its CAS on it */
        lw_group_child_ended(group, record, status);
        lw_fiber_end(record);
        give(worker, record);
        lw_group_child_left(group); /* the last touch of the group */
    } else {
        lw_store_rlx(&record->status, status);
        lw_fiber_end(record);
        peer = lw_peer_end(record);
        if (lw_peer_is(peer, LW_PEER_DETACHED))
            give(worker, record);
        else if (lw_peer_is(peer, LW_PEER_JOINER) && lw_peer_claim(peer))
            lw_wake(lw_peer_record(peer), LW_GRANTED, LW_WAKE_NEXT);
    }
    lw_fiber_count(&worker->ended); /* [T1] of runtime.c */
}

/* ---- of the caller */

lw_task lw_self(void)
{
    struct lw_record *me = lw_current();

    return (lw_task){me != NULL ? lw_record_id(me) : 0};
}

void *lw_data(void)
{
    struct lw_record *me = lw_current();

    if (me == NULL || (lw_load_rlx(&me->place) & LW_PLACE_OPTIONS) == 0)
        return NULL;
    return lw_load_rlx(&lw_record_cold(me)->user_data);
}

void lw_set_data(void *data)
{
    struct lw_record *me = lw_current_or_attach();
    struct lw_cold *cold;

    if (me == NULL)
        return;
    cold = lw_record_cold(me);
    if ((lw_load_rlx(&me->place) & LW_PLACE_OPTIONS) == 0) {
        lw_store_rlx(&cold->name, NULL);
        lw_store_rlx(&cold->priority, 0);
        lw_store_rlx(&me->place, lw_load_rlx(&me->place) | LW_PLACE_OPTIONS);
    }
    lw_store_rlx(&cold->user_data, data);
}
