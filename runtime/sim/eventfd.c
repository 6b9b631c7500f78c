/* SPDX-License-Identifier: MIT */
/* eventfd(2): a counter.  Each write is an event, also where the counter was not 0 before. */
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/sim/file.h"

#define COUNT_MAX (UINT64_MAX - 1)
#define PAGE 4096

struct event_counter {
    struct sim_file file;
    uint64_t count;
    bool semaphore;
};

static struct event_counter *counter_of(struct sim_file *file)
{
    return (struct event_counter *)(void *)file;
}

static uint32_t counter_poll(struct sim_file *file)
{
    uint64_t count = counter_of(file)->count;

    return (count > 0 ? EPOLLIN : 0) | (count < COUNT_MAX ? EPOLLOUT : 0);
}

static ssize_t counter_read(struct sim_file *file, const struct sim_parts *parts)
{
    struct event_counter *counter = counter_of(file);
    uint64_t value;

    if (parts->size < sizeof value)
        return -EINVAL;
    while (counter->count == 0) {
        int err = sim_file_waits(file) ? sim_file_wait(file, "read of an eventfd") : -EAGAIN;

        if (err < 0)
            return err;
    }
    value = counter->semaphore ? 1 : counter->count;
    counter->count -= value;
    sim_parts_fill(parts, 0, &value, sizeof value);
    sim_file_event(file, EPOLLOUT);
    return sizeof value;
}

/* Is there memory?  A guard page is told from a stack by what the kernel says of it (EFAULT), so
 * that is asked, for what begins where a page begins: a call that reads a signal set from there,
 * and then has no use for it. */
static bool is_memory(const void *at)
{
    if ((uintptr_t)at % PAGE != 0)
        return true;
    return at != NULL &&
           (syscall(SYS_rt_sigprocmask, -1, at, NULL, sizeof(uint64_t)) == 0 || errno != EFAULT);
}

static ssize_t counter_write(struct sim_file *file, const struct sim_parts *parts, bool quiet)
{
    struct event_counter *counter = counter_of(file);
    uint64_t value;

    (void)quiet;
    if (parts->size < sizeof value)
        return -EINVAL;
    if (!is_memory(parts->at->iov_base))
        return -EFAULT;
    sim_parts_take(parts, 0, &value, sizeof value);
    if (value == UINT64_MAX)
        return -EINVAL;
    while (value > COUNT_MAX - counter->count) {
        int err = sim_file_waits(file) ? sim_file_wait(file, "write of an eventfd") : -EAGAIN;

        if (err < 0)
            return err;
    }
    counter->count += value;
    sim_file_event(file, EPOLLIN);
    return sizeof value;
}

static void counter_release(struct sim_file *file)
{
    sim_free(counter_of(file));
}

static const struct sim_file_type counter_type = {.name = "eventfd",
                                                  .poll = counter_poll,
                                                  .read = counter_read,
                                                  .write = counter_write,
                                                  .release = counter_release,
                                                  .mode = 0600,
                                                  .is_steady = true};

int sim_eventfd(unsigned value, int flags)
{
    struct event_counter *counter;
    int fd;

    sim_point();
    if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
        return (int)sim_result(-EINVAL);
    fd = sim_descriptor_refused();
    if (fd < 0)
        return (int)sim_result(fd);
    counter = sim_alloc(sizeof *counter);
    if (counter == NULL)
        return (int)sim_result(-ENOMEM);
    sim_file_init(&counter->file, &counter_type, O_RDWR | (flags & EFD_NONBLOCK));
    counter->count = value;
    counter->semaphore = (flags & EFD_SEMAPHORE) != 0;
    fd = sim_file_install(&counter->file, (flags & EFD_CLOEXEC) != 0);
    if (fd < 0)
        sim_free(counter);
    return (int)sim_result(fd);
}
