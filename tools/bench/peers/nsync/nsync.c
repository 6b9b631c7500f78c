/* SPDX-License-Identifier: MIT */
/* The nsync peer: its lock, which is one for readers and writers too, its condition and its once,
 * in threads as in peers/pthread. */
#include "threads.h"

#include <nsync.h>
#include <stdatomic.h>
#include <string.h>

enum { CROWD = 64 };

struct counted {
    _Alignas(64) long count;
    long each;
    nsync_mu mu;
};

static void *under_write(void *arg)
{
    struct counted *counted = ((struct member *)arg)->shared;
    long each = counted->each;

    for (long i = 0; i < each; i++) {
        nsync_mu_lock(&counted->mu);
        counted->count++;
        nsync_mu_unlock(&counted->mu);
    }
    return NULL;
}

static void *under_read(void *arg)
{
    struct counted *counted = ((struct member *)arg)->shared;
    long each = counted->each;

    for (long i = 0; i < each; i++) {
        nsync_mu_rlock(&counted->mu);
        counted->count++;
        nsync_mu_runlock(&counted->mu);
    }
    return NULL;
}

static double count(long crowd, void *(*fn)(void *), long each)
{
    struct counted counted = { .each = each, .mu = NSYNC_MU_INIT };
    double ns = threads_run(crowd, fn, &counted);

    if (counted.count != crowd * each)
        bench_fail("counted %ld instead of %ld", counted.count, crowd * each);
    return ns / (double)counted.count;
}

static void locks(struct bench *bench)
{
    long crowd = strstr(bench->workload, "64") != NULL ? CROWD : 1;
    void *(*fn)(void *) = strstr(bench->workload, "read") != NULL ? under_read : under_write;

    (void)count(crowd, fn, bench->n / crowd / 10 + 1);
    bench_add(bench, "", count(crowd, fn, bench->n / crowd), "ns");
}

struct guarded {
    nsync_mu mu;
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
            nsync_mu_lock(&guarded->mu);
            bench_count_up(&guarded->table, drawn);
            nsync_mu_unlock(&guarded->mu);
            writes++;
        } else {
            nsync_mu_rlock(&guarded->mu);
            bench_look_up(&guarded->table, drawn);
            nsync_mu_runlock(&guarded->mu);
        }
    }
    atomic_fetch_add_explicit(&guarded->writes, writes, memory_order_relaxed); /* the join orders */
    return NULL;
}

static double read_mostly(unsigned reads, long each)
{
    struct guarded guarded = { .mu = NSYNC_MU_INIT, .each = each, .reads = reads };
    double ns = threads_run(CROWD, use, &guarded);

    bench_check_table(&guarded.table, atomic_load_explicit(&guarded.writes, memory_order_relaxed));
    return ns / (double)(CROWD * each);
}

static void readers(struct bench *bench)
{
    unsigned reads = bench_share(bench);

    (void)read_mostly(reads, bench->n / CROWD / 10 + 1);
    bench_add(bench, "", read_mostly(reads, bench->n / CROWD), "ns");
}

struct turns {
    nsync_mu mu;
    nsync_cv mine[2];
    long turn, rounds; /* the one whose number is turn % 2 is to go on */
};

static void *take_turns(void *arg)
{
    const struct member *member = arg;
    struct turns *turns = member->shared;
    long rounds = turns->rounds;

    for (long i = 0; i < rounds; i++) {
        nsync_mu_lock(&turns->mu);
        while (turns->turn % 2 != member->number)
            nsync_cv_wait(&turns->mine[member->number], &turns->mu);
        turns->turn++;
        nsync_cv_signal(&turns->mine[1 - member->number]);
        nsync_mu_unlock(&turns->mu);
    }
    return NULL;
}

static double in_turn(long rounds)
{
    struct turns turns = { .mu = NSYNC_MU_INIT,
                           .mine = { NSYNC_CV_INIT, NSYNC_CV_INIT },
                           .rounds = rounds };
    double ns = threads_run(2, take_turns, &turns);

    if (turns.turn != 2 * rounds)
        bench_fail("%ld of %ld turns", turns.turn, 2 * rounds);
    return ns / (double)rounds;
}

static void condition(struct bench *bench)
{
    (void)in_turn(bench->n / 10 + 1);
    bench_add(bench, "", in_turn(bench->n), "ns");
}

static long done;

static void do_it(void)
{
    done++;
}

static void *run_once(void *arg)
{
    static nsync_once once = NSYNC_ONCE_INIT;
    long each = *(long *)((struct member *)arg)->shared;

    for (long i = 0; i < each; i++)
        nsync_run_once(&once, do_it);
    return NULL;
}

static void once1(struct bench *bench)
{
    long warm = bench->n / 10 + 1;

    (void)threads_run(1, run_once, &warm);
    double ns = threads_run(1, run_once, &bench->n);
    if (done != 1)
        bench_fail("done %ld times", done);
    bench_add(bench, "", ns / (double)bench->n, "ns");
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = {
        { "mutex1", locks },
        { "mutex64", locks },
        { "rwlock_read1", locks },
        { "rwlock_write1", locks },
        { "rwlock_write64", locks },
        { "rwlock95", readers },
        { "rwlock99", readers },
        { "condition", condition },
        { "once1", once1 },
        { NULL, NULL },
    };

    return bench_main(argc, argv, "nsync", workloads);
}
