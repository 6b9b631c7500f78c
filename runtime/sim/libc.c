/* SPDX-License-Identifier: MIT */
/* What a program does with threads and time behind the library's back: libc's own functions, which
 * this library defines before libc does.  In a schedule they act on virtual threads and the virtual
 * clock; outside of one they are libc's.
 *
 * Objects of the program's keep their state in their own memory, in fields of ours that fit what
 * libc's initialisers leave there (zeros), so that a statically initialised one works and one that
 * was used before a schedule, and is free, does as well.
 *
 * Threads, keys and pthread_once() are here; libc_exit.c: how a thread ends; libc_locks.c,
 * libc_shared.c, libc_futex.c: what threads wait with; libc_c11.c: all of it by its names in C11;
 * libc_time.c: time; libc_files.c, libc_make.c, libc_status.c: descriptors; libc_refused.c: what
 * is not simulated.
 *
 * The library's own calls come here as well, and from there to libc: a number that is not one of
 * the simulated kernel's, and a thread that is not one of the engine's, are real. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/libc.h"
#include "runtime/sim/sanitizer.h"

enum { KEYS_MAX = 1024 };

SIM_UNSEEN void *sim_libc_function(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

/* The real one's name. */
static pthread_t sim_own_thread;

__attribute__((constructor)) static void note_own_thread(void)
{
    sim_own_thread = pthread_self();
}

/* ---- threads */

LW_API int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *arg), void *arg)
{
    typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    LIBC(create, pthread_create);

    return is_virtual() ? sim_thread_create_program(thread, attributes, main, arg)
                        : libc_pthread_create(thread, attributes, main, arg);
}

LW_API int pthread_join(pthread_t thread, void **result)
{
    typedef int join(pthread_t, void **);
    LIBC(join, pthread_join);

    return is_virtual() ? sim_thread_join_always(thread, result)
                        : libc_pthread_join(thread, result);
}

LW_API int pthread_tryjoin_np(pthread_t thread, void **result)
{
    typedef int join(pthread_t, void **);
    const struct sim_thread *found;
    LIBC(join, pthread_tryjoin_np);

    if (!is_virtual())
        return libc_pthread_tryjoin_np(thread, result);
    sim_point();
    found = sim_thread_of(thread);
    if (found != NULL && found->state != SIM_DONE)
        return EBUSY;
    return sim_thread_join_always(thread, result);
}

LW_API int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until)
{
    typedef int join(pthread_t, void **, const struct timespec *);
    LIBC(join, pthread_timedjoin_np);

    return is_virtual() ? sim_thread_join(thread, result, nanoseconds(until))
                        : libc_pthread_timedjoin_np(thread, result, until);
}

LW_API int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                                const struct timespec *until)
{
    typedef int join(pthread_t, void **, clockid_t, const struct timespec *);
    LIBC(join, pthread_clockjoin_np);

    return is_virtual() ? sim_thread_join(thread, result, nanoseconds(until))
                        : libc_pthread_clockjoin_np(thread, result, clock, until);
}

LW_API int pthread_detach(pthread_t thread)
{
    typedef int detach(pthread_t);
    struct sim_thread *found;
    LIBC(detach, pthread_detach);

    if (!is_virtual())
        return libc_pthread_detach(thread);
    found = sim_thread_of(thread);
    if (found == NULL)
        return ESRCH;
    if (found->detached || found->joined)
        return EINVAL;
    found->detached = true;
    return 0;
}

LW_API pthread_t pthread_self(void)
{
    typedef pthread_t self(void);
    LIBC(self, pthread_self);

    return is_virtual() ? sim_thread_self() : libc_pthread_self();
}

LW_API int pthread_setname_np(pthread_t thread, const char *name)
{
    typedef int setname(pthread_t, const char *);
    struct sim_thread *found;
    LIBC(setname, pthread_setname_np);

    if (!is_virtual())
        return libc_pthread_setname_np(thread, name);
    found = sim_thread_of(thread);
    if (found == NULL || strlen(name) >= SIM_NAME_BYTES)
        return found == NULL ? ESRCH : ERANGE;
    (void)strcpy(found->name, name);
    return 0;
}

LW_API int pthread_getname_np(pthread_t thread, char *name, size_t size)
{
    typedef int getname(pthread_t, char *, size_t);
    const struct sim_thread *found;
    LIBC(getname, pthread_getname_np);

    if (!is_virtual())
        return libc_pthread_getname_np(thread, name, size);
    found = sim_thread_of(thread);
    if (found == NULL || strlen(found->name) >= size)
        return found == NULL ? ESRCH : ERANGE;
    (void)strcpy(name, found->name);
    return 0;
}

/* Sanitizers ask for it. */
LW_API int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    typedef int getattr(pthread_t, pthread_attr_t *);
    const struct sim_thread *found;
    int err;
    LIBC(getattr, pthread_getattr_np);

    found = is_virtual() ? sim_thread_of(thread) : NULL;
    if (found == NULL || found->stack == NULL)
        return libc_pthread_getattr_np(found == NULL ? thread : sim_own_thread, attributes);
    err = pthread_attr_init(attributes);
    return err != 0 ? err : pthread_attr_setstack(attributes, found->stack, SIM_STACK_BYTES);
}

/* ---- keys: their numbers and destructors are libc's, their values each virtual thread's */

static void (*destructors[KEYS_MAX])(void *value);

LW_API int pthread_key_create(pthread_key_t *key, void (*destructor)(void *value))
{
    typedef int create(pthread_key_t *, void (*)(void *));
    LIBC(create, pthread_key_create);
    int err = libc_pthread_key_create(key, destructor);

    if (err == 0 && *key < KEYS_MAX)
        destructors[*key] = destructor;
    if (err == 0)
        sim_sanitizer_key(*key);
    return err;
}

LW_API int pthread_key_delete(pthread_key_t key)
{
    typedef int delete(pthread_key_t);
    LIBC(delete, pthread_key_delete);
    int err = libc_pthread_key_delete(key);

    if (err != 0 || key >= KEYS_MAX)
        return err;
    destructors[key] = NULL;
    for (unsigned i = 0; is_virtual() && i < sim_world->count; i++)
        if (sim_world->threads[i].specific != NULL)
            sim_world->threads[i].specific[key] = NULL;
    return 0;
}

LW_API SIM_UNSEEN int pthread_setspecific(pthread_key_t key, const void *value)
{
    typedef int set(pthread_key_t, const void *);
    struct sim_thread *me;
    LIBC(set, pthread_setspecific);

    me = is_virtual() ? sim_world->current : NULL;
    if (me != NULL && me->intercepted && sim_sanitizer_has_key(key)) {
        memcpy(&me->notes, &value, sizeof value);
        return 0;
    }
    if (me == NULL || sim_sanitizer_has_key(key))
        return libc_pthread_setspecific(key, value);
    if (key >= KEYS_MAX)
        return EINVAL;
    if (me->specific == NULL)
        me->specific = sim_alloc(KEYS_MAX * sizeof *me->specific);
    if (me->specific == NULL)
        return ENOMEM;
    memcpy(&me->specific[key], &value, sizeof value);
    return 0;
}

/* Unseen: ASan asks by it for its own thread, also where it makes room for a function's variables,
 * which at -O0 would be this function's. */
LW_API SIM_UNSEEN void *pthread_getspecific(pthread_key_t key)
{
    typedef void *get(pthread_key_t);
    const struct sim_thread *me;
    LIBC(get, pthread_getspecific);

    me = is_virtual() ? sim_world->current : NULL;
    if (me != NULL && me->intercepted && sim_sanitizer_has_key(key))
        return me->notes;
    if (me == NULL || sim_sanitizer_has_key(key))
        return libc_pthread_getspecific(key);
    return key < KEYS_MAX && me->specific != NULL ? me->specific[key] : NULL;
}

#ifdef LW_ASAN
static void *end_with(void *notes)
{
    (void)pthread_setspecific(sim_sanitizer_its_key(), notes);
    return NULL;
}

/* A real thread ends with them as if they were its own.  Not the one that is here: with them go its
 * stack for signals and all that ASan knows of its thread-local variables. */
void sim_sanitizer_end(void *notes)
{
    typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    typedef int join(pthread_t, void **);
    LIBC(create, pthread_create);
    LIBC(join, pthread_join);
    pthread_t thread;

    if (libc_pthread_create(&thread, NULL, end_with, notes) == 0)
        (void)libc_pthread_join(thread, NULL);
}
#endif

void sim_specific_end(struct sim_thread *thread)
{
    for (unsigned round = 0; thread->specific != NULL && round < 4; round++) {
        bool any = false;

        for (unsigned key = 0; key < KEYS_MAX; key++) {
            void *value = thread->specific[key];

            thread->specific[key] = NULL;
            if (value != NULL && destructors[key] != NULL) {
                destructors[key](value);
                any = true;
            }
        }
        if (!any)
            break;
    }
    sim_free(thread->specific);
    thread->specific = NULL;
}

/* libc's own numbers for the first two. */
enum { ONCE_NEW = 0, ONCE_DONE = 2, ONCE_BUSY = 0x51 };

/* Done, or left by an exception: the next one tries again. */
static void end_once(pthread_once_t *const *once)
{
    if (**once == ONCE_BUSY)
        **once = ONCE_NEW;
    sim_wake(*once, UINT32_MAX);
}

static void call_once_of(pthread_once_t *once, void (*routine)(void))
{
    pthread_once_t *mine __attribute__((cleanup(end_once))) = once;

    routine();
    *mine = ONCE_DONE;
}

LW_API int pthread_once(pthread_once_t *once, void (*routine)(void))
{
    typedef int call(pthread_once_t *, void (*)(void));
    LIBC(call, pthread_once);

    if (!is_virtual())
        return libc_pthread_once(once, routine);
    sim_point();
    while (*once == ONCE_BUSY)
        (void)sim_block(once, INT64_MAX, "pthread_once");
    if (*once == ONCE_NEW) {
        *once = ONCE_BUSY;
        call_once_of(once, routine);
    }
    return 0;
}
