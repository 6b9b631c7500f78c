/* SPDX-License-Identifier: MIT */
/* Threads that wait for each other: pingpong and wake over semaphores, condition, barrier8. */
#include "threads.h"
#include "workloads.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { PARTIES = 8 };

struct exchange {
    long count, rounds;
    sem_t to, fro;
};

static void take(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        bench_check(errno == EINTR ? 0 : -errno, "sem_wait");
}

static void *answer(void *arg)
{
    struct exchange *exchange = arg;

    for (long i = 0; i < exchange->rounds; i++) {
        take(&exchange->to);
        exchange->count++;
        sem_post(&exchange->fro);
    }
    return NULL;
}

/* One token between two threads, over a semaphore each way. */
static void round_trips(long n, double *ns, double *cpu)
{
    struct exchange exchange = { .rounds = n };

    sem_init(&exchange.to, 0, 0);
    sem_init(&exchange.fro, 0, 0);
    pthread_t other = thread_start(answer, &exchange);

    int64_t began = bench_now(), used = bench_cpu();
    for (long i = 0; i < n; i++) {
        sem_post(&exchange.to);
        take(&exchange.fro);
        if (exchange.count != i + 1)
            bench_fail("answer %ld came as number %ld", exchange.count, i + 1);
    }
    *ns = (double)(bench_now() - began) / (double)n;
    *cpu = (double)(bench_cpu() - used) / (double)n;
    pthread_join(other, NULL);
}

void pingpong(struct bench *bench)
{
    double ns, cpu;

    round_trips(bench->n / 10, &ns, &cpu);
    round_trips(bench->n, &ns, &cpu);
    bench_add(bench, "", ns, "ns");
}

void wake(struct bench *bench)
{
    double ns, cpu;

    round_trips(bench->n / 10, &ns, &cpu);
    round_trips(bench->n, &ns, &cpu);
    bench_add(bench, "time", ns / 1e3, "us");
    bench_add(bench, "cpu", cpu / 1e3, "us");
}

struct turns {
    pthread_mutex_t mutex;
    pthread_cond_t mine[2];
    long turn, rounds; /* the one whose number is turn % 2 is to go on */
};

static void *take_turns(void *arg)
{
    const struct member *member = arg;
    struct turns *turns = member->shared;
    long rounds = turns->rounds;

    for (long i = 0; i < rounds; i++) {
        pthread_mutex_lock(&turns->mutex);
        while (turns->turn % 2 != member->number)
            pthread_cond_wait(&turns->mine[member->number], &turns->mutex);
        turns->turn++;
        pthread_cond_signal(&turns->mine[1 - member->number]);
        pthread_mutex_unlock(&turns->mutex);
    }
    return NULL;
}

static double in_turn(long rounds)
{
    struct turns turns = { .mutex = PTHREAD_MUTEX_INITIALIZER,
                           .mine = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER },
                           .rounds = rounds };
    double ns = threads_run(2, take_turns, &turns);

    if (turns.turn != 2 * rounds)
        bench_fail("%ld of %ld turns", turns.turn, 2 * rounds);
    return ns / (double)rounds;
}

void condition(struct bench *bench)
{
    (void)in_turn(bench->n / 10 + 1);
    bench_add(bench, "", in_turn(bench->n), "ns");
}

struct meetings {
    pthread_barrier_t barrier;
    long rounds;
    _Atomic long came; /* in all */
};

static void *meet(void *arg)
{
    struct meetings *meetings = ((struct member *)arg)->shared;
    long rounds = meetings->rounds;

    for (long i = 0; i < rounds; i++) {
        atomic_fetch_add_explicit(&meetings->came, 1, memory_order_relaxed);
        pthread_barrier_wait(&meetings->barrier);
        if (atomic_load_explicit(&meetings->came, memory_order_relaxed) < (i + 1) * PARTIES)
            bench_fail("let go before all had come");
    }
    return NULL;
}

static double meet_often(long rounds)
{
    struct meetings meetings = { .rounds = rounds };

    pthread_barrier_init(&meetings.barrier, NULL, PARTIES);
    double ns = threads_run(PARTIES, meet, &meetings);
    pthread_barrier_destroy(&meetings.barrier);
    return ns / (double)rounds;
}

void barrier8(struct bench *bench)
{
    (void)meet_often(bench->n / 10 + 1);
    bench_add(bench, "", meet_often(bench->n), "ns");
}
