/* SPDX-License-Identifier: MIT */
/* Rate limits in one task, on a clock that is exact: what time brings is credited once, at the rate
 * of its time, and no rounding keeps anybody from it. */
#include "runtime/wait.h"
#include "tests/sim/explore.h"

TestSuite(rate_limit_numbers, .init = watchdog);

static int numbers(void *arg)
{
    lw_rate_limit limit;
    lw_nsec moment;

    (void)arg;
    LW_SIM_CHECK(lw_rate_limit_init(&limit, "limit", 10, 4, 0) == 0);
    LW_SIM_CHECK(lw_rate_limit_acquire(&limit, 4, LW_NOW) == 0);
    moment = limit._at;
    LW_SIM_CHECK(lw_rate_limit_locked(&limit)); /* R258 */
    LW_SIM_CHECK(lw_sleep(moment + 200 * LW_MS) == 0);
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) >= 2); /* R259: though nobody waits */
    LW_SIM_CHECK(!lw_rate_limit_locked(&limit));
    LW_SIM_CHECK(lw_rate_limit_set_rate(&limit, 0) == 0);
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) >= 2); /* R255: at the old rate */
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) < 2.5);
    LW_SIM_CHECK(lw_rate_limit_acquire(&limit, 2, LW_NOW) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(LW_SEC)) == 0);
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) < 0.5); /* frozen */
    LW_SIM_CHECK(lw_rate_limit_set_rate(&limit, 3) == 0);
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) < 0.5); /* R255: not at the new one */
    LW_SIM_CHECK(lw_sleep(lw_in(1000 * LW_SEC)) == 0);
    LW_SIM_CHECK(lw_rate_limit_tokens(&limit) == 4); /* R252, R259, R261 */
    LW_SIM_CHECK(lw_rate_limit_acquire(&limit, 4, LW_NOW) == 0);
    /* Due at its deadline is in time. */
    LW_SIM_CHECK(lw_rate_limit_acquire(&limit, 3, limit._at + LW_SEC) == 0);
    LW_SIM_CHECK(lw_rate_limit_acquire(&limit, 3, limit._at + LW_SEC - 1) == -ETIMEDOUT ||
                 limit._tokens > 0);
    return 0;
}

Test(rate_limit_numbers, r255_r259_time_is_credited_once_at_the_rate_of_its_time)
{
    sim_some(numbers, NULL, 4);
}

static uint64_t waits_so_far(void)
{
    return lw_load_rlx(&lw_record_cold(lw_current())->wait) >> LW_STATE_BITS;
}

/* Whatever rounding does: who waits for an amount has it after one sleep, and at no nanosecond
 * before it is there; of waits that are not too long to be simulated. */
static int odd_numbers(void *arg)
{
    static const double odd[] = {1.0 / 3, 0.1, 7e-5, 123456.789, 0.7, 3, 7e8, 1e-12};
    double tokens = odd[sim_choose(8)], rate = odd[sim_choose(8)];
    lw_rate_limit limit;

    (void)arg;
    LW_SIM_CHECK(lw_rate_limit_init(&limit, "limit", rate, tokens * (1 + sim_choose(3)), 0) == 0);
    if (tokens / rate > 1000)
        return 0;
    for (int i = 0; i < 4; i++) {
        double before = limit._tokens;
        lw_nsec at = limit._at;
        uint64_t waits = waits_so_far();

        LW_SIM_CHECK(lw_rate_limit_acquire(&limit, tokens, LW_FOREVER) == 0);
        before += (double)(limit._at - at) / (double)LW_SEC * rate;
        LW_SIM_CHECK(before >= tokens * (1 - 1e-15) && waits_so_far() <= waits + 1);
    }
    return 0;
}

Test(rate_limit_numbers, no_rounding_keeps_a_waiter_from_its_tokens)
{
    sim_some(odd_numbers, NULL, 2);
}
