/* SPDX-License-Identifier: MIT */
/* The Boost.Fiber peer: starts the workers, then runs the workload in a fiber (the main fiber is
 * pinned to its thread, and a thief gives up on a queue whose head is pinned). */
#include "boost.hpp"

#include <boost/fiber/algo/work_stealing.hpp>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <mutex>
#include <thread>
#include <vector>

namespace {

namespace fibers = boost::fibers;

enum { MAIN_STACK_BYTES = 256 * 1024 };

const struct bench_workload workloads[] = {
    { "spawn_batch", spawn_batch },
    { "spawn_all", spawn_all },
    { "fib", fib },
    { "skynet", skynet },
    { "yield2", yield2 },
    { "yield1000", yield1000 },
    { "pingpong", pingpong },
    { "chan", chan },
    { "mutex1", mutex1 },
    { "mutex64", mutex64 },
    { "rlock1", rlock1 },
    { "rlock_nested", rlock_nested },
    { "rlock64", rlock64 },
    { "condition", condition },
    { "barrier8", barrier8 },
    { "sleepers", sleepers },
    { "parked", parked },
    { "wake", wake },
    { nullptr, nullptr },
};

/* Where idle workers find enough to do they look for it all the time, since a sleeping thief of
 * this scheduler is not told of new work; elsewhere sleeping is faster, and does not burn what
 * is measured. */
bool idle_sleeps(const char *workload)
{
    for (const char *name : { "fib", "skynet", "yield2", "yield1000" })
        if (std::strcmp(workload, name) == 0)
            return false;
    return true;
}

/* The workers beside the first: each waits, in its main fiber, for the end. */
class crew {
public:
    crew(unsigned workers, bool sleeps) : _barrier(workers), _sleeps(sleeps), _workers(workers)
    {
        for (unsigned i = 1; i < workers; i++)
            _threads.emplace_back([this] { work(); });
        join_in();
    }

    ~crew()
    {
        {
            std::lock_guard<fibers::mutex> hold(_mutex);
            _done = true;
        }
        _condition.notify_all();
        for (std::thread &thread : _threads)
            thread.join();
    }

private:
    /* Nobody may steal before all schedulers are there. */
    void join_in()
    {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(_workers, _sleeps);
        _barrier.wait();
    }

    void work()
    {
        join_in();
        std::unique_lock<fibers::mutex> hold(_mutex);
        _condition.wait(hold, [this] { return _done; });
    }

    fibers::mutex _mutex;
    fibers::condition_variable _condition;
    fibers::barrier _barrier;
    std::vector<std::thread> _threads;
    bool _sleeps, _done = false;
    unsigned _workers;
};

int run(int argc, char **argv)
{
    int status = 2;

    fibers::fiber(fibers::launch::dispatch, std::allocator_arg,
                  fibers::fixedsize_stack(MAIN_STACK_BYTES),
                  [&] { status = bench_main(argc, argv, "boost", workloads); })
        .join();
    return status;
}

} // namespace

int main(int argc, char **argv)
{
    /* Keep freed stacks: giving the top of the heap back and taking it again would be most of
     * the time. */
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_TOP_PAD, 64 << 20);

    long workers = argc == 4 ? std::strtol(argv[2], nullptr, 10) : 1;

    if (workers <= 1)
        return run(argc, argv);

    crew crew(static_cast<unsigned>(workers), idle_sleeps(argv[1]));
    return run(argc, argv);
}
