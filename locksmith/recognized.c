/* SPDX-License-Identifier: MIT */
/* Which locks which locksmith knows: one table of pairs, by lock, for all of them; so the end of a
 * lock, which knows no locksmith, finds all that know it.
 *
 * A pair is in the chain of its lock's bucket.  Memory is got and freed outside of the guards.  A
 * locksmith's own mutex is in no chain: it is known by its address.
 *
 * [B1] what a locksmith has done  ->  its fini: _busy - 1 (release) -> load (acquire)
 * [B2] bucket: guard dropped (release) -> taken (acquire) */
#include <errno.h>

#include "locksmith/smith.h"
#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"

#ifdef LW_TINY
enum { BUCKETS = 2, GUARD = 1 };
#else
enum { BUCKETS = 1024, GUARD = 1 };
#endif

struct pair {
    struct pair *next;
    const lw_locksmith *smith;
    lw_lock *lock;
};

static struct bucket {
    uint64_t guard;
    struct pair *first;
} buckets[BUCKETS];

static struct bucket *bucket_of(const lw_lock *lock)
{
    uint64_t hash = (uint64_t)(uintptr_t)lock * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci's */

    return &buckets[(hash >> 32) % BUCKETS];
}

static void enter(struct bucket *bucket)
{
    (void)lw_guard_take(&bucket->guard, GUARD); /* [B2] */
}

static void leave(struct bucket *bucket)
{
    lw_guard_drop(&bucket->guard, GUARD); /* [B2] */
}

/* Under the guard: the next pair, from there on, of that lock and locksmith; NULL: of any. */
static struct pair **find(struct pair **at, const lw_locksmith *smith, const lw_lock *lock)
{
    while (*at != NULL && ((smith != NULL && (*at)->smith != smith) ||
                           (lock != NULL && (*at)->lock != lock)))
        at = &(*at)->next;
    return at;
}

bool lw_recognized_has(const lw_locksmith *smith, const lw_lock *lock)
{
    struct bucket *bucket = bucket_of(lock);
    bool found;

    if (lock == &smith->_mutex.lock)
        return true;
    enter(bucket);
    found = *find(&bucket->first, smith, lock) != NULL;
    leave(bucket);
    return found;
}

/* 0; -EEXIST: it is there. */
static int add(struct pair *pair)
{
    struct bucket *bucket = bucket_of(pair->lock);
    bool found;

    enter(bucket);
    found = *find(&bucket->first, pair->smith, pair->lock) != NULL;
    if (!found) {
        pair->next = bucket->first;
        bucket->first = pair;
    }
    leave(bucket);
    return found ? -EEXIST : 0;
}

/* Take pairs out of the bucket and free them; whether there were any. */
static bool remove_from(struct bucket *bucket, const lw_locksmith *smith, const lw_lock *lock)
{
    struct pair *out = NULL, *pair, **at = &bucket->first;
    bool found;

    enter(bucket);
    while (*(at = find(at, smith, lock)) != NULL) {
        pair = *at;
        *at = pair->next;
        pair->next = out;
        out = pair;
    }
    leave(bucket);
    found = out != NULL;
    while ((pair = out) != NULL) {
        out = pair->next;
        lw_sys.free(pair);
    }
    return found;
}

/* ---- recognition */

static int recognize(lw_locksmith *smith, lw_lock *lock)
{
    struct pair *pair = lw_sys.calloc(1, sizeof *pair);
    int err;

    if (pair == NULL)
        return -ENOMEM;
    *pair = (struct pair){NULL, smith, lock};
    err = add(pair);
    if (err == 0)
        return LW_RECOGNITION_SUCCESS;
    lw_sys.free(pair);
    return LW_RECOGNITION_ALREADY_RECOGNIZED;
}

static int ask(lw_locksmith *smith, lw_lock *lock)
{
    int err = lock->kind != NULL && lock->kind->acknowledge != NULL
                  ? lock->kind->acknowledge(lock, smith)
                  : 0;

    if (err == -ECANCELED || lw_critical(err))
        return err;
    return err < 0 ? LW_RECOGNITION_FAILED_ACK : 0;
}

/* With the mutex, for which others may be waiting who force. */
static int under_mutex(lw_locksmith *smith, lw_lock *lock, lw_nsec deadline,
                       int (*look)(lw_locksmith *smith, lw_lock *lock))
{
    int result = lw_mutex_acquire(&smith->_mutex, deadline);

    if (result < 0)
        return result;
    result = look(smith, lock);
    (void)lw_mutex_release(&smith->_mutex);
    return result;
}

static int look_first(lw_locksmith *smith, lw_lock *lock)
{
    return lw_recognized_has(smith, lock) ? LW_RECOGNITION_ALREADY_RECOGNIZED : 0;
}

int lw_locksmith_recognize(lw_locksmith *smith, lw_lock *lock, lw_nsec deadline)
{
    int result;

    if (!LW_HOOK(smith, preliminary_check)(smith, lock))
        return LW_RECOGNITION_FAILED_PRELIM;
    if (lw_forked())
        return -ECHILD;
    lw_smith_keep(smith);
    result = under_mutex(smith, lock, deadline, look_first);
    if (result == 0)
        result = ask(smith, lock); /* which may well recognise it */
    if (result == 0)
        result = under_mutex(smith, lock, deadline, recognize);
    lw_smith_let_go(smith);
    return result;
}

int lw_locksmith_forget(lw_locksmith *smith, lw_lock *lock)
{
    if (lw_forked())
        return -ECHILD;
    return remove_from(bucket_of(lock), smith, lock) ? 0 : -ENOENT;
}

size_t lw_locksmith_recognized(lw_locksmith *smith, lw_lock **locks, size_t locks_max)
{
    size_t count = 1;

    if (locks_max > 0)
        locks[0] = &smith->_mutex.lock;
    for (struct bucket *bucket = buckets; bucket < buckets + BUCKETS && !lw_forked(); bucket++) {
        enter(bucket);
        for (struct pair **at = find(&bucket->first, smith, NULL); *at != NULL;
             at = find(&(*at)->next, smith, NULL), count++)
            if (count < locks_max)
                locks[count] = (*at)->lock;
        leave(bucket);
    }
    return count;
}

int lw_locksmith_fini(lw_locksmith *smith)
{
    if (lw_forked())
        return -ECHILD;
    if (lw_load_acq(&smith->_busy._value) != 0) /* [B1] */
        return -EBUSY;
    for (struct bucket *bucket = buckets; bucket < buckets + BUCKETS; bucket++)
        (void)remove_from(bucket, smith, NULL);
    return 0;
}

/* ---- the end of a lock */

static void forget_everywhere(lw_lock *lock)
{
    (void)remove_from(bucket_of(lock), NULL, lock);
}

__attribute__((constructor)) static void hook_the_end_of_locks(void)
{
    lw_lock_forgotten = forget_everywhere;
}
