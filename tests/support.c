/* SPDX-License-Identifier: MIT */
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "tests/lost.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifdef SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define MEMCHECK 1
#endif

#ifndef LW_SIM_SUITE /* else: tests/sim/suite_support.c */

bool is_slow(void)
{
#ifdef SANITIZED
    return true;
#else
    return getenv("LW_TEST_SLOW") != NULL;
#endif
}

long rounds(long count)
{
    return is_slow() ? (count + 19) / 20 : count;
}

static void on_alarm(int number)
{
    static const char text[] = "watchdog: the test takes too long; its tasks:\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)lw_dump(STDERR_FILENO);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

/* ---- leaving */

#ifdef LW_EXIT_IS_FREE /* the stand-in for Criterion ends its processes by exit() */
#define __real_exit exit
#define __real__exit _exit
#endif

void __real_exit(int status) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));
void __wrap_exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

static pid_t test_process;

__attribute__((constructor)) static void note_process(void)
{
    test_process = getpid();
}

/* Criterion takes a test that leaves by itself for one that passed: the linker leads its calls
 * here.  A child that a test has forked may leave. */
static void fail_if_it_is_the_test(void)
{
    static const char text[] = "the test called exit\n";

    if (getpid() != test_process)
        return;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

#ifndef LW_EXIT_IS_FREE

enum { MAIN_STACK_BYTES = 8 << 20 };

void __real_criterion_abort_test(void) __attribute__((noreturn));
void __wrap_criterion_abort_test(void) __attribute__((noreturn));

void __real_criterion_send_assert(struct criterion_assert_stats *stats);
void __wrap_criterion_send_assert(struct criterion_assert_stats *stats);

static uintptr_t main_stack; /* its base, or not far below */

__attribute__((constructor)) static void note_stack(void)
{
    main_stack = (uintptr_t)__builtin_frame_address(0);
}

static bool is_on_main_stack(void)
{
    return main_stack - (uintptr_t)__builtin_frame_address(0) < MAIN_STACK_BYTES;
}

/* Of a test that crashed Criterion says where it was, but not what failed there. */
void __wrap_criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed && !is_on_main_stack())
        (void)fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line, stats->message);
    __real_criterion_send_assert(stats);
}

/* After an assertion that failed Criterion jumps back to the main thread's stack, from wherever it
 * is: from a task or another thread that works by luck, and a sanitizer ends the process without a
 * word.  So such a test ends here, as one that crashed. */
void __wrap_criterion_abort_test(void)
{
    if (is_on_main_stack())
        __real_criterion_abort_test();
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

#endif

/* ---- what is said */

enum { RUNNERS_STDERR = 500 };

/* A quiet Criterion lets its tests say nothing either: no assertion in a task, no report of a
 * sanitizer, no dump of the watchdog.  So the runner's standard error is theirs again; by its name,
 * since BoxFort closes what a test's process would inherit. */
__attribute__((constructor)) static void hand_on_stderr(void)
{
    char path[64];
    int fd;

    if (getenv("BXFI_MAP") == NULL) { /* BoxFort's mark of a test's process */
        (void)dup2(STDERR_FILENO, RUNNERS_STDERR);
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), RUNNERS_STDERR);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)dup2(fd, STDERR_FILENO);
    (void)close(fd);
}

/* What a tool finds after the result of a test was sent, at its exit, Criterion ignores; and of
 * valgrind's findings all.  So the test's process tells the runner's, whose own exit then is a
 * failure. */
static volatile sig_atomic_t found_late;

static void note_finding(int number)
{
    (void)number;
    found_late = 1;
}

static void fail_at_exit(void)
{
    if (found_late && getpid() == test_process)
        __real__exit(1);
}

static void tell_the_runner(void)
{
    if (getpid() == test_process)
        (void)kill(getppid(), SIGUSR2);
}

#ifdef MEMCHECK
static void ask_memcheck(void)
{
    if (getpid() != test_process || !RUNNING_ON_VALGRIND)
        return;
    VALGRIND_DO_LEAK_CHECK;
    if (VALGRIND_COUNT_ERRORS > 0)
        tell_the_runner();
}
#endif

__attribute__((constructor)) static void watch_for_findings(void)
{
    struct sigaction action = {.sa_handler = note_finding, .sa_flags = SA_RESTART};

    if (getenv("BXFI_MAP") == NULL) {
        (void)sigaction(SIGUSR2, &action, NULL);
        (void)atexit(fail_at_exit);
        return;
    }
#ifdef SANITIZED
    __sanitizer_set_death_callback(tell_the_runner);
#endif
#ifdef MEMCHECK
    (void)atexit(ask_memcheck);
#endif
}

void __wrap_exit(int status)
{
    fail_if_it_is_the_test();
    __real_exit(status);
}

void __wrap__exit(int status)
{
    fail_if_it_is_the_test();
    __real__exit(status);
}

void watchdog(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(is_slow() ? 300 : 60);
}

#endif

/* Threads that are none of ours may attach and leave meanwhile: once it has to add up. */
void assert_nothing_lost(void)
{
    enum { TRIES = 500 };
    struct lost lost = count_lost();

    for (int i = 0; i < TRIES && is_lost(&lost); i++) {
        (void)!lw_sleep(lw_in(LW_MS));
        lost = count_lost();
    }
    cr_assert(!is_lost(&lost), "lost: %ld stacks, %ld promises of stacks, %ld records", lost.stacks,
              lost.promises, lost.records);
}

void run_with(unsigned workers, lw_fn *fn, void *arg)
{
    lw_options options = {.name = "test", .workers = workers};
    int status = lw_run(&options, fn, arg);

    cr_assert_eq(status, 0, "%u workers: status %d (%s)", workers, status,
                 strerror(status < 0 ? -status : 0));
    assert_nothing_lost();
}

#ifndef LW_SIM_SUITE

void run_all(lw_fn *fn, void *arg)
{
    run_with(1, fn, arg);
    run_with(2, fn, arg);
    run_with(4, fn, arg);
}

#endif

uint64_t random_draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

bool is_waiting(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    uint64_t wait;

    if (record == NULL || LW_CTL_GENERATION(lw_load_acq(&record->ctl)) != lw_id_generation(task.id))
        return false;
    wait = lw_load_acq(&lw_record_cold(record)->wait);
    return (wait & LW_PHASE_MASK) == LW_PHASE_WAITING;
}

/* ---- calls of the system, counted and made to fail */

static struct lw_sys real;
static long calls[SYS_CALLS], fail_at[SYS_CALLS], blocks;
static bool fail_on[SYS_CALLS], failed;

/* Counts one call; true: it has to fail. */
static bool has_to_fail(enum sys_call call)
{
    long number = __atomic_add_fetch(&calls[call], 1, __ATOMIC_RELAXED);
    long at = __atomic_load_n(&fail_at[call], __ATOMIC_RELAXED);

    if (at == 0 || number < at ||
        (number > at && !__atomic_load_n(&fail_on[call], __ATOMIC_RELAXED)))
        return false;
    __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    return true;
}

static void *watched_calloc(size_t count, size_t size)
{
    void *memory = has_to_fail(SYS_CALLOC) ? NULL : real.calloc(count, size);

    if (memory != NULL)
        (void)__atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
    return memory;
}

static void watched_free(void *memory)
{
    if (memory != NULL)
        (void)__atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
    real.free(memory);
}

static void *watched_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (has_to_fail(SYS_MMAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real.mmap(at, size, protection, flags, fd, offset);
}

static int watched_mprotect(void *at, size_t size, int protection)
{
    if (has_to_fail(SYS_MPROTECT)) {
        errno = ENOMEM;
        return -1;
    }
    return real.mprotect(at, size, protection);
}

static int watched_madvise(void *at, size_t size, int advice)
{
    if (has_to_fail(SYS_MADVISE)) {
        errno = ENOMEM;
        return -1;
    }
    return real.madvise(at, size, advice);
}

static int watched_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                 void *(*main)(void *), void *arg)
{
    return has_to_fail(SYS_THREAD_CREATE) ? EAGAIN
                                          : real.thread_create(thread, attributes, main, arg);
}

static int watched_epoll_create1(int flags)
{
    if (has_to_fail(SYS_EPOLL_CREATE)) {
        errno = EMFILE;
        return -1;
    }
    return real.epoll_create1(flags);
}

static int watched_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (has_to_fail(SYS_EPOLL_CTL)) {
        errno = ENOSPC;
        return -1;
    }
    return real.epoll_ctl(epoll, operation, fd, event);
}

static int watched_eventfd(unsigned value, int flags)
{
    if (has_to_fail(SYS_EVENTFD)) {
        errno = EMFILE;
        return -1;
    }
    return real.eventfd(value, flags);
}

static int watched_epoll_wait(int epoll, struct epoll_event *events, int events_max,
                              int64_t timeout)
{
    (void)has_to_fail(SYS_EPOLL_WAIT); /* counted only */
    return real.epoll_wait(epoll, events, events_max, timeout);
}

void sys_watch(void)
{
    real = lw_sys;
    lw_sys.calloc = watched_calloc;
    lw_sys.free = watched_free;
    lw_sys.mmap = watched_mmap;
    lw_sys.mprotect = watched_mprotect;
    lw_sys.madvise = watched_madvise;
    lw_sys.thread_create = watched_thread_create;
    lw_sys.epoll_create1 = watched_epoll_create1;
    lw_sys.epoll_ctl = watched_epoll_ctl;
    lw_sys.eventfd = watched_eventfd;
    lw_sys.epoll_wait = watched_epoll_wait;
}

long sys_calls(enum sys_call call)
{
    return __atomic_load_n(&calls[call], __ATOMIC_RELAXED);
}

void sys_fail(enum sys_call call, long nth, bool for_good)
{
    __atomic_store_n(&failed, false, __ATOMIC_RELAXED);
    __atomic_store_n(&fail_on[call], for_good, __ATOMIC_RELAXED);
    __atomic_store_n(&fail_at[call], nth > 0 ? sys_calls(call) + nth : 0, __ATOMIC_RELAXED);
}

bool sys_failed(void)
{
    return __atomic_load_n(&failed, __ATOMIC_RELAXED);
}

#ifndef LW_SIM_SUITE

static long count_entries(const char *path)
{
    DIR *directory = opendir(path);
    long count = 0;

    cr_assert_not_null(directory, "%s", path);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

struct resources count_resources(void)
{
    return (struct resources){__atomic_load_n(&blocks, __ATOMIC_RELAXED),
                              count_entries("/proc/self/fd"), count_entries("/proc/self/task")};
}

size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0, resident = 0;

    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

#endif

/* ---- children */

int run_in_child(lw_fn *fn, void *arg, char *heard, size_t size)
{
    int ends[2], status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        _exit(fn(arg));
    }
    (void)close(ends[1]);
    while (length < size - 1 && (got = read(ends[0], heard + length, size - 1 - length)) != 0)
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    heard[length] = '\0';
    (void)close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}
