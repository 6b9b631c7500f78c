/* SPDX-License-Identifier: MIT */
/* The frame of a benchmark program: see bench.h. */
#include "bench.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t bench_cpu(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* One number of a file in /proc that is one line of numbers, or the one after a key; 0 if it is
 * not there. */
static long proc_number(const char *path, const char *format)
{
    char line[256];
    long number = 0;
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, format, &number) == 1)
            break;
    fclose(file);
    return number;
}

long bench_rss(void)
{
    return proc_number("/proc/self/statm", "%*d %ld") * sysconf(_SC_PAGESIZE);
}

/* Not ru_maxrss: that one survives exec and so may be the peak of whoever started us. */
long bench_rss_peak(void)
{
    return proc_number("/proc/self/status", "VmHWM: %ld");
}

#ifndef BENCH_CAS_PAIRS
#define BENCH_CAS_PAIRS 200000
#endif

/* The best of several short series, so that an interruption does not count. */
double bench_cas_pair(void)
{
    enum { SERIES = 5, PAIRS = BENCH_CAS_PAIRS };
    static _Atomic uint64_t word;
    double best = 1e9;

    for (int series = 0; series < SERIES; series++) {
        int64_t began = bench_now();

        for (int i = 0; i < PAIRS; i++) {
            uint64_t seen = 0;

            atomic_compare_exchange_strong_explicit(&word, &seen, 1, memory_order_acquire,
                                                    memory_order_relaxed);
            seen = 1;
            atomic_compare_exchange_strong_explicit(&word, &seen, 0, memory_order_release,
                                                    memory_order_relaxed);
        }

        double pair = (double)(bench_now() - began) / PAIRS;
        if (pair < best)
            best = pair;
    }
    return best;
}

void bench_add(struct bench *bench, const char *name, double value, const char *unit)
{
    if (bench->figures_count == BENCH_FIGURES_MAX)
        bench_fail("more than %d figures", BENCH_FIGURES_MAX);
    bench->figures[bench->figures_count++] = (struct bench_figure){ name, value, unit };
}

void bench_fail(const char *format, ...)
{
    va_list args;

    fputs("wrong: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1); /* other threads may be anywhere */
}

void bench_fail_call(long result, const char *what)
{
    bench_fail("%s: %s", what, strerror((int)-result));
}

/* splitmix64: a good hash of a counter. */
int64_t bench_sleep_ns(uint64_t i)
{
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return 500000000 + (int64_t)(z % 1000000001);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

double bench_quantile(float *values, long count, double share)
{
    qsort(values, (size_t)count, sizeof *values, compare_floats);

    long index = (long)((double)count * share);
    return values[index < count ? index : count - 1];
}

void bench_check_table(const struct bench_table *table, long writes)
{
    long sum = 0;

    for (uint64_t key = 0; key < BENCH_KEYS; key++) {
        bench_look_up(table, key);
        sum += table->numbers[key];
    }
    if (sum != writes)
        bench_fail("%ld of %ld writes", sum, writes);
}

unsigned bench_share(const struct bench *bench)
{
    return (unsigned)strtoul(bench->workload + strcspn(bench->workload, "0123456789"), NULL, 10);
}

long bench_fib(int n)
{
    long a = 0, b = 1;

    while (n-- > 0) {
        long next = a + b;

        a = b;
        b = next;
    }
    return a;
}

/* Every call with n >= 2 spawns once: fib(n + 1) - 1 of them. */
long bench_fib_spawns(int n)
{
    return bench_fib(n + 1) - 1;
}

enum { THREADS_MAX = 64 };

static pthread_mutex_t counters_mutex = PTHREAD_MUTEX_INITIALIZER;
static long *counters[THREADS_MAX];
static int counters_count;

__thread long bench_children_here;

/* Remember where this thread counts. */
void bench_children_first(void)
{
    pthread_mutex_lock(&counters_mutex);
    if (counters_count == THREADS_MAX)
        bench_fail("children ran on more than %d threads", THREADS_MAX);
    counters[counters_count++] = &bench_children_here;
    pthread_mutex_unlock(&counters_mutex);
}

long bench_children(void)
{
    long sum = 0;

    pthread_mutex_lock(&counters_mutex);
    while (counters_count > 0) {
        long *counter = counters[--counters_count];

        sum += *counter;
        *counter = 0;
    }
    pthread_mutex_unlock(&counters_mutex);
    return sum;
}

static int usage(const char *program, const struct bench_workload *workloads)
{
    fprintf(stderr, "usage: %s WORKLOAD WORKERS N\nworkloads:", program);
    for (; workloads->name != NULL; workloads++)
        fprintf(stderr, " %s", workloads->name);
    fputc('\n', stderr);
    return 2;
}

static void print_figures(const struct bench *bench)
{
    double pair = (bench->cas_pair_before + bench_cas_pair()) / 2;
    long peak = bench_rss_peak();

    for (int i = 0; i < bench->figures_count; i++) {
        const struct bench_figure *figure = &bench->figures[i];

        printf("%s%s%s %s %u %ld %.6g %s %ld %.2f\n", bench->workload,
               *figure->name != '\0' ? "." : "", figure->name, bench->system, bench->workers,
               bench->n, figure->value, figure->unit, peak, pair);
    }
}

int bench_main(int argc, char **argv, const char *system, const struct bench_workload *workloads)
{
    if (argc != 4)
        return usage(argv[0], workloads);

    const struct bench_workload *found = workloads;
    while (found->name != NULL && strcmp(found->name, argv[1]) != 0)
        found++;

    struct bench bench = { .system = system, .workload = argv[1] };
    bench.workers = (unsigned)strtoul(argv[2], NULL, 10);
    bench.n = strtol(argv[3], NULL, 10);
    if (found->name == NULL || bench.workers == 0 || bench.n <= 0)
        return usage(argv[0], workloads);

    bench.cas_pair_before = bench_cas_pair();
    found->run(&bench);
    print_figures(&bench);
    return fflush(stdout) == 0 ? 0 : 1;
}
