/* SPDX-License-Identifier: MIT */
/* The mutex: primitives/mutex.c as it is.
 *
 * THREADS tasks acquire and release; CANCEL: one of them is cancelled meanwhile.  With CLOCK_RUNS
 * whoever lost twice has lost for a millisecond.  Holds: exclusion, as no race on `inside`; nobody
 * waits for ever; the mutex is left free.
 *
 * holds:
 * holds: -DCLOCK_RUNS
 * holds: -DCANCEL
 * fails: -DWEAK_ACQ
 * fails: -DWEAK_CAS
 * fails: -DWEAK_STORE
 */
#include "system.h"

#include "primitives/hold.h"

#ifndef THREADS
#define THREADS 2
#endif

static int sys_close(int fd)
{
    return fd;
}

static int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return fd;
}

/* No list of holds but what lies in the record. */
int lw_hold_push_more(struct lw_cold *cold, const lw_lock *lock, enum lw_hold_mode mode,
                      const void *site)
{
    return 0;
}

bool lw_hold_remove(struct lw_cold *cold, const lw_lock *lock)
{
    return lw_hold_pop(cold, lock);
}

struct lw_hold_place lw_hold_newest(struct lw_cold *cold)
{
    return (struct lw_hold_place){NULL, 0};
}

struct lw_hold_place lw_hold_older(struct lw_cold *cold, struct lw_hold_place place)
{
    return place;
}

struct lw_hold *lw_hold_in(struct lw_cold *cold, struct lw_hold_place place)
{
    return &cold->held[0];
}

#include "primitives/mutex.c"
#include "primitives/owner.c"

static lw_mutex mutex;
static int inside; /* plain */
static int failed[RECORDS];

static void *task(void *arg)
{
    int me = (int)(intptr_t)arg;

    become(me);
    if (lw_mutex_acquire(&mutex, LW_FOREVER) == 0) {
        inside++;
        assert(lw_mutex_release(&mutex) == 0);
    } else {
        failed[me]++;
    }
    return arg;
}

#ifdef CANCEL
static void *canceller(void *arg)
{
    become(3);
    (void)lw_cancel((lw_task){cold_[0].id});
    return arg;
}
#endif

int main(void)
{
    pthread_t threads[THREADS + 1];
    int count = 0, missed = 0;

    begin();
    for (int i = 0; i < THREADS; i++) {
        cold_[i].id = UINT64_C(1) << LW_SLOT_BITS | (unsigned)i;
        if (pthread_create(&threads[count++], NULL, task, (void *)(intptr_t)i) != 0)
            abort();
    }
#ifdef CANCEL
    start(&threads[count++], canceller);
#endif
    for (int i = 0; i < count; i++)
        join(threads[i]);
    for (int i = 0; i < THREADS; i++)
        missed += failed[i];
    assert(inside == THREADS - missed);
    assert(mutex.lock._word._value == 0);
    return 0;
}
