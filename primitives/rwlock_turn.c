/* SPDX-License-Identifier: MIT */
/* lw_rwlock: whose turn it is, and the ways from a reader to the writer and back.  The word, the
 * invariants and the pairs are in rwlock.h. */
#include "primitives/rwlock.h"

#include "runtime/worker.h"

uint64_t lw_rw_admit_readers(lw_rwlock *rw, uint64_t word, struct lw_wake_batch *in)
{
    struct lw_record *reader;

    while ((reader = lw_queue_claim(&rw->read._queue)) != NULL) {
        lw_wake_batch_add(in, reader);
        word = lw_rw_with_reader(word);
    }
    return word;
}

static uint64_t admit_writer(lw_rwlock *rw, uint64_t word, struct lw_wake_batch *in)
{
    struct lw_record *writer = lw_queue_claim(&rw->write._queue);

    if (writer == NULL)
        return word;
    lw_wake_batch_add(in, writer);
    return LW_RW_FREE | lw_owner_word(writer);
}

/* No other reads any more: it writes, or its wait has ended, and it is just a reader. */
static uint64_t admit_upgrader(lw_rwlock *rw, uint64_t word, struct lw_wake_batch *in)
{
    struct lw_record *upgrader = lw_node_record(lw_queue_pop(&rw->write._queue)); /* no arm */

    if (!lw_wake_claim(upgrader))
        return word & ~LW_RW_UPGRADING;
    lw_wake_batch_add(in, upgrader);
    return LW_RW_FREE | lw_owner_word(upgrader);
}

static uint64_t admit(lw_rwlock *rw, uint64_t word, enum lw_rw_face first,
                      struct lw_wake_batch *in)
{
    if ((word & LW_RW_UPGRADING) != 0 && lw_rw_readers(word) == 1)
        word = admit_upgrader(rw, word, in);
    if (lw_rw_is_read(word))
        return lw_rw_may_join(rw) ? lw_rw_admit_readers(rw, word, in) : word;
    if ((word & ~LW_LOCK_FLAGS) != 0)
        return word;
    if (first == LW_RW_TO_READ)
        word = lw_rw_admit_readers(rw, word, in);
    if (word == LW_RW_FREE)
        word = admit_writer(rw, word, in);
    return word == LW_RW_FREE ? lw_rw_admit_readers(rw, word, in) : word;
}

void lw_rw_settle(lw_rwlock *rw, uint64_t word, enum lw_rw_face first)
{
    struct lw_wake_batch in = {0};

    word = admit(rw, word, first, &in);
    lw_rw_drop_guard(rw, word);
    if (in.count == 1)
        lw_wake(in.first, LW_GRANTED, LW_WAKE_NEXT);
    else
        lw_wake_collected(&in, LW_GRANTED);
}

/* ---- from one to the other */

/* The caller reads, once.  One guard section. */
static int try_to_upgrade(lw_rwlock *rw, const struct lw_rw_call *call)
{
    uint64_t word = lw_rw_take_guard(rw);
    int err = LW_RW_QUEUE_FOR_IT;

    if (lw_recheck(lw_rw_readers(word) == 1)) {
        word = LW_RW_FREE | lw_owner_word(call->me);
        err = 0;
    } else if (call->deadline == LW_NOW) {
        err = lw_timeout_error(LW_NOW);
    } else if ((word & LW_RW_UPGRADING) != 0) {
        err = -EDEADLK;
    } else {
        lw_rw_begin(rw, LW_WAIT_UPGRADE, call);
        lw_queue_push_front(&rw->write._queue, &lw_record_cold(call->me)->node);
        word |= LW_RW_UPGRADING;
    }
    lw_rw_drop_guard(rw, word);
    return err;
}

/* The wait ended, and the caller just reads; unless somebody has seen that before, the word does
 * not say so yet. */
static void stop_upgrading(lw_rwlock *rw, struct lw_record *me)
{
    struct lw_node *node = &lw_record_cold(me)->node;
    uint64_t word = lw_rw_take_guard(rw);

    if (node->next != NULL) {
        lw_queue_remove(&rw->write._queue, node);
        word &= ~LW_RW_UPGRADING;
    }
    lw_rw_settle(rw, word, LW_RW_TO_WRITE);
}

static int upgrade(lw_rwlock *rw, const struct lw_rw_call *call)
{
    enum lw_outcome outcome;
    int err = try_to_upgrade(rw, call);

    if (err != LW_RW_QUEUE_FOR_IT)
        return err;
    lw_owner_hint(call->me);
    outcome = lw_wait_finish(call->me);
    if (outcome != LW_GRANTED)
        stop_upgrading(rw, call->me);
    return lw_wait_error(call->me, outcome);
}

int lw_rwlock_upgrade(lw_rwlock *rw, lw_nsec deadline)
{
    struct lw_rw_call call = {NULL, deadline, __builtin_return_address(0), LW_RW_TO_WRITE, true};
    int err = lw_wait_enter(&call.me, deadline);
    uint64_t word = lw_load_rlx(&rw->write._word._value);
    uint32_t depth;

    if (err < 0)
        return err;
    if ((word & LW_LOCK_FACES) == 0)
        return -EINVAL;
    depth = lw_hold_shared(lw_record_cold(call.me), &rw->write);
    if (depth == 0)
        return -EPERM;
    if (depth > 1)
        return deadline == LW_NOW ? lw_timeout_error(LW_NOW) : -EDEADLK;
    err = upgrade(rw, &call);
    if (err == 0)
        lw_hold_turn(lw_record_cold(call.me), &rw->write, LW_HOLD_EXCLUSIVE, call.site);
    return err;
}

int lw_rwlock_downgrade(lw_rwlock *rw)
{
    struct lw_record *me = lw_current();
    uint64_t word = lw_load_acq(&rw->write._word._value); /* [G2] of transfer.c */
    struct lw_wake_batch in = {0};

    if ((word & LW_LOCK_FACES) == 0)
        return -EINVAL;
    if (me == NULL || !lw_rw_is_written_by(word, lw_owner_word(me)))
        return -EPERM;
    if ((word & LW_LOCK_INCONSISTENT) != 0)
        return -EOWNERDEAD;
    if (lw_is_given(me) && lw_given_take(me) < 0)
        return -ENOMEM;
    lw_hold_turn(lw_record_cold(me), &rw->write, LW_HOLD_SHARED, __builtin_return_address(0));
    (void)lw_rw_take_guard(rw);
    word = LW_RW_READ | LW_RW_READER;
    if (rw->flags != LW_RWLOCK_PREFER_WRITERS || rw->write._queue == NULL)
        word = lw_rw_admit_readers(rw, word, &in);
    lw_rw_drop_guard(rw, word);
    lw_wake_collected(&in, LW_GRANTED);
    return 0;
}
