/* SPDX-License-Identifier: MIT */
/* The laws of lw_acquire_all(), lw_release_all() and lw_backoff(). */
#include "tests/primitives/kinds.h"

TestSuite(several, .init = watchdog);

enum { MANY = 200 };

/* Up, down, or an order that is drawn. */
enum { UP, DOWN, DRAWN, ORDERS };

static void shuffle(lw_lock **locks, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = random_draw(random) % i;
        lw_lock *lock = locks[i - 1];

        locks[i - 1] = locks[other];
        locks[other] = lock;
    }
}

static void assert_held(lw_lock **locks, size_t count, bool held)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(lw_owned(locks[i]), held);
}

/* ---- all */

static int take_counts(void *arg)
{
    static lw_mutex mutexes[MANY];
    lw_lock *locks[MANY];
    uint64_t random = 1;

    (void)arg;
    for (size_t round = 0; round < (MANY + 1) * ORDERS; round++) {
        size_t count = round / ORDERS, order = round % ORDERS;

        for (size_t i = 0; i < count; i++)
            locks[i] = &mutexes[order == DOWN ? count - 1 - i : i].lock;
        if (order == DRAWN)
            shuffle(locks, count, &random);
        cr_assert_eq(lw_acquire_all(locks, count, LW_NOW), 0);
        assert_held(locks, count, true);
        cr_assert_eq(holds_of_caller(), count);
        shuffle(locks, count, &random);
        cr_assert_eq(lw_release_all(locks, count), 0);
        assert_held(locks, count, false);
        cr_assert_eq(holds_of_caller(), 0);
    }
    cr_assert_eq(lw_acquire_all(NULL, 0, LW_NOW), 0);
    cr_assert_eq(lw_release_all(NULL, 0), 0);
    return 0;
}

Test(several, any_number_in_any_order)
{
    run_with(1, take_counts, NULL);
}

static int take_each_kind(void *arg)
{
    lw_lock locks[ALL_KINDS], *all[ALL_KINDS];

    (void)arg;
    for (int i = 0; i < ALL_KINDS; i++) {
        locks[i] = *kinds[i];
        all[ALL_KINDS - 1 - i] = &locks[i];
    }
    cr_assert_eq(lw_acquire_all(all, ALL_KINDS, LW_NOW), 0);
    for (int i = 0; i < ALL_KINDS; i++)
        cr_assert(lw_locked(&locks[i]));
    cr_assert_eq(lw_release_all(all, ALL_KINDS), 0);
    for (int i = 0; i < ALL_KINDS; i++)
        assert_as_made(&locks[i]);
    return 0;
}

Test(several, locks_of_all_kinds_together)
{
    run_with(1, take_each_kind, NULL);
}

/* ---- none */

static int fail_at_each(void *arg)
{
    static lw_mutex mutexes[MANY];
    lw_lock *locks[MANY];
    uint64_t random = 7;

    (void)arg;
    for (int i = 0; i < MANY; i++)
        locks[i] = &mutexes[i].lock;
    shuffle(locks, MANY, &random);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_NOW), 0);
        cr_assert_eq(lw_acquire_all(locks, MANY, LW_FOREVER), -EDEADLK, "it holds one itself");
        cr_assert_eq(lw_acquire_all(locks, MANY, LW_NOW), -ETIMEDOUT);
        cr_assert_eq(holds_of_caller(), 1, "nothing of these calls");
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
        for (int j = 0; j < MANY; j++)
            cr_assert_eq(mutexes[j].lock._word._value, 0);
    }
    return 0;
}

Test(several, none_is_held_when_one_fails)
{
    run_with(1, fail_at_each, NULL);
}

struct two {
    lw_lock *locks[2];
    lw_nsec deadline;
};

static int take_two(void *arg)
{
    struct two *two = arg;
    int err = lw_acquire_all(two->locks, 2, two->deadline);

    cr_assert_eq(holds_of_caller(), err == 0 ? 2 : 0);
    return err < 0 ? err : lw_release_all(two->locks, 2);
}

static int give_up(void *arg)
{
    lw_mutex mutexes[2] = {0};
    struct two two = {{&mutexes[0].lock, &mutexes[1].lock}, LW_FOREVER};
    lw_task task;

    (void)arg;
    for (int i = 0; i < 2; i++) { /* the second one is held: the first has been taken */
        cr_assert_eq(lw_mutex_acquire(&mutexes[1], LW_NOW), 0);
        two.deadline = i == 0 ? LW_FOREVER : lw_in(LW_MS);
        cr_assert_eq(lw_spawn(&task, take_two, &two, NULL), 0);
        if (i == 0) {
            AWAIT(is_waiting(task));
            cr_assert(lw_mutex_locked(&mutexes[0]));
            cr_assert_eq(lw_cancel(task), 0);
        }
        cr_assert_eq(join_status(task), i == 0 ? -ECANCELED : -ETIMEDOUT);
        cr_assert_not(lw_mutex_locked(&mutexes[0]));
        cr_assert_eq(lw_mutex_release(&mutexes[1]), 0);
    }
    return 0;
}

Test(several, none_is_held_by_one_who_gives_up)
{
    run_all(give_up, NULL);
}

/* ---- misuse */

static int misuse(void *arg)
{
    static lw_mutex mutexes[MANY];
    lw_lock *locks[MANY], *two[2] = {&mutexes[0].lock, NULL};
    uint64_t random = 3;

    (void)arg;
    cr_assert_eq(lw_acquire_all(two, 2, LW_NOW), -EINVAL);
    cr_assert_eq(lw_release_all(two, 2), -EINVAL);
    for (int i = 0; i < MANY; i++) {
        for (int j = 0; j < MANY; j++)
            locks[j] = &mutexes[j].lock;
        locks[i] = locks[(i + 1 + (int)(random_draw(&random) % (MANY - 1))) % MANY];
        shuffle(locks, MANY, &random);
        cr_assert_eq(lw_acquire_all(locks, MANY, LW_NOW), -EINVAL, "the same twice");
        cr_assert_eq(lw_release_all(locks, MANY), -EINVAL);
        cr_assert_eq(holds_of_caller(), 0);
    }
    /* Of those that are released one is not the caller's: it has the others no more. */
    two[1] = &mutexes[1].lock;
    cr_assert_eq(lw_mutex_acquire(&mutexes[0], LW_NOW), 0);
    cr_assert_eq(lw_release_all(two, 2), -EPERM);
    cr_assert_not(lw_mutex_locked(&mutexes[0]));
    return 0;
}

Test(several, misuse_has_its_code_and_takes_nothing)
{
    run_with(1, misuse, NULL);
}

/* ---- many at once, each in an order of his own: nobody waits for ever */

static struct {
    lw_mutex mutexes[6];
    lw_rlock rlock;
    long money[6];
} bank;

static void transfer(struct member *member)
{
    for (int i = 0; i < 60; i++) {
        int from = (int)(random_draw(&member->random) % 6);
        int to = (from + 1 + (int)(random_draw(&member->random) % 5)) % 6;
        lw_lock *locks[3] = {&bank.mutexes[from].lock, &bank.rlock.lock, &bank.mutexes[to].lock};
        size_t count = 3;
        int err;

        shuffle(locks, count, &member->random);
        err = lw_acquire_all(locks, count, random_deadline(member));
        cr_assert(err == 0 || is_interruption(err), "%d", err);
        if (err < 0)
            continue;
        bank.money[from]--;
        maybe_yield(member);
        bank.money[to]++;
        cr_assert_eq(lw_release_all(locks, count), 0);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .cancels = true, .act = transfer, .seed = seed};
        long sum = 0;

        memset(&bank, 0, sizeof bank);
        bank.rlock = (lw_rlock)LW_RLOCK_INIT("ledger");
        crowd_run(&crowd);
        for (int i = 0; i < 6; i++)
            sum += bank.money[i];
        cr_assert_eq(sum, 0);
    }
    return 0;
}

Test(several, opposed_orders_meet_without_a_deadlock)
{
    run_all(crowds, NULL);
}

/* ---- giving way */

static int back_off(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("own");
    int rounds_made = 0, err;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    do {
        rounds_made++;
        err = lw_mutex_acquire(&mutex, LW_FOREVER);
    } while (err == -EDEADLK && (err = lw_backoff(LW_FOREVER)) == 0);
    cr_assert(err == -EDEADLK && rounds_made == 1, "it would be told the same again");
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "it gave way to nobody");
    cr_assert_eq(lw_backoff(LW_NOW), -EDEADLK);
    return 0;
}

Test(several, one_who_asked_for_his_own_lock_is_not_sent_round_again)
{
    run_with(1, back_off, NULL);
    (void)back_off(NULL);
}
