/* SPDX-License-Identifier: MIT */
/* Threads and what they wait with by the names that C11 has for them, in a schedule: see libc.c.
 * In glibc their types are those of POSIX, and so are they here. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <threads.h>

#include "runtime/sim/libc.h"

static int result_of(int err)
{
    switch (err) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

/* ---- threads */

struct start {
    thrd_start_t main;
    void *arg;
};

static void *start_main(void *arg)
{
    struct start start = *(struct start *)arg;

    sim_free(arg);
    return (void *)(intptr_t)start.main(start.arg);
}

LW_API int thrd_create(thrd_t *thread, thrd_start_t main, void *arg)
{
    typedef int create(thrd_t *, thrd_start_t, void *);
    struct start *start;
    int err;
    LIBC(create, thrd_create);

    if (!is_virtual())
        return libc_thrd_create(thread, main, arg);
    start = sim_alloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){.main = main, .arg = arg};
    err = pthread_create(thread, NULL, start_main, start);
    if (err != 0)
        sim_free(start);
    return result_of(err);
}

LW_API int thrd_join(thrd_t thread, int *result)
{
    typedef int join(thrd_t, int *);
    void *value = NULL;
    int err;
    LIBC(join, thrd_join);

    if (!is_virtual())
        return libc_thrd_join(thread, result);
    err = pthread_join(thread, &value);
    if (err == 0 && result != NULL)
        *result = (int)(intptr_t)value;
    return result_of(err);
}

LW_API int thrd_detach(thrd_t thread)
{
    return result_of(pthread_detach(thread));
}

LW_API void thrd_exit(int result)
{
    pthread_exit((void *)(intptr_t)result);
}

LW_API thrd_t thrd_current(void)
{
    return pthread_self();
}

LW_API void thrd_yield(void)
{
    (void)sched_yield();
}

LW_API int thrd_sleep(const struct timespec *time, struct timespec *rest)
{
    int err = clock_nanosleep(CLOCK_REALTIME, 0, time, rest);

    return err == 0 ? 0 : err == EINTR ? -1 : -2;
}

/* ---- mutexes */

static pthread_mutex_t *mutex_of(mtx_t *mutex)
{
    return (pthread_mutex_t *)(void *)mutex;
}

LW_API int mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock(mutex_of(mutex)));
}

LW_API int mtx_trylock(mtx_t *mutex)
{
    return result_of(pthread_mutex_trylock(mutex_of(mutex)));
}

LW_API int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until)
{
    return result_of(pthread_mutex_timedlock(mutex_of(mutex), until));
}

LW_API int mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock(mutex_of(mutex)));
}

/* ---- conditions */

static pthread_cond_t *condition_of(cnd_t *condition)
{
    return (pthread_cond_t *)(void *)condition;
}

LW_API int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait(condition_of(condition), mutex_of(mutex)));
}

LW_API int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                         const struct timespec *restrict until)
{
    return result_of(pthread_cond_timedwait(condition_of(condition), mutex_of(mutex), until));
}

LW_API int cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal(condition_of(condition)));
}

LW_API int cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast(condition_of(condition)));
}

/* ---- keys, and what happens once */

LW_API int tss_create(tss_t *key, tss_dtor_t destructor)
{
    return result_of(pthread_key_create(key, destructor));
}

LW_API void tss_delete(tss_t key)
{
    (void)pthread_key_delete(key);
}

LW_API int tss_set(tss_t key, void *value)
{
    return result_of(pthread_setspecific(key, value));
}

LW_API void *tss_get(tss_t key)
{
    return pthread_getspecific(key);
}

LW_API void call_once(once_flag *flag, void (*fn)(void))
{
    (void)pthread_once((pthread_once_t *)(void *)flag, fn);
}
