/* SPDX-License-Identifier: MIT */
/* What it costs an uncontended mutex that the locksmith knows who holds it: one task acquires it,
 * counts and releases it, with that and without (bare_mutex.c), in turn; per pair.  The median of
 * the differences of two turns of each. */
#include <stdlib.h>

#include "bare_mutex.h"
#include "workloads.h"

enum { PAIRS = 200000 };

static long count;

static double turn_with(lw_mutex *mutex)
{
    int64_t began = bench_now();

    for (int i = 0; i < PAIRS; i++) {
        bench_check(lw_mutex_acquire(mutex, LW_FOREVER), "acquire");
        count++;
        bench_check(lw_mutex_release(mutex), "release");
    }
    return (double)(bench_now() - began) / PAIRS;
}

static double turn_without(lw_mutex *mutex)
{
    int64_t began = bench_now();

    for (int i = 0; i < PAIRS; i++) {
        bench_check(bare_mutex_acquire(mutex, LW_FOREVER), "acquire");
        count++;
        bench_check(bare_mutex_release(mutex), "release");
    }
    return (double)(bench_now() - began) / PAIRS;
}

int bare1(void *arg)
{
    enum { WITH, WITHOUT, MORE, FIGURES };
    static const char *const names[] = { "with", "without", "more" };
    lw_mutex mutex = LW_MUTEX_INIT("count");
    struct bench *bench = arg;
    float *of[FIGURES];

    for (int i = 0; i < FIGURES; i++)
        if ((of[i] = malloc((size_t)bench->n * sizeof *of[i])) == NULL)
            bench_fail("no memory for %ld figures", bench->n);
    (void)turn_with(&mutex);
    (void)turn_without(&mutex);
    count = 0;
    for (long i = 0; i < bench->n; i++) {
        double with = turn_with(&mutex), without = turn_without(&mutex);

        without = (without + turn_without(&mutex)) / 2;
        with = (with + turn_with(&mutex)) / 2;
        of[WITH][i] = (float)with;
        of[WITHOUT][i] = (float)without;
        of[MORE][i] = (float)(with - without);
    }
    if (count != bench->n * 4 * PAIRS)
        bench_fail("counted %ld instead of %ld", count, bench->n * 4 * PAIRS);
    for (int i = 0; i < FIGURES; i++) {
        bench_add(bench, names[i], (double)bench_quantile(of[i], bench->n, 0.5), "ns");
        free(of[i]);
    }
    return 0;
}
