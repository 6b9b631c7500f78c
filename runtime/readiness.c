/* SPDX-License-Identifier: MIT */
/* Waiting for a descriptor.  What a wait may miss and why it does not is at the top of
 * descriptor.h.
 *
 * Registering.  A descriptor that was born here is registered once, edge-triggered and for both
 * directions, in the poller of the worker where a task first waits for it: its home.  Any other is
 * armed anew by each call that waits, since it may have been closed and its number used again
 * behind our back: arming reports what is ready at that moment, so nothing is missed.  Only once in
 * a call: what is reported may be of no use to it (writable, where it wants to read), and arming
 * for the next wait would report just that again, for ever.
 *
 * Plain threads need no runtime: they poll(2) the descriptor together with a bell, an eventfd by
 * which lw_close() ends the poll.  A closer rings the bells of all threads that are in such a poll;
 * each looks again at its own descriptor.  Bells are kept for ever and used again, so a late ring
 * does no harm.
 *
 * [B1] a bell:  CAS of bells (release)  ->  bells (acquire): who looks for a free one, or rings */
#include <poll.h>
#include <sys/eventfd.h>

#include "runtime/descriptor.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { PAUSE_DOUBLINGS_MAX = 7 };

#define PAUSE_FIRST (1 * LW_MS)
#define PAUSE_MAX (100 * LW_MS)
#define NO_BELL_SLICE (10 * LW_MS)
#define ARMED_EVENTS (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)

/* Those in lw_io_pause().  word: guard 1 | somebody is queued 2. */
static struct {
    uint64_t word;
    void *tail;
} pauses;

#define PAUSES_GUARD UINT64_C(1)
#define PAUSES_QUEUED UINT64_C(2)

struct bell {
    struct bell *next;
    int fd;
    uint32_t busy;
};

static struct bell *bells; /* only grows */

/* The descriptor is being closed, or the number has changed hands behind our back. */
static bool is_over(const struct lw_io_call *call, uint64_t state)
{
    return (state & LW_FD_CLOSING) != 0 || state >> 32 != call->state >> 32;
}

/* ---- registering */

static struct lw_runtime *runtime_of(struct lw_poller *poller)
{
    return ((struct lw_worker *)(void *)((char *)poller - offsetof(struct lw_worker, poller)))
        ->runtime;
}

static int register_at(struct lw_poller *home, int fd, uint64_t state)
{
    struct epoll_event event = {.events = ARMED_EVENTS, .data.u64 = lw_descriptor_tag(fd, state)};
    int err;

    if (lw_sys.epoll_ctl(home->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
        (void)lw_add_rlx(&home->registered, 1);
        return 0;
    }
    err = lw_errno_get(lw_errno_offset);
    if (err == EEXIST) {
        if (lw_sys.epoll_ctl(home->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
            return 0;
        err = lw_errno_get(lw_errno_offset);
    }
    return err == ENOENT ? -EBADF : -err; /* closed between the two calls */
}

/* Registering failed: others may have taken it for done. */
static void disarm(struct lw_descriptor *descriptor)
{
    struct lw_wake_batch batch = {0};
    uint64_t state = lw_descriptor_take(descriptor);

    lw_store_rel(&descriptor->home, NULL);
    for (unsigned side = 0; side < LW_SIDES; side++)
        lw_side_edge(&descriptor->sides[side], true, &batch);
    (void)lw_descriptor_drop(descriptor, state, 0);
    lw_wake_batch_run(&batch, LW_RETRY);
}

/* See to it that edges from now on are reported, and what is ready now as well if it is new. */
static int arm(struct lw_io_call *call)
{
    struct lw_descriptor *descriptor = call->descriptor;
    bool born = (call->state & LW_FD_BORN) != 0;
    struct lw_poller *home, *mine;
    uint64_t state;
    int err;

    if (lw_likely((born || call->armed) && lw_load_rlx(&descriptor->home) != NULL))
        return 0;
    call->armed = true;
    mine = &lw_thread_self()->worker->poller;
    state = lw_descriptor_take(descriptor);
    home = descriptor->home;
    /* Somebody else is at it: without the look it would be registered in two pollers. */
    if (born && lw_recheck(home != NULL)) {
        (void)lw_descriptor_drop(descriptor, state, 0);
        return 0;
    }
    /* A poller is forgotten under the guard before it ends: home may be looked into.  One of our
     * own runtime outlives this call, so it may be used after the guard as well. */
    if (home == NULL || runtime_of(home) != runtime_of(mine))
        home = mine;
    lw_store_rel(&descriptor->home, home);
    (void)lw_descriptor_drop(descriptor, state, 0);
    err = register_at(home, call->fd, state);
    if (err < 0)
        disarm(descriptor);
    return err;
}

/* ---- plain threads */

/* Its number may be one that was just closed, and that somebody still inside is about to wait for,
 * maybe the caller himself: being reserved sends them away.  Unreserved it is worse than none: a
 * late read would take a ring. */
static struct bell *bell_make(void)
{
    struct bell *bell = lw_sys.calloc(1, sizeof *bell);

    if (bell == NULL)
        return NULL;
    bell->busy = 1;
    bell->fd = lw_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0 || lw_descriptor_reserve(bell->fd) < 0) {
        if (bell->fd >= 0)
            (void)lw_sys.close(bell->fd);
        lw_sys.free(bell);
        return NULL;
    }
    bell->next = lw_load_rlx(&bells);
    while (!lw_cas_acq_rel(&bells, &bell->next, bell)) /* [B1] */
        continue;
    return bell;
}

static struct bell *bell_take(void)
{
    for (struct bell *bell = lw_load_acq(&bells); bell != NULL; bell = bell->next) /* [B1] */
        if (lw_load_rlx(&bell->busy) == 0 && lw_swap_acq_rel(&bell->busy, 1) == 0)
            return bell;
    return bell_make();
}

void lw_io_bells_ring(void)
{
    const uint64_t one = 1;

    for (struct bell *bell = lw_load_acq(&bells); bell != NULL; bell = bell->next) /* [B1] */
        if (lw_load_rlx(&bell->busy) != 0)
            (void)lw_sys.write(bell->fd, &one, sizeof one);
}

/* Without a bell (no memory, no descriptor left) the thread looks every 10 ms. */
static int guest_poll(struct lw_io_call *call, const struct bell *bell)
{
    struct pollfd fds[2] = {{.fd = call->fd, .events = call->events}};
    int64_t timeout = -1;
    uint64_t rings, state;
    int count;

    if (bell != NULL) {
        fds[1] = (struct pollfd){.fd = bell->fd, .events = POLLIN};
        (void)lw_sys.read(bell->fd, &rings, sizeof rings);
    }
    /* The bell is silent: a closer that came before is seen here, one after this rings again.
     * Without the look the poll goes on with a descriptor that was closed. */
    state = lw_or_acq_rel(&call->descriptor->state, LW_FD_GUESTS); /* [I4] */
    if (lw_recheck(is_over(call, state)))
        return -EBADF;
    if (call->deadline != LW_FOREVER) {
        timeout = call->deadline - lw_sys.now();
        if (timeout <= 0)
            return lw_timeout_error(call->deadline);
    }
    if (bell == NULL && (timeout < 0 || timeout > NO_BELL_SLICE))
        timeout = NO_BELL_SLICE;
    count = lw_sys.poll(fds, bell != NULL ? 2 : 1, timeout);
    if (count < 0 && lw_errno_get(lw_errno_offset) != EINTR)
        return -lw_errno_get(lw_errno_offset);
    return count > 0 && (fds[0].revents & POLLNVAL) ? -EBADF : 0;
}

static int guest_wait(struct lw_io_call *call)
{
    struct bell *bell = bell_take();
    int err = guest_poll(call, bell);

    if (bell != NULL)
        lw_store_rel(&bell->busy, 0);
    return err;
}

/* ---- tasks */

static enum lw_wait_kind wait_kind(const struct lw_io_call *call)
{
    return call->side == LW_SIDE_WRITE ? LW_WAIT_WRITE : LW_WAIT_READ;
}

int lw_io_watch(struct lw_io_call *call, struct lw_node *node)
{
    struct lw_side *side = &call->descriptor->sides[call->side];
    int err = arm(call);
    uint64_t state;
    bool queues;

    if (err < 0)
        return err;
    state = lw_descriptor_take(call->descriptor);
    queues = !lw_recheck(is_over(call, state)) && !lw_recheck(side->edges != call->seen);
    if (queues)
        lw_queue_push(&side->tail, node);
    (void)lw_descriptor_drop(call->descriptor, state, 0);
    return queues ? 0 : 1;
}

void lw_io_unwatch(struct lw_descriptor *descriptor, enum lw_side_number side,
                   struct lw_node *node)
{
    uint64_t state = lw_descriptor_take(descriptor);

    lw_queue_remove(&descriptor->sides[side].tail, node);
    (void)lw_descriptor_drop(descriptor, state, 0);
}

int lw_io_wait(struct lw_io_call *call)
{
    struct lw_descriptor *descriptor = call->descriptor;
    struct lw_side *side = &descriptor->sides[call->side];
    enum lw_outcome outcome;
    uint64_t state;
    int err;

    if (call->deadline <= LW_NOW)
        return lw_timeout_error(call->deadline);
    if (lw_unlikely(lw_record_is_guest(call->me)))
        return guest_wait(call);
    err = arm(call);
    if (err < 0)
        return err;

    state = lw_descriptor_take(descriptor);
    /* Without these looks a wait begins after the close, or the edge, that was to end it. */
    if (lw_recheck(is_over(call, state)) || lw_recheck(side->edges != call->seen)) {
        (void)lw_descriptor_drop(descriptor, state, 0);
        return is_over(call, state) ? -EBADF : 0;
    }
    lw_wait_begin(call->me, wait_kind(call), descriptor, "descriptor", call->deadline, call->site);
    lw_queue_push(&side->tail, &lw_record_cold(call->me)->node);
    (void)lw_descriptor_drop(descriptor, state, 0);
    outcome = lw_wait_finish(call->me);
    if (outcome == LW_RETRY)
        return 0;

    lw_io_unwatch(descriptor, call->side, &lw_record_cold(call->me)->node);
    return outcome == LW_CLOSED ? -EBADF : lw_wait_error(call->me, outcome);
}

/* ---- pauses */

static void pauses_drop(void)
{
    lw_debug_check((lw_load_rlx(&pauses.word) & PAUSES_GUARD) != 0); /* nobody else had it */
    lw_store_rel(&pauses.word, pauses.tail != NULL ? PAUSES_QUEUED : 0);
}

/* No care is taken that a closer sees who is about to queue: what is missed costs one pause. */
void lw_io_pauses_end(void)
{
    struct lw_wake_batch batch = {0};
    struct lw_record *record;

    if (lw_likely(lw_load_rlx(&pauses.word) == 0))
        return;
    (void)lw_guard_take(&pauses.word, PAUSES_GUARD);
    while ((record = lw_queue_claim(&pauses.tail)) != NULL)
        lw_wake_batch_add(&batch, record);
    pauses_drop();
    lw_wake_batch_run(&batch, LW_RETRY);
}

int lw_io_pause(struct lw_io_call *call)
{
    lw_nsec until, length = PAUSE_FIRST << call->pauses;
    struct lw_node *node = &lw_record_cold(call->me)->node;
    enum lw_outcome outcome;

    if (call->deadline <= LW_NOW)
        return lw_timeout_error(call->deadline);
    if (is_over(call, lw_load_acq(&call->descriptor->state)))
        return -EBADF;
    if (call->pauses < PAUSE_DOUBLINGS_MAX)
        call->pauses++;
    until = lw_in(length < PAUSE_MAX ? length : PAUSE_MAX);
    if (until > call->deadline)
        until = call->deadline;

    (void)lw_guard_take(&pauses.word, PAUSES_GUARD);
    lw_wait_begin(call->me, wait_kind(call), call->descriptor, "free descriptors", until,
                  call->site);
    lw_queue_push(&pauses.tail, node);
    pauses_drop();
    outcome = lw_wait_finish(call->me);
    if (outcome == LW_RETRY)
        return 0;
    (void)lw_guard_take(&pauses.word, PAUSES_GUARD);
    lw_queue_remove(&pauses.tail, node);
    pauses_drop();
    if (outcome == LW_TIMEOUT && until < call->deadline)
        return 0;
    return lw_wait_error(call->me, outcome);
}
