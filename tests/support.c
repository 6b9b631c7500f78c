/* SPDX-License-Identifier: MIT */
#include "tests/support.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#if __has_feature(address_sanitizer)
#define LEAKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifdef __SANITIZE_ADDRESS__
#define LEAKS 1
#endif

#ifdef LEAKS
#include <sanitizer/lsan_interface.h>
#endif

static bool is_slow(void)
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

void watchdog(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(is_slow() ? 300 : 60);
}

void run_with(unsigned workers, lw_fn *fn, void *arg)
{
    lw_options options = {.name = "test", .workers = workers};
    int status = lw_run(&options, fn, arg);

    cr_assert_eq(status, 0, "%u workers: status %d (%s)", workers, status, strerror(status < 0 ? -status : 0));
}

void run_all(lw_fn *fn, void *arg)
{
    run_with(1, fn, arg);
    run_with(2, fn, arg);
    run_with(4, fn, arg);
}

void assert_no_leaks(void)
{
#ifdef LEAKS
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "LeakSanitizer found leaks");
#endif
}
