/* SPDX-License-Identifier: MIT */
/* lw_barrier and lw_stateful_barrier: a queue of those who have come, in order; the last one lets
 * all of them go.
 *
 *     bit          meaning                                   changed
 *     GUARD 1      guards all                                CAS; last store
 *     BROKEN 2     no meeting any more                       under GUARD
 *     ONE_SHOT 4   the first meeting is the last             never
 *
 * What each party brings, and is to get, is in an arrival on its own stack, which the record of its
 * wait points to.  The last one numbers them all, and gathers their states, under the guard.  A
 * wait that has ended just then (by its deadline, a cancel) finds so when it has the guard: the
 * meeting has taken place, and it was there.  Before that, whoever ends its wait is out of the
 * queue and of the count, and no state of its own is anywhere.
 *
 * Invariants.
 * - _waiting is the length of the queue, and less than parties.
 * - BROKEN: nobody waits.
 *
 * [B1] what a party wrote before it came -> all of them: section to section, and the wait words of
 *      those who are woken (wait.h, W2).
 * [B2] section to section: GUARD dropped by a release store -> taken by CAS acquire. */
#include <latchwork/barrier.h>

#include <errno.h>
#include <stddef.h>

#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/worker.h"

enum { GUARD = 1, BROKEN = 2, ONE_SHOT = 4 };

enum { WAIT = 1, TRIP = 2 }; /* come(): beside negative codes */

struct arrival {
    void *const *state;        /* NULL: none */
    lw_barrier_states *result; /* NULL: not asked for */
    uint32_t position;
    bool met;
};

static uint64_t take_guard(lw_barrier *barrier)
{
    return lw_guard_take(&barrier->wait._word._value, GUARD); /* [B2] */
}

static void drop_guard(lw_barrier *barrier, uint64_t word)
{
    lw_debug_check((barrier->wait._queue != NULL) == (barrier->_waiting != 0));
    lw_store_rel(&barrier->wait._word._value, word & ~(uint64_t)GUARD); /* [B1] [B2] */
}

static lw_stateful_barrier *stateful(lw_barrier *barrier)
{
    return (lw_stateful_barrier *)(void *)barrier;
}

/* ---- states: a ring that keeps the newest */

static void keep(lw_stateful_barrier *barrier, void *state)
{
    if (barrier->_room == 0)
        return;
    barrier->_states[(barrier->_first + barrier->_count) % barrier->_room] = state;
    if (barrier->_count < barrier->_room)
        barrier->_count++;
    else
        barrier->_first = (barrier->_first + 1) % barrier->_room;
}

/* After the meeting they do not change any more. */
static void copy_states(const lw_stateful_barrier *barrier, const struct arrival *arrival)
{
    lw_barrier_states *result = arrival->result;
    uint32_t count, from;

    if (result == NULL)
        return;
    count = barrier->_count < result->states_max ? barrier->_count : result->states_max;
    from = barrier->_first + (barrier->_count - count);
    for (uint32_t i = 0; i < count; i++)
        result->states[i] = barrier->_states[(from + i) % barrier->_room];
    result->count = count;
    result->position = arrival->position;
}

static void note(lw_barrier *barrier, struct arrival *arrival, uint32_t position)
{
    arrival->position = position;
    arrival->met = true;
    if (arrival->state != NULL)
        keep(stateful(barrier), *arrival->state);
}

/* ---- the last one, and the end of a barrier; all under the guard */

static void meet(lw_barrier *barrier, struct arrival *mine, struct lw_wake_batch *others)
{
    struct lw_node *node;
    uint32_t position = 0;

    while ((node = lw_queue_pop(&barrier->wait._queue)) != NULL) {
        note(barrier, lw_node_cold(node)->data, position++);
        if (lw_wake_claim(lw_node_record(node)))
            lw_wake_batch_add(others, lw_node_record(node));
    }
    note(barrier, mine, position);
    lw_store_rlx(&barrier->_waiting, 0);
}

static uint64_t break_it(lw_barrier *barrier, uint64_t word, struct lw_wake_batch *others)
{
    lw_queue_claim_all(&barrier->wait._queue, others);
    lw_store_rlx(&barrier->_waiting, 0);
    return word | BROKEN;
}

/* ---- a party */

static int come(lw_barrier *barrier, struct lw_record *me, struct arrival *mine, uint64_t word,
                lw_nsec deadline, const void *site)
{
    if (word & BROKEN)
        return -EPIPE;
    if (barrier->_waiting + 1 >= barrier->parties)
        return TRIP;
    if (deadline == LW_NOW)
        return lw_timeout_error(LW_NOW);
    lw_wait_begin(me, LW_WAIT_BARRIER, barrier, barrier->wait.name, deadline, site);
    lw_record_cold(me)->data = mine;
    lw_queue_push(&barrier->wait._queue, &lw_record_cold(me)->node);
    lw_store_rlx(&barrier->_waiting, barrier->_waiting + 1);
    return WAIT;
}

/* The caller is the last: those who were claimed do not run before their results are there. */
static void let_go(lw_barrier *barrier, uint64_t word, struct arrival *mine)
{
    struct lw_wake_batch others = {0};

    meet(barrier, mine, &others);
    drop_guard(barrier, (word & ONE_SHOT) != 0 ? word | BROKEN : word);
    if ((word & ONE_SHOT) != 0) {
        for (struct lw_record *record = others.first; record != NULL;
             record = lw_load_rlx(&record->next))
            copy_states(stateful(barrier), lw_record_cold(record)->data);
        copy_states(stateful(barrier), mine);
    }
    lw_wake_collected(&others, LW_GRANTED);
}

/* The wait ended otherwise than by a meeting, or at the same time. */
static int leave(lw_barrier *barrier, struct lw_record *me, const struct arrival *mine,
                 enum lw_outcome outcome)
{
    struct lw_node *node = &lw_record_cold(me)->node;
    struct lw_wake_batch others = {0};
    uint64_t word = take_guard(barrier);

    if (mine->met) {
        if ((word & ONE_SHOT) != 0)
            copy_states(stateful(barrier), mine);
        drop_guard(barrier, word);
        lw_wait_restore(me, outcome); /* it is not what we say: due at the next wait */
        return 0;
    }
    if (node->next != NULL) {
        lw_queue_remove(&barrier->wait._queue, node);
        lw_store_rlx(&barrier->_waiting, barrier->_waiting - 1);
        if (outcome == LW_TIMEOUT && lw_wait_error(me, outcome) == -ETIMEDOUT) /* no misuse */
            word = break_it(barrier, word, &others);
    }
    drop_guard(barrier, word);
    lw_wake_collected(&others, LW_CLOSED);
    return lw_wait_error(me, outcome);
}

static int wait_at(lw_barrier *barrier, struct arrival *mine, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    enum lw_outcome outcome;
    int err = lw_wait_enter(&me, deadline);
    uint64_t word;

    if (err < 0)
        return err;
    if (barrier->parties == 0)
        return -EINVAL;
    word = take_guard(barrier);
    err = come(barrier, me, mine, word, deadline, site);
    if (err == TRIP) {
        let_go(barrier, word, mine);
        return 0;
    }
    drop_guard(barrier, word);
    if (err < 0)
        return err;
    outcome = lw_wait_finish(me);
    if (outcome == LW_GRANTED)
        return 0;
    return outcome == LW_CLOSED ? -EPIPE : leave(barrier, me, mine, outcome);
}

int lw_barrier_wait(lw_barrier *barrier, uint32_t *position, lw_nsec deadline)
{
    struct arrival mine = {0};
    int err = wait_at(barrier, &mine, deadline, __builtin_return_address(0));

    if (err == 0 && position != NULL)
        *position = mine.position;
    return err;
}

void lw_barrier_abort(lw_barrier *barrier)
{
    struct lw_wake_batch others = {0};
    uint64_t word;

    if (lw_forked())
        return;
    word = take_guard(barrier);
    drop_guard(barrier, break_it(barrier, word, &others));
    lw_wake_collected(&others, LW_CLOSED);
}

bool lw_barrier_broken(const lw_barrier *barrier)
{
    return (lw_load_acq(&barrier->wait._word._value) & BROKEN) != 0; /* [B1] */
}

uint32_t lw_barrier_waiting(const lw_barrier *barrier)
{
    return lw_load_rlx(&barrier->_waiting);
}

/* ---- with states */

int lw_stateful_barrier_init(lw_stateful_barrier *barrier, const char *name, uint32_t parties,
                             void **states, uint32_t states_max, uint32_t count)
{
    if (parties == 0 || count > states_max)
        return -EINVAL;
    *barrier = (lw_stateful_barrier){.barrier = LW_BARRIER_INIT(name, parties),
                                     ._states = states,
                                     ._room = states_max,
                                     ._count = count};
    lw_store_rlx(&barrier->barrier.wait._word._value, ONE_SHOT);
    return 0;
}

int lw_stateful_barrier_wait(lw_stateful_barrier *barrier, void *const *state,
                             lw_barrier_states *result, lw_nsec deadline)
{
    struct arrival mine = {.state = state, .result = result};

    return wait_at(&barrier->barrier, &mine, deadline, __builtin_return_address(0));
}
