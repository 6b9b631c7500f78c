/* SPDX-License-Identifier: MIT */
/* The words of a task and of a wait (ctl.h, wait_word.h, peer.h), in every order of their steps: a
 * record is given back once, a wait ends once, and no request is lost. */
#include "tests/models/explore.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/peer.h"

enum { RECORDS = 2, TARGET = 0, JOINER = 1 };

static struct {
    struct lw_record hot[RECORDS];
    struct lw_cold cold[RECORDS];
} world __attribute__((aligned(64)));

struct lw_record *lw_records = world.hot;
uintptr_t lw_cold_offset;
uint32_t lw_slots_used = RECORDS, lw_coarse_ms;

void (lw_asym_heavy)(void)
{
}

/* Nobody claims a wait that its task takes back here. */
void lw_spin(unsigned *rounds)
{
    (void)rounds;
    abort();
}

static unsigned given_back, succeeded, queued, asked;
static bool overdue;

static void begin(void)
{
    memset(&world, 0, sizeof world);
    lw_cold_offset = (uintptr_t)world.cold - (uintptr_t)world.hot * 4;
    given_back = succeeded = queued = asked = 0;
    overdue = false;
    for (int i = 0; i < RECORDS; i++) {
        world.hot[i].ctl = UINT64_C(1) << 32 | LW_LIVE;
        world.hot[i].peer = lw_peer_none(world.hot[i].ctl);
    }
}

/* ---- the end of a task */

static void end(void)
{
    struct lw_record *task = &world.hot[TARGET];
    uint64_t peer = lw_peer_end(task);

    if (lw_peer_is(peer, LW_PEER_DETACHED)) {
        lw_store_rel(&task->ctl, lw_ctl_next_life(lw_load_rlx(&task->ctl)));
        given_back++;
    } else if (lw_peer_is(peer, LW_PEER_JOINER) && lw_peer_claim(peer)) {
        queued++;
    }
}

static void reap(uint64_t ctl)
{
    if (lw_ctl_end(&world.hot[TARGET], ctl)) {
        given_back++;
        succeeded++;
    }
}

/* A join, of which the wait ends at once unless the task has ended. */
static void join(void)
{
    struct lw_record *task = &world.hot[TARGET], *me = &world.hot[JOINER];
    uint64_t ctl = lw_load_acq(&task->ctl), peer = lw_load_acq(&task->peer), mine;

    if (lw_ctl_is_over(ctl, 1) || lw_peer_is(peer, LW_PEER_DETACHED) || lw_peer_is_taken(peer))
        return;
    if (peer == LW_PEER_DONE) {
        reap(ctl);
        return;
    }
    lw_wait_begin(me, LW_WAIT_JOIN, task, NULL, LW_FOREVER, NULL);
    mine = lw_peer_joiner(me);
    if (!lw_peer_join(task, ctl, mine, &peer)) {
        if (lw_wait_take_back(lw_record_cold(me)) && peer == LW_PEER_DONE)
            reap(ctl);
        return;
    }
    (void)lw_wait_take_back(lw_record_cold(me));
    if (!lw_peer_leave(task, ctl, mine))
        reap(ctl);
}

static void detach(void)
{
    struct lw_record *task = &world.hot[TARGET];
    uint64_t ctl = lw_load_acq(&task->ctl), peer = lw_load_acq(&task->peer);

    if (lw_ctl_is_over(ctl, 1) || lw_peer_is(peer, LW_PEER_DETACHED) || lw_peer_is_taken(peer))
        return;
    if (!lw_peer_detach(task, ctl, &peer) && peer == LW_PEER_DONE)
        reap(ctl);
}

static bool end_is_well(void)
{
    const struct lw_record *task = &world.hot[TARGET];
    bool left = lw_peer_is(task->peer, LW_PEER_DONE) && given_back == 0;

    return given_back + left == 1 && LW_CTL_GENERATION(task->ctl) == 1 + given_back;
}

/* ---- a wait */

static void wait_begin(void)
{
    begin();
    lw_wait_begin(&world.hot[TARGET], LW_WAIT_LOCK, &world, NULL, 7, NULL);
}

static void wait_begin_visibly(void)
{
    begin();
    lw_wait_begin(&world.hot[TARGET], LW_WAIT_EVENT, &world, NULL, 7, NULL);
}

static void wait(void)
{
    struct lw_record *me = &world.hot[TARGET];
    uint64_t word = lw_wait_block(lw_record_cold(me));

    if ((word & LW_PHASE_MASK) == LW_PHASE_WAITING && lw_wait_sees_cancel(me) &&
        lw_wait_is_cancelled(me, word))
        queued++; /* it just goes on */
}

static void grant(void)
{
    if (lw_wake_claim(&world.hot[TARGET])) {
        lw_wake_state(&world.hot[TARGET], LW_GRANTED);
        queued++;
    }
}

/* As often as it takes: a node whose wait has changed meanwhile comes up again. */
static void expire(void)
{
    struct lw_cold *cold = &world.cold[TARGET];
    uint64_t seen;

    do {
        seen = lw_load_acq(&cold->wait);
        if (lw_wait_can_end(seen) && lw_wait_end_word(cold, seen, LW_TIMEOUT)) {
            queued++;
            return;
        }
        if (!lw_wait_can_end(seen) && !lw_wait_is_claimed(seen))
            return;
        overdue = true;
    } while (lw_wait_can_end(seen) || !lw_wait_mark(cold, seen, LW_TIMEOUT_PENDING));
}

static void claim(void)
{
    uint64_t seen = lw_load_acq(&world.cold[TARGET].wait);

    if (lw_wait_claim(&world.cold[TARGET], seen) && lw_wait_unclaim(&world.hot[TARGET], seen))
        queued++;
}

static void force(void)
{
    uint64_t seen = lw_load_acq(&world.cold[TARGET].wait);

    if (lw_wait_claim(&world.cold[TARGET], seen) &&
        (lw_wait_end_claimed(&world.cold[TARGET], seen, LW_FORCED) ||
         lw_wait_unclaim(&world.hot[TARGET], seen)))
        queued++;
}

static void cancel(void)
{
    asked += lw_ctl_request(&world.hot[TARGET], 1);
    if (lw_wait_cancel(&world.hot[TARGET], 1))
        queued++;
}

/* Each request is still due, or is part of the cancel that ended the wait. */
static bool wait_is_well(void)
{
    uint64_t word = world.cold[TARGET].wait, ctl = world.hot[TARGET].ctl;
    unsigned fresh = (unsigned)((ctl & LW_CTL_FRESH_MASK) >> LW_CTL_FRESH_SHIFT);
    bool ended = (word & LW_PHASE_MASK) == LW_PHASE_ENDED;

    if (ended && (word >> LW_OUTCOME_SHIFT & 7) == LW_CANCELLED)
        fresh += world.cold[TARGET].cancels;
    return queued == ended && fresh == asked && (ended || (asked == 0 && !overdue)) &&
           (word & LW_PHASE_MASK) != LW_PHASE_CLAIMED;
}

static const struct scenario scenarios[] = {
    {"end, join and detach", begin, {end, join, detach}, end_is_well, 5},
    {"end, and two who detach", begin, {end, detach, detach}, end_is_well, 6},
    {"wait, cancelled twice", wait_begin, {wait, cancel, cancel}, wait_is_well, 4},
    {"wait, granted, expired, cancelled", wait_begin, {wait, grant, expire, cancel}, wait_is_well,
     3},
    {"wait, claimed, expired", wait_begin, {wait, claim, expire}, wait_is_well, 5},
    {"wait, claimed, cancelled", wait_begin, {wait, claim, cancel}, wait_is_well, 5},
    {"claimed before it leaves, cancelled", wait_begin_visibly, {wait, claim, cancel},
     wait_is_well, 5},
    {"wait, claimed, cancelled, expired", wait_begin, {wait, claim, cancel, expire}, wait_is_well,
     3},
    {"wait, claimed, cancelled, granted", wait_begin, {wait, claim, cancel, grant}, wait_is_well,
     3},
    {"wait, claimed, cancelled twice", wait_begin, {wait, claim, cancel, cancel}, wait_is_well, 3},
    {"wait, forced, cancelled, expired", wait_begin, {wait, force, cancel, expire}, wait_is_well,
     3},
    {"wait, forced, granted", wait_begin, {wait, force, grant}, wait_is_well, 5},
};

/* Of the broken build each scenario has to notice. */
int main(void)
{
    unsigned count = sizeof scenarios / sizeof scenarios[0], well = 0;

    for (unsigned i = 0; i < count; i++)
        well += explore(&scenarios[i]);
#ifdef BROKEN
    return well == 0 ? 0 : 1;
#else
    return well == count ? 0 : 1;
#endif
}
