/* SPDX-License-Identifier: MIT */
/* Laws of large numbers: a million tasks parked at once, each with a stack, with the default
 * number of mappings; a million sleepers.  Takes some 5 GB of memory: a suite of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "tests/support.h"

static void init(void)
{
    watchdog();
    (void)alarm(300); /* most of it is the machine's first touch of the pages */
}

TestSuite(crowd, .init = init);

static uint32_t count, word;

/* A million, or as many as fit into half of the memory there is. */
static long many(void)
{
    long most = rounds(1000000), fit = most;
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long kilobytes;
    char line[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %lu", &kilobytes) == 1)
            fit = (long)(kilobytes / 2 / 5);
    if (file != NULL)
        (void)fclose(file);
    return fit < most ? fit : most;
}

static long count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    long lines = 0;

    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    (void)fclose(file);
    return lines;
}

static int park(void *arg)
{
    (void)lw_add_acq_rel(&count, 1);
    return lw_futex_wait(arg, 0, LW_FOREVER);
}

static int park_a_million(void *arg)
{
    long tasks = many(), woken = 0, before = count_mappings();
    lw_group group = {0};

    (void)arg;
    count = 0;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_group_spawn(&group, park, &word, NULL), 0);
    AWAIT((long)lw_load_acq(&count) == tasks);
    cr_assert_eq((long)lw_group_running(&group), tasks);
    cr_assert(is_slow() || count_mappings() - before < 10000, "%ld mappings",
              count_mappings() - before);
    while (woken < tasks)
        woken += lw_futex_wake(&word, LW_ALL);
    cr_assert_eq(woken, tasks);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    return 0;
}

Test(crowd, a_million_parked_tasks_live_with_the_default_number_of_mappings)
{
    run_with(2, park_a_million, NULL);
}

static int cancel_a_million(void *arg)
{
    long tasks = many();
    lw_group group = {0};

    (void)arg;
    count = 0;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_group_spawn(&group, park, &word, NULL), 0);
    AWAIT((long)lw_load_acq(&count) == tasks);
    return lw_group_end(&group, -EIO) == -EIO ? 0 : -EINVAL;
}

Test(crowd, a_million_are_cancelled_at_once)
{
    run_with(2, cancel_a_million, NULL);
}

static int sleep_until(void *arg)
{
    lw_nsec deadline = *(lw_nsec *)arg + (lw_nsec)(lw_add_acq_rel(&count, 1) % 1000) * LW_MS;
    int err = lw_sleep(deadline);

    cr_assert_geq(lw_now(), deadline, "early");
    return err;
}

static int a_million_sleep(void *arg)
{
    long tasks = many();
    lw_group group = {0};
    lw_nsec base = lw_in(2 * LW_SEC);

    (void)arg;
    count = 0;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_group_spawn(&group, sleep_until, &base, NULL), 0);
    return lw_group_end(&group, 0);
}

Test(crowd, a_million_sleepers_all_wake)
{
    run_with(1, a_million_sleep, NULL);
}
