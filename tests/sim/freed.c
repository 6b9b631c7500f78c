/* SPDX-License-Identifier: MIT */
/* Under ASan: what is used after it was freed, or after its function returned, ends the process in
 * a schedule where that happens, and the seed that is said brings it back.  What is freed in time
 * passes in all.
 *
 * The report ends a process of its own, whose standard error is read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/sim/explore.h"

TestSuite(freed, .init = watchdog);

enum { TEXT_BYTES = 1 << 16, SCHEDULES = 200 };

struct end {
    int status;
    char text[TEXT_BYTES];
};

struct exploration {
    lw_fn *test;
    uint64_t seed, schedules;
};

static int explore(void *arg)
{
    const struct exploration *self = arg;
    lw_sim_options options = {.seed = self->seed, .schedules = self->schedules};

    return lw_sim_run(&options, self->test, NULL, NULL) == LW_SIM_PASSED ? 0 : 100;
}

/* That many schedules from that seed on, in a process of their own. */
static void run_apart(lw_fn *test, uint64_t seed, uint64_t schedules, struct end *end)
{
    struct exploration self = {test, seed, schedules};

    end->status = run_in_child(explore, &self, end->text, TEXT_BYTES);
}

/* ASan says so in one of the schedules, and again in the one whose seed was said. */
static void is_found(lw_fn *test, const char *what)
{
    static const char before_seed[] = "in the schedule of LW_SIM=";
    static struct end end;
    const char *seed;

    run_apart(test, 1, SCHEDULES, &end);
    cr_assert(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 1, "status %x:\n%s",
              (unsigned)end.status, end.text);
    cr_assert_not_null(strstr(end.text, what), "%s", end.text);
    /* If names are asked for elsewhere, then by a real pipe. */
    cr_assert_null(strstr(end.text, "write to symbolizer"), "%s", end.text);
    seed = strstr(end.text, before_seed);
    cr_assert_not_null(seed, "%s", end.text);
    run_apart(test, strtoull(seed + sizeof before_seed - 1, NULL, 10), 1, &end);
    cr_assert(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 1);
    cr_assert_not_null(strstr(end.text, what), "%s", end.text);
}

/* ---- the program's memory */

static int *number;
static lw_event given;

static int free_it(void *arg)
{
    (void)arg;
    free(number);
    return 0;
}

static int read_it(void *arg)
{
    (void)arg;
    return *(volatile int *)number;
}

static int read_and_free(void *arg)
{
    lw_task reader;

    (void)arg;
    number = calloc(1, sizeof *number);
    LW_SIM_CHECK(number != NULL);
    reader = start(read_it, NULL);
    lw_sim_point();
    (void)free_it(NULL);
    return end_of(reader);
}

static int read_then_free(void *arg)
{
    int err;

    (void)arg;
    number = calloc(1, sizeof *number);
    LW_SIM_CHECK(number != NULL);
    err = end_of(start(read_it, NULL));
    (void)free_it(NULL);
    return err;
}

Test(freed, memory_that_a_task_still_reads_is_found)
{
    is_found(read_and_free, "heap-use-after-free");
}

Test(freed, memory_that_nobody_reads_any_more_is_not)
{
    sim_all(read_then_free, NULL);
}

/* ---- an object of the library's */

static lw_mutex *lock;
static int users;

/* Whoever is the last one frees it; the last of those who are counted, that is. */
static int use_lock(void *arg)
{
    bool last;

    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(lock, LW_FOREVER) == 0);
    last = --users == 0;
    LW_SIM_CHECK(lw_mutex_release(lock) == 0);
    if (last)
        free(lock);
    return 0;
}

static int share_lock(int counted)
{
    lw_task tasks[2];

    users = counted;
    lock = calloc(1, sizeof *lock);
    LW_SIM_CHECK(lock != NULL);
    for (int i = 0; i < 2; i++)
        tasks[i] = start(use_lock, NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

static int free_for_one(void *arg)
{
    (void)arg;
    return share_lock(1);
}

static int free_for_both(void *arg)
{
    (void)arg;
    return share_lock(2);
}

Test(freed, a_mutex_that_a_task_still_takes_is_found)
{
    is_found(free_for_one, "heap-use-after-free");
}

Test(freed, a_mutex_that_its_last_user_frees_is_not)
{
    sim_all(free_for_both, NULL);
}

/* ---- a frame */

static int *volatile lent;

__attribute__((noinline)) static void lend(void)
{
    volatile int here = 7;

    lent = (int *)&here;
    (void)lw_event_set(&given);
    lw_yield();
}

static int lend_and_return(void *arg)
{
    (void)arg;
    lend();
    (void)lw_sleep(lw_in(LW_SEC)); /* the stack stays, the frame does not */
    return 0;
}

static int read_what_was_lent(void *arg)
{
    lw_task lender;

    (void)arg;
    given = (lw_event){0};
    lender = start(lend_and_return, NULL);
    LW_SIM_CHECK(lw_event_wait(&given, LW_FOREVER) == 0);
    LW_SIM_CHECK(*lent == 7);
    return end_of(lender);
}

Test(freed, a_frame_that_has_returned_is_found)
{
    is_found(read_what_was_lent, "stack-use-after-return");
}
