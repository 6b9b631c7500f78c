/* SPDX-License-Identifier: MIT */
/* Several threads that do one thing each, for the peers whose tasks are threads. */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

#include "bench.h"

#include <pthread.h>
#include <stddef.h>

enum { THREAD_STACK = 64 * 1024, THREADS_MOST = 64 };

/* What each thread gets. */
struct member {
    void *shared;
    long number;
};

static inline pthread_t thread_start(void *(*fn)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    bench_check(-pthread_create(&thread, &attributes, fn, arg), "pthread_create");
    pthread_attr_destroy(&attributes);
    return thread;
}

/* Runs fn in so many threads at once, waits for them, and gives the ns that took.  Also one is a
 * thread of its own: while a process has only one, the C library's mutex need not be atomic. */
static inline double threads_run(long count, void *(*fn)(void *), void *shared)
{
    struct member members[THREADS_MOST];
    pthread_t threads[THREADS_MOST];

    if (count > THREADS_MOST)
        bench_fail("more than %d threads", THREADS_MOST);

    int64_t began = bench_now();
    for (long i = 0; i < count; i++) {
        members[i] = (struct member){ shared, i };
        threads[i] = thread_start(fn, &members[i]);
    }
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return (double)(bench_now() - began);
}

#endif
