/* SPDX-License-Identifier: MIT */
/* Who is let in, and how often: a throttle lets in no more than its rate and loses no exit; a
 * breaker runs what it says it ran, and is not stuck afterwards.
 *
 * Throttles have a gap of 20 us, and more who want in than that.  The breakers' clock is moved by
 * the actors, so that they open and close all the time. */
#include "tests/torture/torture.h"

enum { ENTERED = 1, TIMEDOUT, CANCELLED, FAILED, RAN, ENDED, REFUSED, INSIDE /* by throttle */ };
enum { THROTTLES = 3, BREAKERS = 3, RESET = 100 };

#define GAP (20 * LW_US)

static lw_throttle throttles[THROTTLES];
static lw_breaker breakers[BREAKERS];
static lw_nsec begun, breakers_now;

static lw_nsec read_clock(void)
{
    return lw_load_rlx(&breakers_now);
}

static void setup(void)
{
    lw_throttle_options spaced = {.rate_max = 50000, .window = UINT32_MAX, .jitter = -1};
    lw_breaker_options quick = {.reset_after = RESET, .trials_max = 2, .now = read_clock};
    int err = 0;

    breakers_now = 0;
    for (int i = 0; i < THROTTLES && err == 0; i++)
        err = lw_throttle_init(&throttles[i], "throttle", 50000, &spaced);
    for (int i = 0; i < BREAKERS && err == 0; i++)
        err = lw_breaker_init(&breakers[i], "breaker", &quick);
    CHECK(err == 0, "an init returned %d", err);
    begun = lw_now();
}

static void pass_throttle(struct actor *actor)
{
    int which = (int)(draw(&actor->random) % THROTTLES);
    bool skip = BROKEN(1, &actor->random, 1), fails = draw(&actor->random) % 4 == 0;
    int err = skip ? 0 : lw_throttle_enter(&throttles[which], draw_deadline(&actor->random));

    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "an entry returned %d", err);
    count(actor, err == 0 ? ENTERED : err == -ETIMEDOUT ? TIMEDOUT : CANCELLED, 1);
    if (err < 0)
        return;
    count(actor, INSIDE + which, 1);
    count(actor, FAILED, fails);
    if (!BROKEN(2, &actor->random, 1000))
        lw_throttle_exit(&throttles[which], fails ? -EIO : 0);
}

static int serve(void *arg)
{
    static const int statuses[] = {0, 0, -EIO, -EIO, -ECANCELED, -ESHUTDOWN};
    struct actor *actor = arg;
    uint64_t number = draw(&actor->random);

    count(actor, RAN, 1);
    if (number % 16 == 0)
        give_way();
    return statuses[(number >> 8) % 6];
}

static void call_breaker(struct actor *actor)
{
    int which = (int)(draw(&actor->random) % BREAKERS);
    int err = lw_breaker_call(&breakers[which], serve, actor, NULL);

    if (BROKEN(3, &actor->random, 1000))
        err = -EBUSY;
    count(actor, err == -EHOSTDOWN || err == -EBUSY ? REFUSED : ENDED, 1);
    (void)lw_add_rlx(&breakers_now, (lw_nsec)(draw(&actor->random) % RESET));
}

static bool act(struct actor *actor)
{
    if (draw(&actor->random) % 8 == 0)
        pass_throttle(actor);
    else
        call_breaker(actor);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 16 == 0)
        give_way();
    return !torture_over();
}

static int succeed(void *arg)
{
    (void)arg;
    return 0;
}

static void check(void)
{
    uint64_t most = (uint64_t)(lw_now() - begun) / GAP + 1, exits = 0, failed = 0;

    for (int i = 0; i < THROTTLES; i++) {
        uint32_t successes, failures;

        lw_throttle_counts(&throttles[i], &successes, &failures);
        exits += successes + failures;
        failed += failures;
        CHECK(torture_sum(INSIDE + i) <= most, "%llu entered, where %llu may",
              ull(torture_sum(INSIDE + i)), ull(most));
    }
    CHECK(exits == torture_sum(ENTERED) && failed <= torture_sum(FAILED), "%llu exits of %llu",
          ull(exits), ull(torture_sum(ENTERED)));
    CHECK(torture_sum(RAN) == torture_sum(ENDED), "%llu calls ran, %llu are told of",
          ull(torture_sum(RAN)), ull(torture_sum(ENDED)));
    breakers_now += RESET + 1;
    for (int i = 0; i < BREAKERS; i++) {
        int err = lw_breaker_call(&breakers[i], succeed, NULL, NULL);

        CHECK(err == 0, "a breaker is stuck: %d", err);
        CHECK(lw_breaker_read(&breakers[i]) == LW_BREAKER_CLOSED, "a breaker did not close");
    }
}

static void report(void)
{
    (void)printf("%llu entered, %llu timeouts, %llu cancelled; %llu calls ran, %llu refused",
                 ull(torture_total(ENTERED)), ull(torture_total(TIMEDOUT)),
                 ull(torture_total(CANCELLED)), ull(torture_total(RAN)),
                 ull(torture_total(REFUSED)));
}

const struct torture torture = {
    .name = "admission",
    .tasks = 24,
    .guests = 3,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
