/* SPDX-License-Identifier: MIT */
/* Heat in a rod, step by step.  Each task computes one part of the next step from all of this one,
 * so all have to be done with a step before one begins the next. */
#include <latchwork.h>
#include <stdio.h>

enum { PARTS = 4, CELLS = 4 * PARTS, STEPS = 200 };

static lw_barrier step = LW_BARRIER_INIT("step", PARTS);
static double rods[2][CELLS];

static int compute(void *arg)
{
    int first = *(const int *)arg * (CELLS / PARTS), err = 0;

    for (int now = 0; now < STEPS && err == 0; now++) {
        const double *rod = rods[now % 2];
        double *next = rods[(now + 1) % 2];

        for (int i = first; i < first + CELLS / PARTS; i++) {
            double left = i > 0 ? rod[i - 1] : 100.0, right = i < CELLS - 1 ? rod[i + 1] : 0.0;

            next[i] = (left + rod[i] + right) / 3.0;
        }
        err = lw_barrier_wait(&step, NULL, LW_FOREVER);
    }
    return err;
}

static int run(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int parts[PARTS], err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < PARTS && err == 0; i++) {
            parts[i] = i;
            err = lw_group_spawn(&group, compute, &parts[i], NULL);
        }
    printf("after %d steps: %.1f in the middle\n", STEPS, rods[STEPS % 2][CELLS / 2]);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     after 200 steps: 40.6 in the middle
 */
