/* SPDX-License-Identifier: MIT */
/* What the suites share: a watchdog, runs on several numbers of workers, leaks that fail a test,
 * calls of the system that are counted and fail when told to, children that are heard. */
#ifndef LW_TESTS_SUPPORT_H
#define LW_TESTS_SUPPORT_H

#include <criterion/criterion.h>
#include <latchwork.h>
#include <sched.h>

/* Run fn as the first task of a runtime of that many workers; its status must be 0, and no stack
 * and no record may be lost: cr_assert says so. */
void run_with(unsigned workers, lw_fn *fn, void *arg);

/* The same with 1, 2 and 4 workers. */
void run_all(lw_fn *fn, void *arg);

/* Every stack and every record is back where it came from, or the task it is of can be named: see
 * lost.h.  While another runtime is up nobody can say. */
void assert_nothing_lost(void);

/* In the body of a test, last: LeakSanitizer's verdict fails the test (a leak found at exit would
 * not). */
void assert_no_leaks(void);

/* Kill the test with a dump of all tasks when it takes longer: in .init of each suite. */
void watchdog(void); /* 60 s, 300 s under sanitizers or valgrind */

/* Under a sanitizer, valgrind or an emulator: everything is slow, and memory is not as it is
 * otherwise. */
bool is_slow(void);

/* Fewer rounds where everything is slow. */
long rounds(long count);

/* A stream of numbers from a seed that is not 0. */
uint64_t random_draw(uint64_t *state);

/* Let others run until it is so; in tasks and in plain threads.  Only the watchdog ends it
 * otherwise. */
#define AWAIT(truth)                                                                               \
    while (!(truth)) {                                                                             \
        lw_yield();                                                                                \
        (void)sched_yield();                                                                       \
    }

/* The task has published a wait (and so has got there; it may still be on its stack). */
bool is_waiting(lw_task task);

/* Calls that the library makes through its table, counted from sys_watch() on, which comes before
 * the first lw_start().  sys_fail: the n-th call of that kind from now on (1: the next) fails, and
 * if `for_good` those after it; 0: none does. */
enum sys_call {
    SYS_CALLOC,
    SYS_MMAP,
    SYS_MPROTECT,
    SYS_MADVISE,
    SYS_THREAD_CREATE,
    SYS_EPOLL_CREATE,
    SYS_EPOLL_CTL,
    SYS_EVENTFD,
    SYS_EPOLL_WAIT,
    SYS_CALLS,
};
void sys_watch(void);
long sys_calls(enum sys_call call);
void sys_fail(enum sys_call call, long nth, bool for_good);
bool sys_failed(void); /* one did, since sys_fail() */

/* What the process has now.  blocks: of memory, got and not freed by the library since
 * sys_watch(). */
struct resources {
    long blocks, descriptors, threads;
};
struct resources count_resources(void);

/* Resident memory of the process in bytes. */
size_t resident_bytes(void);

/* Run fn(arg) in a child process, whose exit code is what it returns.  What it says on standard
 * error goes to heard[size], which is a string then.  How it ended, as of waitpid(). */
int run_in_child(lw_fn *fn, void *arg, char *heard, size_t size);

#endif
