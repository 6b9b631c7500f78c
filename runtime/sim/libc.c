/* SPDX-License-Identifier: MIT */
/* What a program does with threads and time behind the library's back: libc's own functions, which
 * this library defines before libc does.  In a schedule they act on virtual threads and the virtual
 * clock; outside of one they are libc's.
 *
 * Objects of the program's keep their state in their own memory, in fields of ours that fit what
 * libc's initialisers leave there (zeros), so that a statically initialised one works and one that
 * was used before a schedule, and is free, does as well.  A mutex: the owner's index plus 1, and a
 * depth; its kind is where libc keeps it. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "runtime/sim/sanitizer.h"
#include "runtime/sim/world.h"

#define LIBC(type, name)                                                                           \
    static type *libc_##name;                                                                      \
    if (libc_##name == NULL)                                                                       \
    libc_##name = (type *)(uintptr_t)libc_function(#name)

enum { NS_PER_SEC = 1000000000, KEYS_MAX = 1024 };

static void *libc_function(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

/* The caller is a virtual thread; not so other threads of the process. */
static bool is_virtual(void)
{
    return lw_sim_on && sim_is_here();
}

/* The real one's name. */
static pthread_t sim_own_thread;

__attribute__((constructor)) static void note_own_thread(void)
{
    sim_own_thread = pthread_self();
}

static uint32_t mine(void)
{
    return sim_world->current->index + 1;
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_SEC + time->tv_nsec;
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

    return is_virtual() ? sim_thread_join(thread, result) : libc_pthread_join(thread, result);
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

LW_API int pthread_setspecific(pthread_key_t key, const void *value)
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

LW_API void *pthread_getspecific(pthread_key_t key)
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

LW_API int pthread_once(pthread_once_t *once, void (*routine)(void))
{
    typedef int call(pthread_once_t *, void (*)(void));
    enum { NEW = 0, DONE = 2, BUSY = 0x51 }; /* libc's own numbers for the first two */
    LIBC(call, pthread_once);

    if (!is_virtual())
        return libc_pthread_once(once, routine);
    sim_point();
    while (*once == BUSY)
        (void)sim_block(once, INT64_MAX, "pthread_once");
    if (*once == NEW) {
        *once = BUSY;
        routine();
        *once = DONE;
        sim_wake(once, UINT32_MAX);
    }
    return 0;
}

/* ---- mutexes */

struct mutex { /* over pthread_mutex_t */
    uint32_t owner;
    uint32_t depth;
};

/* Where glibc keeps it: PTHREAD_MUTEX_NORMAL, _RECURSIVE, _ERRORCHECK. */
static int kind_of(const pthread_mutex_t *mutex)
{
    return mutex->__data.__kind & 3;
}

static int mutex_lock(pthread_mutex_t *at, int64_t until)
{
    struct mutex *mutex = (struct mutex *)(void *)at;

    sim_point();
    if (mutex->owner == mine() && kind_of(at) == PTHREAD_MUTEX_RECURSIVE) {
        mutex->depth++;
        return 0;
    }
    if (mutex->owner == mine() && kind_of(at) == PTHREAD_MUTEX_ERRORCHECK)
        return EDEADLK;
    while (mutex->owner != 0)
        if (!sim_block(at, until, "a pthread mutex") && mutex->owner != 0)
            return ETIMEDOUT;
    mutex->owner = mine();
    mutex->depth = 1;
    return 0;
}

static int mutex_unlock(pthread_mutex_t *at)
{
    struct mutex *mutex = (struct mutex *)(void *)at;

    sim_point();
    if (mutex->owner != mine() && kind_of(at) != PTHREAD_MUTEX_NORMAL)
        return EPERM;
    if (mutex->depth > 1) {
        mutex->depth--;
        return 0;
    }
    mutex->owner = 0;
    mutex->depth = 0;
    sim_wake(at, 1);
    return 0;
}

LW_API int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    typedef int lock(pthread_mutex_t *);
    LIBC(lock, pthread_mutex_lock);

    return is_virtual() ? mutex_lock(mutex, INT64_MAX) : libc_pthread_mutex_lock(mutex);
}

LW_API int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    typedef int trylock(pthread_mutex_t *);
    struct mutex *at = (struct mutex *)(void *)mutex;
    LIBC(trylock, pthread_mutex_trylock);

    if (!is_virtual())
        return libc_pthread_mutex_trylock(mutex);
    sim_point();
    if (at->owner != 0 && (at->owner != mine() || kind_of(mutex) != PTHREAD_MUTEX_RECURSIVE))
        return EBUSY;
    at->owner = mine();
    at->depth++;
    return 0;
}

LW_API int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    typedef int timedlock(pthread_mutex_t *, const struct timespec *);
    LIBC(timedlock, pthread_mutex_timedlock);

    return is_virtual() ? mutex_lock(mutex, nanoseconds(until))
                        : libc_pthread_mutex_timedlock(mutex, until);
}

LW_API int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    typedef int unlock(pthread_mutex_t *);
    LIBC(unlock, pthread_mutex_unlock);

    return is_virtual() ? mutex_unlock(mutex) : libc_pthread_mutex_unlock(mutex);
}

/* ---- conditions: without state, the key says it all */

static int condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until)
{
    bool woken;

    if (((struct mutex *)(void *)mutex)->owner != mine())
        return EPERM;
    (void)mutex_unlock(mutex); /* nobody runs between this and the wait but for its point */
    woken = sim_block(condition, until, "a pthread condition");
    (void)mutex_lock(mutex, INT64_MAX);
    return woken ? 0 : ETIMEDOUT;
}

LW_API int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    typedef int wait(pthread_cond_t *, pthread_mutex_t *);
    LIBC(wait, pthread_cond_wait);

    return is_virtual() ? condition_wait(condition, mutex, INT64_MAX)
                        : libc_pthread_cond_wait(condition, mutex);
}

LW_API int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    typedef int timedwait(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    LIBC(timedwait, pthread_cond_timedwait);

    return is_virtual() ? condition_wait(condition, mutex, nanoseconds(until))
                        : libc_pthread_cond_timedwait(condition, mutex, until);
}

static int condition_wake(pthread_cond_t *condition, uint32_t count)
{
    sim_point();
    sim_wake(condition, count);
    return 0;
}

LW_API int pthread_cond_signal(pthread_cond_t *condition)
{
    typedef int wake(pthread_cond_t *);
    LIBC(wake, pthread_cond_signal);

    return is_virtual() ? condition_wake(condition, 1) : libc_pthread_cond_signal(condition);
}

LW_API int pthread_cond_broadcast(pthread_cond_t *condition)
{
    typedef int wake(pthread_cond_t *);
    LIBC(wake, pthread_cond_broadcast);

    return is_virtual() ? condition_wake(condition, UINT32_MAX)
                        : libc_pthread_cond_broadcast(condition);
}

/* ---- semaphores: the value is where glibc keeps it, in the first word */

static int semaphore_wait(sem_t *semaphore, int64_t until)
{
    uint32_t *value = (uint32_t *)(void *)semaphore;

    sim_point();
    while (*value == 0) {
        if (!sim_block(semaphore, until, "a POSIX semaphore") && *value == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
    --*value;
    return 0;
}

LW_API int sem_wait(sem_t *semaphore)
{
    typedef int wait(sem_t *);
    LIBC(wait, sem_wait);

    return is_virtual() ? semaphore_wait(semaphore, INT64_MAX) : libc_sem_wait(semaphore);
}

LW_API int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
    typedef int wait(sem_t *, const struct timespec *);
    LIBC(wait, sem_timedwait);

    return is_virtual() ? semaphore_wait(semaphore, nanoseconds(until))
                        : libc_sem_timedwait(semaphore, until);
}

LW_API int sem_post(sem_t *semaphore)
{
    typedef int post(sem_t *);
    LIBC(post, sem_post);

    if (!is_virtual())
        return libc_sem_post(semaphore);
    sim_point();
    ++*(uint32_t *)(void *)semaphore;
    sim_wake(semaphore, 1);
    return 0;
}

/* ---- time: all clocks are the virtual one */

static struct timespec look_at_clock(void)
{
    int64_t now;

    sim_point();
    now = sim_now();
    return (struct timespec){.tv_sec = now / NS_PER_SEC, .tv_nsec = now % NS_PER_SEC};
}

LW_API int clock_gettime(clockid_t clock, struct timespec *time)
{
    typedef int get(clockid_t, struct timespec *);
    LIBC(get, clock_gettime);

    if (sim_sanitizer_asks(__builtin_return_address(0)) || !is_virtual())
        return libc_clock_gettime(clock, time);
    *time = look_at_clock();
    return 0;
}

LW_API int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    typedef int get(struct timeval *, void *);
    struct timespec now;
    LIBC(get, gettimeofday);

    if (!is_virtual())
        return libc_gettimeofday(time, zone);
    now = look_at_clock();
    *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

LW_API time_t time(time_t *at)
{
    typedef time_t get(time_t *);
    struct timespec now;
    LIBC(get, time);

    if (!is_virtual())
        return libc_time(at);
    now = look_at_clock();
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}

static int sleep_until(int64_t until)
{
    sim_point();
    while (sim_block(&until, until, "a sleep"))
        continue;
    return 0;
}

LW_API int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *rest)
{
    typedef int nap(clockid_t, int, const struct timespec *, struct timespec *);
    LIBC(nap, clock_nanosleep);

    if (!is_virtual())
        return libc_clock_nanosleep(clock, flags, time, rest);
    return sleep_until(nanoseconds(time) + ((flags & TIMER_ABSTIME) != 0 ? 0 : sim_now()));
}

LW_API int nanosleep(const struct timespec *time, struct timespec *rest)
{
    typedef int nap(const struct timespec *, struct timespec *);
    LIBC(nap, nanosleep);

    return is_virtual() ? sleep_until(sim_now() + nanoseconds(time)) : libc_nanosleep(time, rest);
}

LW_API int usleep(useconds_t microseconds)
{
    typedef int nap(useconds_t);
    LIBC(nap, usleep);

    return is_virtual() ? sleep_until(sim_now() + (int64_t)microseconds * 1000)
                        : libc_usleep(microseconds);
}

LW_API unsigned sleep(unsigned seconds)
{
    typedef unsigned nap(unsigned);
    LIBC(nap, sleep);

    return is_virtual() ? (unsigned)sleep_until(sim_now() + (int64_t)seconds * NS_PER_SEC)
                        : libc_sleep(seconds);
}

LW_API int sched_yield(void)
{
    typedef int yield(void);
    LIBC(yield, sched_yield);

    if (!is_virtual())
        return libc_sched_yield();
    sim_yield();
    return 0;
}
