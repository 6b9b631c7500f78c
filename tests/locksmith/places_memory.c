/* SPDX-License-Identifier: MIT */
/* Whichever allocation fails while a report is written, also one of Jansson's or the C library's:
 * it is written, or it is -ENOMEM and not a byte is, and nothing is lost.  libdw cannot stand that:
 * it is not asked when there is little memory. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/os/os.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static long count, fail_at, live;
static bool for_good, failed;
static _Thread_local bool counting, is_first;
static bool others_count; /* then all threads but the first have so many allocations left: */
static long others_left;

static bool has_to_fail(void)
{
    long number;

    if (!is_first && __atomic_load_n(&others_count, __ATOMIC_ACQUIRE) &&
        __atomic_fetch_sub(&others_left, 1, __ATOMIC_RELAXED) <= 0) {
        errno = ENOMEM;
        return true;
    }
    if (!counting)
        return false;
    number = ++count;
    if (number != fail_at && !(for_good && number > fail_at))
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory)
{
    if (memory != NULL)
        (void)__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return memory;
}

void *malloc(size_t size)
{
    return has_to_fail() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t number, size_t size)
{
    return has_to_fail() ? NULL : counted(__libc_calloc(number, size));
}

void *realloc(void *memory, size_t size)
{
    if (has_to_fail())
        return NULL;
    return memory == NULL ? counted(__libc_realloc(memory, size)) : __libc_realloc(memory, size);
}

void free(void *memory)
{
    if (memory != NULL)
        (void)__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}

/* Try with the n-th allocation failing; whether one did.  whole: how long the report is; 0: that
 * depends on what was found. */
static bool try(const lw_report *report, lw_report_format format, long nth, off_t whole)
{
    int fd = memfd_create("report", 0), err;
    long before = __atomic_load_n(&live, __ATOMIC_RELAXED);
    off_t size;

    if (fd < 0)
        abort();
    count = 0;
    fail_at = nth;
    failed = false;
    counting = true;
    err = lw_report_write(report, format, fd);
    counting = false;
    size = lseek(fd, 0, SEEK_CUR);
    (void)close(fd);
    if (err != 0 ? err != -ENOMEM || size != 0 || !failed
                 : size == 0 || (whole != 0 && size != whole)) {
        (void)printf("format %d, allocation %ld: %d, %ld bytes\n", format, nth, err, (long)size);
        exit(1);
    }
    if (whole != 0 && __atomic_load_n(&live, __ATOMIC_RELAXED) != before) {
        (void)printf("format %d, allocation %ld: %ld lost\n", format, nth,
                     __atomic_load_n(&live, __ATOMIC_RELAXED) - before);
        exit(1);
    }
    return failed;
}

static long sweep(const lw_report *report, lw_report_format format, off_t whole)
{
    long nth = 1;

    while (try(report, format, nth, whole))
        nth++;
    return nth - 1;
}

static void *no_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    (void)at, (void)size, (void)protection, (void)flags, (void)fd, (void)offset;
    errno = ENOMEM;
    return MAP_FAILED;
}

/* Little is left, and that soon runs out for all threads: it is written without libdw, which would
 * end the process. */
static bool is_written_with_little(const lw_report *report)
{
    enum { STEPS = 300 };
    int fd = memfd_create("report", 0), err = 0;

    lw_sys.mmap = no_mmap;
    for (others_left = 0; others_left < STEPS && err == 0; others_left++) {
        long left = others_left;

        __atomic_store_n(&others_count, true, __ATOMIC_RELEASE);
        err = lw_report_write(report, LW_REPORT_TEXT, fd);
        __atomic_store_n(&others_count, false, __ATOMIC_RELEASE);
        others_left = left;
    }
    (void)close(fd);
    return err == 0;
}

int main(void)
{
    lw_report_hold holds[] = {{(const lw_lock *)(uintptr_t)0x1000, "a lock", NULL, 1},
                              {(const lw_lock *)(uintptr_t)0x2000, NULL, NULL, 0}};
    lw_report_member members[] = {
        {.task = {1}, .task_name = "one\xff", .kind_name = "mutex", .object_name = "it",
         .object = holds[0].lock, .deadline = LW_FOREVER},
        {.task = {2}, .holds = holds, .hold_count = 2, .deadline = 7},
    };
    lw_report_step step = {2, {1}, holds[0].lock, "refused"};
    lw_report report = {LW_VERDICT_DEADLOCK, true, 1, 2, 3, members, 2, 0, &step, 1};
    lw_report_format last = LW_REPORT_DOT;
    int null = memfd_create("null", 0);

    is_first = true;
    (void)!lw_report_write(&report, LW_REPORT_JSON, null); /* what is made once */
    for (int i = 0; i < 2; i++, for_good = true)
        for (lw_report_format format = LW_REPORT_TEXT; format <= last; format++) {
            off_t before = lseek(null, 0, SEEK_CUR);

            if (lw_report_write(&report, format, null) == -ENOTSUP)
                continue;
            if (sweep(&report, format, lseek(null, 0, SEEK_CUR) - before) < 2)
                return 1;
        }

    /* With places, which are looked up on another thread, by what allocates as it likes. */
    members[0].wait_site = (const void *)((uintptr_t)main + 1);
    holds[0].site = (const void *)((uintptr_t)sweep + 1);
    for_good = false;
    if (sweep(&report, LW_REPORT_TEXT, 0) < 3)
        return 1;
    for_good = true;
    return sweep(&report, LW_REPORT_TEXT, 0) < 3 || !is_written_with_little(&report);
}
