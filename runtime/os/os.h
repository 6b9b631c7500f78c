/* SPDX-License-Identifier: MIT */
/* What the library needs of the operating system: one table, so that the simulator can stand in
 * for it and a test can make the n-th call of one kind fail.  Nothing else in the library makes a
 * system call or allocates.  The functions have the contract of the libc function of the same
 * name, unless said. */
#ifndef LW_RUNTIME_OS_H
#define LW_RUNTIME_OS_H

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct lw_sys {
    void *(*calloc)(size_t count, size_t size);
    void (*free)(void *memory);
    void *(*mmap)(void *at, size_t size, int protection, int flags, int fd, off_t offset);
    int (*munmap)(void *at, size_t size);
    int (*mprotect)(void *at, size_t size, int protection);
    int (*madvise)(void *at, size_t size, int advice);

    /* Copy what may not be there: how many bytes, from the first on, could be read. */
    size_t (*memory_read)(void *to, const void *from, size_t size);

    int64_t (*now)(void);                  /* CLOCK_MONOTONIC in nanoseconds */
    int64_t (*now_coarse)(void);           /* the same, cheap, some milliseconds behind */
    int64_t (*time_used)(void);            /* by the calling thread, on processors; nanoseconds */
    /* Wait while *word is `expected`, until `deadline` (INT64_MAX: for ever), or woken, or for no
     * reason: the caller looks again.  wake: at most `count` waiters. */
    void (*futex_wait)(uint32_t *word, uint32_t expected, int64_t deadline);
    void (*futex_wake)(uint32_t *word, int count);
    int (*thread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *),
                         void *arg);
    int (*thread_join)(pthread_t thread, void **result);
    pthread_t (*thread_self)(void);
    int (*thread_number)(void);            /* the kernel's, of the calling thread */
    void (*thread_name)(const char *name); /* of the calling thread: at most 15 bytes */
    /* Call end(arg) when the calling thread ends; always the same `end`.  0 or an error number. */
    int (*thread_at_end)(void (*end)(void *arg), void *arg);
    void (*thread_stack)(const void **bottom, size_t *size); /* of the calling thread */
    /* The state letter of a thread of this process (R, S, D ...) from the kernel; 0 when it cannot
     * be told. */
    char (*thread_state)(int number);
    int (*atfork)(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
    int (*sigaction)(int number, const struct sigaction *action, struct sigaction *before);
    int (*sigaltstack)(const stack_t *stack, stack_t *before);
    int (*thread_sigmask)(int how, const sigset_t *set, sigset_t *before);
    int (*sigtimedwait)(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
    int (*membarrier)(int command);        /* 0 or negative */
    void (*yield)(void);

    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epoll, int operation, int fd, struct epoll_event *event);
    /* timeout in nanoseconds: negative for ever, 0 just look.  A count or a negative errno
     * value. */
    int (*epoll_wait)(int epoll, struct epoll_event *events, int events_max, int64_t timeout);
    int (*eventfd)(unsigned value, int flags);
    int (*poll)(struct pollfd *fds, unsigned count,
                int64_t timeout); /* in nanoseconds, as for epoll_wait */
    int (*close)(int fd);
    int (*fcntl)(int fd, int command, int arg);
    ssize_t (*read)(int fd, void *buffer, size_t size);
    ssize_t (*write)(int fd, const void *buffer, size_t size);
    ssize_t (*readv)(int fd, const struct iovec *parts, int count);
    ssize_t (*writev)(int fd, const struct iovec *parts, int count);
    ssize_t (*writev_quiet)(int fd, const struct iovec *parts,
                            int count); /* writev, but SIGPIPE is not raised */
    ssize_t (*recv)(int fd, void *buffer, size_t size, int flags);
    ssize_t (*send)(int fd, const void *buffer, size_t size, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    int (*accept4)(int fd, struct sockaddr *address, socklen_t *size, int flags);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t size);
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *address, socklen_t size);
    int (*listen)(int fd, int backlog);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t size);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *size);
    int (*lstat)(const char *path, struct stat *status);
    int (*unlink)(const char *path);
    /* The CPUs this process may really use: affinity, cpuset and cgroup quota along the whole path;
     * >= 1. */
    unsigned (*usable_cpus)(void);
    /* vm.max_map_count: how many mappings this process may have; a guess when it cannot be told. */
    unsigned long (*max_map_count)(void);
    int (*getaddrinfo)(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
};

extern struct lw_sys lw_sys;

#endif
