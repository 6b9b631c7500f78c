/* SPDX-License-Identifier: MIT */
/* Laws of memory: a burst of spawns costs records, not stacks; what was used at a peak goes back; a
 * steady state allocates nothing; memory that is refused makes the spawn say so, and nothing is
 * lost. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "runtime/record.h"
#include "runtime/stack.h"
#include "tests/lost.h"
#include "tests/support.h"

static void init(void)
{
    watchdog();
    sys_watch();
}

TestSuite(memory, .init = init);

static uint32_t count, word;

static int nothing(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    return 0;
}

static int park(void *arg)
{
    (void)arg;
    (void)lw_add_acq_rel(&count, 1);
    return lw_futex_wait(&word, 0, LW_FOREVER);
}

/* ---- what it costs */

static int burst(void *arg)
{
    long tasks = rounds(100000);
    lw_task *handles = calloc((size_t)tasks, sizeof *handles);
    size_t before, carved, idle, after;

    (void)arg;
    for (long i = 0; i < tasks; i++)
        handles[i].id = 1; /* touched before it is measured */
    before = resident_bytes();
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_spawn(&handles[i], nothing, NULL, NULL), 0);
    after = resident_bytes();
    lw_stack_counts(&carved, &idle);
    cr_assert_lt(carved, 1000, "stacks before they run: %zu", carved);
    cr_assert(is_slow() || after - before < (size_t)tasks * 200, "%zu bytes for each",
              (after - before) / (size_t)tasks);
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_join(handles[i], NULL, LW_FOREVER), 0);
    lw_stack_counts(&carved, &idle);
    cr_assert_lt(carved, 1000, "stacks once they ran: %zu", carved);
    free(handles);
    return 0;
}

Test(memory, burst_of_spawns_costs_records_not_stacks)
{
    run_with(1, burst, NULL);
}

static int park_and_leave(long tasks)
{
    lw_group group = {0};

    count = 0;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_group_spawn(&group, park, NULL, NULL), 0);
    AWAIT((long)lw_load_acq(&count) == tasks);
    lw_group_cancel(&group);
    return lw_group_wait(&group, LW_FOREVER);
}

static int peak(void *arg)
{
    long tasks = rounds(40000);
    size_t before, used;

    (void)arg;
    cr_assert_eq(park_and_leave(64), 0);
    before = resident_bytes();
    cr_assert_eq(park_and_leave(tasks), 0);
    used = resident_bytes() - before;
    cr_assert(is_slow() || used > (size_t)tasks * 2000,
              "they did not use what is to be given back");
    lw_trim();
    cr_assert(is_slow() || resident_bytes() - before < used / 8, "%zu KiB of %zu are left",
              (resident_bytes() - before) / 1024, used / 1024);
    cr_assert_eq(park_and_leave(tasks), 0, "and again");
    return 0;
}

Test(memory, goes_back_after_a_peak)
{
    run_with(1, peak, NULL);
}

static int only_end(void *arg)
{
    (void)arg;
    return 0;
}

/* Tasks that never waited had no stacks of their own; their records go back too, and nobody asks
 * for it. */
static int peak_of_records(void *arg)
{
    long tasks = rounds(300000);
    lw_group group = {0};
    size_t before = resident_bytes(), used;

    (void)arg;
    for (long i = 0; i < tasks; i++)
        cr_assert_eq(lw_group_spawn(&group, only_end, NULL, NULL), 0);
    cr_assert_eq(lw_group_wait(&group, LW_FOREVER), 0);
    used = resident_bytes() - before;
    if (is_slow())
        return 0;
    while (resident_bytes() > before + used / 4)
        cr_assert_eq(lw_sleep(lw_in(100 * LW_MS)), 0);
    return 0;
}

Test(memory, of_records_goes_back_by_itself)
{
    run_with(1, peak_of_records, NULL);
}

/* All that tasks do, over and over; from the tenth lap on it is warm.  Which of two workers has
 * how much of it varies: with two (arg), a queue or a cache may still reach a new height now and
 * then. */
static int steady(void *arg)
{
    static const enum sys_call kinds[] = {SYS_CALLOC, SYS_MMAP, SYS_MPROTECT, SYS_MADVISE};
    const long few = arg == NULL ? 0 : 200; /* of 12,000 tasks */
    const int some = is_slow() ? 3 : 4; /* stacks are emptied at once for LeakSanitizer's sake */
    long before[4] = {0};

    for (int lap = 0; lap < 30; lap++) {
        lw_task tasks[200];
        lw_group group = {0};

        if (lap == 10)
            for (int k = 0; k < 4; k++)
                before[k] = sys_calls(kinds[k]);
        count = 0;
        for (int i = 0; i < 200; i++) {
            cr_assert_eq(lw_spawn(&tasks[i], i % 3 != 0 ? nothing : park, NULL, NULL), 0);
            cr_assert_eq(lw_spawn(NULL, nothing, NULL, NULL), 0);
            cr_assert_eq(lw_group_spawn(&group, nothing, NULL, NULL), 0);
        }
        AWAIT(lw_load_acq(&count) == 600);
        AWAIT(lw_futex_wake(&word, LW_ALL) == 0 && lw_join(tasks[0], NULL, lw_in(LW_MS)) == 0);
        for (int i = 1; i < 200; i++)
            while (lw_join(tasks[i], NULL, lw_in(LW_MS)) < 0)
                (void)lw_futex_wake(&word, LW_ALL);
        cr_assert_eq(lw_group_end(&group, 0), 0);
    }
    for (int k = 0; k < some; k++)
        cr_assert_leq(sys_calls(kinds[k]), before[k] + few, "call %d: %ld times", kinds[k],
                      sys_calls(kinds[k]) - before[k]);
    return 0;
}

Test(memory, steady_state_allocates_nothing)
{
    run_with(1, steady, NULL);
    run_with(2, steady, &word);
}

/* ---- when it is refused */

static struct {
    enum sys_call call;
    long nth;
    bool for_good;
} refusal;

/* Spawn and park until something was refused or enough live; then all must end, and new ones
 * work. */
static int spawn_under_refusal(void *arg)
{
    enum { MOST = 9000 };
    static lw_task tasks[MOST];
    long live = 0, refused = 0;
    int status;

    (void)arg;
    count = 0;
    word = 0;
    sys_fail(refusal.call, refusal.nth, refusal.for_good);
    for (long i = 0; i < MOST; i++) {
        int err = lw_spawn(&tasks[live], park, NULL, NULL);

        cr_assert(err == 0 || err == -ENOMEM, "a spawn returned %d", err);
        if (err == 0)
            live++;
        else
            refused++;
        if (i % 100 == 99)
            lw_yield();
    }
    sys_fail(refusal.call, 0, false);
    AWAIT((long)lw_load_acq(&count) ==
          live); /* once memory is there again, all who were spawned run */
    AWAIT(lw_futex_wake(&word, LW_ALL) == 0);
    for (long i = 0; i < live; i++) {
        while (lw_join(tasks[i], &status, lw_in(LW_MS)) < 0)
            (void)lw_futex_wake(&word, LW_ALL);
        cr_assert_eq(status, 0);
    }
    cr_assert_eq((long)lw_load_acq(&count), live, "what was refused ran");
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(lw_spawn(&tasks[0], nothing, NULL, NULL), 0);
        cr_assert_eq(lw_join(tasks[0], NULL, LW_FOREVER), 0);
    }
    return refusal.for_good && refusal.call != SYS_MADVISE && refusal.call != SYS_CALLOC &&
                   refused == 0
               ? -EIO
               : 0;
}

/* Each call of a kind by itself, then all from the n-th on. */
static const enum sys_call sweep_calls[] = {SYS_MMAP, SYS_MPROTECT, SYS_MADVISE, SYS_CALLOC};

static void sweep(enum sys_call call, bool for_good)
{
    const long last = is_slow() ? 3 : 6;

    refusal.call = call;
    refusal.for_good = for_good;
    for (refusal.nth = 1; refusal.nth <= last; refusal.nth++) {
        lw_options options = {.workers = 1 + (unsigned)refusal.nth % 2};
        int status = lw_run(&options, spawn_under_refusal, NULL);

        lw_trim();
        cr_assert(status == 0 || (status == -EIO && refusal.nth > 1), "call %d, the %ld.: %d", call,
                  refusal.nth, status);
    }
}

Test(memory, spawn_survives_each_refusal)
{
    for (size_t i = 0; i < sizeof sweep_calls / sizeof *sweep_calls; i++)
        sweep(sweep_calls[i], false);
}

Test(memory, spawn_survives_lasting_refusal_of_mappings)
{
    sweep(SYS_MMAP, true);
}

Test(memory, spawn_survives_lasting_refusal_of_protection)
{
    sweep(SYS_MPROTECT, true);
}

Test(memory, spawn_survives_lasting_refusal_of_advice_and_blocks)
{
    sweep(SYS_MADVISE, true);
    sweep(SYS_CALLOC, true);
}

/* ---- a plain thread that has no memory for its own record */

static int leave_late(void *arg)
{
    uint32_t *left = arg;

    for (int i = 0; i < 100; i++)
        lw_yield();
    (void)lw_add_acq_rel(left, 1);
    return 0;
}

struct alone {
    lw_runtime *runtime;
    int spawned, ended, again; /* errors */
    uint32_t left;
    size_t running;
};

static void *end_group_without_memory(void *arg)
{
    struct alone *alone = arg;
    lw_task_options there = {.runtime = alone->runtime};
    lw_group group = {.flags = LW_GROUP_CANCEL_AT_END};

    for (int i = 0; i < 10; i++)
        alone->spawned |= lw_group_spawn(&group, leave_late, &alone->left, &there);
    sys_fail(SYS_CALLOC, 1, true);
    alone->ended = lw_group_end(&group, 0);
    sys_fail(SYS_CALLOC, 0, false);
    alone->left = lw_load_acq(&alone->left);
    alone->running = lw_group_running(&group);
    alone->again = lw_group_spawn(&group, leave_late, &word, &there); /* it is as new */
    alone->again |= lw_group_wait(&group, LW_FOREVER);
    return NULL;
}

Test(memory, a_group_ends_after_its_children_also_without_memory)
{
    struct alone alone = {0};
    pthread_t thread;

    cr_assert_eq(lw_start(&alone.runtime, &(lw_options){.workers = 1}), 0);
    cr_assert_eq(pthread_create(&thread, NULL, end_group_without_memory, &alone), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(lw_stop(alone.runtime, LW_FOREVER), 0);
    cr_assert_eq(alone.spawned, 0);
    cr_assert_eq(alone.ended, 0);
    cr_assert_eq(alone.left, 10, "children outlived their scope");
    cr_assert_eq(alone.running, 0);
    cr_assert_eq(alone.again, 0);
}

/* ---- what is lost */

static int end_unjoined(void *arg)
{
    lw_task task;

    (void)arg;
    return lw_spawn(&task, nothing, NULL, NULL); /* can be joined still */
}

Test(memory, a_stack_and_a_record_that_are_kept_are_counted)
{
    struct lw_stack_cache cache = {0};
    unsigned class = (unsigned)lw_stack_class(0);
    struct lw_record *record;
    struct lw_stack_head *head;
    struct lost lost;

    run_with(2, end_unjoined, NULL);
    assert_nothing_lost();
    record = lw_guest_record_take();
    head = lw_stack_take(&cache, class);
    cr_assert_eq(lw_stack_promise(NULL, class), 0);
    lost = count_lost();
    cr_assert(lost.settled && is_lost(&lost));
    cr_assert_eq(lost.records, 1);
    cr_assert_eq(lost.stacks, 1 + (long)cache.count[class]);
    cr_assert_eq(lost.promises, 1);

    lw_guest_record_give(record);
    lw_stack_give(&cache, class, head);
    lw_stack_drain(&cache);
    lw_stack_unpromise(NULL, class);
    lost = count_lost();
    cr_assert(lost.settled && !is_lost(&lost));
    lw_trim();
    lost = count_lost();
    cr_assert(lost.settled && !is_lost(&lost));
}
