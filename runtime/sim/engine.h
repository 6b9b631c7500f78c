/* SPDX-License-Identifier: MIT */
/* The simulator's engine, as the rest of the simulator sees it.
 *
 * In the simulation library every OS thread of a program is a virtual thread: a stack on the one
 * real thread that runs the simulation.  One schedule is one run of a program (or of a test) in
 * which each decision (who goes on at a point, who is woken first, how long a read is) was drawn by
 * the engine.  The same decisions give the same run: nothing else that differs from run to run may
 * be looked at, addresses and the real clock included.
 *
 * Everything here is called by virtual threads while a schedule runs, unless it says otherwise.
 * All of the library's own static data is put back to what it was at load time before each
 * schedule, and so is the memory behind sim_alloc(): no part of the simulator needs a reset. */
#ifndef LW_RUNTIME_SIM_ENGINE_H
#define LW_RUNTIME_SIM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A schedule runs, and the caller is in it. */
bool sim_running(void);

/* ---- decisions.  Way 0 is the plain one: what a kind machine would do.  A short list of the
 * decisions that were not 0 is what a failure is reproduced from, so make 0 the usual case. */

/* One of 0 .. count - 1. */
unsigned sim_choose(unsigned count);

/* True once in about `one_in` times; never when decisions are enumerated. */
bool sim_chance(unsigned one_in);

/* ---- time: nanoseconds, virtual.  It goes on by itself a little with each look at it, and to the
 * next deadline when nobody can run; now and then also while somebody could. */
int64_t sim_now(void);

/* ---- waiting */

/* The caller calls the system: it may be switched away here, and others see what it has stored. */
void sim_point(void);

/* Let others go on first: for who spins. */
void sim_yield(void);

/* Wait until somebody calls sim_wake(key), or until the moment (INT64_MAX: for ever).  True: woken.
 * `what` is a literal, for reports: "futex", "epoll_wait".  Who is woken looks again: it may have
 * been for nothing. */
bool sim_block(const void *key, int64_t until, const char *what);

/* Wake up to `count` of those who wait for the key (UINT32_MAX: all), in drawn order. */
void sim_wake(const void *key, uint32_t count);

/* Call fn(arg) once that moment has come, on no virtual thread in particular: it must not block,
 * switch or decide; it may wake.  Events of one moment come in drawn order. */
void sim_at(int64_t when, void (*fn)(void *arg), void *arg);

/* ---- memory of this schedule: zeroed; what is left when it ends is taken back. */
void *sim_alloc(size_t size);
void sim_free(void *memory);

/* ---- failures */

/* Kinds of calls that a test can make fail, and that now and then fail by themselves if the
 * options ask for it. */
enum sim_fault {
    SIM_FAULT_MEMORY,     /* calloc: NULL */
    SIM_FAULT_MAP,        /* mmap, mprotect, madvise: ENOMEM */
    SIM_FAULT_THREAD,     /* thread_create: EAGAIN */
    SIM_FAULT_DESCRIPTOR, /* whatever makes one: EMFILE */
    SIM_FAULT_POLL,       /* epoll_ctl: ENOSPC, ENOMEM */
    SIM_FAULT_OTHER,      /* anything else that is documented to fail */
    SIM_FAULTS,
};

/* Counts the call; true: it has to fail. */
bool sim_fault(enum sim_fault kind);

/* End the schedule as failed.  `verdict` is an lw_sim_verdict; printf-like text of one line. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_fail(int verdict, const char *format, ...);

#endif
