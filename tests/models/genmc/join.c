/* SPDX-License-Identifier: MIT */
/* ctl and peer: the end of a task against who joins, detaches and cancels it (runtime/ctl.h,
 * peer.h; runtime/join.c, cancel.c as they are).
 *
 * Task 0 ends.  Task 1 joins it; JOIN2: task 2 as well; DETACH: it detaches it; CANCEL: it cancels
 * the joiner, and with NO_END nobody else ends its wait; STALE: it has a handle of the life before,
 * and cancels, joins and detaches in vain.
 *
 * Holds: the record is given back once, and not before the end (unless nobody is left to do it);
 * who joined has the status; nobody waits for ever; a stale handle does nothing.
 *
 * Mutant, with DETACH: -DBLIND_END  the end does not look who was there
 *
 * holds:
 * holds: -DJOIN2
 * holds: -DDETACH
 * holds: -DCANCEL
 * holds: -DCANCEL -DNO_END
 * holds: -DSTALE
 * fails: -DDETACH -DBLIND_END
 * fails: -DJOIN2 -DWEAK_CAS
 * fails: -DJOIN2 -DWEAK_LOAD
 * fails: -DCANCEL -DNO_END -DNO_LIGHT
 * fails: -DCANCEL -DNO_END -DNO_HEAVY
 */
#include "system.h"

#include "runtime/peer.h"

static int sys_close(int fd)
{
    return fd;
}

static int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return fd;
}

#include "runtime/join.c"

enum { STATUS = 42 };

static uint64_t id_of(int record)
{
    return UINT64_C(1) << LW_SLOT_BITS | (unsigned)record;
}

/* As lw_task_finish() does it. */
static void *ender(void *arg)
{
    uint64_t peer;

    become(0);
#ifdef NO_END
    return arg;
#endif
    lw_store_rlx(&hot_[0].status, STATUS);
#ifdef BLIND_END
    peer = lw_swap_acq_rel(&hot_[0].peer, LW_PEER_DONE);
#else
    peer = lw_peer_end(&hot_[0]);
#endif
    if (lw_peer_is(peer, LW_PEER_DETACHED)) {
        lw_store_rel(&hot_[0].ctl, lw_ctl_next_life(lw_load_rlx(&hot_[0].ctl)));
        put(NULL, &hot_[0]);
    } else if (lw_peer_is(peer, LW_PEER_JOINER) && lw_peer_claim(peer)) {
        lw_wake(lw_peer_record(peer), LW_GRANTED, LW_WAKE_NEXT);
    }
    return arg;
}

static int joined[RECORDS] = {[2] = -EBUSY};

static void join_it(int me)
{
    int status = 0, err;

    become(me);
    err = lw_join((lw_task){id_of(0)}, &status, LW_FOREVER);
    joined[me] = err;
    if (err == 0)
        assert(status == STATUS);
}

static void *joiner(void *arg)
{
    join_it(1);
    return arg;
}

static void *other(void *arg)
{
#if defined(JOIN2)
    join_it(2);
    assert(joined[2] == 0 || joined[2] == -EBUSY || joined[2] == -ESRCH);
#elif defined(DETACH)
    become(2);
    joined[2] = lw_detach((lw_task){id_of(0)});
    assert(joined[2] == 0 || joined[2] == -EBUSY || joined[2] == -ESRCH);
#elif defined(CANCEL)
    become(2);
    assert(lw_cancel((lw_task){id_of(1)}) == 0);
#elif defined(STALE)
    lw_task before = {id_of(0) - (UINT64_C(1) << LW_SLOT_BITS)};

    become(2);
    assert(lw_cancel(before) == -ESRCH);
    assert(lw_join(before, NULL, LW_FOREVER) == -ESRCH);
    assert(lw_detach(before) == -ESRCH);
#endif
    return arg;
}

int main(void)
{
    pthread_t threads[3];

    begin();
    for (int i = 0; i < RECORDS; i++)
        hot_[i].peer = lw_peer_none(hot_[i].ctl);
    start(&threads[0], ender);
    start(&threads[1], joiner);
    start(&threads[2], other);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
#ifdef CANCEL
    assert(joined[1] == 0 || joined[1] == -ECANCELED);
    assert(freed[0] == (joined[1] == 0));
#ifdef NO_END
    assert(joined[1] != 0 && lw_peer_is(hot_[0].peer, LW_PEER_NONE));
#else
    assert(joined[1] == 0 || hot_[0].peer == LW_PEER_DONE);
#endif
    assert((hot_[1].ctl & LW_CTL_FRESH_MASK) >> LW_CTL_FRESH_SHIFT == (joined[1] == 0));
#else
    assert(freed[0] == 1);
    assert((joined[1] == 0) + (joined[2] == 0) == 1);
#endif
    assert(LW_CTL_GENERATION(hot_[0].ctl) == 1 + freed[0]);
    return 0;
}
