/* SPDX-License-Identifier: MIT */
/* Requests on one connection, answered in any order: each task waits for the number of its own
 * request, and an answer wakes just the one that it is for. */
#include <latchwork.h>
#include <stdio.h>

enum { REQUESTS = 4 };

static lw_keyed_condition pending;
static int answers[REQUESTS];
static bool answered[REQUESTS];

static bool is_answered(void *arg) { return answered[*(const int *)arg]; }

static int request(void *arg)
{
    int id = *(const int *)arg, err;

    LW_WITH(pending.lock, LW_FOREVER, err)
        err = lw_keyed_condition_wait_for(&pending, (uint64_t)id, is_answered, arg, 5 * LW_SEC,
                                          LW_FOREVER);
    return err < 0 ? err : answers[id] == id * 11 ? 0 : -1;
}

static int answer(int id)
{
    int err;

    LW_WITH(pending.lock, LW_FOREVER, err) {
        answers[id] = id * 11;
        answered[id] = true;
        err = lw_keyed_condition_notify(&pending, (uint64_t)id, LW_ALL, 0); /* who waits already */
    }
    return err < 0 ? err : 0;
}

static int run(void *arg)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int ids[REQUESTS], err;

    (void)arg;
    lw_keyed_condition_init(&pending, "pending", NULL);
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (int id = 0; id < REQUESTS && err == 0; id++) {
            ids[id] = id;
            err = lw_group_spawn(&group, request, &ids[id], NULL);
        }
        for (int id = REQUESTS - 1; id >= 0 && err == 0; id--) /* the last one first */
            err = answer(id);
    }
    printf("%s\n", err == 0 ? "each request has its own answer" : "some have not");
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     each request has its own answer
 */
