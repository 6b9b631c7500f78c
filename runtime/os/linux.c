/* SPDX-License-Identifier: MIT */
/* The system calls of Linux behind the table of os.h. */
#include "runtime/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/os/sanitizer.h"

#define NS_PER_SEC INT64_C(1000000000)

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static int64_t sys_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t sys_now_coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

static int64_t sys_time_used(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void sys_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline)
{
#ifdef LW_TSAN
    /* TSan keeps a signal back until the thread is in a libc call that it knows: so look up at
     * times. */
    int64_t soon = sys_now() + NS_PER_SEC / 50;

    if (deadline > soon)
        deadline = soon;
#endif
    struct timespec until = {.tv_sec = (time_t)(deadline / NS_PER_SEC),
                             .tv_nsec = (long)(deadline % NS_PER_SEC)};

    /* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time.  EINTR, EAGAIN, ETIMEDOUT: the caller
     * looks. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                  deadline == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void sys_futex_wake(uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

static int sys_membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void sys_yield(void)
{
    (void)sched_yield();
}

static int sys_epoll_wait(int epoll, struct epoll_event *events, int events_max, int64_t timeout)
{
    /* Before Linux 5.11, under qemu-user, and where a container's filter that is older than the
     * call forbids it (EPERM, which is no error of its own).  Written once, to true. */
    static bool no_pwait2;
    int count;

    if (!__atomic_load_n(&no_pwait2, __ATOMIC_RELAXED)) {
        struct timespec t = {.tv_sec = (time_t)(timeout / NS_PER_SEC),
                             .tv_nsec = (long)(timeout % NS_PER_SEC)};

        count = (int)syscall(SYS_epoll_pwait2, epoll, events, events_max, timeout < 0 ? NULL : &t,
                             NULL, 0);
        if (count >= 0)
            return count;
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        __atomic_store_n(&no_pwait2, true, __ATOMIC_RELAXED);
    }
    int64_t milliseconds = (timeout + 999999) / 1000000;
    if (milliseconds > 3600000)
        milliseconds = 3600000; /* the caller looks at the clock and comes back */
    count = epoll_wait(epoll, events, events_max, timeout < 0 ? -1 : (int)milliseconds);
    return count >= 0 ? count : -errno;
}

static int sys_poll(struct pollfd *fds, unsigned count, int64_t timeout)
{
    struct timespec t = {.tv_sec = (time_t)(timeout / NS_PER_SEC),
                         .tv_nsec = (long)(timeout % NS_PER_SEC)};

    return ppoll(fds, count, timeout < 0 ? NULL : &t, NULL);
}

/* For what has no MSG_NOSIGNAL: SIGPIPE is blocked in this thread meanwhile, and if the write has
 * raised it, taken back before it is let through again.  One that was pending before is not ours
 * to take; that can only be where it was blocked already.  A write that moved something may have
 * raised it as well. */
static ssize_t sys_writev_quiet(int fd, const struct iovec *parts, int count)
{
    static const struct timespec at_once;
    sigset_t pipe, before, pending;
    bool was_blocked, was_pending;
    size_t size = 0;
    ssize_t written;
    int err;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    was_blocked = sigismember(&before, SIGPIPE) == 1;
    was_pending = was_blocked && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;

    written = writev(fd, parts, count);
    err = errno;
    for (int i = 0; i < count && written >= 0; i++)
        size += parts[i].iov_len;
    if (!was_pending && (written < 0 ? err == EPIPE : (size_t)written < size))
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
            continue;
    if (!was_blocked)
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return written;
}

static int sys_eventfd(unsigned value, int flags)
{
    return eventfd(value, flags);
}

static int sys_fcntl(int fd, int command, int arg)
{
    return fcntl(fd, command, arg);
}

static int sys_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return accept4(fd, address, size, flags);
}

static int sys_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return connect(fd, address, size);
}

static int sys_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return bind(fd, address, size);
}

static int sys_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **found)
{
    return getaddrinfo(host, service, hints, found);
}

static int sys_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                             void *(*start)(void *), void *arg)
{
    return pthread_create(thread, attributes, start, arg);
}

static size_t sys_memory_read(void *to, const void *from, size_t size)
{
    struct iovec into = {.iov_base = to, .iov_len = size};
    struct iovec what = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
    ssize_t done = process_vm_readv(getpid(), &into, 1, &what, 1, 0);

    return done > 0 ? (size_t)done : 0;
}

static char sys_thread_state(int tid)
{
    char text[512];
    ssize_t size;
    const char *end;
    int file;

    (void)snprintf(text, sizeof text, "/proc/self/task/%d/stat", tid);
    file = open(text, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    size = read(file, text, sizeof text - 1);
    (void)close(file);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    end = strrchr(text, ')'); /* the name may hold anything, also brackets */
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

static int sys_thread_number(void)
{
    return (int)syscall(SYS_gettid);
}

static void sys_thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

static pthread_key_t end_key;
static pthread_once_t end_key_once = PTHREAD_ONCE_INIT;
static int end_key_error;
static void (*end_function)(void *arg);

static void make_end_key(void)
{
    end_key_error = pthread_key_create(&end_key, __atomic_load_n(&end_function, __ATOMIC_RELAXED));
}

static int sys_thread_at_end(void (*end)(void *arg), void *arg)
{
    __atomic_store_n(&end_function, end, __ATOMIC_RELAXED); /* the same one each time */
    (void)pthread_once(&end_key_once, make_end_key);
    return end_key_error != 0 ? end_key_error : pthread_setspecific(end_key, arg);
}

static void sys_thread_stack(const void **bottom, size_t *size)
{
    pthread_attr_t attributes;
    void *lowest = NULL;

    *bottom = NULL;
    *size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    (void)pthread_attr_getstack(&attributes, &lowest, size);
    (void)pthread_attr_destroy(&attributes);
    *bottom = lowest;
}

static unsigned long sys_max_map_count(void)
{
    unsigned long count = 65530; /* the kernel's default */
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

    if (file != NULL) {
        if (fscanf(file, "%lu", &count) != 1)
            count = 65530;
        (void)fclose(file);
    }
    return count;
}

/* cgroup v2: quota and period of this group and of each above it; the smallest share counts. */
static unsigned cgroup_cpus(unsigned cpus)
{
    char path[4200], group[4096] = "", text[64];
    FILE *file = fopen("/proc/self/cgroup", "re");

    if (file == NULL)
        return cpus;
    while (fgets(path, sizeof path, file) != NULL)
        if (strncmp(path, "0::", 3) == 0)
            (void)snprintf(group, sizeof group, "%.*s", (int)strcspn(path + 3, "\n"), path + 3);
    (void)fclose(file);

    for (;;) {
        long long quota, period;

        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        file = fopen(path, "re");
        if (file != NULL) {
            if (fgets(text, sizeof text, file) != NULL &&
                sscanf(text, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
                unsigned share = (unsigned)((quota + period - 1) / period);

                if (share < cpus)
                    cpus = share;
            }
            (void)fclose(file);
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return cpus > 0 ? cpus : 1;
}

static unsigned sys_usable_cpus(void)
{
    int places = 1024;

    for (; places <= 1024 * 64; places *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)places);
        size_t size = CPU_ALLOC_SIZE((size_t)places);

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0) {
            int count = CPU_COUNT_S(size, set);

            CPU_FREE(set);
            return cgroup_cpus(count > 0 ? (unsigned)count : 1);
        }
        CPU_FREE(set); /* EINVAL: the kernel knows more CPUs than fit */
    }
    return 1;
}

struct lw_sys lw_sys = {
    .calloc = calloc,
    .free = free,
    .mmap = mmap,
    .munmap = munmap,
    .mprotect = mprotect,
    .madvise = madvise,
    .memory_read = sys_memory_read,
    .now = sys_now,
    .now_coarse = sys_now_coarse,
    .time_used = sys_time_used,
    .futex_wait = sys_futex_wait,
    .futex_wake = sys_futex_wake,
    .thread_create = sys_thread_create,
    .thread_join = pthread_join,
    .thread_self = pthread_self,
    .thread_number = sys_thread_number,
    .thread_name = sys_thread_name,
    .thread_at_end = sys_thread_at_end,
    .thread_stack = sys_thread_stack,
    .thread_state = sys_thread_state,
    .atfork = pthread_atfork,
    .sigaction = sigaction,
    .sigaltstack = sigaltstack,
    .thread_sigmask = pthread_sigmask,
    .sigtimedwait = sigtimedwait,
    .membarrier = sys_membarrier,
    .yield = sys_yield,
    .epoll_create1 = epoll_create1,
    .epoll_ctl = epoll_ctl,
    .epoll_wait = sys_epoll_wait,
    .eventfd = sys_eventfd,
    .poll = sys_poll,
    .close = close,
    .fcntl = sys_fcntl,
    .read = read,
    .write = write,
    .readv = readv,
    .writev = writev,
    .writev_quiet = sys_writev_quiet,
    .recv = recv,
    .send = send,
    .recvmsg = recvmsg,
    .sendmsg = sendmsg,
    .accept4 = sys_accept4,
    .connect = sys_connect,
    .socket = socket,
    .bind = sys_bind,
    .listen = listen,
    .setsockopt = setsockopt,
    .getsockopt = getsockopt,
    .lstat = lstat,
    .unlink = unlink,
    .usable_cpus = sys_usable_cpus,
    .max_map_count = sys_max_map_count,
    .getaddrinfo = sys_getaddrinfo,
};
