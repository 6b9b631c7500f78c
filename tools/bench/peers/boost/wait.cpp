/* SPDX-License-Identifier: MIT */
/* What is mostly waiting, with Boost.Fiber: sleepers, parked, wake. */
#include "boost.hpp"

#include <algorithm>
#include <boost/fiber/buffered_channel.hpp>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <semaphore.h>
#include <thread>
#include <vector>

namespace {

namespace fibers = boost::fibers;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

struct sleep_figures {
    double cpu_seconds, late_us;
};

/* The handles and the figures are the caller's, for both passes: so the stacks lie where those
 * of the pass before have touched memory.  The same below. */
sleep_figures sleep_all(std::vector<fibers::fiber> &children, std::vector<float> &late)
{
    std::fill(late.begin(), late.end(), -1.0F);
    int64_t used = bench_cpu();

    for (std::size_t i = 0; i < children.size(); i++)
        children[i] = start([&late, i] {
            steady_clock::time_point due = steady_clock::now() + nanoseconds(bench_sleep_ns(i));

            boost::this_fiber::sleep_until(due);
            late[i] = std::chrono::duration<float, std::micro>(steady_clock::now() - due).count();
        });
    for (fibers::fiber &child : children)
        child.join();

    double cpu = static_cast<double>(bench_cpu() - used) / 1e9;
    double p99 = bench_quantile(late.data(), static_cast<long>(late.size()), 0.99);
    if (late[0] < 0)
        bench_fail("a sleeper woke %g us early, or never", -static_cast<double>(late[0]));
    return { cpu, p99 };
}

struct gate {
    fibers::mutex mutex;
    fibers::condition_variable condition;
    bool open = false;
    long waiting = 0;

    void pass()
    {
        std::unique_lock<fibers::mutex> hold(mutex);

        waiting++;
        condition.wait(hold, [this] { return open; });
    }

    bool all_wait(long n)
    {
        std::lock_guard<fibers::mutex> hold(mutex);

        return waiting == n;
    }

    void set()
    {
        std::lock_guard<fibers::mutex> hold(mutex);

        open = true;
        condition.notify_all();
    }
};

/* Bytes per parked fiber, and ns from setting the event until all have ended, per fiber. */
void park_all(std::vector<fibers::fiber> &children, double *bytes, double *ns)
{
    long n = static_cast<long>(children.size()), before = bench_rss();
    gate gate;

    for (fibers::fiber &child : children)
        child = start([&gate] { gate.pass(); });
    while (!gate.all_wait(n))
        boost::this_fiber::yield();
    *bytes = static_cast<double>(bench_rss() - before) / static_cast<double>(n);

    int64_t began = bench_now();
    gate.set();
    for (fibers::fiber &child : children)
        child.join();
    *ns = static_cast<double>(bench_now() - began) / static_cast<double>(n);
}

/* A plain thread pushes into a channel that a fiber pops from; the way back is a semaphore of
 * the C library. */
void round_trips(long n, double *ns, double *cpu)
{
    fibers::buffered_channel<long> to(2);
    long answered = -1;
    sem_t fro;

    sem_init(&fro, 0, 0);
    fibers::fiber task = start([&] {
        for (long i = 0; i < n; i++) {
            to.pop(answered);
            sem_post(&fro);
        }
    });
    std::thread poster([&] {
        int64_t began = bench_now(), used = bench_cpu();

        for (long i = 0; i < n; i++) {
            to.push(i);
            while (sem_wait(&fro) < 0)
                bench_check(errno == EINTR ? 0 : -errno, "sem_wait");
            if (answered != i)
                bench_fail("answer %ld instead of %ld", answered, i);
        }
        *ns = static_cast<double>(bench_now() - began) / static_cast<double>(n);
        *cpu = static_cast<double>(bench_cpu() - used) / static_cast<double>(n);
    });

    task.join();
    poster.join();
    sem_destroy(&fro);
}

} // namespace

void sleepers(struct bench *bench)
{
    std::vector<fibers::fiber> children(static_cast<std::size_t>(bench->n));
    std::vector<float> late(children.size());
    sleep_figures cold = sleep_all(children, late), warm = sleep_all(children, late);

    bench_add(bench, "cpu", warm.cpu_seconds, "s");
    bench_add(bench, "p99", warm.late_us, "us");
    bench_add(bench, "cpu_cold", cold.cpu_seconds, "s");
    bench_add(bench, "p99_cold", cold.late_us, "us");
}

void parked(struct bench *bench)
{
    std::vector<fibers::fiber> children(static_cast<std::size_t>(bench->n));
    double bytes, bytes_warm, ns;

    park_all(children, &bytes, &ns);
    park_all(children, &bytes_warm, &ns);
    bench_add(bench, "bytes", bytes, "B");
    bench_add(bench, "wake", ns, "ns");
}

void wake(struct bench *bench)
{
    double ns, cpu;

    round_trips(bench->n / 10, &ns, &cpu);
    round_trips(bench->n, &ns, &cpu);
    bench_add(bench, "time", ns / 1e3, "us");
    bench_add(bench, "cpu", cpu / 1e3, "us");
}
