/* SPDX-License-Identifier: MIT */
/* What a report says of a place in this program, which is built in several ways.
 *
 *     places lines        function, file and line, by debugging information
 *     places functions    function, offset and program, by the symbols
 *     places offsets      program and offset
 *     places without      the same with debugging information, but without libdw
 *     places stuck        the same, when the names do not come */
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <latchwork.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/os/os.h"

static struct lw_sys real;
static const char *mode;
static jmp_buf back;
static const void *last_site;
static pthread_t first_thread;
static sem_t go_on, was_freed;
static int line, last_line, asked;

/* In the place of the C library's, for the library that looks for libdw. */
void *dlopen(const char *name, int flags)
{
    void *(*next)(const char *name, int flags);
    void *found = dlsym(RTLD_NEXT, "dlopen");

    memcpy(&next, &found, sizeof next);
    if (name == NULL || strcmp(name, "libdw.so.1") != 0)
        return next(name, flags);
    if (strcmp(mode, "stuck") == 0)
        while (sem_wait(&go_on) != 0)
            continue;
    return strcmp(mode, "without") == 0 ? NULL : next(name, flags);
}

/* It stands still, so that patience does not end on a slow machine; but when the names are not to
 * come, an hour is over after the first look. */
static int64_t now_for_test(void)
{
    return LW_SEC + (strcmp(mode, "stuck") != 0 || asked++ == 0 ? 0 : 3600 * LW_SEC);
}

static void watched_free(void *memory)
{
    bool last = !pthread_equal(pthread_self(), first_thread);

    real.free(memory);
    if (last)
        (void)sem_post(&was_freed);
}

static __attribute__((noinline)) const void *here(void)
{
    return __builtin_return_address(0);
}

static __attribute__((noinline)) const void *take_lock(void)
{
    const void *site;

    line = __LINE__ + 1;
    site = here();
    __asm__ volatile("" : "+r"(site)); /* no tail call */
    return site;
}

static __attribute__((noinline, noreturn)) void never_come_back(void)
{
    last_site = __builtin_return_address(0);
    longjmp(back, 1);
}

/* Where this returns to there may be another function already. */
static __attribute__((noinline)) void call_last(void)
{
    last_line = __LINE__ + 1;
    never_come_back();
}

/* What the report says, as a string. */
static const char *report_of(const void *site)
{
    static char said[8192];
    lw_report_hold holds[] = {{(const lw_lock *)(uintptr_t)0x1000, "a lock", site, 0},
                              {(const lw_lock *)(uintptr_t)0x2000, "another", last_site, 0}};
    const void *start;
    lw_report_member member = {.task = {1}, .deadline = LW_FOREVER, .holds = holds,
                               .hold_count = 2};
    lw_report report = {.verdict = LW_VERDICT_ABANDONED, .members = &member, .member_count = 1,
                        .victim = 1};
    const char *(*function)(void) = gnu_get_libc_version;
    int fd = memfd_create("report", 0);

    memcpy(&start, &function, sizeof start);
    member.spawn_site = (const char *)start + 1;
    if (fd < 0 || lw_report_write(&report, LW_REPORT_TEXT, fd) != 0 ||
        pread(fd, said, sizeof said - 1, 0) <= 0)
        abort();
    (void)close(fd);
    return said;
}

static bool has(const char *said, const char *format, const char *name, int number)
{
    char wanted[256];

    (void)snprintf(wanted, sizeof wanted, format, name, number);
    if (strstr(said, wanted) != NULL)
        return true;
    (void)printf("places: \"%s\" is not in\n%s", wanted, said);
    return false;
}

int main(int count, char **args)
{
    const char *name = program_invocation_short_name, *said;
    const void *site;
    bool good;

    if (count != 2)
        return 2;
    mode = args[1];
    site = take_lock();
    if (setjmp(back) == 0)
        call_last();
    real = lw_sys;
    lw_sys.now = now_for_test;
    if (strcmp(mode, "stuck") == 0) {
        first_thread = pthread_self();
        lw_sys.free = watched_free;
    }
    said = report_of(site);
    if (strcmp(mode, "lines") == 0)
        good = has(said, "taken at take_lock (%s", "", 0) &&
               has(said, "%splaces.c:%d)\n", "/", line) &&
               has(said, "taken at call_last (%s", "", 0) &&
               has(said, "%splaces.c:%d)\n", "/", last_line);
    else if (strcmp(mode, "functions") == 0)
        good = has(said, "taken at take_lock%s", "", 0) &&
               has(said, "taken at call_last%s", "", 0) && has(said, " (%s)\n", name, 0);
    else
        good = has(said, "taken at %s+0x", name, 0);
    if (strcmp(mode, "without") == 0)
        good &= has(said, "spawned at %s+0x1 (libc.so.6)\n", "gnu_get_libc_version", 0);
    if (strcmp(mode, "stuck") == 0) { /* and who comes too late cleans up */
        good &= has(said, "spawned at %s+0x", "libc.so.6", 0);
        (void)sem_post(&go_on);
        while (sem_wait(&was_freed) != 0)
            continue;
    }
    return good ? 0 : 1;
}
