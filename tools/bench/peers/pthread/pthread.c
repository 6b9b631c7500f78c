/* SPDX-License-Identifier: MIT */
/* The peer that everybody has: threads, mutexes and semaphores of the C library.  The workers
 * are the threads themselves; how many of them run at once is decided by the CPUs that the
 * caller pins the program to. */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

enum { CROWD = 64, CROWD_STACK = 64 * 1024 };

struct work {
    pthread_mutex_t mutex;
    long count, rounds;
    sem_t to, fro;
};

static pthread_t start(void *(*fn)(void *), struct work *work)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, CROWD_STACK);
    bench_check(-pthread_create(&thread, &attributes, fn, work), "pthread_create");
    pthread_attr_destroy(&attributes);
    return thread;
}

static void take(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        bench_check(errno == EINTR ? 0 : -errno, "sem_wait");
}

static void *pairs(void *arg)
{
    struct work *work = arg;

    for (long i = 0; i < work->rounds; i++) {
        pthread_mutex_lock(&work->mutex);
        pthread_mutex_unlock(&work->mutex);
    }
    return NULL;
}

/* In a second thread: while a process has only one, the C library's mutex need not be atomic. */
static void mutex1(struct bench *bench)
{
    struct work work = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rounds = bench->n / 10 };

    pthread_join(start(pairs, &work), NULL);
    work.rounds = bench->n;

    int64_t began = bench_now();
    pthread_join(start(pairs, &work), NULL);
    bench_add(bench, "", (double)(bench_now() - began) / (double)bench->n, "ns");
}

static void *count(void *arg)
{
    struct work *work = arg;

    for (long i = 0; i < work->rounds; i++) {
        pthread_mutex_lock(&work->mutex);
        work->count++;
        pthread_mutex_unlock(&work->mutex);
    }
    return NULL;
}

static double crowd(long n)
{
    struct work work = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rounds = n / CROWD };
    pthread_t threads[CROWD];
    int64_t began = bench_now();

    for (int i = 0; i < CROWD; i++)
        threads[i] = start(count, &work);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);

    double ns = (double)(bench_now() - began);
    if (work.count != work.rounds * CROWD)
        bench_fail("counted %ld instead of %ld", work.count, work.rounds * CROWD);
    return ns / (double)work.count;
}

static void mutex64(struct bench *bench)
{
    (void)crowd(bench->n / 10);
    bench_add(bench, "", crowd(bench->n), "ns");
}

static void *answer(void *arg)
{
    struct work *work = arg;

    for (long i = 0; i < work->rounds; i++) {
        take(&work->to);
        work->count++;
        sem_post(&work->fro);
    }
    return NULL;
}

/* One token between two threads, over a semaphore each way. */
static void round_trips(long n, double *ns, double *cpu)
{
    struct work work = { .rounds = n };

    sem_init(&work.to, 0, 0);
    sem_init(&work.fro, 0, 0);
    pthread_t other = start(answer, &work);

    int64_t began = bench_now(), used = bench_cpu();
    for (long i = 0; i < n; i++) {
        sem_post(&work.to);
        take(&work.fro);
        if (work.count != i + 1)
            bench_fail("answer %ld came as number %ld", work.count, i + 1);
    }
    *ns = (double)(bench_now() - began) / (double)n;
    *cpu = (double)(bench_cpu() - used) / (double)n;
    pthread_join(other, NULL);
}

static void pingpong(struct bench *bench)
{
    double ns, cpu;

    round_trips(bench->n / 10, &ns, &cpu);
    round_trips(bench->n, &ns, &cpu);
    bench_add(bench, "", ns, "ns");
}

static void wake(struct bench *bench)
{
    double ns, cpu;

    round_trips(bench->n / 10, &ns, &cpu);
    round_trips(bench->n, &ns, &cpu);
    bench_add(bench, "time", ns / 1e3, "us");
    bench_add(bench, "cpu", cpu / 1e3, "us");
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = {
        { "mutex1", mutex1 }, { "mutex64", mutex64 }, { "pingpong", pingpong },
        { "wake", wake },     { NULL, NULL },
    };

    return bench_main(argc, argv, "pthread", workloads);
}
