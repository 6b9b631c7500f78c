/* SPDX-License-Identifier: MIT */
/* lw_rwlock: whose turn it is, and the ways from a reader to the writer and back.  The word, the
 * invariants and the pairs are in rwlock.h. */
#include "primitives/rwlock.h"

#include "runtime/worker.h"

/* Those who get the lock, and those who are sent to try again. */
struct heirs {
    struct lw_wake_batch get, try_again;
};

static void give_up_turn(lw_rwlock *rw, uint32_t served)
{
    lw_rw_set_turns(rw, lw_rw_turns(rw) & ~served);
}

/* All readers that wait.  One that selects does not come back to contend. */
static uint64_t admit_all_readers(lw_rwlock *rw, uint64_t word, bool handed_on,
                                  struct heirs *heirs)
{
    struct lw_node *node;

    while ((node = lw_queue_claim_node(&rw->read._queue)) != NULL) {
        if (handed_on || lw_node_is_arm(node)) {
            lw_wake_batch_add(&heirs->get, lw_node_record(node));
            word = lw_rw_with_reader(word);
        } else {
            lw_rw_send(rw, node, &heirs->try_again);
            word |= LW_LOCK_WOKEN;
        }
    }
    give_up_turn(rw, LW_RW_READERS_STARVE);
    return word;
}

static uint64_t admit_readers(lw_rwlock *rw, uint64_t word, struct heirs *heirs)
{
    return admit_all_readers(rw, word, lw_rw_is_handed_on(rw), heirs);
}

static uint64_t admit_writer(lw_rwlock *rw, uint64_t word, struct heirs *heirs)
{
    struct lw_node *node = lw_queue_claim_node(&rw->write._queue);

    if (node == NULL)
        return word;
    if (!lw_rw_is_handed_on(rw) && !lw_node_is_arm(node)) {
        lw_rw_send(rw, node, &heirs->try_again);
        return word | LW_LOCK_WOKEN;
    }
    lw_wake_batch_add(&heirs->get, lw_node_record(node));
    give_up_turn(rw, LW_RW_WRITER_STARVES);
    return word | lw_owner_word(lw_node_record(node));
}

/* Others still read.  It comes back at once, and starves if that was long enough. */
static uint64_t send_writer(lw_rwlock *rw, uint64_t word, struct heirs *heirs)
{
    struct lw_node *head;

    while ((head = lw_queue_head(&rw->write._queue)) != NULL && !lw_node_is_arm(head)) {
        lw_queue_remove(&rw->write._queue, head);
        if (!lw_node_claim(head))
            continue;
        lw_rw_send(rw, head, &heirs->try_again);
        return word | LW_LOCK_WOKEN;
    }
    return word;
}

/* No other reads any more: it writes, or its wait has ended, and it is just a reader. */
static uint64_t admit_upgrader(lw_rwlock *rw, uint64_t word, struct heirs *heirs)
{
    struct lw_record *upgrader = lw_node_record(lw_queue_pop(&rw->write._queue)); /* no arm */

    give_up_turn(rw, LW_RW_UPGRADING);
    if (!lw_wake_claim(upgrader))
        return word;
    lw_wake_batch_add(&heirs->get, upgrader);
    return LW_RW_FREE | lw_owner_word(upgrader);
}

static uint64_t admit(lw_rwlock *rw, uint64_t word, enum lw_rw_face first, struct heirs *heirs)
{
    const uint64_t free = LW_RW_FREE;

    if ((lw_rw_turns(rw) & LW_RW_UPGRADING) != 0 && lw_rw_readers(word) == 1)
        word = admit_upgrader(rw, word, heirs);
    if (lw_rw_is_read(word)) {
        if (lw_rw_may_join(rw))
            word = admit_readers(rw, word, heirs);
        if (!lw_rw_is_handed_on(rw) && !(word & LW_LOCK_WOKEN))
            word = send_writer(rw, word, heirs);
        return word;
    }
    if (word != free) /* written, or somebody is on his way */
        return word;
    if (first == LW_RW_TO_READ)
        word = admit_readers(rw, word, heirs);
    if (word == free)
        word = admit_writer(rw, word, heirs);
    return word == free ? admit_readers(rw, word, heirs) : word;
}

/* A writer may have slept all the time, if it was always the readers' turn to try: whether it
 * starves is for others to see.  Not while somebody is on his way to a free lock, who is to have
 * his try first. */
static void look_who_starves(lw_rwlock *rw, uint64_t word)
{
    struct lw_node *writer = lw_queue_head(&rw->write._queue);

    lw_rw_look_at_queues(rw, word);
    if ((word & ~LW_LOCK_FLAGS) == 0 && (word & LW_LOCK_WOKEN) != 0)
        return;
    if (writer != NULL && !(lw_rw_turns(rw) & LW_RW_UPGRADING) &&
        (lw_node_is_arm(writer) || lw_rw_is_long_ago(lw_node_cold(writer)->ticket)))
        lw_rw_set_turns(rw, lw_rw_turns(rw) | LW_RW_WRITER_STARVES);
}

static void drop_and_wake(lw_rwlock *rw, uint64_t word, struct heirs *heirs)
{
    lw_rw_drop_guard(rw, word);
    if (heirs->get.count == 1)
        lw_wake(heirs->get.first, LW_GRANTED, LW_WAKE_NEXT);
    else
        lw_wake_collected(&heirs->get, LW_GRANTED);
    lw_wake_collected(&heirs->try_again, LW_RETRY);
}

void lw_rw_settle(lw_rwlock *rw, uint64_t word, enum lw_rw_face first)
{
    struct heirs heirs = {0};

    look_who_starves(rw, word);
    word = admit(rw, word, first, &heirs);
    drop_and_wake(rw, word, &heirs);
}

/* ---- from one to the other */

/* The caller reads, once.  One guard section. */
static int try_to_upgrade(lw_rwlock *rw, const struct lw_rw_call *call)
{
    uint64_t word = lw_rw_take_guard(rw);
    int err = LW_RW_QUEUE_FOR_IT;

    if (lw_recheck(lw_rw_readers(word) == 1)) {
        word = lw_rw_without(word) | lw_owner_word(call->me);
        err = 0;
    } else if (call->deadline == LW_NOW) {
        err = lw_timeout_error(LW_NOW);
    } else if ((lw_rw_turns(rw) & LW_RW_UPGRADING) != 0) {
        err = -EDEADLK;
    } else {
        lw_rw_begin(rw, LW_WAIT_UPGRADE, call);
        lw_lock_unhint(lw_queue_head(&rw->write._queue));
        lw_queue_push_front(&rw->write._queue, &lw_record_cold(call->me)->node);
        lw_rw_set_turns(rw, lw_rw_turns(rw) | LW_RW_UPGRADING);
    }
    lw_rw_look_after(rw, word);
    return err;
}

/* The wait ended, and the caller just reads; unless somebody has seen that before, _turns does not
 * say so yet. */
static void stop_upgrading(lw_rwlock *rw, struct lw_record *me)
{
    struct lw_node *node = &lw_record_cold(me)->node;
    uint64_t word = lw_rw_take_guard(rw);

    if (node->next != NULL) {
        lw_queue_remove(&rw->write._queue, node);
        give_up_turn(rw, LW_RW_UPGRADING);
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
    struct lw_rw_call call = {.deadline = deadline,
                              .site = __builtin_return_address(0),
                              .face = LW_RW_TO_WRITE,
                              .reads = true};
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
    struct heirs heirs = {0};

    if ((word & LW_LOCK_FACES) == 0)
        return -EINVAL;
    if (me == NULL || !lw_rw_is_written_by(word, lw_owner_word(me)))
        return -EPERM;
    if ((word & LW_LOCK_INCONSISTENT) != 0)
        return -EOWNERDEAD;
    if (lw_is_given(me) && lw_given_take(me) < 0)
        return -ENOMEM;
    lw_hold_turn(lw_record_cold(me), &rw->write, LW_HOLD_SHARED, __builtin_return_address(0));
    word = lw_rw_with_reader(lw_rw_without(lw_rw_take_guard(rw)));
    /* At once: when they came back it might be a writer's turn. */
    if (rw->flags != LW_RWLOCK_PREFER_WRITERS || rw->write._queue == NULL)
        word = admit_all_readers(rw, word, true, &heirs);
    drop_and_wake(rw, word, &heirs);
    return 0;
}
