/* SPDX-License-Identifier: MIT */
/* The walk: a task whose wait is published looks, before it leaves, whether it closes a circle of
 * waits: from what it waits for to who has that, to what that one waits for, until it comes back to
 * itself.
 *
 * Of several who close a circle at once the last one finds it, in the order of [W1]: all publish
 * their waits, and then look, sequentially consistent.  What it costs those who close nothing: a
 * task that holds nothing, and for whose end nobody waits, does not come here (wait.c); one that
 * holds what nobody waits for stops after a look at its holds.
 *
 * It follows what one task has: the owner of a lock, the target of a join.  Who owns a lock the
 * first waiter in its queue says, exactly, if the owner is blocked (lw_owner_hint_all()); the way
 * to the first is by the links of the queue, which may change under it.  A walk that goes astray
 * finds nothing, or what is then refused: before anything is decided each edge is checked in the
 * record of who is said to have it (detector.h).
 *
 * All else (readers, permits, groups, a circle that somebody else has closed, a way of more than
 * FAR_MAX tasks) is left to the look at all waits.
 *
 * A child that closes a circle through its group need not hold anything, nor one through whom a
 * helper's call goes on: nobody comes here for it.  But then the circle has a knot, a wait for an
 * end whose waiter tells of it (lw_is_knot()):
 * - If somebody in it waits for what another holds, follow the circle from that one: the first who
 *   waits for an end, behind nobody but such as wait for locks, holds something.
 * - Else all of them wait for ends.  By joins alone: join.c.  Else there is a child or a helper in
 *   it.  Let it not be a knot: then it waits for a call, or ends a group, and whom it waits for
 *   began after it had, and is a child or a helper, too.  All of them cannot be so.
 *
 * [W1] [J2] wait word, or the peer word of the target, by compare-and-swap; owners, peers and wait
 *      words of others: all seq_cst. */
#include "locksmith/ages.h"
#include "primitives/lock.h"
#include "runtime/peer.h"
#include "runtime/worker.h"

enum {
    HOPS_MAX = 32,
#ifdef LW_TINY
    FAR_MAX = 64,
#else
    FAR_MAX = 8192,
#endif
    LINKS_MAX = 64, /* of one queue */
};

enum {
    EXCLUSIVE = 1 << LW_HOLD_EXCLUSIVE,
    SHARED = 1 << LW_HOLD_SHARED,
    UNITS = 1 << LW_HOLD_UNITS,
    WAKER = 1 << LW_HOLD_WAKER,
};

unsigned lw_modes_against(unsigned kind)
{
    switch (kind) {
    case LW_WAIT_LOCK:
    case LW_WAIT_UPGRADE:
        return EXCLUSIVE | SHARED;
    case LW_WAIT_SHARED:
        return EXCLUSIVE;
    case LW_WAIT_UNITS:
        return UNITS;
    case LW_WAIT_ONCE:
        return WAKER;
    default:
        return 0;
    }
}

bool lw_is_in_graph(unsigned kind)
{
    return lw_modes_against(kind) != 0 || kind == LW_WAIT_JOIN || kind == LW_WAIT_GROUP ||
           kind == LW_WAIT_CALL;
}

unsigned lw_holds_against(const struct lw_cold *holder, uint64_t object, unsigned modes)
{
    struct lw_hold_look look = {.cold = holder};
    struct lw_hold hold;

    while (lw_hold_look(&look, &hold))
        if ((uintptr_t)lw_hold_lock(&hold) == object && (modes & 1u << lw_hold_mode(&hold)) != 0)
            return 1u << lw_hold_mode(&hold);
    return 0;
}

/* Somebody may wait for what the caller has.  Its own locks are alive. */
static bool is_waited_for(const struct lw_record *me)
{
    struct lw_hold_look look = {.cold = lw_record_cold(me)};
    struct lw_hold hold;

    if (lw_peer_is(lw_load_sc(&me->peer), LW_PEER_JOINER)) /* [J2] */
        return true;
    while (lw_hold_look(&look, &hold))
        if (lw_hold_mode(&hold) == LW_HOLD_WAKER ||
            (lw_load_sc(&lw_hold_lock(&hold)->_word._value) & LW_LOCK_QUEUED) != 0) /* [W1] */
            return true;
    return false;
}

/* A helper at work, or one of a group. */
static bool is_child(const struct lw_record *record)
{
    if (lw_record_is_guest(record))
        return lw_load_rlx(&record->arg) != NULL;
    return (lw_load_rlx(&record->place) & LW_PLACE_CHILD) != 0;
}

/* The usual end of a scope is none: it waits for those who came after. */
bool lw_is_knot(const struct lw_record *record)
{
    const struct lw_cold *cold = lw_record_cold(record);
    unsigned kind = lw_load_rlx(&cold->kind);

    if (lw_has_any(record))
        return true;
    if (kind != LW_WAIT_JOIN &&
        (kind != LW_WAIT_GROUP || lw_load_rlx(&cold->mode) == LW_GROUP_ENDS_OWN))
        return false;
    return is_child(record);
}

/* It queued in front of others, who wait behind it now: of permits, which have no owner. */
static bool puts_others_back(const struct lw_record *me, unsigned kind)
{
    return kind == LW_WAIT_UNITS && lw_goes_first(me);
}

/* Who has the object, as the first one in its queue says; 0: nobody, or the way there was lost. */
static uint64_t owner_of(const struct lw_cold *waiter)
{
    for (unsigned links = 0; links < LINKS_MAX; links++) {
        uint64_t owner = lw_load_sc(&waiter->owner); /* [W1] */
        struct lw_node *before = lw_load_rlx(&waiter->node.prev);

        if (owner != 0)
            return owner;
        if (before == NULL || before == &waiter->node || lw_node_is_arm(before))
            return 0;
        waiter = lw_node_cold(before);
    }
    return 0;
}

/* Who has to go on first, so that the wait can end; NULL: not one task, or it is not known.
 * *clear: nobody has to; it ends by what no task has.  If that is said of a later wait than the one
 * that was seen, that one began after ours, and looks for itself. */
static struct lw_record *next_after(struct lw_record *record, struct lw_record *me, bool *clear)
{
    const struct lw_cold *cold = lw_record_cold(record);
    unsigned kind = lw_load_rlx(&cold->kind), modes = lw_modes_against(kind) & ~(unsigned)UNITS;
    unsigned mine = 0;
    uint64_t id = 0;

    *clear = !lw_is_in_graph(kind);
    if (modes != 0 && record != me)
        mine = lw_holds_against(lw_record_cold(me), lw_load_rlx(&cold->object), modes);
    if (mine == SHARED) /* others may read it as well, and be in circles that share this wait */
        return NULL;
    if (mine != 0)
        return me;
    if (kind == LW_WAIT_JOIN)
        id = lw_load_rlx(&cold->target);
    else if (modes != 0)
        id = owner_of(cold);
    return id != 0 ? lw_record_of(id) : NULL;
}

/* One waits for the other; both words have been loaded. */
static bool is_edge(const struct lw_suspect *waiter, const struct lw_suspect *next)
{
    const struct lw_cold *cold = lw_record_cold(waiter->record);
    const struct lw_cold *has = lw_record_cold(next->record);
    unsigned kind = lw_load_rlx(&cold->kind), modes = lw_modes_against(kind), mode;
    uint64_t peer;

    if (waiter->record == next->record) /* gone astray: what it reads itself it may upgrade */
        return false;
    if (kind == LW_WAIT_JOIN) {
        peer = lw_load_acq(&next->record->peer);
        return lw_load_rlx(&cold->target) == lw_load_rlx(&has->id) &&
               lw_peer_is(peer, LW_PEER_JOINER) && lw_peer_record(peer) == waiter->record &&
               lw_peer_means(peer, waiter->wait);
    }
    mode = lw_holds_against(has, lw_load_rlx(&cold->object), modes & ~(unsigned)UNITS);
    /* Whoever freed a lock that it held has a hold of what is there now. */
    return mode != 0 && (mode != EXCLUSIVE || owner_of(cold) == lw_load_rlx(&has->id));
}

/* A circle of nothing but joins without deadlines is for those who join (join.c). */
static bool is_of_joins(const struct lw_suspect *circle, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct lw_cold *cold = lw_record_cold(circle[i].record);

        if (lw_load_rlx(&cold->kind) != LW_WAIT_JOIN ||
            lw_load_rlx(&cold->deadline) != LW_FOREVER)
            return false;
    }
    return true;
}

static bool is_circle(const struct lw_suspect *circle, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is_edge(&circle[i], &circle[(i + 1) % count]))
            return false;
    return !is_of_joins(circle, count);
}

/* By one who decides. */
static bool close_circle(const struct lw_suspect *circle, uint32_t count, struct lw_record *me,
                         bool *told)
{
    /* Without the check what was a circle never is taken for one. */
    return !lw_recheck(!is_circle(circle, count)) && lw_resolve(circle, count, me, told);
}

/* The path from me back to me; 0: there is none.  *unclear: that is not certain; *far: since it is
 * longer than `max`. */
static uint32_t walk(struct lw_record *me, uint64_t wait, struct lw_suspect *path, uint32_t max,
                     bool *unclear, bool *far)
{
    struct lw_record *record = me, *passed = NULL;
    uint32_t count = 0;
    bool clear;

    *unclear = true;
    do {
        *far = count == max;
        if (*far)
            return 0;
        path[count++] = (struct lw_suspect){record, wait, 1, false};
        record = next_after(record, me, &clear);
        *unclear = !clear;
        if (record == NULL || record == passed) /* or it is in a circle without me (Brent, 1980) */
            return 0;
        if ((count & (count - 1)) == 0)
            passed = record;
        wait = lw_load_sc(&lw_record_cold(record)->wait); /* [W1] */
        *unclear = lw_wait_is_claimed(wait);
        if (record != me && (wait & LW_PHASE_MASK) != LW_PHASE_WAITING)
            return 0;
    } while (record != me);
    return count;
}

/* A longer way than a task's stack has room for is gone again, by one who decides. */
static bool walk_far(struct lw_record *me, uint64_t wait, bool *clear, bool *told)
{
    static struct lw_suspect path[FAR_MAX];
    bool far, unclear;
    uint32_t count = walk(me, wait, path, FAR_MAX, &unclear, &far);

    *clear = count == 0 && !unclear;
    if (count > LW_TOLD_MAX)
        lw_turn_to_victim(path, count);
    return count != 0 && close_circle(path, count, me, told);
}

/* True: the caller's wait is over, by force.  *clear: there was no circle, or it was told of. */
static bool look_for_circle(struct lw_record *me, uint64_t wait, bool *clear)
{
    struct lw_suspect path[HOPS_MAX];
    bool unclear, far, told = false, over = false;
    uint32_t count = walk(me, wait, path, HOPS_MAX, &unclear, &far);

    *clear = count == 0 && !unclear;
    if ((count == 0 && !far) || !lw_deciding_begin())
        return false;
    if (far)
        over = walk_far(me, wait, clear, &told);
    else
        over = close_circle(path, count, me, &told);
    lw_deciding_end();
    *clear |= told;
    return over;
}

bool lw_walk(struct lw_record *me, uint64_t wait)
{
    struct lw_cold *cold = lw_record_cold(me);
    unsigned kind = lw_load_rlx(&cold->kind);
    bool clear = false, over = false;

    if (!lw_is_in_graph(kind)) {
        if (lw_record_is_guest(me) && lw_may_be_long(kind))
            lw_sweep_notice(false);
        return false;
    }
    if (lw_modes_against(kind) == 0) {
        lw_owner_hint_held(cold); /* the runtime knows of no locks */
        if (lw_is_knot(me))
            lw_sweep_notice_knot();
    }
    if (!is_waited_for(me) && !puts_others_back(me, kind)) {
        if (lw_record_is_guest(me)) /* all workers may sleep, and it may wait for long */
            lw_sweep_notice(false);
        return false;
    }
    if (lw_modes_against(kind) != 0 || kind == LW_WAIT_JOIN)
        over = look_for_circle(me, wait, &clear);
    if (!over && !clear && !lw_tick_runs())
        lw_sweep_soon();
    else if (!over)
        lw_sweep_notice(!clear);
    return over;
}
