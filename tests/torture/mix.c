/* SPDX-License-Identifier: MIT */
/* Everything at once: trees of tasks that are spawned in each way, wait in each way, are cancelled,
 * shielded, woken from tasks and threads.
 *
 * What must hold: whatever was spawned ran once; a join gives what its task returned; a wake that
 * was counted was one wait that was granted. */
#include "tests/torture/torture.h"

enum { SPAWNED = 1, RAN, WOKEN, GRANTED, TIMEDOUT, CANCELLED, JOINED };
enum { WORDS = 8, DEPTH = 5, HANDLES = 64 };

static uint32_t words[WORDS];
static lw_task handles[HANDLES]; /* of whoever wrote last: stale or not, all may be cancelled */

static int wait_somehow(uint64_t *random)
{
    uint64_t number = draw(random);
    lw_nsec deadline = lw_in((lw_nsec)(number >> 44));
    int err;

    if (number % 5 == 0)
        return lw_sleep(deadline);
    if (number % 5 == 1) {
        lw_yield();
        return 0;
    }
    err = lw_futex_wait(&words[(number >> 8) % WORDS], 0, deadline);
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a wait returned %d", err);
    torture_add(err == 0 ? GRANTED : err == -ETIMEDOUT ? TIMEDOUT : CANCELLED, 1);
    return err;
}

static void disturb(uint64_t *random)
{
    uint64_t number = draw(random);
    lw_task task = {lw_load_rlx(&handles[(number >> 8) % HANDLES].id)};

    if (number % 3 == 0)
        (void)lw_cancel(task);
    else
        torture_add(BROKEN(1, random, 1000) ? OPERATIONS : WOKEN,
                    lw_futex_wake(&words[(number >> 8) % WORDS], (uint32_t)(number >> 60)));
}

static int node(void *arg);

/* Children that are joined one by one, with deadlines and cancels on the way. */
static void join_children(intptr_t depth, unsigned children, uint64_t *random)
{
    lw_task tasks[4];
    unsigned spawned = 0;

    while (spawned < children && lw_spawn(&tasks[spawned], node, (void *)(depth - 1), NULL) == 0) {
        torture_add(SPAWNED, 1);
        lw_store_rlx(&handles[draw(random) % HANDLES].id, tasks[spawned].id);
        spawned++;
    }
    for (unsigned i = 0; i < spawned; i++) {
        int status = 0, err;

        do
            err =
                lw_join(tasks[i], &status,
                        draw(random) % 4 != 0 ? LW_FOREVER : lw_in((lw_nsec)(draw(random) >> 44)));
        while (err == -ETIMEDOUT || err == -ECANCELED);
        CHECK(err == 0, "a join returned %d", err);
        CHECK(status == (int)depth - 1 + 100, "a join gave %d", status);
        torture_add(JOINED, 1);
    }
}

static void group_children(intptr_t depth, unsigned children, uint64_t *random)
{
    lw_group group = LW_GROUP_INIT(draw(random) % 4 == 0 ? LW_GROUP_CANCEL_AT_END : 0);
    int err;

    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (unsigned i = 0; i < children; i++)
            if (lw_group_spawn(&group, node, (void *)(depth - 1), NULL) == 0)
                torture_add(SPAWNED, 1);
        if (draw(random) % 3 == 0)
            err = lw_group_wait(&group, lw_in((lw_nsec)(draw(random) >> 44)));
        else if (draw(random) % 4 == 0)
            err = -EIO;
    }
    CHECK(lw_group_running(&group) == 0, "children outlive their group");
}

static int node(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    uint64_t random = torture_stream(), number = draw(&random);
    unsigned children = depth > 0 ? (unsigned)(number >> 8) % 5 : 0;

    torture_add(RAN, 1);
    torture_add(OPERATIONS, 1);
    if (number % 7 == 0)
        LW_SHIELD()
            CHECK(wait_somehow(&random) != -ECANCELED, "a cancel came into a shield");
    else if (number % 2 == 0)
        (void)wait_somehow(&random);
    if (number % 3 != 0)
        disturb(&random);
    if (children > 4)
        children = 4;
    if (number % 5 < 2)
        join_children(depth, children, &random);
    else
        group_children(depth, children, &random);
    if (number % 11 == 0 && depth > 0 && lw_spawn(NULL, node, (void *)(depth - 1), NULL) == 0)
        torture_add(SPAWNED, 1);
    return (int)depth + 100;
}

/* The tasks plant trees, the guests disturb. */
static bool act(struct actor *actor)
{
    if (actor->index < torture.tasks) {
        join_children(DEPTH, 4, &actor->random);
    } else {
        disturb(&actor->random);
        if (draw(&actor->random) % 8 == 0)
            (void)wait_somehow(&actor->random);
    }
    return !torture_over();
}

static void check(void)
{
    CHECK(torture_sum(SPAWNED) == torture_sum(RAN), "%llu were spawned, %llu ran",
          ull(torture_sum(SPAWNED)), ull(torture_sum(RAN)));
    CHECK(torture_sum(WOKEN) == torture_sum(GRANTED), "%llu wakes, %llu grants",
          ull(torture_sum(WOKEN)), ull(torture_sum(GRANTED)));
}

static void report(void)
{
    (void)printf("%llu tasks, %llu joins, %llu wakes = grants, %llu timeouts, %llu cancelled",
                 ull(torture_total(RAN)), ull(torture_total(JOINED)), ull(torture_total(GRANTED)),
                 ull(torture_total(TIMEDOUT)), ull(torture_total(CANCELLED)));
}

const struct torture torture = {
    .name = "mix",
    .tasks = 2,
    .guests = 2,
    .act = act,
    .check = check,
    .report = report,
};
