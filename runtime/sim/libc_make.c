/* SPDX-License-Identifier: MIT */
/* Descriptors that a program makes itself: see libc.c.  In a schedule they are the simulated
 * kernel's, if it knows their kind, and so is what is done with them then (libc_files.c); of other
 * kinds, and outside of a schedule, the real kernel's.
 *
 * epoll is here as a whole.  A simulated one watches what is simulated: anything else it refuses,
 * with EPERM. */
#include <dlfcn.h>
#include <execinfo.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/sim/file.h"
#include "runtime/sim/libc_files.h"

/* ---- a sanitizer's pipes: real ones, to another process that knows the names in a report */

enum { FRAMES_MAX = 32 };

static bool is_sanitizers(const void *code)
{
    static const char *const prefixes[] = {"__asan_", "__lsan_", "__msan_", "__tsan_", "__ubsan_"};
    Dl_info found;

    if (dladdr((const char *)code - 1, &found) == 0 || found.dli_sname == NULL)
        return false;
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(found.dli_sname, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* AddressSanitizer says so; of others a function that the program has called is on the stack. */
static bool is_report(void)
{
    typedef int ask(void);
    ask *is_present = (ask *)(uintptr_t)dlsym(RTLD_DEFAULT, "__asan_report_present");
    void *frames[FRAMES_MAX];
    int count = 0;

    if (is_present != NULL && is_present() != 0)
        return true;
    if (dlsym(RTLD_DEFAULT, "__sanitizer_set_report_path") != NULL)
        count = backtrace(frames, FRAMES_MAX);
    for (int i = 0; i < count; i++)
        if (is_sanitizers(frames[i]))
            return true;
    return false;
}

/* ---- pipes and sockets */

LW_API int pipe2(int fds[2], int flags)
{
    typedef int call(int[2], int);
    LIBC(call, pipe2);

    return is_virtual() ? sim_pipe2(fds, flags) : libc_pipe2(fds, flags);
}

LW_API int pipe(int fds[2])
{
    typedef int call(int[2]);
    LIBC(call, pipe);

    return is_virtual() && !is_report() ? sim_pipe2(fds, 0) : libc_pipe(fds);
}

LW_API int socketpair(int domain, int type, int protocol, int fds[2])
{
    typedef int call(int, int, int, int[2]);
    LIBC(call, socketpair);

    return is_virtual() && domain == AF_UNIX && sim_knows_socket(domain, type, protocol)
               ? sim_socketpair(domain, type, protocol, fds)
               : libc_socketpair(domain, type, protocol, fds);
}

LW_API int socket(int domain, int type, int protocol)
{
    typedef int call(int, int, int);
    LIBC(call, socket);

    return is_virtual() && sim_knows_socket(domain, type, protocol)
               ? sim_kernel()->socket(domain, type, protocol)
               : libc_socket(domain, type, protocol);
}

/* ---- eventfd: libc's own functions that read and write it come to no function of ours */

LW_API int eventfd(unsigned value, int flags)
{
    typedef int call(unsigned, int);
    LIBC(call, eventfd);

    return is_virtual() ? sim_eventfd(value, flags) : libc_eventfd(value, flags);
}

LW_API int eventfd_read(int fd, eventfd_t *value)
{
    typedef int call(int, eventfd_t *);
    LIBC(call, eventfd_read);

    if (!is_simulated(fd))
        return libc_eventfd_read(fd, value);
    return read(fd, value, sizeof *value) == (ssize_t)sizeof *value ? 0 : -1;
}

LW_API int eventfd_write(int fd, eventfd_t value)
{
    typedef int call(int, eventfd_t);
    LIBC(call, eventfd_write);

    if (!is_simulated(fd))
        return libc_eventfd_write(fd, value);
    return write(fd, &value, sizeof value) == (ssize_t)sizeof value ? 0 : -1;
}

/* ---- epoll */

LW_API int epoll_create1(int flags)
{
    typedef int call(int);
    LIBC(call, epoll_create1);

    return is_virtual() ? sim_epoll_create1(flags) : libc_epoll_create1(flags);
}

LW_API int epoll_create(int size)
{
    typedef int call(int);
    LIBC(call, epoll_create);

    return is_virtual() && size > 0 ? sim_epoll_create1(0) : libc_epoll_create(size);
}

LW_API int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    typedef int call(int, int, int, struct epoll_event *);
    LIBC(call, epoll_ctl);

    return is_simulated(epoll) ? sim_epoll_ctl(epoll, operation, fd, event)
                               : libc_epoll_ctl(epoll, operation, fd, event);
}

static int wait_for_events(int epoll, struct epoll_event *events, int events_max, int milliseconds)
{
    int64_t timeout = milliseconds < 0 ? -1 : milliseconds * INT64_C(1000000);
    int count;

    UNINTERRUPTED(count, (int)sim_result(sim_epoll_wait(epoll, events, events_max, timeout)));
    return count;
}

LW_API int epoll_wait(int epoll, struct epoll_event *events, int events_max, int timeout)
{
    typedef int call(int, struct epoll_event *, int, int);
    LIBC(call, epoll_wait);

    return is_simulated(epoll) ? wait_for_events(epoll, events, events_max, timeout)
                               : libc_epoll_wait(epoll, events, events_max, timeout);
}

LW_API int epoll_pwait(int epoll, struct epoll_event *events, int events_max, int timeout,
                       const sigset_t *mask)
{
    typedef int call(int, struct epoll_event *, int, int, const sigset_t *);
    LIBC(call, epoll_pwait);

    return is_simulated(epoll) ? wait_for_events(epoll, events, events_max, timeout)
                               : libc_epoll_pwait(epoll, events, events_max, timeout, mask);
}
