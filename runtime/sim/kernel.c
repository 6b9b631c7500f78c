/* SPDX-License-Identifier: MIT */
/* The table of descriptors of the simulated kernel, and the calls that work on any of them.
 *
 * A new descriptor gets the lowest number that is free, as in Linux: so a number that was closed
 * changes hands at once, and who still uses it is found out. */
#include "runtime/sim/kernel.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/sim/address.h"
#include "runtime/sim/file.h"
#include "runtime/sim/socket.h"

enum { DESCRIPTORS_FIRST = 64, DESCRIPTORS_MAX = 1 << 16 };

struct sim_weather sim_weather;

static struct slot {
    struct sim_file *file;
    bool cloexec;
} * slots;
static unsigned slots_count, slots_open, lowest_free; /* no slot below is free */
static unsigned long files_made;

/* ---- numbers */

static struct slot *slot_of(int fd)
{
    unsigned i = (unsigned)fd - SIM_FD_FIRST;

    return fd >= SIM_FD_FIRST && i < slots_count && slots[i].file != NULL ? &slots[i] : NULL;
}

struct sim_file *sim_file_get(int fd)
{
    struct slot *slot = slot_of(fd);

    if (slot == NULL)
        return NULL;
    slot->file->holds++;
    return slot->file;
}

void sim_file_put(struct sim_file *file)
{
    struct sim_watch *watch;

    if (--file->holds > 0)
        return;
    while ((watch = LIST_FIRST(&file->watches)) != NULL)
        watch->forget(watch);
    file->type->release(file);
}

static bool grow(void)
{
    unsigned count = slots_count == 0 ? DESCRIPTORS_FIRST : 2 * slots_count;
    struct slot *more;

    if (count > DESCRIPTORS_MAX)
        return false;
    more = sim_alloc(count * sizeof *more);
    if (more == NULL)
        return false;
    if (slots_count > 0)
        memcpy(more, slots, slots_count * sizeof *slots);
    sim_free(slots);
    slots = more;
    slots_count = count;
    return true;
}

static int install_from(struct sim_file *file, bool cloexec, unsigned first)
{
    unsigned i = first > lowest_free ? first : lowest_free;

    while (i < slots_count && slots[i].file != NULL)
        i++;
    while (i >= slots_count)
        if (!grow())
            return -EMFILE;
    slots[i] = (struct slot){.file = file, .cloexec = cloexec};
    slots_open++;
    if (first <= lowest_free)
        lowest_free = i + 1;
    file->holds++;
    return SIM_FD_FIRST + (int)i;
}

int sim_file_install(struct sim_file *file, bool cloexec)
{
    int fd = install_from(file, cloexec, 0);

    if (fd >= 0)
        file->number = ++files_made;
    return fd;
}

int sim_descriptor_refused(void)
{
    if (sim_fault(SIM_FAULT_DESCRIPTOR))
        return -EMFILE;
    if (sim_happens(sim_weather.no_files))
        return sim_choose(2) == 0 ? -EMFILE : -ENFILE;
    return 0;
}

unsigned sim_descriptors_open(void)
{
    return slots_open;
}

int sim_close(int fd)
{
    struct slot *slot;
    struct sim_file *file;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.close(fd);
    slot = slot_of(fd);
    if (slot == NULL)
        return (int)sim_result(-EBADF);
    file = slot->file;
    *slot = (struct slot){0};
    if ((unsigned)(slot - slots) < lowest_free)
        lowest_free = (unsigned)(slot - slots);
    if (--slots_open == 0) { /* nothing is left of us, for who counts */
        sim_free(slots);
        slots = NULL;
        slots_count = 0;
    }
    sim_file_put(file);
    return 0;
}

/* What is there goes, as if it was closed. */
static int install_at(struct sim_file *file, bool cloexec, unsigned i)
{
    struct sim_file *before;

    while (i >= slots_count)
        if (!grow())
            return -EMFILE;
    before = slots[i].file;
    slots[i] = (struct slot){.file = file, .cloexec = cloexec};
    file->holds++;
    if (before != NULL)
        sim_file_put(before);
    else
        slots_open++;
    return SIM_FD_FIRST + (int)i;
}

static int dup_at(int fd, int to, int flags)
{
    const struct slot *slot = slot_of(fd);

    if ((flags & ~O_CLOEXEC) != 0 || fd == to)
        return -EINVAL;
    if (slot == NULL || to < SIM_FD_FIRST || to >= SIM_FD_FIRST + DESCRIPTORS_MAX)
        return -EBADF;
    return install_at(slot->file, flags != 0, (unsigned)(to - SIM_FD_FIRST));
}

int sim_dup3(int fd, int to, int flags)
{
    sim_point();
    return (int)sim_result(dup_at(fd, to, flags));
}

int sim_file_control(int fd, int command, int arg)
{
    struct slot *slot = slot_of(fd);
    int err;

    if (slot == NULL)
        return -EBADF;
    switch (command) {
    case F_GETFD:
        return slot->cloexec ? FD_CLOEXEC : 0;
    case F_SETFD:
        slot->cloexec = (arg & FD_CLOEXEC) != 0;
        return 0;
    case F_GETFL:
        return slot->file->flags;
    case F_SETFL:
        slot->file->flags = (slot->file->flags & ~O_NONBLOCK) | (arg & O_NONBLOCK);
        return 0;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (arg < 0 || arg >= SIM_FD_FIRST + DESCRIPTORS_MAX)
            return -EINVAL;
        err = sim_descriptor_refused();
        return err < 0 ? err
                       : install_from(slot->file, command == F_DUPFD_CLOEXEC,
                                      arg > SIM_FD_FIRST ? (unsigned)(arg - SIM_FD_FIRST) : 0);
    default:
        return -EINVAL;
    }
}

static int sim_fcntl(int fd, int command, int arg)
{
    sim_point();
    return sim_is_ours(fd) ? (int)sim_result(sim_file_control(fd, command, arg))
                           : sim_real.fcntl(fd, command, arg);
}

/* ---- waiting and telling */

int sim_file_wait(struct sim_file *file, const char *what)
{
    if (sim_happens(sim_weather.intr))
        return -EINTR;
    (void)sim_block(file, INT64_MAX, what);
    return 0;
}

void sim_file_event(struct sim_file *file, uint32_t events)
{
    struct sim_watch *watch;

    sim_wake(file, UINT32_MAX);
    LIST_FOREACH(watch, &file->watches, link)
    watch->notify(watch, events);
}

/* ---- buffers */

/* Copy between parts[at .. at + size) and memory. */
static void move(const struct sim_parts *parts, size_t at, char *memory, size_t size, bool fill)
{
    size_t moved = 0;

    for (size_t i = 0; i < parts->count && moved < size; i++) {
        size_t length = parts->at[i].iov_len, piece;
        char *base = parts->at[i].iov_base;

        if (at >= length) {
            at -= length;
            continue;
        }
        piece = length - at < size - moved ? length - at : size - moved;
        if (fill)
            memcpy(base + at, memory + moved, piece);
        else
            memcpy(memory + moved, base + at, piece);
        moved += piece;
        at = 0;
    }
}

void sim_parts_fill(const struct sim_parts *parts, size_t at, const void *from, size_t size)
{
    move(parts, at, (char *)(uintptr_t)from, size, true);
}

void sim_parts_take(const struct sim_parts *parts, size_t at, void *to, size_t size)
{
    move(parts, at, to, size, false);
}

size_t sim_short(size_t size)
{
    if (size < 2 || !sim_happens(sim_weather.short_io))
        return size;
    return 1 + sim_choose(size - 1 < 256 ? (unsigned)size - 1 : 256);
}

int sim_parts_of(const struct iovec *at, size_t count, struct sim_parts *parts)
{
    *parts = (struct sim_parts){.at = at, .count = count};
    if (count > IOV_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < count; i++) {
        if (at[i].iov_len > (size_t)SSIZE_MAX - parts->size)
            return -EINVAL;
        parts->size += at[i].iov_len;
    }
    return 0;
}

/* ---- reading and writing */

/* vector: readv(2) and writev(2), which do not ask the file when there is nothing to move. */
static ssize_t read_parts(int fd, const struct iovec *at, int count, bool vector)
{
    struct sim_file *file = sim_file_get(fd);
    struct sim_parts parts;
    ssize_t result;

    if (file == NULL)
        return -EBADF;
    result = count < 0 || count > IOV_MAX ? -EINVAL : sim_parts_of(at, (size_t)count, &parts);
    if ((file->flags & O_ACCMODE) == O_WRONLY)
        result = -EBADF;
    else if (file->type->read == NULL)
        result = -EINVAL;
    else if (result == 0 && !file->type->is_steady && sim_happens(sim_weather.intr))
        result = -EINTR;
    if (result == 0 && (parts.size > 0 || !vector))
        result = file->type->read(file, &parts);
    sim_file_put(file);
    return result;
}

static ssize_t write_parts(int fd, const struct iovec *at, int count, bool vector, bool quiet)
{
    struct sim_file *file = sim_file_get(fd);
    struct sim_parts parts;
    ssize_t result;

    if (file == NULL)
        return -EBADF;
    result = count < 0 || count > IOV_MAX ? -EINVAL : sim_parts_of(at, (size_t)count, &parts);
    if ((file->flags & O_ACCMODE) == O_RDONLY)
        result = -EBADF;
    else if (file->type->write == NULL)
        result = -EINVAL;
    else if (result == 0 && !file->type->is_steady && sim_happens(sim_weather.intr))
        result = -EINTR;
    if (result == 0 && (parts.size > 0 || !vector))
        result = file->type->write(file, &parts, quiet);
    sim_file_put(file);
    return result;
}

/* The real kernel must not stop the thread that everything runs on. */
static bool would_block(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    if (sim_real.poll(&pollfd, 1, 0) != 0)
        return false;
    errno = EAGAIN;
    return true;
}

static ssize_t sim_read(int fd, void *buffer, size_t size)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};

    sim_point();
    if (!sim_is_ours(fd))
        return would_block(fd, POLLIN) ? -1 : sim_real.read(fd, buffer, size);
    return sim_result(read_parts(fd, &part, 1, false));
}

static ssize_t sim_write(int fd, const void *buffer, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};

    sim_point();
    return sim_is_ours(fd) ? sim_result(write_parts(fd, &part, 1, false, false))
                           : sim_real.write(fd, buffer, size);
}

static ssize_t sim_readv(int fd, const struct iovec *parts, int count)
{
    sim_point();
    if (!sim_is_ours(fd))
        return would_block(fd, POLLIN) ? -1 : sim_real.readv(fd, parts, count);
    return sim_result(read_parts(fd, parts, count, true));
}

static ssize_t sim_writev(int fd, const struct iovec *parts, int count)
{
    sim_point();
    return sim_is_ours(fd) ? sim_result(write_parts(fd, parts, count, true, false))
                           : sim_real.writev(fd, parts, count);
}

static ssize_t sim_writev_quiet(int fd, const struct iovec *parts, int count)
{
    sim_point();
    return sim_is_ours(fd) ? sim_result(write_parts(fd, parts, count, true, true))
                           : sim_real.writev(fd, parts, count);
}

const struct lw_sys *sim_kernel(void)
{
    static struct lw_sys table;

    if (table.read == NULL)
        sim_kernel_fill(&table);
    return &table;
}

void sim_kernel_fill(struct lw_sys *table)
{
    table->epoll_create1 = sim_epoll_create1;
    table->epoll_ctl = sim_epoll_ctl;
    table->epoll_wait = sim_epoll_wait;
    table->eventfd = sim_eventfd;
    table->poll = sim_poll;
    table->close = sim_close;
    table->fcntl = sim_fcntl;
    table->read = sim_read;
    table->write = sim_write;
    table->readv = sim_readv;
    table->writev = sim_writev;
    table->writev_quiet = sim_writev_quiet;
    sim_socket_fill(table);
    table->getaddrinfo = sim_getaddrinfo;
}
