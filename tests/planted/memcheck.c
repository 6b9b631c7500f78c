/* SPDX-License-Identifier: MIT */
/* Bugs for valgrind: see meson.build. */
#include <stdlib.h>

#include "tests/support.h"

TestSuite(bug, .init = watchdog);
TestSuite(clean, .init = watchdog);

static int leak(void *leaks)
{
    void *volatile memory = malloc(100);

    cr_assert_not_null(memory);
    lw_yield();
    if (leaks == NULL)
        free(memory);
    memory = NULL;
    return 0;
}

Test(bug, a_leak_in_a_task)
{
    static int leaks;

    run_with(1, leak, &leaks);
}

Test(clean, a_task_that_frees)
{
    run_with(1, leak, NULL);
}

static int read_behind(void *arg)
{
    char *volatile memory = calloc(1, 8);
    volatile char read;

    (void)arg;
    cr_assert_not_null(memory);
    lw_yield();
    read = memory[8]; // NOLINT: that is the bug
    (void)read;
    free(memory);
    return 0;
}

Test(bug, a_read_behind_a_block_in_a_task)
{
    run_with(1, read_behind, NULL);
}

static int branch_on_nothing(void *arg)
{
    volatile int unset[4];
    int *volatile there = (int *)&unset[2];

    (void)arg;
    lw_yield();
    if (*there == 7) // NOLINT: that is the bug
        lw_yield();
    return 0;
}

Test(bug, a_branch_on_what_a_task_never_set)
{
    run_with(1, branch_on_nothing, NULL);
}
