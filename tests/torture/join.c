/* SPDX-License-Identifier: MIT */
/* A task is let go of once: by one join, or by one detach, whoever and how many try.
 *
 * Tasks and plain threads spawn children and publish the handles; all join, detach and cancel any
 * of them, with any deadline, also long after they have gone.  Each child that was spawned ran, and
 * was either joined, with the status that it returned, or detached.  Children of groups have all
 * ended when their scope has. */
#include "tests/torture/torture.h"

enum { SPAWNED = 1, RAN, JOINED, DETACHED, GROUPED, STOLEN };
enum { HANDLES = 64, CHILDREN = 8 };

static lw_task handles[HANDLES];

/* A status shows by itself that it is one that a child returned. */
static int status_of(uint64_t number)
{
    uint64_t value = number >> 8 & 0xffff;

    return (int)(value << 8 | (draw(&value) & 0xff));
}

static bool is_status(int status)
{
    return status_of((uint64_t)(unsigned)status) == status;
}

static bool waits_for_cancel(uint64_t number)
{
    return number % 8 == 0;
}

static int child(void *arg)
{
    uint64_t number = (uint64_t)(uintptr_t)arg;

    if (waits_for_cancel(number))
        (void)!lw_sleep(LW_FOREVER);
    else if (number % 8 < 3)
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 32) % (100 * LW_US)));
    else if (number % 8 < 5)
        lw_yield();
    torture_add(RAN, 1);
    return status_of(number);
}

static void meddle(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    lw_task task = {lw_load_rlx(&handles[(number >> 8) % HANDLES].id)};
    lw_nsec deadline = draw_deadline(&actor->random);
    int status = 0;

    if (task.id == 0)
        return;
    if (number % 8 == 0) {
        if (lw_detach(task) == 0)
            count(actor, DETACHED, 1);
    } else if (number % 8 < 3) {
        (void)lw_cancel(task);
    } else if (lw_join(task, &status, deadline == LW_FOREVER ? lw_in(50 * LW_US) : deadline) == 0) {
        CHECK(is_status(status), "a join gave %d", status);
        count(actor, JOINED, 1);
        count(actor, STOLEN, 1);
    }
}

/* Joins or detaches until it is sure that somebody has. */
static void let_go(struct actor *actor, lw_task task, uint64_t number)
{
    int status = 0, err;

    if (waits_for_cancel(number))
        (void)lw_cancel(task);
    if (BROKEN(1, &actor->random, 1000))
        return;
    if (draw(&actor->random) % 4 == 0 && lw_detach(task) == 0) {
        count(actor, DETACHED, 1);
        return;
    }
    do {
        err = lw_join(task, &status, draw_deadline(&actor->random));
        if (err == -EBUSY)
            give_way();
    } while (err == -ETIMEDOUT || err == -ECANCELED || err == -EBUSY);
    CHECK(err == 0 || err == -ESRCH || err == -EINVAL, "a join returned %d", err);
    if (err != 0)
        return;
    count(actor, JOINED, 1);
    CHECK(status == status_of(number), "a join gave %d instead of %d", status, status_of(number));
    CHECK(lw_join(task, NULL, LW_NOW) == -ESRCH, "joined twice");
    CHECK(lw_detach(task) == -ESRCH, "joined and detached");
    CHECK(lw_cancel(task) == -ESRCH, "joined and cancelled");
}

static void spawn_and_let_go(struct actor *actor)
{
    int children = (int)(draw(&actor->random) % CHILDREN) + 1;
    uint64_t numbers[CHILDREN];
    lw_task tasks[CHILDREN];

    for (int i = 0; i < children; i++) {
        numbers[i] = draw(&actor->random);
        CHECK(lw_spawn(&tasks[i], child, (void *)(uintptr_t)numbers[i], NULL) == 0, "no task");
        count(actor, SPAWNED, 1);
        lw_store_rlx(&handles[draw(&actor->random) % HANDLES].id, tasks[i].id);
    }
    for (int i = 0; i < children; i++)
        let_go(actor, tasks[i], numbers[i]);
}

struct family {
    lw_group group;
    uint32_t ended; /* with the group, so on the stack */
};

static int member(void *arg)
{
    struct family *family = arg;
    uint64_t random = torture_stream(), number = draw(&random);
    bool more = number % 3 == 0 && lw_group_spawn(&family->group, member, family, NULL) == 0;

    if (number % 16 < 4)
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 8) % (100 * LW_US)));
    (void)lw_add_acq_rel(&family->ended, more ? UINT32_C(0) : UINT32_C(1));
    return number % 16 == 5 ? -EIO : 0;
}

/* A child that spawns another does not count, so each child of ours is one that ended. */
static void group_them(struct actor *actor)
{
    struct family family = {LW_GROUP_INIT(LW_GROUP_FAIL_FAST), 0};
    uint32_t children = (uint32_t)(draw(&actor->random) % CHILDREN);
    int err;

    LW_SCOPE(&family.group.scope, LW_FOREVER, err)
        for (uint32_t i = 0; i < children; i++)
            CHECK(lw_group_spawn(&family.group, member, &family, NULL) == 0, "no child");
    CHECK(err == 0 || err == -EIO, "a group gave %d", err);
    CHECK(lw_load_acq(&family.ended) == children, "%u of %u have ended", family.ended, children);
    CHECK(lw_group_running(&family.group) == 0, "children outlive their group");
    count(actor, GROUPED, children);
}

static bool act(struct actor *actor)
{
    if (draw(&actor->random) % 4 == 0)
        group_them(actor);
    else
        spawn_and_let_go(actor);
    for (uint64_t i = draw(&actor->random) % 16; i > 0; i--)
        meddle(actor);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void check(void)
{
    CHECK(torture_sum(SPAWNED) == torture_sum(RAN), "%llu were spawned, %llu ran",
          ull(torture_sum(SPAWNED)), ull(torture_sum(RAN)));
    CHECK(torture_sum(SPAWNED) == torture_sum(JOINED) + torture_sum(DETACHED),
          "%llu were spawned, %llu joined, %llu detached", ull(torture_sum(SPAWNED)),
          ull(torture_sum(JOINED)), ull(torture_sum(DETACHED)));
}

static void report(void)
{
    (void)printf("%llu spawned = %llu joined + %llu detached, %llu joins by others, %llu in groups",
                 ull(torture_total(SPAWNED)), ull(torture_total(JOINED)),
                 ull(torture_total(DETACHED)), ull(torture_total(STOLEN)),
                 ull(torture_total(GROUPED)));
}

const struct torture torture = {
    .name = "join",
    .tasks = 12,
    .guests = 3,
    .cancels = true,
    .act = act,
    .check = check,
    .report = report,
};
