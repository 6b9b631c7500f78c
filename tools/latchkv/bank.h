/* SPDX-License-Identifier: MIT */
/* The bank: clients of latchkv that move money between accounts, each under the LOCKs of both, that
 * of the payer first: so they deadlock.  Unless they are to take them in one order. */
#ifndef LATCHKV_BANK_H
#define LATCHKV_BANK_H

#include "latchkv/histogram.h"
#include "latchkv/link.h"

struct bank_options {
    const char *unixsocket;
    uint64_t port, accounts, clients, seconds, seed, workers, in_order;
};

/* One client and its task. */
struct teller {
    struct bank *bank;
    unsigned number;
    struct kv_link link;
    struct kv_histogram latencies; /* of requests, ns */
    _Atomic(uint64_t) transfers;
    _Atomic(uint64_t) deadlocks; /* in which it gave way */
    _Atomic(uint64_t) errors;
    char error[KV_REPLY_TEXT];    /* the first; read when the task has ended */
    char deadlock[KV_REPLY_TEXT]; /* the last; likewise */
};

struct bank {
    struct bank_options options;
    atomic_bool closing; /* tellers finish what they do, and end */
    bool stuck;          /* they do not move any more */
    struct teller *tellers;
};

enum { ACCOUNT_START = 1000 }; /* money in each, at first */

/* Give every account its first money; and: the sum of all.  0 or an error, which was printed. */
int bank_open(struct bank *bank, struct kv_link *link, int64_t *money);
int bank_count(struct bank *bank, struct kv_link *link, int64_t *money);

/* The task of a teller. */
int teller_run(void *teller);

#endif
