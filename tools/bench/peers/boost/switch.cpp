/* SPDX-License-Identifier: MIT */
/* What is mostly switches and hand-overs, with Boost.Fiber: yield2, yield1000, pingpong,
 * chan. */
#include "boost.hpp"

#include <atomic>
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/unbuffered_channel.hpp>

namespace {

namespace fibers = boost::fibers;

enum { PAIRS = 4, CAPACITY = 128, MANY = 1000 };

double yields(int count, long each)
{
    std::atomic<long> done{ 0 };
    double ns = all(count, [&](int) {
        long i = 0;

        for (; i < each; i++)
            boost::this_fiber::yield();
        done += i;
    });

    if (done != each * count)
        bench_fail("%ld of %ld yields", done.load(), each * count);
    return ns / static_cast<double>(each * count);
}

double round_trips(long n)
{
    fibers::unbuffered_channel<long> to, fro;
    double ns = all(2, [&](int side) {
        for (long i = 0, got = 0; i < n; i++) {
            if (side == 0)
                to.push(i);
            (side == 0 ? fro : to).pop(got);
            if (got != i)
                bench_fail("token %ld instead of %ld", got, i);
            if (side == 1)
                fro.push(got);
        }
    });

    return ns / static_cast<double>(n);
}

double messages(long n)
{
    fibers::buffered_channel<uint64_t> channel(CAPACITY);
    std::atomic<uint64_t> sum{ 0 };
    long each = n / PAIRS;
    double ns = all(2 * PAIRS, [&](int i) {
        if (i < PAIRS) {
            for (long sent = 1; sent <= each; sent++)
                channel.push(static_cast<uint64_t>(sent));
            return;
        }

        uint64_t mine = 0, got = 0;
        for (long received = 0; received < each; received++) {
            channel.pop(got);
            mine += got;
        }
        sum += mine;
    });
    uint64_t expected = static_cast<uint64_t>(each) * (static_cast<uint64_t>(each) + 1) / 2 * PAIRS;

    if (sum != expected)
        bench_fail("the sum of the messages is wrong");
    return ns / static_cast<double>(each * PAIRS);
}

} // namespace

void yield2(struct bench *bench)
{
    (void)yields(2, bench->n / 20);
    bench_add(bench, "", yields(2, bench->n / 2), "ns");
}

void yield1000(struct bench *bench)
{
    (void)yields(MANY, bench->n / (10 * MANY));
    bench_add(bench, "", yields(MANY, bench->n / MANY), "ns");
}

void pingpong(struct bench *bench)
{
    (void)round_trips(bench->n / 10);
    bench_add(bench, "", round_trips(bench->n), "ns");
}

void chan(struct bench *bench)
{
    (void)messages(bench->n / 10);
    bench_add(bench, "", messages(bench->n), "ns");
}
