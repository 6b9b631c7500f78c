/* SPDX-License-Identifier: MIT */
/* rwlock95 and rwlock99: 64 tasks on one small table; of a hundred operations so many only read.
 * With _readers after it the lock prefers them; else it is phase-fair. */
#include "crowd.h"

#include <stdatomic.h>
#include <string.h>

enum { CROWD = 64 };

struct guarded {
    lw_rwlock lock;
    struct bench_table table;
    long each;
    unsigned reads;
    _Atomic long writes;
};

static int use(void *arg)
{
    const struct member *member = arg;
    struct guarded *guarded = member->shared;
    uint64_t state = (uint64_t)member->number + 1;
    long each = guarded->each, writes = 0;

    for (long i = 0; i < each; i++) {
        uint64_t drawn = bench_draw(&state);
        bool writes_now = bench_writes(drawn, guarded->reads);
        lw_lock *lock = writes_now ? &guarded->lock.write : &guarded->lock.read;

        bench_check(lw_acquire(lock, LW_FOREVER), "acquire");
        if (writes_now)
            bench_count_up(&guarded->table, drawn);
        else
            bench_look_up(&guarded->table, drawn);
        bench_check(lw_release(lock), "release");
        writes += writes_now;
    }
    atomic_fetch_add_explicit(&guarded->writes, writes, memory_order_relaxed); /* the join orders */
    return 0;
}

static double run(const struct bench *bench, long n)
{
    uint32_t mode = strstr(bench->workload, "_readers") != NULL ? LW_RWLOCK_PREFER_READERS
                                                                : LW_RWLOCK_PHASE_FAIR;
    struct guarded guarded = { .lock = LW_RWLOCK_INIT("table", mode),
                               .each = n / CROWD,
                               .reads = bench_share(bench) };
    double ns = crowd_run(CROWD, use, &guarded);

    bench_check_table(&guarded.table, atomic_load_explicit(&guarded.writes, memory_order_relaxed));
    return ns / (double)(CROWD * guarded.each);
}

int readers(void *arg)
{
    struct bench *bench = arg;

    (void)run(bench, bench->n / 10 + CROWD);
    bench_add(bench, "", run(bench, bench->n), "ns");
    return 0;
}
