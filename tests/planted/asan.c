/* SPDX-License-Identifier: MIT */
/* Bugs for AddressSanitizer and its leak check: see meson.build. */
#include <stdlib.h>
#include <string.h>

#include "runtime/atomic.h"
#include "tests/support.h"

TestSuite(bug, .init = watchdog);
TestSuite(clean, .init = watchdog);

/* Kept from the optimizer. */
static void *volatile sink;

static int use_after_free(void *arg)
{
    char *volatile memory = malloc(8);

    (void)arg;
    cr_assert_not_null(memory);
    free(memory);
    lw_yield();
    memory[0] = 1; // NOLINT: that is the bug
    return 0;
}

Test(bug, a_use_after_free_in_a_task)
{
    run_with(1, use_after_free, NULL);
}

static int write_behind_an_array(void *arg)
{
    char array[16];
    volatile size_t size = sizeof array + 1;

    (void)arg;
    sink = array;
    memset((char *)sink, 1, size);
    lw_yield();
    return 0;
}

Test(bug, an_array_on_a_task_s_stack)
{
    run_with(1, write_behind_an_array, NULL);
}

static LW_NOINLINE int *leave_a_local(void)
{
    int local = 1;

    sink = &local;
    lw_yield(); /* the fake stack goes along */
    return sink;
}

static int use_after_return(void *arg)
{
    int *volatile left = leave_a_local();

    (void)arg;
    lw_yield();
    ++*left;
    return 0;
}

static int beside_another(void *arg)
{
    lw_task other, user;

    cr_assert_eq(lw_spawn(&other, use_after_return, arg, NULL), 0);
    cr_assert_eq(lw_spawn(&user, use_after_return, arg, NULL), 0);
    cr_assert_eq(lw_join(other, NULL, LW_FOREVER), 0);
    return lw_join(user, NULL, LW_FOREVER);
}

Test(bug, a_use_after_return_across_a_switch)
{
    run_with(1, beside_another, NULL);
}

/* In a register that the switch saves: what lies in the fake stack of a parked task LeakSanitizer
 * does not find. */
static int keep_on_the_stack(void *leaks)
{
    void *memory = malloc(100);

    cr_assert_not_null(memory);
    lw_yield();
    __asm__ volatile("" : "+r"(memory));
    if (leaks == NULL)
        free(memory);
    return 0;
}

static int leak_and_clean(void *leaks)
{
    lw_task task;

    cr_assert_eq(lw_spawn(&task, keep_on_the_stack, leaks, NULL), 0);
    return lw_join(task, NULL, LW_FOREVER);
}

Test(bug, a_leak_that_only_the_stack_of_an_ended_task_shows)
{
    static int leaks;

    run_with(1, leak_and_clean, &leaks);
    assert_no_leaks();
}

static int look_while_it_is_parked(void *arg)
{
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, keep_on_the_stack, NULL, NULL), 0);
    lw_yield();
    assert_no_leaks(); /* it lies on the stack of a task that waits for its turn */
    return lw_join(task, NULL, LW_FOREVER);
}

Test(clean, what_a_parked_task_holds)
{
    run_with(1, look_while_it_is_parked, NULL);
    assert_no_leaks();
}
