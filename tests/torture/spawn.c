/* SPDX-License-Identifier: MIT */
/* What was spawned runs, once, and what was refused does not: trees of tasks, joined or detached,
 * from tasks and plain threads, with memory that fails now and then.
 *
 * Memory fails only inside lw_spawn(), which never switches; so a thread-local flag says when. */
#include "tests/torture/torture.h"

#include <sys/mman.h>

#include "runtime/os/os.h"

enum { SPAWNED = 1, RAN, REFUSED };
enum { DEPTH = 5, CHILDREN = 4, BURST_MAX = 10000, LIVE_MAX = 20000 };

static __thread bool failing; /* of all tasks of a thread: TSan takes them for threads */
static struct lw_sys real;
static uint64_t live; /* about so many tasks have not ended */

static void *failing_calloc(size_t number, size_t size)
{
    return lw_load_rlx(&failing) ? NULL : real.calloc(number, size);
}

static void *failing_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!lw_load_rlx(&failing))
        return real.mmap(at, size, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static int failing_mprotect(void *at, size_t size, int protection)
{
    if (!lw_load_rlx(&failing))
        return real.mprotect(at, size, protection);
    errno = ENOMEM;
    return -1;
}

static void setup(void)
{
    if (real.calloc != NULL)
        return;
    real = lw_sys;
    lw_sys.calloc = failing_calloc;
    lw_sys.mmap = failing_mmap;
    lw_sys.mprotect = failing_mprotect;
}

static LW_NOINLINE int spawn(lw_task *task, lw_fn *fn, intptr_t depth, uint64_t *random)
{
    int err;

    lw_store_rlx(&failing, draw(random) % 4 == 0);
    err = lw_spawn(task, fn, (void *)depth, NULL);
    lw_store_rlx(&failing, false);
    CHECK(err == 0 || err == -ENOMEM || err == -ESHUTDOWN, "a spawn returned %d", err);
    if (err == 0) {
        torture_add(SPAWNED, 1);
        (void)lw_add_rlx(&live, 1);
    } else {
        torture_add(REFUSED, 1);
    }
    return err;
}

static int node(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    uint64_t random = torture_stream(), number = draw(&random);
    uint64_t children = depth > 0 ? number % (CHILDREN + 1) : 0;
    lw_task tasks[CHILDREN];
    bool joined[CHILDREN];

    torture_add(RAN, BROKEN(1, &random, 1000) ? 0 : 1);
    torture_add(OPERATIONS, 1);
    for (uint64_t i = 0; i < children; i++) {
        joined[i] = draw(&random) % 2 == 0;
        joined[i] = spawn(joined[i] ? &tasks[i] : NULL, node, depth - 1, &random) == 0 && joined[i];
    }
    if (number >> 61 == 0)
        lw_yield();
    for (uint64_t i = 0; i < children; i++) {
        int status = 0, err = joined[i] ? -ECANCELED : 0;

        while (err == -ECANCELED) /* the runtime stops */
            err = lw_join(tasks[i], &status, LW_FOREVER);
        CHECK(err == 0, "a join returned %d", err);
        CHECK(!joined[i] || status == (int)depth, "a join gave %d", status);
    }
    (void)lw_add_rlx(&live, (uint64_t)-1);
    return (int)depth + 1;
}

/* Spawns trees, a burst of detached tasks now and then, and memory is given back to be got again.
 */
static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    lw_task task;

    if (lw_load_rlx(&live) > LIVE_MAX) {
        (void)!lw_sleep(lw_in(LW_MS));
    } else if (number % 256 == 0) {
        for (uint64_t i = (number >> 16) % BURST_MAX; i > 0; i--)
            (void)spawn(NULL, node, 0, &actor->random);
    } else if (number % 1024 == 1) {
        lw_trim();
    } else if (spawn(&task, node, DEPTH, &actor->random) == 0) {
        CHECK((number % 2 == 0 ? lw_detach(task) : lw_join(task, NULL, LW_FOREVER)) == 0,
              "a root could not be let go of");
    }
    return !torture_over();
}

static void check(void)
{
    CHECK(torture_sum(SPAWNED) == torture_sum(RAN), "%llu were spawned, %llu ran",
          ull(torture_sum(SPAWNED)), ull(torture_sum(RAN)));
    CHECK(lw_load_rlx(&live) == 0, "%llu live on", ull(live));
}

static void report(void)
{
    (void)printf("%llu spawned, %llu ran, %llu spawns refused", ull(torture_total(SPAWNED)),
                 ull(torture_total(RAN)), ull(torture_total(REFUSED)));
}

const struct torture torture = {
    .name = "spawn",
    .tasks = 4,
    .guests = 3,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
