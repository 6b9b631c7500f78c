/* SPDX-License-Identifier: MIT */
/* lw_channel: a ring in the caller's array, a queue of receivers and one of senders, one guard.
 *
 *     _items    [ . . a b c . . ]     _count = 3 items from _head on, wrapping at _capacity
 *
 * An item goes the shortest way: to a receiver that waits, straight from the sender's memory to the
 * receiver's; else into the ring.  A receive that makes room moves the item of the sender that has
 * waited longest into the ring; without a ring it takes that item itself.  Copies between two tasks
 * are made after the guard is dropped, while the one who waits is claimed and cannot leave.
 *
 *     bit           meaning                              changed
 *     GUARD 1       guards all of the channel            CAS; last store
 *     RECEIVERS 2   somebody waits to receive            under GUARD
 *     SENDERS 4     somebody waits to send               under GUARD
 *     CLOSED 8      no more will be sent                 under GUARD, never taken back
 *
 * Invariants, of those whose wait has not ended:
 * - A receiver waits only while _count is 0, a sender only while _count is _capacity, never both.
 * - CLOSED: nobody waits.
 *
 * [H1] section to section, and so an item in the ring from sender to receiver: GUARD dropped by a
 *      release store -> taken by CAS acquire.
 * [H2] the item from or to one who waits: what it queued -> H1; what it got -> its wait word
 *      (wait.h, W2). */
#include <latchwork/channel.h>

#include <errno.h>
#include <string.h>

#include "primitives/arm.h"
#include "runtime/fork.h"

enum { GUARD = 1, RECEIVERS = 2, SENDERS = 4, CLOSED = 8 };

/* What fits a register or two is moved without a call. */
LW_INLINE bool copy_small(void *to, const void *from, uint32_t bytes)
{
    switch (bytes) {
    case 4:
        memcpy(to, from, 4);
        return true;
    case 8:
        memcpy(to, from, 8);
        return true;
    case 16:
        memcpy(to, from, 16);
        return true;
    default:
        return false;
    }
}

LW_INLINE void copy_item(void *to, const void *from, uint32_t bytes)
{
    if (!copy_small(to, from, bytes))
        memcpy(to, from, bytes);
}

LW_INLINE uint64_t take_guard(lw_channel *channel)
{
    return lw_guard_take(&channel->wait._word._value, GUARD); /* [H1] */
}

LW_INLINE void drop_guard(lw_channel *channel, uint64_t word)
{
    lw_debug_check(((word & RECEIVERS) != 0) == (channel->wait._queue != NULL));
    lw_debug_check(((word & SENDERS) != 0) == (channel->_senders != NULL));
    lw_debug_check(channel->_count <= channel->_capacity);
    lw_store_rel(&channel->wait._word._value, word & ~(uint64_t)GUARD); /* [H1] */
}

LW_INLINE void *slot(const lw_channel *channel, uint64_t index)
{
    if (index >= channel->_capacity)
        index -= channel->_capacity;
    return (char *)channel->_items + index * channel->_item_bytes;
}

LW_INLINE void *free_slot(const lw_channel *channel)
{
    return slot(channel, (uint64_t)channel->_head + channel->_count);
}

LW_INLINE void *first_slot(const lw_channel *channel)
{
    return slot(channel, channel->_head);
}

/* The first item has been copied out. */
LW_INLINE void drop_first(lw_channel *channel)
{
    channel->_head = channel->_head + 1 < channel->_capacity ? channel->_head + 1 : 0;
    lw_store_rlx(&channel->_count, channel->_count - 1);
}

/* An item has been copied into the free slot. */
LW_INLINE void count_one(lw_channel *channel)
{
    lw_store_rlx(&channel->_count, channel->_count + 1);
}

LW_INLINE void *item_of(struct lw_record *record)
{
    return lw_record_cold(record)->data;
}

/* Claim the first of a queue; `bit` of the word follows the queue. */
LW_INLINE struct lw_record *claim(void **queue, uint64_t bit, uint64_t *word)
{
    struct lw_record *record = lw_queue_claim(queue);

    if (*queue == NULL)
        *word &= ~bit;
    return record;
}

static void leave_queue(lw_channel *channel, void **queue, uint64_t bit, struct lw_node *node)
{
    uint64_t word = take_guard(channel);

    lw_queue_remove(queue, node);
    drop_guard(channel, *queue == NULL ? word & ~bit : word);
}

/* The call as the fast path leaves it: the guard is held. */
struct call {
    struct lw_record *me;
    uint64_t word;
    lw_nsec deadline;
    const void *site;
};

/* The item can neither be sent nor received now: queue, and wait for the other side. */
LW_INLINE int wait_in(lw_channel *channel, void **queue, uint64_t bit, enum lw_wait_kind kind,
                      struct call call, void *item)
{
    struct lw_cold *cold = lw_record_cold(call.me);
    enum lw_outcome outcome;

    if (lw_unlikely((call.word & CLOSED) || channel->_item_bytes == 0)) {
        drop_guard(channel, call.word);
        return channel->_item_bytes == 0 ? -EINVAL : -EPIPE;
    }
    if (lw_unlikely(call.deadline == LW_NOW)) {
        drop_guard(channel, call.word);
        return lw_timeout_error(LW_NOW);
    }
    lw_wait_begin(call.me, kind, channel, channel->wait.name, call.deadline, call.site);
    cold->data = item;
    lw_queue_push(queue, &cold->node);
    drop_guard(channel, call.word | bit);
    outcome = lw_wait_finish(call.me);
    if (lw_likely(outcome == LW_GRANTED))
        return 0;
    if (outcome != LW_CLOSED) /* it was not taken out of the queue */
        leave_queue(channel, queue, bit, &cold->node);
    return lw_wait_error(call.me, outcome);
}

static LW_NOINLINE int wait_to_send(lw_channel *channel, struct lw_record *me, uint64_t word,
                                    const void *item, lw_nsec deadline, const void *site)
{
    return wait_in(channel, &channel->_senders, SENDERS, LW_WAIT_SEND,
                   (struct call){me, word, deadline, site}, (void *)item);
}

static LW_NOINLINE int wait_to_receive(lw_channel *channel, struct lw_record *me, uint64_t word,
                                       void *item, lw_nsec deadline, const void *site)
{
    return wait_in(channel, &channel->wait._queue, RECEIVERS, LW_WAIT_RECEIVE,
                   (struct call){me, word, deadline, site}, item);
}

/* The guard is held.  Whatever the fast path does not. */
static LW_NOINLINE int send_guarded(lw_channel *channel, struct lw_record *me, uint64_t word,
                                    const void *item, lw_nsec deadline, const void *site)
{
    uint32_t bytes = channel->_item_bytes;

    if (word & RECEIVERS) {
        struct lw_record *receiver = claim(&channel->wait._queue, RECEIVERS, &word);

        if (receiver != NULL) {
            bool rendezvous = channel->_capacity == 0;

            drop_guard(channel, word);
            copy_item(item_of(receiver), item, bytes);
            lw_wake(receiver, LW_GRANTED, rendezvous ? LW_WAKE_NEXT : LW_WAKE_TAIL);
            return 0;
        }
    }
    if (channel->_count < channel->_capacity && !(word & CLOSED)) {
        copy_item(free_slot(channel), item, bytes);
        count_one(channel);
        drop_guard(channel, word);
        return 0;
    }
    return wait_to_send(channel, me, word, item, deadline, site);
}

/* A thread's first use, a budget that is spent, or a guard that somebody has. */
static LW_NOINLINE int send_entering(lw_channel *channel, const void *item, lw_nsec deadline,
                                     const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    return send_guarded(channel, me, take_guard(channel), item, deadline, site);
}

/* All calls are in tail position, so that the fast path saves no register; receive likewise. */
int lw_channel_send(lw_channel *channel, const void *item, lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);
    struct lw_record *me = lw_enter_quickly(deadline);
    uint64_t word;

    if (lw_unlikely(me == NULL || !lw_guard_try(&channel->wait._word._value, GUARD, &word)))
        return send_entering(channel, item, deadline, site);
    if (channel->_count < channel->_capacity && !(word & (RECEIVERS | CLOSED)) &&
        copy_small(free_slot(channel), item, channel->_item_bytes)) {
        count_one(channel);
        drop_guard(channel, word);
        return 0;
    }
    return send_guarded(channel, me, word, item, deadline, site);
}

/* The guard is held, and there is an item, or a sender waits. */
static LW_NOINLINE int receive_guarded(lw_channel *channel, struct lw_record *me, uint64_t word,
                                       void *item, lw_nsec deadline, const void *site)
{
    uint32_t bytes = channel->_item_bytes;
    struct lw_record *sender = NULL;

    if (word & SENDERS)
        sender = claim(&channel->_senders, SENDERS, &word);
    if (channel->_count != 0) {
        copy_item(item, first_slot(channel), bytes);
        drop_first(channel);
        if (sender != NULL) {
            copy_item(free_slot(channel), item_of(sender), bytes);
            count_one(channel);
        }
        drop_guard(channel, word);
        if (sender != NULL)
            lw_wake(sender, LW_GRANTED, LW_WAKE_TAIL);
        return 0;
    }
    if (sender != NULL) {
        drop_guard(channel, word);
        copy_item(item, item_of(sender), bytes);
        lw_wake(sender, LW_GRANTED, LW_WAKE_NEXT);
        return 0;
    }
    return wait_to_receive(channel, me, word, item, deadline, site);
}

static LW_NOINLINE int receive_entering(lw_channel *channel, void *item, lw_nsec deadline,
                                        const void *site)
{
    struct lw_record *me;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    return receive_guarded(channel, me, take_guard(channel), item, deadline, site);
}

int lw_channel_receive(lw_channel *channel, void *item, lw_nsec deadline)
{
    const void *site = __builtin_return_address(0);
    struct lw_record *me = lw_enter_quickly(deadline);
    uint64_t word;

    if (lw_unlikely(me == NULL || !lw_guard_try(&channel->wait._word._value, GUARD, &word)))
        return receive_entering(channel, item, deadline, site);
    if (channel->_count == 0 && !(word & SENDERS))
        return wait_to_receive(channel, me, word, item, deadline, site);
    if (!(word & SENDERS) && copy_small(item, first_slot(channel), channel->_item_bytes)) {
        drop_first(channel);
        drop_guard(channel, word);
        return 0;
    }
    return receive_guarded(channel, me, word, item, deadline, site);
}

uint32_t lw_channel_broadcast(lw_channel *channel, const void *item)
{
    struct lw_wake_batch receivers = {0};
    uint32_t bytes = channel->_item_bytes, count;
    uint64_t word;

    if (lw_forked())
        return 0;
    word = take_guard(channel);
    lw_queue_claim_all(&channel->wait._queue, &receivers);
    drop_guard(channel, word & ~(uint64_t)RECEIVERS);
    for (struct lw_record *record = receivers.first; record != NULL;
         record = lw_load_rlx(&record->next))
        copy_item(item_of(record), item, bytes);
    count = receivers.count;
    lw_wake_collected(&receivers, LW_GRANTED);
    return count;
}

void lw_channel_close(lw_channel *channel)
{
    struct lw_wake_batch all = {0};
    uint64_t word;

    if (lw_forked())
        return;
    word = take_guard(channel);
    lw_queue_claim_all(&channel->wait._queue, &all);
    lw_queue_claim_all(&channel->_senders, &all);
    drop_guard(channel, (word & ~(uint64_t)(RECEIVERS | SENDERS)) | CLOSED);
    lw_wake_collected(&all, LW_CLOSED);
}

/* ---- arms of lw_select() */

int lw_channel_watch(lw_channel *channel, bool send, struct lw_cold *arm, struct lw_record *me)
{
    uint64_t word = take_guard(channel), bit = send ? SENDERS : RECEIVERS;
    void **mine = send ? &channel->_senders : &channel->wait._queue;
    void **others = send ? &channel->wait._queue : &channel->_senders;
    bool now = send ? channel->_count < channel->_capacity : channel->_count != 0;

    now = now || (word & CLOSED) != 0 || !lw_queue_is_of(others, me);
    if (lw_recheck(now)) {
        drop_guard(channel, word);
        return ARM_TRY;
    }
    lw_queue_push(mine, &arm->node);
    drop_guard(channel, word | bit);
    return 0;
}

void lw_channel_leave(lw_channel *channel, bool send, struct lw_cold *arm)
{
    if (send)
        leave_queue(channel, &channel->_senders, SENDERS, &arm->node);
    else
        leave_queue(channel, &channel->wait._queue, RECEIVERS, &arm->node);
}

bool lw_channel_closed(const lw_channel *channel)
{
    return (lw_load_acq(&channel->wait._word._value) & CLOSED) != 0; /* [H1] */
}

size_t lw_channel_count(const lw_channel *channel)
{
    return lw_load_rlx(&channel->_count);
}

void lw_channel_init(lw_channel *channel, const char *name, void *items, size_t item_bytes,
                     size_t capacity)
{
    lw_check(item_bytes != 0);
    lw_check(item_bytes <= UINT32_MAX);
    lw_check(capacity <= UINT32_MAX);
    *channel = (lw_channel){.wait = LW_WAITABLE_INIT_(name),
                            ._items = items,
                            ._item_bytes = (uint32_t)item_bytes,
                            ._capacity = (uint32_t)capacity};
}
