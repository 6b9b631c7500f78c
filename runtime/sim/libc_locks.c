/* SPDX-License-Identifier: MIT */
/* The program's own locks in a schedule: see libc.c.  A mutex keeps the owner's index plus 1, and a
 * depth; its kind is where libc has it. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#include "runtime/sim/libc.h"

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
        if (until == NO_TIME)
            return EINVAL;
        else if (!sim_block(at, until, "a pthread mutex") && mutex->owner != 0)
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

LW_API int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                                   const struct timespec *until)
{
    typedef int clocklock(pthread_mutex_t *, clockid_t, const struct timespec *);
    LIBC(clocklock, pthread_mutex_clocklock);

    return is_virtual() ? mutex_lock(mutex, nanoseconds(until))
                        : libc_pthread_mutex_clocklock(mutex, clock, until);
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

    if (until == NO_TIME)
        return EINVAL;
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

LW_API int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *until)
{
    typedef int clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    LIBC(clockwait, pthread_cond_clockwait);

    return is_virtual() ? condition_wait(condition, mutex, nanoseconds(until))
                        : libc_pthread_cond_clockwait(condition, mutex, clock, until);
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
    if (until == NO_TIME) {
        errno = EINVAL;
        return -1;
    }
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

LW_API int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    typedef int wait(sem_t *, clockid_t, const struct timespec *);
    LIBC(wait, sem_clockwait);

    return is_virtual() ? semaphore_wait(semaphore, nanoseconds(until))
                        : libc_sem_clockwait(semaphore, clock, until);
}

LW_API int sem_trywait(sem_t *semaphore)
{
    typedef int wait(sem_t *);
    LIBC(wait, sem_trywait);

    if (is_virtual())
        sim_point(); /* all else is as ever: the value is libc's */
    return libc_sem_trywait(semaphore);
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
