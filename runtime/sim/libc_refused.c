/* SPDX-License-Identifier: MIT */
/* What is not simulated, in a schedule: see libc.c.  libc would look for a real thread behind the
 * number of a virtual one, or wait on the one that all others run on.  So a call ends the schedule,
 * and says which one it was; one that only asks or advises is answered for the thread that all
 * run on. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/sim/libc.h"

/* ---- signals to threads */

LW_API int pthread_kill(pthread_t thread, int number)
{
    typedef int kill(pthread_t, int);
    LIBC(kill, pthread_kill);

    if (!is_virtual())
        return libc_pthread_kill(thread, number);
    if (number != 0)
        refuse("pthread_kill()");
    return sim_thread_of(thread) != NULL ? 0 : ESRCH;
}

LW_API int pthread_sigqueue(pthread_t thread, int number, const union sigval value)
{
    typedef int queue(pthread_t, int, union sigval);
    LIBC(queue, pthread_sigqueue);

    if (is_virtual())
        refuse("pthread_sigqueue()");
    return libc_pthread_sigqueue(thread, number, value);
}

LW_API int pthread_cancel(pthread_t thread)
{
    typedef int cancel(pthread_t);
    LIBC(cancel, pthread_cancel);

    if (is_virtual())
        refuse("pthread_cancel()");
    return libc_pthread_cancel(thread);
}

/* ---- waiting for signals: none are sent */

static __attribute__((noreturn)) void await_signal(const char *what)
{
    sim_point();
    for (;;)
        (void)sim_block(what, INT64_MAX, what);
}

LW_API int pause(void)
{
    typedef int wait(void);
    LIBC(wait, pause);

    if (is_virtual())
        await_signal("a signal, by pause()");
    return libc_pause();
}

LW_API int sigsuspend(const sigset_t *mask)
{
    typedef int wait(const sigset_t *);
    LIBC(wait, sigsuspend);

    if (is_virtual())
        await_signal("a signal, by sigsuspend()");
    return libc_sigsuspend(mask);
}

LW_API int sigwait(const sigset_t *restrict set, int *restrict number)
{
    typedef int wait(const sigset_t *, int *);
    LIBC(wait, sigwait);

    if (is_virtual())
        await_signal("a signal, by sigwait()");
    return libc_sigwait(set, number);
}

/* ---- where and how a thread is run */

LW_API int pthread_getcpuclockid(pthread_t thread, clockid_t *clock)
{
    typedef int get(pthread_t, clockid_t *);
    LIBC(get, pthread_getcpuclockid);

    if (is_virtual())
        refuse("pthread_getcpuclockid()");
    return libc_pthread_getcpuclockid(thread, clock);
}

LW_API int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
    typedef int set(pthread_t, int, const struct sched_param *);
    LIBC(set, pthread_setschedparam);

    if (!is_virtual())
        return libc_pthread_setschedparam(thread, policy, param);
    return sim_thread_of(thread) != NULL ? 0 : ESRCH;
}

LW_API int pthread_getschedparam(pthread_t thread, int *restrict policy,
                                 struct sched_param *restrict param)
{
    typedef int get(pthread_t, int *, struct sched_param *);
    LIBC(get, pthread_getschedparam);

    if (!is_virtual())
        return libc_pthread_getschedparam(thread, policy, param);
    *policy = SCHED_OTHER;
    *param = (struct sched_param){0};
    return sim_thread_of(thread) != NULL ? 0 : ESRCH;
}

LW_API int pthread_setschedprio(pthread_t thread, int priority)
{
    typedef int set(pthread_t, int);
    LIBC(set, pthread_setschedprio);

    if (!is_virtual())
        return libc_pthread_setschedprio(thread, priority);
    return sim_thread_of(thread) != NULL ? 0 : ESRCH;
}

LW_API int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set)
{
    typedef int put(pthread_t, size_t, const cpu_set_t *);
    LIBC(put, pthread_setaffinity_np);

    if (!is_virtual())
        return libc_pthread_setaffinity_np(thread, size, set);
    return sim_thread_of(thread) != NULL ? 0 : ESRCH;
}

LW_API int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *set)
{
    typedef int get(pthread_t, size_t, cpu_set_t *);
    LIBC(get, pthread_getaffinity_np);

    if (!is_virtual())
        return libc_pthread_getaffinity_np(thread, size, set);
    if (sim_thread_of(thread) == NULL)
        return ESRCH;
    return sched_getaffinity(0, size, set) < 0 ? errno : 0;
}
