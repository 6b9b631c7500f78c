/* SPDX-License-Identifier: MIT */
/* Descriptor records: how they are found, and how they change hands.  The idea, the state word and
 * the memory-order pairs are at the top of descriptor.h. */
#include "runtime/descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/poller.h"

#define CHUNK_RECORDS (1u << LW_FD_CHUNK_BITS)
#define CHUNK_BYTES (CHUNK_RECORDS * sizeof(struct lw_descriptor))

/* Flags that a new life starts without. */
#define LIFE_FLAGS (LW_FD_CLOSING | LW_FD_BORN | LW_FD_CAREFUL | LW_FD_OURS | LW_FD_KIND_MASK)

#define READ_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define WRITE_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)
#define CAREFUL_EVENTS (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)

struct lw_descriptor *lw_descriptor_chunks[LW_FD_CHUNKS];

/* ---- finding them */

int lw_descriptor_make(int fd, struct lw_descriptor **descriptor)
{
    unsigned chunk = (unsigned)fd >> LW_FD_CHUNK_BITS;
    struct lw_descriptor *base, *there = NULL;

    if (fd < 0 || lw_sys.fcntl(fd, F_GETFD, 0) < 0)
        return -EBADF;
    if (chunk >= LW_FD_CHUNKS)
        return -EMFILE;
    base =
        lw_sys.mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -ENOMEM;
    if (!lw_cas_acq_rel(&lw_descriptor_chunks[chunk], &there, base)) { /* [I1] */
        (void)lw_sys.munmap(base, CHUNK_BYTES);
        base = there;
    }
    *descriptor = &base[(unsigned)fd % CHUNK_RECORDS];
    return 0;
}

int lw_descriptor_number(const void *descriptor)
{
    for (unsigned i = 0; i < LW_FD_CHUNKS; i++) {
        const struct lw_descriptor *base = lw_load_acq(&lw_descriptor_chunks[i]);
        uintptr_t offset = (uintptr_t)descriptor - (uintptr_t)base;

        if (base != NULL && offset < CHUNK_BYTES)
            return (int)(i * CHUNK_RECORDS + offset / sizeof *base);
    }
    return -1;
}

/* ---- under the guard */

/* What must be added to the state for the QUEUED bits to be true. */
static uint64_t queued_change(const struct lw_descriptor *descriptor, uint64_t state)
{
    uint64_t queued = 0;

    for (unsigned side = 0; side < LW_SIDES; side++)
        if (descriptor->sides[side].tail != NULL)
            queued |= LW_FD_QUEUED << side;
    return queued - (state & LW_FD_ALL_QUEUED);
}

/* Only the guard's holder changes the flags (but GUESTS), so one addition sets and clears them all
 * while calls enter and leave. */
uint64_t lw_descriptor_drop(struct lw_descriptor *descriptor, uint64_t state, uint64_t change)
{
    change += queued_change(descriptor, state) - LW_FD_GUARD;
    return lw_add_acq_rel(&descriptor->state, change);
}

void lw_side_edge(struct lw_side *side, bool all, struct lw_wake_batch *batch)
{
    struct lw_record *record;

    lw_store_rel(&side->edges, side->edges + 1); /* [I2] */
    while (side->tail != NULL && (record = lw_queue_claim(&side->tail)) != NULL) {
        lw_wake_batch_add(batch, record);
        if (!all)
            break;
    }
}

static void edge_everywhere(struct lw_descriptor *descriptor, struct lw_wake_batch *batch)
{
    for (unsigned side = 0; side < LW_SIDES; side++)
        lw_side_edge(&descriptor->sides[side], true, batch);
}

/* ---- events */

void lw_descriptor_event(uint64_t data, uint32_t events, struct lw_wake_batch *batch)
{
    struct lw_descriptor *descriptor = lw_descriptor_of((int)(uint32_t)data);
    uint64_t state;

    if (descriptor == NULL)
        return;
    state = lw_descriptor_take(descriptor);
    if (lw_likely(!lw_recheck(state >> 32 != data >> 32))) { /* else it is of an earlier life */
        /* Before the count: who sees the count must not see the flag unset. */
        if ((events & CAREFUL_EVENTS) && !(state & LW_FD_CAREFUL))
            (void)lw_or_acq_rel(&descriptor->state, LW_FD_CAREFUL); /* [I2] */
        if (events & READ_EVENTS)
            lw_side_edge(&descriptor->sides[LW_SIDE_READ], false, batch);
        if (events & WRITE_EVENTS)
            lw_side_edge(&descriptor->sides[LW_SIDE_WRITE], lw_fd_kind(state) < LW_KIND_STREAM,
                         batch);
        lw_side_edge(&descriptor->sides[LW_SIDE_WATCH], true, batch);
    }
    (void)lw_descriptor_drop(descriptor, state, 0);
}

void lw_descriptors_forget(struct lw_poller *poller)
{
    for (unsigned i = 0; i < LW_FD_CHUNKS; i++) {
        struct lw_descriptor *base = lw_load_acq(&lw_descriptor_chunks[i]); /* [I1] */

        for (unsigned n = 0; base != NULL && n < CHUNK_RECORDS; n++) {
            struct lw_wake_batch batch = {0};
            uint64_t state;

            if (lw_load_acq(&base[n].home) != poller) /* [I5] */
                continue;
            state = lw_descriptor_take(&base[n]);
            /* Without the look another poller's registration, made meanwhile, is forgotten. */
            if (!lw_recheck(lw_load_rlx(&base[n].home) != poller)) {
                lw_store_rel(&base[n].home, NULL);
                edge_everywhere(&base[n], &batch);
            }
            (void)lw_descriptor_drop(&base[n], state, 0);
            lw_wake_batch_run(&batch, LW_RETRY);
        }
    }
}

/* ---- lives */

/* The number is another descriptor's now.  Whoever still waits has been waiting for one that was
 * closed behind our back, or has come while it was closed. */
static void begin_life(struct lw_descriptor *descriptor, uint64_t flags)
{
    struct lw_wake_batch batch = {0};
    uint64_t state = lw_descriptor_take(descriptor);

    lw_store_rel(&descriptor->home, NULL);
    edge_everywhere(descriptor, &batch);
    state =
        lw_descriptor_drop(descriptor, state, LW_FD_LIFE + flags - (state & LIFE_FLAGS)); /* [I4] */
    lw_wake_batch_run(&batch, LW_CLOSED);
    if (state & LW_FD_GUESTS)
        lw_io_bells_ring();
}

void lw_descriptor_birth(int fd, enum lw_kind kind)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);

    if (descriptor != NULL || lw_descriptor_make(fd, &descriptor) == 0)
        begin_life(descriptor, LW_FD_BORN + ((uint64_t)kind << LW_FD_KIND_SHIFT));
}

int lw_descriptor_reserve(int fd)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);
    int err = descriptor != NULL ? 0 : lw_descriptor_make(fd, &descriptor);

    if (err == 0)
        begin_life(descriptor, LW_FD_OURS);
    return err;
}

/* Before the close: after it the number may be somebody else's, who must be let in. */
void lw_descriptor_release(int fd)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);

    if (descriptor != NULL)
        begin_life(descriptor, 0);
}

static int close_number(int fd)
{
    if (lw_sys.close(fd) == 0 ||
        lw_errno_get(lw_errno_offset) == EINTR) /* then it is closed all the same */
        return 0;
    return -lw_errno_get(lw_errno_offset);
}

/* Not every close(2) ends a registration: who has the same open file (a duplicate, the child of a
 * fork) keeps it alive, and this process would be woken for each byte that the other one gets.
 * Under the guard, without which no poller is forgotten, and while nobody is inside, and so nobody
 * arms.  Errors mean that there is none: it failed, or the number was used again behind our
 * back. */
static void unregister(struct lw_descriptor *descriptor, int fd)
{
    struct lw_poller *home = lw_load_rlx(&descriptor->home);

    if (home != NULL)
        (void)lw_sys.epoll_ctl(home->epoll, EPOLL_CTL_DEL, fd, NULL);
    lw_store_rel(&descriptor->home, NULL); /* [I5] */
}

/* The number was closed: who came before and has tried, and maybe waits for, what is gone now tries
 * again. */
static void send_back(struct lw_descriptor *descriptor)
{
    struct lw_wake_batch batch = {0};
    uint64_t state = lw_descriptor_take(descriptor);

    edge_everywhere(descriptor, &batch);
    state = lw_descriptor_drop(descriptor, state, 0); /* [I4] */
    lw_wake_batch_run(&batch, LW_RETRY);
    if (state & LW_FD_GUESTS)
        lw_io_bells_ring();
    lw_io_pauses_end();
}

/* Of a number for whose record there is no memory.  A first call may have had more luck: either its
 * try found the number closed, or its record is found here.  (The system orders the two.) */
static int close_unrecorded(int fd)
{
    int err = close_number(fd);
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);

    if (descriptor != NULL)
        send_back(descriptor);
    return err;
}

/* CLOSING, and nobody is inside.  0 or the error of close(2). */
static int end_life(struct lw_descriptor *descriptor, int fd)
{
    struct lw_wake_batch batch = {0};
    uint64_t state = lw_descriptor_take(descriptor);
    int err;

    lw_debug_check((state & LW_FD_INSIDE_MASK) == 0);
    unregister(descriptor, fd);
    edge_everywhere(descriptor, &batch);
    lw_debug_check(batch.first == NULL);
    /* Nobody but takers of the guard can change the word now; this drops it, and lets calls in. */
    lw_store_rel(&descriptor->state, ((state >> 32) + 1) << 32);

    err = close_number(fd);
    send_back(descriptor); /* those who came in between */
    return err;
}

void lw_descriptor_leave_slow(struct lw_descriptor *descriptor, int fd, enum lw_side_number side,
                              uint64_t seen, bool moved)
{
    struct lw_wake_batch batch = {0};
    struct lw_record *record;
    uint64_t state;

    if (seen & LW_FD_CLOSING) {
        if ((seen & LW_FD_INSIDE_MASK) == LW_FD_INSIDE)
            (void)end_life(descriptor, fd); /* nobody is left to be told of an error */
        return;
    }
    if (!moved)
        return;
    state = lw_descriptor_take(descriptor);
    record = lw_queue_claim(&descriptor->sides[side].tail);
    (void)lw_descriptor_drop(descriptor, state, 0);
    if (record != NULL) {
        lw_wake_batch_add(&batch, record);
        lw_wake_batch_run(&batch, LW_RETRY);
    }
}

int lw_close(int fd)
{
    struct lw_descriptor *descriptor = lw_descriptor_of(fd);
    struct lw_wake_batch batch = {0};
    uint64_t state;

    if (lw_forked()) /* nobody else is left */
        return close_number(fd);
    /* A first call may be on its way into a record that it makes just now: without one of our own
     * it would wait for ever on a number that is closed. */
    if (descriptor == NULL && lw_descriptor_make(fd, &descriptor) < 0)
        return close_unrecorded(fd);

    state = lw_descriptor_take(descriptor);
    if (state & (LW_FD_CLOSING | LW_FD_OURS)) {
        (void)lw_descriptor_drop(descriptor, state, 0);
        return -EBADF;
    }
    edge_everywhere(descriptor, &batch);
    /* Who closes is inside as well. */
    state = lw_descriptor_drop(descriptor, state, LW_FD_CLOSING + LW_FD_INSIDE); /* [I4] */
    lw_wake_batch_run(&batch, LW_CLOSED);
    if (state & LW_FD_GUESTS)
        lw_io_bells_ring();
    if (state & LW_FD_INSIDE_MASK)
        lw_io_pauses_end(); /* those of this descriptor among them */

    state = lw_sub_acq_rel(&descriptor->state, LW_FD_INSIDE); /* [I3] */
    if ((state & LW_FD_INSIDE_MASK) == LW_FD_INSIDE)
        return end_life(descriptor, fd);
    return 0;
}
