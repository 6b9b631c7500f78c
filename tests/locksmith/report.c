/* SPDX-License-Identifier: MIT */
/* The laws of writing a report: all of it or an error, whatever the descriptor does, whoever calls.
 * What is in it is read back by tests/locksmith/formats; places by tests/locksmith/places.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "locksmith/report.h"
#include "runtime/os/os.h"
#include "tests/support.h"

TestSuite(report, .init = watchdog);

enum { SAID_MAX = 65536 };

static const lw_report_hold holds[] = {{(const lw_lock *)(uintptr_t)0x1000, "first", NULL, 0}};
static const lw_report_member members[] = {
    {.task = {1}, .task_name = "one", .kind_name = "mutex", .deadline = LW_FOREVER,
     .object = (const void *)(uintptr_t)0x1000, .object_name = "first"},
    {.task = {2}, .task_name = "two", .kind_name = "join", .deadline = LW_FOREVER, .holds = holds,
     .hold_count = 1},
};
static const lw_report report = {.verdict = LW_VERDICT_DEADLOCK, .members = members,
                                 .member_count = 2, .victim = 1};

static const lw_report_format formats[] = {LW_REPORT_TEXT, LW_REPORT_DOT};
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* What is written to a file of it, as a string; "": there is no such format. */
static void write_of(const lw_report *one, char said[SAID_MAX], lw_report_format format)
{
    int fd = memfd_create("report", MFD_CLOEXEC), err;
    ssize_t size;

    cr_assert_geq(fd, 0);
    err = lw_report_write(one, format, fd);
    cr_assert(err == 0 || (err == -ENOTSUP && format == LW_REPORT_JSON));
    size = pread(fd, said, SAID_MAX - 1, 0);
    cr_assert_eq(size > 0, err == 0);
    said[size] = '\0';
    (void)close(fd);
}

static void write_to(char said[SAID_MAX], lw_report_format format)
{
    write_of(&report, said, format);
}

Test(report, tells_who_waits_for_whom)
{
    static char said[SAID_MAX];

    write_to(said, LW_REPORT_TEXT);
    cr_assert_str_eq(said, "latchwork: DEADLOCK of 2, signature 0000000000000000, not seen before\n"
                           "  task 1 'one' waits for mutex 'first' (0x1000), held by task 2 'two'\n"
                           "      at a place that is not known, no deadline\n"
                           "    score 0\n"
                           "  task 2 'two' waits for join of task 1 'one'\n"
                           "      at a place that is not known, no deadline\n"
                           "    holds 'first' (0x1000), taken at a place that is not known\n"
                           "    score 0: the victim\n");
    write_to(said, LW_REPORT_DOT);
    cr_assert_not_null(strstr(said, "  task1 -> task0 [label=\"waits for: join\\n"));
}

Test(report, says_what_it_could_not_break_and_who_does_not_wait)
{
    static char said[SAID_MAX];
    lw_report_member owner = {.task = {3}, .score = -1, .deadline = LW_FOREVER};
    lw_report stuck = {.verdict = LW_VERDICT_ABANDONED, .unforceable = true, .members = &owner,
                       .member_count = 1, .victim = 1, .count = 1};
    int fd = memfd_create("report", MFD_CLOEXEC);

    cr_assert_eq(lw_report_write(&stuck, LW_REPORT_TEXT, fd), 0);
    cr_assert_gt(pread(fd, said, sizeof said - 1, 0), 0);
    cr_assert_str_eq(said,
                     "latchwork: ABANDONED of 1, signature 0000000000000000, seen 1 time before\n"
                     "  task 3 does not wait\n"
                     "  UNFORCEABLE: no level that is on can break it, so it stays\n");
    (void)close(fd);
}

/* One has it, and sleeps, or runs; another waits for it; and what was done, in words. */
#define AT (20 * LW_SEC)
#define KEY ((const void *)(uintptr_t)0x2000)

static void tell_of_owner(lw_verdict verdict, const char *kind, const char *done,
                          char said[SAID_MAX], lw_report_format format)
{
    const lw_report_hold hold = {KEY, "table", NULL, AT - 3 * LW_SEC};
    const lw_report_member both[] = {
        {.task = {1}, .task_name = "owner", .kind_name = kind, .deadline = LW_FOREVER,
         .since = kind != NULL ? AT - 2 * LW_SEC : 0, .holds = &hold, .hold_count = 1, .score = -1},
        {.task = {2}, .kind_name = "lock", .object = KEY, .object_name = "table",
         .since = AT - 1 * LW_SEC, .deadline = LW_FOREVER, .score = -1},
    };
    const lw_report_step step = {7, {0}, NULL, done};
    const lw_report one = {.verdict = verdict, .at = AT, .members = both, .member_count = 2,
                           .victim = 2, .steps = &step, .step_count = 1};

    write_of(&one, said, format);
}

Test(report, tells_of_what_is_no_circle)
{
    static char said[SAID_MAX];

    tell_of_owner(LW_VERDICT_LONG_HOLD, "sleep", "told, and 3 more wait", said, LW_REPORT_TEXT);
    cr_assert_str_eq(said, "latchwork: LONG_HOLD of 2, signature 0000000000000000, not seen "
                           "before\n"
                           "  task 1 'owner' has waited 2.000 s for sleep\n"
                           "      at a place that is not known, no deadline\n"
                           "    has held 'table' (0x2000) for 3.000 s, taken at a place that is "
                           "not known\n"
                           "  task 2 has waited 1.000 s for lock 'table' (0x2000), held by task 1 "
                           "'owner'\n"
                           "      at a place that is not known, no deadline\n"
                           "  level 7: told, and 3 more wait\n");
    tell_of_owner(LW_VERDICT_STARVED, NULL, "done", said, LW_REPORT_TEXT);
    cr_assert_not_null(strstr(said, "STARVED of 2"));
    cr_assert_not_null(strstr(said, "  task 1 'owner' does not wait\n    has held 'table'"));
}

static void is_drawn(lw_verdict verdict)
{
    static char said[SAID_MAX], head[64];

    tell_of_owner(verdict, "sleep", "done", said, LW_REPORT_DOT);
    (void)snprintf(head, sizeof head, "%s of 2", lw_verdict_name((int)verdict));
    cr_assert_not_null(strstr(said, head));
    cr_assert_not_null(strstr(said, "waits for sleep"));
    cr_assert_not_null(strstr(said, "  task1 -> object_2000"));
    cr_assert_not_null(strstr(said, "  object_2000 -> task0"));
    cr_assert_null(strstr(said, "task0 -> task1"), "a sleeper waits for nobody");
    cr_assert_null(strstr(said, "VICTIM"));

    tell_of_owner(verdict, "sleep", "done", said, LW_REPORT_JSON);
    if (said[0] == '\0')
        return;
    (void)snprintf(head, sizeof head, "{\"verdict\":\"%s\",", lw_verdict_name((int)verdict));
    cr_assert_not_null(strstr(said, head));
    cr_assert_not_null(strstr(said, "\"victim\":null"));
    cr_assert_not_null(strstr(said, "\"kind\":\"sleep\",\"object\":null"));
    cr_assert_not_null(strstr(said, "\"held_by\":[]"), "of the sleeper");
    cr_assert_not_null(strstr(said, "\"held_by\":[0]"), "of who waits");
}

Test(report, draws_and_packs_what_is_no_circle)
{
    static const lw_verdict verdicts[] = {LW_VERDICT_LONG_HOLD, LW_VERDICT_LONG_WAIT,
                                          LW_VERDICT_STARVED, LW_VERDICT_ABANDONED,
                                          LW_VERDICT_WORKER_EXHAUSTION};

    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        is_drawn(verdicts[i]);
}

Test(report, of_nothing_is_one_too)
{
    lw_report nothing = {.verdict = LW_VERDICT_WORKER_EXHAUSTION};
    int fd = memfd_create("report", MFD_CLOEXEC);

    for (size_t i = 0; i < FORMATS; i++)
        cr_assert_eq(lw_report_write(&nothing, formats[i], fd), 0);
    (void)close(fd);
}

Test(report, refuses_what_is_none)
{
    lw_report_member member = {.task = {1}, .hold_count = 1};
    lw_report no_members = {.member_count = 1}, no_steps = {.step_count = 1};
    lw_report no_holds = {.members = &member, .member_count = 1};

    cr_assert_eq(lw_report_write(NULL, LW_REPORT_TEXT, STDERR_FILENO), -EINVAL);
    cr_assert_eq(lw_report_write(&report, (lw_report_format)4, STDERR_FILENO), -EINVAL);
    cr_assert_eq(lw_report_write(&report, (lw_report_format)-1, STDERR_FILENO), -EINVAL);
    cr_assert_eq(lw_report_write(&no_members, LW_REPORT_TEXT, STDERR_FILENO), -EINVAL);
    cr_assert_eq(lw_report_write(&no_steps, LW_REPORT_TEXT, STDERR_FILENO), -EINVAL);
    cr_assert_eq(lw_report_write(&no_holds, LW_REPORT_TEXT, STDERR_FILENO), -EINVAL);
}

Test(report, names_all_verdicts)
{
    cr_assert_str_eq(lw_verdict_name(LW_VERDICT_NONE), "NONE");
    cr_assert_str_eq(lw_verdict_name(LW_VERDICT_WORKER_EXHAUSTION), "WORKER_EXHAUSTION");
    for (int i = LW_VERDICT_NONE; i <= LW_VERDICT_WORKER_EXHAUSTION; i++)
        for (int j = LW_VERDICT_NONE; j < i; j++)
            cr_assert_str_neq(lw_verdict_name(i), lw_verdict_name(j));
    cr_assert_str_eq(lw_verdict_name(-1), "UNKNOWN");
    cr_assert_str_eq(lw_verdict_name(LW_VERDICT_WORKER_EXHAUSTION + 1), "UNKNOWN");
}

/* ---- descriptors that do not do as they should */

Test(report, says_what_write_says)
{
    int ends[2], full = open("/dev/full", O_WRONLY), closed = dup(STDERR_FILENO);

    cr_assert_eq(close(closed), 0);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(close(ends[0]), 0);
    for (size_t i = 0; i < FORMATS; i++) {
        cr_assert_eq(lw_report_write(&report, formats[i], -1), -EBADF);
        cr_assert_eq(lw_report_write(&report, formats[i], closed), -EBADF);
        cr_assert_eq(lw_report_write(&report, formats[i], full), -ENOSPC);
        cr_assert_eq(lw_report_write(&report, formats[i], ends[1]), -EPIPE); /* and we are here */
    }
}

static struct lw_sys real;
static unsigned writes;

/* Interrupted every other time, else takes 7 bytes. */
static ssize_t write_a_few(int fd, const struct iovec *parts, int count)
{
    struct iovec few = {parts->iov_base, parts->iov_len < 7 ? parts->iov_len : 7};

    if (writes++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    cr_assert_eq(count, 1);
    return real.writev_quiet(fd, &few, 1);
}

static ssize_t write_nothing(int fd, const struct iovec *parts, int count)
{
    return 0;
}

Test(report, goes_on_after_signals_and_short_writes)
{
    static char whole[SAID_MAX], parts[SAID_MAX];

    real = lw_sys;
    for (size_t i = 0; i < FORMATS; i++) {
        write_to(whole, formats[i]);
        writes = 0;
        lw_sys.writev_quiet = write_a_few;
        write_to(parts, formats[i]);
        lw_sys = real;
        cr_assert_eq(writes, 2 * ((strlen(whole) + 6) / 7));
        cr_assert_str_eq(parts, whole);
    }
    lw_sys.writev_quiet = write_nothing;
    cr_assert_eq(lw_report_write(&report, LW_REPORT_TEXT, STDERR_FILENO), -EIO);
    lw_sys = real;
}

/* A pipe that does not block, and is full: no endless loop. */
Test(report, does_not_wait_for_what_does_not_block)
{
    int ends[2];
    char bytes[4096] = {0};

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    cr_assert_eq(lw_report_write(&report, LW_REPORT_TEXT, ends[1]), -EAGAIN);
}

/* ---- callers and what they lack */

static char place;

/* On the smallest stack there is, with places to look up. */
static int write_in_task(void *fd)
{
    lw_report_member member = {.task = lw_self(), .wait_site = &place, .spawn_site = &place + 1,
                               .kind_name = "mutex", .deadline = LW_FOREVER};
    lw_report mine = {.verdict = LW_VERDICT_LONG_WAIT, .members = &member, .member_count = 1};

    int err = lw_report_write(&mine, LW_REPORT_JSON, *(int *)fd);

    cr_assert(err == 0 || err == -ENOTSUP);
    for (size_t i = 0; i < FORMATS; i++)
        cr_assert_eq(lw_report_write(&mine, formats[i], *(int *)fd), 0);
    return 0;
}

static int write_in_small_task(void *fd)
{
    lw_task_options options = {.stack_bytes = 1};
    lw_task task;
    int status, err = lw_spawn(&task, write_in_task, fd, &options);

    return err < 0 || (err = lw_join(task, &status, LW_FOREVER)) < 0 ? err : status;
}

Test(report, may_be_written_by_a_task)
{
    int fd = memfd_create("report", MFD_CLOEXEC);

    run_all(write_in_small_task, &fd);
    assert_no_leaks();
}

Test(report, is_written_without_names_when_no_thread_can_be_had)
{
    int fd = memfd_create("report", MFD_CLOEXEC);
    struct resources before;

    sys_watch();
    before = count_resources();
    for (long nth = 1;; nth++) {
        sys_fail(SYS_CALLOC, nth, false);
        if (lw_report_write(&(lw_report){.members = &(lw_report_member){.wait_site = &place},
                                         .member_count = 1}, LW_REPORT_TEXT, fd) != 0)
            cr_assert(sys_failed());
        if (!sys_failed())
            break;
    }
    sys_fail(SYS_CALLOC, 0, false);
    sys_fail(SYS_THREAD_CREATE, 1, true);
    cr_assert_eq(write_in_task(&fd), 0);
    cr_assert(sys_failed());
    cr_assert_eq(count_resources().blocks, before.blocks);
    AWAIT(count_resources().threads <= before.threads); /* a joined one is seen a moment longer */
}

Test(report, grows_without_end)
{
    enum { MANY = 2000 };
    static lw_report_member crowd[MANY];
    lw_report large = {.verdict = LW_VERDICT_LIVELOCK, .members = crowd, .member_count = MANY};
    int fd = memfd_create("report", MFD_CLOEXEC);

    for (size_t i = 0; i < MANY; i++)
        crowd[i] = (lw_report_member){.task = {i + 1}, .deadline = LW_FOREVER};
    cr_assert_eq(lw_report_write(&large, LW_REPORT_TEXT, fd), 0);
    cr_assert_gt(lseek(fd, 0, SEEK_CUR), MANY * 20);
    (void)close(fd);
}

static int refuse_thread(pthread_t *thread, const pthread_attr_t *attributes,
                         void *(*main)(void *), void *arg)
{
    _Exit(99);
}

/* Of whom nobody may wait for another thread. */
static int write_in_child(void *arg)
{
    int fd = STDERR_FILENO;

    lw_sys.thread_create = refuse_thread;
    return write_in_task(&fd);
}

static int fork_and_write(void *arg)
{
    static char heard[SAID_MAX];

    cr_assert_eq(run_in_child(write_in_child, NULL, heard, sizeof heard), 0);
    cr_assert_not_null(strstr(heard, "latchwork: LONG_WAIT of 1"), "%s", heard);
    return 0;
}

Test(report, may_be_written_after_fork)
{
    run_with(2, fork_and_write, NULL);
}
