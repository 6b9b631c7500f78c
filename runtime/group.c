/* SPDX-License-Identifier: MIT */
/* Groups: children end before the scope does.
 *
 *     _word = running:32 (signed) | epoch:16 | flags:16
 *
 * running counts the children, and one less while somebody waits (WAITED): the group's own unit is
 * taken away by the first waiter.  So a child that finds 0 at its end is the last of a group that
 * is waited for; in the same compare-and-swap in which it counts itself out it gives the unit back
 * and takes the guard.  It takes the waiters out and drops the guard, its last touch, before it
 * wakes them.  Every other child's last touch is the one that counts it out.  So nobody can find
 * the group empty before those who have left it are done with it: its memory may end as soon as a
 * wait has returned.
 *
 * A spawn or an end that never waited costs one RMW each.  A child enrols in the list of members
 * when it first waits (or asks), under the guard; until then it learns of a cancel from the epoch,
 * which was noted at its spawn.  A child that is still to be spawned while the group is being torn
 * down (after a failure that is to end all, and in the end of the group) is born with an epoch that
 * differs, cancelled (TEARDOWN).
 *
 * The waiters' queue is _reserved[0]; the members' list _children, linked through line 4 of cold.
 * _reserved[1] is who spawned a child last while there was none: those that are there now are
 * younger than that one.
 *
 * [G2] what a child did  ->  the waiter: running - 1 (release) by all, which are one release
 *      sequence; the last one's acquire; its wake.
 *      A waiter that finds nobody running: load of the word (acquire). */
#include <latchwork/group.h>

#include <errno.h>

#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

enum { GUARD = 1, TEARDOWN = 2, WAITED = 4, EPOCH_SHIFT = 16, RUNNING_SHIFT = 32 };
#define ONE (UINT64_C(1) << RUNNING_SHIFT)

static uint64_t *word_of(struct lw_group *group)
{
    return &group->_word._value;
}

static void **waiters_of(struct lw_group *group)
{
    return (void **)(void *)&group->_reserved[0];
}

static uint64_t *elder_of(struct lw_group *group)
{
    return &group->_reserved[1];
}

static int32_t running(uint64_t word)
{
    return (int32_t)(word >> RUNNING_SHIFT);
}

static uint16_t epoch(uint64_t word)
{
    return (uint16_t)(word >> EPOCH_SHIFT);
}

/* ---- the child's side */

void lw_group_enroll(struct lw_record *child)
{
    struct lw_cold *cold = lw_record_cold(child);
    struct lw_group *group = lw_load_rlx(&child->group);
    struct lw_cold **members = (struct lw_cold **)(void *)&group->_children;
    uint16_t born = (uint16_t)(lw_load_rlx(&child->site) >> 48);
    bool cancelled = epoch(lw_guard_take(word_of(group), GUARD)) != born;

    cold->group_next = *members;
    cold->group_prev = members;
    if (*members != NULL)
        (*members)->group_prev = &cold->group_next;
    *members = cold;
    lw_store_rlx(&child->place, lw_load_rlx(&child->place) | LW_PLACE_ENROLLED);
    lw_guard_drop(word_of(group), GUARD);
    if (cancelled)
        (void)lw_cancel_request(child, LW_CTL_GENERATION(lw_load_rlx(&child->ctl)));
}

/* ---- cancelling */

void lw_group_cancel(lw_group *group)
{
    struct lw_wake_batch batch = {0};
    uint64_t word, next;

    if (lw_forked())
        return;
    word = lw_guard_take(word_of(group), GUARD);
    do
        next = (word & ~(UINT64_C(0xffff) << EPOCH_SHIFT)) | (uint64_t)(uint16_t)(epoch(word) + 1)
                                                                 << EPOCH_SHIFT;
    while (!lw_cas_rlx(word_of(group), &word, next)); /* the guard orders it */
    /* Members leave the list under the guard before their records are given back, so all of these
     * are alive; one heavy fence serves them all. */
    for (struct lw_cold *cold = group->_children; cold != NULL; cold = cold->group_next) {
        struct lw_record *member = lw_cold_record(cold);

        (void)lw_cancel_request(member, LW_CTL_GENERATION(lw_load_rlx(&member->ctl)));
    }
    if (group->_children != NULL)
        lw_asym_heavy(); /* [W3] */
    for (struct lw_cold *cold = group->_children; cold != NULL; cold = cold->group_next) {
        struct lw_record *member = lw_cold_record(cold);

        lw_cancel_wait(member, LW_CTL_GENERATION(lw_load_rlx(&member->ctl)), &batch);
    }
    lw_guard_drop(word_of(group), GUARD);
    lw_wake_batch_run_ended(&batch);
}

static void set_teardown(struct lw_group *group, bool on)
{
    if (on)
        (void)lw_or_rlx(word_of(group), TEARDOWN);
    else
        (void)lw_and_rlx(word_of(group), ~(uint64_t)TEARDOWN);
}

/* Cancel what runs and what is still to be spawned by it. */
static void tear_down(struct lw_group *group)
{
    set_teardown(group, true);
    lw_group_cancel(group);
}

/* ---- the end of a child */

void lw_group_child_ended(struct lw_group *group, struct lw_record *child, int status)
{
    struct lw_cold *cold = lw_record_cold(child);
    int none = 0;

    if ((lw_load_rlx(&child->place) & LW_PLACE_ENROLLED) != 0) {
        (void)lw_guard_take(word_of(group), GUARD);
        *cold->group_prev = cold->group_next;
        if (cold->group_next != NULL)
            cold->group_next->group_prev = cold->group_prev;
        lw_guard_drop(word_of(group), GUARD);
    }
    if (status < 0 && status != -ECANCELED && lw_cas_rel(&group->_failure, &none, status) &&
        (group->flags & LW_GROUP_FAIL_FAST) != 0)
        tear_down(group); /* also of those that the owner has not come to spawn yet */
}

/* One less runs.  True: it was the last, and somebody waits; the guard is taken, the unit given
 * back. */
static bool count_out(struct lw_group *group)
{
    uint64_t word = lw_load_rlx(word_of(group));
    unsigned rounds = 0;

    for (;;) {
        if (lw_likely(running(word) != 0)) {
            if (lw_cas_rel(word_of(group), &word, word - ONE)) /* [G2] */
                return false;
        } else if ((word & GUARD) != 0) {
            lw_spin(&rounds);
            word = lw_load_rlx(word_of(group));
        } else if (lw_cas_acq(word_of(group), &word,
                              (word & ~(uint64_t)WAITED) | GUARD)) { /* [G2] */
            return true;
        }
    }
}

void lw_group_child_left(struct lw_group *group)
{
    struct lw_wake_batch batch = {0};
    struct lw_record *waiter;

    if (!count_out(group))
        return;
    while ((waiter = lw_queue_claim(waiters_of(group))) != NULL)
        lw_wake_batch_add(&batch, waiter);
    lw_guard_drop(word_of(group), GUARD);
    if (lw_likely(batch.count == 1))
        lw_wake(batch.first, LW_GRANTED, LW_WAKE_NEXT);
    else
        lw_wake_batch_run(&batch, LW_GRANTED);
}

/* ---- the owner's side */

static bool is_child_here(const struct lw_group *group)
{
    const struct lw_record *me = lw_current();

    return me != NULL && (lw_load_rlx(&me->place) & LW_PLACE_CHILD) != 0 &&
           lw_load_rlx(&me->group) == group;
}

/* Of one that has no children yet. */
static void note_elder(struct lw_group *group)
{
    const struct lw_record *me = lw_current();

    lw_store_rlx(elder_of(group), me != NULL ? lw_record_id(me) : 0);
}

int lw_group_spawn(lw_group *group, lw_fn *fn, void *arg, const lw_task_options *options)
{
    uint64_t word = lw_add_rlx(word_of(group), ONE);
    uint16_t at = (uint16_t)(epoch(word) - ((word & TEARDOWN) != 0));
    int err;

    if (running(word) == 0 && (word & WAITED) == 0)
        note_elder(group);
    err = lw_task_spawn_child(fn, arg, options, __builtin_return_address(0), group, at);
    if (err < 0)
        lw_group_child_left(group);
    return err;
}

/* Nobody runs, and nobody who ran still touches the group. */
static bool is_over(uint64_t word)
{
    return running(word) == 0 && (word & (WAITED | GUARD)) == 0;
}

/* Under the guard: put the caller among the waiters.  False: there is nothing to wait for. */
static bool join_queue(struct lw_group *group, struct lw_record *me, lw_nsec deadline,
                       const void *site, bool shielded)
{
    uint64_t word = lw_load_rlx(word_of(group));

    while ((word & WAITED) == 0) {
        if (lw_recheck(running(word) == 0))
            return false; /* and nobody will come to wake us */
        if (lw_cas_rlx(word_of(group), &word, (word - ONE) | WAITED))
            break;
    }
    if (shielded)
        lw_wait_begin_shielded(me, LW_WAIT_GROUP, group, NULL, deadline, site);
    else
        lw_wait_begin(me, LW_WAIT_GROUP, group, NULL, deadline, site);
    lw_queue_push(waiters_of(group), &lw_record_cold(me)->node);
    return true;
}

/* The wait ended otherwise: leave the queue, the last one with the unit; unless the last child has
 * taken all out of the queue already. */
static void leave_queue(struct lw_group *group, struct lw_record *me)
{
    struct lw_node *node = &lw_record_cold(me)->node;
    uint64_t word = lw_guard_take(word_of(group), GUARD);

    if (node->next != NULL) {
        lw_queue_remove(waiters_of(group), node);
        if (*waiters_of(group) == NULL)
            while (!lw_cas_rlx(word_of(group), &word, (word + ONE) & ~(uint64_t)WAITED))
                continue;
    }
    lw_guard_drop(word_of(group), GUARD);
}

/* The end of a group goes on waiting whatever happens. */
enum how { MAY_FAIL, ENDS, ENDS_SHIELDED };

/* A task that ends a group all of whose children are younger waits for none that was there before
 * it: so no circle is closed by such waits alone.  (A helper is there before the call that it
 * does.)  If another has spawned the first one meanwhile, it is so all the same. */
static enum lw_group_wait mode_of(struct lw_group *group, const struct lw_record *me, enum how how)
{
    if (how == MAY_FAIL)
        return LW_GROUP_WAIT_MAY_FAIL;
    if (!lw_record_is_guest(me) && lw_load_rlx(elder_of(group)) == lw_record_id(me))
        return LW_GROUP_ENDS_OWN;
    return LW_GROUP_ENDS_OTHER;
}

static int wait_group(struct lw_group *group, struct lw_record *me, lw_nsec deadline,
                      const void *site, enum how how)
{
    bool shielded = how == ENDS_SHIELDED;
    enum lw_outcome outcome;
    bool waits;

    if (is_over(lw_load_acq(word_of(group)))) /* [G2] */
        return 0;
    if (deadline == LW_NOW)
        return -ETIMEDOUT;
    lw_store_rlx(&lw_record_cold(me)->mode, mode_of(group, me, how));
    (void)lw_guard_take(word_of(group), GUARD);
    waits = join_queue(group, me, deadline, site, shielded);
    lw_guard_drop(word_of(group), GUARD);
    if (!waits) {
        /* [G2] The last of them may have counted itself out, with release, while we had the guard:
         * that it has left was found relaxed; what it did is acquired here. */
        (void)lw_load_acq(word_of(group));
        return 0;
    }
    outcome = shielded ? lw_wait_finish_shielded(me) : lw_wait_finish(me);
    if (outcome != LW_GRANTED)
        leave_queue(group, me);
    return lw_wait_error(me, outcome);
}

int lw_group_wait(lw_group *group, lw_nsec deadline)
{
    struct lw_record *me;
    int err;

    if (is_child_here(group))
        return -EDEADLK;
    err = lw_wait_enter(&me, deadline);
    return err < 0 ? err : wait_group(group, me, deadline, __builtin_return_address(0), MAY_FAIL);
}

/* A plain thread without memory for a record cannot be woken: it looks now and then. */
static void await_by_looking(struct lw_group *group)
{
    uint32_t word = 0;

    while (!is_over(lw_load_acq(word_of(group)))) /* [G2] */
        lw_sys.futex_wait(&word, 0, lw_sys.now() + LW_MS);
}

/* Wait for all children, whatever happens.  A cancel is passed on, a request to let go is not; both
 * are still the caller's. */
static void await_all(struct lw_group *group, struct lw_record *me, const void *site)
{
    bool cancelled = false;
    uint64_t forced = 0;
    int err;

    while ((err = wait_group(group, me, LW_FOREVER, site,
                            cancelled ? ENDS_SHIELDED : ENDS)) < 0) {
        if (err == -EDEADLK) {
            forced |= lw_load_rlx(&lw_record_cold(me)->cancels);
            continue;
        }
        if (err == -ECANCELED)
            cancelled = true;
        tear_down(group);
    }
    if (cancelled)
        lw_cancel_restore(me);
    lw_force_restore(me, forced);
}

int lw_group_end(lw_group *group, int status)
{
    const void *site = __builtin_return_address(0);
    struct lw_record *me;
    int err, cleanup = 0;

    if (is_child_here(group))
        return -EDEADLK;
    if (group->hooks != NULL && group->hooks->cleanup != NULL)
        cleanup = group->hooks->cleanup(group);
    if (status >= 0 && cleanup < 0)
        status = cleanup;
    if (status < 0 || cleanup < 0 || (group->flags & LW_GROUP_CANCEL_AT_END) != 0)
        tear_down(group);
    err = lw_wait_enter(&me, LW_FOREVER);
    if (err == 0)
        await_all(group, me, site);
    else if (err == -ENOMEM)
        await_by_looking(group);
    else if (status >= 0)
        status = err; /* the child of a fork, where no other task ever runs */
    set_teardown(group, false);
    if (status >= 0 && lw_group_failure(group) < 0)
        status = lw_group_failure(group);
    lw_store_rlx(&group->_failure, 0);
    return status;
}

int lw_group_failure(const lw_group *group)
{
    return lw_load_acq(&group->_failure);
}

size_t lw_group_running(const lw_group *group)
{
    uint64_t word = lw_load_acq(&group->_word._value);

    return (size_t)(running(word) +
                    ((word & WAITED) != 0)); /* while somebody waits one unit is away */
}

/* ---- as a scope */

static int enter(lw_scope *scope, lw_nsec deadline)
{
    struct lw_group *group = (struct lw_group *)(void *)scope;

    (void)deadline;
    return group->hooks != NULL && group->hooks->setup != NULL ? group->hooks->setup(group) : 0;
}

static int leave(lw_scope *scope, int status)
{
    return lw_group_end((struct lw_group *)(void *)scope, status);
}

const lw_scope_kind lw_group_kind = {
    .name = "group", .enter = enter, .exit = leave, .blocking = false};
