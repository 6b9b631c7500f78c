/* SPDX-License-Identifier: MIT */
/* The workloads of Latchwork.  Each is the function of a task; its argument is the struct bench. */
#ifndef BENCH_LATCHWORK_WORKLOADS_H
#define BENCH_LATCHWORK_WORKLOADS_H

#include "bench.h"

#include <latchwork.h>
#include <stddef.h>

lw_fn spawn_batch, spawn_all, spawn_all_join, fib, skynet, yield2, yield1000, pingpong, chan,
    selects, locks, readers, condition, barrier8, rate_limit1, once1, event1, bare1, deadlock, scan,
    transfers, herd, sleepers, parked, wake, echo;

#endif
