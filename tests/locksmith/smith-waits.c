/* SPDX-License-Identifier: MIT */
/* The laws of what a request does to a wait: it ends one, of whatever kind, as that wait ends
 * otherwise, and what does not say so keeps it for the next.  Of plain threads: smith-threads.c. */
#include "tests/locksmith/smiths.h"

#include <sys/socket.h>
#include <unistd.h>

TestSuite(smith_waits, .init = be_alone);

/* ---- a task with a lock waits in each way; the other objects are nobody's */

struct waits {
    lw_mutex held, other;
    lw_priority_lock ranked;
    lw_rwlock rw;
    lw_semaphore semaphore;
    lw_bounded_semaphore bounded;
    lw_event event, there;
    lw_condition condition;
    lw_channel channel;
    lw_latch latch;
    lw_barrier barrier;
    lw_task task;
    lw_group group;
    int item, fds[2];
    uint32_t word;
};

static int wait_to_sleep(struct waits *waits)
{
    (void)waits;
    return lw_sleep(LW_FOREVER);
}

static int wait_for_mutex(struct waits *waits)
{
    return lw_acquire(&waits->other.lock, LW_FOREVER);
}

static int wait_for_ranked(struct waits *waits)
{
    return lw_acquire(&waits->ranked.lock, LW_FOREVER);
}

static int wait_to_write(struct waits *waits)
{
    return lw_acquire(&waits->rw.write, LW_FOREVER);
}

static int wait_to_read(struct waits *waits)
{
    return lw_acquire(&waits->rw.read, LW_FOREVER);
}

static int wait_for_permits(struct waits *waits)
{
    return lw_semaphore_acquire(&waits->semaphore, 2, LW_FOREVER);
}

static int wait_for_owned_permits(struct waits *waits)
{
    return lw_bounded_semaphore_acquire(&waits->bounded, 1, LW_FOREVER);
}

static int wait_for_event(struct waits *waits)
{
    return lw_event_wait(&waits->event, LW_FOREVER);
}

static int wait_with_condition(struct waits *waits)
{
    lw_mutex mine = LW_MUTEX_INIT("mine");
    int err;

    cr_assert_eq(lw_acquire(&mine.lock, LW_NOW), 0);
    err = lw_condition_wait(&waits->condition, &mine.lock, LW_FOREVER);
    cr_assert(lw_owned(&mine.lock), "it comes back with its lock");
    cr_assert_eq(lw_release(&mine.lock), 0);
    return err;
}

static int wait_to_receive(struct waits *waits)
{
    return lw_channel_receive(&waits->channel, &waits->item, LW_FOREVER);
}

static int wait_to_send(struct waits *waits)
{
    cr_assert_eq(lw_channel_send(&waits->channel, &waits->item, LW_NOW), 0);
    return lw_channel_send(&waits->channel, &waits->item, LW_FOREVER);
}

static int wait_to_select(struct waits *waits)
{
    lw_arm arms[] = {lw_arm_event(&waits->event, NULL), lw_arm_acquire(&waits->other.lock)};

    return lw_select(arms, 2, LW_FOREVER);
}

static int wait_for_latch(struct waits *waits)
{
    return lw_latch_wait(&waits->latch, LW_FOREVER);
}

static int wait_at_barrier(struct waits *waits)
{
    int err = lw_barrier_wait(&waits->barrier, NULL, LW_FOREVER);

    cr_assert(!lw_barrier_broken(&waits->barrier) && lw_barrier_waiting(&waits->barrier) == 0,
              "the party has left");
    return err;
}

static int wait_to_join(struct waits *waits)
{
    return lw_join(waits->task, NULL, LW_FOREVER);
}

static int wait_for_group(struct waits *waits)
{
    return lw_group_wait(&waits->group, LW_FOREVER);
}

static int wait_on_word(struct waits *waits)
{
    return lw_futex_wait(&waits->word, 0, LW_FOREVER);
}

static int wait_for_bytes(struct waits *waits)
{
    char byte;

    return (int)lw_read(waits->fds[0], &byte, 1, LW_FOREVER);
}

static int (*const ways[])(struct waits *) = {
    wait_to_sleep,    wait_for_mutex,         wait_for_ranked, wait_to_write,
    wait_to_read,     wait_for_permits,       wait_for_event,  wait_with_condition,
    wait_to_receive,  wait_to_send,           wait_to_select,  wait_for_latch,
    wait_at_barrier,  wait_to_join,           wait_for_group,  wait_on_word,
    wait_for_bytes,   wait_for_owned_permits,
};
enum { WAYS = sizeof ways / sizeof *ways };

static int wait_for_it(void *event)
{
    return lw_event_wait(event, LW_FOREVER);
}

struct waiter {
    struct waits *waits;
    int (*way)(struct waits *waits);
    lw_event holds;
};

static int hold_and_wait(void *arg)
{
    struct waiter *waiter = arg;
    lw_force_request asked;
    int err;

    cr_assert_eq(lw_acquire(&waiter->waits->held.lock, LW_FOREVER), 0);
    lw_event_set(&waiter->holds);
    err = waiter->way(waiter->waits);
    cr_assert(lw_force_pending(&asked));
    cr_assert_eq(lw_sleep(lw_in(1)), 0, "one wait");
    cr_assert_eq(lw_release(&waiter->waits->held.lock), 0);
    return err;
}

static int wait_in_each_way(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    for (int i = 0; i < WAYS; i++) {
        int items[1] = {0}, status = 0;
        struct waits waits = {.held = LW_MUTEX_INIT("held"),
                              .ranked = LW_PRIORITY_LOCK_INIT("ranked"),
                              .rw = LW_RWLOCK_INIT("rw", 0),
                              .semaphore = LW_SEMAPHORE_INIT("semaphore", 1),
                              .bounded = LW_BOUNDED_SEMAPHORE_INIT("bounded", 1),
                              .channel = LW_CHANNEL_INIT("channel", items),
                              .latch = LW_LATCH_INIT("latch", 1),
                              .barrier = LW_BARRIER_INIT("barrier", 2),
                              .group = LW_GROUP_INIT(0)};
        struct waiter waiter = {.waits = &waits, .way = ways[i]};
        lw_task task;

        waits.other = (lw_mutex)LW_MUTEX_INIT("other");
        cr_assert_eq(lw_acquire(&waits.other.lock, LW_NOW), 0);
        cr_assert_eq(lw_acquire(&waits.ranked.lock, LW_NOW), 0);
        cr_assert_eq(lw_acquire(&waits.rw.write, LW_NOW), 0);
        cr_assert_eq(lw_acquire(&waits.bounded.lock, LW_NOW), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, waits.fds), 0);
        cr_assert_eq(lw_spawn(&waits.task, wait_for_it, &waits.event, NULL), 0);
        cr_assert_eq(lw_group_spawn(&waits.group, wait_for_it, &waits.event, NULL), 0);
        cr_assert_eq(lw_locksmith_recognize(&smith, &waits.held.lock, LW_NOW),
                     LW_RECOGNITION_SUCCESS);
        cr_assert_eq(lw_spawn(&task, hold_and_wait, &waiter, NULL), 0);
        cr_assert_eq(lw_event_wait(&waiter.holds, LW_FOREVER), 0);
        if (arg != NULL) /* before or after it has begun to wait */
            AWAIT(is_waiting(task));
        cr_assert_eq(force(&smith, &waits.held.lock), LW_FORCE_SUCCESS);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -EDEADLK, "R031: way %d: %d", i, status);
        lw_event_set(&waits.event);
        cr_assert_eq(lw_group_end(&waits.group, 0), 0);
        cr_assert_eq(lw_join(waits.task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_release(&waits.other.lock), 0);
        cr_assert_eq(lw_release(&waits.ranked.lock), 0);
        cr_assert_eq(lw_release(&waits.rw.write), 0);
        cr_assert_eq(lw_release(&waits.bounded.lock), 0);
        cr_assert_eq(lw_close(waits.fds[0]), 0);
        cr_assert_eq(close(waits.fds[1]), 0);
        cr_assert_eq(lw_lock_fini(&waits.held.lock), 0);
    }
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

static char waiting[] = "waiting";

Test(smith_waits, r031_whatever_it_waits_for)
{
    run_all(wait_in_each_way, NULL);
    run_all(wait_in_each_way, waiting);
}

/* ---- what does not say so keeps it */

static int end_a_group(struct waits *waits)
{
    lw_group group = LW_GROUP_INIT(0);

    cr_assert_eq(lw_group_spawn(&group, wait_for_it, &waits->event, NULL), 0);
    lw_event_set(&waits->there);
    cr_assert_eq(lw_group_end(&group, 0), 0, "its children are not concerned");
    return lw_sleep(LW_FOREVER);
}

static int block(void *arg)
{
    struct waits *waits = arg;

    lw_event_set(&waits->there);
    while (!lw_load_acq(&waits->word))
        (void)sched_yield();
    return 3;
}

static int call_a_helper(struct waits *waits)
{
    int status = 0;

    cr_assert_eq(lw_blocking(block, waits, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 3);
    return lw_sleep(LW_FOREVER);
}

static int read_some(struct waits *waits)
{
    char bytes[8];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    cr_assert_eq(write(waits->fds[1], "abc", 3), 3);
    lw_event_set(&waits->there);
    cr_assert_eq(lw_recvmsg(waits->fds[0], &message, MSG_WAITALL, LW_FOREVER), 3);
    return lw_sleep(LW_FOREVER);
}

static int (*const quiet_ways[])(struct waits *) = {end_a_group, call_a_helper, read_some};

static int force_it(void *arg)
{
    struct waiter *waiter = arg;
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    int result;

    cr_assert_eq(lw_locksmith_recognize(&smith, &waiter->waits->held.lock, LW_NOW),
                 LW_RECOGNITION_SUCCESS);
    result = force(&smith, &waiter->waits->held.lock);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return result == LW_FORCE_SUCCESS ? 0 : -1;
}

static bool is_asked(lw_task task)
{
    const struct lw_record *record = lw_record_of(task.id);

    return record != NULL && (lw_load_rlx(&record->ctl) & LW_ASKED) != 0;
}

static int wait_quietly(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof quiet_ways / sizeof *quiet_ways; i++) {
        struct waits waits = {.held = LW_MUTEX_INIT("held")};
        struct waiter waiter = {.waits = &waits, .way = quiet_ways[i]};
        lw_task task, forcer;
        int status = 0;

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, waits.fds), 0);
        cr_assert_eq(lw_spawn(&task, hold_and_wait, &waiter, NULL), 0);
        cr_assert_eq(lw_event_wait(&waits.there, LW_FOREVER), 0);
        AWAIT(is_waiting(task));
        cr_assert_eq(lw_spawn(&forcer, force_it, &waiter, NULL), 0);
        AWAIT(is_asked(task));
        lw_event_set(&waits.event);
        lw_store_rel(&waits.word, 1);
        cr_assert_eq(lw_join(forcer, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 0, "%zu", i);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -EDEADLK, "R033: kept for the next wait: %zu", i);
        cr_assert_eq(lw_close(waits.fds[0]), 0);
        cr_assert_eq(close(waits.fds[1]), 0);
    }
    return 0;
}

Test(smith_waits, r033_what_does_not_say_so_keeps_it_for_the_next_wait)
{
    run_all(wait_quietly, NULL);
}

/* ---- cancelled and asked: each is said once */

static int be_cancelled_and_asked(void *arg)
{
    struct owner *owner = arg;
    int first, second;

    cr_assert_eq(lw_acquire(owner->lock, LW_FOREVER), 0);
    lw_event_set(&owner->holds);
    while (!lw_force_pending(&owner->asked) || lw_cancel_requests() == 0)
        lw_yield();
    first = lw_sleep(LW_FOREVER);
    second = lw_sleep(LW_FOREVER);
    /* In either order: who asks may find the wait before it has found that it was cancelled. */
    if (first == -EDEADLK) {
        first = second;
        second = -EDEADLK;
    }
    cr_assert_eq(first, -ECANCELED);
    cr_assert_eq(second, -EDEADLK);
    cr_assert_eq(lw_sleep(lw_in(1)), 0);
    return lw_release(owner->lock);
}

static int ask_and_cancel(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock};
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    cr_assert_eq(lw_spawn(&owner.task, be_cancelled_and_asked, &owner, NULL), 0);
    cr_assert_eq(lw_event_wait(&owner.holds, LW_FOREVER), 0);
    cr_assert_eq(lw_cancel(owner.task), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_SUCCESS);
    cr_assert_eq(end_owner(&owner), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_waits, a_cancel_and_a_request_are_each_said_once)
{
    run_all(ask_and_cancel, NULL);
}

/* ---- in a shield */

static int refuse(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_REFUSED, 0), 0);
    return hold_on(owner);
}

/* In a shield no news end the wait: it looks from time to time. */
static int force_shielded(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = arg != NULL ? release_it : refuse};
    struct noted noted;

    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    LW_SHIELD() {
        cr_assert_eq(force(&noted.smith, &mutex.lock),
                     arg != NULL ? LW_FORCE_SUCCESS : LW_FORCE_FAILURE);
    }
    cr_assert_calls(noted, "AR");
    cr_assert_eq(end_owner(&owner), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_waits, one_may_force_in_a_shield)
{
    run_all(force_shielded, NULL);
    run_all(force_shielded, waiting);
}
