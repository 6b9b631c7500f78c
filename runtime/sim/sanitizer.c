/* SPDX-License-Identifier: MIT */
/* What AddressSanitizer does behind the program's back, through functions that libc.c defines
 * before libc: there it must get what is real.
 *
 * Keys.  It finds its own notes on a thread by a pthread key, and without them takes no notice of a
 * switch between stacks; then the next switch that it does see destroys the wrong fake stack.  Its
 * key is the first of all, made before our constructors run.  Threads that the program makes come
 * to us through its interceptor, and put notes of their own there, which go when the schedule has
 * ended; all others share those of the real thread.
 *
 * Switches.  A switch has two halves, and both are of the notes that are current: so a switch to a
 * thread with other notes is two, see sim_sanitizer_arrives().
 *
 * The clock.  Its allocator looks at it with its locks held, where no other thread may go on.  The
 * program's calls come to us through its interceptor, all from one place, which is found when the
 * library is loaded; those from anywhere else are its own.
 *
 * Fake stacks.  It makes one for each stack that is switched to, which goes with the last switch
 * away.  An abandoned schedule has no such switch: those of its threads are destroyed when it is
 * over; those of stacks that nobody stood on are lost.
 *
 * Leaks.  What is mapped in a schedule, stacks above all, is known to LeakSanitizer until the
 * schedule is over.
 *
 * Reports.  What it finds ends the process, and no seed is said by it.
 */
#include "runtime/sim/sanitizer.h"

#ifdef LW_ASAN

#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/leak.h"
#include "runtime/sim/point.h"

enum { ROOTS_MAX = 4096 }; /* more is not looked at */

static pthread_key_t its_key;
static bool has_key, is_loaded;
static bool is_asking;          /* the program, as far as the interceptor knows */
static const void *interceptor; /* where it calls us from; NULL: there is none */

/* Kept from schedule to schedule: on libc's heap. */
static struct roots {
    struct root {
        void *at;
        size_t size;
    } list[ROOTS_MAX];
    unsigned count;
} * roots;

/* ---- keys and the clock */

void sim_sanitizer_key(pthread_key_t key)
{
    if (!has_key && !is_loaded) {
        has_key = true;
        its_key = key;
    }
}

SIM_UNSEEN bool sim_sanitizer_has_key(pthread_key_t key)
{
    return has_key && key == its_key;
}

pthread_key_t sim_sanitizer_its_key(void)
{
    return its_key;
}

bool sim_sanitizer_asks(const void *caller)
{
    if (is_asking)
        interceptor = caller;
    return interceptor != NULL && caller != interceptor;
}

__attribute__((constructor)) static void find_interceptor(void)
{
    typedef int get(clockid_t clock, struct timespec *time);
    void *program = dlopen(NULL, RTLD_LAZY); /* for us our own functions are the first */
    get *first = program != NULL ? (get *)(uintptr_t)dlsym(program, "clock_gettime") : NULL;
    struct timespec now;

    roots = calloc(1, sizeof *roots);
    is_loaded = true;
    is_asking = first != NULL && first != clock_gettime;
    if (is_asking)
        (void)first(CLOCK_MONOTONIC, &now);
    is_asking = false;
    if (program != NULL)
        (void)dlclose(program);
}

/* ---- switches */

SIM_UNSEEN void sim_sanitizer_leaves(struct sim_thread *from, const struct sim_thread *to)
{
    struct sim_thread *current = sim_world->current;

    sim_world->current = from;
    __sanitizer_start_switch_fiber(from->state == SIM_DONE ? NULL : &from->fake, to->bottom,
                                   to->size);
    sim_world->current = current;
}

/* It has begun the switch in its notes on who was left, and ends it there; what it says of the
 * stack that was left belongs to them.  Ours may be other notes, which still know the stack that we
 * went to when we left: a switch for them alone. */
SIM_UNSEEN void sim_sanitizer_arrives(struct sim_thread *me, struct sim_thread *left)
{
    struct sim_thread *current = sim_world->current;
    const void *bottom = NULL;
    size_t size = 0;
    void *none;

    sim_world->current = left;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (bottom != NULL) { /* they have notes */
        left->bottom = bottom;
        left->size = size;
    }
    sim_world->current = current;
    __sanitizer_start_switch_fiber(&none, me->bottom, me->size);
    __sanitizer_finish_switch_fiber(me->fake, NULL, NULL);
    me->fake = NULL;
}

/* It destroys the fake stack of where it is told that it is. */
SIM_UNSEEN static void forget_fake(struct sim_thread *thread)
{
    const void *bottom;
    void *mine;
    size_t size;

    __sanitizer_start_switch_fiber(&mine, thread->bottom, thread->size);
    __sanitizer_finish_switch_fiber(thread->fake, &bottom, &size);
    __sanitizer_start_switch_fiber(NULL, bottom, size);
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
}

void sim_sanitizer_forget(struct sim_thread *thread)
{
    if (thread->fake != NULL)
        forget_fake(thread);
    if (thread->notes != NULL)
        sim_sanitizer_end(thread->notes);
    thread->fake = thread->notes = NULL;
}

void sim_sanitizer_forgets(void)
{
    for (unsigned i = 0; i < sim_world->count; i++)
        sim_sanitizer_forget(&sim_world->threads[i]);
    while (roots != NULL && roots->count > 0) {
        const struct root *root = &roots->list[--roots->count];

        __lsan_unregister_root_region(root->at, root->size);
    }
}

/* ---- leaks */

void sim_sanitizer_root(void *at, size_t size)
{
    __asan_unpoison_memory_region(at, size); /* frames of an abandoned schedule */
    if (roots == NULL || roots->count == ROOTS_MAX)
        return;
    __lsan_register_root_region(at, size);
    roots->list[roots->count++] = (struct root){at, size};
}

void lw_sim_root(void *at, size_t size)
{
    if (lw_sim_on)
        sim_sanitizer_root(at, size);
    else
        __lsan_register_root_region(at, size); /* and it stays */
}

/* ---- reports */

static void on_report(const char *text)
{
    bool on = lw_sim_on;

    (void)text;
    if (!on || !sim_is_here())
        return;
    lw_sim_on = false; /* nobody else goes on meanwhile */
    sim_say_schedule();
    lw_sim_on = on;
}

void sim_sanitizer_tells(bool on)
{
    __asan_set_error_report_callback(on ? on_report : NULL);
}

#endif
