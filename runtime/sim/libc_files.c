/* SPDX-License-Identifier: MIT */
/* What a program does itself with simulated descriptors: see libc.c.  The library has made them for
 * it, or it has itself (libc_make.c), or of others, by accept(2) and dup(2).  Their numbers are the
 * simulated kernel's (kernel.h); any other number is the real kernel's.
 *
 * Compiled without what its own calls would be turned into by libc's headers: here are the
 * functions that they are turned into. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/sim/file.h"
#include "runtime/sim/libc_files.h"

/* ---- bytes */

LW_API ssize_t read(int fd, void *buffer, size_t size)
{
    typedef ssize_t call(int, void *, size_t);
    ssize_t result;
    LIBC(call, read);

    if (!is_simulated(fd))
        return libc_read(fd, buffer, size);
    UNINTERRUPTED(result, sim_kernel()->read(fd, buffer, size));
    return result;
}

LW_API ssize_t write(int fd, const void *buffer, size_t size)
{
    typedef ssize_t call(int, const void *, size_t);
    ssize_t result;
    LIBC(call, write);

    if (!is_simulated(fd))
        return libc_write(fd, buffer, size);
    UNINTERRUPTED(result, sim_kernel()->write(fd, buffer, size));
    return result;
}

LW_API ssize_t readv(int fd, const struct iovec *parts, int count)
{
    typedef ssize_t call(int, const struct iovec *, int);
    ssize_t result;
    LIBC(call, readv);

    if (!is_simulated(fd))
        return libc_readv(fd, parts, count);
    UNINTERRUPTED(result, sim_kernel()->readv(fd, parts, count));
    return result;
}

LW_API ssize_t writev(int fd, const struct iovec *parts, int count)
{
    typedef ssize_t call(int, const struct iovec *, int);
    ssize_t result;
    LIBC(call, writev);

    if (!is_simulated(fd))
        return libc_writev(fd, parts, count);
    UNINTERRUPTED(result, sim_kernel()->writev(fd, parts, count));
    return result;
}

LW_API ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    typedef ssize_t call(int, void *, size_t, int);
    ssize_t result;
    LIBC(call, recv);

    if (!is_simulated(fd))
        return libc_recv(fd, buffer, size, flags);
    UNINTERRUPTED(result, sim_kernel()->recv(fd, buffer, size, flags));
    return result;
}

LW_API ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    typedef ssize_t call(int, const void *, size_t, int);
    ssize_t result;
    LIBC(call, send);

    if (!is_simulated(fd))
        return libc_send(fd, buffer, size, flags);
    UNINTERRUPTED(result, sim_kernel()->send(fd, buffer, size, flags));
    return result;
}

LW_API ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    typedef ssize_t call(int, struct msghdr *, int);
    ssize_t result;
    LIBC(call, recvmsg);

    if (!is_simulated(fd))
        return libc_recvmsg(fd, message, flags);
    UNINTERRUPTED(result, sim_kernel()->recvmsg(fd, message, flags));
    return result;
}

LW_API ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    typedef ssize_t call(int, const struct msghdr *, int);
    ssize_t result;
    LIBC(call, sendmsg);

    if (!is_simulated(fd))
        return libc_sendmsg(fd, message, flags);
    UNINTERRUPTED(result, sim_kernel()->sendmsg(fd, message, flags));
    return result;
}

LW_API ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags,
                        __SOCKADDR_ARG address, socklen_t *restrict address_size)
{
    typedef ssize_t call(int, void *, size_t, int, __SOCKADDR_ARG, socklen_t *);
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_name = address.__sockaddr__,
                             .msg_namelen = address_size != NULL ? *address_size : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    ssize_t count;
    LIBC(call, recvfrom);

    if (!is_simulated(fd))
        return libc_recvfrom(fd, buffer, size, flags, address, address_size);
    UNINTERRUPTED(count, sim_kernel()->recvmsg(fd, &message, flags));
    if (count >= 0 && address_size != NULL)
        *address_size = message.msg_namelen;
    return count;
}

LW_API ssize_t sendto(int fd, const void *buffer, size_t size, int flags,
                      __CONST_SOCKADDR_ARG address, socklen_t address_size)
{
    typedef ssize_t call(int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t);
    struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)address.__sockaddr__,
                             .msg_namelen = address_size,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    ssize_t result;
    LIBC(call, sendto);

    if (!is_simulated(fd))
        return libc_sendto(fd, buffer, size, flags, address, address_size);
    UNINTERRUPTED(result, sim_kernel()->sendmsg(fd, &message, flags));
    return result;
}

/* ---- numbers */

LW_API int close(int fd)
{
    typedef int call(int);
    LIBC(call, close);

    return is_simulated(fd) ? sim_kernel()->close(fd) : libc_close(fd);
}

LW_API int dup(int fd)
{
    typedef int call(int);
    LIBC(call, dup);

    return is_simulated(fd) ? sim_kernel()->fcntl(fd, F_DUPFD, 0) : libc_dup(fd);
}

/* No number leads from one kernel to the other. */
static bool is_between(int fd, int to)
{
    return (fd >= SIM_FD_FIRST || to >= SIM_FD_FIRST) && is_virtual();
}

LW_API int dup2(int fd, int to)
{
    typedef int call(int, int);
    LIBC(call, dup2);

    if (!is_between(fd, to))
        return libc_dup2(fd, to);
    if (fd == to)
        return sim_kernel()->fcntl(fd, F_GETFD, 0) >= 0 ? fd : -1;
    return sim_dup3(fd, to, 0);
}

LW_API int dup3(int fd, int to, int flags)
{
    typedef int call(int, int, int);
    LIBC(call, dup3);

    return is_between(fd, to) ? sim_dup3(fd, to, flags) : libc_dup3(fd, to, flags);
}

typedef int control(int, int, ...);

static int control_file(int fd, int command, long arg, control *libc)
{
    return is_simulated(fd) ? sim_kernel()->fcntl(fd, command, (int)arg) : libc(fd, command, arg);
}

/* The argument is a number or a pointer, or is not there. */
#define CONTROL_ARG(arg, command)                                                                  \
    do {                                                                                           \
        va_list list_;                                                                             \
        va_start(list_, command);                                                                  \
        (arg) = va_arg(list_, long);                                                               \
        va_end(list_);                                                                             \
    } while (0)

LW_API int fcntl(int fd, int command, ...)
{
    long arg;
    LIBC(control, fcntl);

    CONTROL_ARG(arg, command);
    return control_file(fd, command, arg, libc_fcntl);
}

LW_API int fcntl64(int fd, int command, ...)
{
    long arg;
    LIBC(control, fcntl64);

    CONTROL_ARG(arg, command);
    return control_file(fd, command, arg, libc_fcntl64);
}

/* ---- sockets */

LW_API int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    typedef int call(int, __CONST_SOCKADDR_ARG, socklen_t);
    LIBC(call, bind);

    return is_simulated(fd) ? sim_kernel()->bind(fd, address.__sockaddr__, size)
                            : libc_bind(fd, address, size);
}

LW_API int listen(int fd, int backlog)
{
    typedef int call(int, int);
    LIBC(call, listen);

    return is_simulated(fd) ? sim_kernel()->listen(fd, backlog) : libc_listen(fd, backlog);
}

LW_API int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    typedef int call(int, __CONST_SOCKADDR_ARG, socklen_t);
    int result;
    LIBC(call, connect);

    if (!is_simulated(fd))
        return libc_connect(fd, address, size);
    UNINTERRUPTED(result, sim_kernel()->connect(fd, address.__sockaddr__, size));
    return result;
}

LW_API int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags)
{
    typedef int call(int, __SOCKADDR_ARG, socklen_t *, int);
    int result;
    LIBC(call, accept4);

    if (!is_simulated(fd))
        return libc_accept4(fd, address, size, flags);
    UNINTERRUPTED(result, sim_kernel()->accept4(fd, address.__sockaddr__, size, flags));
    return result;
}

LW_API int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    typedef int call(int, __SOCKADDR_ARG, socklen_t *);
    int result;
    LIBC(call, accept);

    if (!is_simulated(fd))
        return libc_accept(fd, address, size);
    UNINTERRUPTED(result, sim_kernel()->accept4(fd, address.__sockaddr__, size, 0));
    return result;
}

LW_API int shutdown(int fd, int how)
{
    typedef int call(int, int);
    LIBC(call, shutdown);

    return is_simulated(fd) ? sim_shutdown(fd, how) : libc_shutdown(fd, how);
}

LW_API int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    typedef int call(int, __SOCKADDR_ARG, socklen_t *);
    LIBC(call, getsockname);

    return is_simulated(fd) ? sim_getsockname(fd, address.__sockaddr__, size)
                            : libc_getsockname(fd, address, size);
}

LW_API int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    typedef int call(int, __SOCKADDR_ARG, socklen_t *);
    LIBC(call, getpeername);

    return is_simulated(fd) ? sim_getpeername(fd, address.__sockaddr__, size)
                            : libc_getpeername(fd, address, size);
}

LW_API int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    typedef int call(int, int, int, const void *, socklen_t);
    LIBC(call, setsockopt);

    return is_simulated(fd) ? sim_kernel()->setsockopt(fd, level, name, value, size)
                            : libc_setsockopt(fd, level, name, value, size);
}

LW_API int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict size)
{
    typedef int call(int, int, int, void *, socklen_t *);
    LIBC(call, getsockopt);

    return is_simulated(fd) ? sim_kernel()->getsockopt(fd, level, name, value, size)
                            : libc_getsockopt(fd, level, name, value, size);
}

/* ---- waiting for several */

/* Without a number of the simulated kernel's and without a wait it is the real one's: so it asks
 * about its own, poll.c. */
static bool is_simulated_poll(const struct pollfd *fds, nfds_t count, bool waits)
{
    for (nfds_t i = 0; i < count && !waits; i++)
        waits = fds[i].fd >= SIM_FD_FIRST;
    return waits && is_virtual();
}

LW_API int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    typedef int call(struct pollfd *, nfds_t, int);
    int found;
    LIBC(call, poll);

    if (!is_simulated_poll(fds, count, timeout != 0))
        return libc_poll(fds, count, timeout);
    UNINTERRUPTED(found,
                  sim_poll(fds, (unsigned)count, timeout < 0 ? -1 : timeout * INT64_C(1000000)));
    return found;
}

LW_API int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    typedef int call(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int64_t time = timeout != NULL ? nanoseconds(timeout) : -1;
    int found;
    LIBC(call, ppoll);

    if (!is_simulated_poll(fds, count, time != 0))
        return libc_ppoll(fds, count, timeout, mask);
    if (timeout != NULL && time < 0) {
        errno = EINVAL;
        return -1;
    }
    UNINTERRUPTED(found, sim_poll(fds, (unsigned)count, time));
    return found;
}

/* ---- by the names that _FORTIFY_SOURCE gives them; libc's own complain of what does not fit */

LW_API ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
LW_API ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
LW_API ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t size, size_t room, int flags,
                              __SOCKADDR_ARG address, socklen_t *restrict address_size);
LW_API int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
LW_API int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t room);

LW_API ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
    typedef ssize_t call(int, void *, size_t, size_t);
    LIBC(call, __read_chk);

    return size <= room ? read(fd, buffer, size) : libc___read_chk(fd, buffer, size, room);
}

LW_API ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags)
{
    typedef ssize_t call(int, void *, size_t, size_t, int);
    LIBC(call, __recv_chk);

    return size <= room ? recv(fd, buffer, size, flags)
                        : libc___recv_chk(fd, buffer, size, room, flags);
}

LW_API ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t size, size_t room, int flags,
                              __SOCKADDR_ARG address, socklen_t *restrict address_size)
{
    typedef ssize_t call(int, void *, size_t, size_t, int, __SOCKADDR_ARG, socklen_t *);
    LIBC(call, __recvfrom_chk);

    return size <= room
               ? recvfrom(fd, buffer, size, flags, address, address_size)
               : libc___recvfrom_chk(fd, buffer, size, room, flags, address, address_size);
}

LW_API int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    typedef int call(struct pollfd *, nfds_t, int, size_t);
    LIBC(call, __poll_chk);

    return count <= room / sizeof *fds ? poll(fds, count, timeout)
                                       : libc___poll_chk(fds, count, timeout, room);
}

LW_API int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t room)
{
    typedef int call(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
    LIBC(call, __ppoll_chk);

    return count <= room / sizeof *fds ? ppoll(fds, count, timeout, mask)
                                       : libc___ppoll_chk(fds, count, timeout, mask, room);
}
