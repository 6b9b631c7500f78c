/* SPDX-License-Identifier: MIT */
/* What a lock costs: LOCK1, a task alone acquires and releases; LOCK64, 64 tasks count under one
 * lock; rlock_nested, as LOCK1 by one who has the lock already. */
#include "crowd.h"

#include <string.h>

enum { CROWD = 64 };

union any_lock {
    lw_mutex mutex;
    lw_rlock rlock;
    lw_priority_lock priority_lock;
    lw_priority_rlock priority_rlock;
    lw_semaphore semaphore;
    lw_bounded_semaphore bounded_semaphore;
    lw_priority_semaphore priority_semaphore;
    lw_rwlock rwlock;
};

struct counted {
    _Alignas(64) long count;
    long each;
    union any_lock lock;
};

/* Each lock has a loop of its own, with direct calls in it, as a program has them. */
#define COUNT(under, acquire, release)                                                            \
    static int under(void *arg)                                                                   \
    {                                                                                             \
        struct counted *counted = ((struct member *)arg)->shared;                                 \
        union any_lock *lock = &counted->lock;                                                    \
        long each = counted->each;                                                                \
                                                                                                  \
        for (long i = 0; i < each; i++) {                                                         \
            bench_check(acquire, "acquire");                                                      \
            counted->count++;                                                                     \
            bench_check(release, "release");                                                      \
        }                                                                                         \
        return 0;                                                                                 \
    }

COUNT(under_mutex, lw_mutex_acquire(&lock->mutex, LW_FOREVER), lw_mutex_release(&lock->mutex))
COUNT(under_rlock, lw_rlock_acquire(&lock->rlock, LW_FOREVER), lw_rlock_release(&lock->rlock))
COUNT(under_priority_lock, lw_priority_lock_acquire(&lock->priority_lock, 0, LW_FOREVER),
      lw_priority_lock_release(&lock->priority_lock))
COUNT(under_priority_rlock, lw_priority_rlock_acquire(&lock->priority_rlock, 0, LW_FOREVER),
      lw_priority_rlock_release(&lock->priority_rlock))
COUNT(under_semaphore, lw_semaphore_acquire(&lock->semaphore, 1, LW_FOREVER),
      lw_semaphore_release(&lock->semaphore, 1))
COUNT(under_bounded_semaphore,
      lw_bounded_semaphore_acquire(&lock->bounded_semaphore, 1, LW_FOREVER),
      lw_bounded_semaphore_release(&lock->bounded_semaphore, 1))
COUNT(under_priority_semaphore,
      lw_priority_semaphore_acquire(&lock->priority_semaphore, 0, LW_FOREVER),
      lw_priority_semaphore_release(&lock->priority_semaphore, 0))
COUNT(under_read, lw_acquire(&lock->rwlock.read, LW_FOREVER), lw_release(&lock->rwlock.read))
COUNT(under_write, lw_acquire(&lock->rwlock.write, LW_FOREVER), lw_release(&lock->rwlock.write))

static int nested(void *arg)
{
    struct counted *counted = ((struct member *)arg)->shared;

    bench_check(lw_rlock_acquire(&counted->lock.rlock, LW_FOREVER), "acquire");
    under_rlock(arg);
    bench_check(lw_rlock_release(&counted->lock.rlock), "release");
    return 0;
}

static const struct kind {
    const char *workload;
    long crowd;
    lw_fn *count;
    union any_lock free;
} kinds[] = {
    { "mutex1", 1, under_mutex, { .mutex = LW_MUTEX_INIT("count") } },
    { "mutex64", CROWD, under_mutex, { .mutex = LW_MUTEX_INIT("count") } },
    { "rlock1", 1, under_rlock, { .rlock = LW_RLOCK_INIT("count") } },
    { "rlock_nested", 1, nested, { .rlock = LW_RLOCK_INIT("count") } },
    { "rlock64", CROWD, under_rlock, { .rlock = LW_RLOCK_INIT("count") } },
    { "priority_lock1", 1, under_priority_lock,
      { .priority_lock = LW_PRIORITY_LOCK_INIT("count") } },
    { "priority_lock64", CROWD, under_priority_lock,
      { .priority_lock = LW_PRIORITY_LOCK_INIT("count") } },
    { "priority_rlock1", 1, under_priority_rlock,
      { .priority_rlock = LW_PRIORITY_RLOCK_INIT("count") } },
    { "semaphore1", 1, under_semaphore, { .semaphore = LW_SEMAPHORE_INIT("count", 1) } },
    { "semaphore64", CROWD, under_semaphore, { .semaphore = LW_SEMAPHORE_INIT("count", 1) } },
    { "bounded_semaphore1", 1, under_bounded_semaphore,
      { .bounded_semaphore = LW_BOUNDED_SEMAPHORE_INIT("count", 1) } },
    { "priority_semaphore1", 1, under_priority_semaphore,
      { .priority_semaphore = LW_PRIORITY_SEMAPHORE_INIT("count", 1) } },
    { "rwlock_read1", 1, under_read, { .rwlock = LW_RWLOCK_INIT("count", LW_RWLOCK_PHASE_FAIR) } },
    { "rwlock_write1", 1, under_write,
      { .rwlock = LW_RWLOCK_INIT("count", LW_RWLOCK_PHASE_FAIR) } },
    { "rwlock_write64", CROWD, under_write,
      { .rwlock = LW_RWLOCK_INIT("count", LW_RWLOCK_PHASE_FAIR) } },
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
    struct counted counted = { .each = each, .lock = kind->free };
    double ns = crowd_run(kind->crowd, kind->count, &counted);

    if (counted.count != kind->crowd * each)
        bench_fail("counted %ld instead of %ld", counted.count, kind->crowd * each);
    return ns / (double)counted.count;
}

int locks(void *arg)
{
    struct bench *bench = arg;
    const struct kind *kind = kind_of(bench);

    (void)run(kind, bench->n / kind->crowd / 10 + 1);
    bench_add(bench, "", run(kind, bench->n / kind->crowd), "ns");
    return 0;
}
