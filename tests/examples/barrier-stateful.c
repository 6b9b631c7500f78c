/* SPDX-License-Identifier: MIT */
/* Four tasks each find the best of their own numbers, meet, and get what the others have found: so
 * all know the best of all, without a place of their own to collect it in. */
#include <latchwork.h>
#include <stdio.h>

enum { PARTIES = 4, EACH = 25 };

static void *room[PARTIES];
static lw_stateful_barrier met;

struct party {
    int first, best, best_of_all;
};

/* Numbers without an order that one could see. */
static int number(int i) { return i * 37 % 101; }

static int search(void *arg)
{
    void *bests[PARTIES];
    lw_barrier_states found = { .states = bests, .states_max = PARTIES };
    struct party *me = arg;
    void *state = &me->best;
    int err;

    for (int i = me->first; i < me->first + EACH; i++)
        if (number(i) > me->best)
            me->best = number(i);
    err = lw_stateful_barrier_wait(&met, &state, &found, LW_FOREVER);
    for (uint32_t i = 0; err == 0 && i < found.count; i++)
        if (*(const int *)bests[i] > me->best_of_all)
            me->best_of_all = *(const int *)bests[i];
    return err;
}

static int run(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    struct party parties[PARTIES] = { { 0, 0, 0 } };
    int err;

    (void)arg;
    err = lw_stateful_barrier_init(&met, "met", PARTIES, room, PARTIES, 0);
    if (err < 0)
        return err;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < PARTIES && err == 0; i++) {
            parties[i].first = i * EACH;
            err = lw_group_spawn(&group, search, &parties[i], NULL);
        }
    for (int i = 0; i < PARTIES; i++)
        printf("%d found %d, knows %d\n", i, parties[i].best, parties[i].best_of_all);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     0 found 97, knows 100
 *     1 found 100, knows 100
 *     2 found 99, knows 100
 *     3 found 98, knows 100
 */
