/* SPDX-License-Identifier: MIT */
/* Tokens of rate limits: none is made or lost, no more is granted than time brings, and nobody who
 * waits for what time brings is forgotten, whatever the rates do meanwhile.
 *
 * Three limits are frozen, and what was taken of them is given back: one is served in order, one
 * the newest first, one has a refill, that adds nothing.  The fourth is filled by time alone, and
 * most of those who take from it wait for ever. */
#include "tests/torture/torture.h"

enum { ATTEMPTS = 1, GRANTED, TIMEDOUT, CANCELLED, TAKEN };
enum { FROZEN = 3, ROOM = 1000, TOKENS = 7, RATE = 200000 };

static lw_rate_limit frozen[FROZEN], flowing;
static lw_nsec begun;
static uint64_t refills, all_refills; /* plain: the limit's mutex is around them */

static double count_refill(const lw_rate_limit *limit, double tokens, lw_nsec elapsed)
{
    CHECK(tokens >= 0 && tokens <= ROOM && elapsed >= 0, "%g tokens", tokens);
    (void)limit;
    refills++;
    return tokens;
}

static void make(lw_rate_limit *limit, double rate, double capacity, double left, uint32_t flags)
{
    int err = lw_rate_limit_init(limit, "tokens", rate, capacity, flags);

    if (err == 0)
        err = lw_rate_limit_acquire(limit, capacity - left, LW_NOW);
    CHECK(err == 0, "a limit cannot be made: %d", err);
}

static void setup(void)
{
    for (int i = 0; i < FROZEN; i++)
        make(&frozen[i], 0, ROOM, TOKENS, i == 1 ? LW_RATE_LIMIT_UNFAIR : 0);
    frozen[2].refill = count_refill;
    refills = 0;
    begun = lw_now();
    make(&flowing, RATE, RATE, 0.5, torture_lap() % 2);
}

static int take(struct actor *actor, lw_rate_limit *limit, uint64_t tokens, lw_nsec deadline)
{
    int err = lw_rate_limit_acquire(limit, (double)tokens, deadline);

    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "an acquire returned %d", err);
    count(actor, ATTEMPTS, 1);
    count(actor, err == 0 ? GRANTED : err == -ETIMEDOUT ? TIMEDOUT : CANCELLED, 1);
    return err;
}

static void borrow(struct actor *actor, uint64_t number)
{
    lw_rate_limit *limit = &frozen[number % FROZEN];
    uint64_t tokens = 1 + (number >> 8) % 4;

    if (take(actor, limit, tokens, draw_deadline(&actor->random)) != 0)
        return;
    if (number >> 62 == 0)
        give_way();
    if (BROKEN(1, &actor->random, 1000))
        tokens++;
    CHECK(lw_rate_limit_release(limit, (double)tokens) == 0, "a release failed");
}

static void consume(struct actor *actor, uint64_t number)
{
    lw_nsec deadline = number % 4 == 0 ? draw_deadline(&actor->random) : LW_FOREVER;
    uint64_t tokens = 1 + (number >> 8) % 8;

    if (take(actor, &flowing, tokens, deadline) == 0)
        count(actor, TAKEN, BROKEN(2, &actor->random, 10) ? tokens * 1000 : tokens);
    if (number >> 58 == 0)
        CHECK(lw_rate_limit_set_rate(&flowing, RATE / (double)(1 + number % 3)) == 0, "no rate");
    CHECK(lw_rate_limit_tokens(&flowing) <= RATE, "above the capacity");
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);

    if (number % 2 == 0)
        borrow(actor, number / 2);
    else
        consume(actor, number / 2);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void check(void)
{
    double most = 1 + RATE * ((double)(lw_now() - begun) / (double)LW_SEC);

    for (int i = 0; i < FROZEN; i++) {
        double left = lw_rate_limit_tokens(&frozen[i]);

        CHECK(left - TOKENS == 0, "%g tokens of %d are left", left, TOKENS);
        CHECK(frozen[i].lock._queue == NULL, "somebody is still in the queue");
    }
    CHECK(flowing.lock._queue == NULL, "somebody is still in the queue");
    CHECK((double)torture_sum(TAKEN) <= most, "%llu tokens were granted, time brought %g",
          ull(torture_sum(TAKEN)), most);
    CHECK(torture_sum(ATTEMPTS) ==
              torture_sum(GRANTED) + torture_sum(TIMEDOUT) + torture_sum(CANCELLED),
          "attempts and outcomes differ");
    all_refills += refills;
}

static void report(void)
{
    (void)printf("%llu acquires = %llu granted + %llu timed out + %llu cancelled, %llu refills",
                 ull(torture_total(ATTEMPTS)), ull(torture_total(GRANTED)),
                 ull(torture_total(TIMEDOUT)), ull(torture_total(CANCELLED)), ull(all_refills));
}

const struct torture torture = {
    .name = "tokens",
    .tasks = 24,
    .guests = 4,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
