/* SPDX-License-Identifier: MIT */
/* A join that would close a cycle of joins gives -EDEADLK; everybody else in it goes on. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "runtime/wait.h"
#include "tests/support.h"

TestSuite(join, .init = watchdog);

enum { MEMBERS_MAX = 64 };

struct ring {
    unsigned members;
    lw_task tasks[MEMBERS_MAX];
    lw_nsec deadline_of_last;   /* the other joins have none */
    lw_event start;
    int deadlocks, timeouts, granted; /* atomically */
};

struct member {
    struct ring *ring;
    unsigned index;
};

/* Each waits for the next one, the last for the first. */
static int member(void *arg)
{
    const struct member *me = arg;
    struct ring *ring = me->ring;
    bool last = me->index == ring->members - 1;
    int status = 0, err;

    if (lw_event_wait(&ring->start, LW_FOREVER) < 0)
        return -1;
    err = lw_join(ring->tasks[(me->index + 1) % ring->members], &status,
                  last ? ring->deadline_of_last : LW_FOREVER);
    if (err == -EDEADLK)
        __atomic_fetch_add(&ring->deadlocks, 1, __ATOMIC_RELAXED);
    else if (err == -ETIMEDOUT)
        __atomic_fetch_add(&ring->timeouts, 1, __ATOMIC_RELAXED);
    else if (err == 0 && status == (int)(me->index + 1) % (int)ring->members)
        __atomic_fetch_add(&ring->granted, 1, __ATOMIC_RELAXED);
    return (int)me->index;
}

static void run_ring(struct ring *ring, unsigned members, lw_nsec deadline_of_last)
{
    struct member each[MEMBERS_MAX];
    unsigned left = 0;

    *ring = (struct ring){.members = members, .deadline_of_last = deadline_of_last};
    for (unsigned i = 0; i < members; i++) {
        each[i] = (struct member){ring, i};
        cr_assert_eq(lw_spawn(&ring->tasks[i], member, &each[i], NULL), 0);
    }
    for (unsigned i = 0; i < members; i++)
        AWAIT(is_waiting(ring->tasks[i]));
    lw_event_set(&ring->start);
    /* Whoever was not joined is the one whose joiner gave way: only it is still to be joined. */
    AWAIT(__atomic_load_n(&ring->deadlocks, __ATOMIC_RELAXED) +
              __atomic_load_n(&ring->timeouts, __ATOMIC_RELAXED) +
              __atomic_load_n(&ring->granted, __ATOMIC_RELAXED) ==
          (int)members);
    for (unsigned i = 0; i < members; i++)
        left += lw_join(ring->tasks[i], NULL, LW_FOREVER) == 0;
    cr_assert_eq(left, 1);
}

static int rings(void *arg)
{
    static const unsigned sizes[] = {2, 3, 5, 17, MEMBERS_MAX};
    struct ring ring;

    (void)arg;
    for (long round = rounds(200); round > 0; round--) {
        run_ring(&ring, sizes[round % 5], LW_FOREVER);
        cr_assert_eq(ring.deadlocks, 1, "%d of %u", ring.deadlocks, ring.members);
        cr_assert_eq(ring.granted, (int)ring.members - 1);
    }
    return 0;
}

Test(join, one_member_of_a_cycle_gives_way)
{
    run_all(rings, NULL);
}

static int timed(void *arg)
{
    struct ring ring;

    (void)arg;
    for (unsigned members = 2; members < 6; members++) {
        run_ring(&ring, members, lw_in(5 * LW_MS));
        cr_assert_eq(ring.timeouts, 1);
        cr_assert_eq(ring.granted, (int)members - 1);
    }
    return 0;
}

Test(join, a_cycle_with_a_deadline_in_it_ends_by_itself)
{
    run_all(timed, NULL);
}

/* ---- no cycle, though the chain is long */

enum { CHAIN = 5000 };

static lw_task chain[CHAIN];

static int link_up(void *arg)
{
    size_t index = (size_t)(uintptr_t)arg;

    return index == 0 ? 0 : lw_join(chain[index - 1], NULL, LW_FOREVER);
}

static int descend(void *arg)
{
    size_t depth = (size_t)(uintptr_t)arg;
    lw_task child;
    int status = -1;

    if (depth == 0)
        return 0;
    cr_assert_eq(lw_spawn(&child, descend, (void *)(uintptr_t)(depth - 1), NULL), 0);
    cr_assert_eq(lw_join(child, &status, LW_FOREVER), 0);
    return status;
}

static int chains(void *arg)
{
    int status = -1;

    (void)arg;
    for (size_t i = 0; i < CHAIN; i++)
        cr_assert_eq(lw_spawn(&chain[i], link_up, (void *)(uintptr_t)i, NULL), 0);
    cr_assert_eq(lw_join(chain[CHAIN - 1], &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(descend((void *)(uintptr_t)CHAIN), 0);
    return 0;
}

Test(join, a_long_chain_is_no_cycle)
{
    run_all(chains, NULL);
}

/* ---- the end of the task against what else ends the wait for it */

static struct {
    lw_task task, joiner;
    lw_event go;
    int seen_by_join, seen_by_next;
} duel;

static int cancel_my_joiner(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&duel.go, LW_FOREVER), 0);
    cr_assert_eq(lw_cancel(duel.joiner), 0);
    return 7;
}

static int cancel_my_joiner_twice(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&duel.go, LW_FOREVER), 0);
    cr_assert_eq(lw_cancel(duel.joiner), 0);
    cr_assert_eq(lw_cancel(duel.joiner), 0);
    return 7;
}

static int join_and_wait(void *arg)
{
    lw_event never = LW_EVENT_INIT(0);
    int status = 0;

    (void)arg;
    duel.seen_by_join = lw_join(duel.task, &status, LW_FOREVER);
    if (duel.seen_by_join == 0)
        cr_assert_eq(status, 7);
    duel.seen_by_next = lw_event_wait(&never, lw_in(LW_MS));
    return 0;
}

static int ends_after_its_cancel(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds(500); i++) {
        duel.go = (lw_event)LW_EVENT_INIT(0);
        cr_assert_eq(lw_spawn(&duel.task, cancel_my_joiner, NULL, NULL), 0);
        cr_assert_eq(lw_spawn(&duel.joiner, join_and_wait, NULL, NULL), 0);
        AWAIT(is_waiting(duel.joiner));
        lw_event_set(&duel.go);
        cr_assert_eq(lw_join(duel.joiner, NULL, LW_FOREVER), 0);
        if (duel.seen_by_join == 0) { /* on one worker always */
            cr_assert_eq(duel.seen_by_next, -ECANCELED);
        } else {
            cr_assert_eq(duel.seen_by_join, -ECANCELED);
            cr_assert_eq(duel.seen_by_next, -ETIMEDOUT);
            cr_assert_eq(lw_join(duel.task, NULL, LW_FOREVER), 0);
        }
    }
    return 0;
}

Test(join, a_cancel_that_the_end_overtakes_is_due_at_the_next_wait)
{
    run_all(ends_after_its_cancel, NULL);
}

static int join_and_withdraw_one(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_join(duel.task, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_uncancel(lw_self()), 0);
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    cr_assert_eq(lw_checkpoint(), 0);
    return 0;
}

static int ends_after_two_cancels(void *arg)
{
    (void)arg;
    duel.go = (lw_event)LW_EVENT_INIT(0);
    cr_assert_eq(lw_spawn(&duel.task, cancel_my_joiner_twice, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&duel.joiner, join_and_withdraw_one, NULL, NULL), 0);
    AWAIT(is_waiting(duel.joiner));
    lw_event_set(&duel.go);
    return lw_join(duel.joiner, NULL, LW_FOREVER);
}

Test(join, of_two_cancels_that_the_end_overtakes_each_can_be_withdrawn)
{
    run_with(1, ends_after_two_cancels, NULL); /* the joiner does not run before the end */
}

static int end_when_told(void *arg)
{
    (void)arg;
    return lw_event_wait(&duel.go, LW_FOREVER) == 0 ? 42 : -1;
}

/* The joiner is a plain thread, which needs its time to come back. */
static void *join_it(void *arg)
{
    int status = 0;

    (void)arg;
    cr_assert_eq(lw_join(duel.task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 42);
    return NULL;
}

static int steal_from_joiner(void *arg)
{
    const struct lw_record *record;
    pthread_t joiner;
    int joined, detached;

    (void)arg;
    duel.go = (lw_event)LW_EVENT_INIT(0);
    cr_assert_eq(lw_spawn(&duel.task, end_when_told, NULL, NULL), 0);
    record = lw_record_of(duel.task.id);
    cr_assert_eq(pthread_create(&joiner, NULL, join_it, NULL), 0);
    AWAIT(is_waiting(duel.task) && (lw_load_acq(&record->peer) & LW_PEER_TAG) == LW_PEER_JOINER);
    lw_event_set(&duel.go);
    do {
        int status = 0;

        joined = lw_join(duel.task, &status, LW_NOW);
        detached = lw_detach(duel.task);
        cr_assert(joined == -EBUSY || joined == -ESRCH, "a rival's join: %d", joined);
        cr_assert(detached == -EBUSY || detached == -ESRCH, "a rival's detach: %d", detached);
        lw_yield();
    } while (joined != -ESRCH);
    (void)pthread_join(joiner, NULL);
    return 0;
}

Test(join, the_status_is_for_who_waited_for_it)
{
    for (long i = 0; i < rounds(50); i++)
        run_with(1, steal_from_joiner, NULL);
}

static int end_with_7(void *arg)
{
    (void)arg;
    return 7;
}

static int join_what_was_never_given_out(void *arg)
{
    lw_task old, forged, first, second;

    (void)arg;
    cr_assert_eq(lw_spawn(&old, end_with_7, NULL, NULL), 0);
    cr_assert_eq(lw_join(old, NULL, LW_FOREVER), 0);
    forged.id = old.id + (UINT64_C(1) << 24); /* the slot's next life, which nobody has */
    cr_assert_eq(lw_join(forged, NULL, LW_FOREVER), -ESRCH);
    cr_assert_eq(lw_detach(forged), -ESRCH);
    cr_assert_eq(lw_cancel(forged), -ESRCH);
    cr_assert_eq(lw_spawn(&first, end_with_7, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&second, end_with_7, NULL, NULL), 0);
    cr_assert_neq(first.id, second.id);
    cr_assert_eq(lw_join(first, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_join(second, NULL, LW_FOREVER), 0);
    return 0;
}

Test(join, a_handle_from_nowhere_names_nobody)
{
    run_with(1, join_what_was_never_given_out, NULL);
}

/* ---- whoever detaches a task is the last to have it: a join at its very end finds nothing */

static struct {
    lw_task task;
    bool done;
    int taken; /* joins that found something, and what the last of them returned */
    int err;
} orphan;

static int detach_oneself(void *arg)
{
    lw_task self = lw_self();

    (void)arg;
    cr_assert_eq(lw_detach(self), 0);
    lw_store_rel(&orphan.task.id, self.id);
    return 7;
}

static void *join_orphans(void *arg)
{
    while (!lw_load_acq(&orphan.done)) {
        lw_task task = {lw_load_acq(&orphan.task.id)};
        int err = -EINVAL;

        while (err == -EINVAL)
            err = lw_join(task, NULL, LW_NOW);
        if (err != -ESRCH) {
            orphan.taken++;
            orphan.err = err;
        }
    }
    return arg;
}

static int leave_orphans(void *arg)
{
    pthread_t joiner;
    lw_task task;

    (void)arg;
    memset(&orphan, 0, sizeof orphan);
    cr_assert_eq(pthread_create(&joiner, NULL, join_orphans, NULL), 0);
    for (long i = 0; i < rounds(400000); i++) {
        cr_assert_eq(lw_spawn(&task, detach_oneself, NULL, NULL), 0);
        lw_yield();
    }
    lw_store_rel(&orphan.done, true);
    (void)pthread_join(joiner, NULL);
    cr_assert_eq(orphan.taken, 0, "%d detached tasks were there to join: %d", orphan.taken,
                 orphan.err);
    return 0;
}

Test(join, nobody_joins_a_detached_task)
{
    run_with(1, leave_orphans, NULL);
}
