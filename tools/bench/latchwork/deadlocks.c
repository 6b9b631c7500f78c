/* SPDX-License-Identifier: MIT */
/* What it takes to find a deadlock.  deadlock2, deadlock100, deadlock1000: so many tasks wait for
 * each other in a circle; from the beginning of the acquire that closes it to the return of the
 * one that gives way.  deadlock2_other: that one is not who closes it, but waits already. */
#include "crowd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MORE_LOCKS = 8 };

static struct circle {
    long size;
    lw_mutex locks[CROWD_MAX];
    lw_latch all_hold;
    _Atomic(int64_t) closing; /* the latest beginning of an acquire */
    _Atomic(int64_t) gave_way;
    _Atomic(long) victims;
} circle;

static void note_latest(int64_t moment)
{
    int64_t latest = atomic_load(&circle.closing);

    while (latest < moment && !atomic_compare_exchange_weak(&circle.closing, &latest, moment))
        continue;
}

static int join_circle(void *arg)
{
    long number = ((struct member *)arg)->number;
    lw_mutex *mine = &circle.locks[number], *next = &circle.locks[(number + 1) % circle.size];

    bench_check(lw_mutex_acquire(mine, LW_FOREVER), "acquire");
    lw_latch_count_down(&circle.all_hold, 1);
    bench_check(lw_latch_wait(&circle.all_hold, LW_FOREVER), "latch");
    note_latest(bench_now());
    int err = lw_mutex_acquire(next, LW_FOREVER);
    if (err == -EDEADLK) {
        atomic_store(&circle.gave_way, bench_now());
        atomic_fetch_add(&circle.victims, 1);
    } else {
        bench_check(err, "acquire of the next one");
        bench_check(lw_mutex_release(next), "release");
    }
    return lw_mutex_release(mine);
}

/* Of two.  The first one comes to wait last, and holds more, so it is the other that gives way. */
static int join_with_more(void *arg)
{
    bool closes = ((struct member *)arg)->number == 0;
    lw_mutex *mine = &circle.locks[closes], *next = &circle.locks[!closes];
    static lw_mutex more[MORE_LOCKS];

    bench_check(lw_mutex_acquire(mine, LW_FOREVER), "acquire");
    for (int i = 0; closes && i < MORE_LOCKS; i++)
        bench_check(lw_mutex_acquire(&more[i], LW_FOREVER), "acquire");
    lw_latch_count_down(&circle.all_hold, 1);
    bench_check(lw_latch_wait(&circle.all_hold, LW_FOREVER), "latch");
    if (closes) {
        bench_check(lw_sleep(lw_in(LW_MS)), "sleep"); /* the other waits, and so does its worker */
        note_latest(bench_now());
    }
    int err = lw_mutex_acquire(next, LW_FOREVER);
    if (closes) {
        bench_check(err, "the acquire that closes the circle");
        for (int i = 0; i < MORE_LOCKS; i++)
            bench_check(lw_mutex_release(&more[i]), "release");
        bench_check(lw_mutex_release(next), "release");
    } else if (err == -EDEADLK) {
        atomic_store(&circle.gave_way, bench_now());
        atomic_fetch_add(&circle.victims, 1);
    } else {
        bench_check(err, "acquire");
        bench_check(lw_mutex_release(next), "release");
    }
    return lw_mutex_release(mine);
}

static void ignore(const lw_report *report, void *arg)
{
    (void)report;
    (void)arg;
}

static void turn_on(void)
{
    lw_detector_options options = { .mode = LW_DETECTOR_FORCE, .on_report = ignore,
                                    .long_hold = 3600 * LW_SEC }; /* it is held on purpose */

    bench_check(lw_detector_set(&options), "lw_detector_set");
}

static float one_circle(lw_fn *join)
{
    circle.all_hold = (lw_latch)LW_LATCH_INIT("all hold", circle.size);
    circle.closing = circle.gave_way = 0;
    circle.victims = 0;
    (void)crowd_run(circle.size, join, NULL);
    if (circle.victims != 1)
        bench_fail("%ld gave way instead of one", (long)circle.victims);
    return (float)(circle.gave_way - circle.closing);
}

int deadlock(void *arg)
{
    struct bench *bench = arg;
    bool other = strcmp(bench->workload, "deadlock2_other") == 0;
    lw_fn *join = other ? join_with_more : join_circle;
    float *times = malloc((size_t)bench->n * sizeof *times);

    if (times == NULL)
        bench_fail("no memory for %ld figures", bench->n);
    circle.size = atol(bench->workload + strlen("deadlock"));
    for (long i = 0; i < circle.size; i++) /* reports say what a lock is called */
        circle.locks[i] = (lw_mutex)LW_MUTEX_INIT("of the circle");
    turn_on();
    (void)one_circle(join);
    for (long i = 0; i < bench->n; i++)
        times[i] = one_circle(join);
    bench_add(bench, "p50", (double)bench_quantile(times, bench->n, 0.5) / 1000, "us");
    bench_add(bench, "p99", (double)bench_quantile(times, bench->n, 0.99) / 1000, "us");
    free(times);
    return 0;
}
