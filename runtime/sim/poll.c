/* SPDX-License-Identifier: MIT */
/* epoll(7) and poll(2).
 *
 * As in Linux an event of a file only puts its registrations on the list of those that may be
 * ready; who fetches asks each of them what it is ready for at that moment, reports that if it is
 * asked for, and otherwise drops it.  Edge-triggered ones leave the list when they are reported,
 * others go to its end.  In which order those are fetched that are on the list is drawn. */
#include <unistd.h>

#include "runtime/sim/file.h"
#include "runtime/sim/socket.h"

#define ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define MODES ((uint32_t)EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

enum { NESTED_MAX = 4 };

struct item {
    struct sim_watch watch;
    struct epoll *epoll;
    int fd;
    struct epoll_event event;
    bool listed;
    TAILQ_ENTRY(item) ready;
    LIST_ENTRY(item) link;
};

struct epoll {
    struct sim_file file;
    LIST_HEAD(, item) items;
    TAILQ_HEAD(list, item) ready;
    unsigned ready_count, items_count;
};

static struct epoll *epoll_of(struct sim_file *file)
{
    return (struct epoll *)(void *)file;
}

static struct item *item_of(struct sim_watch *watch)
{
    return (struct item *)(void *)watch;
}

/* ---- the list */

static void list(struct item *item)
{
    item->listed = true;
    TAILQ_INSERT_TAIL(&item->epoll->ready, item, ready);
    item->epoll->ready_count++;
}

static void unlist(struct item *item)
{
    item->listed = false;
    TAILQ_REMOVE(&item->epoll->ready, item, ready);
    item->epoll->ready_count--;
}

static void list_and_tell(struct item *item)
{
    struct epoll *epoll = item->epoll;

    if (!item->listed)
        list(item);
    sim_wake(epoll, 1);
    sim_file_event(&epoll->file, SIM_READABLE); /* for an epoll that watches this one */
}

static uint32_t ready_for(const struct item *item)
{
    return item->watch.file->type->poll(item->watch.file) & item->event.events & ~MODES;
}

static void item_notify(struct sim_watch *watch, uint32_t events)
{
    struct item *item = item_of(watch);

    if (events & item->event.events & ~MODES)
        list_and_tell(item);
}

static void item_drop(struct sim_watch *watch)
{
    struct item *item = item_of(watch);

    if (item->listed)
        unlist(item);
    LIST_REMOVE(item, link);
    LIST_REMOVE(watch, link);
    item->epoll->items_count--;
    sim_free(item);
}

/* ---- the file */

static uint32_t epoll_poll(struct sim_file *file)
{
    struct item *item;

    TAILQ_FOREACH(item, &epoll_of(file)->ready, ready)
    if (ready_for(item) != 0)
        return SIM_READABLE;
    return 0;
}

static void epoll_release(struct sim_file *file)
{
    struct epoll *epoll = epoll_of(file);

    while (!LIST_EMPTY(&epoll->items))
        item_drop(&LIST_FIRST(&epoll->items)->watch);
    sim_free(epoll);
}

const struct sim_file_type sim_epoll_type = {
    .name = "epoll", .poll = epoll_poll, .release = epoll_release, .mode = 0600};

int sim_epoll_create1(int flags)
{
    struct epoll *epoll;
    int fd;

    sim_point();
    if (flags & ~EPOLL_CLOEXEC)
        return (int)sim_result(-EINVAL);
    fd = sim_descriptor_refused();
    if (fd < 0)
        return (int)sim_result(fd);
    epoll = sim_alloc(sizeof *epoll);
    if (epoll == NULL)
        return (int)sim_result(-ENOMEM);
    sim_file_init(&epoll->file, &sim_epoll_type, O_RDWR);
    LIST_INIT(&epoll->items);
    TAILQ_INIT(&epoll->ready);
    fd = sim_file_install(&epoll->file, (flags & EPOLL_CLOEXEC) != 0);
    if (fd < 0)
        sim_free(epoll);
    return (int)sim_result(fd);
}

/* ---- registering */

static struct item *find(const struct epoll *epoll, const struct sim_file *file, int fd)
{
    struct sim_watch *watch;

    LIST_FOREACH(watch, &file->watches, link)
    if (watch->notify == item_notify && item_of(watch)->epoll == epoll && item_of(watch)->fd == fd)
        return item_of(watch);
    return NULL;
}

/* Does `from` watch `epoll`, maybe by way of others, or too many deep? */
static bool leads_to(struct sim_file *from, const struct epoll *epoll, unsigned depth)
{
    struct item *item;

    if (from->type != &sim_epoll_type)
        return false;
    if (epoll_of(from) == epoll || depth > NESTED_MAX)
        return true;
    LIST_FOREACH(item, &epoll_of(from)->items, link)
    if (leads_to(item->watch.file, epoll, depth + 1))
        return true;
    return false;
}

static int add(struct epoll *epoll, struct sim_file *file, int fd, const struct epoll_event *event)
{
    struct item *item;

    if (leads_to(file, epoll, 1))
        return -ELOOP;
    if (sim_fault(SIM_FAULT_POLL))
        return sim_choose(2) == 0 ? -ENOSPC : -ENOMEM;
    item = sim_alloc(sizeof *item);
    if (item == NULL)
        return -ENOMEM;
    item->epoll = epoll;
    item->fd = fd;
    item->event = *event;
    item->event.events |= ALWAYS;
    item->watch = (struct sim_watch){.file = file, .notify = item_notify, .forget = item_drop};
    LIST_INSERT_HEAD(&file->watches, &item->watch, link);
    LIST_INSERT_HEAD(&epoll->items, item, link);
    epoll->items_count++;
    if (ready_for(item) != 0)
        list_and_tell(item);
    return 0;
}

static int change(struct item *item, const struct epoll_event *event)
{
    if (event->events & EPOLLEXCLUSIVE || item->event.events & EPOLLEXCLUSIVE)
        return -EINVAL;
    item->event = *event;
    item->event.events |= ALWAYS;
    if (ready_for(item) != 0 && !item->listed)
        list_and_tell(item);
    return 0;
}

static int control(struct sim_file *at, int operation, struct sim_file *file, int fd,
                   const struct epoll_event *event)
{
    struct epoll *epoll = epoll_of(at);
    struct item *item;

    if (at == file || at->type != &sim_epoll_type)
        return -EINVAL;
    if (operation != EPOLL_CTL_DEL && event == NULL)
        return -EFAULT;
    item = find(epoll, file, fd);
    switch (operation) {
    case EPOLL_CTL_ADD:
        return item != NULL ? -EEXIST : add(epoll, file, fd, event);
    case EPOLL_CTL_MOD:
        return item == NULL ? -ENOENT : change(item, event);
    case EPOLL_CTL_DEL:
        if (item == NULL)
            return -ENOENT;
        item_drop(&item->watch);
        return 0;
    default:
        return -EINVAL;
    }
}

/* A descriptor of the real kernel's cannot be watched by one of ours: EPERM, as for a file that
 * knows no readiness. */
int sim_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    struct sim_file *at, *file;
    int err = -EBADF;

    sim_point();
    if (!sim_is_ours(epoll))
        return sim_real.epoll_ctl(epoll, operation, fd, event);
    at = sim_file_get(epoll);
    if (at != NULL && !sim_is_ours(fd) && sim_real.fcntl(fd, F_GETFD, 0) >= 0)
        err = -EPERM;
    file = sim_file_get(fd);
    if (at != NULL && file != NULL)
        err = control(at, operation, file, fd, event);
    if (file != NULL)
        sim_file_put(file);
    if (at != NULL)
        sim_file_put(at);
    return (int)sim_result(err);
}

/* ---- fetching */

static struct item *pick(const struct epoll *epoll, unsigned count)
{
    struct item *item = TAILQ_FIRST(&epoll->ready);

    for (unsigned i = count > 1 ? sim_choose(count) : 0; i > 0; i--)
        item = TAILQ_NEXT(item, ready);
    return item;
}

static int fetch(struct epoll *epoll, struct epoll_event *events, int events_max)
{
    int count = 0;

    for (unsigned left = epoll->ready_count; left > 0 && count < events_max; left--) {
        struct item *item = pick(epoll, left);
        uint32_t found = ready_for(item);

        unlist(item);
        if (found == 0)
            continue;
        events[count++] = (struct epoll_event){.events = found, .data = item->event.data};
        if (item->event.events & EPOLLONESHOT)
            item->event.events &= MODES;
        else if ((item->event.events & EPOLLET) == 0)
            list(item);
    }
    return count;
}

/* Readiness that is no more when the caller looks, of a socket. */
static int fetch_spurious(const struct epoll *epoll, struct epoll_event *event)
{
    struct item *item;
    unsigned nth;

    if (epoll->items_count == 0 || !sim_happens(sim_weather.spurious))
        return 0;
    nth = sim_choose(epoll->items_count);
    item = LIST_FIRST(&epoll->items);
    while (nth-- > 0)
        item = LIST_NEXT(item, link);
    *event = (struct epoll_event){.events = item->event.events & (EPOLLIN | EPOLLOUT),
                                  .data = item->event.data};
    return item->watch.file->type == &sim_socket_type && event->events != 0 ? 1 : 0;
}

static int64_t moment_in(int64_t timeout)
{
    int64_t now = timeout > 0 ? sim_now() : 0;

    return timeout < 0 || timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

static int wait_for_events(struct epoll *epoll, struct epoll_event *events, int events_max,
                           int64_t timeout)
{
    int64_t until = moment_in(timeout);
    bool in_time = timeout != 0;
    int count;

    if (sim_happens(sim_weather.intr))
        return -EINTR;
    count = fetch_spurious(epoll, events);
    for (;;) {
        count += fetch(epoll, events + count, events_max - count);
        if (count > 0 || !in_time)
            break;
        in_time = sim_block(epoll, until, "epoll_wait");
    }
    if (epoll->ready_count > 0) /* for who sleeps on: its wake may have been spent on us */
        sim_wake(epoll, 1);
    return count;
}

int sim_epoll_wait(int epoll, struct epoll_event *events, int events_max, int64_t timeout)
{
    struct sim_file *file;
    int count;

    sim_point();
    if (!sim_is_ours(epoll)) {
        return sim_real.epoll_wait(epoll, events, events_max, 0);
    }
    file = sim_file_get(epoll);
    if (file == NULL)
        return -EBADF;
    count = -EINVAL;
    if (file->type == &sim_epoll_type && events_max > 0)
        count = wait_for_events(epoll_of(file), events, events_max, timeout);
    sim_file_put(file);
    return count;
}

/* ---- poll(2) */

#define AGAIN_NS 1000000 /* how long until it looks again */

struct poll_watch {
    struct sim_watch watch;
    const void *caller; /* whom to wake */
    uint32_t events;
};

static void poll_notify(struct sim_watch *watch, uint32_t events)
{
    struct poll_watch *mine = (struct poll_watch *)(void *)watch;

    if (events & mine->events)
        sim_wake(mine->caller, UINT32_MAX);
}

static short look_at(const struct pollfd *pollfd)
{
    uint32_t wanted = (uint32_t)(unsigned short)pollfd->events | ALWAYS, found;
    struct sim_file *file;

    if (pollfd->fd < 0)
        return 0;
    if (!sim_is_ours(pollfd->fd)) {
        struct pollfd real = {.fd = pollfd->fd, .events = pollfd->events};

        return sim_real.poll(&real, 1, 0) > 0 ? real.revents : 0;
    }
    file = sim_file_get(pollfd->fd);
    if (file == NULL)
        return POLLNVAL;
    found = file->type->poll(file) & wanted;
    if (found == 0 && file->type == &sim_socket_type && sim_happens(sim_weather.spurious))
        found = wanted & (EPOLLIN | EPOLLOUT);
    sim_file_put(file);
    return (short)found;
}

static int look_at_all(struct pollfd *fds, unsigned count)
{
    int found = 0;

    for (unsigned i = 0; i < count; i++) {
        fds[i].revents = look_at(&fds[i]);
        found += fds[i].revents != 0;
    }
    return found;
}

static void watch_all(const struct pollfd *fds, unsigned count, struct poll_watch *watches)
{
    for (unsigned i = 0; i < count; i++) {
        struct sim_file *file = sim_is_ours(fds[i].fd) ? sim_file_get(fds[i].fd) : NULL;

        watches[i] = (struct poll_watch){
            .watch = {.file = file, .notify = poll_notify},
            .caller = watches,
            .events = (uint32_t)(unsigned short)fds[i].events | ALWAYS,
        };
        if (file != NULL)
            LIST_INSERT_HEAD(&file->watches, &watches[i].watch, link);
    }
}

static void unwatch_all(struct poll_watch *watches, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (watches[i].watch.file == NULL)
            continue;
        LIST_REMOVE(&watches[i].watch, link);
        sim_file_put(watches[i].watch.file);
    }
}

static bool has_real(const struct pollfd *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!sim_is_ours(fds[i].fd))
            return true;
    return false;
}

/* Of the real kernel's descriptors nobody tells us: look again and again. */
static int poll_until(struct pollfd *fds, unsigned count, int64_t until)
{
    struct poll_watch *watches = sim_alloc((count + 1) * sizeof *watches);
    bool looks = has_real(fds, count), in_time = true;
    int found;

    if (watches == NULL)
        return -ENOMEM;
    watch_all(fds, count, watches);
    while ((found = look_at_all(fds, count)) == 0 && in_time) {
        int64_t soon = looks ? sim_now() + AGAIN_NS : until;

        in_time = sim_block(watches, soon < until ? soon : until, "poll") || soon < until;
    }
    unwatch_all(watches, count);
    sim_free(watches);
    return found;
}

int sim_poll(struct pollfd *fds, unsigned count, int64_t timeout)
{
    int found;

    sim_point();
    if (sim_happens(sim_weather.intr))
        return (int)sim_result(-EINTR);
    found = look_at_all(fds, count);
    if (found == 0 && timeout != 0)
        found = poll_until(fds, count, moment_in(timeout));
    return (int)sim_result(found);
}
