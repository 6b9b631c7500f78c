/* SPDX-License-Identifier: MIT */
/* The simulated system, but for descriptors: clock, futex, threads, signals, events in time. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runtime/sim/kernel.h"
#include "runtime/sim/sanitizer.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "runtime/worker.h"

enum { NUMBER_FIRST = 100000 };

struct lw_sys sim_real;

/* ---- faults */

static unsigned long fault_calls;

bool sim_fault(enum sim_fault kind)
{
    const struct sim_settings *settings = sim_settings;

    if (!lw_sim_active() || (settings->fault_kinds & 1u << kind) == 0)
        return false;
    fault_calls++;
    if (settings->fault_at != 0 && (settings->fault_for_good ? fault_calls >= settings->fault_at
                                                             : fault_calls == settings->fault_at)) {
        sim_settings->fault_happened = true;
        return true;
    }
    return sim_chance(settings->fault_one_in);
}

unsigned long sim_fault_calls(void)
{
    return fault_calls;
}

/* ---- clock and futex */

static int64_t system_now(void)
{
    sim_point();
    return sim_now();
}

static int64_t system_now_coarse(void)
{
    return sim_now() / 4000000 * 4000000;
}

/* What is simulated is a clock, not processors. */
static int64_t system_time_used(void)
{
    return 0;
}

static void system_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline)
{
    sim_point();
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != expected || sim_chance(sim_weather.spurious))
        return;
    (void)sim_block(word, deadline, "futex");
}

static void system_futex_wake(uint32_t *word, int count)
{
    sim_point();
    sim_wake(word, (uint32_t)count);
}

static void system_yield(void)
{
    sim_yield();
}

static int system_membarrier(int command)
{
    (void)command;
    sim_point();
    sim_weak_flush_all();
    return 0;
}

/* ---- threads */

static int create(pthread_t *id, const pthread_attr_t *attributes, void *(*main)(void *arg),
                  void *arg, bool intercepted)
{
    struct sim_thread *thread;
    int detached = PTHREAD_CREATE_JOINABLE;

    sim_point();
    if (attributes != NULL)
        (void)pthread_attr_getdetachstate(attributes, &detached);
    thread = sim_fault(SIM_FAULT_THREAD) ? NULL : sim_thread_new(main, arg);
    if (thread == NULL)
        return EAGAIN;
    thread->detached = detached == PTHREAD_CREATE_DETACHED;
    thread->intercepted = intercepted;
    *id = SIM_PTHREAD_FIRST + thread->index;
    sim_point();
    return 0;
}

int sim_thread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*main)(void *arg),
                      void *arg)
{
    return create(id, attributes, main, arg, false);
}

int sim_thread_create_program(pthread_t *id, const pthread_attr_t *attributes,
                              void *(*main)(void *arg), void *arg)
{
    return create(id, attributes, main, arg, true);
}

int sim_thread_join(pthread_t id, void **result, int64_t until)
{
    struct sim_thread *thread = sim_thread_of(id);

    sim_point();
    if (thread == NULL)
        return ESRCH;
    if (thread->detached || thread->joined || until == NO_TIME)
        return EINVAL;
    if (thread == sim_world->current)
        return EDEADLK;
    thread->joined = true;
    while (thread->state != SIM_DONE) {
        if (!sim_block(thread, until, "a thread's end") && thread->state != SIM_DONE) {
            thread->joined = false;
            return ETIMEDOUT;
        }
    }
    thread->was_joined = true;
    if (result != NULL)
        *result = thread->result;
    return 0;
}

int sim_thread_join_always(pthread_t id, void **result)
{
    return sim_thread_join(id, result, INT64_MAX);
}

pthread_t sim_thread_self(void)
{
    return SIM_PTHREAD_FIRST + sim_world->current->index;
}

static int system_thread_number(void)
{
    return NUMBER_FIRST + (int)sim_world->current->index;
}

static void system_thread_name(const char *name)
{
    struct sim_thread *me = sim_world->current;

    (void)snprintf(me->name, SIM_NAME_BYTES, "%s", name);
    me->watches = strcmp(name, LW_TICK_NAME) == 0; /* only the library calls this */
}

static int system_thread_at_end(void (*end)(void *arg), void *arg)
{
    if (sim_fault(SIM_FAULT_MEMORY))
        return ENOMEM;
    sim_world->current->end = end;
    sim_world->current->end_arg = arg;
    return 0;
}

static void system_thread_stack(const void **bottom, size_t *size)
{
    *bottom = sim_world->current->stack;
    *size = *bottom != NULL ? SIM_STACK_BYTES : 0;
    if (*bottom == NULL)
        sim_real.thread_stack(bottom, size);
}

static char system_thread_state(int number)
{
    unsigned index = (unsigned)(number - NUMBER_FIRST);

    if (index >= sim_world->count)
        return 0;
    return sim_world->threads[index].state == SIM_BLOCKED ? 'S' : 'R';
}

static unsigned system_usable_cpus(void)
{
    return 2;
}

static unsigned long system_max_map_count(void)
{
    return 65530;
}

static int system_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before;
    (void)in_parent;
    (void)in_child;
    return sim_fault(SIM_FAULT_OTHER) ? ENOMEM : 0;
}

/* ---- signals: none are sent; the engine's own handlers stay */

static int system_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    (void)number;
    (void)action;
    sim_point();
    if (before != NULL)
        memset(before, 0, sizeof *before);
    return 0;
}

static int system_sigaltstack(const stack_t *stack, stack_t *before)
{
    (void)stack;
    if (before != NULL)
        memset(before, 0, sizeof *before); /* the thread has one */
    return 0;
}

static int system_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    (void)how;
    (void)set;
    if (before != NULL)
        (void)sigemptyset(before);
    return 0;
}

static int system_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    int64_t until = INT64_MAX;

    (void)set;
    (void)info;
    sim_point();
    if (timeout != NULL)
        until = sim_now() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
    (void)sim_block(set, until, "a signal");
    errno = EAGAIN;
    return -1;
}

/* ---- events */

void sim_at(int64_t when, void (*fn)(void *arg), void *arg)
{
    if (sim_world->event_count == SIM_EVENTS_MAX)
        sim_crash("the simulator cannot keep so many events");
    sim_world->events[sim_world->event_count++] = (struct sim_event){when, fn, arg};
}

int64_t sim_events_next(void)
{
    int64_t next = INT64_MAX;

    for (unsigned i = 0; i < sim_world->event_count; i++)
        if (sim_world->events[i].when < next)
            next = sim_world->events[i].when;
    return next;
}

/* Those of one moment in drawn order. */
SIM_UNSEEN void sim_events_run(void)
{
    struct sim_thread *current = sim_world->current;
    struct sim_event *events = sim_world->events;
    unsigned due[SIM_EVENTS_MAX], count;
    int64_t next;

    while ((next = sim_events_next()) <= sim_world->now) {
        struct sim_event event;
        unsigned index;

        count = 0;
        for (unsigned i = 0; i < sim_world->event_count; i++)
            if (events[i].when == next)
                due[count++] = i;
        index = due[sim_choose(count)];
        event = events[index];
        memmove(events + index, events + index + 1,
                (--sim_world->event_count - index) * sizeof *events);
        sim_world->current = NULL;
        event.fn(event.arg);
        sim_world->current = current;
    }
}

/* ---- the table */

void sim_system_fill(struct lw_sys *table)
{
    *table = (struct lw_sys){
        .now = system_now,
        .now_coarse = system_now_coarse,
        .time_used = system_time_used,
        .futex_wait = system_futex_wait,
        .futex_wake = system_futex_wake,
        .thread_create = sim_thread_create,
        .thread_join = sim_thread_join_always,
        .thread_self = sim_thread_self,
        .thread_number = system_thread_number,
        .thread_name = system_thread_name,
        .thread_at_end = system_thread_at_end,
        .thread_stack = system_thread_stack,
        .thread_state = system_thread_state,
        .thread_sigmask = system_sigmask,
        .usable_cpus = system_usable_cpus,
        .max_map_count = system_max_map_count,
        .atfork = system_atfork,
        .sigaction = system_sigaction,
        .sigaltstack = system_sigaltstack,
        .sigtimedwait = system_sigtimedwait,
        .membarrier = system_membarrier,
        .yield = system_yield,
    };
    sim_memory_fill(table);
    sim_kernel_fill(table);
}
