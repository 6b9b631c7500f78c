/* SPDX-License-Identifier: MIT */
/* What every benchmark program in C and C++ shares: the command line, the clocks, and the one
 * form of its output.
 *
 * A program is called as
 *
 *     bench-SYSTEM WORKLOAD WORKERS N
 *
 * and prints one line per figure:
 *
 *     workload system workers N value unit peak-RSS-KiB cas-pair-ns
 *
 * where the figure's name follows the workload after a dot if the workload has several
 * (parked.bytes).  The CAS pair is measured before and after the work in the same process, since
 * the machine changes its speed from minute to minute: a figure means something only beside it.
 *
 * A workload checks its own result and calls bench_fail() when it is wrong. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_FIGURES_MAX = 8 };

struct bench_figure {
    const char *name; /* "" for the workload's only figure */
    double value;
    const char *unit;
};

struct bench {
    const char *system, *workload;
    unsigned workers;
    long n; /* operations, tasks or depth, as the workload has it */
    double cas_pair_before;
    int figures_count;
    struct bench_figure figures[BENCH_FIGURES_MAX];
};

struct bench_workload {
    const char *name;
    void (*run)(struct bench *bench);
};

/* Read the command line, find the workload in the table (which ends with a NULL name), run it
 * and print its figures. Returns the program's exit status. */
int bench_main(int argc, char **argv, const char *system, const struct bench_workload *workloads);

/* Add a figure to what is printed when the workload has returned. */
void bench_add(struct bench *bench, const char *name, double value, const char *unit);

/* Say why the result is wrong, and exit with 1. */
__attribute__((noreturn, format(printf, 1, 2))) void bench_fail(const char *format, ...);

/* Fail unless the result of a call is 0 or positive; else it is a negative errno value. */
__attribute__((noreturn)) void bench_fail_call(long result, const char *what);

static inline void bench_check(long result, const char *what)
{
    if (__builtin_expect(result < 0, 0))
        bench_fail_call(result, what);
}

int64_t bench_now(void);     /* ns, CLOCK_MONOTONIC */
int64_t bench_cpu(void);     /* ns of CPU that this process has used, threads that ended included */
long bench_rss(void);        /* bytes resident now */
long bench_rss_peak(void);   /* KiB, the most since the program began */
double bench_cas_pair(void); /* ns of an uncontended CAS and the CAS back */

/* The delay of sleeper i: 0.5 to 1.5 s in ns, the same in every system. */
int64_t bench_sleep_ns(uint64_t i);

/* The value below which the given share of values lies; sorts them. */
double bench_quantile(float *values, long count, double share);

/* What an "empty" child does: it counts itself, in its thread, so that the count costs no shared
 * line.  The child may not switch meanwhile.  bench_children() gives the sum over the threads
 * and starts over; no child may run meanwhile, and every thread that ran one must still live. */
extern __thread long bench_children_here;
void bench_children_first(void);
long bench_children(void);

static inline void bench_child(void)
{
    if (bench_children_here++ == 0)
        bench_children_first();
}

/* What is read and written under the lock of rwlock95 and rwlock99: a small table, in which each
 * number is there twice.  So who looks while another writes may notice, and a write that is lost is
 * missing in the sum. */
enum { BENCH_KEYS = 64 };

struct bench_table {
    long numbers[BENCH_KEYS], again[BENCH_KEYS];
};

static inline void bench_look_up(const struct bench_table *table, uint64_t key)
{
    if (__builtin_expect(table->numbers[key % BENCH_KEYS] != table->again[key % BENCH_KEYS], 0))
        bench_fail("a write is half done");
}

static inline void bench_count_up(struct bench_table *table, uint64_t key)
{
    table->numbers[key % BENCH_KEYS]++;
    table->again[key % BENCH_KEYS]++;
}

/* Fail unless so many were written. */
void bench_check_table(const struct bench_table *table, long writes);

/* A pseudo-random number (xorshift64); the state begins with a number of the task's own, not 0. */
static inline uint64_t bench_draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Whether this operation, of which so many in a hundred read, writes. */
static inline bool bench_writes(uint64_t drawn, unsigned reads)
{
    return (drawn >> 32) % 100 >= reads;
}

/* The share of reads that a workload's name ends with. */
unsigned bench_share(const struct bench *bench);

/* fib(n), and how often fib(n) spawns its left branch. */
long bench_fib(int n);
long bench_fib_spawns(int n);

#ifdef __cplusplus
}
#endif
#endif
