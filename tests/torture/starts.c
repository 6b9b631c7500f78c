/* SPDX-License-Identifier: MIT */
/* Runtimes start and stop, several at a time, while their tasks wait, hold locks and spawn more:
 * who was spawned ran to its end before the stop said 0, and wakes and locks reach across.
 *
 * Plain threads, and tasks of the lap's own runtime, start them; their tasks meet at words and a
 * mutex that all share. */
#include "tests/torture/torture.h"

enum { STARTED = 1, SPAWNED, WOKEN, AWOKEN, PLAIN, LATE };
enum { WORDS = 4, CHILDREN = 12 };

static uint32_t words[WORDS];
static lw_mutex mutex;
static uint64_t plain; /* under the mutex */

struct world {
    lw_runtime *runtime;
    uint64_t spawned, ran;
};

static int spawn(struct world *world, lw_fn *fn)
{
    lw_task_options options = {.runtime = world->runtime};
    int err = lw_spawn(NULL, fn, world, &options);

    CHECK(err == 0 || err == -ESHUTDOWN, "a spawn returned %d", err);
    if (err == 0)
        (void)lw_add_rlx(&world->spawned, 1);
    else
        torture_add(LATE, 1);
    return err;
}

/* Goes on as another task until the runtime takes no more, or by chance. */
static int spore(void *arg)
{
    struct world *world = arg;
    uint64_t random = torture_stream(), number = draw(&random);
    uint32_t *word = &words[(number >> 8) % WORDS];
    int err;

    switch (number % 5) {
    case 0:
        err = lw_futex_wait(word, 0, (number & 32) != 0 ? LW_FOREVER : lw_in(100 * LW_US));
        CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a wait returned %d", err);
        torture_add(AWOKEN, err == 0);
        break;
    case 1:
        torture_add(WOKEN, lw_futex_wake(word, 2));
        break;
    case 2:
        LW_WITH(&mutex.lock, LW_FOREVER, err) {
            plain++;
            torture_add(PLAIN, 1);
            if (number >> 60 == 0)
                lw_yield();
        }
        break;
    case 3:
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 40) % (200 * LW_US)));
        break;
    default:
        lw_yield();
    }
    if (draw(&random) % 4 != 0)
        (void)spawn(world, spore);
    torture_add(OPERATIONS, 1);
    (void)lw_add_rlx(&world->ran, BROKEN(1, &random, 1000) ? UINT64_C(0) : UINT64_C(1));
    return 0;
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    lw_options options = {.name = "world", .workers = (unsigned)(number % 4) + 1};
    struct world world = {.spawned = 0};
    int err = lw_start(&world.runtime, &options);

    CHECK(err == 0, "a start returned %d", err);
    for (uint64_t i = (number >> 8) % CHILDREN; i > 0; i--)
        (void)spawn(&world, spore);
    if (number % 3 != 0)
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 16) % LW_MS));
    do
        err = lw_stop(world.runtime, (number >> 32) % 8 == 0 ? lw_in(100 * LW_MS) : LW_FOREVER);
    while (err > 0 || err == -ECANCELED);
    CHECK(err == 0, "a stop returned %d", err);
    CHECK(world.spawned == world.ran, "%llu were spawned, %llu ran", ull(world.spawned),
          ull(world.ran));
    count(actor, STARTED, 1);
    count(actor, SPAWNED, world.spawned);
    return !torture_over();
}

static void check(void)
{
    CHECK(torture_sum(WOKEN) == torture_sum(AWOKEN), "%llu were woken, %llu awoke",
          ull(torture_sum(WOKEN)), ull(torture_sum(AWOKEN)));
    CHECK(plain == torture_total(PLAIN) + torture_sum(PLAIN), "counted to %llu by %llu", ull(plain),
          ull(torture_total(PLAIN) + torture_sum(PLAIN)));
}

static void report(void)
{
    (void)printf(
        "%llu runtimes, %llu tasks spawned and run, %llu wakes = grants, "
        "%llu spawns too late",
        ull(torture_total(STARTED)), ull(torture_total(SPAWNED)), ull(torture_total(WOKEN)),
        ull(torture_total(LATE)));
}

const struct torture torture = {
    .name = "starts",
    .tasks = 2,
    .guests = 3,
    .act = act,
    .check = check,
    .report = report,
};
