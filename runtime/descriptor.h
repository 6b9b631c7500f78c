/* SPDX-License-Identifier: MIT */
/* The record of a descriptor: who is inside a call on it, who waits for what, and where it is
 * polled.
 *
 * Records are found by the descriptor's number, in chunks that are never unmapped, so anybody may
 * look at any of them at any time.  One word says everything that a call must know on entry:
 *
 *     state = life:32 | inside:20 | kind:3 | flags:9
 *
 *     life     grows by one whenever the number changes hands, as far as we know; events of
 *              earlier lives are ignored
 *     inside   calls that are on the descriptor, waiting or not; only they may use the number
 *     kind     what it is (enum lw_kind); of a descriptor that was not born here just a guess,
 *              since it may have been closed and its number used again behind our back
 *
 * All flags but GUESTS and all other fields are changed under the GUARD bit only.
 *
 * Close.  lw_close() sets CLOSING, after which nobody enters, and ends all waits; who brings
 * `inside` to 0 takes it out of its poller, begins the next life of the record and then calls
 * close(2): in that order, since the number may be in use again before close(2) returns.  Who slips
 * in between the two meets the old descriptor; the look at all waiters after close(2) sends them
 * back to try again and see that it is gone, or that the number is another's.  (What they may have
 * registered is left to close(2).  Where another process has the same open file that costs a wake
 * for each of its events, which nobody here waits for; to keep them from registering would make a
 * slow close(2) a wait for those who use the number next.  And the first try of one who is late
 * enough is made on whatever has the number by then, as that of a read(2) is.)
 *
 * Edges.  The poller counts the events of each side.  A call reads the count, tries, and where that
 * would block waits only if the count is still the same: so an event is either seen by the try, or
 * changes the count, or finds the call in the queue.  A count, not a flag that somebody clears:
 * several tasks may be at any point of this at once.
 *
 * Hints.  A short transfer on a TCP connection means that it is drained (or full): until the next
 * edge the next call need not try.  `drained` is the count of edges before that transfer.  Not to
 * be trusted once the end, an error or urgent data is in sight (CAREFUL): then a short transfer is
 * no proof and no further edge may come.  Nor on other kinds: a unix stream ends a read after
 * passed descriptors.
 *
 * Several waiters on one side.  An event wakes one, and whoever leaves with a result while others
 * are queued wakes the next: one that meets EAGAIN ends the chain.  Writers on anything but a
 * stream are all woken: whether they can go on depends on what each has to write.
 *
 * Pairs.
 * [I1] a chunk's zeros:  CAS of the directory (release) -> load (acquire)
 * [I2] CAREFUL before the count:  edges (release) -> edges (acquire), then state
 * [I3] close:  `inside` - 1 (acq_rel): what others did inside -> the last one out, who sees CLOSING
 * [I4] guests:  or GUESTS (acq_rel) <-> add CLOSING (acq_rel): one of the two sees the other
 * [I5] done with a poller: all that is stored in home (release) -> load (acquire) of who ends it
 * Queues, home, counts as seen by a waiter: the guard. */
#ifndef LW_RUNTIME_DESCRIPTOR_H
#define LW_RUNTIME_DESCRIPTOR_H

#include <errno.h>
#include <latchwork/io.h>

#include "runtime/wait.h"

struct lw_poller;

enum lw_side_number { LW_SIDE_READ, LW_SIDE_WRITE, LW_SIDE_WATCH /* lw_poll() */, LW_SIDES };

enum lw_kind {
    LW_KIND_UNKNOWN,
    LW_KIND_OTHER,  /* no socket: a pipe, a terminal, a file ... */
    LW_KIND_SOCKET, /* datagrams, packets */
    LW_KIND_STREAM,
    LW_KIND_TCP, /* connection or listener */
};

/* Fields of the state word. */
#define LW_FD_GUARD UINT64_C(1)
#define LW_FD_CLOSING UINT64_C(2)
#define LW_FD_BORN UINT64_C(4)    /* made by us: non-blocking, registered once, kind is certain */
#define LW_FD_CAREFUL UINT64_C(8) /* no hints any more in this life */
#define LW_FD_GUESTS UINT64_C(16) /* a plain thread has blocked on it in this life */
#define LW_FD_QUEUED UINT64_C(32) /* << side: its queue is not empty */
#define LW_FD_ALL_QUEUED (LW_FD_QUEUED * 7)
#define LW_FD_OURS UINT64_C(256) /* the library's own: no call enters, nobody closes it */
#define LW_FD_KIND_SHIFT 9
#define LW_FD_KIND_MASK (UINT64_C(7) << LW_FD_KIND_SHIFT)
#define LW_FD_INSIDE (UINT64_C(1) << 12)
#define LW_FD_INSIDE_MASK (UINT64_C(0xfffff) << 12)
#define LW_FD_LIFE (UINT64_C(1) << 32)

struct lw_side {
    void *tail;       /* queue of who waits */
    uint32_t edges;   /* events so far */
    uint32_t drained; /* edges before a transfer that left nothing */
};

struct lw_descriptor {
    uint64_t state;
    struct lw_poller *home; /* where it is registered; NULL: nowhere */
    struct lw_side sides[LW_SIDES];
};

_Static_assert(sizeof(struct lw_descriptor) == 64, "one cache line");

#if defined(LW_SIMULATED)
enum { LW_FD_CHUNK_BITS = 6, LW_FD_CHUNKS = 1 << 6 }; /* each poller's end goes over all */
#elif defined(LW_TINY)
enum { LW_FD_CHUNK_BITS = 4, LW_FD_CHUNKS = 1 << 12 };
#else
enum { LW_FD_CHUNK_BITS = 12, LW_FD_CHUNKS = 1 << 12 };
#endif

extern struct lw_descriptor *lw_descriptor_chunks[LW_FD_CHUNKS];

LW_INLINE enum lw_kind lw_fd_kind(uint64_t state)
{
    return (enum lw_kind)((state & LW_FD_KIND_MASK) >> LW_FD_KIND_SHIFT);
}

/* NULL: the number has no record yet. */
LW_INLINE struct lw_descriptor *lw_descriptor_of(int fd)
{
    unsigned chunk = (unsigned)fd >> LW_FD_CHUNK_BITS;
    struct lw_descriptor *base;

    if (lw_unlikely(chunk >= LW_FD_CHUNKS))
        return NULL;
    base = lw_load_acq(&lw_descriptor_chunks[chunk]); /* [I1] */
    return lw_likely(base != NULL) ? &base[(unsigned)fd & ((1u << LW_FD_CHUNK_BITS) - 1)] : NULL;
}

/* Make the record of a number: 0; -ENOMEM; -EBADF, -EMFILE: not a number that can have one. */
int lw_descriptor_make(int fd, struct lw_descriptor **descriptor);

/* The number whose record this is; -1: it is none.  For reports. */
int lw_descriptor_number(const void *descriptor);

/* Enter a call: until lw_descriptor_leave() the number stays this descriptor's.  0, with the state;
 * -EBADF: being closed, or ours; -ENOMEM, -EMFILE; -EBUSY: a million calls are inside. */
LW_INLINE int lw_descriptor_enter(int fd, struct lw_descriptor **descriptor, uint64_t *state)
{
    struct lw_descriptor *found = lw_descriptor_of(fd);
    uint64_t seen;

    if (lw_unlikely(found == NULL)) {
        int err = lw_descriptor_make(fd, &found);

        if (err < 0)
            return err;
    }
    seen = lw_load_rlx(&found->state);
    do {
        if (lw_unlikely(seen & (LW_FD_CLOSING | LW_FD_OURS)))
            return -EBADF;
        if (lw_unlikely((seen & LW_FD_INSIDE_MASK) == LW_FD_INSIDE_MASK))
            return -EBUSY;
    } while (lw_unlikely(!lw_cas_acq(&found->state, &seen, seen + LW_FD_INSIDE)));
    *descriptor = found;
    *state = seen;
    return 0;
}

void lw_descriptor_leave_slow(struct lw_descriptor *descriptor, int fd, enum lw_side_number side,
                              uint64_t seen, bool moved);

/* Leave it.  moved: the last try did not end in EAGAIN, so others that are queued may have a
 * chance. */
LW_INLINE void lw_descriptor_leave(struct lw_descriptor *descriptor, int fd,
                                   enum lw_side_number side, bool moved)
{
    uint64_t seen = lw_sub_acq_rel(&descriptor->state, LW_FD_INSIDE); /* [I3] */

    if (lw_unlikely(seen & (LW_FD_CLOSING | LW_FD_QUEUED << side)))
        lw_descriptor_leave_slow(descriptor, fd, side, seen, moved);
}

/* The guard.  drop: state is what take returned, change is added to it, and the QUEUED bits are set
 * to what the queues say; returns the word as it was before. */
LW_INLINE uint64_t lw_descriptor_take(struct lw_descriptor *descriptor)
{
    return lw_guard_take(&descriptor->state, LW_FD_GUARD);
}
uint64_t lw_descriptor_drop(struct lw_descriptor *descriptor, uint64_t state, uint64_t change);

/* Under the guard: count an edge, take one or all waiters out and claim them.  Then drop it, and
 * run the batch. */
void lw_side_edge(struct lw_side *side, bool all, struct lw_wake_batch *batch);

/* A new descriptor that the library has made itself.  Without memory for the record it is simply
 * treated as one from elsewhere. */
void lw_descriptor_birth(int fd, enum lw_kind kind);

/* A descriptor that the library has made for itself: no call gets at it, until it is given back to
 * be closed.  reserve: 0; or an error of lw_descriptor_make(). */
int lw_descriptor_reserve(int fd);
void lw_descriptor_release(int fd);

/* An epoll event; data is what lw_descriptor_tag() gave.  Wakeful ones are added to the batch. */
void lw_descriptor_event(uint64_t data, uint32_t events, struct lw_wake_batch *batch);

LW_INLINE uint64_t lw_descriptor_tag(int fd, uint64_t state)
{
    return (state >> 32) << 32 | (unsigned)fd;
}

/* The poller ends: nothing is registered there any more, and who waits on such registers anew. */
void lw_descriptors_forget(struct lw_poller *poller);

/* ---- readiness.c */

/* One call, from its entry to its end. */
struct lw_io_call {
    int fd;
    enum lw_side_number side;
    short events; /* what a plain thread polls for */
    bool armed;   /* has been registered by this call */
    bool by_flag; /* only O_NONBLOCK keeps the system call from blocking */
    lw_nsec deadline;
    const void *site;
    struct lw_record *me;
    struct lw_descriptor *descriptor;
    uint64_t state;  /* on entry; its kind is kept up to date */
    uint32_t seen;   /* edges before the try */
    uint32_t pauses; /* so far in this call */
};

/* After a try that would have blocked: wait for the next edge.  [S] switches.  0: try again; an
 * error. */
int lw_io_wait(struct lw_io_call *call);

/* The same for a wait that the caller has begun, of a node of that task: 0: the next edge ends it;
 * 1: try again; an error.  After 0, when the wait is over, unwatch. */
int lw_io_watch(struct lw_io_call *call, struct lw_node *node);
void lw_io_unwatch(struct lw_descriptor *descriptor, enum lw_side_number side,
                   struct lw_node *node);

/* The system has run out of something, and no edge will tell when there is some again: wait 1 ms,
 * later up to 100 ms, or until one of our descriptors is closed.  [S] switches.  0: try again; an
 * error. */
int lw_io_pause(struct lw_io_call *call);

/* End all such waits, and those of plain threads. */
void lw_io_pauses_end(void);
void lw_io_bells_ring(void);

/* ---- io.c */

/* A try: the system call, once, not blocking.  Its value is that of the whole call, or -EAGAIN:
 * wait for an edge, or LW_ONCE_MORE. */
typedef ssize_t lw_io_try(struct lw_io_call *call, void *arg);

enum { LW_ONCE_MORE = -4096 }; /* begin again without waiting; no error has this value */

/* The call, from its entry to its end.  [S] switches. */
ssize_t lw_io_run(struct lw_io_call *call, lw_io_try *try, void *arg);

/* The try of lw_poll(): which of the call's events are there. */
ssize_t lw_io_look(struct lw_io_call *call, void *arg);

LW_INLINE struct lw_io_call lw_io_reading(int fd, lw_nsec deadline, const void *site)
{
    return (struct lw_io_call){
        .fd = fd, .side = LW_SIDE_READ, .events = POLLIN, .deadline = deadline, .site = site};
}

LW_INLINE struct lw_io_call lw_io_writing(int fd, lw_nsec deadline, const void *site)
{
    return (struct lw_io_call){
        .fd = fd, .side = LW_SIDE_WRITE, .events = POLLOUT, .deadline = deadline, .site = site};
}

/* The value of a system call, or its error. */
LW_INLINE ssize_t lw_io_result(ssize_t value)
{
    return value >= 0 ? value : -lw_errno_get(lw_errno_offset);
}

#endif
