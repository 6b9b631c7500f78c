/* SPDX-License-Identifier: MIT */
/* lw_event: a bit and a pointer under a guard, and a queue of two sorts of waiters.
 *
 *     mode ANY     wants a put, whatever its value; data: where the value goes, or NULL
 *     mode VALUE   wants the put of one pointer; data: that pointer
 *
 * A put compares its value with what each waiter wants while it has the guard, so a value that is
 * replaced at once is missed by none.  A set takes the guard too, even when the event is set: a
 * task that clears the event, and then looks whether there is something to do, must see what was
 * done before the set that its clear came after.
 *
 *     bit        meaning                                     changed
 *     GUARD 1    guards the word, the value and the queue     CAS; last store
 *     QUEUED 2   somebody waits                               under GUARD
 *     SET 4      the event is set                             under GUARD
 *     VALUED 8   some waiter takes a value, or wants one      under GUARD; may be stale
 *
 * VALUED spares a wake of a million waiters the second cache line of each.
 *
 * [E1] what was written before the put -> after the wait: the word, release store -> load acquire;
 *      one who was woken comes through its wait word (wait.h, W2).
 * [E2] section to section: GUARD dropped by the release store -> taken by CAS acquire. */
#include <latchwork/event.h>

#include <errno.h>

#include "primitives/arm.h"
#include "runtime/fork.h"

enum { GUARD = 1, QUEUED = 2, SET = 4, VALUED = 8 };

enum mode { ANY, VALUE };

struct want {
    enum mode mode;
    bool next; /* not satisfied by what the event has now */
    void *data;
};

static uint64_t take_guard(lw_event *event)
{
    return lw_guard_take(&event->wait._word._value, GUARD); /* [E2] */
}

static void drop_guard(lw_event *event, uint64_t word)
{
    lw_debug_check(((word & QUEUED) != 0) == (event->wait._queue != NULL));
    lw_store_rel(&event->wait._word._value, word & ~(uint64_t)GUARD); /* [E1] [E2] */
}

static bool is_wanted(enum mode mode, void *data, const void *value)
{
    return mode == ANY || data == value;
}

static void deliver(enum mode mode, void *data, void *value)
{
    if (mode == ANY && data != NULL)
        *(void **)data = value;
}

static void leave_queue(lw_event *event, struct lw_node *node)
{
    uint64_t word = take_guard(event);

    lw_queue_remove(&event->wait._queue, node);
    if (event->wait._queue == NULL)
        word &= ~(uint64_t)(QUEUED | VALUED);
    drop_guard(event, word);
}

static LW_NOINLINE int wait_slow(lw_event *event, struct lw_record *me, struct want want,
                                 lw_nsec deadline, const void *site)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t word = take_guard(event);
    enum lw_outcome outcome;

    /* Without the look a set that came before the guard was ours is missed. */
    if (lw_recheck((word & SET) && !want.next &&
                   is_wanted(want.mode, want.data, event->_value))) {
        deliver(want.mode, want.data, event->_value);
        drop_guard(event, word);
        return 0;
    }
    if (deadline == LW_NOW) {
        drop_guard(event, word);
        return lw_timeout_error(LW_NOW);
    }
    lw_wait_begin(me, LW_WAIT_EVENT, event, event->wait.name, deadline, site);
    lw_store_rlx(&cold->mode, (uint8_t)want.mode);
    cold->data = want.data;
    if (want.mode != ANY || want.data != NULL)
        word |= VALUED;
    lw_queue_push(&event->wait._queue, &cold->node);
    drop_guard(event, word | QUEUED);
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED)
        leave_queue(event, &cold->node);
    return lw_wait_error(me, outcome);
}

/* Under the guard: take out of the queue who is served by this value; the rest stay, in order. */
static void collect(lw_event *event, uint64_t word, void *value, struct lw_wake_batch *woken)
{
    struct lw_node *last = event->wait._queue, *node = last->next, *next;
    void *rest = NULL;
    bool more;

    do {
        struct lw_record *record = lw_node_record(node);
        struct lw_cold *cold = lw_node_cold(node);

        next = node->next;
        more = node != last;
        __builtin_prefetch(next, 1);
        node->next = NULL;
        lw_store_rlx(&node->prev, NULL);
        if (!(word & VALUED)) {
            if (lw_node_claim(node))
                lw_wake_batch_add(woken, record);
        } else if (!is_wanted(lw_load_rlx(&cold->mode), cold->data, value)) {
            lw_queue_push(&rest, node);
        } else if (lw_node_claim(node)) {
            deliver(lw_load_rlx(&cold->mode), cold->data, value);
            lw_wake_batch_add(woken, record);
        }
        node = next;
    } while (more);
    event->wait._queue = rest;
}

void lw_event_put(lw_event *event, void *value)
{
    struct lw_wake_batch woken = {0};
    uint64_t word;

    if (lw_forked())
        return;
    word = take_guard(event);
    event->_value = value;
    if (word & QUEUED) {
        collect(event, word, value, &woken);
        if (event->wait._queue == NULL)
            word &= ~(uint64_t)(QUEUED | VALUED);
    }
    drop_guard(event, word | SET);
    lw_wake_collected(&woken, LW_GRANTED);
}

void lw_event_set(lw_event *event)
{
    lw_event_put(event, NULL);
}

void lw_event_clear(lw_event *event)
{
    uint64_t word;

    if (lw_forked())
        return;
    word = take_guard(event);
    event->_value = NULL;
    drop_guard(event, word & ~(uint64_t)SET);
}

bool lw_event_is_set(const lw_event *event)
{
    return (lw_load_acq(&event->wait._word._value) & SET) != 0; /* [E1] */
}

int lw_event_get(const lw_event *event, void **value)
{
    lw_event *guarded = (lw_event *)event; /* value and bit are read as one; nothing is changed */
    uint64_t word;
    void *found;

    if (lw_forked())
        return -ECHILD;
    word = take_guard(guarded);
    found = event->_value;
    drop_guard(guarded, word);
    if (!(word & SET))
        return -ENODATA;
    *value = found;
    return 0;
}

int lw_event_wait(lw_event *event, lw_nsec deadline)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (lw_unlikely(err < 0))
        return err;
    if (lw_load_acq(&event->wait._word._value) & SET) /* [E1] */
        return 0;
    return wait_slow(event, me, (struct want){ANY, false, NULL}, deadline,
                     __builtin_return_address(0));
}

static int enter_and_wait(lw_event *event, struct want want, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    return err < 0 ? err : wait_slow(event, me, want, deadline, site);
}

int lw_event_wait_value(lw_event *event, void **value, lw_nsec deadline)
{
    return enter_and_wait(event, (struct want){ANY, false, value}, deadline,
                          __builtin_return_address(0));
}

int lw_event_wait_next(lw_event *event, void **value, lw_nsec deadline)
{
    return enter_and_wait(event, (struct want){ANY, true, value}, deadline,
                          __builtin_return_address(0));
}

int lw_event_wait_for(lw_event *event, const void *wanted, lw_nsec deadline)
{
    return enter_and_wait(event, (struct want){VALUE, false, (void *)wanted}, deadline,
                          __builtin_return_address(0));
}

/* ---- arms of lw_select() */

int lw_event_watch(lw_event *event, struct lw_cold *arm)
{
    uint64_t word = take_guard(event);

    if (lw_recheck((word & SET) != 0)) {
        drop_guard(event, word);
        return ARM_TRY;
    }
    lw_store_rlx(&arm->mode, ANY);
    if (arm->data != NULL)
        word |= VALUED;
    lw_queue_push(&event->wait._queue, &arm->node);
    drop_guard(event, word | QUEUED);
    return 0;
}

void lw_event_leave(lw_event *event, struct lw_cold *arm)
{
    leave_queue(event, &arm->node);
}
