/* SPDX-License-Identifier: MIT */
/* The laws of what is said on the standard error: each verdict once, all of it, and nobody waits
 * until it is said. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "locksmith/printer.h"
#include "runtime/os/os.h"
#include "tests/locksmith/two.h"

TestSuite(printer, .init = hear);

enum { SAID_MAX = 65536 };

static char said[SAID_MAX];
static int real_stderr;

static void say_to(int fd)
{
    real_stderr = dup(STDERR_FILENO);
    cr_assert(fd >= 0 && real_stderr >= 0);
    cr_assert_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static void say_to_file(void)
{
    int fd = memfd_create("said", MFD_CLOEXEC);

    say_to(fd);
    (void)close(fd);
}

/* What was written to the file; then all is said where it was before. */
static void read_file(void)
{
    ssize_t size;

    cr_assert(lw_printer_await(LW_FOREVER));
    size = pread(STDERR_FILENO, said, sizeof said - 1, 0);
    cr_assert_eq(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
    cr_assert_geq(size, 0);
    said[size] = '\0';
}

static int count(const char *part)
{
    int found = 0;

    for (const char *at = said; (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

/* ---- what there is without a callback */

static int deadlock_thrice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        lw_task tasks[2];

        start_two(tasks, NULL);
        join_two(tasks);
    }
    return 0;
}

Test(printer, tells_of_each_once)
{
    const char *first;

    cr_assert_eq(lw_detector_set(NULL), 0);
    say_to_file();
    run_with(2, deadlock_thrice, NULL);
    read_file();
    first = strstr(said, "latchwork: DEADLOCK of 2, signature ");
    cr_assert_eq(first, (const char *)said, "%s", said);
    cr_assert_eq(count("latchwork: "), 1, "%s", said);
    cr_assert_geq(count("'first'"), 2, "%s", said); /* it waits, and is who holds */
    cr_assert_eq(count("its wait failed with -EDEADLK"), 1, "%s", said);
}

/* ---- reports of our own */

static const char *lock_name = "a lock";
static const lw_report_hold hold = {(const lw_lock *)(uintptr_t)0x1000, "kept", NULL, 0};

/* All that it points to may go when this returns. */
static void print(unsigned number)
{
    char names[3][16], outcome[] = "it was asked";
    lw_report_step step = {2, {7}, NULL, outcome};
    lw_report_hold holds[2] = {hold, {(const lw_lock *)(uintptr_t)0x2000, names[2], NULL, 0}};
    lw_report_member members[2] = {
        {.task = {1}, .task_name = names[0], .kind_name = "mutex", .object_name = names[1],
         .object = (const void *)(uintptr_t)0x1000, .deadline = LW_FOREVER},
        {.task = {2}, .kind_name = "mutex", .deadline = LW_FOREVER, .holds = holds,
         .hold_count = 2},
    };
    lw_report report = {.verdict = LW_VERDICT_DEADLOCK, .members = members, .member_count = 2,
                        .victim = 1, .signature = number, .steps = &step, .step_count = 1};

    (void)snprintf(names[0], sizeof names[0], "task %u", number);
    (void)snprintf(names[1], sizeof names[1], "object %u", number);
    (void)snprintf(names[2], sizeof names[2], "%s", lock_name);
    lw_printer_print(&report);
    memset(names, '?', sizeof names);
    memset(holds, 0, sizeof holds);
    memset(members, 0, sizeof members);
    memset(outcome, 0, sizeof outcome);
}

Test(printer, says_all_of_a_report_that_is_gone)
{
    say_to_file();
    print(5);
    read_file();
    cr_assert_eq(count("signature 0000000000000005, not seen before\n"), 1, "%s", said);
    cr_assert_eq(count("task 1 'task 5' waits for mutex 'object 5' (0x1000)"), 1, "%s", said);
    cr_assert_eq(count("holds 'kept' (0x1000)"), 1, "%s", said);
    cr_assert_eq(count("'a lock' (0x2000)"), 1, "%s", said);
    cr_assert_eq(count("it was asked"), 1, "%s", said);
    cr_assert_eq(count("?"), 0, "%s", said);
}

/* ---- a standard error that takes nothing */

static int ends[2];

static void say_to_full_pipe(void)
{
    static char bytes[4096];

    cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    cr_assert_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0); /* from now on it blocks */
    cr_assert_eq(fcntl(ends[0], F_SETFL, 0), 0);
    say_to(ends[1]);
    (void)close(ends[1]);
}

/* Until that was said so often. */
static void read_pipe(const char *until, int times)
{
    size_t size = 0;

    memset(said, 0, sizeof said);
    while (count(until) < times) {
        ssize_t done = read(ends[0], said + size, sizeof said - 1 - size);

        cr_assert_gt(done, 0, "%s", said);
        for (ssize_t i = 0; i < done; i++) /* the zeros that it was filled with */
            if (said[size + (size_t)i] == '\0')
                said[size + (size_t)i] = ' ';
        size += (size_t)done;
    }
    cr_assert(lw_printer_await(LW_FOREVER));
    cr_assert_eq(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
}

/* A circle through other places than that of the_two. */
static lw_rlock others[2] = {LW_RLOCK_INIT("one"), LW_RLOCK_INIT("two")};
static int others_arrived;

static int take_both(void *arg)
{
    lw_rlock *own = &others[(intptr_t)arg], *other = &others[1 - (intptr_t)arg];
    int err;

    cr_assert_eq(lw_rlock_acquire(own, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&others_arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&others_arrived, __ATOMIC_ACQUIRE) == 2);
    err = lw_rlock_acquire(other, LW_FOREVER);
    if (err == 0)
        cr_assert_eq(lw_rlock_release(other), 0);
    cr_assert_eq(lw_rlock_release(own), 0);
    return err;
}

static int deadlock_in_two_ways(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    start_two(tasks, NULL);
    join_two(tasks);
    for (intptr_t i = 0; i < 2; i++)
        cr_assert_eq(lw_spawn(&tasks[i], take_both, (void *)i, NULL), 0);
    cr_assert_eq(join_status(tasks[0]) + join_status(tasks[1]), -EDEADLK);
    return 0;
}

Test(printer, who_waits_for_each_other_does_not_wait_for_what_is_said)
{
    cr_assert_eq(lw_detector_set(NULL), 0);
    say_to_full_pipe();
    run_with(2, deadlock_in_two_ways, NULL);
    cr_assert_not(lw_printer_await(0), "the pipe is full");
    cr_assert_eq(lw_detector_set(NULL), 0, "nor does who sets the detector");
    read_pipe("its wait failed", 2);
    cr_assert_eq(count("latchwork: DEADLOCK of 2"), 2, "%s", said);
}

/* One is being written, sixteen are in the queue. */
Test(printer, counts_what_it_has_no_room_for)
{
    enum { ALL = 40 };
    char wanted[64];

    say_to_full_pipe();
    for (unsigned i = 0; i < ALL; i++)
        print(i);
    read_pipe("no room", 1);
    cr_assert_leq(count("latchwork: DEADLOCK"), 17, "%s", said);
    cr_assert_geq(count("latchwork: DEADLOCK"), 16, "%s", said);
    (void)snprintf(wanted, sizeof wanted, "latchwork: %d more reports",
                   ALL - count("latchwork: DEADLOCK"));
    cr_assert_eq(count(wanted), 1, "%s: %s", wanted, said);
}

/* ---- exhaustion */

static struct lw_sys real;

static int no_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *),
                     void *arg)
{
    (void)thread, (void)attributes, (void)main, (void)arg;
    return EAGAIN;
}

static void *no_memory(size_t count_of, size_t size)
{
    (void)count_of, (void)size;
    return NULL;
}

Test(printer, without_threads_says_it_at_once)
{
    say_to_file();
    real = lw_sys;
    lw_sys.thread_create = no_thread;
    print(1);
    cr_assert(lw_printer_await(0));
    lw_sys = real;
    print(2);
    read_file();
    cr_assert_eq(count("latchwork: DEADLOCK"), 2, "%s", said);
}

Test(printer, without_memory_says_that_there_was_one)
{
    say_to_file();
    real = lw_sys;
    lw_sys.thread_create = no_thread;
    lw_sys.calloc = no_memory;
    print(1);
    lw_sys = real;
    print(2);
    read_file();
    cr_assert_eq(count("latchwork: DEADLOCK"), 1, "%s", said);
    cr_assert_eq(count("latchwork: 1 more"), 1, "%s", said);
}
