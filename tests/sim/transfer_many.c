/* SPDX-License-Identifier: MIT */
/* Holds that are handed to one task from two sides at once, in many schedules: it has each of them
 * once, also where there is no memory to note them. */
#include <sys/mman.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"
#include "tests/sim/explore.h"

TestSuite(transfer_many, .init = watchdog);

/* ---- from two sides at once, while what was handed before becomes holds */

enum { HANDED = 4 };

static struct {
    lw_mutex mutexes[HANDED];
    lw_task heir;
    bool ready;
} many;

static int hand_two(void *arg)
{
    for (int i = (int)(uintptr_t)arg; i < HANDED; i += 2) {
        LW_SIM_CHECK(lw_mutex_acquire(&many.mutexes[i], LW_NOW) == 0);
        LW_SIM_CHECK(lw_transfer(&many.mutexes[i].lock, many.heir) == 0);
    }
    return 0;
}

static int take_all(void *arg)
{
    int left = HANDED;
    bool had[HANDED] = {false};

    (void)arg;
    while (left > 0) {
        for (int i = 0; i < HANDED; i++) {
            lw_lock *lock = &many.mutexes[i].lock;

            if (had[i] || !lw_owned(lock))
                continue;
            had[i] = true;
            left--;
            if (sim_choose(2) == 1) /* hereby all become holds */
                LW_SIM_CHECK(lw_transfer(lock, lw_self()) == 0);
            LW_SIM_CHECK(lw_release(lock) == 0);
        }
        lw_yield();
    }
    LW_SIM_CHECK(lw_record_cold(lw_current())->nheld == 0);
    return 0;
}

static int hand_from_two_sides(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    memset(&many, 0, sizeof many);
    many.heir = start(take_all, NULL);
    for (uintptr_t i = 0; i < 2; i++)
        tasks[i] = start(hand_two, (void *)i);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(many.heir) == 0);
    for (int i = 0; i < HANDED; i++)
        LW_SIM_CHECK(!lw_mutex_locked(&many.mutexes[i]));
    return 0;
}

Test(transfer_many, what_comes_from_all_sides_is_had_once)
{
    sim_all(hand_from_two_sides, NULL);
}

/* The same when there is no memory for a hold more: what cannot become one stays where it is. */

enum { FULL = 3, CHUNKS = 64, LAPS = 6 }; /* holds in a record; chunks in a slab */

static void *no_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    (void)at, (void)size, (void)prot, (void)flags, (void)fd, (void)offset;
    errno = ENOMEM;
    return MAP_FAILED;
}

static int hand_one(void *arg)
{
    lw_mutex *its = arg;
    int err;

    UNTIL(many.ready);
    for (int i = 0; i < LAPS; i++) {
        LW_SIM_CHECK(lw_mutex_acquire(its, LW_FOREVER) == 0);
        while ((err = lw_transfer(&its->lock, many.heir)) == -ENOMEM)
            lw_yield();
        LW_SIM_CHECK(err == 0);
    }
    return 0;
}

static int hand_what_cannot_be_noted(void *arg)
{
    void *(*mmap_before)(void *, size_t, int, int, int, off_t) = lw_sys.mmap;
    lw_mutex own[FULL] = {{{0}}};
    void *chunks[CHUNKS - 2];
    lw_task tasks[2];

    (void)arg;
    memset(&many, 0, sizeof many);
    many.heir = lw_self();
    for (int i = 0; i < CHUNKS - 2; i++)
        LW_SIM_CHECK((chunks[i] = lw_hold_chunk_take()) != NULL);
    for (int i = 0; i < 2; i++)
        tasks[i] = start(hand_one, &many.mutexes[i]);
    lw_sys.mmap = no_mmap;
    for (int i = 0; i < FULL; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&own[i], LW_NOW) == 0);
    many.ready = true;
    for (int left = 2 * LAPS; left > 0;) {
        for (int i = 0; i < 2; i++) {
            LW_SIM_CHECK(lw_transfer(&own[0].lock, lw_self()) == 0); /* tries to note them */
            if (!lw_owned(&many.mutexes[i].lock))
                continue;
            LW_SIM_CHECK(lw_mutex_release(&many.mutexes[i]) == 0);
            left--;
        }
        if (sim_choose(4) == 0)
            lw_yield();
    }
    for (int i = 0; i < FULL; i++)
        LW_SIM_CHECK(lw_mutex_release(&own[i]) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_record_cold(lw_current())->nheld == 0);
    lw_sys.mmap = mmap_before;
    for (int i = 0; i < CHUNKS - 2; i++)
        lw_hold_chunk_give(chunks[i]);
    return 0;
}

Test(transfer_many, what_cannot_be_noted_is_not_lost)
{
    sim_all(hand_what_cannot_be_noted, NULL);
}
