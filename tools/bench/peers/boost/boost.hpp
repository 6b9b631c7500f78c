/* SPDX-License-Identifier: MIT */
/* What the files of the Boost.Fiber peer share: how its fibers are made.
 *
 * One worker: the round-robin scheduler.  Two: a thread per worker with the work-stealing
 * scheduler.  Stacks have 16 KiB and come from malloc, which is told to keep its memory (the
 * library's own pool may be used by one thread only, while a stolen fiber ends in another, and
 * is no faster).  How a fiber starts is the faster of the two ways: launch::post queues it,
 * launch::dispatch runs it at once and so keeps fewer alive. */
#ifndef BENCH_BOOST_HPP
#define BENCH_BOOST_HPP

#include "bench.h"

#include <boost/fiber/all.hpp>
#include <cstddef>
#include <utility>
#include <vector>

enum { STACK_BYTES = 16 * 1024 };

template <typename Fn>
boost::fibers::fiber start(Fn fn, boost::fibers::launch how = boost::fibers::launch::post)
{
    return boost::fibers::fiber(how, std::allocator_arg,
                                boost::fibers::fixedsize_stack(STACK_BYTES), std::move(fn));
}

/* Starts so many fibers that run fn(i), waits for them, and gives the ns that took. */
template <typename Fn>
double all(int count, Fn fn)
{
    std::vector<boost::fibers::fiber> children;

    children.reserve(static_cast<std::size_t>(count));
    int64_t began = bench_now();
    for (int i = 0; i < count; i++)
        children.push_back(start([&fn, i] { fn(i); }));
    for (boost::fibers::fiber &child : children)
        child.join();
    return static_cast<double>(bench_now() - began);
}

/* The workloads.  Each is called in a fiber, with the workers running. */
void spawn_batch(struct bench *bench);
void spawn_all(struct bench *bench);
void fib(struct bench *bench);
void skynet(struct bench *bench);
void yield2(struct bench *bench);
void yield1000(struct bench *bench);
void pingpong(struct bench *bench);
void chan(struct bench *bench);
void mutex1(struct bench *bench);
void mutex64(struct bench *bench);
void rlock1(struct bench *bench);
void rlock_nested(struct bench *bench);
void rlock64(struct bench *bench);
void condition(struct bench *bench);
void barrier8(struct bench *bench);
void sleepers(struct bench *bench);
void parked(struct bench *bench);
void wake(struct bench *bench);

#endif
