/* SPDX-License-Identifier: MIT */
/* The program's own locks that several hold or come to, in a schedule: see libc.c.
 *
 * A read-write lock keeps its readers, waiting writers and writer in words of it that libc has no
 * use for; a barrier, how many have come, beyond those of libc's.  Of a spin lock libc's own word
 * is all there is: libc tries, and who does not get it waits here instead of spinning. */
#include <errno.h>
#include <pthread.h>

#include "runtime/sim/libc.h"

/* ---- read-write locks */

struct rwlock { /* at glibc's __pad3 and __pad4 */
    uint16_t readers;
    uint16_t writers_waiting;
    uint32_t writer;
};

static struct rwlock *rwlock_of(pthread_rwlock_t *at)
{
    return (struct rwlock *)(void *)&at->__data.__pad3;
}

/* Which of those who wait comes first is drawn; a kind that prefers writers means it. */
static bool readers_must_wait(pthread_rwlock_t *at)
{
    const struct rwlock *lock = rwlock_of(at);

    return lock->writer != 0 ||
           (at->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP &&
            lock->writers_waiting > 0);
}

static int read_lock(pthread_rwlock_t *at, int64_t until)
{
    struct rwlock *lock = rwlock_of(at);

    sim_point();
    if (until == NO_TIME)
        return EINVAL;
    if (lock->writer == mine())
        return EDEADLK;
    while (readers_must_wait(at))
        if (!sim_block(at, until, "a read-write lock") && readers_must_wait(at))
            return ETIMEDOUT;
    if (lock->readers == UINT16_MAX)
        return EAGAIN;
    lock->readers++;
    return 0;
}

static int write_lock(pthread_rwlock_t *at, int64_t until)
{
    struct rwlock *lock = rwlock_of(at);
    int err = 0;

    sim_point();
    if (until == NO_TIME)
        return EINVAL;
    if (lock->writer == mine())
        return EDEADLK;
    lock->writers_waiting++;
    while (err == 0 && (lock->writer != 0 || lock->readers > 0))
        if (!sim_block(at, until, "a read-write lock") && (lock->writer != 0 || lock->readers > 0))
            err = ETIMEDOUT;
    lock->writers_waiting--;
    if (err == 0)
        lock->writer = mine();
    else
        sim_wake(at, UINT32_MAX); /* readers who waited for us */
    return err;
}

LW_API int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    typedef int take(pthread_rwlock_t *);
    LIBC(take, pthread_rwlock_rdlock);

    return is_virtual() ? read_lock(lock, INT64_MAX) : libc_pthread_rwlock_rdlock(lock);
}

LW_API int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    typedef int take(pthread_rwlock_t *);
    LIBC(take, pthread_rwlock_wrlock);

    return is_virtual() ? write_lock(lock, INT64_MAX) : libc_pthread_rwlock_wrlock(lock);
}

LW_API int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *until)
{
    typedef int take(pthread_rwlock_t *, const struct timespec *);
    LIBC(take, pthread_rwlock_timedrdlock);

    return is_virtual() ? read_lock(lock, nanoseconds(until))
                        : libc_pthread_rwlock_timedrdlock(lock, until);
}

LW_API int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *until)
{
    typedef int take(pthread_rwlock_t *, const struct timespec *);
    LIBC(take, pthread_rwlock_timedwrlock);

    return is_virtual() ? write_lock(lock, nanoseconds(until))
                        : libc_pthread_rwlock_timedwrlock(lock, until);
}

LW_API int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until)
{
    typedef int take(pthread_rwlock_t *, clockid_t, const struct timespec *);
    LIBC(take, pthread_rwlock_clockrdlock);

    return is_virtual() ? read_lock(lock, nanoseconds(until))
                        : libc_pthread_rwlock_clockrdlock(lock, clock, until);
}

LW_API int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until)
{
    typedef int take(pthread_rwlock_t *, clockid_t, const struct timespec *);
    LIBC(take, pthread_rwlock_clockwrlock);

    return is_virtual() ? write_lock(lock, nanoseconds(until))
                        : libc_pthread_rwlock_clockwrlock(lock, clock, until);
}

LW_API int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    typedef int take(pthread_rwlock_t *);
    LIBC(take, pthread_rwlock_tryrdlock);

    if (!is_virtual())
        return libc_pthread_rwlock_tryrdlock(lock);
    sim_point();
    if (readers_must_wait(lock))
        return EBUSY;
    if (rwlock_of(lock)->readers == UINT16_MAX)
        return EAGAIN;
    rwlock_of(lock)->readers++;
    return 0;
}

LW_API int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    typedef int take(pthread_rwlock_t *);
    LIBC(take, pthread_rwlock_trywrlock);

    if (!is_virtual())
        return libc_pthread_rwlock_trywrlock(lock);
    sim_point();
    if (rwlock_of(lock)->writer != 0 || rwlock_of(lock)->readers > 0)
        return EBUSY;
    rwlock_of(lock)->writer = mine();
    return 0;
}

LW_API int pthread_rwlock_unlock(pthread_rwlock_t *at)
{
    typedef int let_go(pthread_rwlock_t *);
    struct rwlock *lock = rwlock_of(at);
    LIBC(let_go, pthread_rwlock_unlock);

    if (!is_virtual())
        return libc_pthread_rwlock_unlock(at);
    sim_point();
    if (lock->writer == 0 && lock->readers == 0)
        return EPERM;
    if (lock->writer != 0)
        lock->writer = 0;
    else
        lock->readers--;
    if (lock->readers == 0)
        sim_wake(at, UINT32_MAX);
    return 0;
}

/* ---- barriers */

struct barrier { /* over pthread_barrier_t */
    uint32_t libc_in, libc_round;
    uint32_t count; /* where glibc has it */
    uint32_t libc_shared, libc_out;
    uint32_t waiting;
};
_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "room for it");

LW_API int pthread_barrier_init(pthread_barrier_t *at, const pthread_barrierattr_t *attributes,
                                unsigned count)
{
    typedef int init(pthread_barrier_t *, const pthread_barrierattr_t *, unsigned);
    LIBC(init, pthread_barrier_init);
    int err = libc_pthread_barrier_init(at, attributes, count);

    if (err == 0)
        ((struct barrier *)(void *)at)->waiting = 0;
    return err;
}

/* Who is woken does not look at it again: it may be destroyed already. */
LW_API int pthread_barrier_wait(pthread_barrier_t *at)
{
    typedef int wait(pthread_barrier_t *);
    struct barrier *barrier = (struct barrier *)(void *)at;
    LIBC(wait, pthread_barrier_wait);

    if (!is_virtual())
        return libc_pthread_barrier_wait(at);
    sim_point();
    if (++barrier->waiting < barrier->count) {
        (void)sim_block(at, INT64_MAX, "a pthread barrier");
        return 0;
    }
    barrier->waiting = 0;
    sim_wake(at, UINT32_MAX);
    return PTHREAD_BARRIER_SERIAL_THREAD;
}

/* ---- spin locks */

LW_API int pthread_spin_trylock(pthread_spinlock_t *lock)
{
    typedef int take(pthread_spinlock_t *);
    LIBC(take, pthread_spin_trylock);

    if (is_virtual())
        sim_point();
    return libc_pthread_spin_trylock(lock);
}

LW_API int pthread_spin_lock(pthread_spinlock_t *lock)
{
    typedef int take(pthread_spinlock_t *);
    LIBC(take, pthread_spin_lock);

    if (!is_virtual())
        return libc_pthread_spin_lock(lock);
    while (pthread_spin_trylock(lock) != 0)
        (void)sim_block((const void *)(uintptr_t)lock, INT64_MAX, "a spin lock");
    return 0;
}

LW_API int pthread_spin_unlock(pthread_spinlock_t *lock)
{
    typedef int let_go(pthread_spinlock_t *);
    LIBC(let_go, pthread_spin_unlock);

    if (!is_virtual())
        return libc_pthread_spin_unlock(lock);
    sim_point();
    (void)libc_pthread_spin_unlock(lock);
    sim_wake((const void *)(uintptr_t)lock, 1);
    return 0;
}
