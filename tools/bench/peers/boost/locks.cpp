/* SPDX-License-Identifier: MIT */
/* What guards and what brings together, with Boost.Fiber: the two mutexes, alone and among 64
 * fibers, condition, barrier8. */
#include "boost.hpp"

#include <atomic>
#include <mutex>

namespace {

namespace fibers = boost::fibers;

enum { CROWD = 64, PARTIES = 8 };

template <typename Mutex>
double lock_pairs(Mutex &mutex, int count, long each)
{
    volatile long counter = 0; /* a load and a store each time, as in the other systems */
    double ns = all(count, [&](int) {
        for (long i = 0; i < each; i++) {
            mutex.lock();
            counter = counter + 1;
            mutex.unlock();
        }
    });

    if (counter != each * count)
        bench_fail("counted %ld instead of %ld", static_cast<long>(counter), each * count);
    return ns / static_cast<double>(each * count);
}

template <typename Mutex>
void count_under(struct bench *bench, int count)
{
    Mutex mutex;

    (void)lock_pairs(mutex, count, bench->n / 10 / count);
    bench_add(bench, "", lock_pairs(mutex, count, bench->n / count), "ns");
}

/* The mutex of one who has it already. */
double nested_pairs(long each)
{
    fibers::recursive_mutex mutex;
    volatile long counter = 0;
    double ns = all(1, [&](int) {
        std::lock_guard<fibers::recursive_mutex> hold(mutex);

        for (long i = 0; i < each; i++) {
            mutex.lock();
            counter = counter + 1;
            mutex.unlock();
        }
    });

    if (counter != each)
        bench_fail("counted %ld instead of %ld", static_cast<long>(counter), each);
    return ns / static_cast<double>(each);
}

double in_turn(long rounds)
{
    fibers::mutex mutex;
    fibers::condition_variable mine[2];
    long turn = 0; /* the one whose number is turn % 2 is to go on */
    double ns = all(2, [&](int number) {
        for (long i = 0; i < rounds; i++) {
            std::unique_lock<fibers::mutex> hold(mutex);

            mine[number].wait(hold, [&] { return turn % 2 == number; });
            turn++;
            mine[1 - number].notify_one();
        }
    });

    if (turn != 2 * rounds)
        bench_fail("%ld of %ld turns", turn, 2 * rounds);
    return ns / static_cast<double>(rounds);
}

double meet_often(long rounds)
{
    fibers::barrier barrier(PARTIES);
    std::atomic<long> came{ 0 }; /* in all */
    double ns = all(PARTIES, [&](int) {
        for (long i = 0; i < rounds; i++) {
            came.fetch_add(1, std::memory_order_relaxed);
            barrier.wait();
            if (came.load(std::memory_order_relaxed) < (i + 1) * PARTIES)
                bench_fail("let go before all had come");
        }
    });

    return ns / static_cast<double>(rounds);
}

} // namespace

void mutex1(struct bench *bench)
{
    count_under<fibers::mutex>(bench, 1);
}

void mutex64(struct bench *bench)
{
    count_under<fibers::mutex>(bench, CROWD);
}

void rlock1(struct bench *bench)
{
    count_under<fibers::recursive_mutex>(bench, 1);
}

void rlock64(struct bench *bench)
{
    count_under<fibers::recursive_mutex>(bench, CROWD);
}

void rlock_nested(struct bench *bench)
{
    (void)nested_pairs(bench->n / 10);
    bench_add(bench, "", nested_pairs(bench->n), "ns");
}

void condition(struct bench *bench)
{
    (void)in_turn(bench->n / 10);
    bench_add(bench, "", in_turn(bench->n), "ns");
}

void barrier8(struct bench *bench)
{
    (void)meet_often(bench->n / 10);
    bench_add(bench, "", meet_often(bench->n), "ns");
}
