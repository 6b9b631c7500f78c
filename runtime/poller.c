/* SPDX-License-Identifier: MIT */
/* One epoll instance per worker.  Everything in it is edge-triggered, so an event is fetched once,
 * by whoever looks first: the worker itself, asleep or in passing, or another one when this one is
 * busy.
 *
 * The doorbell is an eventfd that is written and never read: each write is a new edge.  It is meant
 * for the owner's sleep, so somebody else who fetches that edge rings again.
 *
 * Two may be in a poll at once, the sleeping owner and one that just looks (`polling`): each has a
 * buffer of its own.
 *
 * [O1] the buffer of who just looks:  polling = 0 (release) -> CAS of polling (acquire) */
#include "runtime/poller.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "runtime/descriptor.h"
#include "runtime/fiber.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

#ifdef LW_TINY
enum { EVENTS_MAX = 4 };
#else
enum { EVENTS_MAX = 256 };
#endif

#define DOORBELL UINT64_MAX /* no descriptor has this number */

int lw_poller_init(struct lw_poller *poller)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = DOORBELL};
    int err;

    *poller = (struct lw_poller){.epoll = -1, .doorbell = -1};
    poller->events = lw_sys.calloc(2 * EVENTS_MAX, sizeof event);
    if (poller->events == NULL)
        return -ENOMEM;
    poller->epoll = lw_sys.epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll >= 0)
        poller->doorbell = lw_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->doorbell < 0 ||
        lw_sys.epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->doorbell, &event) < 0)
        return -lw_errno_get(lw_errno_offset);
    /* A stray lw_poll() of the doorbell would register it anew, as a descriptor like others, and a
     * stray lw_close() silence it. */
    err = lw_descriptor_reserve(poller->epoll);
    return err < 0 ? err : lw_descriptor_reserve(poller->doorbell);
}

static void close_own(int fd)
{
    if (fd < 0)
        return;
    lw_descriptor_release(fd);
    (void)lw_sys.close(fd);
}

void lw_poller_fini(struct lw_poller *poller)
{
    lw_descriptors_forget(poller);
    close_own(poller->doorbell);
    close_own(poller->epoll);
    lw_sys.free(poller->events);
    *poller = (struct lw_poller){.epoll = -1, .doorbell = -1};
}

static bool is_owner(const struct lw_poller *poller)
{
    const struct lw_thread *thread = lw_thread_self();

    return thread != NULL && thread->worker != NULL && &thread->worker->poller == poller;
}

/* What follows from events that were fetched; how many were of descriptors. */
static int handle(struct lw_poller *poller, const struct epoll_event *events, int count)
{
    struct lw_wake_batch batch = {0};
    int found = 0;
    bool rung = false;

    lw_deaf_begin();
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == DOORBELL) {
            rung = true;
            continue;
        }
        found++;
        lw_descriptor_event(events[i].data.u64, events[i].events, &batch);
    }
    lw_deaf_end();
    lw_wake_batch_run(&batch, LW_RETRY);
    if (rung && !is_owner(poller))
        lw_poller_ring(poller);
    return found;
}

int lw_poller_sleep(struct lw_poller *poller, int64_t timeout)
{
    return lw_sys.epoll_wait(poller->epoll, poller->events, EVENTS_MAX, timeout);
}

int lw_poller_handle(struct lw_poller *poller, int count)
{
    return handle(poller, poller->events, count);
}

int lw_poller_look(struct lw_poller *poller)
{
    struct epoll_event *events = poller->events + EVENTS_MAX;
    uint32_t nobody = 0;
    int found;

    if (lw_load_rlx(&poller->polling) != 0 || !lw_cas_acq(&poller->polling, &nobody, 1)) /* [O1] */
        return 0;
    found = handle(poller, events, lw_sys.epoll_wait(poller->epoll, events, EVENTS_MAX, 0));
    lw_store_rel(&poller->polling, 0); /* [O1] */
    return found;
}

void lw_poller_ring(struct lw_poller *poller)
{
    const uint64_t one = 1;

    (void)lw_sys.write(poller->doorbell, &one, sizeof one);
}
