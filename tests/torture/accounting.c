/* SPDX-License-Identifier: MIT */
/* Every waiter is accounted for: each wait is granted, times out or is cancelled, and just one of
 * them; what was counted as woken or notified is what was granted; permits come back.
 *
 * Semaphore, condition and futex are waited for and woken at random by all, with deadlines about
 * as long as a wake takes, under cancels. */
#include "tests/torture/torture.h"

enum { ATTEMPTS = 1, GRANTED, TIMEDOUT, CANCELLED, WOKEN, AWOKEN, NOTIFIED, AWARE };
enum { WORDS = 4, PERMITS = 5 };

static uint32_t words[WORDS];
static lw_semaphore semaphore;
static lw_mutex mutex;
static lw_condition condition;

static void setup(void)
{
    semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("permits", PERMITS);
}

static int account(struct actor *actor, int err)
{
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a wait returned %d", err);
    count(actor, ATTEMPTS, 1);
    count(actor, err == 0 ? GRANTED : err == -ETIMEDOUT ? TIMEDOUT : CANCELLED, 1);
    return err;
}

static void use_permits(struct actor *actor)
{
    uint32_t permits = (uint32_t)(draw(&actor->random) % 3) + 1;
    int err = lw_semaphore_acquire(&semaphore, permits, draw_deadline(&actor->random));

    if (account(actor, err) != 0)
        return;
    if (draw(&actor->random) % 4 == 0)
        give_way();
    CHECK(lw_semaphore_release(&semaphore, permits) == 0, "a release failed");
}

static void use_word(struct actor *actor, uint64_t number)
{
    uint32_t *word = &words[(number >> 8) % WORDS];

    if (number % 3 == 0) {
        int err = lw_futex_wait(word, 0, draw_deadline(&actor->random));

        if (account(actor, err) == 0 && !BROKEN(1, &actor->random, 1000))
            count(actor, AWOKEN, 1);
    } else {
        count(actor, WOKEN, lw_futex_wake(word, (uint32_t)(number >> 32) % 4));
    }
}

static void use_condition(struct actor *actor, uint64_t number)
{
    int err, waited;

    if (number % 3 != 0) {
        count(actor, NOTIFIED, lw_condition_notify(&condition, (uint32_t)(number >> 32) % 4));
        return;
    }
    LW_WITH(&mutex.lock, draw_deadline(&actor->random), err) {
        waited = lw_condition_wait(&condition, &mutex.lock, draw_deadline(&actor->random));
        if (account(actor, waited) == 0)
            count(actor, AWARE, 1);
    } else {
        (void)account(actor, err);
    }
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);

    if (number % 3 == 0)
        use_permits(actor);
    else if (number % 3 == 1)
        use_word(actor, number / 3);
    else
        use_condition(actor, number / 3);
    count(actor, OPERATIONS, 1);
    if (number >> 60 == 0)
        give_way();
    return !torture_over();
}

/* Wakes who waits for ever; a waiter that was woken and does not know stays, as it should. */
static void finish(void)
{
    for (int i = 0; i < WORDS; i++)
        torture_add(WOKEN, lw_futex_wake(&words[i], LW_ALL));
    torture_add(NOTIFIED, lw_condition_notify(&condition, LW_ALL));
}

static void check(void)
{
    CHECK(torture_sum(WOKEN) == torture_sum(AWOKEN), "%llu were woken, %llu awoke",
          ull(torture_sum(WOKEN)), ull(torture_sum(AWOKEN)));
    CHECK(torture_sum(NOTIFIED) == torture_sum(AWARE), "%llu were notified, %llu know",
          ull(torture_sum(NOTIFIED)), ull(torture_sum(AWARE)));
    CHECK(lw_semaphore_available(&semaphore) == PERMITS, "%lld permits of %d are left",
          (long long)lw_semaphore_available(&semaphore), PERMITS);
    CHECK(torture_sum(ATTEMPTS) ==
              torture_sum(GRANTED) + torture_sum(TIMEDOUT) + torture_sum(CANCELLED),
          "attempts and outcomes differ");
    CHECK(lw_futex_wake(&words[0], LW_ALL) == 0, "somebody is still in the queue");
}

static void report(void)
{
    (void)printf("%llu waits = %llu granted + %llu timed out + %llu cancelled",
                 ull(torture_total(ATTEMPTS)), ull(torture_total(GRANTED)),
                 ull(torture_total(TIMEDOUT)), ull(torture_total(CANCELLED)));
}

const struct torture torture = {
    .name = "accounting",
    .tasks = 24,
    .guests = 4,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
