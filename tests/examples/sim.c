/* SPDX-License-Identifier: MIT */
/* A test that fails in few orders of events, run in many: the simulator finds one in which a
 * deposit is lost, and has it again, step by step, as often as one likes. */
#include <latchwork.h>
#include <stdio.h>

static int deposit(void *balance)
{
    int seen = *(int *)balance;

    lw_sim_point(); /* here another task may go on, and so in every call of the library */
    *(int *)balance = seen + 10;
    return 0;
}

static int two_deposits(void *arg)
{
    int balance = 0;
    lw_task other;

    (void)arg;
    LW_SIM_CHECK(lw_spawn(&other, deposit, &balance, NULL) == 0);
    LW_SIM_CHECK(deposit(&balance) == 0 && lw_join(other, NULL, LW_FOREVER) == 0);
    LW_SIM_CHECK(balance == 20);
    return 0;
}

int main(void)
{
    lw_sim_options options = { .quiet = true };
    lw_sim_result found, again;
    int verdict = lw_sim_run(&options, two_deposits, NULL, &found);

    printf("%s\n", verdict == LW_SIM_FAILED_CHECK ? "a check failed" : "nothing was found");

    options.seed = found.seed;
    options.schedules = 1;
    verdict = lw_sim_run(&options, two_deposits, NULL, &again);
    printf("again: %s, %s schedule\n", verdict == LW_SIM_FAILED_CHECK ? "yes" : "no",
           again.hash == found.hash ? "the same" : "another");
    return 0;
}

/* It prints
 *
 *     a check failed
 *     again: yes, the same schedule
 */
