/* SPDX-License-Identifier: MIT */
#include "latchkv/keylock.h"

#include "latchkv/client.h"
#include "latchkv/memory.h"

#include <string.h>

static size_t keylock_bytes(size_t key_size)
{
    return sizeof(struct kv_keylock) + key_size + 1;
}

struct kv_keylock *kv_keylock_find(struct kv_space *space, const struct kv_arg *key)
{
    return (struct kv_keylock *)*kv_table_find(&space->locks, (uint32_t)key->hash, key->data,
                                               key->size);
}

struct kv_keylock *kv_keylock_use(struct kv_space *space, const struct kv_arg *key,
                                  unsigned database)
{
    struct kv_keylock *lock = kv_keylock_find(space, key);

    if (lock != NULL) {
        lock->users++;
        return lock;
    }
    lock = kv_alloc_clear(keylock_bytes(key->size));
    if (lock == NULL)
        return NULL;
    lock->node.hash = (uint32_t)key->hash;
    lock->node.key_size = (uint32_t)key->size;
    lock->mutex.lock.name = lock->key;
    lock->users = 1;
    lock->database = database;
    lock->hash = key->hash;
    memcpy(lock->key, key->data, key->size);
    if (!kv_table_add(&space->locks, &lock->node, offsetof(struct kv_keylock, key))) {
        kv_free(lock, keylock_bytes(key->size));
        return NULL;
    }
    return lock;
}

void kv_keylock_leave(struct kv_space *space, struct kv_keylock *lock)
{
    if (--lock->users > 0)
        return;
    kv_table_remove(&space->locks,
                    kv_table_find(&space->locks, lock->node.hash, lock->key, lock->node.key_size));
    kv_free(lock, keylock_bytes(lock->node.key_size));
}

void kv_keylock_own(struct kv_keylock *lock, uint64_t owner, struct kv_keylock **list)
{
    lock->owner = owner;
    lock->since = kv_coarse_ms();
    lock->link = list;
    lock->next = *list;
    if (lock->next != NULL)
        lock->next->link = &lock->next;
    *list = lock;
}

void kv_keylock_release(struct kv_space *space, struct kv_keylock *lock)
{
    *lock->link = lock->next;
    if (lock->next != NULL)
        lock->next->link = lock->link;
    lock->owner = 0;
    lw_mutex_release(&lock->mutex);
    kv_keylock_leave(space, lock);
}
