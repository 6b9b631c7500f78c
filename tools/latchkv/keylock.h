/* SPDX-License-Identifier: MIT */
/* Key locks: an lw_mutex for each key that a client LOCKed, made on first use, gone when nobody
 * holds or waits.  The task of the connection holds it across requests.
 *
 * A key lock lies in its space's table `locks`; the table and the fields are under the lock of the
 * shard, but for next and link: the list of an owner's locks is the owner's task's alone.  The
 * mutex is tried under the shard's lock but waited for without; whoever waits is counted in `users`
 * before, so the memory stays. */
#ifndef LATCHKV_KEYLOCK_H
#define LATCHKV_KEYLOCK_H

#include "latchkv/space.h"

#include <latchwork.h>

struct kv_keylock {
    struct kv_node node;
    lw_mutex mutex; /* named by the key */
    uint32_t users; /* who holds it, and all who wait */
    unsigned database;
    uint64_t owner; /* id of the client that holds it; 0: none */
    int64_t since;  /* coarse ms */
    uint64_t hash;
    struct kv_keylock *next, **link; /* of its owner's list */
    char key[];                      /* ends with a zero */
};

/* All with the shard's lock held.  Find or make it, and count a user; NULL: memory is out. */
struct kv_keylock *kv_keylock_use(struct kv_space *space, const struct kv_arg *key,
                                  unsigned database);
void kv_keylock_leave(struct kv_space *space, struct kv_keylock *lock);
struct kv_keylock *kv_keylock_find(struct kv_space *space, const struct kv_arg *key);

/* The caller's task holds the mutex: note for which client, on whose list. */
void kv_keylock_own(struct kv_keylock *lock, uint64_t owner, struct kv_keylock **list);

/* Release the mutex, take it off the list, and leave. */
void kv_keylock_release(struct kv_space *space, struct kv_keylock *lock);

#endif
