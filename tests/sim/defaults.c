/* SPDX-License-Identifier: MIT */
/* Defaults of a runtime in many schedules: the first set makes its block, once; who finds it finds
 * it filled; and sets at once leave what one of them has set, the whole of it. */
#include "primitives/defaults.h"
#include "runtime/worker.h"
#include "tests/sim/explore.h"

TestSuite(defaults, .init = watchdog);

enum { SETS = 2, LOOKS = 8 };

static struct {
    void *blocks[2]; /* as each who sets has found it */
    bool looking;
} it;

static void *block_of_the_runtime(void)
{
    return lw_load_acq(&lw_worker_here()->runtime->defaults);
}

static double tokens_of(uintptr_t who, int set)
{
    return (double)(10 * (who + 1)) + set;
}

static int set_some(void *arg)
{
    uintptr_t who = (uintptr_t)arg;
    lw_defaults defaults;

    for (int i = 0; i < SETS; i++) {
        lw_get_defaults(&defaults);
        defaults.rate_limit_tokens = tokens_of(who, i);
        LW_SIM_CHECK(lw_set_defaults(&defaults) == 0);
        if (i == 0)
            it.blocks[who] = block_of_the_runtime();
        LW_SIM_CHECK(it.blocks[who] == block_of_the_runtime());
    }
    return 0;
}

/* Neither waits nor yields, which could order it as well. */
static int look_at_them(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < LOOKS; i++) {
        LW_SIM_CHECK(lw_default_rate_limit_tokens() > 0);
        lw_sim_point();
    }
    for (int i = 0; i < LOOKS; i++) {
        lw_defaults defaults;

        lw_get_defaults(&defaults);
        LW_SIM_CHECK(defaults.rate_limit_tokens > 0 && defaults.breaker.failures_max == 3);
    }
    return 0;
}

static int set_at_once(void *arg)
{
    lw_defaults defaults;
    lw_task tasks[2], looks;

    (void)arg;
    memset(&it, 0, sizeof it);
    looks = start(look_at_them, NULL);
    for (unsigned steps = 4 * sim_choose(8); steps > 0 && !it.looking; steps--)
        lw_sim_point();
    for (uintptr_t i = 0; i < 2; i++)
        tasks[i] = start(set_some, (void *)i);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(looks) == 0);
    lw_get_defaults(&defaults);
    LW_SIM_CHECK(defaults.rate_limit_tokens == tokens_of(0, SETS - 1) ||
                 defaults.rate_limit_tokens == tokens_of(1, SETS - 1));
    LW_SIM_CHECK(lw_default_rate_limit_tokens() == defaults.rate_limit_tokens);
    LW_SIM_CHECK(it.blocks[0] == it.blocks[1] && it.blocks[0] == block_of_the_runtime());
    return 0;
}

Test(defaults, of_sets_at_once_one_makes_the_block_and_one_is_the_last)
{
    sim_all(set_at_once, NULL);
    sim_every(set_at_once, NULL, 1, 100);
}
