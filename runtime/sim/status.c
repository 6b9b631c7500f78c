/* SPDX-License-Identifier: MIT */
/* fstat(2) and ioctl(2): what an open file of the simulated kernel's is, and how much is in it. */
#include <sys/ioctl.h>

#include "runtime/sim/socket.h"

enum { DEVICE = 2, BLOCK = 4096 };

int sim_fstat(int fd, struct stat *status)
{
    struct sim_file *file;

    sim_point();
    file = sim_file_get(fd);
    if (file == NULL)
        return (int)sim_result(-EBADF);
    if (status != NULL)
        *status = (struct stat){.st_dev = DEVICE,
                                .st_ino = file->number,
                                .st_mode = file->type->mode,
                                .st_nlink = 1,
                                .st_blksize = BLOCK};
    sim_file_put(file);
    return (int)sim_result(status != NULL ? 0 : -EFAULT);
}

/* Nothing is ever sent out of band. */
static int is_at_mark(struct sim_file *file)
{
    return file->type == &sim_socket_type && sim_socket_of(file)->type == SOCK_STREAM ? 0 : -ENOTTY;
}

static int ask(struct sim_file *file, unsigned long request, int *number)
{
    ssize_t value;

    if (request == SIOCATMARK)
        value = is_at_mark(file);
    else
        value = file->type->pending != NULL ? file->type->pending(file) : -ENOTTY;
    if (value < 0)
        return (int)value;
    if (number == NULL)
        return -EFAULT;
    *number = (int)value;
    return 0;
}

static int set_nonblocking(struct sim_file *file, const int *on)
{
    if (on == NULL)
        return -EFAULT;
    file->flags = (file->flags & ~O_NONBLOCK) | (*on != 0 ? O_NONBLOCK : 0);
    return 0;
}

int sim_ioctl(int fd, unsigned long request, void *arg)
{
    struct sim_file *file;
    int result;

    sim_point();
    file = sim_file_get(fd);
    if (file == NULL)
        return (int)sim_result(-EBADF);
    switch (request) {
    case FIONBIO:
        result = set_nonblocking(file, arg);
        break;
    case FIOCLEX:
    case FIONCLEX:
        result = sim_file_control(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
        break;
    case FIONREAD:
    case SIOCATMARK:
        result = ask(file, request, arg);
        break;
    default:
        result = -ENOTTY;
        break;
    }
    sim_file_put(file);
    return (int)sim_result(result);
}
