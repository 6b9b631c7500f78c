/* SPDX-License-Identifier: MIT */
/* The descriptor word, edges and close: runtime/descriptor.c, readiness.c as they are, over one
 * number of a kernel that is a word: which file it means, 0: none.
 *
 * A reader enters, tries, and waits as lw_io_run() does it.  CLOSE: another task closes it.  EVENT:
 * a byte comes, and a poller reports it; HANGUP: and with it the end, of a stream that is
 * registered already, from which the reader wants more than there is.  Holds: nobody waits for
 * ever; the number is closed once; the word ends with nobody inside.
 *
 * Mutant, with CLOSE: -DLEAVE_ALONE  who leaves last does not close
 *
 * models: rc11
 * (In IMM GenMC takes an object on a stack for the one of another size that lay there before.)
 * holds: -DCLOSE
 * holds: -DEVENT
 * holds: -DEVENT -DBORN
 * holds: -DEVENT -DBORN -DHANGUP
 * fails: -DCLOSE -DLEAVE_ALONE
 * fails: -DCLOSE -DWEAK_ACQ
 * fails: -DEVENT -DBORN -DHANGUP -DWEAK_STORE
 */
#define LW_TINY 1
#include <sys/epoll.h>

#include "system.h"

#undef F_GETFD
#define F_GETFD 1
#define guest_wait guest_poll_wait /* wait.c has one, too */

#include "runtime/descriptor.c"

#include "runtime/readiness.c"

enum { NUMBER = 3 };

static struct lw_descriptor chunk[1 << LW_FD_CHUNK_BITS];
static uint32_t file = 1;    /* what the number means */
static uint32_t bytes;       /* to be read from the old file */
static uint32_t registered;  /* the life in the tag, 1 +, of the old file's registration */
static uint32_t closes, finished;
static uint32_t ended;       /* the old file: nothing comes any more */

static int sys_close(int fd)
{
    if (__atomic_exchange_n(&file, 0, __ATOMIC_ACQ_REL) == 0) {
        error = EBADF;
        return -1;
    }
    (void)__atomic_fetch_add(&closes, 1, __ATOMIC_RELAXED);
    return 0;
}

static int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (__atomic_load_n(&file, __ATOMIC_ACQUIRE) == 0) {
        error = EBADF;
        return -1;
    }
    if (operation == EPOLL_CTL_DEL)
        __atomic_store_n(&registered, 0, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&registered, 1 + (uint32_t)(event->data.u64 >> 32), __ATOMIC_RELEASE);
    return 0;
}

#ifdef HANGUP
static bool has_hints(uint64_t state)
{
    return (state & (LW_FD_BORN | LW_FD_CAREFUL)) == LW_FD_BORN && lw_fd_kind(state) == LW_KIND_TCP;
}

/* As read_all() does it, of two bytes, with note_short() and is_drained(). */
static int try(struct lw_io_call *call)
{
    struct lw_side *side = &call->descriptor->sides[LW_SIDE_READ];

    for (;;) {
        if (has_hints(call->state) && lw_load_rlx(&side->drained) == call->seen)
            return 0;
        if (__atomic_load_n(&bytes, __ATOMIC_ACQUIRE) == 0)
            return (int)__atomic_load_n(&ended, __ATOMIC_ACQUIRE);
        __atomic_store_n(&bytes, 0, __ATOMIC_RELAXED);
        if (has_hints(lw_load_rlx(&call->descriptor->state))) /* [I2] */
            lw_store_rlx(&side->drained, call->seen);
    }
}
#else
static int try(struct lw_io_call *call)
{
    (void)call;
    if (__atomic_load_n(&file, __ATOMIC_ACQUIRE) == 0)
        return -EBADF;
    return __atomic_load_n(&bytes, __ATOMIC_ACQUIRE) != 0;
}
#endif

/* As lw_io_run() does it. */
static int read_one(int fd)
{
    struct lw_io_call call;
    int result, moved = 1;

    /* One by one: GenMC copies no structs. */
    call.fd = fd;
    call.side = LW_SIDE_READ;
    call.armed = false;
    call.deadline = LW_FOREVER;
    call.site = NULL;
    result = lw_descriptor_enter(fd, &call.descriptor, &call.state);

    if (result < 0)
        return result;
    call.me = self->current;
    while (result == 0) {
        call.seen = lw_load_acq(&call.descriptor->sides[LW_SIDE_READ].edges); /* [I2] */
        result = try(&call);
        if (result != 0)
            break;
        result = lw_io_wait(&call);
        moved = result == 0;
    }
#ifdef LEAVE_ALONE
    (void)lw_sub_acq_rel(&call.descriptor->state, LW_FD_INSIDE);
#else
    lw_descriptor_leave(call.descriptor, fd, LW_SIDE_READ, moved);
#endif
    return result;
}

static void *reader(void *arg)
{
    int result;

    become(0);
    result = read_one(NUMBER);
    __atomic_store_n(&finished, 1, __ATOMIC_RELAXED);
#if defined(EVENT) && !defined(CLOSE)
    assert(result == 1);
#elif !defined(EVENT)
    assert(result == -EBADF);
#endif
    return arg;
}

static void *closer(void *arg)
{
#ifdef CLOSE
    become(1);
    assert(lw_close(NUMBER) == 0);
#endif
    return arg;
}

static void *world(void *arg)
{
#ifdef EVENT
    struct lw_wake_batch batch = {0};
    uint32_t life;

    become(2);
    (void)__atomic_fetch_add(&bytes, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
    /* epoll: what is ready when it is registered is reported, too. */
    await((life = __atomic_load_n(&registered, __ATOMIC_ACQUIRE)) != 0 ||
          __atomic_load_n(&finished, __ATOMIC_RELAXED) != 0);
    if (life == 0)
        return arg;
#ifdef HANGUP
    lw_descriptor_event((uint64_t)(life - 1) << 32 | NUMBER, EPOLLIN | EPOLLRDHUP, &batch);
#else
    lw_descriptor_event((uint64_t)(life - 1) << 32 | NUMBER, EPOLLIN, &batch);
#endif
    lw_wake_batch_run(&batch, LW_RETRY);
#endif
    return arg;
}

int main(void)
{
    pthread_t threads[3];

    begin();
    lw_descriptor_chunks[0] = chunk;
#ifdef BORN
    chunk[NUMBER].state = LW_FD_BORN | (uint64_t)LW_KIND_TCP << LW_FD_KIND_SHIFT;
#endif
#ifdef HANGUP
    chunk[NUMBER].home = &workers_[0].poller;
    chunk[NUMBER].sides[LW_SIDE_READ].edges = 1;
    registered = 1;
#endif
    start(&threads[0], reader);
    start(&threads[1], closer);
    start(&threads[2], world);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    assert((chunk[NUMBER].state & LW_FD_INSIDE_MASK) == 0);
#ifdef CLOSE
    assert(closes == 1);
#endif
    return 0;
}
