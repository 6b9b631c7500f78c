/* SPDX-License-Identifier: MIT */
/* The workloads of the peer that everybody has: threads, locks and semaphores of the C library.
 * The workers are the threads themselves; how many of them run at once is decided by the CPUs that
 * the caller pins the program to. */
#ifndef BENCH_PTHREAD_WORKLOADS_H
#define BENCH_PTHREAD_WORKLOADS_H

#include "bench.h"

void locks(struct bench *bench);
void readers(struct bench *bench);
void once1(struct bench *bench);
void condition(struct bench *bench);
void barrier8(struct bench *bench);
void pingpong(struct bench *bench);
void wake(struct bench *bench);

#endif
