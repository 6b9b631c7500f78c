/* SPDX-License-Identifier: MIT */
/* What a program asks of simulated descriptors, and what it does with the paths of unix sockets:
 * see libc.c.  Those paths are the simulated kernel's alone, so the real one cannot remove them
 * before they are bound to again; of any other path nothing is simulated. */
#undef _FILE_OFFSET_BITS
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/sim/libc_files.h"
#include "runtime/sim/socket.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "they are the same");

/* ---- descriptors */

LW_API int fstat(int fd, struct stat *status)
{
    typedef int call(int, struct stat *);
    LIBC(call, fstat);

    return is_simulated(fd) ? sim_fstat(fd, status) : libc_fstat(fd, status);
}

LW_API int fstat64(int fd, struct stat64 *status)
{
    typedef int call(int, struct stat64 *);
    LIBC(call, fstat64);

    return is_simulated(fd) ? sim_fstat(fd, (struct stat *)status) : libc_fstat64(fd, status);
}

LW_API int ioctl(int fd, unsigned long request, ...)
{
    typedef int call(int, unsigned long, ...);
    va_list list;
    void *arg;
    LIBC(call, ioctl);

    va_start(list, request);
    arg = va_arg(list, void *);
    va_end(list);
    return is_simulated(fd) ? sim_ioctl(fd, request, arg) : libc_ioctl(fd, request, arg);
}

LW_API int sockatmark(int fd)
{
    typedef int call(int);
    int is_there;
    LIBC(call, sockatmark);

    if (!is_simulated(fd))
        return libc_sockatmark(fd);
    return sim_ioctl(fd, SIOCATMARK, &is_there) < 0 ? -1 : is_there;
}

LW_API int isatty(int fd)
{
    typedef int call(int);
    LIBC(call, isatty);

    if (!is_simulated(fd))
        return libc_isatty(fd);
    (void)sim_ioctl(fd, TCGETS, NULL);
    return 0;
}

/* ---- paths */

static bool is_simulated_path(const char *path)
{
    return is_virtual() && path != NULL && sim_unix_has(path);
}

LW_API int unlink(const char *path)
{
    typedef int call(const char *);
    LIBC(call, unlink);

    return is_simulated_path(path) ? sim_unlink(path) : libc_unlink(path);
}

LW_API int remove(const char *path)
{
    typedef int call(const char *);
    LIBC(call, remove);

    return is_simulated_path(path) ? sim_unlink(path) : libc_remove(path);
}

/* Anybody may connect. */
LW_API int chmod(const char *path, mode_t mode)
{
    typedef int call(const char *, mode_t);
    LIBC(call, chmod);

    return is_simulated_path(path) ? 0 : libc_chmod(path, mode);
}

LW_API int stat(const char *restrict path, struct stat *restrict status)
{
    typedef int call(const char *, struct stat *);
    LIBC(call, stat);

    return is_simulated_path(path) ? sim_lstat(path, status) : libc_stat(path, status);
}

LW_API int lstat(const char *restrict path, struct stat *restrict status)
{
    typedef int call(const char *, struct stat *);
    LIBC(call, lstat);

    return is_simulated_path(path) ? sim_lstat(path, status) : libc_lstat(path, status);
}

LW_API int stat64(const char *restrict path, struct stat64 *restrict status)
{
    typedef int call(const char *, struct stat64 *);
    LIBC(call, stat64);

    return is_simulated_path(path) ? sim_lstat(path, (struct stat *)status)
                                   : libc_stat64(path, status);
}

LW_API int lstat64(const char *restrict path, struct stat64 *restrict status)
{
    typedef int call(const char *, struct stat64 *);
    LIBC(call, lstat64);

    return is_simulated_path(path) ? sim_lstat(path, (struct stat *)status)
                                   : libc_lstat64(path, status);
}
