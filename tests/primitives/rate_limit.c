/* SPDX-License-Identifier: MIT */
/* The laws of lw_rate_limit, rows R242 to R261.  What depends on time is in tests/sim/rate_limit.c;
 * here most limits are frozen (their rate is 0), and tokens are whole numbers, of which doubles
 * lose nothing. */
#include <float.h>
#include <math.h>

#include "tests/primitives/rate_limit.h"

TestSuite(rate_limit, .init = watchdog);

/* ---- numbers and codes */

static int codes(void *arg)
{
    static const double bad[] = {-1, -DBL_MIN, -INFINITY, INFINITY, NAN};
    lw_rate_limit limit = frozen(4, 0), zeroed = {.refill = NULL};

    (void)arg;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        lw_rate_limit other = limit;

        cr_assert_eq(lw_rate_limit_init(&other, NULL, bad[i], 1, 0), -EINVAL);
        cr_assert_eq(lw_rate_limit_init(&other, NULL, 1, bad[i], 0), -EINVAL);
        cr_assert_eq(lw_rate_limit_set_rate(&limit, bad[i]), -EINVAL);
    }
    cr_assert_eq(lw_rate_limit_init(&zeroed, NULL, 1, 1, 2), -EINVAL);
    for (double tokens = -1; tokens <= 0; tokens++) {
        cr_assert_eq(lw_rate_limit_acquire(&limit, tokens, LW_FOREVER), -EINVAL, "R251");
        cr_assert_eq(lw_rate_limit_release(&limit, tokens), -EINVAL, "R251");
    }
    cr_assert_eq(lw_rate_limit_acquire(&limit, NAN, LW_FOREVER), -EINVAL, "R251");
    cr_assert_eq(lw_rate_limit_release(&limit, NAN), -EINVAL);
    cr_assert_eq(lw_rate_limit_acquire(&zeroed, 1, LW_NOW), -EINVAL, "zeroed");
    cr_assert_eq(lw_rate_limit_release(&zeroed, 1), -EINVAL);
    cr_assert_eq(lw_rate_limit_set_rate(&zeroed, 1), -EINVAL);
    zeroed.lock.kind = &lw_rate_limit_kind;
    cr_assert_eq(lw_acquire(&zeroed.lock, LW_NOW), -EINVAL);
    cr_assert_eq(lw_release(&zeroed.lock), -EINVAL);
    cr_assert_eq(lw_rate_limit_acquire(&limit, 5, 1), -EINVAL, "a duration");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 4, "R251: as they were");
    cr_assert_eq(lw_rate_limit_rate(&limit), 0);
    return 0;
}

Test(rate_limit, misuse_has_its_code_and_changes_nothing)
{
    run_all(codes, NULL);
}

static int numbers(void *arg)
{
    lw_rate_limit limit;

    (void)arg;
    cr_assert_eq(lw_rate_limit_init(&limit, NULL, 0.5, 0, 0), 0);
    cr_assert_eq(lw_rate_limit_capacity(&limit), 0.5, "R242: the rate");
    cr_assert_eq(lw_rate_limit_init(&limit, NULL, 1e-9, 8, 0), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 8, "R242: full");
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 9), 0);
    cr_assert_eq(lw_rate_limit_rate(&limit), 9, "R261");
    cr_assert_eq(lw_rate_limit_capacity(&limit), 9, "R256: raised, R261");
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 0), 0);
    cr_assert_eq(lw_rate_limit_capacity(&limit), 9, "R256: never lowered");
    cr_assert_leq(lw_rate_limit_tokens(&limit), 9, "R261");
    limit = frozen(8, 0);
    cr_assert_eq(lw_rate_limit_acquire(&limit, 3, LW_NOW), 0, "R244");
    cr_assert_eq(lw_rate_limit_acquire(&limit, 0.5, LW_FOREVER), 0, "R244");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 4.5, "R244");
    cr_assert_eq(lw_rate_limit_acquire(&limit, 4.75, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_rate_limit_acquire(&limit, 4.75, lw_in(LW_US)), -ETIMEDOUT);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 4.5, "R248: takes none");
    cr_assert_eq(lw_rate_limit_release(&limit, 2), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 6.5, "R253");
    cr_assert_eq(lw_rate_limit_release(&limit, DBL_MAX), 0);
    cr_assert_eq(lw_rate_limit_release(&limit, INFINITY), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 8, "R253, R261: never above the capacity");
    return 0;
}

Test(rate_limit, a_bucket_is_full_at_first_and_never_fuller)
{
    run_all(numbers, NULL);
}

/* ---- as a lock */

static int as_a_lock(void *arg)
{
    lw_rate_limit limit = frozen(2, 0), slow;
    int err;

    (void)arg;
    LW_WITH(&limit.lock, LW_NOW, err) {
        cr_assert_eq(lw_rate_limit_tokens(&limit), 1, "R243: one on entry");
        cr_assert_not(lw_rate_limit_locked(&limit), "R258");
        LW_WITH(&limit.lock, LW_NOW, err) {
            cr_assert(lw_rate_limit_locked(&limit), "R258: though nobody waits");
            cr_assert(lw_locked(&limit.lock));
            cr_assert_eq(lw_acquire(&limit.lock, LW_NOW), -ETIMEDOUT);
            cr_assert_eq(lw_rate_limit_acquire(&limit, 0.5, LW_NOW), -ETIMEDOUT);
        }
        cr_assert_not(lw_locked(&limit.lock), "R258");
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 2, "R243: one back at the exit");
    cr_assert_eq(lw_acquire(&limit.lock, LW_FOREVER), 0);
    cr_assert_not(lw_owned(&limit.lock), "tokens are nobody's");
    cr_assert_eq(lw_owner(&limit.lock).id, 0);
    cr_assert_eq(lw_rate_limit_release(&limit, 0.5), 0);
    cr_assert_eq(lw_rate_limit_release(&limit, 0.5), 0);
    cr_assert_eq(lw_release(&limit.lock), 0, "R253: the default amount, from anyone");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 2);
    cr_assert_str_eq(limit.lock.kind->name, "rate limit");

    cr_assert_eq(lw_rate_limit_init(&slow, NULL, 0.5, 0, 0), 0);
    cr_assert(lw_rate_limit_locked(&slow), "R258: the default amount is above its capacity");
    return 0;
}

Test(rate_limit, a_scope_takes_a_token_and_gives_it_back)
{
    run_all(as_a_lock, NULL);
}

/* ---- order */

static int in_order(void *arg)
{
    lw_rate_limit limit = frozen(5, 0);
    struct wish wishes[3];
    lw_task tasks[3];

    (void)arg;
    drain(&limit);
    for (int i = 0; i < 3; i++) {
        wishes[i] = (struct wish){&limit, 3 - i, 0};
        tasks[i] = start_waiter(wish, &wishes[i]);
    }
    cr_assert_eq(lw_rate_limit_release(&limit, 2), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 2);
    cr_assert(lw_rate_limit_locked(&limit), "R258: somebody is first");
    cr_assert_eq(lw_rate_limit_acquire(&limit, 1, LW_NOW), -ETIMEDOUT, "R246: behind the large");
    cr_assert(is_waiting(tasks[0]) && is_waiting(tasks[1]) && is_waiting(tasks[2]), "R246");
    cr_assert_eq(lw_rate_limit_release(&limit, 1), 0);
    cr_assert_eq(join_status(tasks[0]), 0, "R246, R254");
    cr_assert(is_waiting(tasks[1]) && is_waiting(tasks[2]));
    cr_assert_eq(lw_rate_limit_release(&limit, 5), 0);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 2, "R254: all have theirs whom it is enough for");
    cr_assert_eq(join_status(tasks[1]), 0, "R254");
    cr_assert_eq(join_status(tasks[2]), 0, "R254");
    return 0;
}

Test(rate_limit, a_fair_one_serves_strictly_in_order)
{
    run_all(in_order, NULL);
}

static int newest_first(void *arg)
{
    lw_rate_limit limit = frozen(9, LW_RATE_LIMIT_UNFAIR);
    struct wish wishes[3];
    lw_task tasks[3];

    (void)arg;
    drain(&limit);
    for (int i = 0; i < 3; i++) {
        wishes[i] = (struct wish){&limit, 2, 0};
        tasks[i] = start_waiter(wish, &wishes[i]);
    }
    cr_assert_eq(lw_rate_limit_release(&limit, 1), 0);
    cr_assert_not(lw_rate_limit_locked(&limit), "R258: who comes by may take it");
    cr_assert_eq(lw_rate_limit_acquire(&limit, 1, LW_NOW), 0, "R247: barging");
    for (int i = 2; i >= 0; i--) {
        cr_assert_eq(lw_rate_limit_release(&limit, 2), 0);
        cr_assert_eq(join_status(tasks[i]), 0, "R247, R254");
        for (int j = 0; j < i; j++)
            cr_assert(is_waiting(tasks[j]), "R247");
    }
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0);
    return 0;
}

Test(rate_limit, an_unfair_one_serves_the_newest_first)
{
    run_all(newest_first, NULL);
}

/* ---- who leaves */

static int leave_the_line(void *arg)
{
    lw_rate_limit limit = frozen(5, 0);
    struct wish large = {&limit, 5, 0}, small = {&limit, 3, 0};
    struct wish brief = {&limit, 5, 20 * LW_MS};
    lw_task first, second;

    (void)arg;
    cr_assert_eq(lw_rate_limit_acquire(&limit, 2, LW_NOW), 0);
    first = start_waiter(wish, &large);
    second = start_waiter(wish, &small);
    cr_assert_eq(lw_cancel(first), 0);
    cr_assert_eq(join_status(first), -ECANCELED);
    cr_assert_eq(join_status(second), 0, "R249: as if it had never queued");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0, "R249: took none");

    cr_assert_eq(lw_rate_limit_release(&limit, 3), 0);
    cr_assert_eq(lw_spawn(&first, wish, &brief, NULL), 0);
    AWAIT(is_waiting(first));
    cr_assert_eq(lw_spawn(&second, wish, &small, NULL), 0);
    cr_assert_eq(join_status(first), -ETIMEDOUT, "R248");
    cr_assert_eq(join_status(second), 0, "R248: served though nothing else happened");
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0, "R248: took none");
    cr_assert_null(limit.lock._queue);
    return 0;
}

Test(rate_limit, who_leaves_the_line_takes_nothing_and_lets_others_through)
{
    run_all(leave_the_line, NULL);
}

/* ---- what time brings */

static int by_time_alone(void *arg)
{
    lw_rate_limit limit;
    lw_nsec begun = lw_now();

    (void)arg;
    cr_assert_eq(lw_rate_limit_init(&limit, NULL, 1e4, 10, 0), 0);
    drain(&limit);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(lw_rate_limit_acquire(&limit, 10, LW_FOREVER), 0, "R245");
    cr_assert_geq(lw_now() - begun, 10 * LW_MS, "R252: 110 tokens, 10 of them were there");
    cr_assert_eq(lw_rate_limit_acquire(&limit, 10.5, lw_in(LW_MS)), -ETIMEDOUT, "R250");
    return 0;
}

Test(rate_limit, a_lone_waiter_is_served_by_time_alone)
{
    run_all(by_time_alone, NULL);
}

static void *lone_thread(void *arg)
{
    return (void *)(intptr_t)by_time_alone(arg);
}

Test(rate_limit, a_lone_thread_is_served_by_time_alone)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, lone_thread, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* In the nanosecond before, what was asked for is not there. */
static int not_early(void *arg)
{
    const double rate = 7e8;
    lw_rate_limit limit;
    uint64_t random = 1;
    long granted = 0;

    (void)arg;
    cr_assert_eq(lw_rate_limit_init(&limit, NULL, rate, 0, 0), 0);
    drain(&limit);
    while (granted < rounds(20000)) {
        double tokens = 1 + (double)(random_draw(&random) % 1000) / 4, before = limit._tokens;
        lw_nsec at = limit._at;

        if (lw_rate_limit_acquire(&limit, tokens, LW_NOW) < 0)
            continue;
        before += (double)(limit._at - at) * 1e-9 * rate;
        cr_assert_geq(before, tokens * (1 - 1e-12), "R252");
        granted++;
    }
    return 0;
}

Test(rate_limit, nothing_is_granted_a_nanosecond_early)
{
    run_with(1, not_early, NULL);
}

static int set_rates(void *arg)
{
    lw_rate_limit limit;
    struct wish much = {&limit, 100, 0}, more = {&limit, 1000, 0};
    lw_task first, second;

    (void)arg;
    cr_assert_eq(lw_rate_limit_init(&limit, NULL, 1e-9, 100, 0), 0);
    drain(&limit);
    first = start_waiter(wish, &much);
    second = start_waiter(wish, &more);
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 0), 0);
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 999), 0);
    cr_assert_eq(join_status(first), 0, "R257");
    cr_assert(is_waiting(second), "R250: above the capacity, too");
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 1e7), 0);
    cr_assert_eq(join_status(second), 0, "R250, R256, R257: it was raised");
    return 0;
}

Test(rate_limit, a_new_rate_holds_for_those_who_wait)
{
    run_all(set_rates, NULL);
}

/* Rates and amounts of all sizes: each wait for time comes to an end. */
static int sizes(void *arg)
{
    static const double tokens[] = {1e-300, 1e-9, 1.0 / 3, 0.9999999999999999, 1e9, 1e17, 1e300};

    (void)arg;
    for (unsigned i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        lw_rate_limit limit;

        cr_assert_eq(lw_rate_limit_init(&limit, NULL, tokens[i] * 1e5, tokens[i] * 3, 0), 0);
        drain(&limit);
        for (int j = 0; j < 5; j++)
            cr_assert_eq(lw_rate_limit_acquire(&limit, tokens[i], LW_FOREVER), 0);
        cr_assert_leq(lw_rate_limit_tokens(&limit), lw_rate_limit_capacity(&limit));
        cr_assert_eq(lw_rate_limit_init(&limit, NULL, tokens[i] * 1e-300, tokens[i], 0), 0);
        drain(&limit);
        cr_assert_eq(lw_rate_limit_acquire(&limit, tokens[i], lw_in(LW_US)), -ETIMEDOUT,
                     "never, or not in this life");
    }
    return 0;
}

Test(rate_limit, rates_and_amounts_of_all_sizes)
{
    run_all(sizes, NULL);
}
