/* SPDX-License-Identifier: MIT */
/* Open files of the simulated kernel.
 *
 * A number leads to a file; several numbers may lead to one (F_DUPFD).  A call holds the file that
 * it is on, so what another thread closes meanwhile lives on until the call ends, as in Linux.
 * When nobody holds it any more, its type's release() gets it.
 *
 * Whatever may have made a file ready is told by sim_file_event(): that wakes the calls that block
 * on the file, and tells its watches: registrations in an epoll, calls of poll(2).
 *
 * Only one thread runs at a time, and it is switched away in sim_point() and sim_block() only: all
 * that happens between two of them is atomic, and so there are no locks here.  Functions return a
 * negative errno value on failure; the table's entries in kernel.c turn it into -1 and errno. */
#ifndef LW_RUNTIME_SIM_FILE_H
#define LW_RUNTIME_SIM_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>

#include "runtime/sim/engine.h"
#include "runtime/sim/kernel.h"

struct sim_file;
struct sim_socket;

/* The buffers of one call. */
struct sim_parts {
    const struct iovec *at;
    size_t count, size; /* buffers; bytes in them */
};

struct sim_file_type {
    const char *name;
    uint32_t (*poll)(struct sim_file *file); /* the events that it is ready for now */
    ssize_t (*read)(struct sim_file *file, const struct sim_parts *parts);
    ssize_t (*write)(struct sim_file *file, const struct sim_parts *parts, bool quiet);
    void (*release)(struct sim_file *file);    /* nobody holds it any more */
    ssize_t (*pending)(struct sim_file *file); /* bytes to be read, as FIONREAD has it */
    mode_t mode;                               /* as fstat(2) has it */
    bool is_steady; /* a call is interrupted only where it waits: those who ring bells rely on it */
};

extern const struct sim_file_type sim_epoll_type, sim_socket_type;

struct sim_watch {
    LIST_ENTRY(sim_watch) link;
    struct sim_file *file;
    void (*notify)(struct sim_watch *watch, uint32_t events);
    void (*forget)(struct sim_watch *watch); /* the file goes away */
};

struct sim_file {
    const struct sim_file_type *type;
    unsigned holds;       /* numbers, and calls that are on it */
    int flags;            /* access mode, O_NONBLOCK */
    unsigned long number; /* its inode's */
    LIST_HEAD(, sim_watch) watches;
};

/* What a change of state is told as: who waits for anything looks. */
#define SIM_ANYTHING UINT32_MAX
#define SIM_READABLE ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define SIM_WRITABLE ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

/* ---- kernel.c: the table of descriptors */

/* The file behind a number, held; NULL: there is none. */
struct sim_file *sim_file_get(int fd);
void sim_file_put(struct sim_file *file);

/* Give a file its first number, which then holds it.  The number, or -EMFILE: then the file is
 * untouched. */
int sim_file_install(struct sim_file *file, bool cloexec);

/* close(2). */
int sim_close(int fd);

/* fcntl(2). */
int sim_file_control(int fd, int command, int arg);

/* Before making a descriptor: 0, -EMFILE or -ENFILE, by faults and weather. */
int sim_descriptor_refused(void);

/* Is it a number of ours?  Others are the real kernel's, by the table that there was before. */
extern struct lw_sys sim_real;

static inline bool sim_is_ours(int fd)
{
    return fd < 0 || fd >= SIM_FD_FIRST;
}

static inline void sim_file_init(struct sim_file *file, const struct sim_file_type *type, int flags)
{
    file->type = type;
    file->flags = flags & (O_ACCMODE | O_NONBLOCK);
    LIST_INIT(&file->watches);
}

static inline bool sim_file_waits(const struct sim_file *file)
{
    return (file->flags & O_NONBLOCK) == 0;
}

/* -EAGAIN of a call that may wait: 0: something has happened, try again; -EINTR. */
int sim_file_wait(struct sim_file *file, const char *what);

/* The file may have become ready for these. */
void sim_file_event(struct sim_file *file, uint32_t events);

/* The value of a libc function. */
static inline ssize_t sim_result(ssize_t value)
{
    if (value >= 0)
        return value;
    errno = (int)-value;
    return -1;
}

/* Weather: once in so many calls, 0: never. */
static inline bool sim_happens(unsigned one_in)
{
    return one_in != 0 && sim_chance(one_in);
}

/* 0, -EMSGSIZE: too many, -EINVAL: too many bytes. */
int sim_parts_of(const struct iovec *at, size_t count, struct sim_parts *parts);

/* Copy between the parts, from their byte `at` on, and a piece of memory. */
void sim_parts_fill(const struct sim_parts *parts, size_t at, const void *from, size_t size);
void sim_parts_take(const struct sim_parts *parts, size_t at, void *to, size_t size);

/* How much of `size` one call moves: now and then less. */
size_t sim_short(size_t size);

/* ---- poll.c */

int sim_epoll_create1(int flags);
int sim_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int sim_epoll_wait(int epoll, struct epoll_event *events, int events_max, int64_t timeout);
int sim_poll(struct pollfd *fds, unsigned count, int64_t timeout);

/* ---- eventfd.c */

int sim_eventfd(unsigned value, int flags);

#endif
