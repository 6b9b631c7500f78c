/* SPDX-License-Identifier: MIT */
/* What the suites share: a watchdog, runs on several numbers of workers, leaks that fail a test, calls
 * of the system that fail when told to. */
#ifndef LW_TESTS_SUPPORT_H
#define LW_TESTS_SUPPORT_H

#include <criterion/criterion.h>
#include <latchwork.h>

/* Run fn as the first task of a runtime of that many workers; its status must be 0, and nothing may be
 * left: cr_assert says so. */
void run_with(unsigned workers, lw_fn *fn, void *arg);

/* The same with 1, 2 and 4 workers. */
void run_all(lw_fn *fn, void *arg);

/* In the body of a test, last: LeakSanitizer's verdict fails the test (a leak found at exit would not). */
void assert_no_leaks(void);

/* Kill the test with a dump of all tasks when it takes longer: in .init of each suite. */
void watchdog(void); /* 60 s, 300 s under sanitizers or valgrind */

/* Fewer rounds where everything is slow. */
long rounds(long count);

#endif
