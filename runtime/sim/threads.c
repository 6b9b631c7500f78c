/* SPDX-License-Identifier: MIT */
/* The engine: virtual threads on one real one, and a virtual clock.
 *
 * A virtual thread is wherever its stack pointer was saved: on a stack of its own, or on that of
 * the task which it ran as a worker.  So the runtime above switches between its tasks as ever, and
 * the engine between threads, both by lw_switch().  What a real thread has besides a stack is kept
 * for it: the thread-local pointer of the library, errno, the program's thread-local variables.
 *
 * A thread runs until it waits, ends, spins, or the plan says at one of its points that another
 * goes on.  Who waits is found by the key that it waits for and by its deadline; there are few
 * threads, so lists are walked.
 *
 * Time moves a little each time somebody looks at it, so that who waits for it by looking gets
 * there; to the next deadline when nobody can run; and, when the plan says so, while somebody
 * could: then a deadline passes before a thread that is ready gets on, as it may on a machine that
 * is busy with other things.  But not for a minute: a deadline that is further away is for what
 * must never happen. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/fiber.h"
#include "runtime/sim/locals.h"
#include "runtime/sim/point.h"
#include "runtime/sim/sanitizer.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"

enum { ROUNDS_ALONE = 16 };  /* of spinning, until time goes on */
#define LOOK_NS 2500         /* that a look at the clock takes */
#define STEP_NS 25           /* that a step takes: time goes on for who never looks at it, too */
#define LOADED_NS 1000000000 /* ago when a test begins: a moment shortly before is no mistake */
#define BUSY_NS (60 * INT64_C(1000000000)) /* how long a machine keeps out who is ready, at most */
#define BEGINNING_NS (1000 * INT64_C(1000000000))

bool lw_sim_on;
int64_t lw_sim_countdown;

struct sim_world *sim_world;

/* The engine's own context, while a schedule runs: what sim_world_run() goes on with. */
static struct sim_thread home;
/* Who was left at the last switch. */
static struct sim_thread *left;
static void (*world_body)(void *arg);
static void *world_arg;

/* Of the OS thread that the simulation runs on; others of the process may run outside of it. */
static __thread bool is_here;

SIM_UNSEEN bool sim_is_here(void)
{
    return is_here;
}

bool sim_running(void)
{
    return lw_sim_on;
}

bool lw_sim_active(void)
{
    return lw_sim_on && is_here;
}

/* ---- switching */

SIM_UNSEEN static void thread_begin(void)
{
    struct sim_thread *me = sim_world->current;

    sim_sanitizer_arrives(me, left);
    me->root = __builtin_frame_address(0);
    sim_thread_end(me->main(me->arg));
}

SIM_UNSEEN void sim_thread_end(void *result)
{
    struct sim_thread *me = sim_world->current;

    me->result = result;
    sim_locals_end(me);
    sim_specific_end(me);
    if (me->end != NULL) {
        me->end(me->end_arg);
        me->end = NULL;
    }
    me->state = SIM_DONE;
    if (me->index == 0)
        sim_world_leave();
    sim_wake(me, UINT32_MAX);
    sim_reschedule();
    __builtin_unreachable();
}

SIM_UNSEEN static LW_NOINLINE void go_to(struct sim_thread *to)
{
    struct sim_thread *from = sim_world->current != NULL ? sim_world->current : &home;
    void *top = to->stack != NULL ? to->stack + SIM_STACK_BYTES : NULL;
    bool fresh = to->sp == NULL;

    if (to == from)
        return;
    if (from != &home) {
        sim_world->now += (int64_t)(sim_plan_steps() - from->since) * STEP_NS;
        sim_plan_leaves(from);
    }
    from->self = lw_thread_tls;
    from->error = errno;
    sim_world->current = to == &home ? NULL : to;
    if (!to->watches)
        sim_world->looks_alone = 0;
    if (to != &home)
        sim_plan_comes(to);
    lw_thread_tls = to->self;
    left = from;
    sim_locals_switch(from == &home ? 0 : from->index, to == &home ? 0 : to->index);
    sim_sanitizer_leaves(from, to);
    if (fresh)
        lw_switch_enter(&from->sp, top, thread_begin);
    else
        lw_switch(&from->sp, to->sp);
    sim_sanitizer_arrives(from, left);
    errno = from->error;
}

/* ---- who can go on */

static unsigned ready_others(struct sim_thread **ready, bool spinners)
{
    unsigned count = 0, first = sim_world->current->index;

    /* From the next one on, round: so a list of choices means the same wherever it was made. */
    for (unsigned i = 1; i < sim_world->count; i++) {
        struct sim_thread *thread = &sim_world->threads[(first + i) % sim_world->count];

        if (thread->state == SIM_READY && (spinners || !thread->spins))
            ready[count++] = thread;
    }
    return count;
}

static void clear_spins(void)
{
    for (unsigned i = 0; i < sim_world->count; i++)
        sim_world->threads[i].spins = false;
}

static void make_ready(struct sim_thread *thread, bool woken)
{
    thread->state = SIM_READY;
    thread->woken = woken;
    thread->key = NULL;
    sim_plan_ask_soon();
}

/* The next deadline of a thread or event; INT64_MAX: none. */
static int64_t next_moment(void)
{
    int64_t next = sim_events_next();

    for (unsigned i = 0; i < sim_world->count; i++) {
        const struct sim_thread *thread = &sim_world->threads[i];

        if (thread->state == SIM_BLOCKED && thread->until < next)
            next = thread->until;
    }
    return next;
}

/* All that is due is ready now; who of it goes first is drawn when one is picked. */
static void time_goes_on(int64_t moment)
{
    if (sim_world->now < moment)
        sim_world->now = moment;
    sim_events_run();
    for (unsigned i = 0; i < sim_world->count; i++) {
        struct sim_thread *thread = &sim_world->threads[i];

        if (thread->state == SIM_BLOCKED && thread->until <= sim_world->now)
            make_ready(thread, false);
    }
}

/* Time has gone on by itself.  Returns the next moment to come. */
static int64_t what_is_due(void)
{
    int64_t next = next_moment();

    if (next <= sim_world->now) {
        time_goes_on(next);
        next = next_moment();
    }
    return next;
}

/* ---- points */

SIM_UNSEEN void lw_sim_asked(void)
{
    struct sim_thread *ready[SIM_THREADS_MAX + 1];
    unsigned count, ways, way;
    uint64_t steps;
    int64_t next;

    if (lw_unlikely(!is_here))
        lw_panic("a thread that is not simulated calls the library in a simulation", __FILE__,
                 __LINE__);
    steps = sim_plan_steps() - sim_world->current->since;
    if (sim_plan_turn_is_over()) {
        sim_world->now += (int64_t)steps * STEP_NS;
        (void)what_is_due();
        if (ready_others(ready, true) > 0)
            sim_yield();
        return;
    }
    next = what_is_due();
    count = ready_others(ready, true);
    ways = 1 + count;
    if (next - sim_world->now <= BUSY_NS)
        ready[ways++ - 1] = NULL;
    way = sim_decide(SIM_GO_ON, ways, ready);
    if (way == 0)
        return;
    clear_spins();
    sim_weak_age();
    if (ready[way - 1] != NULL) {
        go_to(ready[way - 1]);
        return;
    }
    time_goes_on(next);
    count = ready_others(ready, true);
    if (count > 0)
        go_to(ready[sim_decide(SIM_PICK, count, ready)]);
}

void sim_point(void)
{
    sim_weak_flush();
    LW_POINT();
}

void lw_sim_point(void)
{
    if (lw_sim_on)
        sim_plan_ask_rather();
    LW_POINT();
}

SIM_UNSEEN void sim_reschedule(void)
{
    struct sim_thread *me = sim_world->current, *ready[SIM_THREADS_MAX], *to;
    unsigned count = 0;

    sim_weak_flush();

    for (;;) {
        int64_t next = what_is_due();
        bool mine = me->state == SIM_READY && !me->spins;

        count = ready_others(ready, false);
        if (mine)
            ready[count++] = me;
        if (count > 0)
            break;
        count = ready_others(ready, true);
        if (me->state == SIM_READY || count > 0) {
            /* Only those who spin: what they wait for may come with time. */
            clear_spins();
            if (next != INT64_MAX && ++me->rounds % ROUNDS_ALONE == 0)
                time_goes_on(next);
            if (count > 0)
                break; /* never the one that spins by itself */
            continue;
        }
        next = sim_moment_that_counts(next);
        if (next == INT64_MAX)
            sim_fail(LW_SIM_STUCK, "nobody can run, and not all are done");
        sim_weak_flush_all();
        sim_world->idle += next > sim_world->now ? next - sim_world->now : 0;
        time_goes_on(next);
    }
    to = ready[sim_decide(SIM_PICK, count, ready)];
    if (to != me) {
        go_to(to);
        return;
    }
    sim_plan_leaves(me); /* its turn begins anew */
    sim_plan_comes(me);
}

void sim_yield(void)
{
    struct sim_thread *me = sim_world->current;

    if (me == NULL)
        return;
    me->spins = true;
    sim_plan_spins(me);
    sim_reschedule();
    me->spins = false;
}

/* ---- waiting */

bool sim_block(const void *key, int64_t until, const char *what)
{
    struct sim_thread *me = sim_world->current;

    if (until <= sim_world->now) {
        sim_point();
        return false;
    }
    me->key = key;
    me->until = until;
    me->what = what;
    me->state = SIM_BLOCKED;
    clear_spins();
    sim_reschedule();
    return me->woken;
}

SIM_UNSEEN void sim_wake(const void *key, uint32_t count)
{
    struct sim_thread *waiting[SIM_THREADS_MAX];
    unsigned found = 0;

    for (unsigned i = 0; i < sim_world->count; i++) {
        struct sim_thread *thread = &sim_world->threads[i];

        if (thread->state == SIM_BLOCKED && thread->key == key)
            waiting[found++] = thread;
    }
    while (found > 0 && count > 0) {
        /* All of them: no matter in which order. */
        unsigned index = count < found && sim_world->current != NULL ? sim_choose(found) : 0;

        make_ready(waiting[index], true);
        memmove(waiting + index, waiting + index + 1, (--found - index) * sizeof *waiting);
        count--;
    }
}

int64_t sim_idle(void)
{
    return sim_world->idle;
}

int64_t sim_now(void)
{
    sim_world->now += LOOK_NS;
    return sim_world->now;
}

/* ---- threads */

/* One that was never used; when there is none, that of a thread of which nothing is left. */
static struct sim_thread *free_thread(void)
{
    if (sim_world->count < SIM_THREADS_MAX) {
        sim_world->threads[sim_world->count].steps = 0;
        return &sim_world->threads[sim_world->count++];
    }
    for (unsigned i = 0; i < SIM_THREADS_MAX; i++)
        if (sim_world->threads[i].state == SIM_DONE &&
            (sim_world->threads[i].detached || sim_world->threads[i].was_joined))
            return &sim_world->threads[i];
    return NULL;
}

struct sim_thread *sim_thread_new(void *(*main)(void *arg), void *arg)
{
    struct sim_thread *thread = free_thread();
    uint64_t steps;

    if (thread == NULL)
        return NULL;
    steps = thread->steps; /* go on: a list of choices names a thread by its index and its step */
    sim_sanitizer_forget(thread);
    memset(thread, 0, sizeof *thread);
    thread->index = (unsigned)(thread - sim_world->threads);
    thread->steps = thread->turn = steps;
    thread->state = SIM_READY;
    thread->main = main;
    thread->arg = arg;
    thread->stack = sim_stack(thread->index);
    thread->bottom = thread->stack;
    thread->size = SIM_STACK_BYTES;
    sim_sanitizer_root(thread->stack, SIM_STACK_BYTES);
    (void)snprintf(thread->name, sizeof thread->name, "thread-%u", thread->index);
    if (thread->index != 0)
        sim_locals_new(thread->index);
    sim_plan_new_thread(thread);
    sim_weak_thread(thread->index);
    sim_plan_ask_soon();
    return thread;
}

struct sim_thread *sim_thread_of(pthread_t id)
{
    unsigned long index = id - SIM_PTHREAD_FIRST;

    return id >= SIM_PTHREAD_FIRST && index < sim_world->count ? &sim_world->threads[index] : NULL;
}

/* ---- a world */

static void *run_body(void *arg)
{
    (void)arg;
    world_body(world_arg);
    return NULL;
}

static void world_reset(void)
{
    sim_world->count = 0;
    sim_world->current = NULL;
    sim_world->now = BEGINNING_NS;
    sim_world->idle = 0;
    sim_world->looks_alone = 0;
    sim_world->event_count = 0;
    sim_locals_begin();
    /* Else the real clock decides which deadlines are durations. */
    lw_clock_begin(BEGINNING_NS - LOADED_NS);
}

void sim_world_run(void (*body)(void *arg), void *arg)
{
    world_reset();
    world_body = body;
    world_arg = arg;
    home = (struct sim_thread){.name = "engine"};
    lw_thread_tls = NULL;
    (void)sim_thread_new(run_body, NULL);
    (void)snprintf(sim_world->threads[0].name, SIM_NAME_BYTES, "main");
    is_here = true;
    lw_sim_on = true;
    go_to(&sim_world->threads[0]);
    lw_sim_on = false;
    is_here = false;
    sim_sanitizer_forgets();
}

void sim_world_leave(void)
{
    lw_sim_on = false;
    go_to(&home);
    __builtin_unreachable();
}

void sim_world_adopt(void)
{
    struct sim_thread *me;

    world_reset();
    me = sim_thread_new(NULL, NULL);
    me->stack = NULL;
    (void)snprintf(me->name, sizeof me->name, "main");
    sim_world->current = me;
    is_here = true;
    lw_sim_on = true;
}

bool sim_world_disown(void)
{
    const struct sim_thread *me = sim_world->current;

    if (me == NULL || me->index != 0)
        return false;
    for (unsigned i = 1; i < sim_world->count; i++)
        if (sim_world->threads[i].state != SIM_DONE)
            return false;
    sim_world->current = NULL;
    lw_sim_on = is_here = false;
    return true;
}
