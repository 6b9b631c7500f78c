/* SPDX-License-Identifier: MIT */
/* A join that would close a cycle of joins gives -EDEADLK; everybody else in it goes on. */
#include <errno.h>

#include "tests/support.h"

TestSuite(join, .init = watchdog);

enum { MEMBERS_MAX = 64 };

struct ring {
    unsigned members;
    lw_task tasks[MEMBERS_MAX];
    lw_nsec deadline_of_last;   /* the other joins have none */
    lw_event start;
    int deadlocks, timeouts, granted; /* atomically */
};

struct member {
    struct ring *ring;
    unsigned index;
};

/* Each waits for the next one, the last for the first. */
static int member(void *arg)
{
    const struct member *me = arg;
    struct ring *ring = me->ring;
    bool last = me->index == ring->members - 1;
    int status = 0, err;

    if (lw_event_wait(&ring->start, LW_FOREVER) < 0)
        return -1;
    err = lw_join(ring->tasks[(me->index + 1) % ring->members], &status,
                  last ? ring->deadline_of_last : LW_FOREVER);
    if (err == -EDEADLK)
        __atomic_fetch_add(&ring->deadlocks, 1, __ATOMIC_RELAXED);
    else if (err == -ETIMEDOUT)
        __atomic_fetch_add(&ring->timeouts, 1, __ATOMIC_RELAXED);
    else if (err == 0 && status == (int)(me->index + 1) % (int)ring->members)
        __atomic_fetch_add(&ring->granted, 1, __ATOMIC_RELAXED);
    return (int)me->index;
}

static void run_ring(struct ring *ring, unsigned members, lw_nsec deadline_of_last)
{
    struct member each[MEMBERS_MAX];
    unsigned left = 0;

    *ring = (struct ring){.members = members, .deadline_of_last = deadline_of_last};
    for (unsigned i = 0; i < members; i++) {
        each[i] = (struct member){ring, i};
        cr_assert_eq(lw_spawn(&ring->tasks[i], member, &each[i], NULL), 0);
    }
    for (unsigned i = 0; i < members; i++)
        AWAIT(is_waiting(ring->tasks[i]));
    lw_event_set(&ring->start);
    /* Whoever was not joined is the one whose joiner gave way: only it is still to be joined. */
    AWAIT(__atomic_load_n(&ring->deadlocks, __ATOMIC_RELAXED) +
              __atomic_load_n(&ring->timeouts, __ATOMIC_RELAXED) +
              __atomic_load_n(&ring->granted, __ATOMIC_RELAXED) ==
          (int)members);
    for (unsigned i = 0; i < members; i++)
        left += lw_join(ring->tasks[i], NULL, LW_FOREVER) == 0;
    cr_assert_eq(left, 1);
}

static int rings(void *arg)
{
    static const unsigned sizes[] = {2, 3, 5, 17, MEMBERS_MAX};
    struct ring ring;

    (void)arg;
    for (long round = rounds(200); round > 0; round--) {
        run_ring(&ring, sizes[round % 5], LW_FOREVER);
        cr_assert_eq(ring.deadlocks, 1, "%d of %u", ring.deadlocks, ring.members);
        cr_assert_eq(ring.granted, (int)ring.members - 1);
    }
    return 0;
}

Test(join, one_member_of_a_cycle_gives_way)
{
    run_all(rings, NULL);
}

static int timed(void *arg)
{
    struct ring ring;

    (void)arg;
    for (unsigned members = 2; members < 6; members++) {
        run_ring(&ring, members, lw_in(5 * LW_MS));
        cr_assert_eq(ring.timeouts, 1);
        cr_assert_eq(ring.granted, (int)members - 1);
    }
    return 0;
}

Test(join, a_cycle_with_a_deadline_in_it_ends_by_itself)
{
    run_all(timed, NULL);
}

/* ---- no cycle, though the chain is long */

enum { CHAIN = 5000 };

static lw_task chain[CHAIN];

static int link_up(void *arg)
{
    size_t index = (size_t)(uintptr_t)arg;

    return index == 0 ? 0 : lw_join(chain[index - 1], NULL, LW_FOREVER);
}

static int descend(void *arg)
{
    size_t depth = (size_t)(uintptr_t)arg;
    lw_task child;
    int status = -1;

    if (depth == 0)
        return 0;
    cr_assert_eq(lw_spawn(&child, descend, (void *)(uintptr_t)(depth - 1), NULL), 0);
    cr_assert_eq(lw_join(child, &status, LW_FOREVER), 0);
    return status;
}

static int chains(void *arg)
{
    int status = -1;

    (void)arg;
    for (size_t i = 0; i < CHAIN; i++)
        cr_assert_eq(lw_spawn(&chain[i], link_up, (void *)(uintptr_t)i, NULL), 0);
    cr_assert_eq(lw_join(chain[CHAIN - 1], &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(descend((void *)(uintptr_t)CHAIN), 0);
    return 0;
}

Test(join, a_long_chain_is_no_cycle)
{
    run_all(chains, NULL);
}
