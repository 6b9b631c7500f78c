/* SPDX-License-Identifier: MIT */
/* What all descriptors share: the bells of plain threads and the pauses of tasks
 * (runtime/readiness.c as it is).
 *
 * BELLS: two threads each take a bell, and a closer, whom the second has called, rings.  Holds: who
 * finds a bell finds all that it is; nobody has another's.  PAUSES: a task pauses, and a closer
 * ends all pauses, or else time does.  Holds: the queue is whole; nobody pauses for ever.
 *
 * models: rc11
 * (In IMM GenMC takes an object on a stack for the one of another size that lay there before.)
 * holds: -DBELLS
 * holds: -DPAUSES
 * fails: -DBELLS -DWEAK_CAS
 * fails: -DPAUSES -DWEAK_STORE
 * fails: -DPAUSES -DWEAK_ACQ
 */
#define LW_TINY 1
#include <sys/epoll.h>

#include "system.h"

#undef F_GETFD
#define F_GETFD 1
#define guest_wait guest_poll_wait /* wait.c has one, too */

#include "runtime/descriptor.c"

#include "runtime/readiness.c"

enum { FD = 10 };

lw_nsec lw_in(lw_nsec duration)
{
    return 1 + duration;
}

static int sys_close(int fd)
{
    return fd;
}

static int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return fd;
}

/* ---- bells */

static struct bell made[2];
static uint32_t made_count, rung[2], called;

static void *sys_calloc(size_t count, size_t size)
{
    return &made[__atomic_fetch_add(&made_count, 1, __ATOMIC_RELAXED)];
}

static int sys_eventfd(unsigned value, int flags)
{
    static uint32_t fds;

    return FD + (int)__atomic_fetch_add(&fds, 1, __ATOMIC_RELAXED);
}

static long sys_write(int fd, const void *buffer, size_t size)
{
    assert(fd == FD || fd == FD + 1);
    (void)__atomic_fetch_add(&rung[fd - FD], 1, __ATOMIC_RELAXED);
    return (long)size;
}

static struct bell *taken[2];

static void *guest(void *arg)
{
    int me = (int)(intptr_t)arg;

    taken[me] = bell_take();
    if (me == 1)
        __atomic_store_n(&called, 1, __ATOMIC_RELEASE); /* as LW_FD_GUESTS tells of it, [I4] */
    return arg;
}

static void *ringer(void *arg)
{
    if (__atomic_load_n(&called, __ATOMIC_ACQUIRE) != 0) {
        lw_io_bells_ring();
        assert(rung[taken[1]->fd - FD] == 1);
    }
    return arg;
}

/* ---- pauses */

static struct lw_descriptor chunk[1 << LW_FD_CHUNK_BITS];

static void *pauser(void *arg)
{
    struct lw_io_call call;

    become(0);
    call.fd = FD;
    call.side = LW_SIDE_READ;
    call.deadline = LW_FOREVER;
    call.site = NULL;
    call.me = self->current;
    call.descriptor = &chunk[FD];
    call.state = 0;
    call.pauses = 0;
    assert(lw_io_pause(&call) == 0);
    return arg;
}

/* And then time passes for who paused too late. */
static void *closer(void *arg)
{
    uint64_t wait;

    become(1);
    lw_io_pauses_end();
    await(((wait = lw_load_acq(&cold_[0].wait)) & LW_PHASE_MASK) != LW_PHASE_IDLE);
    if (lw_wait_can_end(wait) && lw_wait_end_word(&cold_[0], wait, LW_TIMEOUT))
        lw_make_ready(&hot_[0], false);
    return arg;
}

static void run(pthread_t *thread, void *(*fn)(void *), int number)
{
    if (pthread_create(thread, NULL, fn, (void *)(intptr_t)number) != 0)
        abort();
}

int main(void)
{
    pthread_t threads[3];

    begin();
    lw_sys.calloc = sys_calloc;
    lw_sys.eventfd = sys_eventfd;
    lw_sys.write = sys_write;
#ifdef BELLS
    lw_descriptor_chunks[FD >> LW_FD_CHUNK_BITS] = chunk;
    run(&threads[0], guest, 0);
    run(&threads[1], guest, 1);
    run(&threads[2], ringer, 2);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    assert(taken[0] != taken[1]);
#else
    start(&threads[0], pauser);
    start(&threads[1], closer);
    join(threads[0]);
    join(threads[1]);
    assert(pauses.word == 0 && pauses.tail == NULL);
#endif
    return 0;
}
