/* SPDX-License-Identifier: MIT */
/* The laws of stacks in reports: they begin where a task waits, and lead to who called. */
#include <sys/mman.h>

#include "runtime/os/os.h"
#include "tests/locksmith/heard.h"

TestSuite(stack, .init = watchdog);

enum { DEPTH_MAX = 16 };

static struct {
    lw_mutex mutexes[2];
    int told;
    /* of the two members */
    const void *wait_site[2], *stack[2][DEPTH_MAX];
    size_t depth[2];
    lw_task task[2];
} seen;

static void keep(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict != LW_VERDICT_DEADLOCK)
        return;
    for (size_t i = 0; i < 2 && i < report->member_count; i++) {
        const lw_report_member *member = &report->members[i];

        seen.task[i] = member->task;
        seen.wait_site[i] = member->wait_site;
        seen.depth[i] = member->stack_depth;
        for (size_t j = 0; j < member->stack_depth; j++)
            seen.stack[i][j] = member->stack[j];
    }
    (void)__atomic_add_fetch(&seen.told, 1, __ATOMIC_RELEASE);
}

/* ---- calls of a depth that is known; each returns to the one before */

static const void *return_of[2][3]; /* of innermost, inner, outer */
static volatile int after;          /* so that no call is the last thing that a function does */

static __attribute__((noinline)) int innermost(int index)
{
    int err;

    return_of[index][0] = __builtin_return_address(0);
    err = lw_mutex_acquire(&seen.mutexes[1 - index], LW_FOREVER);
    after++;
    return err;
}

static __attribute__((noinline)) int inner(int index)
{
    int err;

    return_of[index][1] = __builtin_return_address(0);
    err = innermost(index);
    after++;
    return err;
}

static __attribute__((noinline)) int outer(int index)
{
    int err;

    return_of[index][2] = __builtin_return_address(0);
    err = inner(index);
    after++;
    return err;
}

/* Whether it gave way. */
static int want_other(int index)
{
    int err = outer(index);

    cr_assert(err == 0 || err == -EDEADLK, "%d", err);
    if (err == 0)
        cr_assert_eq(lw_mutex_release(&seen.mutexes[1 - index]), 0);
    cr_assert_eq(lw_mutex_release(&seen.mutexes[index]), 0);
    return err != 0;
}

static int take_and_wait(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&seen.mutexes[0], LW_FOREVER), 0);
    AWAIT(lw_mutex_locked(&seen.mutexes[1]));
    return want_other(0);
}

/* It closes the circle: on its own stack, while the other one's lies still; or, if the detector's
 * thread is in the way just then, both lie still when that finds it. */
static int take_and_close(void *arg)
{
    const lw_task *other = arg;

    cr_assert_eq(lw_mutex_acquire(&seen.mutexes[1], LW_FOREVER), 0);
    AWAIT(is_waiting(*other));
    return want_other(1);
}

static void make_two(lw_task tasks[2])
{
    memset(&seen, 0, sizeof seen);
    cr_assert_eq(lw_spawn(&tasks[0], take_and_wait, NULL, NULL), 0);
    cr_assert_eq(lw_spawn(&tasks[1], take_and_close, &tasks[0], NULL), 0);
    cr_assert_eq(join_status(tasks[0]) + join_status(tasks[1]), 1);
    AWAIT(__atomic_load_n(&seen.told, __ATOMIC_ACQUIRE) == 1);
}

static int compare_stacks(void *arg)
{
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    lw_detector_get(&options);
    options.on_report = keep;
    cr_assert_eq(lw_detector_set(&options), 0);
    make_two(tasks);
    for (int member = 0; member < 2; member++) {
        int index = seen.task[member].id == tasks[0].id ? 0 : 1;

        /* These, and whatever of the task's functions was not made one with another. */
        cr_assert(seen.depth[member] == 4 || seen.depth[member] == 5, "of task %d: %zu", index,
                  seen.depth[member]);
        cr_assert_eq(seen.stack[member][0], seen.wait_site[member]);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(seen.stack[member][i + 1], return_of[index][i], "task %d, call %d", index,
                         i);
    }
    make_two(tasks);
    cr_assert_eq(seen.depth[0] + seen.depth[1], 0u, "of the first of them only");
    return 0;
}

/* One worker: of several, another one may not have left the stack of a task that waits, and then
 * its frames are not to be known.  And once: stacks are those of the first of reports alike. */
Test(stack, leads_from_the_wait_to_who_called)
{
    run_with(1, compare_stacks, NULL);
}

/* ---- where it cannot be had */

static size_t nothing_there(void *to, const void *from, size_t size)
{
    (void)to, (void)from, (void)size;
    return 0;
}

static int without(void *arg)
{
    lw_detector_options options;
    lw_task tasks[2];

    (void)arg;
    lw_detector_get(&options);
    options.on_report = keep;
    cr_assert_eq(lw_detector_set(&options), 0);
    lw_sys.memory_read = nothing_there;
    make_two(tasks);
    cr_assert_eq(seen.depth[0] + seen.depth[1], 0u);
    cr_assert_neq(seen.wait_site[0], NULL, "all else is told");
    return 0;
}

/* Once, since a second report alike would have no stacks anyway. */
Test(stack, that_the_kernel_does_not_show_is_left_out)
{
    run_with(1, without, NULL);
}

/* Whatever lies there is no reason to read elsewhere. */
Test(stack, what_is_not_there_is_not_read)
{
    unsigned char bytes[64];
    void *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(page, MAP_FAILED);
    cr_assert_eq(munmap((char *)page + 4096, 4096), 0);
    cr_assert_eq(lw_sys.memory_read(bytes, (char *)page + 4096, sizeof bytes), 0u);
    cr_assert_eq(lw_sys.memory_read(bytes, (char *)page + 4096 - 16, 16), 16u);
    cr_assert_eq(munmap(page, 4096), 0);
}
