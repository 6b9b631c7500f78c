/* SPDX-License-Identifier: MIT */
/* Spawn, join, detach; how a task ends.
 *
 * The word `peer` of a task that is in no group decides between its end and its joiner:
 *
 *     NONE --join: CAS--> JOINER(who, in which wait) --end: swap--> DONE, and the joiner is woken
 *     NONE --detach: CAS--> DETACHED ------------------end: swap--> the task gives its record back
 *     NONE --end: swap--> DONE, and the next join or detach gives the record back
 *     JOINER --its wait ended otherwise: CAS--> NONE; finding DONE, the join has succeeded after
 *     all
 *
 * [J1] status  ->  joiner:  peer = DONE (swap, acq_rel)  ->  load or CAS of peer (acquire).
 * The swap is the ending task's last access to its record. */
#include <latchwork/task.h>

#include <errno.h>

#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define PEER_SEQUENCE_BITS 38
#define PEER_SEQUENCE_MASK ((UINT64_C(1) << PEER_SEQUENCE_BITS) - 1)
#define SITE_MASK ((UINT64_C(1) << 48) - 1)

void (*lw_holds_abandon)(struct lw_record *record);

LW_INLINE uint64_t peer_none(uint64_t ctl)
{
    return (uint64_t)LW_CTL_GENERATION(ctl) << 32 | LW_PEER_NONE;
}

LW_INLINE uint64_t peer_joiner(const struct lw_record *joiner)
{
    uint64_t sequence = lw_load_rlx(&lw_record_cold(joiner)->wait) >> LW_STATE_BITS;

    return (uint64_t)lw_record_slot(joiner) << (PEER_SEQUENCE_BITS + 2) |
           (sequence & PEER_SEQUENCE_MASK) << 2 | LW_PEER_JOINER;
}

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

/* By worker's thread, or any (worker NULL). */
LW_INLINE void put_record(struct lw_worker *worker, struct lw_record *record)
{
    if (lw_likely(worker != NULL)) {
        lw_record_put(&worker->records, record);
        return;
    }
    lw_guard_take(&guests_guard, 1);
    lw_record_put(&guest_records, record);
    lw_guard_drop(&guests_guard, 1);
}

void lw_guest_record_give(struct lw_record *record)
{
    lw_store_rel(&record->ctl, lw_ctl_next_life(lw_load_rlx(&record->ctl))); /* [R1] */
    put_record(NULL, record);
}

void lw_guest_records_drain(void)
{
    lw_guard_take(&guests_guard, 1);
    lw_record_drain(&guest_records);
    lw_guard_drop(&guests_guard, 1);
}

LW_INLINE struct lw_worker *worker_here(void)
{
    struct lw_thread *thread = lw_thread_self();

    return thread != NULL ? thread->worker : NULL;
}

/* ---- spawn */

static LW_NOINLINE uint64_t take_options(struct lw_record *record, const lw_task_options *options)
{
    struct lw_cold *cold = lw_record_cold(record);

    lw_store_rlx(&cold->name, options->name);
    cold->user_data = options->data;
    cold->priority = (int16_t)(options->priority > INT16_MAX   ? INT16_MAX
                               : options->priority < INT16_MIN ? INT16_MIN
                                                               : options->priority);
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
    record->arg = arg;
    lw_store_rlx(&record->site, ((uintptr_t)site & SITE_MASK) | (uint64_t)epoch << 48);
    lw_store_rlx(&record->place, place);
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
    lw_store_rlx(&worker->spawned, worker->spawned + 1);
    if (detached)
        lw_make_ready(record, false);
    else
        lw_make_fresh(worker, record);
}

static int spawn_in(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options,
                    const void *site, struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = worker_here();
    struct lw_runtime *runtime;
    struct lw_record *record;
    unsigned class;
    uint64_t ctl;
    int err = choose(&worker, &runtime, options, &class);

    if (err < 0)
        return err;
    if (lw_load_sc(&runtime->state) != LW_RUNTIME_RUNNING) /* [T2] */
        return -ESHUTDOWN;
    if (fn == NULL)
        return -EINVAL;
    err = lw_stack_promise(worker != NULL ? &worker->stacks : NULL, class);
    if (err < 0)
        return err;
    record = worker != NULL ? lw_record_take(&worker->records) : lw_guest_record_take();
    if (record == NULL) {
        lw_stack_unpromise(worker != NULL ? &worker->stacks : NULL, class);
        return -ENOMEM;
    }
    ctl = lw_load_rlx(&record->ctl);
    if (group != NULL)
        lw_store_rlx(&record->group, group); /* stale handles are looked up meanwhile */
    else
        lw_store_rlx(&record->peer, task == NULL ? (uint64_t)LW_PEER_DETACHED : peer_none(ctl));
    fill(record, ctl, fn, arg,
         place_in(runtime, class) | (group != NULL ? LW_PLACE_CHILD : 0) |
             (options != NULL ? take_options(record, options) : 0),
         site, epoch);
    if (task != NULL)
        name_task(task, record, ctl);
    publish(worker, runtime, record, task == NULL && group == NULL);
    return 0;
}

int lw_task_spawn(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options,
                  const void *site, struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = worker_here();
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
    struct lw_record *record = worker->records.head;

    if (lw_unlikely(*promises == 0 || record == NULL ||
                    lw_load_rlx(&runtime->state) != LW_RUNTIME_RUNNING))
        return NULL;
    --*promises;
    worker->records.head = record->next;
    worker->records.count--;
    return record;
}

int lw_spawn(lw_task *task, lw_fn *fn, void *arg, const lw_task_options *options)
{
    struct lw_worker *worker = worker_here();
    struct lw_record *record;
    uint64_t ctl;

    if (lw_unlikely(worker == NULL || options != NULL || task == NULL || fn == NULL ||
                    (record = take_quickly(worker)) == NULL))
        return lw_task_spawn(task, fn, arg, options, __builtin_return_address(0), NULL, 0);
    ctl = lw_load_rlx(&record->ctl);
    lw_store_rlx(&record->peer, peer_none(ctl));
    fill(record, ctl, fn, arg, place_in(worker->runtime, worker->runtime->stack_class),
         __builtin_return_address(0), 0);
    name_task(task, record, ctl);
    lw_store_rlx(&worker->spawned, worker->spawned + 1);
    lw_make_fresh(worker, record);
    return 0;
}

int lw_task_spawn_child(lw_fn *fn, void *arg, const lw_task_options *options, const void *site,
                        struct lw_group *group, uint16_t epoch)
{
    struct lw_worker *worker = worker_here();
    struct lw_record *record;

    if (lw_unlikely(worker == NULL || options != NULL || fn == NULL ||
                    (record = take_quickly(worker)) == NULL))
        return lw_task_spawn(NULL, fn, arg, options, site, group, epoch);
    lw_store_rlx(&record->group, group); /* stale handles are looked up meanwhile */
    fill(record, lw_load_rlx(&record->ctl), fn, arg,
         place_in(worker->runtime, worker->runtime->stack_class) | LW_PLACE_CHILD, site, epoch);
    lw_store_rlx(&worker->spawned, worker->spawned + 1);
    lw_make_fresh(worker, record);
    return 0;
}

/* ---- the end */

/* Its joiner, if there is one, is claimed and woken. */
LW_INLINE void wake_joiner(uint64_t peer)
{
    struct lw_record *joiner = &lw_records[peer >> (PEER_SEQUENCE_BITS + 2)];
    struct lw_cold *cold = lw_record_cold(joiner);
    uint64_t wait = lw_load_acq(&cold->wait);

    /* Only that very wait: a joiner that gave up finds DONE and succeeds by itself. */
    if (((wait >> LW_STATE_BITS) & PEER_SEQUENCE_MASK) == ((peer >> 2) & PEER_SEQUENCE_MASK) &&
        lw_wait_can_end(wait) &&
        lw_cas_acq_rel(&cold->wait, &wait, (wait & ~(uint64_t)LW_STATE_MASK) | LW_PHASE_GRANTING))
        lw_wake(joiner, LW_GRANTED, LW_WAKE_NEXT);
}

/* What of the task lay in its cold record. */
LW_INLINE void leave_cold(struct lw_record *record)
{
    struct lw_cold *cold = lw_record_cold(record);

    if (cold->nheld != 0 && lw_holds_abandon != NULL)
        lw_holds_abandon(record);
    lw_timer_unlink(cold);
    lw_store_rlx(&cold->shields, 0);
}

void lw_task_finish(struct lw_worker *worker, struct lw_record *record, int status)
{
    struct lw_group *group = NULL;
    uint64_t peer;

    leave_cold(record);
    lw_stack_unpromise(&worker->stacks, (unsigned)(record->place >> LW_PLACE_CLASS_SHIFT) & 31u);
    if ((record->place & LW_PLACE_CHILD) != 0) {
        group = record->group;
        lw_group_child_ended(group, record, status);
        lw_record_give(&worker->records, record);
        lw_group_child_left(group); /* the last touch of the group */
    } else {
        lw_store_rlx(&record->status, status);
        peer = lw_swap_acq_rel(&record->peer, LW_PEER_DONE); /* [J1] */
        if ((peer & LW_PEER_TAG) == LW_PEER_DETACHED)
            lw_record_give(&worker->records, record);
        else if ((peer & LW_PEER_TAG) == LW_PEER_JOINER)
            wake_joiner(peer);
    }
    lw_store_rel(&worker->ended, worker->ended + 1);
}

/* ---- join, detach */

/* Whoever finds DONE claims the record by ending this life of the slot: exactly one does. */
LW_INLINE int reap(struct lw_record *record, uint64_t ctl, int *status)
{
    uint32_t generation = LW_CTL_GENERATION(ctl);
    int value = (int)lw_load_rlx(&record->status); /* another may be reaping it */

    while (lw_unlikely(!lw_cas_acq_rel(&record->ctl, &ctl, lw_ctl_next_life(ctl)))) /* [R1] */
        if (LW_CTL_GENERATION(ctl) != generation)
            return -ESRCH;
    put_record(worker_here(), record);
    if (status != NULL)
        *status = value;
    return 0;
}

/* The record of a handle in the life that the handle means, with its ctl and peer; negative if
 * there is none, or it is nothing to join. */
LW_INLINE int look_up(lw_task task, struct lw_record **record, uint64_t *ctl, uint64_t *peer)
{
    uint64_t place;

    *record = lw_record_of(task.id);
    if (*record == NULL)
        return -ESRCH;
    /* ctl first: what is read after it is of this life, or of a later one, whose ctl is another. */
    *ctl = lw_load_acq(&(*record)->ctl); /* [R1] */
    place = lw_load_rlx(&(*record)->place);
    *peer = lw_load_acq(&(*record)->peer); /* [J1] */
    if (LW_CTL_GENERATION(*ctl) != lw_id_generation(task.id) || (*ctl & LW_LIVE) == 0)
        return -ESRCH;
    if ((place & (LW_PLACE_GUEST | LW_PLACE_CHILD)) != 0 ||
        (*peer & LW_PEER_TAG) == LW_PEER_DETACHED)
        return -EINVAL;
    return 0;
}

/* The joiner's wait has ended otherwise: take the claim to be told back.  False: the task has
 * ended. */
static bool take_back(struct lw_record *record, uint64_t mine, uint64_t ctl)
{
    return lw_cas_acq_rel(&record->peer, &mine, peer_none(ctl));
}

static LW_NOINLINE int join_slow(lw_task task, int *status, lw_nsec deadline, const void *site)
{
    struct lw_record *me, *record = NULL;
    enum lw_outcome outcome;
    uint64_t ctl = 0, peer = 0, mine;
    int err = lw_wait_enter(&me, deadline);

    if (err == 0)
        err = look_up(task, &record, &ctl, &peer);
    if (err < 0)
        return err;
    if (peer == LW_PEER_DONE)
        return reap(record, ctl, status);
    if (record == me)
        return -EDEADLK;
    if ((peer & LW_PEER_TAG) == LW_PEER_JOINER)
        return -EBUSY;
    if (deadline == LW_NOW)
        return -ETIMEDOUT;

    lw_store_rlx(&lw_record_cold(me)->target, task.id);
    lw_wait_begin(me, LW_WAIT_JOIN, record, NULL, deadline, site);
    mine = peer_joiner(me);
    peer = peer_none(ctl);
    if (!lw_cas_acq_rel(&record->peer, &peer, mine)) { /* [J1] */
        lw_wait_abort(me);
        if (peer == LW_PEER_DONE)
            return reap(record, ctl, status);
        return (peer & LW_PEER_TAG) == LW_PEER_JOINER ? -EBUSY : -ESRCH;
    }
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED && take_back(record, mine, ctl))
        return lw_wait_error(me, outcome);
    return reap(record, ctl, status);
}

int lw_join(lw_task task, int *status, lw_nsec deadline)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_record *record = lw_record_of(task.id);
    uint64_t ctl;

    /* Ended already, and the budget is not: nothing to wait for. */
    if (lw_likely(thread != NULL && record != NULL && thread->budget > 1)) {
        ctl = lw_load_acq(&record->ctl); /* [R1] */
        if (LW_CTL_GENERATION(ctl) == lw_id_generation(task.id) &&
            lw_load_acq(&record->peer) == LW_PEER_DONE && /* [J1] */
            (lw_load_rlx(&record->place) & (LW_PLACE_GUEST | LW_PLACE_CHILD)) == 0) {
            thread->budget--;
            return reap(record, ctl, status);
        }
    }
    return join_slow(task, status, deadline, __builtin_return_address(0));
}

int lw_detach(lw_task task)
{
    struct lw_record *record;
    uint64_t ctl, peer;
    int err = look_up(task, &record, &ctl, &peer);

    if (err < 0)
        return err;
    if ((peer & LW_PEER_TAG) == LW_PEER_JOINER)
        return -EBUSY;
    peer = peer_none(ctl);
    if (lw_cas_acq_rel(&record->peer, &peer, LW_PEER_DETACHED))
        return 0;
    if (peer == LW_PEER_DONE)
        return reap(record, ctl, NULL);
    return (peer & LW_PEER_TAG) == LW_PEER_JOINER ? -EBUSY : -EINVAL;
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

    return me != NULL && (me->place & LW_PLACE_OPTIONS) != 0 ? lw_record_cold(me)->user_data : NULL;
}

void lw_set_data(void *data)
{
    struct lw_record *me = lw_current_or_attach();
    struct lw_cold *cold;

    if (me == NULL)
        return;
    cold = lw_record_cold(me);
    if ((me->place & LW_PLACE_OPTIONS) == 0) {
        lw_store_rlx(&cold->name, NULL);
        cold->priority = 0;
        lw_store_rlx(&me->place, me->place | LW_PLACE_OPTIONS);
    }
    cold->user_data = data;
}
