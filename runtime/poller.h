/* SPDX-License-Identifier: MIT */
/* Readiness of descriptors, one poller per worker: an epoll instance (edge-triggered) and an
 * eventfd that ends its sleep.  The records of descriptors are in descriptor.h. */
#ifndef LW_RUNTIME_POLLER_H
#define LW_RUNTIME_POLLER_H

#include <stdint.h>

#include "runtime/atomic.h"

struct epoll_event;

struct lw_poller {
    int epoll;
    int doorbell;        /* eventfd, registered edge-triggered, never read */
    uint32_t registered; /* descriptors registered here since the start; 0: polling is useless */
    uint32_t polling;    /* someone is in lw_poller_look() */
    struct epoll_event *events; /* buffers of the owner's sleep and of who just looks */
};

/* -ENOMEM, -EMFILE, ... */
int lw_poller_init(struct lw_poller *poller);
void lw_poller_fini(struct lw_poller *poller);

/* The owner waits for events at most `timeout` ns (negative: for ever), and later handles as many
 * as there were: makes the tasks that waited for them ready.  Handling gives the number of those
 * that were no rings.  Never fails: what epoll_wait cannot do counts as no events. */
int lw_poller_sleep(struct lw_poller *poller, int64_t timeout);
int lw_poller_handle(struct lw_poller *poller, int count);

/* Handle what events there are.  The owner, or anyone else. */
int lw_poller_look(struct lw_poller *poller);

/* End the owner's sleep, or its next one.  Any thread. */
void lw_poller_ring(struct lw_poller *poller);

#endif
