/* SPDX-License-Identifier: MIT */
/* pipe2(2).  A write of up to PIPE_BUF bytes is all or nothing; there is room for two of those, and
 * a pipe is writable as long as there is room for one. */
#include <limits.h>

#include "runtime/sim/socket.h"

enum { CAPACITY = 2 * PIPE_BUF };

struct end {
    struct sim_file file;
    struct pipe *pipe;
};

struct pipe {
    struct end *ends[2]; /* reader, writer; NULL: closed */
    size_t begin, size;
    char bytes[CAPACITY];
};

static struct end *end_of(struct sim_file *file)
{
    return (struct end *)(void *)file;
}

static bool has_room(const struct pipe *pipe)
{
    return CAPACITY - pipe->size >= PIPE_BUF;
}

static uint32_t reader_poll(struct sim_file *file)
{
    const struct pipe *pipe = end_of(file)->pipe;

    return (pipe->size > 0 ? SIM_READABLE : 0) | (pipe->ends[1] == NULL ? EPOLLHUP : 0);
}

static uint32_t writer_poll(struct sim_file *file)
{
    const struct pipe *pipe = end_of(file)->pipe;

    return (has_room(pipe) ? SIM_WRITABLE : 0) | (pipe->ends[0] == NULL ? EPOLLERR : 0);
}

static void tell(struct end *end, uint32_t events)
{
    if (end != NULL)
        sim_file_event(&end->file, events);
}

static void copy(struct pipe *pipe, size_t at, const struct sim_parts *parts, size_t done,
                 size_t size, bool out)
{
    while (size > 0) {
        size_t piece = CAPACITY - at % CAPACITY;
        char *bytes = pipe->bytes + at % CAPACITY;

        if (piece > size)
            piece = size;
        if (out)
            sim_parts_fill(parts, done, bytes, piece);
        else
            sim_parts_take(parts, done, bytes, piece);
        at += piece;
        done += piece;
        size -= piece;
    }
}

static ssize_t pipe_read(struct sim_file *file, const struct sim_parts *parts)
{
    struct pipe *pipe = end_of(file)->pipe;
    size_t size = parts->size;
    bool was_full;

    if (size == 0)
        return 0;
    while (pipe->size == 0) {
        int err = sim_file_waits(file) ? 0 : -EAGAIN;

        if (pipe->ends[1] == NULL)
            return 0;
        if (err == 0)
            err = sim_file_wait(file, "read of a pipe");
        if (err < 0)
            return err;
    }
    if (size > pipe->size)
        size = pipe->size;
    was_full = !has_room(pipe);
    if (!sim_file_waits(file)) /* else whole, as what is written at once always is in Linux */
        size = sim_short(size);
    copy(pipe, pipe->begin, parts, 0, size, true);
    pipe->begin += size;
    pipe->size -= size;
    if (was_full)
        tell(pipe->ends[1], SIM_WRITABLE);
    if (pipe->size > 0 && size < parts->size) /* cut short: see stream.c */
        sim_file_event(file, SIM_READABLE);
    return (ssize_t)size;
}

/* How much of the rest goes in now. */
static size_t room_for(const struct pipe *pipe, size_t whole, size_t rest)
{
    size_t room = CAPACITY - pipe->size;

    if (whole <= PIPE_BUF)
        return room >= rest ? rest : 0;
    return room < rest ? room : rest;
}

static ssize_t pipe_write(struct sim_file *file, const struct sim_parts *parts, bool quiet)
{
    struct pipe *pipe = end_of(file)->pipe;
    size_t moved = 0;
    int err = 0;

    while (moved < parts->size) {
        size_t size, room;

        if (pipe->ends[0] == NULL) {
            err = -EPIPE;
            break;
        }
        size = room = room_for(pipe, parts->size, parts->size - moved);
        if (size > 0) {
            if (!sim_file_waits(file) && parts->size > PIPE_BUF)
                size = sim_short(size);
            copy(pipe, pipe->begin + pipe->size, parts, moved, size, false);
            pipe->size += size;
            moved += size;
            tell(pipe->ends[0], SIM_READABLE);
            if (size < room) {
                sim_file_event(file, SIM_WRITABLE);
                break;
            }
            continue;
        }
        err = sim_file_waits(file) ? sim_file_wait(file, "write of a pipe") : -EAGAIN;
        if (err < 0)
            break;
    }
    if (err == -EPIPE && !quiet)
        sim_raise_pipe();
    return moved > 0 ? (ssize_t)moved : err;
}

static void pipe_release(struct sim_file *file)
{
    struct end *end = end_of(file);
    struct pipe *pipe = end->pipe;
    unsigned side = pipe->ends[1] == end, other = 1 - side;

    pipe->ends[side] = NULL;
    sim_free(end);
    if (pipe->ends[other] == NULL)
        sim_free(pipe);
    else
        tell(pipe->ends[other], EPOLLERR | EPOLLHUP | (side == 1 ? SIM_READABLE : SIM_WRITABLE));
}

static ssize_t pipe_pending(struct sim_file *file)
{
    return (ssize_t)end_of(file)->pipe->size;
}

static const struct sim_file_type reader_type = {.name = "pipe",
                                                 .poll = reader_poll,
                                                 .read = pipe_read,
                                                 .release = pipe_release,
                                                 .pending = pipe_pending,
                                                 .mode = S_IFIFO | 0600},
                                  writer_type = {.name = "pipe",
                                                 .poll = writer_poll,
                                                 .write = pipe_write,
                                                 .release = pipe_release,
                                                 .pending = pipe_pending,
                                                 .mode = S_IFIFO | 0600};

static int make(int fds[2], int flags)
{
    struct pipe *pipe = sim_alloc(sizeof *pipe);
    struct end *reader = sim_alloc(sizeof *reader), *writer = sim_alloc(sizeof *writer);

    if (pipe == NULL || reader == NULL || writer == NULL) {
        sim_free(pipe);
        sim_free(reader);
        sim_free(writer);
        return -ENOMEM;
    }
    sim_file_init(&reader->file, &reader_type, O_RDONLY | (flags & O_NONBLOCK));
    sim_file_init(&writer->file, &writer_type, O_WRONLY | (flags & O_NONBLOCK));
    reader->pipe = writer->pipe = pipe;
    pipe->ends[0] = reader;
    pipe->ends[1] = writer;
    fds[0] = sim_file_install(&reader->file, (flags & O_CLOEXEC) != 0);
    fds[1] = sim_file_install(&writer->file, (flags & O_CLOEXEC) != 0);
    writer->file.number = reader->file.number;
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    if (fds[1] < 0)
        pipe_release(&writer->file);
    if (fds[0] < 0)
        pipe_release(&reader->file);
    else
        (void)sim_close(fds[0]);
    return -EMFILE;
}

int sim_pipe2(int fds[2], int flags)
{
    int err;

    sim_point();
    if (flags & ~(O_NONBLOCK | O_CLOEXEC))
        return (int)sim_result(-EINVAL);
    err = sim_descriptor_refused();
    return (int)sim_result(err < 0 ? err : make(fds, flags));
}
