/* SPDX-License-Identifier: MIT */
/* A look at n tasks that wait for a lock, by who has it; per task.  whole: with the graph of all of
 * them, as lw_detector_scan() does it.  ages: as the detector's thread does it while none of them
 * is new, by the CPU time of that thread, less what it uses while the detector is turned off. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workloads.h"

enum { SCANS = 20, AGES_SCANS = 3 };
#define AGES_NS 1000000000 /* so long the thread looks, and at least so often */

static void hear_nothing(const lw_report *report, void *arg)
{
    (void)report;
    (void)arg;
}

/* None of these waits is reported for its age. */
static void set_mode(lw_detector_mode mode)
{
    lw_detector_options options;

    lw_detector_get(&options);
    options.mode = mode;
    options.on_report = hear_nothing;
    options.long_hold = options.long_wait = 3600 * LW_SEC;
    options.period_max = options.period_min; /* as often as it may */
    bench_check(lw_detector_set(&options), "lw_detector_set");
}

static double whole(long n)
{
    int64_t best = INT64_MAX;

    for (int done = 0; done < SCANS;) {
        int64_t began = bench_now(), took;
        int found = lw_detector_scan();

        took = bench_now() - began;
        if (found == -EBUSY) { /* the detector's thread does just that */
            bench_check(lw_sleep(lw_in(LW_MS)), "sleep");
            continue;
        }
        if (found != 0)
            bench_fail("a scan found %d", found);
        done++;
        if (took < best)
            best = took;
    }
    return (double)best / (double)n;
}

/* Of the detector's thread, as the kernel numbers such clocks; see clock_getcpuclockid(3). */
static clockid_t detectors_clock(void)
{
    enum { PER_THREAD = 4, SCHEDULED = 2 };
    DIR *threads = opendir("/proc/self/task");
    const struct dirent *entry;
    char path[PATH_MAX], name[32] = "";
    int number = 0;

    if (threads == NULL)
        bench_fail("no /proc/self/task");
    while (number == 0 && (entry = readdir(threads)) != NULL) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *comm = fopen(path, "r");
        if (comm == NULL)
            continue;
        if (fgets(name, sizeof name, comm) != NULL && strcmp(name, "lw-locksmith\n") == 0)
            number = atoi(entry->d_name);
        (void)fclose(comm);
    }
    (void)closedir(threads);
    if (number == 0)
        bench_fail("there is no thread that looks");
    return (clockid_t)(~(unsigned)number << 3 | PER_THREAD | SCHEDULED);
}

static int64_t time_of(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) != 0)
        bench_fail("no clock of the thread that looks");
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static uint64_t looks(void)
{
    lw_detector_counts counts;

    lw_detector_read(&counts);
    return counts.scans;
}

/* How much of the time, until so many looks.  The caller stays awake, or the thread would sleep,
 * too. */
static double share_used(clockid_t clock, uint64_t until)
{
    int64_t used = time_of(clock), began = bench_now(), now;

    do
        lw_yield();
    while ((now = bench_now()) < began + AGES_NS || looks() < until);
    return (double)(time_of(clock) - used) / (double)(now - began);
}

static double ages(long n)
{
    clockid_t clock = detectors_clock();
    uint64_t before = looks();
    int64_t began = bench_now();
    double share = share_used(clock, before + AGES_SCANS);
    double every = (double)(bench_now() - began) / (double)(looks() - before);

    set_mode(LW_DETECTOR_OFF);
    share -= share_used(clock, 0);
    return share * every / (double)n;
}

static _Atomic(long) come;

static int wait_for_it(void *lock)
{
    atomic_fetch_add(&come, 1);
    int err = lw_mutex_acquire(lock, LW_FOREVER);

    return err < 0 ? err : lw_mutex_release(lock);
}

int scan(void *arg)
{
    struct bench *bench = arg;
    lw_mutex lock = LW_MUTEX_INIT("lock");
    lw_group group = LW_GROUP_INIT(0);
    int status;

    set_mode(LW_DETECTOR_FORCE);
    bench_check(lw_mutex_acquire(&lock, LW_FOREVER), "acquire");
    LW_SCOPE(&group.scope, LW_FOREVER, status) {
        for (long i = 0; i < bench->n && status == 0; i++)
            status = lw_group_spawn(&group, wait_for_it, &lock, NULL);
        do
            bench_check(lw_sleep(lw_in(100 * LW_MS)), "sleep");
        while (atomic_load(&come) < bench->n); /* and have waited for so long, but the last */
        bench_add(bench, "whole", whole(bench->n), "ns");
        bench_check(lw_sleep(lw_in(100 * LW_MS)), "sleep"); /* and none is new */
        bench_add(bench, "ages", ages(bench->n), "ns");
        bench_check(lw_mutex_release(&lock), "release");
    }
    bench_check(status, "the group");
    return 0;
}
