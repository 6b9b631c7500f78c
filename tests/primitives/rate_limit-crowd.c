/* SPDX-License-Identifier: MIT */
/* Laws of lw_rate_limit where many use one, and of a refill of the user's: rows R252 and R260. */
#include <math.h>

#include "tests/primitives/rate_limit.h"

TestSuite(rate_limit_crowd, .init = watchdog);

struct shared {
    lw_rate_limit limit;
    double taken[CROWD_MAX]; /* plain: each member its own */
    int inside, refills;
};

static void take_and_give(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 20; i++) {
        double tokens = (double)(1 + random_draw(&member->random) % 4);
        int err = lw_rate_limit_acquire(&shared->limit, tokens, random_deadline(member));

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        maybe_yield(member);
        cr_assert_eq(lw_rate_limit_release(&shared->limit, tokens), 0);
        if (random_draw(&member->random) % 8 == 0)
            cr_assert_leq(lw_rate_limit_tokens(&shared->limit), 6);
    }
}

static double count_refills(const lw_rate_limit *limit, double tokens, lw_nsec elapsed)
{
    struct shared *shared = (struct shared *)(uintptr_t)limit; /* its first member */

    cr_assert_eq(shared->inside++, 0, "R260: one at a time");
    cr_assert(lw_locked(&limit->_refilling.lock), "R260: with the mutex held");
    cr_assert_geq(elapsed, 0);
    shared->refills++; /* plain: under the mutex */
    cr_assert_eq(tokens, lw_rate_limit_tokens(limit), "R260: nothing changes meanwhile");
    shared->inside--;
    return tokens;
}

static int conserve(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(60); seed++) {
        struct shared shared = {.limit = frozen(6, seed % 2)};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = take_and_give,
                              .object = &shared,
                              .seed = seed};

        if (arg != NULL)
            shared.limit.refill = count_refills;
        crowd_run(&crowd);
        cr_assert_eq(lw_rate_limit_tokens(&shared.limit), 6);
        cr_assert_null(shared.limit.lock._queue);
        cr_assert(arg == NULL || shared.refills >= 2 * 14);
    }
    return 0;
}

Test(rate_limit_crowd, tokens_are_neither_made_nor_lost)
{
    run_all(conserve, NULL);
}

Test(rate_limit_crowd, a_refill_is_one_at_a_time_and_loses_none)
{
    run_all(conserve, &(int){1});
}

static void take_some(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 20; i++) {
        double tokens = (double)(1 + random_draw(&member->random) % 4);
        int err = lw_rate_limit_acquire(&shared->limit, tokens, random_deadline(member));

        cr_assert(err == 0 || is_interruption(err), "%d", err);
        if (err == 0)
            shared->taken[member->index] += tokens;
    }
}

static int never_more(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        lw_nsec begun = lw_now();
        struct shared shared = {.inside = 0};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = take_some,
                              .object = &shared,
                              .seed = seed};
        double all = 0;

        cr_assert_eq(lw_rate_limit_init(&shared.limit, NULL, 1e6, 20, seed % 2), 0);
        crowd_run(&crowd);
        for (int i = 0; i < 14; i++)
            all += shared.taken[i];
        cr_assert_leq(all, 20.001 + (double)(lw_now() - begun) * 1e-3, "R252");
        cr_assert_null(shared.limit.lock._queue);
    }
    return 0;
}

Test(rate_limit_crowd, no_more_is_granted_than_time_brings)
{
    run_all(never_more, NULL);
}

/* ---- a refill of the user's */

static struct {
    int calls;
    double gives;
    int inner;
} refill_says;

static double told(const lw_rate_limit *limit, double tokens, lw_nsec elapsed)
{
    (void)elapsed;
    refill_says.calls++;
    refill_says.inner = lw_rate_limit_acquire((lw_rate_limit *)(uintptr_t)limit, 1, LW_FOREVER);
    cr_assert_eq(lw_rate_limit_release((lw_rate_limit *)(uintptr_t)limit, 1), -EDEADLK);
    cr_assert_eq(lw_rate_limit_set_rate((lw_rate_limit *)(uintptr_t)limit, 1), -EDEADLK);
    return refill_says.gives < 0 ? refill_says.gives : tokens + refill_says.gives;
}

static int refill(void *arg)
{
    lw_rate_limit limit = frozen(8, 0);
    struct wish more = {&limit, 8, 0};
    lw_task waiter;

    (void)arg;
    memset(&refill_says, 0, sizeof refill_says);
    limit.refill = told;
    cr_assert_eq(lw_rate_limit_acquire(&limit, 8, LW_NOW), 0);
    cr_assert_eq(refill_says.calls, 1, "R260: before an acquire");
    cr_assert_eq(refill_says.inner, -EDEADLK, "it may not use the limit");
    cr_assert_eq(lw_rate_limit_release(&limit, 1), 0);
    cr_assert_eq(refill_says.calls, 2, "R260: before a release");
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 0), 0);
    cr_assert_eq(refill_says.calls, 3, "R260: before a set_rate");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 1);
    cr_assert_eq(refill_says.calls, 3);
    refill_says.gives = 2;
    cr_assert_eq(lw_rate_limit_acquire(&limit, 3, LW_NOW), 0, "R260: as many as it says");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0);
    cr_assert_eq(lw_rate_limit_acquire(&limit, 3, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 2, "R260: also when it fails");
    refill_says.gives = -1;
    cr_assert_eq(lw_rate_limit_acquire(&limit, 1, LW_NOW), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 1, "negative: as many as there were");
    refill_says.gives = NAN;
    cr_assert_eq(lw_rate_limit_acquire(&limit, 1, LW_NOW), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0, "NaN: the same");
    refill_says.gives = 1;
    waiter = start_waiter(wish, &more);
    refill_says.gives = 100;
    cr_assert_eq(lw_rate_limit_release(&limit, 1), 0);
    cr_assert_eq(join_status(waiter), 0, "R254, R260");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0, "its capacity was all there could be");
    return 0;
}

Test(rate_limit_crowd, a_refill_of_ones_own_says_how_many_there_are)
{
    run_all(refill, NULL);
}
