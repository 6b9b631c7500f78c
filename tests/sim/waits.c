/* SPDX-License-Identifier: MIT */
/* What a program's own threads wait with, in a schedule: nobody gets in who must not, and whoever
 * waits till some time does so by the virtual clock. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/explore.h"

TestSuite(waits, .init = watchdog);

enum { THREADS = 3, ROUNDS = 3 };

static pthread_rwlock_t rwlock;
static pthread_spinlock_t spinlock;
static pthread_barrier_t barrier;
static uint32_t word; /* a lock made of a futex: 0, 1, 2: somebody waits */
static int counter, readers, readers_most;

static void run(void *(*fn)(void *arg), void *arg)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, fn, arg) == 0);
    for (int i = 0; i < THREADS; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
}

static struct timespec in_an_hour(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += 3600;
    return time;
}

/* ---- who gets in */

static void add_slowly(void)
{
    int seen = counter;

    lw_sim_point();
    counter = seen + 1;
}

static void *write_and_read(void *arg)
{
    struct timespec until = in_an_hour();

    for (int i = 0; i < ROUNDS; i++) {
        LW_SIM_CHECK((i == 0   ? pthread_rwlock_wrlock(&rwlock)
                      : i == 1 ? pthread_rwlock_timedwrlock(&rwlock, &until)
                               : pthread_rwlock_clockwrlock(&rwlock, CLOCK_REALTIME, &until)) == 0);
        LW_SIM_CHECK(readers == 0);
        LW_SIM_CHECK(pthread_rwlock_rdlock(&rwlock) == EDEADLK);
        add_slowly();
        LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);

        LW_SIM_CHECK((i == 0   ? pthread_rwlock_rdlock(&rwlock)
                      : i == 1 ? pthread_rwlock_timedrdlock(&rwlock, &until)
                               : pthread_rwlock_clockrdlock(&rwlock, CLOCK_REALTIME, &until)) == 0);
        if (++readers > readers_most)
            readers_most = readers;
        LW_SIM_CHECK(pthread_rwlock_trywrlock(&rwlock) == EBUSY);
        lw_sim_point();
        readers--;
        LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    }
    return arg;
}

static int use_rwlock(void *arg)
{
    pthread_rwlockattr_t attributes;

    counter = readers = 0;
    (void)pthread_rwlockattr_init(&attributes);
    (void)pthread_rwlockattr_setkind_np(&attributes, *(int *)arg);
    LW_SIM_CHECK(pthread_rwlock_init(&rwlock, &attributes) == 0);
    run(write_and_read, NULL);
    LW_SIM_CHECK(counter == THREADS * ROUNDS);
    LW_SIM_CHECK(pthread_rwlock_trywrlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_rwlock_tryrdlock(&rwlock) == EBUSY);
    LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    return 0;
}

Test(waits, a_read_write_lock_has_one_writer_or_several_readers)
{
    static const int kinds[] = {PTHREAD_RWLOCK_DEFAULT_NP,
                                PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP};

    for (int i = 0; i < 2; i++) {
        int kind = kinds[i];

        readers_most = 0;
        sim_plain(use_rwlock, &kind);
        cr_assert_gt(readers_most, 1, "there were several");
    }
}

static void *write_first(void *arg)
{
    LW_SIM_CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    return arg;
}

/* It reads while it reads, and in between a writer came. */
static int read_twice(void *arg)
{
    pthread_t writer;

    (void)use_rwlock(arg);
    LW_SIM_CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_create(&writer, NULL, write_first, NULL) == 0);
    (void)usleep(1000);
    LW_SIM_CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    return pthread_join(writer, NULL);
}

Test(waits, a_lock_that_prefers_writers_keeps_readers_out)
{
    int kind = PTHREAD_RWLOCK_DEFAULT_NP;

    cr_assert_eq(sim_plain_once(read_twice, &kind), LW_SIM_PASSED);
    kind = PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
    cr_assert_eq(sim_plain_once(read_twice, &kind), LW_SIM_STUCK);
}

static void *spin_in(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i == 0 || pthread_spin_trylock(&spinlock) != 0)
            LW_SIM_CHECK(pthread_spin_lock(&spinlock) == 0);
        add_slowly();
        LW_SIM_CHECK(pthread_spin_unlock(&spinlock) == 0);
    }
    return arg;
}

static int use_spinlock(void *arg)
{
    counter = 0;
    LW_SIM_CHECK(pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE) == 0);
    run(spin_in, arg);
    LW_SIM_CHECK(counter == THREADS * ROUNDS);
    return pthread_spin_destroy(&spinlock);
}

Test(waits, a_spin_lock_has_one_holder)
{
    sim_plain(use_spinlock, NULL);
}

static void *lock_by_futex(void *arg)
{
    uint32_t seen;

    for (int i = 0; i < ROUNDS; i++) {
        lw_sim_point();
        if (__atomic_exchange_n(&word, 1, __ATOMIC_ACQUIRE) != 0) {
            while (__atomic_exchange_n(&word, 2, __ATOMIC_ACQUIRE) != 0)
                (void)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
        }
        add_slowly();
        seen = __atomic_exchange_n(&word, 0, __ATOMIC_RELEASE);
        if (seen == 2)
            (void)syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1); /* no word more, as libstdc++ */
    }
    return arg;
}

static int use_futex(void *arg)
{
    struct timespec hour = {.tv_sec = 3600}, until = in_an_hour();
    lw_nsec from = lw_now();

    word = 0;
    counter = 0;
    run(lock_by_futex, arg);
    LW_SIM_CHECK(counter == THREADS * ROUNDS);
    LW_SIM_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) == -1);
    LW_SIM_CHECK(errno == EAGAIN);
    LW_SIM_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &hour, NULL, 0) == -1);
    LW_SIM_CHECK(errno == ETIMEDOUT && lw_now() - from >= 3600 * LW_SEC);
    LW_SIM_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL,
                         FUTEX_BITSET_MATCH_ANY) == -1);
    LW_SIM_CHECK(errno == ETIMEDOUT && lw_now() - from < 3700 * LW_SEC);
    return 0;
}

Test(waits, a_futex_of_the_programs_is_waited_for_and_woken)
{
    sim_plain(use_futex, NULL);
}

/* ---- who goes on together */

static int arrived, firsts;

static void *meet(void *arg)
{
    for (int i = 1; i <= ROUNDS; i++) {
        int result;

        lw_sim_point();
        arrived++;
        result = pthread_barrier_wait(&barrier);
        firsts += result == PTHREAD_BARRIER_SERIAL_THREAD;
        LW_SIM_CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
        LW_SIM_CHECK(arrived >= i * THREADS);
    }
    return arg;
}

static int use_barrier(void *arg)
{
    arrived = firsts = 0;
    memset(&barrier, 0xdb, sizeof barrier);
    LW_SIM_CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    run(meet, arg);
    LW_SIM_CHECK(firsts == ROUNDS);
    return pthread_barrier_destroy(&barrier);
}

Test(waits, a_barrier_lets_all_go_on_at_once)
{
    sim_plain(use_barrier, NULL);
}

/* ---- till some time */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void *wait_for_an_hour(void *arg)
{
    struct timespec until = in_an_hour();
    sem_t semaphore;

    (void)sem_init(&semaphore, 0, 0);
    LW_SIM_CHECK(sem_trywait(&semaphore) == -1 && errno == EAGAIN);
    LW_SIM_CHECK(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
    until = in_an_hour();
    LW_SIM_CHECK(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until) == -1 && errno == ETIMEDOUT);
    until = in_an_hour();
    LW_SIM_CHECK(pthread_rwlock_timedrdlock(&rwlock, &until) == ETIMEDOUT);
    until = in_an_hour();
    LW_SIM_CHECK(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
    while (poll(NULL, 0, 3600 * 1000) != 0)
        LW_SIM_CHECK(errno == EINTR);
    return arg;
}

static int wait_for_hours(void *arg)
{
    struct timespec until = in_an_hour(), now;
    lw_nsec from = lw_now();
    pthread_t thread;

    rwlock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
    LW_SIM_CHECK(pthread_mutex_lock(&mutex) == 0);
    LW_SIM_CHECK(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
    LW_SIM_CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, wait_for_an_hour, NULL) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    LW_SIM_CHECK(pthread_mutex_unlock(&mutex) == 0);
    LW_SIM_CHECK(lw_now() - from >= 6 * 3600 * LW_SEC);
    LW_SIM_CHECK(lw_now() - from < (6 * 3600 + 60) * LW_SEC);
    LW_SIM_CHECK(timespec_get(&now, TIME_UTC) == TIME_UTC && now.tv_sec > until.tv_sec);
    LW_SIM_CHECK(now.tv_sec < until.tv_sec + 86400);
    return 0;
}

Test(waits, an_hour_is_over_at_once_whatever_it_was_waited_with)
{
    sim_plain(wait_for_hours, NULL);
}

/* ---- times that are none, and for ever */

static void *post_soon(void *arg)
{
    struct timespec soon = {.tv_nsec = 1000};

    LW_SIM_CHECK(nanosleep(&soon, NULL) == 0);
    LW_SIM_CHECK(sem_post(arg) == 0);
    return arg;
}

static int wait_for_strange_times(void *arg)
{
    struct timespec for_ever = {.tv_sec = LONG_MAX}, none = {.tv_sec = 1, .tv_nsec = 1000000000},
                    before = {.tv_sec = 1, .tv_nsec = -1}, past = {.tv_sec = -1};
    pthread_cond_t own_condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t own_mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_t thread;
    clock_t from = clock();
    sem_t semaphore;

    (void)arg;
    LW_SIM_CHECK(sem_init(&semaphore, 0, 0) == 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, post_soon, &semaphore) == 0);
    LW_SIM_CHECK(sem_timedwait(&semaphore, &for_ever) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(clock() >= from);

    errno = 0;
    LW_SIM_CHECK(sem_timedwait(&semaphore, &none) == -1 && errno == EINVAL);
    LW_SIM_CHECK(nanosleep(&none, NULL) == -1 && errno == EINVAL);
    LW_SIM_CHECK(nanosleep(&before, NULL) == -1 && errno == EINVAL);
    LW_SIM_CHECK(nanosleep(&past, NULL) == -1 && errno == EINVAL);
    LW_SIM_CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &none, NULL) == EINVAL);
    LW_SIM_CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &past, NULL) == EINVAL);
    LW_SIM_CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL) == EINVAL);
    LW_SIM_CHECK(pthread_rwlock_timedwrlock(&lock, &none) == EINVAL);
    LW_SIM_CHECK(pthread_rwlock_timedrdlock(&lock, &none) == EINVAL);
    LW_SIM_CHECK(pthread_mutex_timedlock(&own_mutex, &none) == 0); /* as libc's: it need not wait */
    LW_SIM_CHECK(pthread_mutex_timedlock(&own_mutex, &none) == EINVAL);
    LW_SIM_CHECK(pthread_cond_timedwait(&own_condition, &own_mutex, &none) == EINVAL);
    LW_SIM_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, word, &none) == -1);
    LW_SIM_CHECK(errno == EINVAL);
    LW_SIM_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, word, &past) == -1);
    LW_SIM_CHECK(errno == EINVAL);
    LW_SIM_CHECK(pthread_mutex_timedlock(&own_mutex, &past) == ETIMEDOUT); /* a moment that was */
    return pthread_mutex_unlock(&own_mutex);
}

Test(waits, for_ever_is_no_time_that_passes_and_what_is_no_time_is_refused)
{
    sim_plain(wait_for_strange_times, NULL);
}
