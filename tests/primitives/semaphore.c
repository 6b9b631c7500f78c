/* SPDX-License-Identifier: MIT */
/* The laws of lw_semaphore. */
#include "tests/primitives/crowd.h"

TestSuite(semaphore, .init = watchdog);

static void assert_idle(lw_semaphore *semaphore, int64_t permits)
{
    cr_assert_eq(lw_semaphore_available(semaphore), permits);
    cr_assert_eq(lw_load_acq(&semaphore->lock._word._value), 0);
    cr_assert_null(semaphore->lock._queue);
}

/* ---- never more inside than there are permits, and none gets lost */

enum { PERMITS = 3 };

struct shared {
    lw_semaphore semaphore;
    int inside;
};

static void act_inside(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        uint32_t permits = 1 + (uint32_t)(random_draw(&member->random) % PERMITS);
        int err = lw_semaphore_acquire(&shared->semaphore, permits, random_deadline(member));

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        cr_assert_leq(__atomic_add_fetch(&shared->inside, (int)permits, __ATOMIC_ACQ_REL), PERMITS);
        maybe_yield(member);
        cr_assert_geq(__atomic_sub_fetch(&shared->inside, (int)permits, __ATOMIC_ACQ_REL), 0);
        cr_assert_eq(lw_semaphore_release(&shared->semaphore, permits), 0);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        struct shared shared = {.semaphore = LW_SEMAPHORE_INIT("crowd", PERMITS)};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_inside,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        assert_idle(&shared.semaphore, PERMITS);
    }
    return 0;
}

Test(semaphore, permits_are_conserved_when_waits_end_early)
{
    run_all(crowds, NULL);
}

/* ---- order */

struct record_of_order {
    int order[6], places, count;
};

struct wish {
    lw_semaphore *semaphore;
    uint32_t permits;
    struct record_of_order *served;
    int number;
};

static int wish(void *arg)
{
    struct wish *wish = arg;
    struct record_of_order *served = wish->served;
    int err = lw_semaphore_acquire(wish->semaphore, wish->permits, LW_FOREVER);

    if (err == 0) {
        served->order[__atomic_fetch_add(&served->places, 1, __ATOMIC_RELAXED)] = wish->number;
        (void)__atomic_fetch_add(&served->count, 1, __ATOMIC_RELEASE);
    }
    return err;
}

static int serve_in_order(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("order", 0);
    struct record_of_order served = {0};
    struct wish wishes[6];
    lw_task tasks[6];

    (void)arg;
    for (int i = 0; i < 6; i++) {
        wishes[i] = (struct wish){&semaphore, 1, &served, i};
        tasks[i] = start_waiter(wish, &wishes[i]);
    }
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(lw_semaphore_release(&semaphore, 1), 0);
        cr_assert_eq(lw_semaphore_acquire(&semaphore, 1, LW_NOW),
                     -ETIMEDOUT); /* it is the waiter's */
        AWAIT(__atomic_load_n(&served.count, __ATOMIC_ACQUIRE) == i + 1);
        cr_assert_eq(served.order[i], i);
    }
    for (int i = 0; i < 6; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    assert_idle(&semaphore, 0);
    return 0;
}

Test(semaphore, a_permit_is_handed_to_who_waits_longest)
{
    run_all(serve_in_order, NULL);
}

static int want_many(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("many", 2);
    struct record_of_order served = {0};
    struct wish many = {&semaphore, 5, &served, 0}, one = {&semaphore, 1, &served, 1};
    lw_task first, second;

    (void)arg;
    first = start_waiter(wish, &many);
    cr_assert(lw_semaphore_locked(&semaphore)); /* permits are free, but not for who comes now */
    cr_assert_eq(lw_semaphore_available(&semaphore), 2);
    second = start_waiter(wish, &one);
    cr_assert_eq(lw_semaphore_release(&semaphore, 2), 0);
    cr_assert(is_waiting(first) && is_waiting(second));
    cr_assert_eq(lw_semaphore_release(&semaphore, 2), 0);
    cr_assert_eq(join_status(first), 0);
    cr_assert_eq(join_status(second), 0);
    assert_idle(&semaphore, 0);
    return 0;
}

Test(semaphore, one_who_wants_many_holds_back_those_behind)
{
    run_all(want_many, NULL);
}

static int give_up_on_many(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("give up", 2);
    struct record_of_order served = {0};
    struct wish many = {&semaphore, 5, &served, 0}, one = {&semaphore, 1, &served, 1};
    lw_task first, others[3];

    (void)arg;
    first = start_waiter(wish, &many);
    for (int i = 0; i < 3; i++)
        others[i] = start_waiter(wish, &one);
    cr_assert_eq(lw_cancel(first), 0);
    cr_assert_eq(join_status(first), -ECANCELED);
    cr_assert_eq(join_status(others[0]), 0); /* let in by the one who left */
    cr_assert_eq(join_status(others[1]), 0);
    cr_assert(is_waiting(others[2]));
    cr_assert_eq(lw_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(join_status(others[2]), 0);
    assert_idle(&semaphore, 0);
    return 0;
}

Test(semaphore, who_gives_up_lets_those_behind_in)
{
    run_all(give_up_on_many, NULL);
}

/* ---- results */

static int use_codes(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("codes", 1), zeroed = {0};

    (void)arg;
    cr_assert_eq(lw_semaphore_acquire(&semaphore, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_semaphore_release(&semaphore, 0), -EINVAL);
    cr_assert_eq(lw_semaphore_acquire(&zeroed, 1, LW_NOW), -EINVAL);
    cr_assert_eq(lw_semaphore_release(&zeroed, 1), -EINVAL);
    cr_assert_eq(lw_semaphore_available(&zeroed), 0);

    cr_assert_eq(lw_semaphore_acquire(&semaphore, 2, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_semaphore_acquire(&semaphore, 2, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_semaphore_acquire(&semaphore, 1, LW_NOW), 0);
    cr_assert(lw_semaphore_locked(&semaphore));
    cr_assert_eq(lw_owner(&semaphore.lock).id, 0);
    cr_assert_eq(lw_semaphore_release(&semaphore, UINT32_MAX), 0); /* by anyone, as many as fit */
    cr_assert_eq(lw_semaphore_release(&semaphore, 1), -EOVERFLOW);
    assert_idle(&semaphore, UINT32_MAX);
    return 0;
}

Test(semaphore, misuse_has_its_code_and_changes_nothing)
{
    run_all(use_codes, NULL);
    (void)use_codes(NULL);
}

/* ---- as a signal between a plain thread and a task */

struct signal {
    lw_semaphore there, back;
    long rounds;
};

static void *answer(void *arg)
{
    struct signal *signal = arg;

    for (long i = 0; i < signal->rounds; i++) {
        cr_assert_eq(lw_semaphore_acquire(&signal->there, 1, LW_FOREVER), 0);
        cr_assert_eq(lw_semaphore_release(&signal->back, 1), 0);
    }
    return NULL;
}

static int signal_thread(void *arg)
{
    struct signal signal = {LW_SEMAPHORE_INIT("there", 0), LW_SEMAPHORE_INIT("back", 0),
                            rounds(2000)};
    pthread_t thread;

    (void)arg;
    cr_assert_eq(pthread_create(&thread, NULL, answer, &signal), 0);
    for (long i = 0; i < signal.rounds; i++) {
        cr_assert_eq(lw_semaphore_release(&signal.there, 1), 0);
        cr_assert_eq(lw_semaphore_acquire(&signal.back, 1, LW_FOREVER), 0);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    assert_idle(&signal.there, 0);
    assert_idle(&signal.back, 0);
    return 0;
}

Test(semaphore, signals_between_a_thread_and_a_task_are_not_lost)
{
    run_all(signal_thread, NULL);
}
