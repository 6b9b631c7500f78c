/* SPDX-License-Identifier: MIT */
/* What the locks of the C library cost, alone and among 64 threads: as latchwork/locks.c. */
#include "threads.h"
#include "workloads.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

enum { CROWD = 64 };

struct counted {
    _Alignas(64) long count;
    long each;
    pthread_mutex_t mutex, rlock;
    pthread_rwlock_t rwlock;
    sem_t semaphore;
};

/* Each lock has a loop of its own, with direct calls in it. */
#define COUNT(under, acquire, release)                                                            \
    static void *under(void *arg)                                                                 \
    {                                                                                             \
        struct counted *counted = ((struct member *)arg)->shared;                                 \
        long each = counted->each;                                                                \
                                                                                                  \
        for (long i = 0; i < each; i++) {                                                         \
            acquire;                                                                              \
            counted->count++;                                                                     \
            release;                                                                              \
        }                                                                                         \
        return NULL;                                                                              \
    }

static void take(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        bench_check(errno == EINTR ? 0 : -errno, "sem_wait");
}

COUNT(under_mutex, pthread_mutex_lock(&counted->mutex), pthread_mutex_unlock(&counted->mutex))
COUNT(under_rlock, pthread_mutex_lock(&counted->rlock), pthread_mutex_unlock(&counted->rlock))
COUNT(under_semaphore, take(&counted->semaphore), sem_post(&counted->semaphore))
COUNT(under_read, pthread_rwlock_rdlock(&counted->rwlock), pthread_rwlock_unlock(&counted->rwlock))
COUNT(under_write, pthread_rwlock_wrlock(&counted->rwlock),
      pthread_rwlock_unlock(&counted->rwlock))

static void *nested(void *arg)
{
    struct counted *counted = ((struct member *)arg)->shared;

    pthread_mutex_lock(&counted->rlock);
    under_rlock(arg);
    pthread_mutex_unlock(&counted->rlock);
    return NULL;
}

static const struct kind {
    const char *workload;
    long crowd;
    void *(*count)(void *);
} kinds[] = {
    { "mutex1", 1, under_mutex },
    { "mutex64", CROWD, under_mutex },
    { "rlock1", 1, under_rlock },
    { "rlock_nested", 1, nested },
    { "rlock64", CROWD, under_rlock },
    { "semaphore1", 1, under_semaphore },
    { "semaphore64", CROWD, under_semaphore },
    { "rwlock_read1", 1, under_read },
    { "rwlock_write1", 1, under_write },
    { "rwlock_write64", CROWD, under_write },
};

static const struct kind *kind_of(const struct bench *bench)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].workload, bench->workload) == 0)
            return &kinds[i];
    bench_fail("no lock for %s", bench->workload);
}

static double run(const struct kind *kind, long each)
{
    struct counted counted = { .each = each,
                               .mutex = PTHREAD_MUTEX_INITIALIZER,
                               .rlock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
                               .rwlock = PTHREAD_RWLOCK_INITIALIZER };

    sem_init(&counted.semaphore, 0, 1);
    double ns = threads_run(kind->crowd, kind->count, &counted);
    if (counted.count != kind->crowd * each)
        bench_fail("counted %ld instead of %ld", counted.count, kind->crowd * each);
    sem_destroy(&counted.semaphore);
    return ns / (double)counted.count;
}

void locks(struct bench *bench)
{
    const struct kind *kind = kind_of(bench);

    (void)run(kind, bench->n / kind->crowd / 10 + 1);
    bench_add(bench, "", run(kind, bench->n / kind->crowd), "ns");
}

struct guarded {
    pthread_rwlock_t lock;
    struct bench_table table;
    long each;
    unsigned reads;
    _Atomic long writes;
};

static void *use(void *arg)
{
    const struct member *member = arg;
    struct guarded *guarded = member->shared;
    uint64_t state = (uint64_t)member->number + 1;
    long each = guarded->each, writes = 0;

    for (long i = 0; i < each; i++) {
        uint64_t drawn = bench_draw(&state);

        if (bench_writes(drawn, guarded->reads)) {
            pthread_rwlock_wrlock(&guarded->lock);
            bench_count_up(&guarded->table, drawn);
            writes++;
        } else {
            pthread_rwlock_rdlock(&guarded->lock);
            bench_look_up(&guarded->table, drawn);
        }
        pthread_rwlock_unlock(&guarded->lock);
    }
    atomic_fetch_add_explicit(&guarded->writes, writes, memory_order_relaxed); /* the join orders */
    return NULL;
}

static double read_mostly(unsigned reads, long each)
{
    struct guarded guarded = { .lock = PTHREAD_RWLOCK_INITIALIZER, .each = each, .reads = reads };
    double ns = threads_run(CROWD, use, &guarded);

    bench_check_table(&guarded.table, atomic_load_explicit(&guarded.writes, memory_order_relaxed));
    return ns / (double)(CROWD * each);
}

void readers(struct bench *bench)
{
    unsigned reads = bench_share(bench);

    (void)read_mostly(reads, bench->n / CROWD / 10 + 1);
    bench_add(bench, "", read_mostly(reads, bench->n / CROWD), "ns");
}

static long done;

static void do_it(void)
{
    done++;
}

static void *run_once(void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    long each = *(long *)((struct member *)arg)->shared;

    for (long i = 0; i < each; i++)
        pthread_once(&once, do_it);
    return NULL;
}

void once1(struct bench *bench)
{
    long warm = bench->n / 10 + 1;

    (void)threads_run(1, run_once, &warm);
    double ns = threads_run(1, run_once, &bench->n);
    if (done != 1)
        bench_fail("done %ld times", done);
    bench_add(bench, "", ns / (double)bench->n, "ns");
}
