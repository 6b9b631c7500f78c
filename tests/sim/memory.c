/* SPDX-License-Identifier: MIT */
/* Memory of simulated schedules: each finds it as if it were the first; guards of stacks, too. */
#include <criterion/criterion.h>
#include <latchwork.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/os/os.h"
#include "runtime/sim/settings.h"
#include "runtime/stack.h"
#include "tests/sim/explore.h"

TestSuite(memory, .init = watchdog);

enum { LOCKS = 200, SLEEPERS = 100 };
static lw_mutex many[LOCKS];

static int sleep_a_little(void *arg)
{
    (void)arg;
    return lw_sleep(lw_in(LW_US));
}

/* Maps memory for what it holds before stacks, after them, or not at all. */
static int hold_many(void *arg)
{
    unsigned before = sim_choose(2) * LOCKS, after = sim_choose(2) * LOCKS;
    lw_task tasks[SLEEPERS];

    (void)arg;
    memset(many, 0, sizeof many);
    for (unsigned i = 0; i < before; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&many[i], LW_FOREVER) == 0);
    for (int i = 0; i < SLEEPERS; i++)
        LW_SIM_CHECK(lw_spawn(&tasks[i], sleep_a_little, NULL, NULL) == 0);
    for (unsigned i = before; i < after; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&many[i], LW_FOREVER) == 0);
    for (int i = 0; i < SLEEPERS; i++)
        LW_SIM_CHECK(lw_join(tasks[i], NULL, LW_FOREVER) == 0);
    for (unsigned i = before > after ? before : after; i-- > 0;)
        LW_SIM_CHECK(lw_mutex_release(&many[i]) == 0);
    return 0;
}

Test(memory, a_schedule_finds_nothing_of_those_before_it)
{
    sim_alone(hold_many, NULL, 100);
}

enum { SMALL = 32 << 10, LARGE = 128 << 10, LESS = 16 << 10, SMALL_COUNT = 20 };
static lw_event all_began;
static int began;

/* Uses so much of its stack, from the top down, and keeps it. */
static __attribute__((noinline)) int use_stack(void *arg)
{
    size_t bytes = (size_t)(uintptr_t)arg;
    volatile char *here = __builtin_alloca(bytes);

    for (size_t i = bytes; i > 0; i -= i < 512 ? i : 512)
        here[i - 1] = 1;
    began++;
    return lw_event_wait(&all_began, LW_FOREVER);
}

/* Small ones or large ones; the ninth of these lies where small ones have lain. */
static int use_stacks(void *arg)
{
    size_t beyond = *(const size_t *)arg;
    bool large = sim_choose(2) != 0;
    int count = large ? 9 : SMALL_COUNT;
    const lw_task_options options = {.stack_bytes = large ? LARGE : SMALL};
    size_t whole = lw_stack_bytes((unsigned)lw_stack_class(options.stack_bytes)); /* ASan: more */
    size_t bytes = whole - LESS + beyond;
    lw_task tasks[SMALL_COUNT];

    all_began = (lw_event){0};
    began = 0;
    for (int i = 0; i < count; i++)
        LW_SIM_CHECK(lw_spawn(&tasks[i], use_stack, (void *)(uintptr_t)bytes, &options) == 0);
    while (began < count)
        lw_yield();
    lw_event_set(&all_began);
    for (int i = 0; i < count; i++)
        LW_SIM_CHECK(lw_join(tasks[i], NULL, LW_FOREVER) == 0);
    return 0;
}

Test(memory, each_schedule_has_the_guards_of_its_own_stacks)
{
    lw_sim_options options = {.schedules = 1, .quiet = true};
    size_t within = 0, beyond = 2 * LESS;

    for (options.seed = 1; options.seed <= 100; options.seed++) {
        cr_assert_eq(lw_sim_run(&options, use_stacks, &within, NULL), LW_SIM_PASSED);
        cr_assert_eq(lw_sim_run(&options, use_stacks, &beyond, NULL), LW_SIM_CRASHED);
    }
    options.schedules = 100;
    cr_assert_eq(lw_sim_run(&options, use_stacks, &within, NULL), LW_SIM_PASSED);
}

/* A guard that only a schedule before has asked for. */
static int touch_guards(void *arg)
{
    enum { GUARD = 65536, SIZE = 64 * GUARD };
    volatile char *from = lw_sys.mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    int guards = *(int *)arg;

    LW_SIM_CHECK(from != MAP_FAILED);
    for (int i = 0; i < abs(guards); i++)
        LW_SIM_CHECK(lw_sys.madvise((char *)from + 2 * i * GUARD, GUARD, 102) == 0);
    for (int i = guards < 0 ? 0 : guards; i < 8; i++)
        from[2 * i * GUARD] = 1;
    return 0;
}

Test(memory, a_guard_is_none_until_its_schedule_asks_for_it)
{
    static const int guards[] = {4, 1, 0, 8, 2};
    lw_sim_options options = {.schedules = 1, .quiet = true};

    for (unsigned i = 0; i < sizeof guards / sizeof *guards; i++) {
        int all = guards[i], one_is_touched = -guards[i];

        cr_assert_eq(lw_sim_run(&options, touch_guards, &all, NULL), LW_SIM_PASSED);
        cr_assert_eq(lw_sim_run(&options, touch_guards, &one_is_touched, NULL),
                     all > 0 ? LW_SIM_CRASHED : LW_SIM_PASSED);
    }
}
