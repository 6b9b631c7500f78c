/* SPDX-License-Identifier: MIT */
/* Descriptors that a suite makes without the library: in a schedule they are the simulated
 * kernel's.  The program's own definitions come before libc's; outside of a schedule, and for real
 * descriptors, they make the system call. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/sim/kernel.h"
#include "runtime/sim/settings.h"

/* Not lw_sys: a test may have put something of its own there. */
static const struct lw_sys *simulated(void)
{
    static struct lw_sys table;

    if (table.read == NULL)
        sim_kernel_fill(&table);
    return &table;
}

static bool is_simulated(int fd)
{
    return fd >= SIM_FD_FIRST && lw_sim_active();
}

int pipe2(int fds[2], int flags)
{
    return lw_sim_active() ? sim_pipe2(fds, flags) : (int)syscall(SYS_pipe2, fds, flags);
}

int pipe(int fds[2])
{
    return pipe2(fds, 0);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    return lw_sim_active() ? sim_socketpair(domain, type, protocol, fds)
                           : (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

int socket(int domain, int type, int protocol)
{
    return lw_sim_active() ? simulated()->socket(domain, type, protocol)
                           : (int)syscall(SYS_socket, domain, type, protocol);
}

int eventfd(unsigned value, int flags)
{
    return lw_sim_active() ? simulated()->eventfd(value, flags)
                           : (int)syscall(SYS_eventfd2, value, flags);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    return is_simulated(fd) ? simulated()->bind(fd, address.__sockaddr__, size)
                            : (int)syscall(SYS_bind, fd, address.__sockaddr__, size);
}

int listen(int fd, int backlog)
{
    return is_simulated(fd) ? simulated()->listen(fd, backlog)
                            : (int)syscall(SYS_listen, fd, backlog);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    return is_simulated(fd) ? simulated()->connect(fd, address.__sockaddr__, size)
                            : (int)syscall(SYS_connect, fd, address.__sockaddr__, size);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags)
{
    return is_simulated(fd) ? simulated()->accept4(fd, address.__sockaddr__, size, flags)
                            : (int)syscall(SYS_accept4, fd, address.__sockaddr__, size, flags);
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    return accept4(fd, address, size, 0);
}

int shutdown(int fd, int how)
{
    return is_simulated(fd) ? sim_shutdown(fd, how) : (int)syscall(SYS_shutdown, fd, how);
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    return is_simulated(fd) ? sim_getsockname(fd, address.__sockaddr__, size)
                            : (int)syscall(SYS_getsockname, fd, address.__sockaddr__, size);
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    return is_simulated(fd) ? sim_getpeername(fd, address.__sockaddr__, size)
                            : (int)syscall(SYS_getpeername, fd, address.__sockaddr__, size);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    return is_simulated(fd) ? simulated()->setsockopt(fd, level, name, value, size)
                            : (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    return is_simulated(fd) ? simulated()->getsockopt(fd, level, name, value, size)
                            : (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    return is_simulated(fd) ? simulated()->send(fd, buffer, size, flags)
                            : syscall(SYS_sendto, fd, buffer, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    return is_simulated(fd) ? simulated()->recv(fd, buffer, size, flags)
                            : syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t sendto(int fd, const void *buffer, size_t size, int flags, __CONST_SOCKADDR_ARG address,
               socklen_t address_size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)address.__sockaddr__,
                             .msg_namelen = address_size,
                             .msg_iov = &part,
                             .msg_iovlen = 1};

    return is_simulated(fd)
               ? simulated()->sendmsg(fd, &message, flags)
               : syscall(SYS_sendto, fd, buffer, size, flags, address.__sockaddr__, address_size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_simulated(fd) ? simulated()->sendmsg(fd, message, flags)
                            : syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_simulated(fd) ? simulated()->recvmsg(fd, message, flags)
                            : syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    return is_simulated(fd) ? simulated()->read(fd, buffer, size)
                            : syscall(SYS_read, fd, buffer, size);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    return is_simulated(fd) ? simulated()->write(fd, buffer, size)
                            : syscall(SYS_write, fd, buffer, size);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    return is_simulated(fd) ? simulated()->readv(fd, parts, count)
                            : syscall(SYS_readv, fd, parts, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return is_simulated(fd) ? simulated()->writev(fd, parts, count)
                            : syscall(SYS_writev, fd, parts, count);
}

int close(int fd)
{
    return is_simulated(fd) ? simulated()->close(fd) : (int)syscall(SYS_close, fd);
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    long arg;

    va_start(args, command);
    arg = va_arg(args, long);
    va_end(args);
    return is_simulated(fd) ? simulated()->fcntl(fd, command, (int)arg)
                            : (int)syscall(SYS_fcntl, fd, command, arg);
}

int dup(int fd)
{
    return is_simulated(fd) ? simulated()->fcntl(fd, F_DUPFD, 0) : (int)syscall(SYS_dup, fd);
}

/* Of one kernel or the other, as the first is: no test mixes them. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int64_t nanoseconds = timeout < 0 ? -1 : timeout * INT64_C(1000000);
    struct timespec time = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    struct pollfd *first = fds;
    int result;

    __asm__("" : "+r"(first)); /* gcc takes what poll(2) gets for what it only writes to */
    if (count == 0 || !is_simulated(first->fd))
        return (int)syscall(SYS_ppoll, fds, count, timeout < 0 ? NULL : &time, NULL, 0);
    result = simulated()->poll(fds, (unsigned)count, nanoseconds);
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}
