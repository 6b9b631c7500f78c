/* SPDX-License-Identifier: MIT */
/* What tests/support.c gives to the suites, in a simulated schedule. */
#include <string.h>

#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/support.h"

/* The engine notices who never ends. */
void watchdog(void)
{
}

bool is_slow(void)
{
    return true;
}

/* Orders come from schedules, not from rounds.  Always the same: several who ask have to agree. */
long rounds(long count)
{
    return count < 2 ? count : 2;
}

void run_all(lw_fn *fn, void *arg)
{
    static const unsigned workers[] = {2, 1, 4};

    run_with(workers[sim_choose(3)], fn, arg);
}

/* Ended workers may be cached; what a suite cares for is that it does not become more. */
void assert_no_leaks(void)
{
}

struct resources count_resources(void)
{
    long threads = 0;

    for (unsigned i = 0; i < sim_world->count; i++)
        threads += sim_world->threads[i].state != SIM_DONE;
    return (struct resources){(long)sim_blocks(), (long)sim_descriptors_open(), threads};
}

size_t resident_bytes(void)
{
    cr_skip_test("resident memory is the real kernel's");
}
