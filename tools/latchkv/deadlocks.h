/* SPDX-License-Identifier: MIT */
/* Deadlocks among clients, who LOCK keys in whatever order they like: found and broken by the
 * runtime, remembered here. */
#ifndef LATCHKV_DEADLOCKS_H
#define LATCHKV_DEADLOCKS_H

#include <latchwork.h>

struct kv_clients;

enum { KV_DEADLOCKS_KEPT = 64, KV_DEADLOCK_MEMBERS = 8, KV_DEADLOCK_KEY = 32 };

struct kv_deadlock {
    uint64_t number; /* from 1 on */
    int64_t at_ms;   /* since 1970 */
    lw_verdict verdict;
    bool unforceable;
    bool broken;           /* the first member gave way */
    size_t member_count;   /* here */
    size_t members_in_all; /* as far as was told */
    struct kv_deadlock_member {
        lw_task task;
        uint64_t client; /* its id; 0: not known, or gone */
        int64_t waited_ms;
        size_t holds;                /* key locks */
        char waits_for[KV_DEADLOCK_KEY]; /* the key, or the beginning of it; empty: no key */
    } members[KV_DEADLOCK_MEMBERS]; /* each waits for what the next one holds */
};

/* Look for them, or (false) let clients wait for each other for ever.  For the whole process.  0,
 * or what lw_detector_set() says. */
LW_MUST_CHECK int kv_deadlocks_start(bool look);

/* The last ones, the newest first: how many. */
size_t kv_deadlocks_last(struct kv_deadlock *last, size_t max);

/* The last one in which the caller gave way. */
bool kv_deadlocks_mine(struct kv_deadlock *mine);

/* Fill in which clients they are that are still there, here and in the list.  0 or -ECANCELED. */
LW_MUST_CHECK int kv_deadlock_name(struct kv_deadlock *deadlock, struct kv_clients *clients);

/* In words: "client 3 waits for 'a' of client 7, which waits for ...".  Cut off where it ends, or
 * where no more members are here. */
void kv_deadlock_tell(const struct kv_deadlock *deadlock, char *text, size_t size);

#endif
