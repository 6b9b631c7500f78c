/* SPDX-License-Identifier: MIT */
/* The laws of lw_keyed_condition.  Rows R272 to R300. */
#include "tests/primitives/crowd.h"

TestSuite(keyed_condition, .init = watchdog);

/* ---- a waiter in a task of its own */

struct waiter {
    lw_keyed_condition *condition;
    uint64_t key;
    lw_nsec within; /* 0: for ever */
    int place, *woken; /* guarded by the lock */
};

static int await_key(void *arg)
{
    struct waiter *waiter = arg;
    lw_keyed_condition *condition = waiter->condition;
    lw_nsec deadline = waiter->within == 0 ? LW_FOREVER : lw_in(waiter->within);
    int err;

    cr_assert_eq(lw_acquire(condition->lock, LW_FOREVER), 0);
    err = lw_keyed_condition_wait(condition, waiter->key, deadline);
    cr_assert(lw_owned(condition->lock), "R290: held again, also on timeout and cancel");
    if (waiter->woken != NULL)
        waiter->place = (*waiter->woken)++;
    cr_assert_eq(lw_release(condition->lock), 0);
    return err;
}

struct hall {
    lw_keyed_condition condition;
    struct waiter waiters[8];
    lw_task tasks[8];
    int woken;
};

static void enter_hall(struct hall *hall, int i, uint64_t key, lw_nsec within)
{
    hall->waiters[i] = (struct waiter){&hall->condition, key, within, -1, &hall->woken};
    hall->tasks[i] = start_waiter(await_key, &hall->waiters[i]);
}

static int notify(struct hall *hall, uint64_t key, uint32_t count, uint32_t flags)
{
    int woken;

    cr_assert_eq(lw_acquire(hall->condition.lock, LW_FOREVER), 0, "R290: it is free meanwhile");
    woken = lw_keyed_condition_notify(&hall->condition, key, count, flags);
    cr_assert_eq(lw_release(hall->condition.lock), 0);
    return woken;
}

static int notify_all(struct hall *hall)
{
    int woken;

    cr_assert_eq(lw_acquire(hall->condition.lock, LW_FOREVER), 0);
    woken = lw_keyed_condition_notify_all(&hall->condition);
    cr_assert_eq(lw_release(hall->condition.lock), 0);
    return woken;
}

static void assert_empty(struct hall *hall)
{
    cr_assert_eq(hall->condition._waiting, 0);
    cr_assert_null(hall->condition.wait._queue);
    cr_assert_null(hall->condition._observers);
    cr_assert_not(lw_locked(hall->condition.lock));
}

/* ---- the lock */

static int use_locks(void *arg)
{
    lw_rlock given = LW_RLOCK_INIT("given");
    struct hall own, other;
    int err = 1;

    (void)arg;
    lw_keyed_condition_init(&own.condition, "own", NULL);
    lw_keyed_condition_init(&other.condition, "other", &given.lock);
    cr_assert_eq(other.condition.lock, &given.lock, "R272");
    cr_assert_not(lw_locked(own.condition.lock));
    LW_WITH(own.condition.lock, LW_FOREVER, err) {
        cr_assert(lw_locked(own.condition.lock), "R272, R277");
        cr_assert_eq(lw_acquire(own.condition.lock, LW_NOW), -ETIMEDOUT, "R274");
    }
    cr_assert_eq(err, 0, "R273, R274");
    cr_assert_eq(lw_release(own.condition.lock), -EPERM, "R288");
    LW_WITH(other.condition.lock, LW_FOREVER, err) {
        cr_assert(lw_rlock_locked(&given), "R272, R277");
    }
    cr_assert_eq(lw_release(other.condition.lock), -EPERM, "R288");
    return 0;
}

Test(keyed_condition, it_has_a_lock_of_its_own_or_the_given_one)
{
    run_all(use_locks, NULL);
}

static int queue_for_the_lock(void *arg)
{
    lw_keyed_condition *condition = arg;

    return lw_acquire(condition->lock, LW_FOREVER);
}

static int use_codes(void *arg)
{
    struct hall hall;
    lw_keyed_condition *condition = &hall.condition;
    lw_task task;

    (void)arg;
    *condition = (lw_keyed_condition){0};
    cr_assert_eq(lw_keyed_condition_wait(condition, 1, LW_NOW), -EINVAL, "zeroed");
    cr_assert_eq(lw_keyed_condition_wait_for(condition, 1, NULL, NULL, 1, LW_NOW), -EINVAL);
    cr_assert_eq(lw_keyed_condition_wait_all(condition, LW_NOW), -EINVAL);
    cr_assert_eq(lw_keyed_condition_notify(condition, 1, 1, 0), -EINVAL);
    cr_assert_eq(lw_keyed_condition_notify_all(condition), -EINVAL);
    lw_keyed_condition_init(condition, "codes", NULL);
    cr_assert_eq(lw_keyed_condition_wait(condition, 1, LW_FOREVER), -EPERM, "R276, R289");
    cr_assert_eq(lw_keyed_condition_notify(condition, 1, 1, 0), -EPERM, "R276, R282");
    cr_assert_eq(lw_keyed_condition_notify_all(condition), -EPERM, "R282");
    cr_assert_eq(lw_keyed_condition_wait_for(condition, 1, NULL, NULL, LW_FOREVER, LW_FOREVER),
                 -EPERM);
    cr_assert_eq(lw_keyed_condition_notify(condition, 1, 0, 0), 0, "R279");
    cr_assert_eq(lw_keyed_condition_notify(condition, 1, 0, LW_STRICT), -EINVAL, "R279");
    cr_assert_eq(notify(&hall, 1, 1, 2), -EINVAL);
    cr_assert_eq(notify(&hall, 1, 1, 0), 0, "R280, R287");
    cr_assert_eq(notify(&hall, 1, 1, LW_STRICT), -ENOENT, "R280");
    cr_assert_eq(notify_all(&hall), 0, "R287");
    cr_assert_eq(lw_keyed_condition_wait_all(condition, LW_FOREVER), 0, "R293");
    cr_assert_eq(lw_acquire(condition->lock, LW_FOREVER), 0);
    cr_assert_eq(lw_keyed_condition_wait(condition, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_keyed_condition_wait(condition, 1, lw_in(LW_US)), -ETIMEDOUT, "R291");
    cr_assert(lw_owned(condition->lock), "R290");
    task = start_waiter(queue_for_the_lock, condition);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(join_status(task), -ECANCELED, "R275");
    cr_assert_eq(lw_release(condition->lock), 0);
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, misuse_has_its_code_and_changes_nothing)
{
    run_all(use_codes, NULL);
}

/* ---- keys */

enum { A = 1, B = 1000 };

static int wake_by_key(void *arg)
{
    struct hall hall = {.woken = 0};

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "keys", NULL);
    for (int i = 0; i < 6; i++)
        enter_hall(&hall, i, i % 2 == 0 ? A : B, 0);
    cr_assert_eq(notify(&hall, A, 2, 0), 2, "R278, R287");
    cr_assert_eq(join_status(hall.tasks[0]), 0, "R284");
    cr_assert_eq(join_status(hall.tasks[2]), 0, "R284");
    cr_assert(is_waiting(hall.tasks[4]), "R278: at most so many");
    cr_assert(is_waiting(hall.tasks[1]) && is_waiting(hall.tasks[3]), "R278: none of another key");
    cr_assert_eq(notify(&hall, A, 2, LW_STRICT), -EAGAIN, "R281");
    cr_assert_eq(join_status(hall.tasks[4]), 0, "R281: it was woken");
    cr_assert_eq(notify(&hall, B, LW_ALL, LW_STRICT), 3, "R285, R287");
    for (int i = 1; i < 6; i += 2)
        cr_assert_eq(join_status(hall.tasks[i]), 0);
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, a_notify_wakes_those_of_its_key_in_order)
{
    run_all(wake_by_key, NULL);
}

/* One worker: they get the lock in the order in which they were woken. */
static int wake_in_order(void *arg)
{
    struct hall hall = {.woken = 0};

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "order", NULL);
    for (int i = 0; i < 6; i++)
        enter_hall(&hall, i, A, 0);
    cr_assert_eq(notify(&hall, A, LW_ALL, 0), 6);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(join_status(hall.tasks[i]), 0);
        cr_assert_eq(hall.waiters[i].place, i, "R284");
    }
    return 0;
}

Test(keyed_condition, waiters_of_a_key_are_woken_in_order)
{
    run_with(1, wake_in_order, NULL);
}

static int wake_all(void *arg)
{
    struct hall hall = {.woken = 0};

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "all", NULL);
    for (int i = 0; i < 8; i++)
        enter_hall(&hall, i, (uint64_t)i / 2, 0);
    cr_assert_eq(notify_all(&hall), 8, "R286, R287");
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(hall.tasks[i]), 0, "R286");
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, all_keys_can_be_notified)
{
    run_all(wake_all, NULL);
}

static int give_up(void *arg)
{
    struct hall hall = {.woken = 0};

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "give up", NULL);
    enter_hall(&hall, 0, A, 0);
    hall.waiters[1] = (struct waiter){&hall.condition, A, 2 * LW_MS, -1, &hall.woken};
    cr_assert_eq(lw_spawn(&hall.tasks[1], await_key, &hall.waiters[1], NULL), 0);
    cr_assert_eq(join_status(hall.tasks[1]), -ETIMEDOUT, "R291");
    enter_hall(&hall, 2, A, 0);
    cr_assert_eq(lw_cancel(hall.tasks[0]), 0);
    cr_assert_eq(join_status(hall.tasks[0]), -ECANCELED);
    cr_assert_eq(notify(&hall, A, 3, 0), 1, "R283, R291");
    cr_assert_eq(join_status(hall.tasks[2]), 0);
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, who_gave_up_is_not_counted)
{
    run_all(give_up, NULL);
}

/* ---- notified and cancelled at once, in a crowd */

struct shared {
    lw_keyed_condition condition;
    int tokens, taken; /* guarded by the lock */
};

/* A token is put down for each notify.  As many are given as could be taken: who sleeps for ever
 * has lost a notify. */
static void take_or_give(struct member *member)
{
    struct shared *shared = member->crowd->object;
    lw_keyed_condition *condition = &shared->condition;

    for (int i = 0; i < 40; i++) {
        bool gives = member->index % 2 == 0;
        int err = 0;

        while (lw_acquire(condition->lock, LW_FOREVER) < 0)
            continue;
        if (gives) {
            shared->tokens++;
            cr_assert_geq(lw_keyed_condition_notify(condition, 5, 1, 0), 0);
        } else {
            while (err == 0 && shared->tokens == 0)
                err = lw_keyed_condition_wait(condition, 5, random_deadline(member));
            cr_assert(lw_owned(condition->lock));
            cr_assert(err == 0 || is_interruption(err), "%d", err);
            if (err == 0 && shared->tokens > 0) {
                shared->tokens--;
                shared->taken++;
            } else if (err != 0 && shared->tokens > 0) {
                /* Whoever does not use it passes it on. */
                cr_assert_geq(lw_keyed_condition_notify(condition, 5, 1, 0), 0);
            }
        }
        cr_assert_eq(lw_release(condition->lock), 0);
        maybe_yield(member);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        struct shared shared = {.tokens = 0};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = take_or_give,
                              .object = &shared,
                              .seed = seed};

        lw_keyed_condition_init(&shared.condition, "crowd", NULL);
        crowd_run(&crowd);
        cr_assert_eq(shared.condition._waiting, 0);
        cr_assert_eq(shared.tokens + shared.taken, 7 * 40);
    }
    return 0;
}

Test(keyed_condition, no_notify_is_lost_on_who_gives_up)
{
    run_all(crowds, NULL);
}

/* ---- predicates */

struct wanted {
    lw_keyed_condition condition;
    int value, looks;
};

static bool is_two(void *arg)
{
    struct wanted *wanted = arg;

    cr_assert(lw_owned(wanted->condition.lock), "R300");
    (void)__atomic_add_fetch(&wanted->looks, 1, __ATOMIC_RELAXED);
    return wanted->value == 2;
}

static int want_two(void *arg)
{
    struct wanted *wanted = arg;
    int err;

    cr_assert_eq(lw_acquire(wanted->condition.lock, LW_FOREVER), 0);
    err = lw_keyed_condition_wait_for(&wanted->condition, A, is_two, wanted, LW_FOREVER,
                                      LW_FOREVER);
    cr_assert_eq(lw_release(wanted->condition.lock), 0);
    return err;
}

static int satisfy(void *arg)
{
    struct wanted wanted = {.value = 2};
    lw_task task;

    (void)arg;
    lw_keyed_condition_init(&wanted.condition, "wanted", NULL);
    cr_assert_eq(want_two(&wanted), 0, "R297");
    cr_assert_eq(wanted.looks, 1, "R297");
    wanted.value = 0;
    task = start_waiter(want_two, &wanted);
    for (int value = 1; value <= 2; value++) {
        cr_assert_eq(lw_acquire(wanted.condition.lock, LW_FOREVER), 0);
        wanted.value = value;
        cr_assert_eq(lw_keyed_condition_notify(&wanted.condition, A, 1, LW_STRICT), 1, "R298");
        cr_assert_eq(lw_release(wanted.condition.lock), 0);
        if (value == 1)
            AWAIT(__atomic_load_n(&wanted.looks, __ATOMIC_RELAXED) == 3 && is_waiting(task) &&
                  !lw_locked(wanted.condition.lock));
    }
    cr_assert_eq(join_status(task), 0, "R298");
    wanted.value = 0;
    cr_assert_eq(lw_acquire(wanted.condition.lock, LW_FOREVER), 0);
    cr_assert_eq(lw_keyed_condition_wait_for(&wanted.condition, A, is_two, &wanted, LW_MS,
                                             LW_FOREVER),
                 -ETIMEDOUT, "R299");
    cr_assert_eq(lw_keyed_condition_wait_for(&wanted.condition, A, is_two, &wanted, LW_FOREVER,
                                             lw_in(LW_MS)),
                 -ETIMEDOUT);
    cr_assert_eq(lw_keyed_condition_wait_for(&wanted.condition, A, is_two, &wanted, 0, LW_FOREVER),
                 -ETIMEDOUT);
    return lw_release(wanted.condition.lock);
}

Test(keyed_condition, a_predicate_is_waited_for)
{
    run_all(satisfy, NULL);
}

/* ---- observers */

static int observe(void *arg)
{
    return lw_keyed_condition_wait_all(arg, LW_FOREVER);
}

static int observe_all(void *arg)
{
    struct hall hall = {.woken = 0};
    lw_task first, second;

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "observed", NULL);
    enter_hall(&hall, 0, A, 0);
    enter_hall(&hall, 1, B, 0);
    first = start_waiter(observe, &hall.condition);
    enter_hall(&hall, 2, A, 0);
    second = start_waiter(observe, &hall.condition);
    cr_assert_eq(lw_keyed_condition_wait_all(&hall.condition, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_keyed_condition_wait_all(&hall.condition, lw_in(LW_MS)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        cr_assert(is_waiting(hall.tasks[i]), "R295: undisturbed");
    cr_assert_eq(notify(&hall, B, 1, 0), 1);
    cr_assert_eq(join_status(hall.tasks[1]), 0);
    cr_assert(is_waiting(first), "R294: every one of them");
    cr_assert_eq(notify(&hall, A, 1, 0), 1);
    cr_assert_eq(join_status(first), 0, "R294, R296: not the one that came later");
    cr_assert_eq(join_status(hall.tasks[0]), 0, "it uses the hall until then");
    cr_assert(is_waiting(second));
    cr_assert_eq(lw_cancel(second), 0);
    cr_assert_eq(join_status(second), -ECANCELED);
    cr_assert(is_waiting(hall.tasks[2]), "R295: undisturbed");
    second = start_waiter(observe, &hall.condition);
    cr_assert_eq(lw_cancel(hall.tasks[2]), 0);
    cr_assert_eq(join_status(hall.tasks[2]), -ECANCELED);
    cr_assert_eq(join_status(second), 0, "nobody is left");
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, all_who_wait_can_be_waited_for)
{
    run_all(observe_all, NULL);
}

static int observe_and_hold(void *arg)
{
    lw_keyed_condition *condition = arg;
    int err;

    cr_assert_eq(lw_acquire(condition->lock, LW_FOREVER), 0);
    err = lw_keyed_condition_wait_all(condition, LW_FOREVER);
    cr_assert(lw_owned(condition->lock));
    cr_assert_eq(lw_release(condition->lock), 0);
    return err;
}

static int observe_with_the_lock(void *arg)
{
    struct hall hall = {.woken = 0};
    lw_task task;

    (void)arg;
    lw_keyed_condition_init(&hall.condition, "held", NULL);
    enter_hall(&hall, 0, A, 0);
    task = start_waiter(observe_and_hold, &hall.condition);
    cr_assert_eq(notify_all(&hall), 1, "the lock is free meanwhile");
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(join_status(hall.tasks[0]), 0);
    assert_empty(&hall);
    return 0;
}

Test(keyed_condition, an_observer_lets_go_of_the_lock)
{
    run_all(observe_with_the_lock, NULL);
}
