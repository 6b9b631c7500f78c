/* SPDX-License-Identifier: MIT */
/* For drivers that run whole source files: in place of the CPU, the operating system and the
 * scheduler.  runtime/wait.c and runtime/cancel.c are here as they are.
 *
 * Each thread is a worker with one task, or a guest.  lw_park() waits until the record has been put
 * into a run queue; that it is put there twice is an error. */
#ifndef LW_TESTS_MODELS_SYSTEM_H
#define LW_TESTS_MODELS_SYSTEM_H

#include <errno.h>
#include <unistd.h>
#undef close /* GenMC's own are macros */
#undef read
#undef write
#ifndef ECANCELED /* GenMC's own header stops short of these */
#define ECANCELED 125
#define EOWNERDEAD 130
#define ENOTRECOVERABLE 131
#endif

/* ---- runtime/arch/cpu.h */
#define LW_RUNTIME_ARCH_CPU_H

struct lw_thread;
static struct lw_thread *lw_thread_self(void);
static __thread int error;

static inline int lw_errno_get(ptrdiff_t offset)
{
    (void)offset;
    return error;
}

static inline void lw_errno_put(ptrdiff_t offset, int value)
{
    (void)offset;
    error = value;
}

#include "runtime/thread.h"

static struct lw_thread threads_[RECORDS];
static __thread struct lw_thread *self;
ptrdiff_t lw_errno_offset;

static struct lw_thread *lw_thread_self(void)
{
    return self;
}

/* ---- runtime/os/os.h */
#define LW_RUNTIME_OS_H

static int sys_close(int fd);

/* It stands; or each look at it (of one thread) is two milliseconds after the last. */
static int64_t sys_now(void)
{
#ifdef CLOCK_RUNS
    static __thread int64_t looks;

    return ++looks * 2000000;
#else
    return 1;
#endif
}

static int sys_fail(int fd, int command, int arg)
{
    return -1;
}

/* Who sleeps on a futex has looked at the word: it looks again. */
static void sys_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline)
{
    await(__atomic_load_n(word, __ATOMIC_RELAXED) != expected);
}

static void sys_futex_wake(uint32_t *word, int count)
{
}

struct epoll_event;
struct pollfd;
static int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

/* In the order of use: what is not named here no driver comes to. */
static struct {
    int64_t (*now)(void);
    int (*close)(int fd);
    int (*fcntl)(int fd, int command, int arg);
    void (*futex_wait)(uint32_t *word, uint32_t expected, int64_t deadline);
    void (*futex_wake)(uint32_t *word, int count);
    int (*epoll_ctl)(int epoll, int operation, int fd, struct epoll_event *event);
    void *(*mmap)(void *at, size_t size, int protection, int flags, int fd, long offset);
    int (*munmap)(void *at, size_t size);
    void *(*calloc)(size_t count, size_t size);
    void (*free)(void *memory);
    int (*eventfd)(unsigned value, int flags);
    int (*poll)(struct pollfd *fds, unsigned count, int64_t timeout);
    long (*read)(int fd, void *buffer, size_t size);
    long (*write)(int fd, const void *buffer, size_t size);
} lw_sys = {sys_now, sys_close, sys_fail, sys_futex_wait, sys_futex_wake, sys_epoll_ctl};

/* ---- runtime/worker.h */
#define LW_RUNTIME_WORKER_H

#include "runtime/poller.h"

struct lw_runtime;
struct lw_wheel {
    int nothing;
};

struct lw_worker {
    struct lw_runtime *runtime;
    int64_t attended_at;
    uint64_t look_at;
    struct lw_wheel wheel;
    struct lw_poller poller;
    struct lw_record_cache records;
};

static struct lw_worker workers_[RECORDS];
static uint32_t runnable[RECORDS];
static uint32_t freed[RECORDS]; /* how often the record was given back */

static inline struct lw_worker *lw_worker_here(void)
{
    return self->worker;
}

static inline void lw_park(void)
{
    uint32_t *word = &runnable[self->current - hot_];

    await(__atomic_load_n(word, __ATOMIC_ACQUIRE) != 0);
    __atomic_store_n(word, 0, __ATOMIC_RELAXED);
}

static inline void lw_make_ready(struct lw_record *record, bool next)
{
    uint32_t before = __atomic_fetch_add(&runnable[record - hot_], 1, __ATOMIC_RELEASE);

    (void)next;
    assert(before == 0); /* it is in a run queue already */
}

static inline void lw_timer_arm(struct lw_wheel *wheel, struct lw_cold *cold, int64_t deadline)
{
}

static inline void lw_group_enroll(struct lw_record *child)
{
}

void lw_yield(void)
{
}

struct lw_wake_batch;
bool lw_cancel_request(struct lw_record *record, uint32_t generation);
void lw_cancel_wait(struct lw_record *record, uint32_t generation, struct lw_wake_batch *batch);
void lw_cancel_restore(struct lw_record *me);

#define LW_RUNTIME_FORK_H
#define lw_forked() false

#include "runtime/queue.h"

static inline void lw_make_all_ready(struct lw_record *first)
{
    struct lw_record *next;

    for (; first != NULL; first = next) {
        next = first->next;
        lw_make_ready(first, false);
    }
}

/* To the free list: once in each life. */
static inline void put(struct lw_record_cache *cache, struct lw_record *record)
{
    (void)__atomic_fetch_add(&freed[record - hot_], 1, __ATOMIC_RELAXED);
}

#define lw_record_put put

static inline void lw_guest_record_put(struct lw_record *record)
{
    put(NULL, record);
}

#include "runtime/wait.c"

#include "runtime/cancel.c"

int lw_timeout_error(lw_nsec deadline)
{
    return -ETIMEDOUT;
}

int lw_wait_enter_slow(struct lw_record **me)
{
    *me = self->current;
    return 0;
}

/* The calling thread runs the task of that record. */
static inline void become(int record)
{
    self = &threads_[record];
    self->current = &hot_[record];
    self->worker = &workers_[record];
    self->budget = 1000;
}

static inline void become_guest(int record)
{
    become(record);
    self->worker = NULL;
    hot_[record].place = LW_PLACE_GUEST;
}

#endif
